"""What can go wrong between a client and a hub, and a hub's answers as errors of the one tree.

TAXII 2.1 section 3.6.1 (error messages). An answer never names a secret, and neither does any error here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from lightship.core import errors


class Unreachable(errors.LightshipError):
    """No answer from the hub: name, network, port, time-out, or the answer broke off (exit code 4)."""

    code = "unreachable"


class NotTrusted(Unreachable):
    """TLS could not be trusted: the certificate, its name, or the CA file (exit code 4)."""

    code = "not-trusted"


class NotTaxii(Unreachable):
    """Something answers at that address, but it does not speak TAXII 2.1."""

    code = "not-taxii"


class NoProfile(errors.CallerError):
    """There is no such profile, or it lacks its secret: nothing was asked of a hub (exit code 2)."""

    code = "no-profile"


def body_of(content: bytes) -> Mapping[str, Any]:
    """Return a TAXII error body, or an empty mapping for anything else (a proxy's HTML page)."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def error_of(
    status: int, content: bytes, *, url: str, retry_after: int | None = None
) -> errors.LightshipError:
    """Return the error that an answer with `status` >= 400 (or a redirect) means.

    Args:
        status: HTTP status.
        content: the body, at best a TAXII error.
        url: what was asked for, without credentials.
        retry_after: seconds from the `Retry-After` header, if it was sent.
    """
    body = body_of(content)
    title = _text(body.get("title")) or f"The server answered {status}"
    why = _text(body.get("description"))
    given = body.get("details")
    details = {str(k): _text(v) for k, v in given.items()} if isinstance(given, dict) else {}
    details |= {"url": url, "http_status": str(status)}
    if status == 401:
        todo = "Check user and secret of the profile: lightship login"
        return errors.NotAuthenticated(title, why=why, todo=todo, details=details)
    if status == 403:
        rule = details.get("rule") or _text(body.get("error_code"))
        return errors.Refused(title, rule=rule, why=why, details=details)
    if status == 404:
        todo = "" if why else "Check the address, and that this credential belongs to the agreement"
        return errors.NotFound(title, why=why, todo=todo, details=details)
    if status == 429:
        return errors.Throttled(title, retry_after=retry_after or 1, why=why)
    if status in {502, 503, 504}:
        return errors.Unavailable(title, retry_after=retry_after or 1, why=why)
    kinds: dict[int, type[errors.CallerError]] = {
        400: errors.MalformedRequest,
        406: errors.NotAcceptable,
        409: errors.Conflict,
        413: errors.TooLarge,
        415: errors.UnsupportedMedia,
        422: errors.Unprocessable,
    }
    if status in kinds:
        return kinds[status](title, why=why, details=details)
    if status >= 500:
        return errors.HubError(title, why=why, details=details)
    return NotTaxii(
        title, why=f"{url} is not a TAXII 2.1 address", todo="Give the hub's own address", details=details
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
