"""What `lightship credential` does with certificates: read one, or issue one and keep its key safe.

The key of an issued certificate goes into a new file of mode 0400 and nowhere else. It is written before the
credential is kept, and taken away again if that fails: neither is there without the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lightship.cli.output import say
from lightship.core.errors import BadFile, Conflict

if TYPE_CHECKING:
    from lightship.core.access import ClientCertificate
    from lightship.core.time import Micros
    from lightship.wiring import Hub

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Chosen:
    """A certificate that a credential is made for, and the files that were written for it."""

    shown: ClientCertificate
    certificate_file: Path | None = None
    key_file: Path | None = None


@contextmanager
def chosen(
    hub: Hub, certificate: Path | None, out: Path | None, agreement: str, name: str, days: int | None
) -> Iterator[Chosen]:
    """Yield the certificate to bind: the one in a file, or one issued now into `out`.

    Args:
        hub: whose authority issues.
        certificate: a PEM certificate or public key; None issues one.
        out: a directory, or a new file for certificate and key together.
        agreement, name: of the credential.
        days: how long an issued one lasts.

    Raises:
        BadFile: a file cannot be read or made.  Conflict: it exists, or this hub has no authority.
    """
    now = hub.clock.now()
    if certificate is not None:
        yield Chosen(_read(hub, certificate, now))
        return
    if out is None:
        raise click.UsageError("--issue-certificate needs --out: a directory, or a new file.")
    from lightship.data import cert_profile
    from lightship.keys.authority import issue_client

    uri = f"{hub.settings.public_url}/{agreement}/#{name}"
    try:
        made, shown = issue_client(hub.dir, cert_profile, name, uri, days, now)
    except ValueError as error:
        raise click.UsageError(f"--days: {error}.") from None
    if out.is_dir():
        files = [(out / f"{name}.pem", made.certificate, 0o444), (out / f"{name}.key", made.key, 0o400)]
    else:
        files = [(out, made.certificate + made.key, 0o400)]
    written: list[Path] = []
    try:
        for path, content, mode in files:
            _write_new(path, content, mode)
            written.append(path)
        yield Chosen(shown, written[0], written[-1])
    except BaseException:
        for path in written:
            path.unlink()
        raise


def certificate_options(function: F) -> F:
    """Add `--certificate` and `--issue-certificate`."""
    function = click.option(
        "--issue-certificate",
        "issues",
        is_flag=True,
        help="Instead of a secret: a certificate of the hub's own authority, 90 days at most; needs --out.",
    )(function)
    return click.option(
        "--certificate",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Instead of a secret: the key of this certificate (or public key), PEM.",
    )(function)


def check_options(certificate: Path | None, issues: bool, product: str | None, out: Path | None) -> bool:
    """Return True if a certificate is meant and not a secret; usage errors are raised."""
    if certificate is not None and issues:
        raise click.UsageError("Give --certificate or --issue-certificate, not both.")
    if certificate is None and not issues:
        return False
    if product is not None:
        raise click.UsageError("--for prints a secret; a certificate has none.")
    if certificate is not None and out is not None:
        raise click.UsageError("--out is for a secret or an issued certificate.")
    return True


def _read(hub: Hub, path: Path, now: Micros) -> ClientCertificate:
    """Return the pin in a file; says on stderr what TLS will make of the certificate."""
    from lightship.bounds import tls_of
    from lightship.core.access import ClientCertificate
    from lightship.core.time import MAX_MICROS
    from lightship.crypto.client_certificates import issued_by, read_pin

    clients = tls_of(hub.settings, hub.dir).clients
    try:
        content = path.read_bytes()
        found = read_pin(content, now)
        bundle = b"".join(one.read_bytes() for one in clients if one.exists())
        known = found.not_after is None or (bool(bundle) and issued_by(content, bundle))
    except OSError as error:
        raise BadFile("The certificate cannot be read", path=str(path), why=error.strerror or "") from None
    except ValueError as error:
        raise BadFile("The certificate cannot be used", path=str(path), why=str(error)) from None
    if found.why_not:
        raise BadFile("TLS takes no such certificate of a client", path=str(path), why=found.why_not)
    if not known:
        say(
            "No authority whose clients this hub takes has issued this one directly. Unless the client sends "
            "the authorities in between, its connections will be closed: see tls_client_ca."
        )
    return ClientCertificate(found.pin, MAX_MICROS if found.not_after is None else found.not_after)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise Conflict(f"{path} exists already", todo="Name a file that does not exist yet") from None
    except OSError as error:
        raise BadFile(
            "The certificate's file cannot be made", path=str(path), why=error.strerror or ""
        ) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink()
        raise BadFile("The certificate cannot be kept", path=str(path), why=error.strerror or "") from None
