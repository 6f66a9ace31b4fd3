"""The status resource of a post (TAXII 2.1 section 4.3.1): complete at once, every item in it once.

Counts add up and lists are complete. Each failure says what happened, which rule decided (in parentheses) and
what to do. A success may have a message too: that it is held back until its release, what its publisher may
not have meant to share, or what a strict collection would have refused it for. The version of an entry is
`modified`, else `created`, else the `date_added` of what is held; an item without any of them gets the time
of the request. Who may not read the collection is not told whether a copy was there before: it would learn
what others posted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from lightship.core.access import Principal
from lightship.core.collection import Verdict
from lightship.core.ids import is_uuid4
from lightship.core.ports import ItemOutcome, PublishOutcome, Statuses
from lightship.core.time import Micros, format_stamp
from lightship.core.words import ALREADY_HELD
from lightship.usecases.entry import Hidden

_TAKEN = frozenset({Verdict.ADD, Verdict.DUPLICATE, Verdict.STAGED})
_STAGED = "Held back until {}: nobody else sees it before, and you can take it back (`lightship staged`)"
_MESSAGES = {
    Verdict.NOT_OWNER: (
        "Another member posted this object first and owns it here (deny-owner); "
        "publish your own object and relate it to this one"
    ),
    Verdict.WITHDRAWN: (
        "This version was withdrawn for good and cannot be added again (deny-withdrawn); "
        "publish a new version with a later modified"
    ),
    Verdict.UNKNOWN_MARKING: (
        "A marking that it cites is not held here any more, or with other content (deny-unknown-marking); "
        "publish the marking-definition again, in the same post"
    ),
}
_CONFLICT_VERSIONED = (
    "This id and version is held with other content, which stays (deny-conflict); "
    "publish the change as a new version with a later modified"
)
_CONFLICT_UNVERSIONED = (
    "This id is held with other content, which stays (deny-conflict); refer to the held object as it is"
)


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that never came to the store. `version` is empty where it has no usable one."""

    position: int
    id: str
    version: str
    message: str


def render_status(
    status_id: str,
    requested: Micros,
    outcome: PublishOutcome,
    failures: Sequence[Failure],
    releases: Mapping[int, Micros],
    *,
    may_read: bool = True,
) -> bytes:
    """Return the status resource as JSON; entries in the order posted.

    Args:
        status_id: UUIDv4.
        requested: when the request came.
        outcome: what the store did.
        failures: what never came to the store.
        releases: position -> the moment before which an object is held back.
        may_read: whether who posted may read the collection; else a copy of what is held is told as if it
            were new, and no `date_added` is.
    """
    when = format_stamp(requested)
    successes: list[tuple[int, dict[str, str]]] = []
    failed = [(one.position, _entry(one.id, one.version or when, one.message)) for one in failures]
    for item in outcome.items:
        if item.verdict in _TAKEN:
            successes.append((item.candidate.position, _success(item, when, releases, may_read)))
        else:
            failed.append((item.candidate.position, _failure(item, when)))
    status: dict[str, object] = {
        "id": status_id,
        "status": "complete",
        "request_timestamp": when,
        "total_count": len(successes) + len(failed),
        "success_count": len(successes),
    }
    if successes:
        status["successes"] = _in_order(successes)
    status["failure_count"] = len(failed)
    if failed:
        status["failures"] = _in_order(failed)
    status["pending_count"] = 0
    return orjson.dumps(status)


def read_status(statuses: Statuses, principal: Principal, status_id: str) -> bytes:
    """Return the status resource of a post of this very credential (TAXII 2.1 section 4.3).

    Raises:
        Hidden: there is none, it was another's, or it is past its time.
    """
    body = statuses.status(principal, status_id) if is_uuid4(status_id) else None
    if body is None:
        raise Hidden
    return body


def _success(item: ItemOutcome, when: str, releases: Mapping[int, Micros], may_read: bool) -> dict[str, str]:
    candidate = item.candidate
    version = candidate.version_text or (format_stamp(item.stamp) if item.stamp and may_read else when)
    if item.verdict is Verdict.ADD and not candidate.warnings and candidate.violation is None:
        return {"id": candidate.id, "version": version}
    said = list(candidate.warnings)
    if candidate.violation is not None:
        rule, message = candidate.violation
        said.insert(0, f"Taken as it is; a strict collection would refuse it: {message.rstrip('.')} ({rule})")
    if item.verdict is Verdict.DUPLICATE and may_read:
        said.insert(0, ALREADY_HELD)
    elif item.verdict is Verdict.STAGED:
        said.insert(0, _STAGED.format(format_stamp(releases[candidate.position])))
    return _entry(candidate.id, version, ". ".join(one.rstrip(".") for one in said))


def _failure(item: ItemOutcome, when: str) -> dict[str, str]:
    if item.verdict is Verdict.CONFLICT:
        message = _CONFLICT_VERSIONED if item.candidate.version else _CONFLICT_UNVERSIONED
    else:
        message = _MESSAGES[item.verdict]
    version = item.candidate.version_text or (format_stamp(item.stamp) if item.stamp else when)
    return _entry(item.candidate.id, version, message)


def _entry(object_id: str, version: str, message: str) -> dict[str, str]:
    # A message can quote a name out of a hostile body: what is no Unicode text is spelled out.
    message = message.encode("utf-8", "backslashreplace").decode("utf-8")
    entry = {"id": object_id, "version": version}
    return entry | {"message": message} if message else entry


def _in_order(entries: list[tuple[int, dict[str, str]]]) -> list[dict[str, str]]:
    return [entry for _, entry in sorted(entries, key=lambda one: one[0])]
