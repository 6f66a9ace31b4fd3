"""Publishing and withdrawing in signed statements: one key's outbox in one collection of a hub, proved.

What is put in is on disk before this says so, is signed when its turn comes, and is sent again, the same
bytes, until the hub's proof of it was verified. See `outbox` for what holds through crashes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from lightship.client.box import QUEUE, Box
from lightship.client.drafts import draft_of, statements
from lightship.client.evidence import Keeper
from lightship.client.following import bring_up
from lightship.client.hub import Client
from lightship.client.outbox import Outbox, Sent
from lightship.client.submitting import submit
from lightship.client.verified import opened
from lightship.core.collection import WithdrawReason
from lightship.core.errors import MalformedRequest, NotFound
from lightship.core.ids import is_stix_id
from lightship.core.log.findings import Failure, LogRefused
from lightship.core.log.statement import Statement, Withdrawal
from lightship.core.time import Micros, parse_instant
from lightship.crypto.sign import SigningKey

STATE, NAME = "log", "collection"
"""Beside an outbox: the verified log, and how the collection was called."""


class SignedPublisher:
    """A key's outbox in a collection, and the log that its proofs are verified against, for a `with` block.

    One tool at a time is at it: another waits for its turn, and finds what was kept.

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
        LightshipError: the hub refuses, or cannot be reached.
    """

    def __init__(
        self, client: Client, collection: str, key: SigningKey, outboxes: Path, now: Callable[[], Micros]
    ) -> None:
        target = client.collection(collection)
        self._client, self._now = client, now
        folder = outboxes / key.keyid / target.id
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / NAME).write_text(target.name + "\n")
        keeper = Keeper(folder / STATE)
        with ExitStack() as stack:
            stack.enter_context(Box(folder).locked("desk"))
            state = opened(client, target.name, folder / STATE, now=now, keeper=keeper)
            self._kept, self._source, _ = stack.enter_context(state)
            self._follow()
            self.outbox = Outbox(folder, key, target.id, self._kept.log.chain.hub)
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
        """
        found: list[Withdrawal] = []
        missing: list[str] = []
        for name in names:
            object_id, at, text = name.partition("@")
            instant = _checked(object_id, text)
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
        yield from self.outbox.send(
            lambda body, one: submit(self._client.connection, self._kept.log, body, one),
            self._now,
            self._logged,
        )

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
