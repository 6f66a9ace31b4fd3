"""`/why` and `/audience`: what they say, to whom, about what, and that nothing is stored by asking."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from probehub import ProbeHub, probe_hub
from stixsamples import Stix, identity, indicator, sharing_terms
from taxiiprobe import TAXII, Party

JSON = "application/json"
RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
AMBER = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"


@pytest.fixture
def hub() -> Iterator[ProbeHub]:
    with probe_hub() as made:
        yield made


def why(hub: ProbeHub, who: str, **asked: str) -> dict[str, Any]:
    reply = hub.party(who).get(hub.place("why"), asked, Accept=JSON)
    assert reply.status == 200, reply
    found: dict[str, Any] = json.loads(reply.body)
    return found


def posted(hub: ProbeHub, who: str, place: str, body: object, query: str = "") -> dict[str, Any]:
    """Return the answer to a question about objects."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Accept": JSON, "Content-Type": JSON}
    reply = hub.party(who).ask("POST", hub.place(place), query, headers=headers, body=raw)
    assert reply.status == 200, reply
    found: dict[str, Any] = json.loads(reply.body)
    return found


# --- why ----------------------------------------------------------------------------------------


def test_why_names_the_decision_its_rules_and_what_was_missing(hub: ProbeHub) -> None:
    found = why(hub, "writer", action="read")
    assert (found["allowed"], found["rule"]) == (False, "deny-default")
    assert (found["member"], found["action"], found["collection"]) == ("writer", "read", "pedro/indicators")
    (near,) = found["permits"]
    assert (near["rule"], near["holds"]) == ("allow-audience-read", False)
    assert [one["holds"] for one in near["conditions"]] == [False]
    allowed = why(hub, "reader")
    assert (allowed["action"], allowed["allowed"]) == ("read", True)
    assert [one["rule"] for one in allowed["reasons"]] == ["allow-audience-read"]


def test_why_agrees_with_what_requests_get(hub: ProbeHub) -> None:
    for who in ("reader", "writer", "publisher", "auditor", "joint auditor", "approver"):
        assert why(hub, who, action="read")["allowed"] == (hub.party(who).objects().status == 200)
        assert why(hub, who, action="publish")["allowed"] == (hub.party(who).post(indicator()).status == 202)
        audit = hub.party(who).get(hub.place("audit"), Accept=JSON).status == 200
        own, all_members = (why(hub, who, action=one)["allowed"] for one in ("readAudit", "readJointAudit"))
        assert (own or all_members) == audit


@pytest.mark.parametrize("name", ["", "member", "name", "id", "member/name"])
def test_everybody_may_ask_about_itself_under_each_of_its_names(hub: ProbeHub, name: str) -> None:
    own = hub.principal("reader")
    names = {"member": own.member, "name": own.name, "id": own.credential, "member/name": "reader/reader"}
    asked = {"principal": names[name]} if name else {}
    assert why(hub, "reader", **asked)["member"] == "reader"


def test_an_auditor_may_ask_about_its_member_and_a_joint_auditor_about_all(hub: ProbeHub) -> None:
    hub.revoke(hub.lgb_second)
    found = why(hub, "publisher", principal="uslgb/second")
    assert (found["allowed"], found["rule"]) == (False, "deny-revoked")
    assert "was revoked" in found["say"]
    assert why(hub, "joint auditor", principal="uslgb/second")["rule"] == "deny-revoked"
    assert why(hub, "joint auditor", principal="writer", action="publish")["allowed"]
    assert hub.auditor.get(hub.place("why"), {"principal": "uslgb"}, Accept=JSON).status == 404


