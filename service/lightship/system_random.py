"""UUIDv4s from the system's randomness (RFC 9562 section 5.4), asked for many at a time.

Asking the system gives the interpreter's lock away; where a writing thread waits for it, each request would
pay for that.
"""

from __future__ import annotations

import os
from uuid import UUID

AT_ONCE = 256
"""Ids that one question to the system is good for."""
_BYTES = 16
_VERSION, _VERSION_MASK = 0x4 << 76, 0xF << 76
_VARIANT, _VARIANT_MASK = 0b10 << 62, 0b11 << 62
_kept: list[int] = []
os.register_at_fork(after_in_child=_kept.clear)  # else two processes would give the same


def random_uuid() -> UUID:
    """Return a fresh UUIDv4; may be called from several threads."""
    try:
        number = _kept.pop()
    except IndexError:
        asked = os.urandom(_BYTES * AT_ONCE)
        number, *others = (
            int.from_bytes(asked[at : at + _BYTES], "big") for at in range(0, len(asked), _BYTES)
        )
        _kept.extend(others)
    return UUID(int=number & ~(_VERSION_MASK | _VARIANT_MASK) | _VERSION | _VARIANT)
