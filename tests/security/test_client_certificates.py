"""Client certificates under attack, over real TLS: the chain lets a connection in, the pin says who it is."""

from __future__ import annotations

import base64
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from clientcerts import (
    Pair,
    bind,
    bind_again,
    client_with,
    context_of,
    hub_authority,
    keep,
    make_pair,
    other_authority,
    revoke,
    system_now,
)
from hubkit import Served, StoppedClock
from lightship.core.access import ClientCertificate, Credential, Principal
from lightship.core.agreement.chain import key_text
from lightship.core.audit import AccessEvent
from lightship.core.errors import Conflict
from lightship.core.log.roster import BadRoster
from lightship.core.time import Micros
from lightship.crypto import certificates
from lightship.crypto.certificates import read_profile
from lightship.crypto.sign import new_signing_key, verify
from lightship.data import cert_profile
from lightship.keys.hub_key import load_hub_key
from lightship.usecases.suspensions import Suspending
from lightship.web import server
from signedhub import SignedHub, signed_hub
from stixsamples import indicator
from upkeeplab import held

DISCOVERY = "/taxii2/"
DAYS = 86_400


@pytest.fixture(name="clock")
def _clock() -> StoppedClock:
    return StoppedClock(at=system_now())


@pytest.fixture(name="hub")
def _hub(tmp_path: Path, clock: StoppedClock) -> Iterator[SignedHub]:
    hub = signed_hub(tmp_path, clock=clock)
    with hub.kit:
        yield hub


@pytest.fixture(name="served")
def _served(hub: SignedHub) -> Iterator[Served]:
    with hub.kit.serve() as running:
        yield running


@pytest.fixture(name="pair")
def _pair(hub: SignedHub, tmp_path: Path) -> Pair:
    return make_pair(tmp_path / "clients", hub_authority(hub.kit.hub.dir))


def roster(hub: SignedHub, member: str, *pins: str) -> None:
    """Put a member's next roster in force, which lists these client pins."""
    last = hub.last.get(member)
    keys = dict(last.keys) if last else {}
    hub.apply(replace(hub.next_roster(member, keys), clients=pins))


def suspend_pin(hub: SignedHub, pin: str) -> None:
    kit = hub.kit
    key = load_hub_key(kit.hub.dir)
    suspending = Suspending(kit.hub.registry, kit.hub.directory, verify, key, kit.hub.signing)
    now = kit.hub.clock.now()
    suspending.suspend(kit.agreement, "", key=pin, hours=1, reason="Lost", req="5" * 32, now=now)


def why(hub: SignedHub) -> str:
    return hub.kit.events(limit=10_000)[-1].why


def status(client: httpx2.Client, **headers: str) -> int:
    return client.get(DISCOVERY, headers=headers).status_code


def spki(pair: Pair) -> bytes:
    key = x509.load_pem_x509_certificate(pair.made.certificate).public_key()
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


# --- who comes in ---------------------------------------------------------------------------------


def test_a_pinned_certificate_alone_says_who_it_is(hub: SignedHub, served: Served, pair: Pair) -> None:
    made = bind(hub.kit, "uslax", "siem", pair.shown)
    assert pair.pin == sha256(spki(pair)).hexdigest() == made.pin
    with client_with(served, pair) as client:
        assert client.get(DISCOVERY).json()["api_roots"] == [f"https://localhost:9443{hub.kit.root}"]
        assert client.get(hub.kit.path("indicators", "objects/")).status_code == 200
    event = hub.kit.events(limit=10_000)[-1]
    assert (event.who, event.cred, event.st) == ("uslax", made.id, 200)


def test_a_connection_without_a_certificate_comes_in_as_before(hub: SignedHub, served: Served) -> None:
    with client_with(served, None, "uslax") as client:
        assert status(client) == 200
    with client_with(served, None) as client:
        assert status(client) == 401
    assert why(hub) == "deny-no-credential"


def test_a_certificate_that_nobody_pinned_is_nobody(hub: SignedHub, served: Served, pair: Pair) -> None:
    with client_with(served, pair) as client:
        assert status(client) == 401
        assert why(hub) == "deny-unknown-certificate"
    with client_with(served, pair, "uslax") as client:
        assert status(client) == 200


