"""Publishing and withdrawing in signed statements: one key's outbox in one collection of a hub, proved.

What is put in is on disk before this says so, is signed when its turn comes, and is sent again, the same
bytes, until the hub's proof of it was verified. See `outbox` for what holds through crashes. While the hub
does not answer, what is put in stays, if this machine has verified the collection's log before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

from lightship.client.box import QUEUE, Box
from lightship.client.drafts import draft_of, statements
from lightship.client.errors import Unreachable
from lightship.client.evidence import Keeper
from lightship.client.following import bring_up
from lightship.client.hub import Client
from lightship.client.kept_log import load
from lightship.client.outbox import Outbox, Sent
from lightship.client.submitting import submit
from lightship.client.verified import opened
from lightship.core.collection import WithdrawReason
from lightship.core.errors import HubError, LightshipError, MalformedRequest, NotFound
from lightship.core.ids import is_stix_id
from lightship.core.log.findings import Failure, LogRefused
from lightship.core.log.statement import Statement, Withdrawal
from lightship.core.time import Micros, parse_instant
from lightship.crypto.sign import SigningKey, verify

STATE, NAME = "log", "collection"
"""Beside an outbox: the verified log, and how the collection was called."""
NO_ANSWER = (Unreachable, HubError)
"""The hub said nothing of what it was asked: what is put in can wait for it."""


class SignedPublisher:
    """A key's outbox in a collection, and the log that its proofs are verified against, for a `with` block.

    One tool at a time is at it: another waits for its turn, and finds what was kept. `unanswered` is set
    while the hub does not answer: then `put` keeps all the same, and `send` raises it.

    >>> with SignedPublisher(client, "la-lb-mou/indicators", key, outboxes, now) as desk:
    ...     desk.put([report], withdraw=desk.named(["indicator--…"], WithdrawReason.PUBLISHER))
    ...     for sent in desk.send():
    ...         print(sent.seq, sent.answer)

    Args:
        client: of the hub.  collection: `<agreement>/<alias>`, or alias, id or title.
        key: signs.  outboxes: the folder of this machine's outboxes, each key's in its own.
        now: the clock, microseconds.

    Raises:
        LogRefused: the hub's log does not verify, or lacks what the hub proved to be in it; evidence is kept
            beside the outbox.
        LightshipError: the hub refuses, or cannot be reached and nothing of the log was verified here before.
    """

    def __init__(
        self, client: Client, collection: str, key: SigningKey, outboxes: Path, now: Callable[[], Micros]
    ) -> None:
        self._client, self._now = client, now
        self.unanswered: LightshipError | None = None
        folder, name = self._folder(collection, outboxes / key.keyid)
        keeper = Keeper(folder / STATE)
        with ExitStack() as stack:
            stack.enter_context(Box(folder).locked("desk"))
            try:
                state = opened(client, name, folder / STATE, now=now, keeper=keeper)
                self._kept, self._source, _ = stack.enter_context(state)
                if self.unanswered is None:
                    self._look()
            except NO_ANSWER as error:
                raise _nothing_kept(error, name) from None
            self.outbox = Outbox(folder, key, folder.name, self._kept.log.chain.hub)
            if self.unanswered is None:
                self._promised(keeper)
            self._open = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)  # what is raised tells what evidence is kept of

    def close(self) -> None:
        """Let go of the verified log; what is in the outbox stays."""
        self._open.close()

    def named(self, names: Iterable[str], reason: WithdrawReason) -> list[Withdrawal]:
        """Return the entries that withdraw what `ID` or `ID@VERSION` name, as the verified log has it.

        An id alone means every version of the object that is live. A version is written as in the object, or
        another way of the same moment; nothing after the `@` means an object without one.

        Raises:
            MalformedRequest: a name is none.
            NotFound: nothing live has an id that came without a version; all such ids are named.
            LightshipError: an id came without a version, and the hub does not answer: only the log as it is
                now says what is live.
        """
        found: list[Withdrawal] = []
        missing: list[str] = []
        for name in names:
            object_id, at, text = name.partition("@")
            instant = _checked(object_id, text)
            if not at and self.unanswered is not None:
                self.unanswered.todo = (
                    f"Name the versions of {object_id}, as ID@VERSION, to have it kept here"
                )
                raise self.unanswered
            live = [one for one in self._kept.log.ledger.held.shelf.of(object_id) if one.live]
            if not at and not live:
                missing.append(object_id)
            elif not at:
                found += [Withdrawal(one.id, one.version, reason) for one in live]
            else:
                same = [one.version for one in live if _instant(one.version) == instant]
                found.append(Withdrawal(object_id, same[0] if same else text, reason))
        if missing:
            raise NotFound(
                "Nothing is withdrawn",
                why=f"the collection holds no version of {', '.join(missing)}",
                todo="Look what is there: lightship pull --all-versions",
            )
        return found

    def put(
        self, objects: Iterable[bytes] = (), *, withdraw: Sequence[Withdrawal] = (), at: Micros | None = None
    ) -> list[int]:
        """Keep objects (JSON texts) and withdrawals for sending; return the numbers of their statements.

        What waits already, the very same, is not kept twice.

        One number means one statement, so that all of it takes effect at once: a replacement. With more, what
        is withdrawn comes first. All is checked before anything is kept.

        Args:
            objects, withdraw: what to say.  at: not before this moment.

        Raises:
            MalformedRequest: an object cannot be signed, or a version is withdrawn and added.
        """
        parts = list(statements([draft_of(one) for one in objects], withdraw))
        return [self.outbox.put(some, gone, at or 0) for some, gone in parts]

    def send(self) -> Iterator[Sent]:
        """Send what may go now; yield each statement that was answered, its proof verified.

        Raises:
            Unsettled: the hub refuses to answer for what may be logged.
            LightshipError: no answer; what is under way goes again, the same bytes, with the next call.
        """
        if self.unanswered is not None:
            raise self.unanswered
        yield from self.outbox.send(
            lambda body, one: submit(self._client.connection, self._kept.log, body, one),
            self._now,
            self._logged,
        )

    def _folder(self, collection: str, folders: Path) -> tuple[Path, str]:
        """Return the outbox's folder and the collection's name, by what was verified before if need be."""
        try:
            target = self._client.collection(collection)
        except NO_ANSWER as error:
            known = list(_verified_before(folders, self._client.connection.origin, collection, self._now()))
            if len(known) != 1:
                raise _nothing_kept(error, collection) from None
            self.unanswered = error
            return known[0]
        folder = folders / target.id
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / NAME).write_text(target.name + "\n")
        return folder, target.name

    def _look(self) -> None:
        """Follow the log, or go by what was verified before while the hub does not answer."""
        try:
            self._follow()
        except NO_ANSWER as error:
            if not self._kept.committed:
                raise
            self.unanswered = error

    def _follow(self) -> None:
        bring_up(self._source, self._kept, self._now(), clock=time.monotonic, tell=False)
        self._kept.commit()

    def _promised(self, keeper: Keeper) -> None:
        """What the hub proved of the last statement must stand in the log that it shows to everybody."""
        seq, digest = self.outbox.head()
        if not seq or self._holds(self.outbox.key.keyid, seq, digest):
            return
        keeper.compared(self._source, self._kept.log, self.outbox.promise())
        why = f"the hub proved that statement {seq} of the key is logged; in the log that it shows it is not"
        raise LogRefused(Failure.SPLIT_VIEW, why)

    def _logged(self, found: Statement, digest: str) -> bool:
        self._follow()
        return self._holds(found.key, found.seq, digest)

    def _holds(self, key: str, seq: int, digest: str) -> bool:
        """True if the log as it was followed last has this payload under the key's number."""
        there = self._kept.log.ledger.held.shelf.statement(key, seq)
        return there is not None and there[0] == digest