def test_why_of_objects_is_what_posting_them_comes_to(hub: ProbeHub) -> None:
    good, red, wrong = indicator(), indicator(object_marking_refs=[RED]), indicator(pattern="[")
    other = identity(id=hub.identity_of("uslax"))
    mine = indicator(created_by_ref=hub.identity_of("uslax"))
    objects = [good, red, wrong, other, mine, {"type": "indicator"}]
    found = posted(hub, "publisher", "why", {"objects": objects})
    said = [(one["object"], one["allowed"], one["rule"]) for one in found["objects"]]
    assert [one[0] for one in said[:5]] == [one["id"] for one in objects[:5]]
    assert [one[1] for one in said] == [True, False, False, False, False, False]
    assert said[1][2] == "deny-publish-ceiling"
    status = hub.lgb.post(*objects).json
    assert [one["id"] for one in status["successes"]] == [good["id"]]
    messages = {one["id"]: one["message"] for one in status["failures"]}
    for object_id, allowed, rule in said:
        if not allowed:
            assert f"({rule})" in messages[object_id]


@pytest.mark.parametrize("form", ["object", "bundle", "envelope", "observed data"])
def test_a_question_may_bring_an_object_a_bundle_or_an_envelope(hub: ProbeHub, form: str) -> None:
    one = indicator()
    body: dict[str, Any] = {
        "object": one,
        "bundle": {"type": "bundle", "id": f"bundle--{one['id'][11:]}", "objects": [one]},
        "envelope": {"objects": [one]},
        "observed data": {"type": "observed-data", "id": f"observed-data--{one['id'][11:]}", "objects": {}},
    }[form]
    (answer,) = posted(hub, "publisher", "why", body)["objects"]
    assert answer["allowed"] == (form != "observed data")
    assert answer["object"] == (body["id"] if form == "observed data" else one["id"])


def test_a_question_stores_nothing(hub: ProbeHub) -> None:
    one = indicator()
    for place in ("why", "audience"):
        posted(hub, "publisher", place, one)
    assert hub.lgb.objects().objects == []
    hub.lgb.object(one["id"]).error(404)
    assert hub.lgb.post(one).json["successes"] == [{"id": one["id"], "version": one["modified"]}]


