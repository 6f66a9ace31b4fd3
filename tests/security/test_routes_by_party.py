"""Every route and method as every party, right and wrong: the status, and the access event with its rule.

The table below is what is promised. The routes are taken from the application itself, so a new one without
a line here fails, and so does one that leaves no event.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from probehub import MEMBER_OF, ProbeHub, routes_of_the_application
from stixsamples import indicator
from taxiiprobe import TAXII, Party, Reply, query_bytes

LOGGED_IN = (
    *("stranger", "auditor", "joint auditor", "approver"),
    *("reader", "writer", "publisher", "other publisher"),
)
REFUSED_LOGINS = {
    "nobody": "deny-no-credential",
    "wrong secret": "deny-unknown-credential",
    "wrong name": "deny-unknown-credential",
    "expired": "deny-expired",
    "revoked": "deny-revoked",
    "wrong address": "deny-address",
    "former member": "deny-no-member",
}
"""Parties whose login is refused, and the rule that the access event names: 401 on every route."""

Expected = tuple[int, str]
READ = "allow-audience-read"
LIST = "allow-member-list"
PUBLISH = "allow-publisher-publish"
NOT_FOUND: Expected = (404, "not-found")
DEFAULT: Expected = (403, "deny-default")
AUDITOR: Expected = (403, "deny-auditor-content")
OUTSIDE = {"stranger": NOT_FOUND}
EVERYBODY = dict.fromkeys(LOGGED_IN, (200, LIST))
MEMBERS = EVERYBODY | OUTSIDE
CONTENT = OUTSIDE | {
    **dict.fromkeys(("auditor", "joint auditor"), AUDITOR),
    **dict.fromkeys(("approver", "writer"), DEFAULT),
    **dict.fromkeys(("reader", "publisher", "other publisher"), (200, READ)),
}
POSTING = OUTSIDE | {
    **dict.fromkeys(("auditor", "joint auditor", "approver", "reader"), DEFAULT),
    **dict.fromkeys(("writer", "publisher", "other publisher"), (202, PUBLISH)),
}
WITHDRAWING = OUTSIDE | {
    **dict.fromkeys(("auditor", "joint auditor", "approver"), (404, "deny-default")),
    **dict.fromkeys(("reader", "writer"), DEFAULT),
    "publisher": (200, "allow-publisher-withdraw"),
    "other publisher": (403, "deny-owner"),
}
STATUS = dict.fromkeys(LOGGED_IN, NOT_FOUND) | {"publisher": (200, "allow-own-status")}
AUDIENCE = CONTENT | {"writer": (200, PUBLISH)}
AUDIT = OUTSIDE | {
    **dict.fromkeys(("approver", "reader", "writer"), DEFAULT),
    **dict.fromkeys(("auditor", "publisher", "other publisher"), (200, "allow-own-audit")),
    "joint auditor": (200, "allow-joint-audit"),
}
STAGED = MEMBERS
"""Everybody's own, which mostly is nothing."""
UNREADABLE: Expected = (400, "malformed-request")
SIGNING = POSTING | dict.fromkeys(("writer", "publisher", "other publisher"), UNREADABLE)
"""Whoever may post is told that an envelope of objects is no signed statement."""
HANDING_IN = dict.fromkeys(LOGGED_IN, (400, "bad-record")) | OUTSIDE
"""An envelope of objects is no roster; whose one is, its signature says."""
CANCELLING = dict.fromkeys(LOGGED_IN, NOT_FOUND) | {"publisher": (200, LIST)}
"""A staged object of another member is like none."""

IN_COLLECTION = {
    *("collection", "manifest", "objects", "object", "versions"),
    *("why", "audience", "staged", "staged object"),
    *("checkpoint", "bundle", "signed"),
}


@dataclass(frozen=True)
class Line:
    """One route: how it is asked for, and what each logged-in party gets (status, rule)."""

    method: str
    place: str
    expected: Mapping[str, Expected]
    accept: str = field(default=TAXII)


