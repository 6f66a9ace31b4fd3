"""What marking definitions say: statements, IEP 2.0, ACS 3.0, and what nobody can read."""

# ruff: noqa: E501  # tables with one case a line

from __future__ import annotations

import json
from typing import Any

import pytest

from lightship.core.stix.extensions import SHARING_TERMS
from lightship.core.stix.markings import SHIPPED
from lightship.core.stix.terms import ACS, IEP, NO_TERMS, Terms, UnreadableTerms, read_terms
from lightship.core.time import MAX_MICROS
from policy_worlds import candidates
from stixsamples import new_id, statement_marking

# The shapes are those of the OASIS common object repository and of FIRST's JSON specification.
IEP_POLICY: dict[str, Any] = {
    "encrypt_in_transit": "must",
    "permitted_actions": "contact-for-instruction",
    "affected_party_notifications": "must-not",
    "tlp": "red",
    "provider_attribution": "must-not",
    "unmodified_resale": "must-not",
    "iep_id": "3c1f8a52-6b7d-4e0f-9a1b-2c3d4e5f6071",
    "iep_version": 2.0,
    "description": "For those who were told",
    "start_date": "2026-01-01T00:00:00Z",
}
ACS_MARKING: dict[str, Any] = {
    "identifier": "isa:guide.19001.ACS3-3c1f8a52-6b7d-4e0f-9a1b-2c3d4e5f6071",
    "name": "An example",
    "create_date_time": "2026-01-01T00:00:00.000Z",
    "policy_reference": "urn:isa:policy:acs:ns:v3.0?privdefault=deny&sharedefault=deny",
    "responsible_entity_custodian": "USA.DHS",
    "control_set": {"classification": "U", "entity": ["GOV", "CTR"]},
}
RED = Terms(closed=frozenset({"iep-must-not-share"}))
CLASSIFIED = Terms(closed=frozenset({"acs-classified"}))
NO_FOREIGN = Terms(only_countries=frozenset({"US"}))


def definition(**over: Any) -> dict[str, Any]:
    made = {key: one for key, one in statement_marking().items() if not key.startswith("definition")}
    return {**made, **over}


def extended(key: str, **content: Any) -> dict[str, Any]:
    return definition(extensions={key: {"extension_type": "property-extension", **content}})


def read(value: dict[str, Any]) -> Terms:
    return read_terms(json.dumps(value).encode())


@pytest.mark.parametrize("body", SHIPPED.values())
def test_tlp_asks_for_no_more_than_its_level(body: bytes) -> None:
    assert read_terms(body) == NO_TERMS


def test_a_statement_asks_for_nothing_and_is_never_unknown() -> None:
    made = statement_marking()
    assert read(made) == NO_TERMS
    assert read({**made, "definition": 7}) == NO_TERMS
    foreign = {new_id("extension-definition"): {"extension_type": "property-extension", "colour": "mauve"}}
    assert read({**made, "extensions": foreign}) == NO_TERMS


@pytest.mark.parametrize(
    ("level", "found"),
    [
        ("red", RED),
        ("RED", RED),
        ("amber", NO_TERMS),
        ("green", NO_TERMS),
        ("white", NO_TERMS),
        ("clear", NO_TERMS),
    ],
)
def test_of_an_iep_policy_that_it_must_not_be_shared_on(level: str, found: Terms) -> None:
    policy = {**IEP_POLICY, "tlp": level}
    assert read(extended(IEP, **policy)) == found
    loud = "extension-definition--" + IEP.partition("--")[2].upper()
    assert read(extended(loud, **policy)) == found
    for kind in ("iep", "IEP"):
        assert read(definition(definition_type=kind, definition=policy)) == found


@pytest.mark.parametrize(
    ("policy", "where", "why"),
    [
        ({"id_ref": "3c1f8a52-6b7d-4e0f-9a1b-2c3d4e5f6071", "url": "https://hub.example/iep", "iep_version": 2.0}, "", "nothing is fetched"),
        ({**IEP_POLICY, "iep_version": 1.0}, "/iep_version", "another version"),
        ({**IEP_POLICY, "tlp": "mauve"}, "/tlp", "no tlp that is known"),
        ({**IEP_POLICY, "tlp": 7}, "/tlp", "no tlp that is known"),
        ({}, "/tlp", "no tlp that is known"),
    ],
)  # fmt: skip
def test_an_iep_policy_that_does_not_say_what_it_means_is_unreadable(
    policy: Any, where: str, why: str
) -> None:
    for value, base in (
        (definition(definition_type="iep", definition=policy), "/definition"),
        (extended(IEP, **policy), f"/extensions/{IEP}"),
    ):
        with pytest.raises(UnreadableTerms, match=why) as caught:
            read(value)
        assert caught.value.where == base + where


