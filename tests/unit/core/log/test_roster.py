"""Rosters: signed by the member's admin key, chained, and never able to take back a revocation."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import pytest
import rfc8785

from lightship.core import dsse
from lightship.core.errors import MalformedRequest
from lightship.core.log import roster
from lightship.core.log.record import BadRecord
from lightship.core.log.roster import BadRoster, PublishKey, Revoked, Roster, Rosters, read, read_payload
from lightship.crypto.sign import SigningKey, new_signing_key, verify

HUB = "a" * 64
ADMIN = new_signing_key()
KEY = new_signing_key()
OTHER = new_signing_key()
ADMINS = {"uslax": ADMIN.public, "uslgb": ADMIN.public}


def first(**changes: Any) -> Roster:
    made = Roster("la-lb-mou", HUB, "uslax", 1, "", {KEY.keyid: PublishKey(KEY.public)})
    return replace(made, **changes)


def after(last: Roster, **changes: Any) -> Roster:
    prev = hashlib.sha256(last.payload()).hexdigest()
    return replace(last, version=last.version + 1, prev=prev, **changes)


def seal(made: Roster, key: SigningKey = ADMIN) -> bytes:
    return dsse.encode(roster.sign(made, key.keyid, key.sign))


def rosters(**options: Any) -> Rosters:
    return Rosters("la-lb-mou", HUB, verify, **options)


def test_a_roster_is_read_as_it_was_written() -> None:
    stolen = PublishKey(OTHER.public, Revoked("stolen", {"hub.test/c/x": 17}))
    made = first(
        keys={KEY.keyid: PublishKey(KEY.public), OTHER.keyid: stolen},
        clients=("d" * 64,),
        tokens=("11111111-1111-4111-8111-111111111111",),
    )
    assert read_payload(made.payload()) == made
    assert read(seal(made))[1] == made


def test_rosters_follow_one_another() -> None:
    known = rosters()
    one = first()
    assert known.apply(seal(one), ADMINS) == (one, {})
    two = after(one, keys={**one.keys, OTHER.keyid: PublishKey(OTHER.public)})
    known.apply(seal(two), ADMINS)
    held = known.current("uslax")
    assert held is not None
    assert held.roster == two
    assert known.publish_key("uslax", OTHER.keyid) == PublishKey(OTHER.public)
    assert known.publish_key("uslgb", OTHER.keyid) is None
    assert known.member_of(OTHER.keyid) == "uslax"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": 2, "prev": "b" * 64}, "its version is not 1"),
        ({"hub": "b" * 64}, "another agreement or hub"),
        ({"agreement": "other"}, "another agreement or hub"),
        ({"member": "jptyo"}, "no admin key of jptyo"),
    ],
)
def test_a_first_roster_that_is_refused(change: dict[str, Any], why: str) -> None:
    known = rosters()
    with pytest.raises(BadRoster, match=why):
        known.apply(seal(first(**change)), ADMINS)
    assert known.current("uslax") is None


def test_a_roster_that_does_not_follow_is_refused() -> None:
    known = rosters()
    one = first()
    known.apply(seal(one), ADMINS)
    for wrong in (one, replace(after(one), prev="b" * 64), after(after(one))):
        with pytest.raises(BadRoster, match="does not follow"):
            known.apply(seal(wrong), ADMINS)
    known.apply(seal(after(one)), ADMINS)


def test_only_the_admin_key_signs_a_roster() -> None:
    for key in (KEY, OTHER):
        with pytest.raises(BadRoster, match="admin key of uslax did not sign"):
            rosters().apply(seal(first(), key), ADMINS)
    with pytest.raises(BadRoster, match="not the one that the log names"):
        rosters().apply(seal(first()), ADMINS, expected=("uslax", "c" * 64))


def test_a_revoked_key_stays_revoked() -> None:
    known = rosters()
    one = first()
    known.apply(seal(one), ADMINS)
    why = Revoked("stolen", {"hub.test/c/x": 17})
    two = after(one, keys={KEY.keyid: PublishKey(KEY.public, why)})
    assert known.apply(seal(two), ADMINS)[1] == {KEY.keyid: why}
    three = after(two, keys=one.keys)
    assert known.apply(seal(three), ADMINS)[1] == {}
    assert known.publish_key("uslax", KEY.keyid) == PublishKey(KEY.public, why)
    four = after(three, keys=two.keys)
    assert known.apply(seal(four), ADMINS)[1] == {}


def test_a_key_belongs_to_the_member_that_listed_it_first() -> None:
    known = rosters()
    known.apply(seal(first()), ADMINS)
    with pytest.raises(BadRoster, match="another member's roster"):
        known.apply(seal(first(member="uslgb")), ADMINS)


def test_a_log_can_begin_with_a_later_roster() -> None:
    later = replace(first(), version=5, prev="b" * 64)
    known = rosters(anywhere=True)
    known.apply(seal(later), ADMINS)
    with pytest.raises(BadRoster, match="does not follow"):
        known.apply(seal(replace(first(), version=7, prev="b" * 64)), ADMINS)


def value(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(first().payload())
    return made | changes


def keyed(**changes: Any) -> dict[str, Any]:
    made = value()
    made["keys"][KEY.keyid] |= changes
    return made


@pytest.mark.parametrize(
    ("made", "field"),
    [
        (value(agreement="Not a name"), "agreement"),
        (value(hub="b"), "hub"),
        (value(member=1), "member"),
        (value(version=0), "version"),
        (value(prev="b" * 64), "prev"),
        (value(version=2), "prev"),
        (value(keys=[]), "keys"),
        (value(keys={OTHER.keyid: value()["keys"][KEY.keyid]}), f"keys.{OTHER.keyid}"),
        (value(clients=["x"]), "clients[0]"),
        (value(tokens=[1]), "tokens[0]"),
        (value(tokens={}), "tokens"),
        (value(more=1), "JSON"),
        (keyed(alg="rsa"), f"keys.{KEY.keyid}"),
        (keyed(key="AAAA"), f"keys.{KEY.keyid}"),
        (keyed(key=None), f"keys.{KEY.keyid}"),
        (keyed(more=1), f"keys.{KEY.keyid}"),
        (keyed(revoked={"reason": "x"}), f"keys.{KEY.keyid}.revoked.distrust_from"),
        (keyed(revoked={"reason": 1, "distrust_from": {}}), f"keys.{KEY.keyid}.revoked.reason"),
        (
            keyed(revoked={"reason": "x", "distrust_from": {"o": -1}}),
            f"keys.{KEY.keyid}.revoked.distrust_from",
        ),
        (keyed(revoked={"reason": "x", "distrust_from": 1}), f"keys.{KEY.keyid}.revoked.distrust_from"),
    ],
    ids=lambda value: re.sub(r"[0-9a-f]{64}", "KEY", value) if isinstance(value, str) else None,
)
def test_every_refusal_names_its_field(made: Any, field: str) -> None:
    with pytest.raises(BadRecord) as caught:
        read_payload(rfc8785.dumps(made))
    assert (caught.value.kind, caught.value.field) == ("roster", field)


def test_what_is_no_envelope_is_refused() -> None:
    for junk in (b"{}", b"[]", b"null", dsse.encode(dsse.Envelope("application/x", b"{}", ()))):
        with pytest.raises(BadRecord):
            read(junk)
    with pytest.raises(MalformedRequest):
        read(b"{")
    with pytest.raises(BadRecord, match="bytes"):
        read(b" " * (roster.MAX_ROSTER * 2 + 1))
