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
    headers = tuple((name, "*" if name in VARYING else value) for name, value in reply.headers.items())
    body = reply.body
    try:
        error_id = json.loads(body)["error_id"]
    except (ValueError, KeyError, TypeError):
        return reply.status, headers, body
    return reply.status, headers, body.replace(str(error_id).encode(), b"*")


BELOW = [
    *("{root}", "{root}collections/", "{root}collections/{collection}/"),
    "{root}collections/{collection}/manifest/",
    *("{root}collections/{collection}/objects/", "{root}collections/{collection}/objects/{object}/"),
    "{root}collections/{collection}/objects/{object}/versions/",
    *("{root}status/{status}/", "{root}nonsense/"),
    *(
        "{root}collections/{alias}/objects/",
        "{root}collections/{alias}/objects/?limit=x",
        "{root}collections/{alias}/manifest/?next=x",
    ),
    *("/why{root}{alias}/", "/why{root}{collection}/?action=publish", "/why{root}{alias}/?principal=uslgb"),
    *("/why{root}{alias}/?action=x", "/audience{root}{alias}/", "/audience{root}{collection}/?x=y"),
    *("/audit{root}", "/audit{root}?member=uslgb", "/audit{root}?object={object}", "/audit{root}?limit=x"),
    *("/staged{root}{alias}/", "/staged{root}{collection}/", "/staged{root}{alias}/{object}/"),
    "/staged{root}{alias}/{waiting}/",
    *("/agreements{root}", "/agreements{root}?x=y"),
    *("/agreements{root}1.json", "/agreements{root}99.json", "/agreements{root}x.json"),
    *("/log/{collection}/checkpoint", "/log/{collection}/tile/0/000.p/1", "/log/{collection}/tile/x"),
    *("/log/{collection}/tile/entries/000.p/1", "/log/{collection}/publish"),
    "/agreements{root}rosters",
    "/agreements{root}rosters/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.json",
]
METHODS = ["GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS"]
JSON = "application/json"
ORDERS: dict[str, tuple[dict[str, str | None], bytes]] = {
    "nothing acceptable": ({"Accept": "text/html"}, b""),
    "TAXII 2.0": ({"Accept": "application/vnd.oasis.taxii+json;version=2.0"}, b""),
    "JSON": ({"Accept": JSON}, b""),
    "anything": ({"Accept": None}, b""),
    "known entity": ({"If-None-Match": "*"}, b""),
    "wrong type": ({"Content-Type": "text/plain", "Accept": None}, b"{}"),
    "no type": ({"Content-Type": None, "Accept": None}, b"{}"),
    "JSON type": ({"Content-Type": JSON, "Accept": None}, b"{}"),
    "unknown coding": ({"Content-Encoding": "br", "Accept": None}, b"{}"),
    "no gzip": ({"Content-Encoding": "gzip", "Accept": None}, b"{}"),
    "no JSON": ({"Accept": None}, b"{"),
    "announced far too large": ({"Content-Length": "999999999999", "Accept": None}, b"{}"),
    "too large": ({"Accept": None}, b"x" * 500_000),
}
"""How a request can be wrong beside asking for what is hidden: what is looked at first must not tell."""


def places(hub: ProbeHub, rest: str) -> tuple[str, str, str]:
    """Return the path of a hidden thing, the same below a root that does not exist, and its query."""
    hub.place("object")
    names = {
        "collection": hub.collections[hub.default_alias],
        "alias": hub.default_alias,
        "object": hub.standing_object["id"],
        "waiting": hub.staged_object["id"],
        "status": hub.standing_status,
    }
    missing = "/" + "x" * (len(hub.root) - 2) + "/"
    path, _, query = rest.format(root=hub.root, **names).partition("?")
    if rest.startswith("/log/"):  # no root is in these paths
        names["collection"] = str(uuid.uuid4())
    other, _, _ = rest.format(root=missing, **names).partition("?")
    return path, other, query


