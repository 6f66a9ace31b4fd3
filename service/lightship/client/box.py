"""The files of an outbox: what waits, is under way, was delivered or refused; looked at and taken out here.

Numbers rise. A file is written in one step and is durable before its writer goes on. Each
change holds a lock of the operating system, so tools can run side by side. Nothing here signs or sends.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from lightship.client.durable import replace_file, sync_folder
from lightship.core.collection import WithdrawReason
from lightship.core.errors import BadFile
from lightship.core.time import Micros

_NUMBER = re.compile(r"[0-9]{1,9}")
_NAMED = re.compile(r"([0-9]{1,9})-([0-9]{1,9})-([0-9a-f]{64})")
"""`seq`, number, SHA-256 of the payload."""
_REASONS = frozenset(WithdrawReason)
QUEUE, SENDING, DELIVERED, REFUSED = "queue", "sending.json", "delivered", "refused"


@dataclass(frozen=True, slots=True)
class Entry:
    """What an outbox holds and the hub has not logged: `state` is waiting, sending or refused.

    `until` is the moment before which it is not sent, `why` the refusal, with `failures` as in `Refusal`.
    """

    number: int
    state: str
    until: Micros
    add: tuple[tuple[str, str], ...]
    withdraw: tuple[tuple[str, str], ...]
    why: str = ""
    failures: tuple[tuple[str, str, str], ...] = ()


class Box:
    """The outbox in a folder that exists."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def waiting(self) -> list[tuple[int, Micros]]:
        """Return what is not answered yet: number, and the moment before which it is not sent."""
        queued = [(number, _look(self.queued(number), waiting)) for number in self.queue()]
        return [(number, Micros(one["not_before"])) for number, one in queued if one is not None]

    def drop(self, number: int) -> bool:
        """Take out what waits and was never sent, or was refused; False if there is no such thing."""
        with self.locked("sending"), self.locked("numbers"):
            current = self.under_way()
            path = self.queued(number)
            if current is not None and current["number"] == number:
                return False
            path = path if path.exists() else self.refused(number)
            if not path.exists():
                return False
            path.unlink()
            sync_folder(path.parent)
            return True

    def twin(self, content: Mapping[str, Any]) -> int:
        """Return the number under which the very same waits, nothing behind it naming its objects; else 0."""
        raw, queue = orjson.dumps(content), self.queue()
        for at in reversed(range(len(queue))):
            path = self.queued(queue[at])
            with suppress(FileNotFoundError):  # answered meanwhile
                if path.stat().st_size == len(raw) and path.read_bytes() == raw:
                    behind = (_look(self.queued(one), waiting) for one in queue[at + 1 :])
                    return 0 if any(one and _ids(one) & _ids(content) for one in behind) else queue[at]
        return 0

    def retry(self, number: int) -> int:
        """Let what was refused wait again, under a new number, which is returned; 0 if it was not refused."""
        with self.locked("sending"), self.locked("numbers"):
            path = self.refused(number)
            if not path.exists():
                return 0
            again = max(self.numbers()) + 1
            write(self.queued(again), refused(path)["content"])
            path.unlink()
            sync_folder(path.parent)
            return again

    def entries(self) -> list[Entry]:
        """Return what waits, is under way or was refused, by number."""
        number = (_look(self.directory / SENDING, sending) or {}).get("number", 0)
        queued = [(one, _look(self.queued(one), waiting)) for one in self.queue()]
        found = [
            _entry(one, "sending" if one == number else "waiting", content)
            for one, content in queued
            if content is not None
        ]
        for one in sorted(names(self.directory / REFUSED)):
            if (kept := _look(self.refused(one), refused)) is not None:
                failures = tuple((each[0], each[1], each[2]) for each in kept["failures"])
                found.append(_entry(one, "refused", kept["content"], kept["why"], failures))
        return found

    def under_way(self) -> dict[str, Any] | None:
        """Return what was sent and not answered; what was answered before a crash is cleared away."""
        path = self.directory / SENDING
        if not path.exists():
            return None
        under_way = sending(path)
        number = under_way["number"]
        answered = {number for _, number, _ in self.delivered()} | set(names(self.directory / REFUSED))
        if number in answered:
            self.forget(number)
            return None
        return under_way

    def forget(self, number: int) -> None:
        """Take an answered statement out of the queue and from under way, in this order."""
        self.queued(number).unlink(missing_ok=True)
        sync_folder(self.directory / QUEUE)
        (self.directory / SENDING).unlink(missing_ok=True)
        sync_folder(self.directory)

    def head(self) -> tuple[int, str]:
        """Return `seq` and payload SHA-256 of the last logged statement; 0 and empty before the first."""
        seq, _, digest = max(self.delivered(), default=(0, 0, ""))
        return seq, digest

    def promise(self) -> bytes:
        """Return the checkpoint that proves the last logged statement, empty before the first."""
        name = max(self.delivered(), default=None)
        if name is None:
            return b""
        path = self.directory / DELIVERED / "{:09d}-{:09d}-{}.json".format(*name)
        return str(_checked(path, _read(path), {"checkpoint": str})["checkpoint"]).encode()

    def delivered(self) -> Iterator[tuple[int, int, str]]:
        """Yield `seq`, number and payload SHA-256 of what was proved logged, in any order."""
        for path in (self.directory / DELIVERED).glob("*-*-*.json"):
            named = _NAMED.fullmatch(path.stem)
            if named is None:
                raise _bad(path, "its name is none that an outbox gives: move it away")
            yield int(named[1]), int(named[2]), named[3]

    def queue(self) -> list[int]:
        """Return the numbers of what waits or is under way."""
        return sorted(names(self.directory / QUEUE))

    def queued(self, number: int) -> Path:
        """Return the file of what waits under a number."""
        return self.directory / QUEUE / f"{number:09d}.json"

    def refused(self, number: int) -> Path:
        """Return the file of what was refused under a number."""
        return self.directory / REFUSED / f"{number:09d}.json"

    def numbers(self) -> Iterator[int]:
        """Yield every number that something has."""
        yield from names(self.directory / QUEUE)
        yield from names(self.directory / REFUSED)
        yield from (number for _, number, _ in self.delivered())

    @contextmanager
    def locked(self, what: str) -> Iterator[None]:
        """Hold a lock of the operating system, which goes with the process whatever happens to it."""
        descriptor = os.open(self.directory / f"{what}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _entry(
    number: int,
    state: str,
    content: dict[str, Any],
    why: str = "",
    failures: tuple[tuple[str, str, str], ...] = (),
) -> Entry:
    add, withdraw = (tuple((one[0], one[1]) for one in content[name]) for name in ("add", "withdraw"))
    return Entry(number, state, Micros(content["not_before"]), add, withdraw, why, failures)


