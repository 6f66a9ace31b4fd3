"""`lightship verify --receipts` ends with 1 and names the line whose receipt is somebody else's."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from auditlab import AuditLab, hub_events
from lightship.cli.verify import verify


def test_a_kept_receipt_of_another_request_fails_in_text_and_json(tmp_path: Path) -> None:
    lab = AuditLab(tmp_path)
    mine, other = hub_events(2)
    own, theirs = lab.record([mine, other])
    out, keys, kept = lab.export(), tmp_path / "hub.keys", tmp_path / "kept"
    keys.write_text(lab.key.keyid)

    def run(*values: dict[str, str], more: tuple[str, ...] = ()) -> tuple[int, str]:
        kept.write_text("".join(json.dumps(value) + "\n" for value in values))
        # a command returns its exit code; the entry point ends the process with it
        done = CliRunner().invoke(
            verify, [str(out), "--root", str(keys), "--receipts", str(kept), *more], standalone_mode=False
        )
        assert done.exception is None
        return done.return_value, done.stdout

    right = {"receipt": own.header().decode(), "request": mine.req}
    wrong = {"receipt": theirs.header().decode(), "request": mine.req}
    bare = {"receipt": theirs.header().decode()}
    assert run(right, bare)[0] == 0
    said = f"it is the access of request '{other.req}', but kept, line 2 was given for '{mine.req}'"
    code, text = run(right, wrong)
    assert code == 1
    assert text.startswith(f"FAILED: hub 2026, entry 1: {said}\n")
    code, text = run(right, wrong, more=("--json",))
    assert code == 1
    assert json.loads(text)["findings"] == [{"where": "hub 2026, entry 1", "what": said}]
