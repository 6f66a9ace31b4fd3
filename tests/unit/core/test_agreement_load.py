"""From signed JSON to values: defaults appear only here, and what cannot be trusted is not loaded."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from governance_samples import DAY, KEY, NOW, content, seal, signed, text_for
from lightship.core import dsse
from lightship.core.agreement import AgreementStatus, load_chain, load_payload, parse_toml
from lightship.core.collection import CollectionSettings, Level
from lightship.core.errors import Damaged
from lightship.core.time import Micros
from lightship.crypto.sign import SigningKey, new_signing_key, verify

NUMBERS = {f"aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa{n}": n for n in (1, 2, 3)}
CEILING = 'ceiling = "amber+strict"'


@pytest.fixture(name="hub")
def _hub() -> SigningKey:
    return new_signing_key()


def load(hub: SigningKey, text: str, **changes: Any) -> Any:
    value = content({"hub": hub}, written=parse_toml(text, "a.toml")) | changes
    return load_payload(dsse.canonical(value), NUMBERS, hub="h")


def test_defaults_are_filled_in_on_loading(hub: SigningKey) -> None:
    agreement = load(hub, text_for())
    assert agreement.id == "la-lb-mou"
    assert agreement.authority == "steward alone (1 of 1)"
    assert agreement.members["uslgb"].country == "US"
    assert agreement.auditors == {"uslax"}
    incidents, indicators, warnings = agreement.collections
    assert [one.number for one in agreement.collections] == [1, 2, 3]
    assert indicators.audience == indicators.publishers == {"uslax", "uslgb"}
    assert incidents.audience == {"uslax"}
    assert warnings.publishers == {"uslgb"}
    assert indicators.settings == CollectionSettings()


def test_every_setting_reaches_the_collection(hub: SigningKey) -> None:
    more = """
