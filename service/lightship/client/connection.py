"""One HTTPS connection to one hub: TLS trust, time-outs, bounded retries, errors of the one tree.

Credentials go to the hub's own origin only: no redirect is followed, and addresses that the hub names are
taken as paths of that origin. No answer is read beyond its bounds (`bounded`). An explicit CA file is the
only trust there is; no environment variable overrides it. Retried are network errors, 429, 502, 503 and 504,
and only for requests that may be repeated.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import httpx2
import orjson

from lightship import __version__
from lightship.client.bounded import MOST, Whole, read_whole
from lightship.client.errors import NotTaxii, NotTrusted, Unreachable, error_of
from lightship.client.receipts import keeper
from lightship.core.errors import BadFile, LightshipError, MalformedRequest

ACCEPT = "application/taxii+json;version=2.1"
_RETRIED = frozenset({429, 502, 503, 504})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_CLOSES = (
    "A hub closes a connection, often without a word, whose client certificate has ended or none of its"
    " authorities issued: see `lightship keys pin FILE`"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request. Times in seconds; `attempts` counts the first one too."""

    connect_s: float = 10.0
    read_s: float = 60.0
    attempts: int = 4
    longest_wait_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer: `value` is the parsed body, None where it is empty."""

    status: int
    headers: Mapping[str, str]
    value: Any


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """A client certificate, PEM, with authorities in between if any, and its key; None: in the same file."""

    cert: Path
    key: Path | None = None


def trust(ca: Path | None, client: ClientFiles | None = None) -> ssl.SSLContext:
    """Return a TLS context that trusts `ca` alone, or the system's store without one; it shows `client`.

    Raises:
        BadFile: the CA file is missing or holds no certificate; the client certificate or its key cannot be
            used, or others can read the key.
    """
    if ca is None:
        context = ssl.create_default_context()
    else:
        try:
            context = ssl.create_default_context(cafile=str(ca))
        except (OSError, ssl.SSLError) as error:
            raise BadFile(
                "The CA file cannot be used",
                path=str(ca),
                why=str(error),
                todo="Give the PEM file of the hub's CA, e.g. tls/ca.pem of the hub's directory",
            ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if client is not None:
        _show(context, client)
    return context


def _show(context: ssl.SSLContext, client: ClientFiles) -> None:
    key = client.key or client.cert
    try:
        if key.stat().st_mode & 0o077:
            raise BadFile("The client key's file is open to others", path=str(key), todo=f"chmod 400 {key}")
        context.load_cert_chain(client.cert, client.key, password=lambda: b"")  # never asks on the terminal
    except (OSError, ssl.SSLError) as error:
        raise BadFile(
            "The client certificate cannot be used",
            path=str(client.cert),
            why=error.strerror or str(error),
            todo="Give PEM files that belong together, the key without a passphrase",
        ) from None


@dataclass(frozen=True, slots=True)
class Raw:
    """A 2xx answer as its bytes, for what must be read strictly."""

    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Look:
    """Any answer, as it came. `tls` is the protocol, `not_after` the certificate's end as TLS names it."""

    status: int
    headers: Mapping[str, str]
    tls: str
    not_after: str


