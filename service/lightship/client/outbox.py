"""The outbox: where a publisher's statements wait, are signed in their turn, and stay until proved logged.

One chain for a key and a collection, one statement under way at a time. What is sent is on disk before it
is sent, and the same bytes are sent until they are answered; so no crash and no second tool beside it makes
a key sign two statements under one number. A statement is signed only when its turn comes: one that the hub
refuses uses up no number, and one that is held back does not stop the others.
"""

from __future__ import annotations

import fcntl
import os
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from lightship.client.drafts import Draft
from lightship.core import dsse
from lightship.core.collection import WithdrawReason
from lightship.core.errors import BadFile
from lightship.core.log import statement
from lightship.core.log.statement import Add, Statement, Withdrawal
from lightship.core.time import Micros
from lightship.crypto.sign import SigningKey

QUEUE, SENDING, DELIVERED, REFUSED = "queue", "sending.json", "delivered", "refused"


@dataclass(frozen=True, slots=True)
class Proof:
    """That a statement was logged: leaf bytes, place, path to the root of a signed checkpoint. Verified."""

    index: int
    leaf: bytes
    path: tuple[bytes, ...]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """The hub's answer to a statement that it does not take: (id, version, message), and why as a whole."""

    failures: tuple[tuple[str, str, str], ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """A statement that was answered: its number in the outbox, its `seq` and what came of it."""

    number: int
    seq: int
    objects: int
    answer: Proof | Refusal


Submit = Callable[[bytes, dsse.Envelope], Proof | Refusal]
"""Sends a body and returns the answer, its proof verified; raises if there was none."""


class Outbox:
    """The chain of one key in one collection.

    Args:
        directory: of this key and collection; made if it is not there.
        key: signs.
        collection: its UUID.  hub: hex SHA-256 of the payload of the agreement's version 1.
    """

    def __init__(self, directory: Path, key: SigningKey, collection: str, hub: str) -> None:
        self.directory, self.key = directory, key
        self.collection, self.hub = collection, hub
        for name in (QUEUE, DELIVERED, REFUSED):
            (directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    # --- putting in -----------------------------------------------------------------------------------

    def put(self, drafts: Sequence[Draft], withdraw: Sequence[Withdrawal] = (), not_before: int = 0) -> int:
        """Keep one statement's content, durable when this returns; return its number.

        Args:
            drafts, withdraw: what one statement can hold (`drafts.statements`).
            not_before: it is not signed before this moment, microseconds.
        """
        content = {
            "add": [[one.add.id, one.add.version, one.add.digest] for one in drafts],
            "withdraw": [[one.id, one.version, one.reason.value] for one in withdraw],
            "objects": [one.body.decode() for one in drafts],
            "not_before": not_before,
        }
        with self._locked("numbers"):
            number = max([0, *self._numbers()]) + 1
            _write(self._queued(number), content)
        return number

    def waiting(self) -> list[tuple[int, Micros]]:
        """Return what is not answered yet: number, and the moment before which it is not sent."""
        return [(number, Micros(_read(self._queued(number))["not_before"])) for number in self._queue()]

    def drop(self, number: int) -> bool:
        """Take out what waits and was never sent; False if there is no such thing."""
        with self._locked("sending"), self._locked("numbers"):
            under_way = self._under_way()
            path = self._queued(number)
            if not path.exists() or (under_way is not None and under_way["number"] == number):
                return False
            path.unlink()
            _sync(path.parent)
            return True

    # --- sending --------------------------------------------------------------------------------------

    def send(self, submit: Submit, now: Callable[[], Micros]) -> Iterator[Sent]:
        """Send what waits and may go now, in order; yield each statement that was answered.

        Raises:
            Whatever `submit` raises: what is under way stays so, and the same bytes go next time.
        """
        with self._locked("sending"):
            while True:
                under_way = self._under_way() or self._next(now())
                if under_way is None:
                    return
                body = under_way["body"].encode()
                envelope, found = statement.read_envelope(orjson.loads(body)["publication"], signed=True)
                answer = submit(body, envelope)
                self._answered(under_way["number"], found, envelope, answer)
                yield Sent(under_way["number"], found.seq, len(found.add), answer)

    def _next(self, now: Micros) -> dict[str, Any] | None:
        """Sign the first statement whose time has come, and put it under way."""
        for number in self._queue():
            content = _read(self._queued(number))
            if content["not_before"] > now:
                continue
            seq, prev = self._head()
            made = Statement(
                self.collection,
                self.hub,
                self.key.keyid,
                seq + 1,
                prev,
                tuple(Add(*entry) for entry in content["add"]),
                tuple(Withdrawal(one, text, WithdrawReason(why)) for one, text, why in content["withdraw"]),
            )
            envelope = statement.sign(made, self.key.sign)
            body = b'{"objects":[%s],"publication":%s}' % (
                b",".join(one.encode() for one in content["objects"]),
                dsse.encode(envelope),
            )
            under_way = {"number": number, "body": body.decode()}
            _write(self.directory / SENDING, under_way)
            return under_way
        return None

    def _answered(
        self, number: int, found: Statement, envelope: dsse.Envelope, answer: Proof | Refusal
    ) -> None:
        """Keep the answer first, then forget what was waiting for it."""
        if isinstance(answer, Proof):
            digest = statement.digest_of(envelope.payload)
            name = f"{found.seq:09d}-{number:09d}-{digest}.json"
            content = {
                "publication": dsse.as_value(envelope),
                "index": answer.index,
                "leaf": b64encode(answer.leaf).decode(),
                "proof": [b64encode(one).decode() for one in answer.path],
                "checkpoint": answer.checkpoint.decode(),
            }
            _write(self.directory / DELIVERED / name, content)
        else:
            kept = _read(self._queued(number))
            content = {"why": answer.why, "failures": answer.failures, "content": kept}
            _write(self.directory / REFUSED / f"{number:09d}.json", content)
        self._forget(number)

    def _under_way(self) -> dict[str, Any] | None:
        """Return what was sent and not answered; what was answered before a crash is cleared away."""
        path = self.directory / SENDING
        if not path.exists():
            return None
        under_way = _read(path)
        number = under_way["number"]
        answered = {number for _, number, _ in self._delivered()} | set(_names(self.directory / REFUSED))
        if number in answered:
            self._forget(number)
            return None
        return under_way

    def _forget(self, number: int) -> None:
        self._queued(number).unlink(missing_ok=True)
        _sync(self.directory / QUEUE)
        (self.directory / SENDING).unlink(missing_ok=True)
        _sync(self.directory)

    # --- files ----------------------------------------------------------------------------------------

    def _head(self) -> tuple[int, str]:
        """Return `seq` and payload SHA-256 of the last logged statement; 0 and empty before the first."""
        seq, _, digest = max(self._delivered(), default=(0, 0, ""))
        return seq, digest

    def _delivered(self) -> Iterator[tuple[int, int, str]]:
        for path in (self.directory / DELIVERED).glob("*-*-*.json"):
            seq, number, digest = path.stem.split("-")
            yield int(seq), int(number), digest

    def _queue(self) -> list[int]:
        return sorted(_names(self.directory / QUEUE))

    def _queued(self, number: int) -> Path:
        return self.directory / QUEUE / f"{number:09d}.json"

    def _numbers(self) -> Iterator[int]:
        yield from _names(self.directory / QUEUE)
        yield from _names(self.directory / REFUSED)
        yield from (number for _, number, _ in self._delivered())

    @contextmanager
    def _locked(self, what: str) -> Iterator[None]:
        """Hold a lock of the operating system, which goes with the process whatever happens to it."""
        descriptor = os.open(self.directory / f"{what}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def sent_payload(path: Path) -> str:
    """Return the SHA-256 of the payload in a file of what is under way."""
    envelope, _ = statement.read_envelope(orjson.loads(_read(path)["body"])["publication"], signed=True)
    return statement.digest_of(envelope.payload)


def _names(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("[0-9]*.json")]


def _read(path: Path) -> dict[str, Any]:
    """Return what a file holds; one that was moved away in between counts as unreadable."""
    try:
        value = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise BadFile("A file of the outbox cannot be read", path=str(path), why=str(error)) from None
    if not isinstance(value, dict):
        raise BadFile("A file of the outbox cannot be read", path=str(path), why="it is no object")
    return value


def _write(path: Path, content: object) -> None:
    """Write a file in one step; it and its name are durable when this returns."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(orjson.dumps(content))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
