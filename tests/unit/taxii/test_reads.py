"""The GET endpoints over both stores: resources, pages, tokens, validators, what is hidden."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hubkit import TAXII, HubKit, Store, make_hub
from lightship.core.ids import is_uuid4
from stixsamples import indicator

STORES: tuple[Store, ...] = ("memory", "sqlite")
COLLECTIONS = {
    "indicators": {},
    "reports": {"audience": ["uslgb"], "publishers": ["uslax"]},
    "closed": {"audience": ["uslgb"], "publishers": ["uslgb"]},
}


@pytest.fixture(params=STORES)
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HubKit]:
    with make_hub(tmp_path, request.param, collections=COLLECTIONS) as made:
        yield made


def publish(kit: HubKit, *objects: Any, alias: str = "indicators", member: str = "uslgb") -> Any:
    answer = kit.client(member).post(kit.path(alias, "objects/"), json={"objects": list(objects)})
    assert answer.status_code == 202, answer.text
    assert answer.json()["failure_count"] == 0, answer.text
    return answer.json()


def get(kit: HubKit, rest: str, member: str = "uslax", **headers: str) -> httpx2.Response:
    return kit.client(member).get(kit.path("indicators", rest), headers=headers)


def follow(kit: HubKit, rest: str, key: str) -> list[Any]:
    """Follow `next`; check on the way that more, next and the date headers belong together."""
    found: list[Any] = []
    last, token = "", ""
    while True:
        answer = get(kit, rest + (f"&next={token}" if token else ""))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert ("next" in page) is page["more"]
        if page["more"]:
            assert page[key]
        if page.get(key):
            first, newest = (answer.headers[f"x-taxii-date-added-{end}"] for end in ("first", "last"))
            assert last < first <= newest
            last = newest
        found += page.get(key, [])
        if not page["more"]:
            return found
        token = page["next"]


def test_discovery_lists_the_principals_own_root_under_the_public_url(kit: HubKit) -> None:
    kit.add_agreement("other", members=("jptyo",))
    page = kit.client("uslax").get("/taxii2/", headers={"Host": "evil.example"}).json()
    assert page == {
        "title": "Lightship",
        "default": "https://localhost:9443/exercise/",
        "api_roots": ["https://localhost:9443/exercise/"],
    }
    other = kit.client("other:jptyo").get("/taxii2/").json()
    assert other["default"] == "https://localhost:9443/other/"


def test_api_root_and_collections(kit: HubKit) -> None:
    lax = kit.client("uslax")
    assert lax.get(kit.root).json() == {
        "title": "Exercise",
        "versions": [TAXII],
        "max_content_length": 16 * 1024 * 1024,
    }
    listed = lax.get(f"{kit.root}collections/").json()["collections"]
    assert [(one["alias"], one["can_read"], one["can_write"]) for one in listed] == [
        ("closed", False, False),
        ("indicators", True, True),
        ("reports", False, True),
    ]
    assert all(is_uuid4(one["id"]) for one in listed)
    for one in listed:
        for name in (one["id"], one["alias"]):
            assert lax.get(f"{kit.root}collections/{name}/").json() == one


@pytest.mark.parametrize("rest", ["", "objects/", "manifest/", "objects/{id}/", "objects/{id}/versions/"])
def test_an_alias_and_a_missing_last_slash_are_served(kit: HubKit, rest: str) -> None:
    one = indicator()
    publish(kit, one)
    path = kit.path("indicators", rest.format(id=one["id"]))
    lax = kit.client("uslax")
    expected = lax.get(path)
    assert expected.status_code == 200
    by_alias = path.replace(kit.collection("indicators"), "indicators")
    for other in (path[:-1], by_alias, by_alias[:-1], path.replace("indicator", "%69ndicator")):
        answer = lax.get(other)
        assert (answer.status_code, answer.content) == (200, expected.content), other


def test_pages_of_any_size_give_each_object_once_and_in_order(kit: HubKit) -> None:
    sent = [indicator(name=f"number {number}") for number in range(23)]
    for begin in range(0, 23, 5):
        publish(kit, *sent[begin : begin + 5])
    for limit in (1, 5, 7, 22, 23, 24, 99999):
        assert follow(kit, f"objects/?limit={limit}", "objects") == sent, limit
    records = follow(kit, "manifest/?limit=4", "objects")
    assert [one["id"] for one in records] == [one["id"] for one in sent]
    stamps = [one["date_added"] for one in records]
    assert stamps == sorted(set(stamps))
    for number, stamp in enumerate(stamps):
        after = get(kit, f"objects/?added_after={stamp}").json()
        assert after.get("objects", []) == sent[number + 1 :]


def test_versions_are_followed_too(kit: HubKit) -> None:
    one = indicator()
    times = [f"2026-01-{day:02d}T00:00:00.000Z" for day in (9, 7, 8, 6, 10)]
    for modified in times:
        publish(kit, {**one, "created": "2026-01-05T00:00:00.000Z", "modified": modified})
    assert follow(kit, f"objects/{one['id']}/versions/?limit=2", "versions") == times
    got = follow(kit, f"objects/{one['id']}/?limit=2&match[version]=all", "objects")
    assert [held["modified"] for held in got] == times
    assert get(kit, f"objects/{one['id']}/").json()["objects"][0]["modified"] == times[-1]


def test_a_token_carries_its_filters_and_starts_another_collection_over(kit: HubKit) -> None:
    sent = [indicator(indicator_types=["benign"]) for _ in range(4)]
    publish(kit, *sent)
    page = get(kit, "objects/?limit=1&match[type]=indicator").json()
    assert get(kit, f"objects/?limit=9&next={page['next']}").json()["objects"] == sent[1:]
    assert get(kit, f"objects/?limit=9&next={page['next']}").json()["objects"] == sent[1:]
    refused = get(kit, f"objects/?next={page['next']}&match[type]=malware")
    assert refused.status_code == 400
    assert "leave out next to start over" in refused.json()["title"].lower()
    assert get(kit, f"manifest/?next={page['next']}").status_code == 400
    publish(kit, sent[0], alias="reports", member="uslax")
    over = kit.client("uslgb").get(kit.path("reports", f"objects/?next={page['next']}"))
    assert over.json()["objects"] == [sent[0]]


def test_nothing_found_is_an_empty_page_and_an_unknown_object_a_404(kit: HubKit) -> None:
    one = indicator()
    assert get(kit, "objects/").json() == {"more": False}
    publish(kit, one)
    stamp = "added_after=2100-01-01T00:00:00Z"
    for rest in (
        f"objects/?{stamp}",
        f"objects/{one['id']}/?{stamp}",
        f"objects/{one['id']}/versions/?{stamp}",
    ):
        answer = get(kit, rest)
        assert (answer.status_code, answer.json()) == (200, {"more": False}), rest
        assert "x-taxii-date-added-first" not in answer.headers
    for unknown in (indicator()["id"], "junk", "indicator--x", "a%2Fb", "%2e%2e", "%00", "%ff"):
        assert get(kit, f"objects/{unknown}/").status_code == 404, unknown
        assert get(kit, f"objects/{unknown}/versions/").status_code == 404, unknown


def test_the_profile_empty_list_gets_an_empty_list(kit: HubKit) -> None:
    kit.mint("uslax", "elastic", profile="empty-list")
    assert get(kit, "objects/", "uslax/elastic").json() == {"more": False, "objects": []}
    assert get(kit, "manifest/", "uslax/elastic").json() == {"more": False, "objects": []}
    one = indicator()
    publish(kit, one)
    same = get(kit, "objects/", "uslax/elastic").content
    assert same == get(kit, "objects/").content


def test_the_default_page_is_clamped_and_bounded_by_bytes(tmp_path: Path) -> None:
    settings = {"page_default": 3, "page_max": 5, "page_max_bytes": 64 * 1024}
    with make_hub(tmp_path, settings=settings) as kit:
        publish(kit, *(indicator() for _ in range(8)))
        assert len(get(kit, "objects/").json()["objects"]) == 3
        assert len(get(kit, "objects/?limit=100").json()["objects"]) == 5
        publish(kit, *(indicator(description="x" * 30_000) for _ in range(4)))
        page = get(kit, "objects/?limit=5&next=" + get(kit, "objects/?limit=5").json()["next"]).json()
        page = get(kit, "objects/?limit=5&next=" + page["next"]).json()
        assert page.get("objects", [])
        assert len(get(kit, "manifest/?limit=5").json()["objects"]) == 5


# --- gzip, validators ---------------------------------------------------------------------------


def raw(kit: HubKit, rest: str, **headers: str) -> tuple[httpx2.Response, bytes]:
    client = kit.client("uslax")
    with client.stream("GET", kit.path("indicators", rest), headers=headers) as answer:
        return answer, b"".join(answer.iter_raw())


def test_gzip_only_if_accepted_and_the_same_inside(kit: HubKit) -> None:
    publish(kit, *(indicator() for _ in range(9)))
    plain, body = raw(kit, "objects/", **{"Accept-Encoding": "identity"})
    packed, squeezed = raw(kit, "objects/", **{"Accept-Encoding": "br, gzip;q=0.1"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(squeezed) == body
    assert int(packed.headers["content-length"]) == len(squeezed) < len(body)
    assert plain.headers["etag"] != packed.headers["etag"]
    for answer in (plain, packed):
        assert "Accept-Encoding" in answer.headers["vary"]
        assert answer.headers["cache-control"] == "private, no-cache"


def test_a_page_that_did_not_change_is_304_and_one_that_did_is_not(kit: HubKit) -> None:
    one = indicator()
    publish(kit, one, indicator())
    etag = get(kit, "objects/").headers["etag"]
    assert get(kit, "objects/", **{"If-None-Match": f'"x", {etag}'}).status_code == 304
    publish(kit, indicator())
    grown = get(kit, "objects/", **{"If-None-Match": etag})
    assert grown.status_code == 200
    publish(kit, {**one, "modified": "2026-02-01T00:00:00.000Z"})
    assert get(kit, "objects/", **{"If-None-Match": grown.headers["etag"]}).status_code == 200
    empty = get(kit, "objects/?added_after=2100-01-01T00:00:00Z")
    again = get(kit, "objects/?added_after=2100-01-01T00:00:00Z", **{"If-None-Match": empty.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_head_is_get_without_its_body(kit: HubKit) -> None:
    publish(kit, indicator())
    for rest in ("", "objects/", "manifest/", "objects/?limit=0"):
        shown = get(kit, rest)
        head = kit.client("uslax").head(kit.path("indicators", rest))
        assert (head.status_code, head.content) == (shown.status_code, b"")
        for name in ("content-type", "content-length", "etag", "x-taxii-date-added-first"):
            assert head.headers.get(name) == shown.headers.get(name), name


# --- what is hidden -----------------------------------------------------------------------------


def test_what_is_outside_the_agreement_answers_like_what_does_not_exist(kit: HubKit) -> None:
    kit.add_agreement("other", members=("jptyo",), collections={"harbour": {}})
    harbour = kit.hub.directory.view().collection("other", "harbour")
    assert harbour is not None
    lax = kit.client("uslax")
    for rest in (
        "",
        "collections/",
        f"collections/{harbour.id}/",
        f"collections/{harbour.id}/objects/",
        "status/x/",
    ):
        real, made_up = lax.get(f"/other/{rest}"), lax.get(f"/nobody/{rest}")
        assert real.status_code == made_up.status_code == 404
        assert strip(real) == strip(made_up)
    inside = lax.get(f"{kit.root}collections/{harbour.id}/objects/")
    assert strip(inside) == strip(
        lax.get(f"{kit.root}collections/9d3f6f4e-0c4f-4d2a-8e59-1d4f2f1d3d5e/objects/")
    )


def strip(answer: httpx2.Response) -> Any:
    """Return everything of an answer but what differs by request."""
    own = {"x-request-id", "audit-receipt"}
    headers = {name: value for name, value in answer.headers.items() if name not in own}
    return headers, {name: value for name, value in answer.json().items() if name != "error_id"}


def test_a_member_without_the_right_to_read_gets_403_with_the_rule(kit: HubKit) -> None:
    for rest in (
        "objects/",
        "manifest/",
        f"objects/{indicator()['id']}/",
        f"objects/{indicator()['id']}/versions/",
    ):
        answer = kit.client("uslax").get(kit.path("reports", rest))
        assert answer.status_code == 403, rest
        assert answer.json()["details"] == {"rule": "deny-default"}


def test_nothing_but_the_known_faces(kit: HubKit) -> None:
    lax = kit.client("uslax")
    for path in (
        *(
            "/",
            "/index.html",
            "/docs",
            "/redoc",
            "/exercise/x/",
            "/exercise/collections/indicators/x/",
            "/console/",
        ),
        *(
            "/exercise//",
            "//exercise/",
            "/taxii2/x/",
            "/Exercise/",
            "/exercise/collections/indicators/objects//",
        ),
        *(
            "/exercise/status/x/",
            "/taxii/",
            "/%2e%2e/",
            "/exercise/collections/%ff/",
            "/exercise/status/%00/",
        ),
    ):
        answer = lax.get(path)
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == TAXII
        assert answer.json()["http_status"] == "404"
