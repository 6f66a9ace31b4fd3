"""The outbox: where a publisher's statements wait, are signed in their turn, and stay until proved logged.

One chain for a key and a collection, one statement under way at a time. What is sent is on disk before it
is sent, and the same bytes are sent until they are answered; so no crash and no second tool beside it makes
a key sign two statements under one number. A statement is signed only when its turn comes: one that the hub
refuses uses up no number, and one that is held back does not stop the others.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from lightship.client import box
from lightship.client.box import DELIVERED as DELIVERED
from lightship.client.box import QUEUE, REFUSED, Box
from lightship.client.box import SENDING as SENDING
from lightship.client.drafts import Draft
from lightship.core import dsse
from lightship.core.collection import WithdrawReason
from lightship.core.errors import BadFile, Conflict
from lightship.core.log import statement
from lightship.core.log.record import BadRecord
from lightship.core.log.statement import Add, Statement, Withdrawal
from lightship.core.time import Micros
from lightship.crypto.sign import SigningKey


@dataclass(frozen=True, slots=True)
class Proof:
    """That a statement was logged: leaf bytes, place, path to the root of a signed checkpoint. Verified."""

    index: int
    leaf: bytes
    path: tuple[bytes, ...]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """The hub's answer to a statement that it does not take: (id, version, message), and why as a whole.

    `final` is False where it says nothing about an earlier try, whose answer may have been lost: the hub
    refused the request before it looked for the statement in its log.
    """

    failures: tuple[tuple[str, str, str], ...]
    why: str = ""
    final: bool = True


@dataclass(frozen=True, slots=True)
class Sent:
    """A statement that was answered: its number in the outbox, its `seq` and what came of it."""

    number: int
    seq: int
    objects: int
    answer: Proof | Refusal
    withdrawn: int = 0


class Unsettled(Conflict):
    """The hub refuses to answer for a statement that may be in its log, so it stays under way (exit code 3).

    To end it would make the key sign another statement under the same number.
    """

    code = "unsettled"


Logged = Callable[[Statement, str], bool]
"""Whether the verified log, as it is now, holds a statement with this payload digest; raises if unknown."""
Submit = Callable[[bytes, dsse.Envelope], Proof | Refusal]
"""Sends a body and returns the answer, its proof verified; raises if there was none."""


class Outbox(Box):
    """The chain of one key in one collection.

    Args:
        directory: of this key and collection; made if it is not there.
        key: signs.
        collection: its UUID.  hub: hex SHA-256 of the payload of the agreement's version 1.
    """

    def __init__(self, directory: Path, key: SigningKey, collection: str, hub: str) -> None:
        super().__init__(directory)
        self.key = key
        self.collection, self.hub = collection, hub
        for name in (QUEUE, DELIVERED, REFUSED):
            (directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    # --- putting in -----------------------------------------------------------------------------------

    def put(self, drafts: Sequence[Draft], withdraw: Sequence[Withdrawal] = (), not_before: int = 0) -> int:
        """Keep one statement's content, durable when this returns; return its number.

        The very same that waits already is not kept twice, so a command that was told of no answer can be
        repeated.

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
        with self.locked("numbers"):
            if twin := self.twin(content):
                return twin
            number = max([0, *self.numbers()]) + 1
            box.write(self.queued(number), content)
        return number

    # --- sending --------------------------------------------------------------------------------------

    def send(self, submit: Submit, now: Callable[[], Micros], logged: Logged | None = None) -> Iterator[Sent]:
        """Send what waits and may go now, in order; yield each statement that was answered.

        Args:
            submit: sends a body.  now: the clock.
            logged: asked about a statement that was refused without the hub having looked for it in its log;
                without it such a refusal ends only what was never sent before.

        Raises:
            Unsettled: the hub refuses, and the statement may be logged; it stays under way.
            Whatever `submit` or `logged` raise: what is under way stays so, and the same bytes go next time.
        """
        with self.locked("sending"):
            while True:
                resumed = self.under_way()
                under_way = resumed or self._next(now())
                if under_way is None:
                    return
                body = under_way["body"].encode()
                envelope, found = _statement(self.directory / SENDING, body)
                answer = submit(body, envelope)
                if isinstance(answer, Refusal) and not answer.final:
                    _settle(answer, found, envelope, resumed is not None, logged)
                self._answered(under_way["number"], found, envelope, answer)
                number, size = under_way["number"], len(found.add)
                yield Sent(number, found.seq, size, answer, len(found.withdraw))

    def _next(self, now: Micros) -> dict[str, Any] | None:
        """Sign the first statement whose time has come, and put it under way."""
        for number in self.queue():
            content = box.waiting(self.queued(number))
            if content["not_before"] > now:
                continue
            seq, prev = self.head()
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
            box.write(self.directory / SENDING, under_way)
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
            box.write(self.directory / DELIVERED / name, content)
        else:
            kept = box.waiting(self.queued(number))
            content = {"why": answer.why, "failures": answer.failures, "content": kept}
            box.write(self.refused(number), content)
        self.forget(number)


def _settle(
    answer: Refusal, found: Statement, envelope: dsse.Envelope, resumed: bool, logged: Logged | None
) -> None:
    """Return if a refusal may end a statement.

    Raises:
        Unsettled: it may be in the log.
    """
    if logged is None:
        there, how = resumed, "It was sent before, so it may be in the log"
    else:
        there, how = logged(found, statement.digest_of(envelope.payload)), "It is in the log all the same"
    if there:
        raise Unsettled(
            f"Statement {found.seq} of the key is refused and stays under way",
            why=f"{how}. {answer.why}",
            todo="Once the hub takes requests like it again, it answers with the proof",
        )


def sent_payload(path: Path) -> str:
    """Return the SHA-256 of the payload in a file of what is under way."""
    envelope, _ = _statement(path, box.sending(path)["body"].encode())
    return statement.digest_of(envelope.payload)


def _statement(path: Path, body: bytes) -> tuple[dsse.Envelope, Statement]:
    try:
        return statement.read_envelope(orjson.loads(body)["publication"], signed=True)
    except (BadRecord, KeyError, TypeError, ValueError) as error:
        raise BadFile("What is under way cannot be read", path=str(path), why=str(error)) from None
