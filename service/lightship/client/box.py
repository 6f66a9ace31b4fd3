"""The files of an outbox: what waits, is under way, was delivered or refused; looked at and taken out here.

Numbers are given once and rise. A file is written in one step and is durable before its writer goes on. Each
change holds a lock of the operating system, so tools can run side by side. Nothing here signs or sends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from lightship.core.errors import BadFile
from lightship.core.time import Micros

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
        return [(number, Micros(read(self.queued(number))["not_before"])) for number in self.queue()]

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
            sync(path.parent)
            return True

    def retry(self, number: int) -> int:
        """Let what was refused wait again, under a new number, which is returned; 0 if it was not refused."""
        with self.locked("sending"), self.locked("numbers"):
            path = self.refused(number)
            if not path.exists():
                return 0
            again = max(self.numbers()) + 1
            write(self.queued(again), read(path)["content"])
            path.unlink()
            sync(path.parent)
            return again

    def entries(self) -> list[Entry]:
        """Return what waits, is under way or was refused, by number."""
        sending = self.directory / SENDING
        number = (_look(sending) or {}).get("number", 0)
        queued = [(one, _look(self.queued(one))) for one in self.queue()]
        found = [
            _entry(one, "sending" if one == number else "waiting", content)
            for one, content in queued
            if content is not None
        ]
        for one in sorted(names(self.directory / REFUSED)):
            if (kept := _look(self.refused(one))) is not None:
                failures = tuple((each[0], each[1], each[2]) for each in kept["failures"])
                found.append(_entry(one, "refused", kept["content"], kept["why"], failures))
        return found

    def under_way(self) -> dict[str, Any] | None:
        """Return what was sent and not answered; what was answered before a crash is cleared away."""
        path = self.directory / SENDING
        if not path.exists():
            return None
        under_way = read(path)
        number = under_way["number"]
        answered = {number for _, number, _ in self.delivered()} | set(names(self.directory / REFUSED))
        if number in answered:
            self.forget(number)
            return None
        return under_way

    def forget(self, number: int) -> None:
        """Take an answered statement out of the queue and from under way, in this order."""
        self.queued(number).unlink(missing_ok=True)
        sync(self.directory / QUEUE)
        (self.directory / SENDING).unlink(missing_ok=True)
        sync(self.directory)

    def head(self) -> tuple[int, str]:
        """Return `seq` and payload SHA-256 of the last logged statement; 0 and empty before the first."""
        seq, _, digest = max(self.delivered(), default=(0, 0, ""))
        return seq, digest

    def delivered(self) -> Iterator[tuple[int, int, str]]:
        """Yield `seq`, number and payload SHA-256 of what was proved logged, in any order."""
        for path in (self.directory / DELIVERED).glob("*-*-*.json"):
            seq, number, digest = path.stem.split("-")
            yield int(seq), int(number), digest

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


def names(folder: Path) -> list[int]:
    """Return the numbers that the files of a folder are called by."""
    return [int(path.stem) for path in folder.glob("[0-9]*.json")]


def read(path: Path) -> dict[str, Any]:
    """Return what a file holds; one that was moved away in between counts as unreadable."""
    try:
        value = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise BadFile("A file of the outbox cannot be read", path=str(path), why=str(error)) from None
    if not isinstance(value, dict):
        raise BadFile("A file of the outbox cannot be read", path=str(path), why="it is no object")
    return value


def _look(path: Path) -> dict[str, Any] | None:
    """Return what a file holds, None if a tool beside this one has just moved it away."""
    try:
        return read(path)
    except BadFile:
        if path.exists():
            raise
        return None


def write(path: Path, content: object) -> None:
    """Write a file in one step; it and its name are durable when this returns."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(orjson.dumps(content))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
