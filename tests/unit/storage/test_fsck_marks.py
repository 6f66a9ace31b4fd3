"""fsck finds each kind of damage to marking sets, their counts and staged objects, and names the entry."""

from __future__ import annotations

import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from fsckhub import DiskHub, damage, findings, stix
from hubkit import StoppedClock, make_hub
from lightship.core.collection import Candidate, Level
from lightship.core.marks import Cited, MarkingSet
from lightship.core.stix.json import canonical, decode
from lightship.core.stix.markings import TLP2_IDS
from lightship.core.time import Micros
from lightship.storage.fsck import fsck
from stixsamples import indicator, sharing_terms
from storekit import SECOND, START, object_id
from upkeeplab import look, moment, post, staged

TERMS = object_id(50, "marking-definition")
ENDS = Micros(START + 90 * SECOND)
WAITS = Micros(START + 60 * SECOND)


def marked(number: int, *refs: str) -> Candidate:
    one = stix(number)
    value = decode(one.body)
    assert isinstance(value, dict)
    body = canonical({**value, "object_marking_refs": [TLP2_IDS[Level.AMBER], *refs]})
    return one._replace(body=body, digest=sha256(body).digest(), level=Level.AMBER)


def definition() -> Candidate:
    value = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": TERMS,
        "created": "2026-01-01T00:00:00Z",
        "definition_type": "statement",
        "definition": {"statement": "x"},
    }
    body = canonical(value)
    return stix(50)._replace(
        id=TERMS, type="marking-definition", body=body, digest=sha256(body).digest(), owned=False
    )


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with a definition, objects that cite it, one that ends and one that waits."""
    data_dir = tmp_path_factory.mktemp("marked")
    hub = DiskHub(data_dir)
    hub.activate(1, "")
    terms, cites = definition(), (Cited(TERMS, definition().digest),)
    citing = MarkingSet(Level.AMBER, cites=cites)
    hub.publish(terms, stix(1), marks=[MarkingSet(levelled=False), MarkingSet()])
    hub.publish(marked(2, TERMS), marked(3, TERMS), marks=[citing, replace(citing, share_until=ENDS)])
    hub.publish(
        marked(4, TERMS), marked(5), marks=[replace(citing, release_at=WAITS), MarkingSet(Level.AMBER)]
    )
    hub.close()
    return data_dir


@pytest.fixture
def hub(sound: Path, tmp_path: Path) -> Path:
    """A copy of it to be damaged."""
    return Path(shutil.copytree(sound, tmp_path / "data"))


def test_a_sound_hub_with_marking_sets_has_no_findings(sound: Path) -> None:
    assert findings(sound) == []


def of(number: int) -> str:
    return f"WHERE id = '{object_id(number)}'"


DAMAGE = {
    "a set that is not kept": (f"UPDATE object SET marks = 99 {of(1)}", object_id(1), "set 99 is not kept"),
    "a looser level": (
        f"UPDATE object SET marks = (SELECT marks FROM object {of(1)}) {of(5)}",
        object_id(5),
        "another TLP level than its body",
    ),
    "a definition that it does not cite": (
        f"UPDATE object SET marks = (SELECT marks FROM object {of(2)}) {of(5)}",
        object_id(5),
        "cites other definitions",
    ),
    "a definition that it cites left out": (
        f"UPDATE object SET marks = (SELECT marks FROM object {of(5)}) {of(2)}",
        object_id(2),
        "cites other definitions",
    ),
    "a later end": (f"UPDATE object SET expires = expires + 1 {of(3)}", object_id(3), "column expires says"),
    "no end": (f"UPDATE object SET expires = NULL {of(3)}", object_id(3), "column expires says None"),
    "a set of no form": (
        'UPDATE marking_set SET body = CAST(\'{"level":"mauve"}\' AS BLOB) WHERE number = 2',
        "marking set 2",
        "it cannot be read",
    ),
    "a set with a space": (
        "UPDATE marking_set SET body = CAST(body || ' ' AS BLOB) WHERE number = 2",
        "marking set 2",
        "not in canonical form",
    ),
    "a count too high": ("UPDATE held_set SET live = live + 1", "of uslax", "live and"),
    "a count missing": ("DELETE FROM held_set WHERE staged > 0", "of uslax", "0 and 0 are counted"),
    "a count of nobody": ("INSERT INTO held_set VALUES (1, 1, 'uslgb', 1, 0)", "of uslgb", "0 live and 0"),
    "a staged body": (
        "UPDATE staged SET body = CAST(replace(CAST(body AS TEXT), 'buoy', 'bouy') AS BLOB)",
        "staged object 1",
        "not what its digest says",
    ),
    "an earlier release": (
        "UPDATE staged SET release_at = release_at - 1",
        "staged object 1",
        "its marking set says",
    ),
    "a staged set that is not kept": ("UPDATE staged SET marks = 99", "staged object 1", "99 is not kept"),
    "a staged id": (f"UPDATE staged SET id = '{object_id(9)}'", "staged object 1", "column id says"),
    "a staged hash": ("UPDATE staged SET idhash = 1", "staged object 1", "column idhash says"),
    "a staged author": (
        "UPDATE staged SET about = json_set(about, '$.created_by', 'identity--x')",
        "staged object 1",
        "column created_by says 'identity--x'",
    ),
    "staged about no JSON": ("UPDATE staged SET about = '{'", "staged object 1", "no JSON"),
    "staged in no collection": ("UPDATE staged SET collection = 7", "staged object 1", "7 is not kept"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_and_named(hub: Path, name: str) -> None:
    sql, where, what = DAMAGE[name]
    damage(hub / "hub.db", sql)
    found = findings(hub)
    assert any(where in one and what in one for one in found), found


def test_a_definition_that_waits_and_has_lost_its_id_to_another_is_no_damage(tmp_path: Path) -> None:
    """Two members hold the same id back: the first one released has it, the other one keeps waiting."""
    clock = StoppedClock()
    with make_hub(tmp_path, "sqlite", clock=clock) as kit:
        first = sharing_terms(kit.agreement, release_at=moment(clock, 60))
        for member, terms in (("uslax", first), ("uslgb", {**first, "name": "Others"})):
            post(kit, terms, indicator(object_marking_refs=[terms["id"]]), member=member)
        clock.advance(120)
        look(kit)
        assert (len(staged(kit, member="uslax")), len(staged(kit, member="uslgb"))) == (0, 2)
        assert fsck(kit.hub.dir / "data").findings == ()