def _ids(content: Mapping[str, Any]) -> set[str]:
    return {one[0] for name in ("add", "withdraw") for one in content[name]}


def names(folder: Path) -> list[int]:
    """Return the numbers that the files of a folder are called by."""
    return [int(path.stem) for path in folder.glob("[0-9]*.json") if _NUMBER.fullmatch(path.stem)]


def waiting(path: Path) -> dict[str, Any]:
    """Return what a file of the queue holds.

    Raises:
        BadFile: it holds something else, or was moved away in between.
    """
    return _content(path, _read(path))


def sending(path: Path) -> dict[str, Any]:
    """Return what is under way: `number` and `body`. Raises as `waiting`."""
    return _checked(path, _read(path), {"number": int, "body": str})


def refused(path: Path) -> dict[str, Any]:
    """Return what was refused: `content` as in the queue, `why` and `failures`. Raises as `waiting`."""
    value = _checked(path, _read(path), {"content": dict, "why": str, "failures": list})
    _content(path, value["content"])
    _texts(path, "failures", value["failures"])
    return value


def _content(path: Path, value: dict[str, Any]) -> dict[str, Any]:
    _checked(path, value, {"add": list, "withdraw": list, "objects": list, "not_before": int})
    for name in ("add", "withdraw"):
        _texts(path, name, value[name])
    if not all(isinstance(one, str) for one in value["objects"]):
        raise _bad(path, "`objects` are no texts")
    if any(one[2] not in _REASONS for one in value["withdraw"]):
        raise _bad(path, "`withdraw` has a reason that is none")
    return value


def _checked(path: Path, value: dict[str, Any], members: Mapping[str, type]) -> dict[str, Any]:
    for name, kind in members.items():
        if not isinstance(value.get(name), kind):
            raise _bad(path, f"`{name}` is not there, or of another type")
    return value


def _texts(path: Path, name: str, value: list[Any]) -> None:
    """Each must be three texts."""
    if not all(isinstance(one, list) and [type(each) for each in one] == [str] * 3 for one in value):
        raise _bad(path, f"`{name}` is no list of three texts each")


def _read(path: Path) -> dict[str, Any]:
    try:
        value = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise _bad(path, str(error)) from None
    if not isinstance(value, dict):
        raise _bad(path, "it is no object")
    return value


def _bad(path: Path, why: str) -> BadFile:
    return BadFile("A file of the outbox cannot be read", path=str(path), why=why)


def _look(path: Path, read: Callable[[Path], dict[str, Any]]) -> dict[str, Any] | None:
    """Return what a file holds, None if a tool beside this one has just moved it away."""
    try:
        return read(path)
    except BadFile:
        if path.exists():
            raise
        return None


def write(path: Path, content: object) -> None:
    """Write a file in one step; it and its name are durable when this returns."""
    replace_file(path, orjson.dumps(content))
