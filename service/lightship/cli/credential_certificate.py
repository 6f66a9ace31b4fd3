"""What `lightship credential` does with certificates: read one or issue one, and bind its key.

The key of an issued certificate goes into a new file of mode 0400 and nowhere else. It is written before the
credential is kept, and taken away again if that fails: neither is there without the other.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lightship.cli.credential_show import day, shape
from lightship.cli.local import new_request
from lightship.cli.output import print_json, say
from lightship.core.errors import BadFile, Conflict

if TYPE_CHECKING:
    from lightship.core.access import ClientCertificate, Credential
    from lightship.core.time import Micros
    from lightship.usecases.credentials import Order
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


def bind(
    hub: Hub,
    order: Order,
    certificate: Path | None,
    out: Path | None,
    days: int | None,
    *,
    as_json: bool,
) -> None:
    """Make a credential for the key of a certificate, and tell what came of it; files as in `chosen`."""
    from lightship.usecases import pins

    view, name = hub.directory.view(), f"{order.member}-{order.name}"
    with chosen(hub, certificate, out, order.agreement, name, days) as taken:
        made = pins.bind(
            hub.registry,
            view,
            order,
            taken.shown,
            listed=hub.directory.clients(view),
            credential_id=str(uuid.uuid4()),
            req=new_request(),
            now=hub.clock.now(),
        )
    _show_bound(made, taken, hub.clock.now(), as_json=as_json)


def bind_again(
    hub: Hub, name: str, certificate: Path | None, out: Path | None, days: int | None, *, as_json: bool
) -> None:
    """Give a credential the key of another certificate, and tell what came of it.

    An old key that the member's roster lists too would go on letting it in: it is revoked here.
    """
    from lightship.usecases import credentials, pins

    held = credentials.renewable(hub.registry, name, "certificate")
    listed = hub.directory.clients(hub.directory.view())
    with chosen(hub, certificate, out, held.agreement, held.name, days) as taken:
        made = pins.bind_again(
            hub.registry,
            name,
            taken.shown,
            listed=listed,
            req=new_request(),
            now=hub.clock.now(),
            days=days,
            days_max=hub.settings.credential_days_max,
        )
    if held.pin != made.pin and listed.get(held.pin) is not None:
        pins.revoke(
            hub.registry,
            held.pin,
            listed=listed,
            credential_id=str(uuid.uuid4()),
            req=new_request(),
            now=hub.clock.now(),
        )
        say("The member's roster lists the old key too, and would go on letting it in: it is revoked here.")
    _show_bound(made, taken, hub.clock.now(), as_json=as_json)


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


def _show_bound(made: Credential, taken: Chosen, now: Micros, *, as_json: bool) -> None:
    if as_json:
        files = {"certificate_file": taken.certificate_file, "key_file": taken.key_file}
        print_json(shape(made, now) | {name: str(path) for name, path in files.items() if path is not None})
        return
    say(f"Credential {made.name} for {made.agreement}, until {day(made.expires)}: a client certificate.")
    click.echo(f"pin {made.pin}")
    if taken.key_file is not None:
        say(f"The certificate is in {taken.certificate_file}, its key in {taken.key_file}.")
