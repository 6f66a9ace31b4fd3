"""Kept pages are right: a long-lived application answers like one that has just started, after every change.

Byte for byte. An ETag may differ between the two, as between processes, but one ETag never names two bodies.
"""

from __future__ import annotations

import random

import pytest

from lightship.wiring import make_app
from probehub import ProbeHub
from stixsamples import Stix, address, indicator, indicator_20, malware
from taxiiprobe import Driver, Party, Reply

STEPS = 45
SHOWN = ("content-type", "x-taxii-date-added-first", "x-taxii-date-added-last", "content-encoding")


def questions(rng: random.Random, ids: list[str], stamps: list[str]) -> list[str]:
    """Return queries that cut the collection in different places."""
    asked = ["", "limit=1", "limit=3", "match[version]=all", "match[version]=first&limit=2"]
    asked += ["match[spec_version]=2.0", "match[version]=all&match[spec_version]=2.0,2.1&limit=4"]
    asked += ["match[type]=malware,ipv4-addr&limit=2"]
    if ids:
        asked.append(f"match[id]={rng.choice(ids)}&match[version]=all")
    if stamps:
        asked += [f"added_after={rng.choice(stamps)}", f"added_after={stamps[-1]}&limit=2"]
    return asked


def change(rng: random.Random, hub: ProbeHub, held: list[Stix]) -> None:
    """Publish, add a version, withdraw, or add something withdrawn again."""
    kind = rng.choice(["new", "new", "version", "withdraw", "withdraw one", "again"])
    if kind == "new" or not held:
        made = [rng.choice([indicator, malware, indicator_20])() for _ in range(rng.randint(1, 4))]
        made.append(address(f"192.0.2.{rng.randint(1, 250)}"))
        hub.lgb.post(*made).ok()
        held += made
    elif kind == "version":
        old = rng.choice([one for one in held if "modified" in one] or [indicator()])
        newer = {**old, "modified": f"2026-0{rng.randint(2, 8)}-{rng.randint(10, 28)}T00:00:00.000Z"}
        hub.lgb.post(newer).ok()
        held.append(newer)
    elif kind == "again":
        hub.lgb.post(rng.choice(held)).ok()
    else:
        params = {"match[version]": rng.choice(["last", "first"])} if kind == "withdraw one" else None
        assert hub.lgb.withdraw(rng.choice(held)["id"], params).status in {200, 404}


def places(rng: random.Random, held: list[Stix]) -> list[str]:
    """Return what to ask for: objects, manifest, and one object that is, or was, there."""
    one = rng.choice(held)["id"]
    return ["objects/", "manifest/", f"objects/{one}/", f"objects/{one}/versions/"]


def shown(reply: Reply) -> tuple[int, list[str | None], bytes]:
    body = b"" if reply.status == 404 else reply.body
    return reply.status, [reply.headers.get(name) for name in SHOWN], body


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_warm_hub_answers_like_a_fresh_one(hub: ProbeHub, seed: int) -> None:
    rng = random.Random(seed)
    held: list[Stix] = []
    warm = hub.lax
    seen: dict[tuple[str, str], bytes] = {}
    for _ in range(STEPS):
        change(rng, hub, held)
        driver = Driver(make_app(hub.hub), hub.driver.loop)
        fresh = Party(driver, warm.authorization, warm.collection)
        entries = hub.lax.manifest("match[version]=all&match[spec_version]=2.0,2.1").objects
        ids, stamps = [one["id"] for one in entries], [one["date_added"] for one in entries]
        for query in questions(rng, ids, stamps):
            for place in places(rng, held):
                path = warm.at(place)
                expected = fresh.get(path, query)
                for _ in range(2):
                    answer = warm.get(path, query)
                    assert shown(answer) == shown(expected), query
                if expected.status == 404:
                    continue
                for reply in (answer, expected):
                    key = (f"{path}?{query}", reply.headers["etag"])
                    assert seen.setdefault(key, reply.body) == reply.body, "one ETag, one body"
                assert warm.get(path, query, If_None_Match=answer.headers["etag"]).status == 304


def test_an_etag_changes_although_first_last_and_number_stay(hub: ProbeHub) -> None:
    """One row goes, an older version of another comes back between the same two ends."""
    first, gone, end, beyond = (indicator() for _ in range(4))
    old = indicator(modified="2026-02-01T00:00:00.000Z")
    for one in (first, old, gone, end, beyond, {**old, "modified": "2026-02-02T00:00:00.000Z"}):
        hub.lgb.publish(one)
    before = hub.lax.objects({"limit": 3})
    assert before.objects == [first, gone, end]
    hub.lgb.withdraw(gone["id"]).ok()
    hub.lgb.withdraw(old["id"], {"match[version]": "last"}).ok()
    after = hub.lax.objects({"limit": 3}, If_None_Match=before.headers["etag"])
    assert after.objects == [first, old, end]
    assert (before.first, before.last) == (after.first, after.last)
    assert before.headers["etag"] != after.headers["etag"]


def test_pages_found_by_token_and_by_time_are_the_same_pages(hub: ProbeHub) -> None:
    for _ in range(4):
        hub.lgb.publish(*(indicator() for _ in range(5)))
    first = hub.lax.objects({"limit": 6})
    by_token = hub.lax.objects({"limit": 6, "next": first.json["next"]})
    by_time = hub.lax.objects({"limit": 6, "added_after": first.last})
    assert by_token.body == by_time.body
    assert by_token.headers["etag"] == by_time.headers["etag"]


def test_pollers_with_different_cursors_get_the_same_page(hub: ProbeHub) -> None:
    hub.lgb.publish(indicator())
    first = hub.lax.objects().last
    hub.advance(3600)
    hub.lgb.publish(indicator(), indicator())
    exact = hub.lax.objects({"added_after": first})
    later = hub.lax.objects({"added_after": first[:-1] + "001Z"})
    assert exact.body == later.body
    assert exact.headers["etag"] == later.headers["etag"]
