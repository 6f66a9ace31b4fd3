"""What a new collection's log begins with while something of its agreement is suspended.

Who verifies that log alone could not know of it otherwise. Pure: both stores write what this returns.
"""

from __future__ import annotations

from collections.abc import Sequence

from lightship.core.agreement import suspension as orders
from lightship.core.errors import CallerError, Damaged
from lightship.core.ports import SignedSuspension
from lightship.core.time import Micros
from lightship.storage import statements


def running(held: Sequence[SignedSuspension], now: Micros) -> list[statements.Part]:
    """Return the statements of the first suspension that is in effect and of all that came after it.

    Args:
        held: all suspensions of the agreement and what ended them early, by number.
        now: when the collection is made, microseconds.

    Raises:
        Damaged: one of them cannot be read.
    """
    try:
        read = [orders.read(one.envelope)[1] for one in held]
    except CallerError as error:
        raise Damaged("A stored suspension cannot be read", why=str(error)) from None
    return [statements.suspension(one.envelope) for one in held[orders.first_running(read, now) :]]
