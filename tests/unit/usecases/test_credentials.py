"""Credentials: shown once, kept as a digest, gone at once; every act is an event of its member."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
import re
from itertools import count

import pytest

from governance_samples import DAY, NOW, Hub
from lightship.core.errors import CallerError, Conflict, MalformedRequest, NotFound
from lightship.core.time import Micros
from lightship.usecases import credentials
from lightship.usecases.credentials import Minted, Order, Secret

NUMBERS = count(1)


@pytest.fixture(name="hub")
def _hub() -> Hub:
    hub = Hub()
    hub.apply(hub.text())
    return hub


def mint(hub: Hub, order: Order | None = None) -> Minted:
    number = next(NUMBERS)
    return credentials.mint(
        hub.store,
        hub.directory.view(),
        order or Order("la-lb-mou", "uslax", "splunk"),
        entropy=number.to_bytes(32, "big"),
        credential_id=f"id-{number}",
        req=hub.req(),
        now=NOW,
    )


def test_a_secret_is_256_bits_under_a_prefix_and_only_its_digest_is_stored(hub: Hub) -> None:
    minted = mint(hub)
    text = minted.secret.reveal()
    assert re.fullmatch(r"ls1_[A-Za-z0-9_-]{43}", text)
    stored = hub.store.credential_by_digest(hashlib.sha256(text.encode()).digest())
    assert stored == minted.credential
    assert stored is not None
    assert stored.name == "uslax-splunk"
    assert stored.expires == NOW + 365 * DAY
    assert text not in repr(hub.store.credentials())


def test_a_secret_shows_in_no_repr_event_or_error(hub: Hub) -> None:
    minted = mint(hub)
    text = minted.secret.reveal()
    shown = [repr(minted), str(minted.secret), f"{minted.secret}", repr(hub.store.pending())]
    shown.append(str(dataclasses.replace(minted)))
    with pytest.raises(Conflict) as caught:
        mint(hub)
    shown += [str(caught.value), repr(caught.value)]
    assert not any(text in one or text[4:] in one for one in shown)
    with pytest.raises(TypeError):
        pickle.dumps(minted.secret)
    with pytest.raises(TypeError):
        hash(minted.secret)


def test_secrets_are_equal_by_content_only() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_too_little_randomness_makes_no_secret(size: int) -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        credentials.make_secret(bytes(size))


def test_every_act_is_an_event_of_the_member_it_concerns(hub: Hub) -> None:
    mint(hub)
    credentials.rotate(hub.store, "uslax/splunk", entropy=b"r" * 32, req=hub.req(), now=NOW)
    credentials.revoke(hub.store, "uslax-splunk", req=hub.req(), now=NOW)
    acts = [one for one in hub.store.pending() if one.act.startswith("credential-")]
    assert [one.act for one in acts] == ["credential-mint", "credential-rotate", "credential-revoke"]
    assert {(one.agr, one.who, one.cred, one.q) for one in acts} == {
        ("la-lb-mou", "uslax", "steward", "uslax-splunk")
    }


def test_a_rotated_secret_stops_at_once_and_the_rest_stays(hub: Hub) -> None:
    order = Order("la-lb-mou", "uslax", "a", days=30, allowed=("192.0.2.0/24",), profile="empty-list")
    old = mint(hub, order)
    later = Micros(NOW + 10 * DAY)
    new = credentials.rotate(hub.store, "uslax-a", entropy=b"r" * 32, req=hub.req(), now=later)
    assert hub.store.credential_by_digest(old.secret.digest) is None
    held = hub.store.credential_by_digest(new.secret.digest)
    assert held is not None
    expected = dataclasses.replace(
        old.credential, digest=new.secret.digest, created=later, expires=Micros(later + 30 * DAY)
    )
    assert held == expected
    assert len(credentials.listing(hub.store)) == 1


def test_a_revoked_credential_stays_revoked(hub: Hub) -> None:
    minted = mint(hub)
    assert credentials.revoke(hub.store, minted.credential.id, req=hub.req(), now=NOW).revoked == NOW
    epoch = hub.store.epoch()
    again = credentials.revoke(hub.store, "uslax-splunk", req=hub.req(), now=Micros(NOW + 1))
    assert again.revoked == NOW
    assert hub.store.epoch() == epoch
    with pytest.raises(Conflict, match="was revoked"):
        credentials.rotate(hub.store, "uslax-splunk", entropy=b"r" * 32, req=hub.req(), now=NOW)
    with pytest.raises(Conflict, match="already"):
        mint(hub)


@pytest.mark.parametrize(
    ("order", "kind", "words"),
    [
        (Order("nobody", "uslax", "a"), NotFound, "There are: la-lb-mou"),
        (Order("la-lb-mou", "sgsin", "a"), NotFound, "not a member"),
        (Order("la-lb-mou", "uslax", "A"), MalformedRequest, "lower-case"),
        (Order("la-lb-mou", "uslax", ""), MalformedRequest, "names no credential"),
        (Order("la-lb-mou", "uslax", "a:b"), MalformedRequest, "lower-case"),
        (Order("la-lb-mou", "uslax", "a" * 60), MalformedRequest, "too long"),
        (Order("la-lb-mou", "uslax", "a", days=0), MalformedRequest, "1 to 1095"),
        (Order("la-lb-mou", "uslax", "a", days=1096), MalformedRequest, "1 to 1095"),
        (Order("la-lb-mou", "uslax", "a", days=31, days_max=30), MalformedRequest, "1 to 30"),
        (Order("la-lb-mou", "uslax", "a", allowed=("192.0.2.1/24",)), MalformedRequest, "host bits"),
        (Order("la-lb-mou", "uslax", "a", allowed=("here",)), MalformedRequest, "192.0.2.0/24"),
        (Order("la-lb-mou", "uslax", "a", allowed=("::1",) * 65), MalformedRequest, "Too many"),
        (Order("la-lb-mou", "uslax", "a", profile="x"), MalformedRequest, "profile"),  # type: ignore[arg-type]  # not a profile, on purpose
    ],
)
def test_orders_that_cannot_be_carried_out(
    hub: Hub, order: Order, kind: type[CallerError], words: str
) -> None:
    before = len(hub.store.credentials())
    with pytest.raises(kind, match=words):
        mint(hub, order)
    assert len(hub.store.credentials()) == before


def test_networks_are_written_in_one_way() -> None:
    assert credentials.networks(["192.0.2.7", "2001:DB8::/32", "192.0.2.7/32"]) == (
        "192.0.2.7/32",
        "2001:db8::/32",
    )


def test_listing_is_by_name_and_by_agreement(hub: Hub) -> None:
    for name in ("b", "a"):
        mint(hub, Order("la-lb-mou", "uslgb", name))
    assert [one.name for one in credentials.listing(hub.store)] == ["uslgb-a", "uslgb-b"]
    assert len(credentials.listing(hub.store, "la-lb-mou")) == 2
    assert not credentials.listing(hub.store, "other")


def test_a_credential_that_is_not_there_is_not_found(hub: Hub) -> None:
    for act in (
        lambda: credentials.revoke(hub.store, "x", req="r", now=NOW),
        lambda: credentials.rotate(hub.store, "x/y", entropy=bytes(32), req="r", now=NOW),
    ):
        with pytest.raises(NotFound, match="credential list"):
            act()


@pytest.mark.parametrize("text", ["uslax", "/x", "uslax/", "uslax/A", "a/b/c", "us lax/x"])
def test_names_have_one_form(text: str) -> None:
    with pytest.raises(MalformedRequest):
        credentials.split_name(text)