JSON = "application/json"
TABLE: dict[str, Line] = {
    "discover": Line("GET", "/taxii2/", EVERYBODY),
    "read-openapi": Line("GET", "/openapi.json", EVERYBODY),
    "list-schemas": Line("GET", "/schemas/", EVERYBODY),
    "read-schema": Line("GET", "/schemas/maritime-context-1.0.json", EVERYBODY),
    "read-root": Line("GET", "root", MEMBERS),
    "list-collections": Line("GET", "collections", MEMBERS),
    "read-collection": Line("GET", "collection", MEMBERS),
    "read-manifest": Line("GET", "manifest", CONTENT),
    "read-objects": Line("GET", "objects", CONTENT),
    "read-object": Line("GET", "object", CONTENT),
    "read-versions": Line("GET", "versions", CONTENT),
    "publish": Line("POST", "objects", POSTING),
    "withdraw": Line("DELETE", "object", WITHDRAWING),
    "read-status": Line("GET", "status", STATUS),
    "read-why": Line("GET", "why", MEMBERS, JSON),
    "read-why-objects": Line("POST", "why", MEMBERS, JSON),
    "read-audience": Line("GET", "audience", AUDIENCE, JSON),
    "read-audience-objects": Line("POST", "audience", AUDIENCE, JSON),
    "read-audit": Line("GET", "audit", AUDIT, JSON),
    "read-staged": Line("GET", "staged", STAGED, JSON),
    "read-checkpoint": Line("GET", "checkpoint", CONTENT, "text/plain"),
    "read-log": Line("GET", "bundle", CONTENT, "application/octet-stream"),
    "read-standing": Line("GET", "standing", MEMBERS, JSON),
    "read-agreement": Line("GET", "version", MEMBERS, JSON),
    "read-roster": Line("GET", "roster", dict.fromkeys(LOGGED_IN, NOT_FOUND), JSON),
    "publish-signed": Line("POST", "signed", SIGNING, JSON),
    "apply-roster": Line("POST", "rosters", HANDING_IN, JSON),
    "cancel-staged": Line("DELETE", "staged object", CANCELLING, JSON),
}
"""Access action -> its line."""


def test_every_route_of_the_application_has_its_line() -> None:
    routes = routes_of_the_application()
    assert routes
    assert {(act, line.method) for act, line in TABLE.items()} == routes


def test_every_line_names_every_party() -> None:
    for act, line in TABLE.items():
        assert set(line.expected) == set(LOGGED_IN), act


def test_what_is_served_beside_the_exchange_is_health_alone(hub: ProbeHub) -> None:
    """Only these two answer without an event: they are asked by machines all the time and tell about
    nobody."""
    silent = set()
    for path in json.loads(hub.lax.get("/openapi.json").body)["paths"]:
        before = len(hub.events())
        hub.nobody.get(path.replace("{", "").replace("}", ""))
        if len(hub.events()) == before:
            silent.add(path)
    assert silent == {"/healthz", "/readyz"}


@pytest.mark.parametrize("act", TABLE)
@pytest.mark.parametrize("party", LOGGED_IN)
def test_a_route_as_a_party_that_is_logged_in(hub: ProbeHub, act: str, party: str) -> None:
    line = TABLE[act]
    path = hub.place(line.place)
    before = len(hub.events())
    reply = ask(hub.party(party), line, path)
    status, rule = line.expected[party]
    assert reply.status == status, reply.body
    judge(reply, status)
    (event,) = hub.events()[before:]
    assert (event.act, event.st, event.why) == (act, status, rule)
    who = hub.principal(party)
    assert (event.agr, event.who, event.cred) == (who.agreement, who.member, who.credential)
    assert event.ip == "127.0.0.1"
    in_own_root = party != "stranger" and line.place in IN_COLLECTION
    assert bool(event.col) == in_own_root


@pytest.mark.parametrize("act", TABLE)
@pytest.mark.parametrize("party", [one for one in LOGGED_IN if one != "stranger"])
def test_a_route_as_a_suspended_member(hub: ProbeHub, act: str, party: str) -> None:
    """Nothing can be read, published or withdrawn; what shows no content goes on, but for others' events."""
    line, path = TABLE[act], hub.place(TABLE[act].place)
    hub.suspend(MEMBER_OF[party])
    before = len(hub.events())
    reply = ask(hub.party(party), line, path)
    (event,) = hub.events()[before:]
    was = line.expected[party]
    if line.place == "audit":
        own = party in {"auditor", "joint auditor", "publisher", "other publisher"}
        assert (event.st, event.why) == ((200, "allow-own-audit") if own else was)
    elif act == "withdraw":
        assert (event.st, event.why) == (404, "deny-suspended")
    elif line.expected in (CONTENT, POSTING, AUDIENCE) or act == "publish-signed":
        assert (event.st, event.why) == (403, "deny-suspended")
    else:
        assert (event.st, event.why) == was
    assert event.st == reply.status
    judge(reply, reply.status)