@pytest.mark.parametrize(
    ("controls", "found"),
    [
        ({"classification": "U"}, NO_TERMS),
        ({"classification": "NF"}, NO_FOREIGN),
        ({"classification": "U", "formal_determination": ["FOUO", "NF"]}, NO_FOREIGN),
        ({"classification": "U", "formal_determination": ["PUBREL"], "permitted_organizations": ["USA.USG"]}, NO_TERMS),
        ({"classification": "C"}, CLASSIFIED),
        ({"classification": "S"}, CLASSIFIED),
        ({"classification": "TS", "entity": ["GOV"]}, CLASSIFIED),
        ({"classification": "u"}, CLASSIFIED),
    ],
)  # fmt: skip
def test_of_an_acs_marking_its_classification_and_no_foreign(controls: dict[str, Any], found: Terms) -> None:
    assert read(extended(ACS, **{**ACS_MARKING, "control_set": controls})) == found


@pytest.mark.parametrize("controls", [None, {}, [], {"classification": None}, {"classification": ["U"]}])
def test_an_acs_marking_without_a_classification_is_unreadable(controls: Any) -> None:
    with pytest.raises(UnreadableTerms, match="no classification"):
        read(extended(ACS, **{**ACS_MARKING, "control_set": controls}))


def test_a_definition_of_several_kinds_is_all_of_them() -> None:
    value = extended(SHARING_TERMS, agreement="mou", only_countries=["US", "JP"], exclude_countries=["CN"])
    value["extensions"][ACS] = {**ACS_MARKING, "control_set": {"classification": "NF"}}
    value["extensions"][IEP] = IEP_POLICY
    value |= {"definition_type": "statement", "definition": {"statement": "Handle with care"}}
    assert read(value) == Terms(
        only_countries=frozenset({"US"}), exclude_countries=frozenset({"CN"}), closed=RED.closed
    )


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (definition(definition_type="pap", definition={"pap": "red"}), "/definition_type"),
        (definition(definition_type=7), "/definition_type"),
        (definition(), "/extensions"),
        (definition(extensions=[]), "/extensions"),
        (extended(new_id("extension-definition"), tlp="red"), "/extensions"),
        (definition(definition_type="pap", extensions={SHARING_TERMS: {"agreement": "mou"}}), "/definition_type"),
    ],
)  # fmt: skip
def test_a_definition_of_another_kind_is_unreadable(value: dict[str, Any], where: str) -> None:
    with pytest.raises(UnreadableTerms) as caught:
        read(value)
    assert caught.value.where == where


@pytest.mark.parametrize(
    "content",
    [None, {"recipient_refs": "all"}, {"recipient_refs": [7]}, {"release_at": "soon"}, {"share_until": 7}],
)
def test_terms_of_wrong_form_are_unreadable_and_not_left_out(content: Any) -> None:
    with pytest.raises(UnreadableTerms):
        read(definition(extensions={SHARING_TERMS: content}))


def test_times_beyond_every_stamp_are_the_last_and_the_first_one() -> None:
    for name, text in (("share_until", "9999-12-31T23:59:59Z"), ("release_at", "9999-12-31T23:59:59Z")):
        assert getattr(read(extended(SHARING_TERMS, agreement="mou", **{name: text})), name) == MAX_MICROS
    past = read(extended(SHARING_TERMS, agreement="mou", share_until="0001-01-01T00:00:00Z"))
    assert past.share_until == 0


def test_a_large_definition_is_read_too() -> None:
    names = [f"identity--{number:08}-1111-4111-8111-111111111111" for number in range(200)]
    value = extended(SHARING_TERMS, agreement="mou", recipient_refs=names)
    assert read(value).recipients == frozenset(names)


@pytest.mark.parametrize("validation", ["strict", "lenient"])
def test_they_are_carried_unchanged(validation: str) -> None:
    values = [
        extended(ACS, **ACS_MARKING),
        extended(IEP, **IEP_POLICY),
        definition(definition_type="iep", definition=IEP_POLICY),
    ]
    found = candidates(*values, validation=validation)
    assert [json.loads(one.body) for one in found] == values
