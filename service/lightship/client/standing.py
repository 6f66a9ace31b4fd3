"""What `lightship doctor` says of a member at a hub: agreement, suspensions, credential, publish key.

From what the hub tells its members at `/agreements/<agreement>/`; where there is no such thing (another TAXII
server), nothing is said. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lightship.client.doctor import Finding
from lightship.client.errors import NotTaxii
from lightship.client.hub import Client
from lightship.core.errors import CallerError
from lightship.core.time import Micros, instant_micros, parse_instant

DAY = 86_400 * 1_000_000
SOON_DAYS = 30
_STOPPED = {"suspended", "expired", "ended"}
_WAIT = "It ends by itself; ask the hub's steward for the reason"
_SIGN = "Have the holder of the admin key sign a roster with it: lightship roster sign"


def examine_standing(client: Client, key: str, now: Micros) -> Iterator[Finding]:
    """Yield what is found of each agreement of the credential.

    Args:
        client: of the profile.  key: id of this machine's publish key, empty if it has none.
        now: this machine's clock, microseconds.

    Raises:
        LightshipError: the hub cannot be reached.
    """
    for root in client.roots():
        try:
            found = client.agreement(root.name)
        except (NotTaxii, CallerError):
            continue
        yield from judged(found, key, now)


def judged(found: Mapping[str, Any], key: str, now: Micros) -> Iterator[Finding]:
    """Yield what a standing comes to; arguments as `examine_standing`."""
    name, you = str(found["id"]), found["you"]
    yield _agreement(found)
    yield from _suspensions(name, found)
    if you["expires"]:
        days = (instant_micros(parse_instant(you["expires"])) - now) // DAY
        if days < SOON_DAYS:
            yield Finding(
                "credential", "warning", f"{you['name']} ends in {days} days", "Have it rotated in time"
            )
    if key:
        yield _key(found, key)


def _agreement(found: Mapping[str, Any]) -> Finding:
    status, text = found["status"], found["notice"] or f"{found['id']} is {found['status']}"
    if status in _STOPPED:
        todo = _WAIT if status == "suspended" else "Ask the parties to renew it"
        return Finding("agreement", "failed", text, todo)
    if status == "in-force":
        return Finding("agreement", "ok", f"{found['id']} is in force, version {found['version']}")
    return Finding("agreement", "warning", text, "Ask the parties" if status == "grace" else "")


def _suspensions(name: str, found: Mapping[str, Any]) -> Iterator[Finding]:
    """Its own member stopped is a failure, what else is stopped there is to be known."""
    mine = found["you"]["member"]
    for one in found["suspensions"]:
        if one["member"] == mine:
            text = f"your member {mine} is suspended in {name} until {one['until']}: {one['reason']}"
            yield Finding("suspension", "failed", text, _WAIT)
        elif one["member"]:
            text = f"the member {one['member']} is suspended in {name} until {one['until']}"
            yield Finding("suspension", "warning", text)


def _key(found: Mapping[str, Any], key: str) -> Finding:
    """Whether what this machine signs would be taken."""
    name, mine = found["id"], found["you"]["member"]
    roster = next((one for one in found["rosters"] if one["member"] == mine), None)
    listed = next((one for one in roster["keys"] if one["id"] == key), None) if roster else None
    if roster is None or listed is None:
        what = f"no roster of {mine}" if roster is None else f"roster {roster['version']} of {mine} does not"
        text = f"{what} in {name} lists this machine's key" if roster is None else f"{what} list it in {name}"
        return Finding("publish key", "warning", f"{key}: {text}; it can sign nothing there", _SIGN)
    if not roster["in_force"]:
        text = f"roster {roster['version']} of {mine} is not in force in {name}: its admin key was replaced"
        return Finding("publish key", "failed", text, "Sign the next roster with the new admin key")
    if listed["revoked"] is not None:
        text = f"{key} is revoked in {name}: {listed['revoked']}"
        return Finding("publish key", "failed", text, f"Make a new one, and: {_SIGN}")
    if listed["suspended"] is not None:
        return Finding(
            "publish key", "failed", f"{key} is suspended in {name} until {listed['suspended']}", _WAIT
        )
    return Finding("publish key", "ok", f"listed in roster {roster['version']} of {mine} in {name}")