@pytest.mark.parametrize("act", TABLE)
@pytest.mark.parametrize("party", LOGGED_IN)
def test_a_route_while_the_whole_agreement_is_suspended(hub: ProbeHub, act: str, party: str) -> None:
    line, path = TABLE[act], hub.place(TABLE[act].place)
    hub.suspend()
    before = len(hub.events())
    reply = ask(hub.party(party), line, path)
    (event,) = hub.events()[before:]
    was = line.expected[party]
    if party == "stranger":
        assert (event.st, event.why) == was
    elif act == "withdraw":
        assert (event.st, event.why) == (404, "deny-agreement-not-in-force")
    elif line.expected in (CONTENT, POSTING, AUDIENCE) or act == "publish-signed":
        assert (event.st, event.why) == (403, "deny-agreement-not-in-force")
    else:
        assert (event.st, event.why) == was
    assert event.st == reply.status


@pytest.mark.parametrize("act", TABLE)
@pytest.mark.parametrize("party", REFUSED_LOGINS)
def test_a_route_as_a_party_whose_login_is_refused(hub: ProbeHub, act: str, party: str) -> None:
    line = TABLE[act]
    path = hub.place(line.place)
    before = len(hub.events())
    reply = ask(hub.party(party), line, path)
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith("Basic")
    judge(reply, 401)
    (event,) = hub.events()[before:]
    assert (event.act, event.st, event.why) == (act, 401, REFUSED_LOGINS[party])
    assert (event.agr, event.who, event.cred, event.col) == ("hub", "", "", "")


@pytest.mark.parametrize("party", [*LOGGED_IN, *REFUSED_LOGINS])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "OPTIONS", "HEAD"])
def test_other_methods_are_logged_and_tell_no_more(hub: ProbeHub, party: str, method: str) -> None:
    read = {line.place for line in TABLE.values() if line.method == "GET"}
    for line in TABLE.values():
        if line.method != "GET" and line.place in read:
            continue
        path = hub.place(line.place)
        hub.advance(20)  # or the throttle would answer for the last of so many refused logins
        before = len(hub.events())
        reply = hub.party(party).ask(method, path, headers={"Accept": line.accept})
        (event,) = hub.events()[before:]
        assert event.st == reply.status
        assert event.why
        if party in REFUSED_LOGINS:
            assert reply.status == 401
        elif method == "HEAD" and line.method != "GET":
            assert reply.status == 405
        elif method == "HEAD":
            assert (reply.status, reply.body) == (line.expected[party][0], b"")
        else:
            assert reply.status in {204, 405}


@pytest.mark.parametrize("party", [*LOGGED_IN, *REFUSED_LOGINS])
@pytest.mark.parametrize(
    "path",
    [
        *(
            "/",
            "/nowhere",
            "/no-such-root/",
            "/taxii2/x/",
            "/audit/",
            "/%00/",
            "/metrics",
            "/why/",
            "/audience/",
        ),
        *("/why/pedro/", "/staged/pedro/", "/audit/pedro/indicators/", "/audience/pedro/indicators/x/"),
    ],
)
def test_paths_that_are_nothing_are_logged_too(hub: ProbeHub, party: str, path: str) -> None:
    before = len(hub.events())
    reply = hub.party(party).get(path)
    assert reply.status in {401, 404}
    judge(reply, reply.status)
    (event,) = hub.events()[before:]
    assert event.st == reply.status
    assert event.why


def test_nothing_that_was_refused_changed_anything(hub: ProbeHub) -> None:
    kept, waiting = hub.standing_object, hub.staged_object
    writing = [one for one in TABLE.values() if one.method in {"POST", "DELETE"}]
    for party in (*LOGGED_IN[:-2], "other publisher", *REFUSED_LOGINS):
        for line in writing:
            status = line.expected[party][0] if party in line.expected else 401
            if status >= 400 or line.place in {"why", "audience"}:
                ask(hub.party(party), line, hub.place(line.place))
    assert hub.party("publisher").objects().objects == [kept]
    listed = hub.party("publisher").get(hub.place("staged"), Accept=JSON)
    assert waiting["id"] in {one["id"] for one in json.loads(listed.body)["staged"]}


def ask(party: Party, line: Line, path: str) -> Reply:
    """Send one request; a POST brings a good envelope."""
    body = json.dumps({"objects": [indicator()]}).encode() if line.method == "POST" else b""
    return party.ask(line.method, path, headers={"Accept": line.accept}, body=body)


def judge(reply: Reply, status: int) -> None:
    """An error is a TAXII error; nothing of a secret or of the inside is in it."""
    if status >= 400:
        reply.error(status)
        assert b"ls1_" not in reply.body
        assert b'File "' not in reply.body
    assert query_bytes(None) == b""