def outboxes_below(folder: Path) -> Iterator[tuple[str, str, str, Box]]:
    """Yield (key id, collection id, its name, the box) of each outbox on this machine; asks no hub."""
    for path in sorted(folder.glob("*/*")):
        if (path / QUEUE).is_dir():
            named = path / NAME
            name = named.read_text(errors="replace").strip() if named.exists() else path.name
            yield path.parent.name, path.name, name, Box(path)


def _verified_before(folders: Path, origin: str, collection: str, now: Micros) -> Iterator[tuple[Path, str]]:
    """Yield the folder and name of what `<agreement>/<alias>`, or an id, meant at a hub when it was verified.

    An alias or title alone can mean something else by now, so it means nothing here.
    """
    for state in sorted(folders.glob(f"*/{STATE}")):
        folder = state.parent
        named = folder / NAME
        name = named.read_text(errors="replace").strip() if named.exists() else ""
        if collection not in {name, folder.name, f"{name.rpartition('/')[0]}/{folder.name}"}:
            continue
        with Box(folder).locked("desk"), load(state, verify, now) or nullcontext() as kept:
            where = {} if kept is None else kept.where
            if (where.get("hub"), where.get("name"), where.get("id")) == (origin, name, folder.name):
                yield folder, name


def _nothing_kept(error: LightshipError, collection: str) -> LightshipError:
    said = f"Nothing is kept: this key has not verified the log of {collection} (AGREEMENT/ALIAS) here before"
    error.todo = ". ".join(one for one in (said, error.todo) if one)
    return error


def _checked(object_id: str, text: str) -> str:
    if not is_stix_id(object_id):
        raise MalformedRequest(f"{object_id!r} is no STIX id", todo="Write ID or ID@VERSION")
    try:
        return _instant(text)
    except (ValueError, TypeError):
        raise MalformedRequest(
            f"The version of {object_id} is no UTC timestamp", todo="Write it as in the object's `modified`"
        ) from None


def _instant(text: str) -> str:
    return parse_instant(text) if text else ""
