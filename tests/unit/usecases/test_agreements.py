"""Agreements from new to in force: complete files, impact in words, and nothing changed by a mistake."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from governance_samples import DAY, NOW, Hub, uuids
from lightship import data
from lightship.core import dsse
from lightship.core.agreement import AgreementStatus, BadAgreement, Chain
from lightship.core.agreement.chain import key_text
from lightship.core.audit import AccessEvent
from lightship.core.errors import BadFile, Conflict, Damaged, MalformedRequest, NotFound
from lightship.core.ports import Registry
from lightship.core.time import Micros
from lightship.crypto.sign import verify
from lightship.usecases import agreements
from lightship.usecases.draft import Draft
from lightship.usecases.impact import HELD_STAYS
from lightship.usecases.new_agreement import new_text

SAMPLES = (
    *("exercise", "exercise-stakeholders", "la-lb-mou", "pacific-partners", "reference"),
    "san-pedro-stakeholders",
)
LGB_ROLES = 'roles = ["publisher", "consumer"]'


def sample(hub: Hub, name: str) -> str:
    text = (data.policies_dir() / "agreements" / name / "agreement.toml").read_text("utf-8")
    ids = uuids()
    return new_text(name, hub_key=key_text(hub.key.public), new_uuid=lambda: next(ids), sample=text)


def made(hub: Hub, *members: str, **more: str) -> str:
    ids = uuids()
    key = key_text(hub.key.public)
    return new_text("own", hub_key=key, new_uuid=lambda: next(ids), members=members, **more)


# --- new ------------------------------------------------------------------------------------------


def test_the_shipped_samples_are_these() -> None:
    folder = data.policies_dir() / "agreements"
    assert tuple(sorted(path.parent.name for path in folder.glob("*/agreement.toml"))) == SAMPLES


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_applies(name: str) -> None:
    hub = Hub()
    applied = hub.apply(sample(hub, name))
    expected = AgreementStatus.PROPOSED if name == "pacific-partners" else AgreementStatus.IN_FORCE
    assert applied.report.status is expected
    assert applied.report.agreement.authority == "steward alone (1 of 1)"
    assert hub.directory.view().agreements[name].version == 1


def test_the_mou_has_its_collections_and_levels() -> None:
    hub = Hub()
    hub.apply(sample(hub, "la-lb-mou"))
    found = {one.alias: str(one.ceiling) for one in hub.directory.view().agreements["la-lb-mou"].collections}
    assert found == {
        "incidents": "red",
        "indicators": "amber+strict",
        "sightings": "amber+strict",
        "warnings": "green",
    }


def test_stakeholders_write_reports_that_only_the_ports_read() -> None:
    hub = Hub()
    hub.apply(sample(hub, "san-pedro-stakeholders"))
    view = hub.directory.view()
    reports = view.collection("san-pedro-stakeholders", "reports-in")
    advisories = view.collection("san-pedro-stakeholders", "advisories")
    assert reports is not None
    assert advisories is not None
    assert reports.audience == advisories.publishers == {"uslax", "uslgb"}
    assert not reports.publishers & reports.audience
    assert len(advisories.audience) == 9


def test_a_sample_keeps_its_comments_and_can_get_another_id_and_title() -> None:
    hub = Hub()
    text = (data.policies_dir() / "agreements/la-lb-mou/agreement.toml").read_text("utf-8")
    ids = uuids()
    key = key_text(hub.key.public)
    out = new_text("bay", hub_key=key, new_uuid=lambda: next(ids), sample=text, title='A "B" \\1')
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        line for line in out.splitlines() if line.startswith("#")
    ]
    hub.apply(out)
    assert hub.directory.view().agreements["bay"].title == 'A "B" \\1'


def test_an_agreement_from_members_is_complete() -> None:
    hub = Hub()
    agreement = hub.apply(made(hub, "USLAX", 'USLGB=Port "of" \\ Long Beach')).report.agreement
    assert {one.name for one in agreement.members.values()} == {
        "Port of Los Angeles",
        'Port "of" \\ Long Beach',
    }
    assert all(one.identities for one in agreement.members.values())
    assert {one.alias for one in agreement.collections} == {
        "incidents",
        "indicators",
        "sightings",
        "warnings",
    }
    assert agreement.collections[0].audience == {"uslax", "uslgb"}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ((), "sample or from a list"),
        (("USL1X",), "UN/LOCODE"),
        (("USLAX", "USLAX"), "named twice"),
        (("USLAX=\x07",), "cannot be printed"),
    ],
)
def test_members_that_cannot_be_are_refused(members: tuple[str, ...], words: str) -> None:
    with pytest.raises(MalformedRequest, match=words):
        made(Hub(), *members)


def test_a_sample_and_members_together_are_refused() -> None:
    with pytest.raises(MalformedRequest):
        new_text("a", hub_key="k", new_uuid=str, sample="", members=["USLAX"])


def test_a_reserved_id_is_refused_when_the_file_is_made() -> None:
    hub = Hub()
    with pytest.raises(BadFile, match="reserved"):
        new_text("taxii2", hub_key=key_text(hub.key.public), new_uuid=uuids().__next__, members=["USLAX"])


# --- check and apply ------------------------------------------------------------------------------


def test_what_is_applied_is_signed_chained_and_an_event() -> None:
    hub = Hub()
    first = hub.apply(hub.text())
    second = hub.apply(hub.text().replace('"Two ports."', '"Two large ports."'))
    assert (first.signed.version, second.signed.version) == (1, 2)
    content = json.loads(second.signed.payload)
    assert content["prev"] == first.signed.digest
    assert content["policy"] == 1
    assert content["root"]["threshold"] == 1
    assert "unmarked" not in content["collections"]["indicators"]
    chain = Chain("la-lb-mou", verify, pinned_key=hub.key.keyid)
    for link in hub.store.chain("la-lb-mou"):
        assert chain.append(link.envelope).payload == link.payload == dsse.canonical(json.loads(link.payload))
    assert hub.directory.view().agreements["la-lb-mou"].hub == first.signed.digest
    events: list[AccessEvent] = [one for one in hub.store.pending() if one.act == "agreement-apply"]
    assert [(one.agr, one.cred, one.st, one.n) for one in events] == [("la-lb-mou", "steward", 0, 3)] * 2
    assert second.signed.digest in events[-1].q


def test_applying_the_same_again_changes_nothing() -> None:
    hub = Hub()
    hub.apply(hub.text())
    epoch = hub.store.epoch()
    again = hub.apply("# a comment more\n" + hub.text())
    assert not again.changed
    assert again.report.unchanged
    assert again.report.impact.sentences() == []
    assert again.signed.version == 1
    assert hub.store.epoch() == epoch


@pytest.mark.parametrize("line", ["witnesses = []", 'witnesses = ["w"]'])
def test_witnesses_are_signed_as_written_and_compared_as_written(line: str) -> None:
    hub = Hub()
    text = f"{line}\n{hub.text()}"
    signed = hub.apply(text).signed
    assert json.loads(signed.payload)["witnesses"] == (["w"] if "w" in line.split("=")[1] else [])
    assert not hub.apply(text).changed
    assert hub.apply(hub.text()).changed is ("w" in line.split("=")[1])


def test_checking_changes_nothing() -> None:
    hub = Hub()
    report = hub.check(hub.text())
    assert report.version == 1
    assert not hub.store.chain("la-lb-mou")
    assert "`uslax` gains reading `indicators`" in report.impact.sentences()


def test_the_impact_names_who_gains_and_who_loses_per_collection() -> None:
    hub = Hub()
    hub.apply(hub.text())
    text = (
        hub.text()
        .replace(LGB_ROLES, 'roles = ["consumer"]')
        .replace('publishers = ["uslgb"]', 'publishers = ["uslax"]')
        .replace('roles = ["auditor"]', 'roles = ["auditor", "consumer"]')
        .replace('ceiling = "green"', 'ceiling = "clear"\nvalidation = "lenient"')
    )
    said = hub.check(text).impact.sentences()
    for sentence in (
        "`uslgb` loses publishing `indicators`",
        "`jptyo` gains reading `indicators`",
        "`jptyo` gains reading `warnings`",
        "`uslgb` loses publishing `warnings`",
        "`uslax` gains publishing `warnings`",
        f"`warnings`: ceiling changes from green to clear; {HELD_STAYS}",
        "`warnings`: validation changes from strict to lenient",
        "the entry of member `uslgb` changes",
    ):
        assert sentence in said, said
    assert [one for one in said if "`incidents`" in one] == ["`uslgb` loses publishing `incidents`"]


def test_of_many_members_the_first_are_named_and_the_others_counted() -> None:
    hub = Hub()
    places = [f"US{one}{other}X" for one in "ABCDE" for other in "ABCDE"]
    said = hub.check(made(hub, *places)).impact.sentences()
    assert "`usaax` becomes a member" in said
    assert "5 more become members" in said
    assert "`usaax` gains reading `warnings`" in said
    assert "5 more gain reading `warnings`" in said
    assert not any("useex" in one for one in said)


def test_members_and_collections_that_come_and_go_are_named() -> None:
    hub = Hub()
    hub.apply(hub.text())
    head, _, rest = hub.text().partition("[members.jptyo]")
    text = head + "[collections.incidents]" + rest.partition("[collections.incidents]")[2]
    text = text.replace("[collections.warnings]", "[collections.alerts]").replace(
        "aaaaaaaaaaa3", "aaaaaaaaaaa4"
    )
    said = hub.check(text.replace('"Warnings"', '"Alerts"')).impact.sentences()
    assert "`jptyo` is no member any more: its credentials stop working" in said
    assert "collection `alerts` is new" in said
    assert "collection `warnings` is removed" in said
    assert "`warnings`: its objects can no longer be read; they are kept until their time is over" in said


def test_another_hubs_key_is_refused_with_the_right_one_named() -> None:
    hub, other = Hub(), Hub()
    with pytest.raises(BadAgreement, match="another hub's key") as caught:
        hub.apply(other.text())
    assert key_text(hub.key.public) in str(caught.value)
    assert not hub.store.agreement_ids()


def test_a_collection_id_of_another_agreement_is_refused() -> None:
    hub = Hub()
    hub.apply(hub.text())
    with pytest.raises(BadAgreement, match="belongs to agreement `la-lb-mou`") as caught:
        hub.apply(hub.text().replace('"la-lb-mou"', '"other"'))
    assert len(caught.value.problems) == 3


def test_a_file_with_mistakes_changes_nothing() -> None:
    hub = Hub()
    hub.apply(hub.text())
    epoch = hub.store.epoch()
    for text in ("", "id =", hub.text().replace('"USLAX"', '"USL1X"'), hub.text() + "\nx = 1\n"):
        with pytest.raises(BadFile):
            hub.apply(text)
    assert hub.store.epoch() == epoch
    assert len(hub.store.chain("la-lb-mou")) == 1


def test_a_version_that_another_process_was_faster_with_is_a_conflict() -> None:
    hub = Hub()
    hub.apply(hub.text())

    class Late:
        """Sees the chain as it was before the other process's version."""

        def __init__(self) -> None:
            self.old = tuple(hub.store.chain("la-lb-mou"))

        def __getattr__(self, name: str) -> object:
            return getattr(hub.store, name)

        def chain(self, agreement: str) -> object:
            return self.old

    late = Late()
    hub.apply(hub.text().replace("Two ports", "First"))
    with pytest.raises(Conflict):
        agreements.apply(
            replace(hub.ground(), registry=cast(Registry, late)),
            hub.directory,
            Draft(hub.text().replace("Two ports", "Second"), "a.toml"),
            signer=hub.key,
            req=hub.req(),
            now=NOW,
        )
    assert hub.directory.view().agreements["la-lb-mou"].description == "First."


