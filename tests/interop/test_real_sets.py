"""Real sets go through, each in a collection that fits it: two ATT&CK releases, two MISP events.

What each needs: ATT&CK names its maker and is unmarked (`authors = "any"`, `unmarked = "clear"`), and cites a
statement that stands last in its bundle; MISP events as misp-stix writes them are unmarked too, name the
organisation that made them, and may hold custom objects and properties.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from hubkit import HubKit, make_hub
from lightship.client import Client, Connection, PublishReport
from stixsamples import statement_marking

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
RELEASES = ("ics-attack-17.1.json", "ics-attack-18.1.json")
EVENTS = ("gelsemium.misp.json", "dukes.misp.json")
COLLECTIONS: Any = {
    "public": {"unmarked": "clear", "authors": "any", "ceiling": "clear", "red": "named"},
    "intelligence": {"unmarked": "green", "authors": "not-others", "ceiling": "amber", "red": "named"},
    "plain": {"unmarked": "green", "authors": "not-others", "custom_objects": False},
    "marked": {"unmarked": "refuse", "authors": "not-others"},
}

GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
PATTERNS = {
    "md5": "[file:hashes.MD5 = '{}']",
    "sha1": "[file:hashes.'SHA-1' = '{}']",
    "sha256": "[file:hashes.'SHA-256' = '{}']",
    "url": "[url:value = '{}']",
    "domain": "[domain-name:value = '{}']",
}

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real sets are not beside the checkout")


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[HubKit]:
    with make_hub(tmp_path, "sqlite", collections=COLLECTIONS) as made:
        yield made


def publish(kit: HubKit, alias: str, objects: list[Any], count: int = 1000) -> PublishReport:
    with kit.serve() as served:
        user, secret = kit.credential("uslgb")
        with Client(Connection(served.url, user, secret, ca=served.ca)) as client:
            return client.publish(f"{kit.agreement}/{alias}", map(orjson.dumps, objects), count=count)


def event(name: str) -> list[Any]:
    """Return a MISP event as STIX 2.1."""
    converter = pytest.importorskip(
        "misp_stix_converter", reason="misp-stix is not installed (pip install misp-stix)"
    )
    parser = converter.MISPtoSTIX21Parser()
    parser.parse_json_content((DATA / "eset-ioc" / name).read_text())
    return list(json.loads(parser.bundle.serialize())["objects"])


def test_both_attack_releases_go_through_in_small_envelopes(kit: HubKit) -> None:
    known: dict[tuple[str, str], Any] = {}
    for release in RELEASES:
        objects = json.loads((DATA / "attack-ics" / release).read_text())["objects"]
        report = publish(kit, "public", objects, count=300)
        # The second release changes some objects without a new version: what is held stays.
        changed = {key for one in objects if known.get(key := name_of(one), one) != one}
        assert {(one.id, one.version) for one in report.failures} == changed
        assert all("(deny-conflict)" in one.message for one in report.failures)
        assert report.success == report.total - len(changed) == len(objects) - len(changed)
        known = {name_of(one): one for one in objects} | known
    manifest = kit.client("uslax").get(
        kit.path("public", "manifest/"), params={"match[version]": "all", "limit": 9000}
    )
    assert {(one["id"], one["version"]) for one in manifest.json()["objects"]} == known.keys()


def name_of(one: Any) -> tuple[str, str]:
    return one["id"], one.get("modified", one["created"])


@pytest.mark.parametrize("name", EVENTS)
def test_a_misp_event_goes_through_where_unmarked_objects_are_taken(kit: HubKit, name: str) -> None:
    objects = event(name)
    report = publish(kit, "intelligence", objects, count=100)
    assert report.failures == ()
    assert report.total == report.success == len(objects) > 200


@pytest.mark.parametrize("name", EVENTS)
def test_a_misp_event_is_refused_by_name_where_a_marking_is_needed(kit: HubKit, name: str) -> None:
    report = publish(kit, "marked", event(name))
    assert report.success == 0
    assert all("(deny-unmarked)" in one.message for one in report.failures)


def test_a_misp_event_with_custom_objects_needs_a_collection_that_takes_them(kit: HubKit) -> None:
    report = publish(kit, "plain", event("dukes.misp.json"))
    assert 0 < len(report.failures) < report.total
    assert all("custom_objects = true" in one.message for one in report.failures)


def plainly(name: str, marking: dict[str, Any]) -> list[Any]:
    """Return a MISP event's attributes as indicators, and as custom objects where no pattern fits."""
    (found,) = json.loads((DATA / "eset-ioc" / name).read_text())["response"]
    event = found["Event"]
    maker = f"identity--{event['Orgc']['uuid']}"
    common = {"spec_version": "2.1", "object_marking_refs": [GREEN, marking["id"]], "created_by_ref": maker}
    objects: list[Any] = []
    for one in event["Attribute"]:
        at = datetime.fromtimestamp(int(one["timestamp"]), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        times = {"created": at, "modified": at}
        pattern = PATTERNS.get(one["type"])
        if pattern is None:
            kind, told = "x-misp-attribute", {"x_misp_type": one["type"], "x_misp_value": one["value"]}
        else:
            value = one["value"].replace("\\", "\\\\").replace("'", "\\'")
            told = {"pattern": pattern.format(value), "pattern_type": "stix", "valid_from": at}
            kind = "indicator"
        objects.append({"type": kind, "id": f"{kind}--{one['uuid']}", **common, **times, **told})
    maker_times = {"created": objects[0]["created"], "modified": objects[0]["modified"]}
    identity = {"type": "identity", "id": maker, "name": event["Orgc"]["name"], **common, **maker_times}
    identity.pop("created_by_ref")
    return [*objects, identity, marking]


@pytest.mark.parametrize(("name", "number"), [(EVENTS[0], 154), (EVENTS[1], 101)])
def test_the_attributes_of_a_misp_event_go_through_with_markings_of_ones_own(
    kit: HubKit, name: str, number: int
) -> None:
    objects = plainly(name, statement_marking())
    report = publish(kit, "marked", objects, count=50)
    assert report.failures == ()
    assert report.success == len(objects) == number + 2
