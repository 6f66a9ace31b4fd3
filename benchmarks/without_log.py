"""A hub whose access log keeps nothing: only to measure what the access log costs. Never for use.

Run as `python -m benchmarks.without_log HUB_DIR PORT http|https`. The same application,
store, rules and server as `lightship serve`; only the port `Access` is replaced.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

from lightship.cli.serve import bind, server_of
from lightship.core.audit import AccessEvent, AuditQuery
from lightship.settings import load_settings
from lightship.wiring import open_hub


class NoLog:
    """Takes every event and forgets it."""

    def record(self, event: AccessEvent) -> Future[None]:
        """Return a completed future."""
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def search(self, query: AuditQuery) -> Iterator[AccessEvent]:
        """Yield nothing."""
        return iter(())


def main(hub_dir: Path, port: int, scheme: str) -> None:
    """Serve until SIGTERM."""
    settings = load_settings(hub_dir).model_copy(update={"listen": f"127.0.0.1:{port}"})
    bound = bind("127.0.0.1", port)
    hub = dataclasses.replace(open_hub(hub_dir, settings=settings), access=NoLog())
    try:
        server_of(hub, plain=scheme == "http").run(sockets=[bound])
    finally:
        hub.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
