"""After a crash: events whose effect is committed but that never reached the access log are recorded now.

Runs at start, before the first request; running it while another process serves is harmless, because the
same request recorded twice leaves one event. Never drops an event that could not be recorded.
"""

from __future__ import annotations

from concurrent.futures import wait

from lightship.core.ports import Access, Writer


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
