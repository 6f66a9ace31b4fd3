"""Publishing: objects cut into envelopes that the hub takes, statuses merged, every failure named.

TAXII 2.1 sections 4.3 and 5.5. Objects are passed on as the bytes they came in: nothing is parsed and written
again. Publishing again is safe: the hub answers an object version that it holds with success. What is refused
because the marking that it cites comes in a later envelope is posted once more at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from lightship.client.connection import Answer, Connection
from lightship.client.errors import NotTaxii
from lightship.core.ids import UNKNOWN_ID
from lightship.core.marks import UnknownMarking
from lightship.core.words import ALREADY_HELD

DEFAULT_COUNT = 1000
"""Objects in one envelope at most."""
_HEAD, _TAIL = b'{"objects":[', b"]}"
_UNKNOWN = f"({UnknownMarking.rule})"
_POSITION = re.compile(r"(?i)\b(object at position )(\d+)")

Progress = Callable[[int], None]
"""Called with the number of objects answered since the last call."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An object that was not taken: the hub's message says which rule and what to do."""

    id: str
    version: str
    message: str


@dataclass(frozen=True, slots=True)
class Note:
    """An object that was taken, and what the hub says about it: that it is held back, or what is in it that
    its publisher may not have meant to share."""

    id: str
    version: str
    message: str


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What came of all envelopes together. `pending` is 0 except on servers that answer later."""

    total: int = 0
    success: int = 0
    pending: int = 0
    failures: tuple[Failure, ...] = ()
    statuses: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    def __add__(self, other: PublishReport) -> PublishReport:
        return PublishReport(
            self.total + other.total,
            self.success + other.success,
            self.pending + other.pending,
            self.failures + other.failures,
            self.statuses + other.statuses,
            self.notes + other.notes,
        )


@dataclass(frozen=True, slots=True)
class _Batch:
    start: int
    bodies: tuple[bytes, ...]


def publish(
    connection: Connection,
    path: str,
    objects: Iterable[bytes],
    *,
    max_bytes: int,
    count: int = DEFAULT_COUNT,
    progress: Progress | None = None,
) -> PublishReport:
    """Post objects to a collection, in order, one envelope after another.

    Args:
        connection: to the hub.
        path: the collection's path, ending in a slash.
        objects: JSON texts of STIX objects, UTF-8.
        max_bytes: the API root's `max_content_length`.
        count: objects in one envelope at most.
        progress: told how many objects were answered.

    Raises:
        LightshipError: the hub refused an envelope as a whole, or could not be reached; what was answered
            before is stored. Publish the same input again: what is held already counts as success.
    """
    report, late, envelopes = PublishReport(), list[tuple[PublishReport, tuple[bytes, ...]]](), 0
    for part in _batches(objects, max_bytes, count):
        if isinstance(part, PublishReport):
            report += part
            continue
        envelopes += 1
        done = _post(connection, path, part)
        sure, refused, bodies = _without_unknown(done, part)
        report += sure
        if bodies:
            late.append((refused, bodies))
        if progress is not None:
            progress(done.total)
    if envelopes == 1:  # there was no later one that the markings could have come in
        return sum((refused for refused, _ in late), report)
    again = (body for _, bodies in late for body in bodies)
    for part in _batches(again, max_bytes, count):
        report += part if isinstance(part, PublishReport) else _post(connection, path, part)
    return report


def _post(connection: Connection, path: str, part: _Batch) -> PublishReport:
    answer = connection.post(f"{path}objects/", _HEAD + b",".join(part.bodies) + _TAIL)
    return status_of(answer, part.start)


def _without_unknown(
    done: PublishReport, part: _Batch
) -> tuple[PublishReport, PublishReport, tuple[bytes, ...]]:
    """Return what is settled; then what was refused for an unknown marking, as a report and as bodies."""
    unknown = [one for one in done.failures if _UNKNOWN in one.message]
    if not unknown:
        return done, PublishReport(), ()
    names: set[tuple[object, object]] = {(one.id, one.version) for one in unknown}
    names |= {(one.id, "") for one in unknown}  # what has no version is named with the time of the request
    bodies = tuple(body for body in part.bodies if _name_of(body) in names)
    if len(bodies) != len(unknown):  # one id several times: the hub's answer stands
        return done, PublishReport(), ()
    settled = replace(
        done,
        total=done.total - len(unknown),
        failures=tuple(one for one in done.failures if _UNKNOWN not in one.message),
    )
    return settled, PublishReport(len(unknown), failures=tuple(unknown)), bodies


def _name_of(body: bytes) -> tuple[object, object]:
    """Return id and version; of what is no object, nothing."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, Mapping):
        return None, None
    return value.get("id"), value.get("modified") or value.get("created") or ""


def _batches(objects: Iterable[bytes], max_bytes: int, count: int) -> Iterator[_Batch | PublishReport]:
    """Cut into envelopes; an object that no envelope can hold is a failure of its own."""
    frame = len(_HEAD) + len(_TAIL)
    held: list[bytes] = []
    size, start = frame, 0
    for position, body in enumerate(objects):
        if frame + len(body) > max_bytes:
            message = (
                f"object at position {position} has {len(body)} bytes, the hub takes {max_bytes} a request"
            )
            if held:
                yield _Batch(start, tuple(held))
            held, size, start = [], frame, position + 1
            yield PublishReport(1, failures=(Failure(UNKNOWN_ID, "", message),))
            continue
        if held and (len(held) == count or size + len(body) > max_bytes):
            yield _Batch(start, tuple(held))
            held, size, start = [], frame, position
        held.append(body)
        size += len(body) + 1
    if held:
        yield _Batch(start, tuple(held))


def status_of(answer: Answer, start: int = 0) -> PublishReport:
    """Read a TAXII status resource; positions in its messages become positions in the whole input."""
    value = answer.value
    if not isinstance(value, Mapping) or not isinstance(value.get("total_count"), int):
        raise NotTaxii("The answer is no TAXII status")
    return PublishReport(
        total=value["total_count"],
        success=int(value.get("success_count", 0)),
        pending=int(value.get("pending_count", 0)),
        failures=tuple(_failure(one, start) for one in value.get("failures", [])),
        statuses=(str(value.get("id", "")),),
        notes=notes_of(value),
    )


def notes_of(status: Mapping[str, Any]) -> tuple[Note, ...]:
    """Return what a status resource says about objects that were taken, but that they were held already."""
    return tuple(
        Note(str(one.get("id", "")), str(one.get("version", "")), str(one["message"]))
        for one in status.get("successes", [])
        if one.get("message") not in {None, "", ALREADY_HELD}
    )


def _failure(one: Mapping[str, Any], start: int) -> Failure:
    message = _POSITION.sub(lambda m: f"{m[1]}{int(m[2]) + start}", str(one.get("message", "")))
    return Failure(str(one.get("id", "")), str(one.get("version", "")), message)
