"""The bench of agreement changes changes what it says that it changes. Nothing is timed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import agreement_change


def test_each_change_is_carried_out_or_refused_as_it_is_named(tmp_path: Path) -> None:
    found = agreement_change.measure(tmp_path, 300, 5)
    assert [one.name for one in found] == ["taken", "refused", "taken, withdraws 10 objects"]
    assert all(one.check > 0 and one.apply > 0 and one.usual > 0 for one in found)


def test_what_is_refused_is_what_ten_red_objects_forbid(tmp_path: Path) -> None:
    place = agreement_change.Place(tmp_path)
    place.apply(place.text("uslax", "uslgb"))
    sets = agreement_change.sets_of(4)
    agreement_change.fill(place, 100, sets)
    assert len(set(sets)) == 4
    assert {one.live for one in place.store.held_sets(place.grant())} == {25, 10}
    report = place.check(place.text("uslax", "uslgb", "jptyo"))
    assert report.impact.breaches.total == agreement_change.REDS
    place.store.close()