def test_a_certificate_of_another_authority_fails_the_handshake(
    served: Served, pair: Pair, tmp_path: Path, hub: SignedHub
) -> None:
    strange = make_pair(tmp_path / "strange", other_authority())
    bind(hub.kit, "uslax", "siem", strange.shown)
    for tls12 in (False, True):
        assert refused(served, strange, tls12=tls12)
    assert served.server is not None
    assert served.server.seats.failed_handshakes == 2


def test_an_expired_certificate_fails_the_handshake(
    served: Served, tmp_path: Path, hub: SignedHub, clock: StoppedClock
) -> None:
    old = make_pair(tmp_path / "old", hub_authority(hub.kit.hub.dir), days=1, ago=3)
    assert refused(served, old, tls12=True)
    assert refused(served, old)


def test_a_servers_certificate_is_no_clients(served: Served, tmp_path: Path, hub: SignedHub) -> None:
    tls = hub.kit.hub.dir / "tls"
    file = tmp_path / "server-as-client.pem"
    file.write_bytes((tls / "server.pem").read_bytes() + (tls / "server.key").read_bytes())
    assert refused(served, Pair(file, hub_authority(hub.kit.hub.dir), ClientCertificate("", Micros(0))))
    assert not refused(served, make_pair(tmp_path / "clients", hub_authority(hub.kit.hub.dir)))


def refused(served: Served, pair: Pair, *, tls12: bool = False) -> bool:
    """True if the server closes in the handshake, which a client of TLS 1.3 learns when it reads."""
    context = context_of(served.ca, pair, tls12=tls12)
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw:
        try:
            with context.wrap_socket(raw, server_hostname="localhost") as secure:
                secure.sendall(b"GET /taxii2/ HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n")
                return secure.recv(1) == b""
        except (ssl.SSLError, ConnectionError):
            return True


# --- the digest of a certificate is that of public bytes -------------------------------------------


def test_public_bytes_of_a_certificate_are_no_secret(hub: SignedHub, served: Served, pair: Pair) -> None:
    made = bind(hub.kit, "uslax", "siem", pair.shown)
    der = ssl.PEM_cert_to_DER_cert(pair.made.certificate.decode())
    with client_with(served, pair) as known, client_with(served, None) as stranger:
        assert status(known) == 200, "the directory has the credential in memory now"
        for public in (spki(pair), der, pair.made.certificate, bytes.fromhex(made.pin), made.pin.encode()):
            basic = base64.b64encode(made.name.encode() + b":" + public).decode()
            for client in (known, stranger):
                assert status(client, Authorization=f"Basic {basic}") == 401, public
    for text in (made.pin, base64.b64encode(spki(pair)).decode()):
        with client_with(served, None) as client:
            assert status(client, Authorization=f"Bearer {text}") == 401
            assert status(client, **{"X-API-Key": text}) == 401


def test_a_secret_whose_digest_is_a_pin_is_no_certificate(hub: SignedHub, served: Served, pair: Pair) -> None:
    held = next(one for one in hub.kit.hub.registry.credentials() if one.member == "uslax")
    event = AccessEvent(req="0" * 32, at=hub.kit.hub.clock.now(), act="credential-rotate")
    hub.kit.hub.registry.put_credential(replace(held, digest=bytes.fromhex(pair.pin)), event)
    with client_with(served, pair) as client:
        assert status(client) == 401
    assert why(hub) == "deny-unknown-certificate"


def test_no_header_is_believed_about_a_certificate(hub: SignedHub, served: Served, pair: Pair) -> None:
    bind(hub.kit, "uslax", "siem", pair.shown)
    pem = pair.made.certificate.decode().replace("\n", "%0A")
    der = base64.b64encode(ssl.PEM_cert_to_DER_cert(pair.made.certificate.decode())).decode()
    headers = {
        "X-SSL-Client-Cert": pem,
        "X-Client-Cert": pem,
        "Client-Cert": f":{der}:",
        "X-Forwarded-Client-Cert": f'Hash={pair.pin};Cert="{pem}"',
        "X-SSL-Client-Verify": "SUCCESS",
        "SSL_CLIENT_CERT": pem,
    }
    with client_with(served, None) as client:
        assert status(client, **headers) == 401
    assert why(hub) == "deny-no-credential"