@pytest.mark.parametrize("place", ["why", "audience"])
@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (406, {"Accept": TAXII}, b"{}"),
        (406, {"Accept": "text/html, application/json;q=0"}, b"{}"),
        (415, {"Content-Type": "text/plain"}, b"{}"),
        (415, {"Content-Encoding": "br"}, b"{}"),
        (400, {}, b"{"),
        (400, {"Content-Encoding": "gzip"}, b"{}"),
        (422, {}, b"[]"),
        (422, {}, b'{"objects":[]}'),
        (422, {}, b'{"objects":[' + b",".join([b"{}"] * 101) + b"]}"),
        (413, {}, b'{"objects":["' + b"x" * 1_100_000 + b'"]}'),
    ],
)
def test_what_is_no_question_about_objects_is_refused(
    hub: ProbeHub, place: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    sent: dict[str, str | None] = {"Accept": JSON, "Content-Type": JSON, **headers}
    hub.lgb.ask("POST", hub.place(place), headers=sent, body=body).advice(status)


@pytest.mark.parametrize("query", ["action=fly", "action=read&action=read", "principal=", "actoin=read"])
def test_a_question_without_a_clear_meaning_is_refused(hub: ProbeHub, query: str) -> None:
    hub.lgb.get(hub.place("why"), query, Accept=JSON).advice(400)


# --- audience -----------------------------------------------------------------------------------


def test_the_audience_by_name_and_number_of_clients(hub: ProbeHub) -> None:
    assert hub.lgb_second.objects().status == 200
    hub.revoke(hub.short_lived(600))
    found = json.loads(hub.writer.get(hub.place("audience"), Accept=JSON).body)
    assert (found["collection"], found["status"]) == ("pedro/indicators", "in-force")
    clients = {one["member"]: one["clients"] for one in found["readers"]}
    assert clients == {"uslax": 0, "uslgb": 1, "reader": 0}
    assert {one["name"] for one in found["readers"]} == set(clients)


def receivers(found: dict[str, Any], one: Stix) -> dict[str, Any]:
    (shown,) = [each for each in found["objects"] if each["id"] == one["id"]]
    return dict(shown)


def test_who_would_get_an_object_by_its_markings(hub: ProbeHub) -> None:
    lax = hub.identity_of("uslax")
    terms = sharing_terms("pedro", recipient_refs=[lax])
    named = indicator(object_marking_refs=[AMBER, terms["id"]])
    plain = indicator(object_marking_refs=[AMBER])
    found = posted(hub, "publisher", "audience", {"objects": [terms, named, plain]})
    assert {one["member"] for one in found["readers"]} == {"uslax", "uslgb", "reader"}
    open_to_all = receivers(found, plain)
    assert (open_to_all["taken_from"], open_to_all["refused"]) == (["uslgb"], [])
    assert set(open_to_all["receives"]) == {"uslax", "uslgb", "reader"}
    held = receivers(found, named)
    assert (held["taken_from"], set(held["receives"])) == ([], {"uslax", "uslgb"})
    assert [(one["member"], one["rule"]) for one in held["withheld"]] == [
        ("reader", "deny-receive-recipients")
    ]
    (refused,) = held["refused"]
    assert refused["member"] == "uslgb"
    assert "reader" in refused["say"]
    (failure, *_) = hub.lgb.post(terms, named).json["failures"]
    assert failure["message"].startswith(refused["say"])


def test_the_terms_of_time_are_shown(hub: ProbeHub) -> None:
    terms = sharing_terms("pedro", release_at="2098-01-01T00:00:00Z", share_until="2099-01-01T00:00:00Z")
    one = indicator(object_marking_refs=[AMBER, terms["id"]])
    shown = receivers(posted(hub, "publisher", "audience", {"objects": [terms, one]}), one)
    assert (shown["release_at"][:10], shown["share_until"][:10]) == ("2098-01-01", "2099-01-01")


def test_an_unknown_marking_and_a_broken_object_are_named(hub: ProbeHub) -> None:
    unknown = indicator(object_marking_refs=[sharing_terms("pedro")["id"]])
    broken = indicator(pattern="[")
    found = posted(hub, "publisher", "audience", {"objects": [unknown, broken]})
    for one, rule in ((unknown, "deny-unknown-marking"), (broken, "")):
        shown = receivers(found, one)
        assert (shown["taken_from"], shown["receives"], shown["withheld"]) == ([], [], [])
        assert shown["refused"][0]["rule"].startswith(rule)
        assert shown["refused"][0]["say"]


def test_a_reader_learns_who_reads_and_that_it_may_not_post(hub: ProbeHub) -> None:
    one = indicator()
    shown = receivers(posted(hub, "reader", "audience", one), one)
    assert (shown["taken_from"], shown["refused"][0]["rule"]) == ([], "deny-default")


def test_a_definition_of_another_member_counts_as_unknown_also_when_asking(hub: ProbeHub) -> None:
    terms = sharing_terms("pedro", onward="same-agreement")
    hub.lgb.publish(terms)
    one = indicator(object_marking_refs=[AMBER, terms["id"]])
    known, unknown = (receivers(posted(hub, who, "audience", one), one) for who in ("publisher", "writer"))
    assert known["taken_from"] == ["uslgb"]
    assert unknown["refused"][0]["rule"] == "deny-unknown-marking"


def test_nothing_is_answered_from_another_members_point_of_view(hub: ProbeHub) -> None:
    """No parameter of /audience names a principal."""
    reply = Party(hub.driver, hub.lgb.authorization, "").get(
        hub.place("audience"), {"principal": "uslax"}, Accept=JSON
    )
    reply.advice(400)


def test_an_auditor_of_others_learns_nothing_of_what_they_hold(hub: ProbeHub) -> None:
    """A definition is content: asked about another member, only what came along counts."""
    terms = sharing_terms("pedro", onward="same-agreement")
    hub.lgb.publish(terms)
    one = indicator(object_marking_refs=[AMBER, terms["id"]])
    asked = "principal=uslgb"
    (held,) = posted(hub, "joint auditor", "why", one, asked)["objects"]
    none = indicator(object_marking_refs=[AMBER, sharing_terms("pedro")["id"]])
    (unheld,) = posted(hub, "joint auditor", "why", none, asked)["objects"]
    assert held["rule"] == unheld["rule"] == "deny-unknown-marking"
    found = posted(hub, "joint auditor", "why", {"objects": [terms, one]}, asked)["objects"]
    assert [each["allowed"] for each in found] == [True, True]
