"""Searching the access log over HTTP: whose events, how much of them, who got an object, page by page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lightship.core.time import format_stamp
from lightship.usecases.recover import recover
from probehub import ProbeHub
from stixsamples import indicator, malware
from taxiiprobe import Party

JSON = "application/json"
LATE_S = 11
"""Seconds after which who reads cannot have got what was withdrawn, however slow the disk was."""
Event = dict[str, Any]


def page(party: Party, hub: ProbeHub, **filters: str | int) -> dict[str, Any]:
    """Return one answer of the audit search."""
    reply = party.get(hub.place("audit"), filters, Accept=JSON)
    assert reply.status == 200, reply
    assert reply.headers["content-type"] == JSON
    assert reply.headers["cache-control"] == "no-store"
    found: dict[str, Any] = json.loads(reply.body)
    return found


def events(party: Party, hub: ProbeHub, **filters: str | int) -> list[Event]:
    found: list[Event] = page(party, hub, **filters)["events"]
    return found


@pytest.fixture
def joint(hub: ProbeHub) -> Party:
    return hub.party("joint auditor")


def test_an_auditor_sees_its_own_members_events_only(hub: ProbeHub) -> None:
    hub.lax.objects()
    hub.lgb.objects("limit=5")
    hub.auditor.get("/taxii2/")
    found = events(hub.lgb, hub)
    assert {one["member"] for one in found} == {"uslgb"}
    assert page(hub.lgb, hub)["scope"] == "member"
    (read,) = [one for one in found if one["act"] == "read-objects"]
    assert (read["query"], read["address"]) == ("limit=5", "127.0.0.1")
    assert read["principal"] == hub.principal("publisher").name
    assert [one["act"] for one in events(hub.auditor, hub)] == ["discover"]


def test_what_the_steward_did_for_a_member_is_among_its_events(hub: ProbeHub) -> None:
    name, _ = hub.login("uslgb")
    hub.login("uslax")
    recover(hub.store, hub.access)  # as every command on a hub's directory does at its end
    (minted,) = events(hub.lgb, hub, action="credential-mint")
    assert (minted["credential"], minted["rule"], minted["query"]) == ("steward", "steward", name)
    assert events(hub.lgb, hub, principal="steward") == [minted]


def test_a_joint_auditor_sees_all_members_but_not_what_they_asked_for_or_from_where(
    hub: ProbeHub, joint: Party
) -> None:
    secret = indicator(name="Never to be seen by an auditor")
    hub.lgb.publish(secret)
    hub.lax.object(secret["id"])
    hub.lax.objects("match[type]=indicator")
    hub.reader.objects()
    joint.get("/taxii2/", "own=1")
    answer = joint.get(hub.place("audit"), Accept=JSON)
    found = json.loads(answer.body)["events"]
    assert {"uslax", "uslgb", "reader", "joint"} <= {one["member"] for one in found}
    for one in found:
        own = one["member"] == "joint"
        assert (one["query"] is None, one["address"] is None) == (not own, not own)
        assert len(one["query_digest"]) == len(one["address_digest"]) == 64
    for hidden in (secret["id"], secret["name"], "match[type]", secret["pattern"]):
        assert hidden.encode() not in answer.body
    own = [one for one in found if one["member"] == "joint" and one["credential"] != "steward"]
    assert answer.body.count(b"127.0.0.1") == len(own) > 0


def test_equal_queries_of_others_have_different_digests(hub: ProbeHub, joint: Party) -> None:
    """Each event has its own salts: a guess cannot be compared with one event after the other for nothing."""
    for _ in range(3):
        hub.lax.objects("limit=7")
    digests = [one["query_digest"] for one in events(joint, hub, action="read-objects")]
    assert len(set(digests)) == len(digests) == 3


def test_members_that_the_agreement_names_are_joint_auditors(hub: ProbeHub) -> None:
    hub.apply_auditors("reader")
    hub.lax.objects()
    assert page(hub.reader, hub)["scope"] == "agreement"
    assert "uslax" in {one["member"] for one in events(hub.reader, hub)}


def test_another_members_events_are_refused_by_name_of_the_rule(hub: ProbeHub) -> None:
    answer = hub.lgb.get(hub.place("audit"), {"member": "uslax"}, Accept=JSON).error(403)
    assert answer["details"] == {"rule": "deny-audit-scope"}
    assert {one["member"] for one in events(hub.lgb, hub, member="uslgb")} == {"uslgb"}


@pytest.mark.parametrize(
    "filters", [{"member": "uslax"}, {"principal": "uslax/a"}, {"collection": "indicators"}]
)
def test_filters_narrow_what_a_joint_auditor_sees(
    hub: ProbeHub, joint: Party, filters: dict[str, str]
) -> None:
    for party in (hub.lax, hub.lgb, hub.reader):
        party.objects()
        party.get("/taxii2/")
    found = events(joint, hub, **filters)
    assert found
    if "collection" in filters:
        assert {one["collection"] for one in found} == {hub.collections["indicators"]}
        assert {one["member"] for one in found} == {"uslax", "uslgb", "reader"}
    else:
        assert {one["member"] for one in found} == {"uslax"}


def test_outcome_action_and_time_narrow_too(hub: ProbeHub, joint: Party) -> None:
    hub.lax.objects()
    hub.advance(60)
    hub.writer.objects()
    later = format_stamp(hub.clock.now())
    assert [one["member"] for one in events(joint, hub, outcome="refused")] == ["writer"]
    assert [one["member"] for one in events(joint, hub, action="read-objects", until=later)] == ["uslax"]
    assert [one["member"] for one in events(joint, hub, action="read-objects", since=later)] == ["writer"]
    assert events(joint, hub, action="no-such-act") == []


def test_searching_the_log_is_an_event_itself(hub: ProbeHub) -> None:
    page(hub.lgb, hub, outcome="refused")
    (searched,) = events(hub.lgb, hub, action="read-audit")
    shown = searched["query"], searched["status"], searched["rule"]
    assert shown == ("outcome=refused", 200, "allow-own-audit")
    refused = hub.reader.get(hub.place("audit"), Accept=JSON)
    assert refused.status == 403
    assert hub.events()[-1].act == "read-audit"


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=x", "limit=-1", "outcome=maybe", "since=yesterday", "until=2026-02-30T00:00:00Z"),
        *(
            "object=x",
            "next=x",
            "next=1",
            "colection=x",
            "member=",
            "member=a&member=b",
            "limit=%ZZ",
            "x=%00",
        ),
    ],
)
def test_what_has_no_meaning_is_refused_instead_of_left_out(hub: ProbeHub, query: str) -> None:
    hub.lgb.get(hub.place("audit"), query, Accept=JSON).advice(400)


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_pages_together_are_the_whole(hub: ProbeHub, joint: Party, step: int) -> None:
    """Also where many events share a microsecond, and while others are recorded."""
    for number in range(20):
        hub.lax.objects(f"limit={number + 1}")
        if number % 6 == 5:
            hub.advance(1)
    until = format_stamp(hub.clock.now() + 1)
    hub.advance(1)
    whole = events(joint, hub, until=until)
    assert len(whole) > 20
    found: list[Event] = []
    asked: dict[str, str | int] = {"limit": step, "until": until}
    while True:
        answer = page(joint, hub, **asked)
        assert 0 < len(answer["events"]) <= step
        found += answer["events"]
        if not answer["more"]:
            assert "next" not in answer
            break
        asked["next"] = answer["next"]
        hub.lax.get("/taxii2/")
    assert [one["req"] for one in found] == [one["req"] for one in whole]


# --- who got this object ------------------------------------------------------------------------


def got(party: Party, hub: ProbeHub, object_id: str, **filters: str | int) -> list[tuple[str, str]]:
    """Return (member, act) of the events that offered an object."""
    return [(one["member"], one["act"]) for one in events(party, hub, object=object_id, **filters)]


def test_who_got_an_object(hub: ProbeHub, joint: Party) -> None:
    hub.lax.objects()
    one, other = indicator(), malware()
    hub.lgb.publish(one)
    hub.advance(1)
    hub.reader.objects("match[type]=malware")
    hub.lgb.publish(other)
    hub.advance(1)
    hub.reader.objects("match[type]=malware")
    hub.reader.objects(f"match[id]={other['id']}")
    assert got(joint, hub, one["id"]) == []
    hub.lax.objects()
    hub.lax.manifest()
    hub.reader.object(one["id"])
    hub.reader.versions(one["id"])
    hub.reader.object(indicator()["id"])
    hub.writer.objects()
    assert got(joint, hub, one["id"]) == [
        ("uslax", "read-objects"),
        ("uslax", "read-manifest"),
        ("reader", "read-object"),
        ("reader", "read-versions"),
    ]
    assert got(joint, hub, one["id"], action="read-objects") == [("uslax", "read-objects")]
    assert ("reader", "read-objects") in got(joint, hub, other["id"])
    assert got(joint, hub, indicator()["id"]) == []


def test_who_got_an_object_that_was_withdrawn_since(hub: ProbeHub, joint: Party) -> None:
    one = indicator()
    hub.lgb.publish(one, indicator())
    hub.advance(1)
    hub.lax.objects()
    hub.advance(1)
    hub.lgb.withdraw(one["id"]).ok()
    hub.advance(LATE_S)
    hub.reader.objects()
    assert got(joint, hub, one["id"]) == [("uslax", "read-objects")]


def test_who_read_while_it_was_added_or_withdrawn_counts(hub: ProbeHub, joint: Party) -> None:
    """Stamps lie ahead of the clock, and a withdrawal takes a moment: rather one event too many than one too
    few."""
    one = indicator()
    hub.lgb.publish(one, indicator())
    hub.lax.objects()
    hub.lgb.withdraw(one["id"]).ok()
    hub.reader.objects("added_after=2026-01-01T00:00:00Z")
    assert ("uslax", "read-objects") in got(joint, hub, one["id"])


def test_who_got_an_object_page_by_page(hub: ProbeHub, joint: Party) -> None:
    for _ in range(5):
        hub.lgb.publish(indicator())
    one = indicator()
    hub.lgb.publish(one)
    hub.advance(1)
    first = hub.lax.objects("limit=2&match[type]=indicator")
    second = hub.lax.objects({"limit": 2, "next": first.json["next"]})
    third = hub.lax.objects({"limit": 2, "next": second.json["next"]})
    assert third.objects[-1] == one
    (reached,) = events(joint, hub, object=one["id"])
    assert reached["first"] == third.first
    other = hub.lax.objects("limit=1&match[type]=malware,indicator").json["next"]
    hub.lax.objects({"next": other, "limit": 100})
    assert len(got(joint, hub, one["id"])) == 2


def test_an_auditor_learns_only_whether_its_own_member_got_an_object(hub: ProbeHub) -> None:
    one = indicator()
    hub.lgb.publish(one)
    hub.advance(1)
    hub.lax.objects()
    assert got(hub.lgb, hub, one["id"]) == []
    assert got(hub.lax, hub, one["id"]) == [("uslax", "read-objects")]
    assert got(hub.auditor, hub, one["id"]) == []


def test_an_object_of_another_collection_was_not_offered_by_this_one(hub: ProbeHub, joint: Party) -> None:
    one = indicator()
    body = json.dumps({"objects": [one]}).encode()
    hub.lgb.ask("POST", hub.path("sightings", "objects/"), body=body).ok()
    hub.lgb.publish(indicator())
    hub.advance(1)
    hub.lax.objects()
    assert got(joint, hub, one["id"]) == []
    hub.lax.get(hub.path("sightings", "objects/"))
    assert got(joint, hub, one["id"], collection="sightings") == [("uslax", "read-objects")]
    assert got(joint, hub, one["id"], collection="indicators") == []


def test_the_audit_outlives_the_agreement(hub: ProbeHub, joint: Party) -> None:
    """Content reads stop when an agreement has ended; who accessed what stays to be reviewed."""
    one = indicator()
    hub.lgb.publish(one)
    hub.advance(1)
    hub.lax.objects()
    hub.end()
    hub.lax.objects().error(403)
    assert got(joint, hub, one["id"]) == [("uslax", "read-objects")]
    found = json.loads(hub.lax.get(hub.place("why"), Accept=JSON).body)
    assert (found["allowed"], found["rule"]) == (False, "deny-agreement-not-in-force")
    hub.lax.get(hub.place("audience"), Accept=JSON).error(403)