# --- while a connection is open --------------------------------------------------------------------


def test_a_stolen_client_key_is_refused_on_an_open_connection_after_its_revocation(
    hub: SignedHub, served: Served, pair: Pair
) -> None:
    bind(hub.kit, "uslax", "siem", pair.shown)
    with client_with(served, pair) as alone, client_with(served, pair, "uslgb") as beside:
        for client in (alone, beside):
            assert status(client) == 200
        revoke(hub.kit, pair.pin)
        for client in (alone, beside):
            assert status(client) == 401
            assert why(hub) == "deny-revoked"
        roster(hub, "uslax", pair.pin)
        assert status(alone) == 401, "what the hub revoked goes before every roster"


def test_a_certificate_that_ends_meanwhile_is_refused_with_the_next_request(
    hub: SignedHub, served: Served, pair: Pair, clock: StoppedClock
) -> None:
    roster(hub, "uslax", pair.pin)
    with client_with(served, pair) as alone, client_with(served, pair, "uslax") as beside:
        for client in (alone, beside):
            assert status(client) == 200
        clock.at = pair.shown.not_after - 1
        for client in (alone, beside):
            assert status(client) == 200
        clock.at = pair.shown.not_after
        for client in (alone, beside):
            assert status(client) == 401
            assert why(hub) == "deny-expired"


def test_an_older_certificate_with_the_same_key_gains_nothing_from_a_login_that_is_remembered(
    hub: SignedHub, served: Served, clock: StoppedClock, tmp_path: Path
) -> None:
    issuer = hub_authority(hub.kit.hub.dir)
    short = make_pair(tmp_path / "short", issuer, days=1)
    made = certificates.issue(
        read_profile(cert_profile("client")),
        ("https://x/#y",),
        system_now(),
        issuer=issuer,
        key=short.made.key,
    )
    long = keep(
        tmp_path / "long", made, ClientCertificate(short.pin, Micros(system_now() + 90 * 86_400_000_000))
    )
    roster(hub, "uslax", short.pin)
    with client_with(served, short) as old, client_with(served, long) as new:
        assert (status(old), status(new)) == (200, 200)
        clock.at = short.shown.not_after
        assert (status(new), status(old), status(new)) == (200, 401, 200)


def test_a_credential_ends_before_its_certificate_and_the_certificate_before_its_credential(
    hub: SignedHub, served: Served, pair: Pair, clock: StoppedClock, tmp_path: Path
) -> None:
    short = bind(hub.kit, "uslax", "short", pair.shown, days=10)
    assert short.expires == clock.at + 10 * DAYS * 1_000_000
    other = make_pair(tmp_path / "other", hub_authority(hub.kit.hub.dir), days=30)
    long = bind(hub.kit, "uslax", "long", other.shown, days=365)
    assert long.expires == other.shown.not_after
    with client_with(served, pair) as client:
        assert status(client) == 200
        clock.advance(10 * DAYS)
        assert status(client) == 401
    assert why(hub) == "deny-expired"


@pytest.mark.parametrize("tls12", [False, True])
def test_a_resumed_session_keeps_its_certificate_and_gains_none(
    hub: SignedHub, served: Served, pair: Pair, clock: StoppedClock, tls12: bool
) -> None:
    bind(hub.kit, "uslax", "siem", pair.shown)
    shows, plain = (context_of(served.ca, one, tls12=tls12) for one in (pair, None))
    with_certificate, session = ask(served, shows, None)
    assert with_certificate == (200, False)
    again, session = ask(served, shows, session)
    assert again == (200, True)
    without, bare = ask(served, plain, None)
    assert without == (401, False)
    without, bare = ask(served, plain, bare)
    assert without == (401, True)
    revoke(hub.kit, pair.pin)
    assert ask(served, shows, session)[0] == (401, True)


