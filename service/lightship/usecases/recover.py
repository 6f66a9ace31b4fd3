"""After a crash: events whose effect is committed but that never reached the access log are recorded now.

Runs at start, before the first request; running it while another process serves is harmless, because the
same request recorded twice leaves one event. Never drops an event that could not be recorded.
"""

from __future__ import annotations

from concurrent.futures import wait

from lightship.core.audit import AccessEvent
from lightship.core.ports import Access, Writer
from lightship.core.time import Micros
from lightship.usecases.credentials import STEWARD


def recover(writer: Writer, access: Access) -> int:
    """Move pending events into the access log and settle them; return how many were moved.

    Raises:
        Unavailable: the access log cannot be written; what was recorded until then is settled, the rest
            stays pending.
    """
    recording = [(event.req, access.record(event)) for event in writer.pending()]
    wait(done for _, done in recording)
    kept = [req for req, done in recording if done.exception() is None]
    writer.settle(kept)
    for _, done in recording:
        done.result()
    return len(kept)


def choose_unlogged(access: Access, req: str, now: Micros) -> None:
    """Record that the steward lets the hub answer although its access log cannot be written.

    Raises:
        Unavailable: this cannot be recorded; then the choice does not hold.
    """
    access.record(AccessEvent(req=req, at=now, act="answer-unlogged", cred=STEWARD, why=STEWARD)).result()


def tell_unlogged(access: Access, req: str, now: Micros, count: int) -> None:
    """Record how many requests were answered without a record, once the log can be written again.

    Raises:
        Unavailable: it still cannot.
    """
    event = AccessEvent(req=req, at=now, act="unlogged", cred=STEWARD, why="answer-unlogged", n=count)
    access.record(event).result()
