"""How an agreement stands now: its status and versions, what is suspended, whose keys its rosters list.

What every member may know of it as a value: the same that is signed and logged, put together. Names no
credential and no client but the asker's own.
"""

from __future__ import annotations

from lightship.core.access import Principal
from lightship.core.agreement import Agreement
from lightship.core.ports import Registry
from lightship.core.time import Micros, format_stamp
from lightship.usecases.answers import Shape
from lightship.usecases.rosters import Current, RosterBook


def standing(
    registry: Registry, rosters: RosterBook | None, agreement: Agreement, epoch: int, now: Micros
) -> Shape:
    """Return how an agreement stands.

    Args:
        registry: of the agreements.  rosters: whose keys are whose, None over a store without any.
        agreement: under the rules of `epoch`.  now: microseconds.

    Raises:
        Damaged: a stored roster does not verify.
    """
    chain = registry.chain(agreement.id)
    current = rosters.current(agreement, epoch) if rosters is not None else None
    return {
        "id": agreement.id,
        "title": agreement.title,
        "status": agreement.status(now).value,
        "notice": agreement.notice(now),
        "authority": agreement.authority,
        "not_before": _stamp(agreement.not_before),
        "not_after": _stamp(agreement.not_after),
        "version": agreement.version,
        "first": agreement.hub,
        "versions": [{"version": one.version, "sha256": one.digest} for one in chain],
        "suspensions": [one.shape() for one in agreement.stops(now)],
        "rosters": [] if current is None else _rosters(current, agreement, now),
    }


def asker(registry: Registry, principal: Principal, agreement: Agreement, now: Micros) -> Shape:
    """Return what concerns who asks: its member, when that is free again, when its credential ends."""
    stop = agreement.suspended(principal.member, now)
    held = [one for one in registry.credentials(agreement.id) if one.id == principal.credential]
    return {
        "member": principal.member,
        "name": principal.name,
        "suspended": _stamp(stop.until if stop is not None else None),
        "expires": _stamp(held[0].expires if held else None),
    }


def _rosters(current: Current, agreement: Agreement, now: Micros) -> list[Shape]:
    found = []
    for member, one in sorted(current.newest.items()):
        held = current.rosters.current(member)
        listed = held.roster.keys if held is not None else {}
        found.append(
            {
                "member": member,
                "version": one.version,
                "sha256": one.digest,
                "in_force": current.in_force(member) is not None,
                "keys": [
                    {
                        "id": keyid,
                        "revoked": key.revoked.reason if key.revoked is not None else None,
                        "suspended": _stamp(_until(agreement, keyid, now)),
                    }
                    for keyid, key in listed.items()
                ],
            }
        )
    return found


def _until(agreement: Agreement, keyid: str, now: Micros) -> Micros | None:
    stop = agreement.suspended("", now, keyid)
    return stop.until if stop is not None else None


def _stamp(moment: Micros | None) -> str | None:
    return None if moment is None else format_stamp(moment)