def both(hub: ProbeHub, who: Party, method: str, rest: str) -> tuple[Reply, Reply]:
    """Ask for a thing of the hidden root, and for the same below a root that does not exist."""
    path, missing, query = places(hub, rest)
    body = json.dumps({"objects": [indicator()]}).encode() if method == "POST" else b""
    accept = {"Accept": JSON} if not rest.startswith("{root}") else None
    first, second = (who.ask(method, one, query, body=body, headers=accept) for one in (path, missing))
    return first, second


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rest", BELOW)
@pytest.mark.parametrize(
    "party", ["stranger", "nobody", "wrong secret", "revoked", "expired", "former member"]
)
def test_a_hidden_api_root_is_like_one_that_does_not_exist(
    hub: ProbeHub, party: str, rest: str, method: str
) -> None:
    hidden, missing = both(hub, hub.party(party), method, rest)
    assert fingerprint(hidden) == fingerprint(missing)
    assert hidden.status in {204, 401, 404, 405}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("rest", BELOW)
def test_no_order_of_checks_tells_what_is_hidden(hub: ProbeHub, rest: str, order: str) -> None:
    headers, body = ORDERS[order]
    path, missing, query = places(hub, rest)
    for method in METHODS:
        for party in ("stranger", "nobody"):
            replies = [
                hub.party(party).ask(method, one, query, headers=headers, body=body)
                for one in (path, missing)
            ]
            assert fingerprint(replies[0]) == fingerprint(replies[1])


@pytest.mark.parametrize("rest", BELOW)
def test_what_was_asked_often_stays_hidden(hub: ProbeHub, rest: str) -> None:
    """Nothing is remembered between requests that another answer could come from."""
    seen = {fingerprint(one) for _ in range(3) for one in both(hub, hub.stranger, "GET", rest)}
    assert len(seen) == 1


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


NOUNS = ["/why{root}{name}/", "/audience{root}{name}/", "/staged{root}{name}/"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noun", NOUNS)
def test_a_collection_that_is_not_of_the_agreement_is_like_none(
    hub: ProbeHub, noun: str, method: str
) -> None:
    """Also for members, and also where another agreement has a collection of that name or id."""
    elsewhere = hub.directory.view().agreements["tokyo"].collections[0]
    replies = [
        hub.lax.ask(method, noun.format(root=hub.root, name=name), headers={"Accept": JSON})
        for name in (elsewhere.id, str(uuid.uuid4()), elsewhere.alias, "nowhere")
    ]
    assert len({fingerprint(one) for one in replies}) == 1


@pytest.mark.parametrize("party", ["reader", "writer", "approver"])
def test_who_may_ask_about_itself_only_gets_one_answer_about_all_others(hub: ProbeHub, party: str) -> None:
    replies = [
        hub.party(party).get(hub.place("why"), {"principal": name}, Accept=JSON)
        for name in ("uslgb", "uslgb-b", "uslgb/b", "nobody", "jptyo", "jptyo-s", str(uuid.uuid4()))
    ]
    assert {one.status for one in replies} == {403}
    assert len({fingerprint(one) for one in replies}) == 1


def test_an_auditor_cannot_tell_other_members_credentials_from_none(hub: ProbeHub) -> None:
    hub.login("uslax")
    held = hub.principal("other publisher")
    for place, status in (("why", 404), ("audit", 200)):
        for party in ("auditor", "publisher"):
            replies = [
                hub.party(party).get(hub.place(place), {"principal": name}, Accept=JSON)
                for name in (held.name, held.credential, "uslax/a", "uslax-none", str(uuid.uuid4()))
            ]
            assert {one.status for one in replies} == {status}
            assert len({fingerprint(one) for one in replies}) == 1


def test_an_auditor_gets_one_answer_about_all_other_members(hub: ProbeHub) -> None:
    replies = [
        hub.auditor.get(hub.place("audit"), {"member": name}, Accept=JSON)
        for name in ("uslax", "uslgb", "joint", "jptyo", "nobody")
    ]
    assert {one.status for one in replies} == {403}
    assert len({fingerprint(one) for one in replies}) == 1


def test_a_joint_auditor_learns_nothing_beyond_its_agreement(hub: ProbeHub) -> None:
    stranger = hub.principal("stranger")
    hub.stranger.get("/taxii2/")
    joint = hub.party("joint auditor")
    for query in ("member", "principal"):
        replies = [
            joint.get(hub.place("audit"), {query: name}, Accept=JSON)
            for name in ("jptyo", stranger.name, stranger.credential, "nobody")
        ]
        assert {one.status for one in replies} == {200}
        assert len({fingerprint(one) for one in replies}) == 1
    everything = json.loads(joint.get(hub.place("audit"), Accept=JSON).body)["events"]
    assert {one["agreement"] for one in everything} == {"pedro"}
    assert stranger.credential not in {one["credential"] for one in everything}
