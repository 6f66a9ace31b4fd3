"""Commercial and personal data in free text: what is told, where, and what is left alone."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.core.collection import CollectionSettings
from lightship.core.stix import lints
from lightship.core.stix.lints import MAX_ADDRESSES, MAX_TEXT, MAX_WARNINGS, warnings_for
from policy_worlds import INGEST, NOW, candidates
from stixsamples import address, identity, indicator, malware

DATA = Path(__file__).resolve().parents[5] / "shared" / "data"

COMMERCIAL = [
    ("a container number", "Opened at the gate: CSQU3054383, empty."),
    ("a container number", "CSQU 305438 3"),
    ("a container number", "Reefer MSKU-9070323"),
    ("a bill of lading", "see bill of lading no. MAEU123456789"),
    ("a bill of lading", "B/L: HLCUSHA2104ABC12"),
    ("a booking", "Booking number 1KT749123 was changed"),
    ("a booking", "booking ref: ABC-123456"),
    ("a customer's reference", "customer no. 4711-0815"),
    ("a customer's reference", "Invoice #INV-20260401"),
    ("a customer's reference", "Consignee ID: 00481516"),
    ("a rate", "They quoted USD 2,450 per FEU to us"),
    ("a rate", "$95/day after free time, 2026"),
    ("a rate", "the demurrage charges rose to $ 310 in 2026"),
    ("a rate", "freight rate of 2026: EUR 990"),
]
PERSONAL = [
    ("a person's e-mail address", "The mail went to jane.doe@portoflosangeles.org first"),
    ("a person's e-mail address", "jdoe@terminal.co.uk"),
    ("a person's e-mail address", "from <j.van-der-berg+work@hafen.de>"),
    ("a telephone number", "call (310) 732-3508"),
    ("a telephone number", "310-732-3508 at night"),
    ("a telephone number", "+49 40 428 47 0"),
    ("a telephone number", "+1 310 732 3508"),
    ("a social security number", "his number 219-09-9999 was in it"),
    ("a date of birth", "born on 4 July 1976"),
    ("a date of birth", "DOB: 07/04/1976"),
    ("a date of birth", "date of birth 1976-07-04"),
    ("the number of a passport, TWIC or other identity paper", "passport no. C01234567"),
    ("the number of a passport, TWIC or other identity paper", "TWIC card 12345678 was copied"),
]
INNOCENT = [
    "CSQU3054384 has another check digit",
    "XCSQU3054383Y",
    "The booking system was down for 3600 seconds on 2026-04-01",
    "booking.com was imitated from 203.0.113.45",
    "accounts 4711 times tried, account lockout 10000",
    "They asked for 2,450 USD in ransom, $ 95000 at first",
    "The success rate was 95.5% in 2026",
    "soc@portoflosangeles.org, info@terminal.com, incident-reports@hafen.de and no-reply@mail.com",
    "ssh root@10.0.0.1 and https://user:secret@host.org/x or https://x.org/@jane.doe@mastodon.social",
    "jane[at]hafen.de jane@localhost jane@example.org jane@hub.example",
    "from 203.0.113.45:8080 to 2001:db8::1 at 2026-04-01T10:22:31.123456Z",
    "5f0c6d2e7c3f4d8e9b5a0f4a9d6b2c115f0c6d2e7c3f4d8e9b5a0f4a9d6b2c11",
    "CVE-2026-12345, version 10.0.19041-1234, KB5034441, build 310-732-35081",
    "malware--0c7b8a46-2d16-4f0e-8f0b-6a3f9f6f8d22",
    "born in the USSR, passport stealer 2000, TWICE 123456",
    "GET /a+1-22-33-44 and x=+49 0",
    "MMSI 563000000, IMO 9321483, voyage 604W, USLAX, 33 CFR 101.620, +1",
    "",
]


@pytest.mark.parametrize(("what", "text"), COMMERCIAL + PERSONAL)
def test_what_should_not_flow_is_told_with_its_place(what: str, text: str) -> None:
    (said,) = warnings_for(indicator(description=text), "indicator")
    why = "commercial data must not flow here" if (what, text) in COMMERCIAL else "personal data is not"
    assert said.startswith(f"It may hold {what} (at /description, character ")
    assert why in said


@pytest.mark.parametrize("text", INNOCENT)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert warnings_for(indicator(description=text), "indicator") == ()


def test_the_place_is_that_of_the_text_and_nothing_is_repeated() -> None:
    value = malware(
        name="x jane.doe@hafen.de",
        external_references=[{"source_name": "a"}, {"source_name": "b", "description": "ask 310-732-3508"}],
    )
    assert warnings_for(value, "malware") == (
        "It may hold a person's e-mail address (at /name, character 3): personal data is not needed here.",
        "It may hold a telephone number (at /external_references/1/description, character 5): "
        "personal data is not needed here.",
    )


def test_indicators_and_observables_are_made_of_such_values_and_left_alone() -> None:
    pattern = "[email-addr:value = 'jane.doe@hafen.de' OR file:name = 'CSQU3054383.pdf']"
    assert warnings_for(indicator(pattern=pattern), "indicator") == ()
    for kind in ("email-addr", "url", "user-account", "email-message", "file"):
        value = {**address(), "type": kind, "value": "jane.doe@hafen.de", "name": "jane.doe@hafen.de"}
        assert warnings_for(value, kind) == ()


def test_the_contact_of_a_person_is_told_and_that_of_a_desk_is_not() -> None:
    assert warnings_for(identity(contact_information="soc@hafen.de"), "identity") == ()
    assert len(warnings_for(identity(contact_information="jane.doe@hafen.de"), "identity")) == 1


def test_they_never_refuse_and_stand_beside_the_object() -> None:
    text = "jane.doe@hafen.de, 310-732-3508, CSQU3054383"
    for validation in ("strict", "lenient"):
        (one,) = candidates(indicator(description=text), validation=validation)
        assert len(one.warnings) == 3
    (clean,) = candidates(indicator())
    assert clean.warnings == ()


def test_there_are_at_most_so_many_of_them() -> None:
    text = " ".join(text for _, text in COMMERCIAL + PERSONAL)
    assert len(warnings_for(indicator(name=text, description=text), "indicator")) == MAX_WARNINGS


@given(
    st.text(alphabet="019 +-()/@.,:$aAuUbBjJzZ\n#", max_size=200),
    st.none() | st.integers() | st.lists(st.none()),
)
def test_any_text_in_any_place_is_read_without_a_fault(text: str, other: Any) -> None:
    value = {"name": text, "description": other, "external_references": other, "content": text}
    assert len(warnings_for(value, "note")) <= MAX_WARNINGS


_PIECES = sorted(
    {piece for _, text in COMMERCIAL + PERSONAL for piece in re.findall(r"\w+|\W", text)}
    | {
        *"0159 -+$@.:/#()\x1c\n",
        "US",
        "UR",
        "rate",
        "fee",
        "per TEU",
        "DOB",
        "d.o.b",
        "born",
        "(310)",
        "1980",
    }
)


@given(
    st.lists(st.sampled_from(_PIECES), max_size=12).map("".join)
    | st.builds(
        lambda text, begin, end, case: case(text[:begin] + text[end:]),
        st.sampled_from([text for _, text in COMMERCIAL + PERSONAL]),
        st.integers(0, 40),
        st.integers(0, 40),
        st.sampled_from([str, str.upper, str.lower, str.title]),
    )
)
def test_the_first_look_at_a_short_text_loses_nothing(text: str) -> None:
    value = {"name": text}
    with patch.object(lints, "SHORT", -1):  # every search is made
        all_of_them = warnings_for(value, "note")
    assert warnings_for(value, "note") == all_of_them


@pytest.mark.parametrize(
    "piece",
    [
        *("1", "a.", "+1 ", "AAAU", "USD 1,", "a@", "a@b.c.", "passport 1", "born 1", "booking number 1"),
        *("freight rate ", "1-1-", "+1 22 33 44 ", "B/L 1A", "customer no", "310-732-", "AAAU123456"),
    ],
)
def test_no_text_takes_long(piece: str) -> None:
    text = (piece * MAX_TEXT)[: 2 * MAX_TEXT]
    begin = time.perf_counter()
    warnings_for({"description": text}, "report")
    # Some milliseconds; a search that goes back and forth would take minutes.
    assert time.perf_counter() - begin < 1


def test_only_so_many_addresses_of_a_text_are_looked_at() -> None:
    many = "soc@hafen.de " * MAX_ADDRESSES
    assert warnings_for({"description": f"{many} jane.doe@hafen.de"}, "report") == ()
    assert warnings_for({"description": f"jane.doe@hafen.de {many}"}, "report")


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not here")
def test_real_intelligence_gives_no_false_alarm() -> None:
    looked_at = 0
    for path in sorted(DATA.glob("attack-ics/*.json")):
        items = INGEST.read_envelope(path.read_bytes())
        found, _ = INGEST.check(items, CollectionSettings(validation="lenient"), NOW)
        assert [one.id for one in found if one.warnings] == []
        looked_at += len(found)
    assert looked_at > 3_000
    texts = [
        text
        for path in sorted(DATA.glob("eset-ioc/*.json"))
        for text in _strings(json.loads(path.read_text()))
    ]
    told = [text for text in texts if warnings_for({"description": text}, "report")]
    # Of all strings of both events one is told, and rightly: the address of the person who made the event.
    assert len(texts) > 3_500
    assert len(told) == 1
    assert told[0].count("@") == 1


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for one in value for text in _strings(one)]
    return [value] if isinstance(value, str) else []
