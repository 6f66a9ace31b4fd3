"""A year's access log goes away as a whole, when its retention is over and not before."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_samples import YEAR_2026, event
from auditlab import AuditLab, hub_events
from lightship.core.errors import NotFound, Refused
from lightship.core.time import Micros
from lightship.storage.audit_retire import DAY, delete_year, events_of, kept_until

UNTIL = YEAR_2026 + (365 + 1095) * DAY


def test_it_is_kept_for_the_longest_retention_from_the_end_of_its_year() -> None:
    assert kept_until(2026, [730, 1095]) == UNTIL


def test_it_is_refused_before_and_whole_afterwards(tmp_path: Path) -> None:
    lab = AuditLab(tmp_path)
    lab.record(hub_events(30))
    lab.record([event(900, agr="hub", at=Micros(YEAR_2026 + 400 * DAY))])
    until = kept_until(2026, [1095])
    with pytest.raises(Refused, match="kept until 2029-12-31"):
        events_of(lab.data, 2026, Micros(until - 1), until)
    with pytest.raises(Refused):
        events_of(lab.data, 2027, Micros(YEAR_2026 + 500 * DAY), Micros(0))  # the one that is written to
    with pytest.raises(NotFound):
        events_of(lab.data, 2025, until, until)
    assert events_of(lab.data, 2026, until, until) == 30
    before = lab.export()
    delete_year(lab.data, 2026)
    assert [path.name for path in lab.data.glob("audit-2026*")] == []
    report = lab.verify()
    assert report.ok
    assert [log.year for log in report.logs] == [2027]
    assert lab.verify(before).ok
