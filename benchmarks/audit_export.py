"""Makes an access log of many events and exports it, for the row that verifies it.

Run as `python -m benchmarks.audit_export --hub DIR --out FOLDER --events N`: the events go through the hub's
own access log, in groups as a busy hub makes them, and the export is that of `lightship audit export`. Writes
the hub's key into FOLDER.keys.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from uuid import uuid4

from lightship.cli.main import execute
from lightship.core.agreement.chain import key_text
from lightship.core.audit import AccessEvent
from lightship.keys.hub_key import load_hub_key
from lightship.wiring import open_hub

TOGETHER = 64


def record(hub_dir: Path, count: int) -> None:
    """Record so many reads of one member."""
    hub = open_hub(hub_dir)
    try:
        for first in range(0, count, TOGETHER):
            now = hub.clock.now()
            events = [
                AccessEvent(
                    req=uuid4().hex,
                    at=now,
                    act="read-objects",
                    agr="exercise",
                    who="uslax",
                    cred="bench",
                    col="indicators",
                    q=f"limit=100&added_after={number}",
                    ip="192.0.2.7",
                    st=200,
                    why="allow-audience-read",
                    n=100,
                )
                for number in range(first, min(first + TOGETHER, count))
            ]
            hub.access.record_all(events).result()
    finally:
        hub.close()


def main() -> None:
    """Record, then export."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit_export", description=__doc__)
    parser.add_argument("--hub", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--events", type=int, default=1_000_000)
    options = parser.parse_args()
    record(options.hub, options.events)
    options.out.with_suffix(".keys").write_text(key_text(load_hub_key(options.hub).public) + "\n")
    command = ["audit", "export", "exercise", "--out", str(options.out), "--hub", str(options.hub)]
    sys.exit(execute(command))


if __name__ == "__main__":
    main()
