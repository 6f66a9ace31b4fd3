"""What a verifying consumer keeps between two pulls: the trusted log, how far it came, what is still owed.

One file (`kept_file`). It is the consumer's own memory: on loading, the agreement's chain, the rosters and
the suspensions are verified again, and the kept hashes must lead to a checkpoint that the hub signed, so that
a damaged file is refused. A look that was interrupted is kept as what it is: the verified beginning of the
log, and the checkpoint that it goes for.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import orjson

from lightship.client.kept_file import MAGIC, KeptFile
from lightship.client.kept_json import FormerState, read_former
from lightship.client.kept_shelf import FileShelf
from lightship.core import dsse
from lightship.core.agreement.chain import Verify
from lightship.core.errors import CallerError
from lightship.core.log import merkle, notes
from lightship.core.log.findings import Failure, Finding
from lightship.core.log.leaf import SUSPENSION_TYPE
from lightship.core.log.ledger import Gone
from lightship.core.log.look import Aim
from lightship.core.log.trusted import TrustedLog
from lightship.core.time import Micros


class Told(NamedTuple):
    """What is still to be handed on, and its number in the queue."""

    number: int
    what: Gone | Finding


class Kept:
    """A trusted log and the place of a consumer in it; for a `with` block, which lets the file go.

    What is changed counts once `commit` was called; `close` before that forgets it.

    Args:
        log: as it was verified last.
        file: where it is kept; None keeps nothing beyond this object.
    """

    def __init__(self, log: TrustedLog, file: KeptFile | None = None) -> None:
        self.log, self.file = log, file
        self.reached = Micros(0)
        """What the log had up to this stamp was handed to the consumer, or is owed."""
        self.early: dict[int, int] = {}
        """What was handed on although its `date_added` is later: place on the shelf -> that stamp."""
        self.handed = 0
        """Parts that the consumer took, ever."""
        self.asked = Micros(0)
        """When the hub was last asked for newer versions of the agreement."""
        self.where: dict[str, str] = {}
        """Under which name and path the collection was found; nothing is believed of it."""
        self._queue: list[Told] = []
        self._signed = [0, 0, 0]
        self.committed = file is not None and file.path.exists()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what is to be handed on --------------------------------------------------------------------

    def tell(self, what: Iterable[Gone | Finding]) -> None:
        """Queue withdrawals and findings until the consumer has them."""
        for one in what:
            if self.file is None:
                number = self._queue[-1].number + 1 if self._queue else 1
                self._queue.append(Told(number, one))
                continue
            kind, data = _told_row(one)
            number = self.file.write("INSERT INTO told(kind, data, sum) VALUES(?,?,0)", (kind, data))
            total = self.file.sum_of((number, kind, data))
            self.file.write("UPDATE told SET sum=? WHERE n=?", (total, number))
            self.file.counted(total, 1)

    def told(self, most: int, after: int = 0) -> list[Told]:
        """Return what is to be handed on, in order, at most so many."""
        if self.file is None:
            return [one for one in self._queue if one.number > after][:most]
        found = self.file.all(
            "SELECT n, kind, data, sum FROM told WHERE n > ? ORDER BY n LIMIT ?", (after, most)
        )
        for *row, total in found:
            self.file.same(tuple(row), total)
        return [Told(number, _told_value(kind, data)) for number, kind, data, _ in found]

    def forget(self, upto: int) -> None:
        """Take what was handed on out of the queue."""
        if self.file is None:
            self._queue = [one for one in self._queue if one.number > upto]
            return
        sums = self.file.all("SELECT sum FROM told WHERE n <= ?", (upto,))
        if sums:
            self.file.write("DELETE FROM told WHERE n <= ?", (upto,))
            self.file.counted(-sum(one for (one,) in sums), -len(sums))

    # --- the file -----------------------------------------------------------------------------------

    def commit(self) -> None:
        """Keep it, durably.

        Raises:
            NotKept: it cannot be; the file is as it was.
        """
        if self.file is not None:
            for row in self._new_signed():
                number = self.file.write(
                    "INSERT INTO signed(kind, version, at, data, sum) VALUES(?,?,?,?,0)", row
                )
                total = self.file.sum_of((number, *row))
                self.file.write("UPDATE signed SET sum=? WHERE n=?", (total, number))
                self.file.counted(total, 1)
            self.file.commit(self._head())
        self.committed = True

    def close(self) -> None:
        """Let the file go; what was not committed is forgotten."""
        if self.file is not None:
            self.file.close()

    def check(self, now: int) -> None:
        """Look for damage, as `KeptFile.check`."""
        if self.file is not None:
            self.file.check(now)

    def _new_signed(self) -> Iterator[tuple[str, int, int, bytes]]:
        log, had = self.log, self._signed
        yield from (("agreement", 0, 0, one) for one in log.envelopes[had[0] :])
        yield from (("roster", version, 0, one) for version, one in log.ledger.applied_rosters[had[1] :])
        for version, at, one in log.ledger.applied_suspensions[had[2] :]:
            yield "suspension", version, int(at), dsse.encode(one)
        self._count_signed()

    def _count_signed(self) -> None:
        ledger = self.log.ledger
        self._signed = [
            len(self.log.envelopes),
            len(ledger.applied_rosters),
            len(ledger.applied_suspensions),
        ]

    def _head(self) -> dict[str, Any]:
        log = self.log
        return {
            "agreement": log.agreement,
            "collection": log.collection,
            "origin": log.origin,
            "hub": log.chain.hub,
            "signed": self._signed,
            "size": log.size,
            "peaks": _text(log.frontier.to_bytes()),
            "checkpoint": log.note.decode(),
            "aim": None if log.aim is None else _aim_value(log.aim),
            "version": log.version,
            "last_at": log.last_at,
            "seen": log.seen,
            "reached": self.reached,
            "handed": self.handed,
            "asked": self.asked,
            "early": list(self.early.items()),
            "where": self.where,
        }

    def restore(self) -> None:
        """Verify what the file holds and stand where it stood. Called by `load` only."""
        file = self.file
        if file is None:
            return
        head, log = file.head, self.log
        rows: dict[str, list[tuple[int, int, bytes]]] = {"agreement": [], "roster": [], "suspension": []}
        for *row, total in file.all("SELECT n, kind, version, at, data, sum FROM signed ORDER BY n"):
            file.same(tuple(row), total)
            rows[row[1]].append((row[2], row[3], row[4]))
        for _, _, data in rows["agreement"]:
            log.add_agreement(data)
        for version, _, data in rows["roster"]:
            log.ledger.take_roster(data, log.terms[version - 1])
        for version, at, data in rows["suspension"]:
            opened = dsse.decode(data, payload_type=SUSPENSION_TYPE)
            log.ledger.take_suspension(opened, log.terms[version - 1], Micros(at))
        self._count_signed()
        if self._signed != head["signed"]:
            raise ValueError("signed versions were taken out or put in")
        frontier = merkle.frontier_of(head["size"], b64decode(head["peaks"]))
        log.go_on(frontier, head["checkpoint"].encode(), _aim_of(head["aim"]))
        log.version, log.last_at, log.seen = head["version"], Micros(head["last_at"]), Micros(head["seen"])
        self.reached, self.asked = Micros(head["reached"]), Micros(head["asked"])
        self.handed = head["handed"]
        self.early = dict(head["early"])
        self.where = dict(head["where"])


def load(path: Path, verify: Verify, now: int = 0) -> Kept | None:
    """Return what was kept, locked for this process until it is closed; None if there is no such file.

    A file of an earlier version of Lightship is made into one of this form first.

    Args:
        path: of the file.
        verify: the signature check.
        now: the consumer's clock, microseconds; a large file is looked at whole once a day, with 0 always.

    Raises:
        BadFile: it is damaged, or of another kind.  StateBusy: another process uses it.
    """
    try:
        with path.open("rb") as start:
            begins = start.read(len(MAGIC))
    except FileNotFoundError:
        return None
    if begins.startswith(b"{"):
        read_former(path, verify, _take_over)
    file = KeptFile(path)
    try:
        return _loaded(file, verify, now)
    except BaseException:
        file.close()
        raise


def _loaded(file: KeptFile, verify: Verify, now: int) -> Kept:
    try:
        kept = Kept(_log_of(file, file.head, verify), file)
        kept.check(now)
        kept.restore()
    except (CallerError, KeyError, TypeError, ValueError, AttributeError, IndexError, Base64Error) as error:
        raise file.bad(f"{type(error).__name__}: {error}") from None
    return kept


def begin(
    path: Path, agreement: str, collection: str, origin: str, verify: Verify, *, pinned_key: str, hub: str
) -> Kept:
    """Return an empty trusted log that will be kept in a new file, there once it was committed.

    Raises:
        StateBusy, NotKept: it cannot be made.
    """
    file = KeptFile(path, make=True)
    head = {"agreement": agreement, "collection": collection, "origin": origin, "hub": hub}
    return Kept(_log_of(file, head, verify, pinned_key=pinned_key), file)


def _log_of(file: KeptFile, head: dict[str, Any], verify: Verify, *, pinned_key: str = "") -> TrustedLog:
    return TrustedLog(
        *(head["agreement"], head["collection"], head["origin"], verify),
        pinned_key=pinned_key,
        hub=head["hub"],
        shelf=FileShelf(file),
    )


def _take_over(path: Path, former: FormerState, verify: Verify) -> None:
    """Make a file of this form out of what an earlier version kept, in its place."""
    beside = path.with_name(f".{path.name}.upgraded")
    beside.unlink(missing_ok=True)
    log = former.log
    with begin(
        beside, log.agreement, log.collection, log.origin, verify, pinned_key="", hub=log.chain.hub
    ) as kept:
        for envelope in log.envelopes:
            kept.log.add_agreement(envelope)
        former.fill(kept.log)
        kept.log.go_on(log.frontier, log.note, None)
        kept.reached = former.reached
        kept.handed = 1
        kept.early = former.early(kept.log.ledger.held.shelf)
        kept.commit()
    beside.replace(path)


def _told_row(one: Gone | Finding) -> tuple[str, bytes]:
    if isinstance(one, Gone):
        return "gone", orjson.dumps(
            [one.id, one.version, one.digest, one.reason, one.at, one.index, one.signed]
        )
    return "finding", orjson.dumps([one.failure, one.why, one.index, one.object_id, one.warning, one.other])


def _told_value(kind: str, data: bytes) -> Gone | Finding:
    value = orjson.loads(data)
    return Gone(*value) if kind == "gone" else Finding(Failure(value[0]), *value[1:])


def _aim_value(aim: Aim) -> dict[str, Any]:
    return {
        "note": aim.note.decode(),
        "at": aim.at,
        "versions": aim.versions,
        "proof": [_text(one) for one in aim.proof],
    }


def _aim_of(value: Any) -> Aim | None:
    if value is None:
        return None
    checkpoint = notes.parse_checkpoint(notes.parse_note(value["note"].encode()).text)
    proof = tuple(b64decode(one) for one in value["proof"])
    return Aim(value["note"].encode(), checkpoint, Micros(value["at"]), value["versions"], proof)


def _text(raw: bytes) -> str:
    return b64encode(raw).decode()


def digest_of(content: bytes) -> str:
    """Return the hex SHA-256 of an object's JCS bytes."""
    return hashlib.sha256(content).hexdigest()


def origin_in(note: bytes, collection: str) -> str:
    """Return the origin in an unverified checkpoint of this collection, to be pinned at the first look.

    Raises:
        BadNote: it is no checkpoint, or not of this collection.
    """
    checkpoint = notes.parse_checkpoint(notes.parse_note(note).text)
    if not checkpoint.origin.endswith(f"/c/{collection}"):
        raise notes.BadNote(
            "The checkpoint is of another log", why=f"it is of {checkpoint.origin}, not of {collection}"
        )
    return checkpoint.origin