def test_a_date_in_the_past_is_said_before_it_is_signed() -> None:
    hub = Hub()
    report = hub.check(hub.text().replace("2027-12-31", "2026-05-01"))
    assert report.status is AgreementStatus.GRACE
    assert any("date is past" in note for note in report.notes)


def test_what_is_not_acted_on_yet_is_in_the_notes() -> None:
    hub = Hub()
    assert any("consumers that verify" in note for note in hub.check(f"{hub.text()}max_age_s = 60\n").notes)
    assert not hub.check(sample(hub, "exercise")).notes


def test_an_agreement_that_is_ended_stays_in_the_chain() -> None:
    hub = Hub()
    hub.apply(hub.text())
    applied = hub.apply("ended = true\n" + hub.text())
    assert "the agreement ends: reading and publishing stop" in applied.report.impact.sentences()
    shown = agreements.show(hub.store, hub.directory.view(), "la-lb-mou", NOW)
    assert shown.status is AgreementStatus.ENDED
    assert [one.version for one in shown.chain] == [1, 2]


def test_showing_what_is_not_there_says_what_is() -> None:
    hub = Hub()
    hub.apply(hub.text())
    with pytest.raises(NotFound, match="There are: la-lb-mou"):
        agreements.show(hub.store, hub.directory.view(), "other", NOW)


def test_a_chain_that_does_not_hold_takes_no_new_version() -> None:
    hub = Hub()
    hub.apply(hub.text())
    (link,) = hub.store.chain("la-lb-mou")

    class Altered:
        def __getattr__(self, name: str) -> object:
            return getattr(hub.store, name)

        def chain(self, agreement: str) -> object:
            return (replace(link, envelope=link.envelope.replace(b"A", b"B", 1)),)

    with pytest.raises(Damaged, match="does not hold"):
        agreements.check(
            replace(hub.ground(), registry=cast(Registry, Altered())),
            Draft(hub.text(), "a.toml"),
            hub_key=hub.key.public,
            now=Micros(NOW + DAY),
        )


def test_samples_hold_no_ids_and_no_keys() -> None:
    for path in Path(data.policies_dir() / "agreements").glob("*/agreement.toml"):
        text = path.read_text("utf-8")
        assert "identity--" not in text
        assert "ed25519:" not in text
