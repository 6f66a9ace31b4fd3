"""The server's TLS: 1.2 and 1.3, forward secrecy and AEAD only, no early data (TAXII 2.1 section 8.2.2).

The suites of TLS 1.2 are those that HTTP/2 does not block (RFC 9113 appendix A). A renewed certificate is
taken up without a restart: it is loaded into a context of its own first, so a half-written pair never
replaces one that works, and used for the connections that come from then on.

Where authorities of clients are named, a client is asked for a certificate and may go without; one that it
shows must lead to one of them and hold now, or the handshake fails. Nothing more hangs on the chain: what a
client may do follows from the pin of its key. A resumed session keeps the certificate of the handshake that
it began with, which is not verified again; so who uses it looks at its end by itself, and a context that
takes up changed files resumes no session of the one before.
"""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger("lightship.web")
TLS12_SUITES = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Certificate chain and private key, PEM; and the authorities whose client certificates are taken."""

    cert: Path
    key: Path
    clients: tuple[Path, ...] = ()

    def seen(self) -> tuple[tuple[int, int, int], ...]:
        """Return what changes when a file does; raises OSError if one is missing."""
        found = [path.stat() for path in (self.cert, self.key, *self.clients)]
        return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in found)


def make_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a server context.

    Raises:
        OSError, ssl.SSLError: the files cannot be read, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(TLS12_SUITES)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(files.cert, files.key)
    if files.clients:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an issuing authority without its root will do
        for bundle in files.clients:
            context.load_verify_locations(bundle)
    return context


class LiveContext:
    """The server context of now: another one once files have changed."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen = files.seen()
        self.context = make_context(files)
        self._told = ""

    def now(self) -> ssl.SSLContext:
        """Return the context for a connection that comes now."""
        return self.context

    def refresh(self) -> bool:
        """Look at the files; return True if a changed pair was taken up. Never raises for a bad pair."""
        try:
            seen = self._files.seen()
            if seen == self._seen:
                return False
            self.context = make_context(self._files)
        except (OSError, ssl.SSLError) as error:
            if str(error) != self._told:
                _log.warning("the changed certificate cannot be used yet, the old one stays: %s", error)
            self._told = str(error)
            return False
        self._seen, self._told = seen, ""
        _log.info("a changed certificate was taken up")
        return True
