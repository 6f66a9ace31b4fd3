"""A sealed access log, its export, and an operator who edits its files; for tests of the verifier."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from audit_samples import MAY, StillClock, event
from lightship.client.auditing import AuditReport, verify_export
from lightship.core.agreement.chain import key_text
from lightship.core.audit import AccessEvent
from lightship.core.log.merkle import leaf_hash
from lightship.core.log.receipt import Receipt, Sealed
from lightship.core.time import Micros
from lightship.crypto.sign import SigningKey, new_signing_key, verify
from lightship.storage.audit_export import ExportRequest, export_log
from lightship.storage.fsck_audit import check_events
from lightship.storage.fsck_log import HubKey
from lightship.storage.fsck_scratch import Scratch
from lightship.storage.sqlite.access_log import open_access_log
from lightship.storage.sqlite.access_tree import Sealer, plant
from lightship.storage.sqlite.connection import open_database

HOST = "hub.example:9443"
ORIGIN = f"{HOST}/audit/hub/2026"


@dataclass
class AuditLab:
    """A hub's access log in `folder`, with the hub's key."""

    folder: Path
    key: SigningKey = field(default_factory=new_signing_key)
    exports: int = 0

    @property
    def data(self) -> Path:
        """Where the log's files lie."""
        return self.folder / "data"

    @property
    def file(self) -> Path:
        """The file of 2026."""
        return self.data / "audit-2026.db"

    @property
    def sealer(self) -> Sealer:
        """What the hub signs with."""
        return Sealer(HOST, self.key.public, self.key.sign)

    def record(self, events: Iterable[AccessEvent], together: int = 7, now: int = MAY) -> list[Receipt]:
        """Record events in groups; return their receipts."""
        log = open_access_log(self.data, StillClock(now), sealer=self.sealer)
        found: list[Receipt] = []
        waiting = list(events)
        for at in range(0, len(waiting), together):
            for one in log.record_all(waiting[at : at + together]).result(60):
                assert isinstance(one, Sealed)
                found.append(one.receipt())
        log.close()
        return found

    def start_over(self, events: Iterable[AccessEvent]) -> list[Receipt]:
        """Do as a dishonest operator with the hub's key: write another log in place of this one."""
        shutil.rmtree(self.data)
        return self.record(events)

    def export(self, **more: Any) -> Path:
        """Export the log; return the folder."""
        self.exports += 1
        out = self.folder / f"export-{self.exports}"
        request = ExportRequest("hub", [], key_text(self.key.public), Micros(MAY), **more)
        export_log(self.data, out, request, self.sealer)
        return out

    def verify(self, out: Path | None = None, **more: Any) -> AuditReport:
        """Verify an export (a fresh one), with the hub's key pinned."""
        return verify_export(out or self.export(), pins=[self.key.keyid], **more)

    def edit(self, change: Callable[[apsw.Connection], object], *, rebuild: bool = False) -> None:
        """Do as an operator without the key: change the file, with `rebuild` all that follows from it too."""
        db = open_database(self.file)
        try:
            change(db)
            if rebuild:
                rows: list[Any] = db.execute("SELECT seq, leaf FROM event ORDER BY seq").fetchall()
                db.execute("UPDATE event SET idx = -1 - idx")
                for idx, (seq, leaf) in enumerate(rows):
                    db.execute(
                        "UPDATE event SET idx = ?, hash = ? WHERE seq = ?", (idx, leaf_hash(leaf), seq)
                    )
                db.execute("DELETE FROM node; DELETE FROM head")
                plant(db, self.file, None)
                db.execute("UPDATE head SET origin = ?", (ORIGIN,))
        finally:
            db.close()

    def fsck(self) -> Sequence[str]:
        """Return what fsck finds in the file, signatures included."""
        scratch = Scratch()
        db = open_database(self.file, readonly=True)
        try:
            for _ in check_events(db, self.file, 2026, scratch, HubKey(self.key.public, verify)):
                pass
            return [f"{one.where}: {one.what}" for one in scratch.report()]
        finally:
            db.close()
            scratch.close()


def hub_events(count: int, first: int = 0, **changes: object) -> list[AccessEvent]:
    """Return events of the hub's own log, a second apart."""
    return [
        event(number, agr="hub", at=Micros(MAY + number * 1_000_000), **changes)
        for number in range(first, first + count)
    ]