def test_a_session_that_is_resumed_after_its_certificate_ended_is_refused(
    hub: SignedHub, served: Served, pair: Pair, clock: StoppedClock
) -> None:
    roster(hub, "uslax", pair.pin)
    context = context_of(served.ca, pair)
    first, session = ask(served, context, None)
    assert first[0] == 200
    clock.at = pair.shown.not_after
    assert ask(served, context, session)[0] == (401, True)
    assert why(hub) == "deny-expired"


def ask(
    served: Served, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[tuple[int, bool], ssl.SSLSession | None]:
    """Ask for discovery on a connection of its own; return the status, whether the session was an old one,
    and the session."""
    with (
        socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="localhost", session=session) as secure,
    ):
        secure.sendall(b"GET /taxii2/ HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n")
        answer = secure.recv(65_536)
        return (int(answer.split(b" ")[1]), bool(secure.session_reused)), secure.session


# --- a secret and a certificate --------------------------------------------------------------------


def test_a_bad_secret_with_a_good_certificate_is_refused(hub: SignedHub, served: Served, pair: Pair) -> None:
    bind(hub.kit, "uslax", "siem", pair.shown)
    with client_with(served, pair) as client:
        assert status(client) == 200
        for header in ("Bearer wrong", "Basic !", "Basic Og==", "Digest x", "Bearer"):
            assert status(client, Authorization=header) == 401, header
            assert why(hub) == "deny-unknown-credential"
        assert status(client, **{"X-API-Key": "wrong"}) == 401
        assert status(client) == 200


def test_the_secret_says_who_it_is_and_the_certificate_counts_for_the_same_member_only(
    hub: SignedHub, served: Served, pair: Pair, tmp_path: Path
) -> None:
    seen: list[Principal] = []
    exchange = hub.kit.app.exchange
    assert exchange is not None
    authenticate = exchange._authenticate

    def watch(*request: Any) -> Principal:
        seen.append(authenticate(*request))
        return seen[-1]

    exchange._authenticate = watch  # type: ignore[assignment] # what it says of each request
    hub.kit.add_agreement("other", members=("uslax",))
    bind(hub.kit, "uslax", "siem", pair.shown)
    listed = make_pair(tmp_path / "listed", hub_authority(hub.kit.hub.dir))
    roster(hub, "uslgb", listed.pin)
    logins = [
        (pair, "uslax", ("exercise", "uslax", True)),
        (pair, "uslgb", ("exercise", "uslgb", False)),
        (pair, "other:uslax", ("other", "uslax", False)),
        (pair, None, ("exercise", "uslax", True)),
        (listed, "uslgb", ("exercise", "uslgb", True)),
        (listed, "uslax", ("exercise", "uslax", False)),
        (listed, None, ("exercise", "uslgb", True)),
        (None, "uslax", ("exercise", "uslax", False)),
    ]
    for _ in range(2):  # the second time from what is remembered
        for shown, member, expected in logins:
            with client_with(served, shown, member) as client:
                assert status(client) == 200
            principal = seen[-1]
            assert (principal.agreement, principal.member, principal.certificate) == expected
            assert bool(principal.pin) is principal.certificate


# --- rosters --------------------------------------------------------------------------------------


def test_a_client_that_a_roster_lists_comes_in_right_after_and_not_once_it_is_dropped(
    hub: SignedHub, served: Served, pair: Pair
) -> None:
    with client_with(served, pair) as client:
        assert status(client) == 401
        roster(hub, "uslgb", pair.pin)
        assert status(client) == 200
        event = hub.kit.events(limit=10_000)[-1]
        assert (event.who, event.cred) == ("uslgb", pair.pin)
        roster(hub, "uslgb")
        assert status(client) == 401
    assert why(hub) == "deny-unknown-certificate"


