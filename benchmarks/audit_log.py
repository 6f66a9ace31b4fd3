"""What the access log costs as a verifiable log: an event by size of its group, an export, its verification.

Run as `python -m benchmarks.audit_log [--events N]`. It records in a folder of its own, each group size once
without signatures (no receipts) and once with them, by turns; CPU time of the process, so that others on the
machine disturb it less. Then it exports what the largest run recorded and verifies it as `lightship verify`
does. What was promised: a million entries within 60 s.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import uuid
from pathlib import Path

from lightship.client.auditing import verify_export
from lightship.core.agreement.chain import key_text
from lightship.core.audit import AccessEvent
from lightship.core.time import Micros
from lightship.crypto.sign import new_signing_key
from lightship.storage.audit_export import ExportRequest, export_log
from lightship.storage.sqlite.access_log import open_access_log
from lightship.storage.sqlite.access_tree import Sealer
from lightship.system_clock import SystemClock

GROUPS = (1, 4, 32, 128)
BATCH = 2_000
START = 1_790_000_000_000_000


def events(count: int, first: int = 0) -> list[AccessEvent]:
    """Return reads of one member, a millisecond apart."""
    return [
        AccessEvent(
            req=uuid.uuid4().hex,
            at=Micros(START + number * 1000),
            act="read-objects",
            who="uslax",
            cred="3f0a2d7e9b1c4d5e8f60718293a4b5c6",
            col="101865c4-8b37-44ea-9d56-51e7dbd445bb",
            q="added_after=2026-04-01T12:00:00.000000Z&limit=1000",
            ip="192.0.2.7",
            st=200,
            why="allow-audience-read",
            n=1000,
            first=START - 5_000_000,
            last=START - 1_000_000,
        )
        for number in range(first, first + count)
    ]


def an_event(folder: Path, sealer: Sealer | None, group: int, count: int) -> tuple[float, float]:
    """Return CPU microseconds and bytes on disk of one event."""
    log = open_access_log(folder, SystemClock(), sealer=sealer)
    log.record_all(events(64)).result()
    batches = [events(group, 64 + at) for at in range(0, count, group)]
    begun = time.process_time()
    for batch in batches:
        for one in log.record_all(batch).result():
            if one is not None and not isinstance(one, Exception):
                one.header()
    cost = (time.process_time() - begun) / count
    log.close()
    return cost * 1e6, sum(path.stat().st_size for path in folder.glob("*.db")) / (count + 64)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="entries to verify")
    parser.add_argument("--runs", type=int, default=3, help="how often each group size is measured")
    given = parser.parse_args()
    key = new_signing_key()
    sealer = Sealer("hub.example:9443", key.public, key.sign)
    print("| events a commit | CPU us an event, no signatures | with receipts | bytes an event |")
    print("|---:|---:|---:|---:|")
    for group in GROUPS:
        bare: list[tuple[float, float]] = []
        sealed: list[tuple[float, float]] = []
        for _ in range(given.runs):
            for found, by in ((bare, None), (sealed, sealer)):
                with tempfile.TemporaryDirectory() as folder:
                    found.append(an_event(Path(folder), by, group, 400 if group == 1 else 4_000))
        print(f"| {group} | {min(bare)[0]:.1f} | {min(sealed)[0]:.1f} | {sealed[0][1]:.0f} |")
    with tempfile.TemporaryDirectory() as folder:
        verify(Path(folder), sealer, key.keyid, given.events)


def verify(folder: Path, sealer: Sealer, keyid: str, count: int) -> None:
    """Record, export and verify so many events; print what each took."""
    log = open_access_log(folder / "data", SystemClock(), sealer=sealer)
    for at in range(0, count, BATCH):
        log.record_all(events(min(BATCH, count - at), at)).result()
    log.close()
    request = ExportRequest("hub", [], key_text(sealer.public), Micros(START))
    begun = time.perf_counter()
    export_log(folder / "data", folder / "export", request, sealer)
    exported = time.perf_counter()
    report = verify_export(folder / "export", pins=[keyid])
    done = time.perf_counter()
    size = sum(path.stat().st_size for path in (folder / "export").rglob("*") if path.is_file())
    print(f"\n{report.verdict}")
    print(
        f"exported in {exported - begun:.1f} s ({size / 2**20:.0f} MiB), verified in {done - exported:.1f} s"
    )


if __name__ == "__main__":
    main()