description = "D"
unmarked = "green"
authors = ["identity--11111111-1111-4111-8111-111111111111"]
validation = "lenient"
custom_objects = false
max_future = "off"
max_objects = 5
max_bytes = 6
audience = "all"
retention_days = 7
red = "audience"
ssi = "named"
withdraw = ["indicator--11111111-1111-4111-8111-111111111111"]
"""
    one = load(hub, text_for().replace(CEILING, CEILING + more)).collections[1]
    assert one.description == "D"
    assert one.ceiling is Level.AMBER_STRICT
    assert one.audience == {"uslax", "uslgb"}  # `all` leaves out who only audits
    assert one.settings == CollectionSettings(
        unmarked=Level.GREEN,
        authors=frozenset({"identity--11111111-1111-4111-8111-111111111111"}),
        validation="lenient",
        custom_objects=False,
        max_future_s=None,
        max_objects=5,
        max_bytes=6,
        retention_days=7,
        red="audience",
        ssi="named",
    )
    hours = text_for().replace(CEILING, CEILING + '\nmax_future = "2 hours"')
    assert load(hub, hours).collections[1].settings.max_future_s == 7200


def test_audience_and_publishers_follow_from_the_roles_one_by_one(hub: SigningKey) -> None:
    text = text_for().replace('roles = ["auditor"]', 'roles = ["consumer", "auditor"]')
    text = text.replace('roles = ["publisher", "consumer"]', 'roles = ["publisher"]')
    indicators = load(hub, text).collections[1]
    assert indicators.audience == {"uslax", "jptyo"}
    assert indicators.publishers == {"uslax", "uslgb"}
    everybody = load(hub, text.replace(CEILING, CEILING + '\npublishers = "all"')).collections[1]
    assert everybody.publishers == {"uslax", "uslgb", "jptyo"}


@pytest.mark.parametrize("line", ["not_before = 2020-02-24\n", "not_after = 2027-12-31\n"])
def test_an_agreement_can_be_open_at_one_end(hub: SigningKey, line: str) -> None:
    assert load(hub, text_for().replace(line, "")).status(NOW) is AgreementStatus.IN_FORCE


@pytest.mark.parametrize(
    ("at", "status"),
    [
        ("2020-02-23T23:59:59", AgreementStatus.PROPOSED),
        ("2020-02-24T00:00:00", AgreementStatus.IN_FORCE),
        ("2027-12-31T23:59:59", AgreementStatus.IN_FORCE),
        ("2028-01-01T00:00:00", AgreementStatus.GRACE),
        ("2028-01-30T23:59:59", AgreementStatus.GRACE),
        ("2028-01-31T00:00:00", AgreementStatus.EXPIRED),
    ],
)
def test_an_agreement_holds_to_the_end_of_its_last_day(
    hub: SigningKey, at: str, status: AgreementStatus
) -> None:
    from datetime import UTC, datetime

    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    assert load(hub, text_for()).status(Micros(int(moment.timestamp()) * 1_000_000)) is status


def test_an_agreement_without_dates_is_in_force_and_an_ended_one_is_not(hub: SigningKey) -> None:
    text = text_for().replace("not_before = 2020-02-24\nnot_after = 2027-12-31\n", "")
    assert load(hub, text).status(Micros(NOW + 10_000 * DAY)) is AgreementStatus.IN_FORCE
    assert load(hub, "ended = true\n" + text).status(NOW) is AgreementStatus.ENDED


@pytest.mark.parametrize(
    ("changes", "at", "words"),
    [
        ("", NOW, ""),
        ("ended = true\n", NOW, "has ended: nothing can be read or published"),
        (
            "",
            Micros(1_582_000_000_000_000),
            "is proposed: nothing can be read or published before 2020-02-24",
        ),
        ("", Micros(1_830_300_000_000_000), "ended before 2028-01-01; publishing stops on 2028-01-31"),
        ("", Micros(1_840_000_000_000_000), "nothing can be published until it is renewed"),
    ],
)
def test_everybody_concerned_reads_where_the_agreement_stands(
    hub: SigningKey, changes: str, at: Micros, words: str
) -> None:
    notice = load(hub, changes + text_for()).notice(at)
    assert words in notice
    assert bool(words) == bool(notice)


@pytest.mark.parametrize(
    "changes",
    [
        {"policy": 2},
        {"policy": None},
        {"title": ""},
        {"surprise": 1},
        {"authority": {"threshold": 1, "keys": {"hub": KEY}}},  # not the root's key
    ],
)
def test_signed_content_that_cannot_be_used_is_not_loaded(hub: SigningKey, changes: dict[str, Any]) -> None:
    with pytest.raises(Damaged):
        load(hub, text_for(), **changes)


def test_rules_are_loaded_only_if_they_are_the_signed_ones(hub: SigningKey) -> None:
    rules = "// stricter: ä\n".encode()
    named = content({"hub": hub}) | {"rules": hashlib.sha256(rules).hexdigest()}
    assert load_payload(dsse.canonical(named), NUMBERS, hub="h", rules=rules).rules == rules.decode()
    assert load_payload(dsse.canonical(content({"hub": hub})), NUMBERS, hub="h").rules == ""
    for value, stored in ((named, rules + b"\n"), (named, b""), (content({"hub": hub}), rules)):
        with pytest.raises(Damaged, match="not the signed ones"):
            load_payload(dsse.canonical(value), NUMBERS, hub="h", rules=stored)


def test_a_collection_without_a_number_is_not_loaded(hub: SigningKey) -> None:
    with pytest.raises(Damaged, match="no number"):
        load_payload(dsse.canonical(content({"hub": hub})), {}, hub="h")


def test_the_whole_chain_is_verified_on_loading(hub: SigningKey) -> None:
    first, digest = signed(content({"hub": hub}), hub)
    value = content({"hub": hub}, version=2, prev=digest) | {"title": "Two"}
    second = seal(dsse.canonical(value), hub)
    payloads = [dsse.canonical(content({"hub": hub})), dsse.canonical(value)]
    links = list(zip((first, second), payloads, strict=True))
    loaded = load_chain("la-lb-mou", links, NUMBERS, verify)
    assert (loaded.version, loaded.title, loaded.hub) == (2, "Two", digest)
    for broken in ([], links[1:], links[::-1], [links[0], (second, payloads[0])], [(b"", payloads[0])]):
        with pytest.raises(Damaged):
            load_chain("la-lb-mou", broken, NUMBERS, verify)
    with pytest.raises(Damaged):
        load_chain("la-lb-mou", links, NUMBERS, verify, pinned_key=new_signing_key().keyid)
    with pytest.raises(Damaged):
        load_chain("other", links, NUMBERS, verify)
