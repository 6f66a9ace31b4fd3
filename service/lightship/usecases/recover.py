"""After a crash: events whose effect is committed but that never reached the access log are recorded now.

Runs at start, before the first request; running it while another process serves is harmless, because the
same request recorded twice leaves one event. Never drops an event that could not be recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import wait

from lightship.core.audit import HUB_SCOPE, STEWARD, AccessEvent
from lightship.core.ports import Access, Writer
from lightship.core.time import Micros


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


def choose_unlogged(
    access: Access, agreements: Iterable[str], new_request: Callable[[], str], now: Micros
) -> None:
    """Record that the steward lets the hub answer although its access log cannot be written.

    It stands in the log of each agreement too: its auditors see no other one.

    Raises:
        Unavailable: this cannot be recorded; then the choice does not hold.
    """
    recording = [
        access.record(
            AccessEvent(
                req=new_request(), at=now, act="answer-unlogged", agr=scope, cred=STEWARD, why=STEWARD
            )
        )
        for scope in (HUB_SCOPE, *agreements)
    ]
    for done in recording:
        done.result()


def tell_unlogged(
    access: Access, counts: Mapping[str, int], new_request: Callable[[], str], now: Micros
) -> Mapping[str, int]:
    """Record how many requests were answered without a record, once the log can be written again.

    Args:
        counts: agreement, or `hub` -> how many.

    Returns:
        What could not be recorded.
    """
    recording = {
        scope: access.record(
            AccessEvent(
                req=new_request(), at=now, act="unlogged", agr=scope, cred=STEWARD, why="answer-unlogged", n=n
            )
        )
        for scope, n in counts.items()
    }
    wait(recording.values())
    return {scope: counts[scope] for scope, done in recording.items() if done.exception() is not None}
