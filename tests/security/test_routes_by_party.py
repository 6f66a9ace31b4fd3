"""Every route and method as every party, right and wrong: the status, and the access event with its rule.

The table below is what is promised. The routes are taken from the application itself, so a new one without
a line here fails.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from probehub import ProbeHub, routes_of_the_application
from stixsamples import indicator
from taxiiprobe import Party, Reply, query_bytes

LOGGED_IN = ("stranger", "auditor", "reader", "writer", "publisher", "other publisher")
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

READ = "allow-audience-read"
LIST = "allow-member-list"
NOT_FOUND = (404, "not-found")
DEFAULT = (403, "deny-default")
AUDITOR = (403, "deny-auditor-content")


COLLECTION_PLACES = {"collection", "manifest", "objects", "object", "versions"}


@dataclass(frozen=True)
class Line:
    """One route: how it is asked for, and what each logged-in party gets (status, rule)."""

    method: str
    place: str
    stranger: tuple[int, str]
    auditor: tuple[int, str]
    reader: tuple[int, str]
    writer: tuple[int, str]
    publisher: tuple[int, str]

    def expected(self, party: str) -> tuple[int, str]:
        if party == "other publisher":
            return OTHER_PUBLISHER.get((self.method, self.place), self.publisher)
        found: tuple[int, str] = getattr(self, party)
        return found


OTHER_PUBLISHER = {
    ("DELETE", "object"): (403, "deny-owner"),
    ("GET", "status"): NOT_FOUND,
}
"""Where a member that may read and publish gets something else than the owner of what is asked for."""

TABLE: dict[str, Line] = {
    "discover": Line("GET", "/taxii2/", (200, LIST), (200, LIST), (200, LIST), (200, LIST), (200, LIST)),
    "read-openapi": Line(
        "GET", "/openapi.json", (200, LIST), (200, LIST), (200, LIST), (200, LIST), (200, LIST)
    ),
    "list-schemas": Line("GET", "/schemas/", (200, LIST), (200, LIST), (200, LIST), (200, LIST), (200, LIST)),
    "read-schema": Line(
        "GET",
        "/schemas/maritime-context-1.0.json",
        *((200, LIST), (200, LIST), (200, LIST), (200, LIST), (200, LIST)),
    ),
    "read-root": Line("GET", "root", NOT_FOUND, (200, LIST), (200, LIST), (200, LIST), (200, LIST)),
    "list-collections": Line(
        "GET", "collections", NOT_FOUND, (200, LIST), (200, LIST), (200, LIST), (200, LIST)
    ),
    "read-collection": Line(
        "GET", "collection", NOT_FOUND, (200, LIST), (200, LIST), (200, LIST), (200, LIST)
    ),
    "read-manifest": Line("GET", "manifest", NOT_FOUND, AUDITOR, (200, READ), DEFAULT, (200, READ)),
    "read-objects": Line("GET", "objects", NOT_FOUND, AUDITOR, (200, READ), DEFAULT, (200, READ)),
    "read-object": Line("GET", "object", NOT_FOUND, AUDITOR, (200, READ), DEFAULT, (200, READ)),
    "read-versions": Line("GET", "versions", NOT_FOUND, AUDITOR, (200, READ), DEFAULT, (200, READ)),
    "publish": Line(
        "POST",
        "objects",
        NOT_FOUND,
        DEFAULT,
        DEFAULT,
        (202, "allow-publisher-publish"),
        (202, "allow-publisher-publish"),
    ),
    "withdraw": Line(
        "DELETE",
        "object",
        NOT_FOUND,
        (404, "deny-default"),
        DEFAULT,
        DEFAULT,
        (200, "allow-publisher-withdraw"),
    ),
    "read-status": Line(
        "GET", "status", NOT_FOUND, NOT_FOUND, NOT_FOUND, NOT_FOUND, (200, "allow-own-status")
    ),
}
"""Access action -> its line."""


def test_every_route_of_the_application_has_its_line() -> None:
    routes = routes_of_the_application()
    assert routes
    assert {(act, line.method) for act, line in TABLE.items()} == routes


@pytest.mark.parametrize("act", TABLE)
@pytest.mark.parametrize("party", LOGGED_IN)
def test_a_route_as_a_party_that_is_logged_in(hub: ProbeHub, act: str, party: str) -> None:
    line = TABLE[act]
    path = hub.place(line.place)
    before = len(hub.events())
    reply = ask(hub.party(party), line.method, path)
    status, rule = line.expected(party)
    assert reply.status == status, reply.body
    judge(reply, status)
    (event,) = hub.events()[before:]
    assert (event.act, event.st, event.why) == (act, status, rule)
    who = hub.principal(party)
    assert (event.agr, event.who, event.cred) == (who.agreement, who.member, who.credential)
    assert event.ip == "127.0.0.1"
    in_own_root = party != "stranger" and line.place in COLLECTION_PLACES
    assert bool(event.col) == in_own_root


@pytest.mark.parametrize("act", TABLE)
@pytest.mark.parametrize("party", REFUSED_LOGINS)
def test_a_route_as_a_party_whose_login_is_refused(hub: ProbeHub, act: str, party: str) -> None:
    line = TABLE[act]
    path = hub.place(line.place)
    before = len(hub.events())
    reply = ask(hub.party(party), line.method, path)
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith("Basic")
    judge(reply, 401)
    (event,) = hub.events()[before:]
    assert (event.act, event.st, event.why) == (act, 401, REFUSED_LOGINS[party])
    assert (event.agr, event.who, event.cred, event.col) == ("hub", "", "", "")


@pytest.mark.parametrize("party", [*LOGGED_IN, *REFUSED_LOGINS])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "OPTIONS", "HEAD"])
def test_other_methods_are_logged_and_tell_no_more(hub: ProbeHub, party: str, method: str) -> None:
    for line in TABLE.values():
        if line.method != "GET":
            continue
        path = hub.place(line.place)
        before = len(hub.events())
        reply = hub.party(party).ask(method, path)
        (event,) = hub.events()[before:]
        assert event.st == reply.status
        assert event.why
        if party in REFUSED_LOGINS:
            assert reply.status == 401
        elif method == "HEAD":
            assert (reply.status, reply.body) == (line.expected(party)[0], b"")
        else:
            assert reply.status in {204, 405}


@pytest.mark.parametrize("party", [*LOGGED_IN, *REFUSED_LOGINS])
@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/no-such-root/", "/taxii2/x/", "/audit/", "/%00/", "/metrics"]
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
    kept = hub.standing_object
    for party in (*LOGGED_IN[:-2], "other publisher", *REFUSED_LOGINS):
        for line in TABLE.values():
            if line.method in {"POST", "DELETE"} and party not in {"writer", "other publisher"}:
                ask(hub.party(party), line.method, hub.place(line.place))
    assert hub.party("publisher").objects().objects == [kept]


def ask(party: Party, method: str, path: str) -> Reply:
    """Send one request; a POST brings a good envelope."""
    if method != "POST":
        return party.ask(method, path)
    import json

    return party.ask(method, path, body=json.dumps({"objects": [indicator()]}).encode())


def judge(reply: Reply, status: int) -> None:
    """An error is a TAXII error; nothing of a secret or of the inside is in it."""
    if status >= 400:
        reply.error(status)
        assert b"ls1_" not in reply.body
        assert b'File "' not in reply.body
    assert query_bytes(None) == b""