def test_a_client_that_a_roster_lists_is_counted_once_among_the_readers(
    hub: SignedHub, pair: Pair, tmp_path: Path
) -> None:
    def counted() -> dict[str, int]:
        with hub.kit.client("uslax") as client:
            answer = client.get(f"/audience{hub.kit.root}indicators/", headers={"Accept": "application/json"})
        return {one["member"]: one["clients"] for one in answer.json()["readers"]}

    before = counted()
    second = make_pair(tmp_path / "second", hub_authority(hub.kit.hub.dir))
    bind(hub.kit, "uslgb", "bound", second.shown)
    roster(hub, "uslgb", pair.pin, second.pin)
    assert counted() == before | {"uslgb": before["uslgb"] + 2}
    revoke(hub.kit, pair.pin)
    assert counted() == before | {"uslgb": before["uslgb"] + 1}


def test_a_roster_whose_admin_key_was_replaced_lists_nobody(
    hub: SignedHub, served: Served, pair: Pair
) -> None:
    roster(hub, "uslgb", pair.pin)
    with client_with(served, pair) as client:
        assert status(client) == 200
        keys = {"uslax": hub.admins["uslax"], "uslgb": new_signing_key()}
        members = {name: {"admin_key": key_text(key.public)} for name, key in keys.items()}
        hub.kit.add_agreement(hub.kit.agreement, members=members)
        assert status(client) == 401


def test_another_members_pin_is_refused_in_a_roster_and_in_a_credential(
    hub: SignedHub, served: Served, pair: Pair, tmp_path: Path
) -> None:
    second = make_pair(tmp_path / "second", hub_authority(hub.kit.hub.dir))
    roster(hub, "uslax", pair.pin)
    bind(hub.kit, "uslax", "siem", second.shown)
    for pin in (pair.pin, second.pin):
        with pytest.raises(BadRoster, match="another member's"):
            roster(hub, "uslgb", pin)
    with pytest.raises(Conflict):
        bind(hub.kit, "uslgb", "thief", pair.shown)
    with pytest.raises(Conflict):
        bind(hub.kit, "uslgb", "thief", second.shown)
    hub.kit.add_agreement("other", members={"uslax": {"admin_key": key_text(hub.admins["uslax"].public)}})
    with pytest.raises(Conflict):
        bind(hub.kit, "uslax", "again", pair.shown, agreement="other")
    roster(hub, "uslax", pair.pin, second.pin)
    for one in (pair, second):
        with client_with(served, one) as client:
            assert status(client) == 200
    assert hub.kit.hub.directory.view().agreements.keys() == {"exercise", "other"}


