"""An export is whole or not there: two at once, one that was killed, a year without a log, a link there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from auditlab import AuditLab, hub_events
from lightship.core.agreement.chain import key_text
from lightship.core.errors import Conflict, NotFound
from lightship.core.time import Micros
from lightship.storage.audit_export import ExportRequest, export_log


@pytest.fixture(name="lab")
def _lab(tmp_path: Path) -> AuditLab:
    lab = AuditLab(tmp_path)
    lab.record(hub_events(3))
    return lab


def test_a_second_export_to_the_same_folder_spoils_nothing(lab: AuditLab) -> None:
    """It would write into the first one's folder, or take it away under it: a false accusation of the hub."""
    out = lab.folder / "out"
    request = ExportRequest("hub", [], key_text(lab.key.public), Micros(0))
    refused: list[str] = []

    def meanwhile(_what: str, _done: int, _total: int) -> None:
        with pytest.raises(Conflict) as error:
            export_log(lab.data, out, request, lab.sealer)
        refused.append(error.value.title)

    export_log(lab.data, out, request, lab.sealer, meanwhile)
    assert refused == [f"Something is being exported to {out} now"]
    assert lab.verify(out).ok


def test_what_a_killed_export_left_is_taken_away(lab: AuditLab) -> None:
    left = lab.folder / ".out.partial"
    shutil.copytree(lab.export(), left)
    (left / "2026" / "part.ndjson").write_text("half a li")
    out = lab.folder / "out"
    export_log(lab.data, out, ExportRequest("hub", [], key_text(lab.key.public), Micros(0)), lab.sealer)
    assert lab.verify(out).ok
    assert not left.exists()


def test_a_year_that_was_asked_for_and_is_not_there_is_not_left_out_in_silence(lab: AuditLab) -> None:
    with pytest.raises(NotFound, match="no access log of `hub` in 2024, 2025"):
        lab.export(years=(2024, 2026, 2025))
    assert [path.name for path in lab.folder.iterdir()] == ["data"]


def test_a_link_in_its_place_is_not_written_through(lab: AuditLab) -> None:
    out = lab.folder / "out"
    out.symlink_to("nowhere")
    with pytest.raises(Conflict, match="exists"):
        export_log(lab.data, out, ExportRequest("hub", [], key_text(lab.key.public), Micros(0)), lab.sealer)
