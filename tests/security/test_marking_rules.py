"""What a marking forbids never gets to a reader: terms, IEP, ACS, unknown and false markings, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hubkit import HubKit, StoppedClock, make_hub
from lightship.core.collection import Level
from lightship.core.stix.extensions import SHARING_TERMS
from lightship.core.stix.markings import TLP2_EXTENSION, TLP2_IDS
from lightship.core.stix.terms import ACS, IEP
from stixsamples import Stix, identity, indicator, new_id, statement_marking

MEMBERS: dict[str, dict[str, Any]] = {
    slug: {
        "name": slug,
        "unlocode": slug.upper(),
        "group": "port-authority",
        "roles": ["publisher", "consumer"],
        "identities": [f"identity--{number * 8}-1111-4111-8111-111111111111"],
    }
    for slug, number in (("uslax", "1"), ("uslgb", "2"), ("jptyo", "3"))
}
LAX, LGB, TYO = (one["identities"][0] for one in MEMBERS.values())
BAY = ["uslax", "uslgb"]
_OWN = {"unmarked": "refuse", "authors": "not-others"}
COLLECTIONS: dict[str, dict[str, Any]] = {
    "all": {"ceiling": "amber+strict", **_OWN},
    "bay": {"ceiling": "red", "audience": BAY, "red": "audience", "ssi": "named", **_OWN},
    "named": {"ceiling": "red", "audience": BAY, "red": "named", **_OWN},
    "strict": {"ceiling": "amber", "audience": BAY, **_OWN},
    "quay": {"ceiling": "amber", "audience": BAY, "publishers": BAY, "unmarked": "green", "authors": "any"},
    "mirror": {"ceiling": "green", "unmarked": "green", "authors": "any"},
}
GREEN, AMBER, RED = (TLP2_IDS[level] for level in (Level.GREEN, Level.AMBER, Level.RED))


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubKit]:
    """A hub of two ports in one country and one in another."""
    folder = tmp_path_factory.mktemp("marking-rules")
    with make_hub(folder, members=MEMBERS, collections=COLLECTIONS, clock=StoppedClock()) as made:
        yield made


def definition(**over: Any) -> Stix:
    plain = {key: one for key, one in statement_marking().items() if not key.startswith("definition")}
    return {**plain, **over}


def extended(extension: str, **content: Any) -> Stix:
    return definition(extensions={extension: {"extension_type": "property-extension", **content}})


def terms(**content: Any) -> Stix:
    return extended(SHARING_TERMS, **{"agreement": "exercise", **content})


def acs(classification: str, **more: Any) -> Stix:
    return extended(ACS, identifier="isa:guide.1", control_set={"classification": classification, **more})


def post(kit: HubKit, alias: str, *objects: Stix, member: str = "uslgb") -> dict[str, str]:
    """Post; return id -> message of what was refused."""
    with kit.client(member) as client:
        answer = client.post(kit.path(alias, "objects/"), json={"objects": list(objects)})
    assert answer.status_code == 202, answer.text
    return {one["id"]: one["message"] for one in answer.json().get("failures", ())}


def reads(kit: HubKit, alias: str, stix_id: str, member: str) -> bool:
    with kit.client(member) as client:
        return client.get(kit.path(alias, f"objects/{stix_id}/")).status_code == 200


@pytest.mark.parametrize(
    ("alias", "level", "marking", "rule"),
    [
        ("all", AMBER, terms(recipient_refs=[LAX]), "deny-receive-recipients"),
        ("all", GREEN, terms(recipient_refs=[LAX, TYO]), ""),
        ("bay", AMBER, terms(recipient_refs=[LAX]), ""),
        ("all", GREEN, terms(exclude_countries=["JP"]), "deny-receive-country-excluded"),
        ("bay", GREEN, terms(exclude_countries=["JP"]), ""),
        ("all", GREEN, terms(only_countries=["US"]), "deny-receive-country"),
        ("bay", GREEN, terms(only_countries=["US"]), ""),
        ("all", GREEN, terms(sensitive_security_information=True, recipient_refs=[LAX, TYO]), "deny-ssi"),
        ("bay", GREEN, terms(sensitive_security_information=True), "deny-receive-ssi"),
        ("bay", GREEN, terms(sensitive_security_information=True, recipient_refs=[LAX]), ""),
        ("named", RED, terms(recipient_refs=[TYO]), "deny-receive-recipients"),
        ("named", RED, terms(recipient_refs=[LAX]), ""),
        ("named", RED, statement_marking(), "deny-receive-red"),
        ("bay", RED, statement_marking(), ""),
        ("all", AMBER, extended(IEP, iep_version=2.0, tlp="red"), "deny-receive-iep"),
        ("all", AMBER, extended(IEP, iep_version=2.0, tlp="amber"), ""),
        ("bay", RED, definition(definition_type="iep", definition={"tlp": "red"}), ""),
        ("strict", AMBER, definition(definition_type="iep", definition={"tlp": "red"}), "deny-receive-iep"),
        ("bay", AMBER, acs("S"), "deny-classified"),
        ("all", AMBER, acs("U"), ""),
        ("all", AMBER, acs("U", formal_determination=["NF"]), "deny-receive-country"),
        ("all", AMBER, acs("U", formal_determination=["nf"]), "deny-receive-country"),
        ("bay", AMBER, acs("U", formal_determination="NF"), "deny-unknown-marking"),
        ("bay", AMBER, acs("U", formal_determination=[["NF"]]), "deny-unknown-marking"),
        ("bay", AMBER, acs("NF"), ""),
        ("bay", AMBER, extended(new_id("extension-definition"), colour="mauve"), "deny-unknown-marking"),
        ("bay", AMBER, definition(definition_type="pap", definition={"pap": "red"}), "deny-unknown-marking"),
        ("bay", AMBER, terms(agreement="pacific-partners"), "deny-other-agreement"),
    ],
)  # fmt: skip
def test_an_object_gets_to_its_readers_only_if_its_markings_let_all_of_them(
    kit: HubKit, alias: str, level: str, marking: Stix, rule: str
) -> None:
    whole = indicator(object_marking_refs=[level, marking["id"]])
    part = indicator(
        object_marking_refs=[level], granular_markings=[{"marking_ref": marking["id"], "selectors": ["name"]}]
    )
    free = indicator(object_marking_refs=[GREEN])
    said = post(kit, alias, whole, part, marking, free)
    for one in (whole, part):
        assert reads(kit, alias, one["id"], "uslax") is (not rule)
        assert (f"({rule})" in said.get(one["id"], "")) is bool(rule), said
        for member in ("uslax", "jptyo"):
            with kit.client(member) as client:
                for path in ("objects/", "manifest/"):
                    assert (one["id"] in client.get(kit.path(alias, path)).text) is (
                        not rule and (member == "uslax" or alias == "all")
                    )
    assert reads(kit, alias, free["id"], "uslax"), "what stands beside it is taken"


def test_a_refusal_names_the_collections_that_would_take_it(kit: HubKit) -> None:
    red, unmarked = indicator(object_marking_refs=[RED]), indicator()
    lax = terms(recipient_refs=[LAX])
    named = indicator(object_marking_refs=[AMBER, lax["id"]])
    said = post(kit, "all", red, lax, named, unmarked)
    assert said[red["id"]].endswith("accepts TLP:RED. `bay` would take it. (deny-publish-ceiling)")
    assert "where nobody else reads. `bay` and `named` would take it. (deny-rec" in said[named["id"]]
    assert "would take it" not in said[unmarked["id"]]
    of_lax = indicator(
        created_by_ref=LAX, object_marking_refs=[AMBER]
    )  # others than `quay` take no such author
    for member, hint in (("uslgb", " `quay` would take it."), ("jptyo", "")):
        (told,) = post(kit, "mirror", of_lax, member=member).values()
        assert told.endswith(f"that accepts TLP:AMBER.{hint} (deny-publish-ceiling)"), (
            "it may not publish there"
        )
    for where, marking in (("bay", red), ("bay", lax), ("named", lax)):
        assert not post(kit, where, marking), where


def test_what_cites_a_marking_that_was_refused_beside_it_is_told_so(kit: HubKit) -> None:
    hidden, foreign = terms(publisher_visibility="group"), terms(exclude_countries=["JP"])
    by_checks = indicator(object_marking_refs=[AMBER, hidden["id"]])
    by_rules = indicator(object_marking_refs=[AMBER, foreign["id"]])
    said = post(kit, "all", hidden, foreign, by_checks, by_rules)
    assert said[by_checks["id"]] == (
        f"it is marked with {hidden['id']}, which was refused itself (at /object_marking_refs/1). Correct"
        " that marking, or cite another (deny-unknown-marking)"
    )
    assert "deny-receive-country-excluded" in said[by_rules["id"]], "its own reason comes first"


def test_terms_of_another_agreement_are_told_with_their_place_and_what_to_do(kit: HubKit) -> None:
    """Its readers would be others than the publisher meant, and `same-agreement` would mean nothing."""
    elsewhere = terms(agreement="pacific-partners", onward="same-agreement")
    citing = indicator(object_marking_refs=[AMBER, elsewhere["id"]])
    for order in ((elsewhere, citing), (citing, elsewhere)):
        said = post(kit, "all", *order)
        assert said[elsewhere["id"]] == (
            "its terms are for the agreement `pacific-partners`, and this is `exercise`"
            f" (at /extensions/{SHARING_TERMS}/agreement). Post it there, or under sharing-terms that name"
            " `exercise` (deny-other-agreement)"
        )
        assert said[citing["id"]] == (
            f"it is marked with {elsewhere['id']}, whose terms are for the agreement `pacific-partners`, and"
            " this is `exercise` (at /object_marking_refs/1). Post it there, or under sharing-terms that name"
            " `exercise` (deny-other-agreement)"
        )


def test_a_definition_that_another_member_posted_first_does_not_loosen_mine(kit: HubKit) -> None:
    mine = terms(recipient_refs=[LAX])
    theirs = {**mine, "extensions": terms(onward="community")["extensions"]}
    assert not post(kit, "all", theirs, member="jptyo")
    citing = indicator(object_marking_refs=[AMBER, mine["id"]])
    said = post(kit, "all", citing)
    assert "(deny-unknown-marking)" in said[citing["id"]]
    said = post(kit, "all", mine, citing)
    assert set(said) == {mine["id"], citing["id"]}
    assert not reads(kit, "all", citing["id"], "jptyo")


def test_my_definition_counts_in_another_collection_and_that_of_an_open_one_for_everybody(
    kit: HubKit,
) -> None:
    mine, anybodys = terms(only_countries=["US"]), statement_marking()
    assert not post(kit, "bay", mine)
    assert not post(kit, "mirror", anybodys, member="jptyo")
    value = indicator(object_marking_refs=[AMBER, mine["id"], anybodys["id"]])
    assert not post(kit, "strict", value)
    assert "(deny-receive-country)" in post(kit, "all", {**value, "id": new_id("indicator")}).popitem()[1]


def test_an_open_collection_that_i_cannot_read_does_not_tell_what_it_holds(kit: HubKit) -> None:
    held = terms(only_countries=["US", "JP"])
    assert not post(kit, "quay", held, member="uslax")
    said = []
    for marking in (held["id"], new_id("marking-definition")):
        citing = indicator(object_marking_refs=[AMBER, marking])
        message = post(kit, "all", citing, member="jptyo")[citing["id"]]
        with kit.client("jptyo", headers={"Accept": "application/json"}) as client:
            why = client.post("/why/exercise/all/", json=citing).text
        said.append((message + why).replace(marking, "ID").replace(citing["id"], "ID"))
    assert said[0] == said[1], "nobody can try out which markings are held there"
    assert not post(kit, "all", indicator(object_marking_refs=[AMBER, held["id"]]), member="uslgb")


def test_a_refused_definition_is_not_replaced_by_a_looser_one_of_the_same_id(kit: HubKit) -> None:
    loose = terms(only_countries=["US", "JP"])
    assert not post(kit, "bay", loose)
    strict = {**terms(only_countries=["US"]), "id": loose["id"], "object_marking_refs": [RED]}
    citing = indicator(object_marking_refs=[AMBER, loose["id"]])
    said = post(kit, "strict", strict, citing)
    assert "(deny-publish-ceiling)" in said[strict["id"]]
    assert "(deny-unknown-marking)" in said[citing["id"]], "it was meant under the stricter terms"
    assert not post(kit, "strict", citing), "cited alone, the id means what is held"


def test_what_says_that_it_is_tlp_and_is_not_is_refused_with_what_cites_it(kit: HubKit) -> None:
    false = extended(TLP2_EXTENSION, tlp_2_0="clear")
    citing = indicator(object_marking_refs=[false["id"]])
    said = post(kit, "all", citing, false)
    assert "(invalid-marking)" in said[false["id"]]
    assert "(deny-unknown-marking)" in said[citing["id"]]
    looser = {**definition(), "id": RED, "extensions": false["extensions"]}
    assert "(invalid-marking)" in post(kit, "bay", looser)[RED]


def test_a_definition_tells_nobody_whom_it_names_but_those(kit: HubKit) -> None:
    secret = terms(recipient_refs=[LAX])
    assert "(deny-receive-recipients)" in post(kit, "all", secret)[secret["id"]]
    assert not reads(kit, "all", secret["id"], "jptyo")
    assert not post(kit, "bay", secret)
    assert reads(kit, "bay", secret["id"], "uslax")


def test_a_warning_stands_beside_what_was_taken_and_refuses_nothing(kit: HubKit) -> None:
    value = identity(contact_information="jane.doe@hafen.de", object_marking_refs=[GREEN])
    with kit.client("uslgb") as client:
        answer = client.post(kit.path("all", "objects/"), json={"objects": [value]}).json()
    assert answer["success_count"] == 1
    assert "(at /contact_information, character 1)" in answer["successes"][0]["message"]
    assert "jane" not in answer["successes"][0]["message"]
