"""How `lightship credential` shows a credential: as JSON and in words; never its secret or digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightship.core.time import Micros, format_stamp

if TYPE_CHECKING:
    from lightship.core.access import Credential


def shape(one: Credential, now: Micros) -> dict[str, Any]:
    """Return a credential as `--json` prints it; never a secret or its digest. A pin is public."""
    return {
        "name": one.name,
        "id": one.id,
        "kind": one.kind,
        "pin": one.pin or None,
        "agreement": one.agreement,
        "member": one.member,
        "state": state(one, now),
        "created": format_stamp(one.created),
        "expires": format_stamp(one.expires) if one.expires is not None else None,
        "revoked": format_stamp(one.revoked) if one.revoked is not None else None,
        "allowed": list(one.allowed),
        "profile": one.profile,
        "note": one.note,
    }


def state(one: Credential, now: Micros) -> str:
    """Return whether it lets anybody in: `valid`, `expired` or `revoked`."""
    if one.revoked is not None:
        return "revoked"
    return "expired" if one.expires is not None and one.expires <= now else "valid"


def day(at: Micros | None) -> str:
    """Return the day of a moment, `never` without one."""
    return format_stamp(at)[:10] if at is not None else "never"
