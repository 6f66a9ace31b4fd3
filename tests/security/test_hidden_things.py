"""What a party must not know answers, byte for byte, like what does not exist.

Aside from Date and the ids of the request itself, which differ between any two requests.
"""

from __future__ import annotations

import json
import uuid

import pytest

from probehub import ProbeHub
from stixsamples import indicator
from taxiiprobe import Party, Reply

VARYING = {"date", "x-request-id", "audit-receipt"}


def fingerprint(reply: Reply) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    """Return status, headers in order and body, with the request's own id taken out."""
    headers = tuple((name, value) for name, value in reply.headers.items() if name not in VARYING)
    body = reply.body
    try:
        error_id = json.loads(body)["error_id"]
    except (ValueError, KeyError, TypeError):
        return reply.status, headers, body
    return reply.status, headers, body.replace(str(error_id).encode(), b"*")


BELOW = [
    *("", "collections/", "collections/{collection}/", "collections/{collection}/manifest/"),
    *("collections/{collection}/objects/", "collections/{collection}/objects/{object}/"),
    *("collections/{collection}/objects/{object}/versions/", "status/{status}/", "nonsense/"),
    *(
        "collections/{alias}/objects/",
        "collections/{alias}/objects/?limit=x",
        "collections/{alias}/manifest/?next=x",
    ),
]
METHODS = ["GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS"]


def both(hub: ProbeHub, who: Party, method: str, rest: str) -> tuple[Reply, Reply]:
    """Ask for a thing of the hidden root, and for the same below a root that does not exist."""
    hub.place("object")
    names = {
        "collection": hub.collections[hub.default_alias],
        "alias": hub.default_alias,
        "object": hub.standing_object["id"],
        "status": hub.standing_status,
    }
    path, _, query = rest.format(**names).partition("?")
    missing = "/" + "x" * (len(hub.root) - 2) + "/"
    body = json.dumps({"objects": [indicator()]}).encode() if method == "POST" else b""
    first = who.ask(method, hub.root + path, query, body=body)
    second = who.ask(method, missing + path, query, body=body)
    return first, second


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rest", BELOW)
@pytest.mark.parametrize("party", ["stranger", "nobody", "wrong secret", "revoked", "expired"])
def test_a_hidden_api_root_is_like_one_that_does_not_exist(
    hub: ProbeHub, party: str, rest: str, method: str
) -> None:
    hidden, missing = both(hub, hub.party(party), method, rest)
    assert fingerprint(hidden) == fingerprint(missing)
    assert hidden.status in {204, 401, 404, 405}


@pytest.mark.parametrize("method", METHODS)
def test_a_collection_of_another_agreement_is_like_none(hub: ProbeHub, method: str) -> None:
    for rest in ("", "objects/", "manifest/"):
        replies = [
            hub.stranger.ask(method, f"{hub.other_root}collections/{name}/{rest}")
            for name in (hub.collections[hub.default_alias], str(uuid.uuid4()))
        ]
        assert fingerprint(replies[0]) == fingerprint(replies[1])


def test_a_status_of_another_credential_is_like_none(hub: ProbeHub) -> None:
    hub.place("status")
    for party in ("other publisher", "reader", "auditor", "writer"):
        replies = [
            hub.party(party).get(f"{hub.root}status/{name}/")
            for name in (hub.standing_status, str(uuid.uuid4()))
        ]
        assert fingerprint(replies[0]) == fingerprint(replies[1])
        assert replies[0].status == 404


def test_who_may_not_read_learns_nothing_about_single_objects(hub: ProbeHub) -> None:
    hub.place("object")
    for party in ("auditor", "writer"):
        for rest in ("", "versions/"):
            held, none = (
                hub.party(party).get(hub.lgb.at(f"objects/{name}/{rest}"))
                for name in (hub.standing_object["id"], indicator()["id"])
            )
            assert fingerprint(held) == fingerprint(none)
        held, none = (
            hub.party(party).withdraw(name) for name in (hub.standing_object["id"], indicator()["id"])
        )
        assert fingerprint(held) == fingerprint(none)


def test_who_may_not_read_learns_nothing_from_posting(hub: ProbeHub) -> None:
    """A writer without read sees of its own posts only what it sent; a conflict tells no held content."""
    hub.place("object")
    held = dict(hub.standing_object)
    status = hub.party("writer").post({**held, "name": "guess"}).ok().json
    (failure,) = status["failures"]
    assert held["name"] not in failure["message"]
    assert held["pattern"] not in failure["message"]


def test_errors_tell_nothing_of_the_inside(hub: ProbeHub) -> None:
    for reply in (
        hub.lax.get("/no-such-root/"),
        hub.lax.objects("limit=x"),
        hub.lgb.send(b"{"),
        hub.nobody.get("/taxii2/"),
    ):
        text = reply.body.decode().lower()
        for word in (
            "traceback",
            "sqlite",
            "apsw",
            "python",
            "uvicorn",
            "starlette",
            "lightship/",
            ".py",
            "select ",
        ):
            assert word not in text
        assert "server" not in reply.headers or "lightship" not in reply.headers["server"]