class Connection:
    """Requests to one origin, with one credential.

    Args:
        url: the hub, e.g. `https://localhost:9443`; plain http on loopback only.
        user, secret: the credential, sent as HTTP Basic; both empty: the client certificate says who it is.
        ca: the CA file to trust; None = the system's store.
        client: a certificate to show in the handshake.
        limits: time-outs and number of attempts.
        receipts: file to which the receipt of each answer is appended; None keeps none.
        transport: replaces the network (tests).
        sleep, chance: waiting and the jitter of it (tests).
    """

    def __init__(
        self,
        url: str,
        user: str,
        secret: str,
        *,
        ca: Path | None = None,
        client: ClientFiles | None = None,
        limits: Limits | None = None,
        receipts: Path | None = None,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.origin = origin_of(url)
        self.ca, self.client = ca, client
        self.limits = limits or Limits()
        self._sleep = sleep
        self._chance = chance
        local = urlsplit(self.origin).hostname in _LOOPBACK
        self._http = httpx2.Client(
            auth=httpx2.BasicAuth(user, secret) if user or secret else None,
            headers={
                "Accept": ACCEPT,
                "Accept-Encoding": "gzip",
                "User-Agent": f"lightship/{__version__}",
            },
            verify=trust(ca, client),
            trust_env=not local,  # proxies; an explicit `verify` is not touched by the environment
            timeout=httpx2.Timeout(self.limits.read_s, connect=self.limits.connect_s),
            follow_redirects=False,
            event_hooks={"response": [keeper(receipts)]} if receipts is not None else {},
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the sockets back."""
        self._http.close()

    def path_of(self, url: str) -> str:
        """Return an address that the hub named as a path of this origin, ending in a slash."""
        path = urlsplit(urljoin(self.origin + "/", url)).path
        return path if path.endswith("/") else path + "/"

    def get(
        self, path: str, params: Mapping[str, str | int] | None = None, *, accept: str = ACCEPT
    ) -> Answer:
        """GET a path of this hub; repeated on network errors.

        Raises:
            Unreachable: no answer after all attempts.  NotTrusted: TLS failed.  NotTaxii: no TAXII there.
            LightshipError: the hub's refusal as an error of the tree.
        """
        return _json(self._send("GET", path, params=dict(params or {}), headers={"Accept": accept}))

    def fetch(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        accept: str = "*/*",
        most: int = MOST,
    ) -> Raw:
        """GET a path of this hub as at most `most` bytes of any content; raises what `get` raises."""
        response = self._send("GET", path, most, params=dict(params or {}), headers={"Accept": accept})
        return Raw(response.headers, response.content)

    def post(self, path: str, body: bytes, *, accept: str = ACCEPT, content_type: str = ACCEPT) -> Answer:
        """POST what may be repeated: objects or a statement posted twice are stored once."""
        headers = {"Content-Type": content_type, "Accept": accept}
        return _json(self._send("POST", path, content=body, headers=headers))

    def delete(self, path: str, *, accept: str = ACCEPT) -> Answer:
        """DELETE; repeated too: if the first one went through and its answer was lost, the next is a 404."""
        return _json(self._send("DELETE", path, headers={"Accept": accept}))

    def look(self, path: str, *, accept: str = ACCEPT) -> Look:
        """GET a path once and return what came, refusals too.

        Raises:
            Unreachable: no answer.  NotTrusted: TLS failed.
        """
        try:
            with self._http.stream("GET", self.origin + path, headers={"Accept": accept}) as response:
                stream = response.extensions.get("network_stream")
                tls = stream.get_extra_info("ssl_object") if stream is not None else None
                response.read()
        except httpx2.TransportError as error:
            raise self._failure(error) from None
        certificate = tls.getpeercert() if tls is not None else None
        return Look(
            response.status_code,
            response.headers,
            str(tls.version()) if tls is not None else "",
            str((certificate or {}).get("notAfter", "")),
        )

    def _send(self, method: str, path: str, most: int = MOST, **how: Any) -> Whole:
        url = self.origin + path
        for attempt in range(1, self.limits.attempts + 1):
            last = attempt == self.limits.attempts
            try:
                with self._http.stream(method, url, **how) as answer:
                    response = read_whole(answer, most, self.limits.read_s, time.monotonic)
            except httpx2.TransportError as error:
                failure = self._failure(error)
                if last or isinstance(failure, NotTrusted) or isinstance(error, httpx2.UnsupportedProtocol):
                    raise failure from None
                self._sleep(self._backoff(attempt))
                continue
            wait = _retry_after(response)
            if response.status_code in _RETRIED and not last:
                pause = self._backoff(attempt) if wait is None else float(wait)
                if pause <= self.limits.longest_wait_s:
                    self._sleep(pause)
                    continue
            if response.status_code >= 300:
                raise error_of(response.status_code, response.content, url=url, retry_after=wait)
            return response
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _backoff(self, attempt: int) -> float:
        """Half a second, doubled each time, with up to as much again by chance."""
        return min(0.5 * (1 << (attempt - 1)) * (1 + self._chance()), self.limits.longest_wait_s)

    def _failure(self, error: httpx2.TransportError) -> LightshipError:
        cause = _tls_cause(error)
        if cause is not None and self.client is not None and "ALERT" in str(cause.reason):
            return NotTrusted(
                f"{self.origin} does not take the client certificate {self.client.cert}",
                why=_tls_reason(cause),
                todo=_CLOSES,
            )
        if cause is not None:
            given = f"the CA file {self.ca}" if self.ca else "the system's certificates"
            return NotTrusted(
                f"The certificate of {self.origin} is not trusted",
                why=f"{_tls_reason(cause)} (checked against {given})",
                todo="Give the CA file that the hub's `lightship init` named (tls/ca.pem) with --ca-file, "
                "and the address that stands in the certificate",
            )
        if isinstance(error, httpx2.TimeoutException):
            why = f"no answer in time ({type(error).__name__})"
        else:
            why = str(error) or type(error).__name__
        return Unreachable(
            f"{self.origin} cannot be reached",
            why=why,
            todo="Check the address, the port, that the hub is running, and proxies in between"
            + (f". {_CLOSES}" if self.client is not None else ""),
        )


def _json(response: Whole) -> Answer:
    if not response.content:
        return Answer(response.status_code, response.headers, None)
    try:
        value = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        kind = response.headers.get("content-type", "no type")
        raise NotTaxii(
            "The answer is not JSON", why=f"{response.url} sent {kind}", todo="Give the hub's own address"
        ) from None
    return Answer(response.status_code, response.headers, value)


def origin_of(url: str) -> str:
    """Return scheme, host and port of a hub's address.

    Raises:
        MalformedRequest: no https address; plain http is for loopback only, since it carries the secret.
    """
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        known = parts.scheme in {"https", "http"} and parts.hostname and parts.port != 0
    except ValueError:  # brackets that do not match, a port that is no number
        known = False
    if not known or parts.username is not None:
        raise MalformedRequest("This is no hub's address", todo="Write it as https://hub.example:9443")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise MalformedRequest(
            "A hub is reached by https only",
            why="plain http would send the secret in the clear; it is taken for localhost alone",
            todo=f"Write it as https://{parts.netloc}",
        )
    return f"{parts.scheme}://{parts.netloc}"


def _tls_cause(error: BaseException | None) -> ssl.SSLError | None:
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, ssl.SSLError):
            return error
        error, seen = error.__cause__ or error.__context__, seen + 1
    return None


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    return str(error.reason or error)


def _retry_after(response: Whole) -> int | None:
    """Return `Retry-After` in whole seconds, both forms of RFC 9110 section 10.2.3."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9])
    if not text:
        return None
    try:
        then, now = parsedate_to_datetime(text), parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError, TypeError):
        return None
    return max(0, int((then - now).total_seconds()))