def test_a_pin_that_two_members_claim_all_the_same_is_nobodys(
    hub: SignedHub, served: Served, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    roster(hub, "uslax", pair.pin)
    monkeypatch.setattr("lightship.usecases.rosters.others_pin", lambda *_: "")  # two commands at once
    with client_with(served, pair) as client:
        assert status(client) == 200
        roster(hub, "uslgb", pair.pin)
        assert status(client) == 401
        roster(hub, "uslgb")
        assert status(client) == 200


def test_the_hub_revokes_a_client_that_only_a_roster_lists(
    hub: SignedHub, served: Served, pair: Pair
) -> None:
    roster(hub, "uslgb", pair.pin)
    with client_with(served, pair) as client:
        assert status(client) == 200
        gone = revoke(hub.kit, f"uslgb/{pair.pin[:16]}".replace("/", "-"))
        assert (gone.pin, gone.member) == (pair.pin, "uslgb")
        assert status(client) == 401
        roster(hub, "uslgb", pair.pin)
        assert status(client) == 401
    with pytest.raises(Conflict):
        bind(hub.kit, "uslgb", "again", pair.shown)


def test_clients_whose_pins_begin_alike_are_all_revoked(hub: SignedHub) -> None:
    """A thief of an admin key lists decoys beside its pin, so that the wrong one is revoked, or none."""
    pins = [f"{'ab' * 8}{each * 24}" for each in ("11", "22", "33")]
    roster(hub, "uslgb", *pins)
    with pytest.raises(Conflict, match="more than one"):
        revoke(hub.kit, f"uslgb-{'ab' * 8}")
    gone = [revoke(hub.kit, pin) for pin in pins]
    assert [one.pin for one in gone] == pins
    assert len({one.name for one in gone}) == 3
    view = hub.kit.hub.directory.view()
    for pin in pins:
        found = hub.kit.hub.directory.pinned(view, pin)
        assert isinstance(found, Credential)
        assert found.revoked is not None


def test_a_suspended_pin_is_refused_until_its_suspension_ends(
    hub: SignedHub, served: Served, pair: Pair, clock: StoppedClock
) -> None:
    roster(hub, "uslgb", pair.pin)
    with client_with(served, pair) as alone, client_with(served, pair, "uslgb") as beside:
        assert (status(alone), status(beside)) == (200, 200)
        suspend_pin(hub, pair.pin)
        assert (status(alone), why(hub)) == (401, "deny-suspended")
        assert status(beside) == 200
        clock.advance(3_600)
        assert (status(alone), status(beside)) == (200, 200)


@pytest.mark.parametrize("by", ["credential", "roster"])
@pytest.mark.parametrize("how", ["suspend", "replace", "revoke"])
def test_a_write_under_way_whose_only_login_was_a_key_that_is_stopped_meanwhile_is_refused(
    hub: SignedHub,
    served: Served,
    pair: Pair,
    clock: StoppedClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
    how: str,
) -> None:
    if by == "roster" or how == "suspend":  # only a key that a roster lists can be suspended
        roster(hub, "uslgb", pair.pin)
    if by == "credential":
        bind(hub.kit, "uslgb", "siem", pair.shown)
    store: Any = hub.kit.hub.writer
    publish, done = store.publish, list[int]()

    def late(request: Any) -> Any:
        if not done:
            done.append(1)
            clock.advance(600)  # a body that trickles in
            if how == "suspend":
                suspend_pin(hub, pair.pin)
            elif how == "revoke":
                revoke(hub.kit, pair.pin)
            elif by == "roster":
                roster(hub, "uslgb")
            else:
                bind_again(hub.kit, "uslgb-siem", make_pair(tmp_path, hub_authority(hub.kit.hub.dir)).shown)
        return publish(request)

    monkeypatch.setattr(store, "publish", late)
    with client_with(served, pair) as client:
        answer = client.post(hub.kit.path("indicators", "objects/"), json={"objects": [indicator()]})
    assert (answer.status_code, done) == (401, [1])
    assert held(hub.kit) == set()


def test_a_renewed_context_takes_up_another_authority_and_resumes_nothing_of_the_one_before(
    hub: SignedHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tls_client_ca` names an authority that is replaced while the hub serves."""
    monkeypatch.setattr(server, "TICKS_A_LOOK", 1)
    bundle = tmp_path / "clients.pem"
    old, new = other_authority(), other_authority()
    bundle.write_bytes(old.certificate)
    hub.kit.hub = replace(
        hub.kit.hub, settings=hub.kit.hub.settings.model_copy(update={"tls_client_ca": str(bundle)})
    )
    first, second = (make_pair(tmp_path / "pairs", one) for one in (old, new))
    for number, one in enumerate((first, second)):
        bind(hub.kit, "uslax", f"siem{number}", one.shown)
    with hub.kit.serve() as served:
        context = context_of(served.ca, first)
        _, session = ask(served, context, None)
        again, session = ask(served, context, session)
        assert again == (200, True)
        assert refused(served, second)
        bundle.write_bytes(new.certificate)
        deadline = time.monotonic() + 10
        while refused(served, second) and time.monotonic() < deadline:
            time.sleep(0.05)
        with client_with(served, second) as client:
            assert status(client) == 200
        assert refused(served, first)
        with pytest.raises((OSError, ValueError, IndexError)):
            ask(served, context, session)


def test_an_address_that_is_not_allowed_makes_a_certificate_nothing(
    hub: SignedHub, served: Served, pair: Pair
) -> None:
    bind(hub.kit, "uslax", "siem", pair.shown, allowed=("192.0.2.0/24",))
    with client_with(served, pair) as client:
        assert status(client) == 401
    assert why(hub) == "deny-address"
