"""A pull that believes nothing it cannot verify: log, objects, log again, then everything compared.

TAXII 2.1 section 5.4 with `match[version]=all`. The checkpoint before and the one after the objects bound
what must have come. Objects are read strictly and hashed in their canonical form; only what the log vouches
for is handed on. What the hub owes is asked for again at every pull until it comes or leaves the
collection. A pull of much is done in parts, each verified, handed on and kept by itself.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from lightship.client.connection import Connection
from lightship.client.errors import NotTaxii
from lightship.client.following import MOST, Progress, bring_up
from lightship.client.kept_log import Kept, Told
from lightship.client.log_source import LogSource
from lightship.client.receiving import Received, receive
from lightship.core.log.complete import Completeness, Outcome, compare
from lightship.core.log.findings import Failure, Finding
from lightship.core.log.ledger import Gone
from lightship.core.log.shelf import LoggedVersion
from lightship.core.time import Micros, format_stamp

PART = 20_000
"""Objects of one part of a pull, and withdrawals and findings that are handed on with it."""
EVERYTHING = 1 << 62


@dataclass(frozen=True, slots=True)
class Report:
    """What a part of a verified pull came to.

    Args:
        delivered: what is new to the consumer, each with its proof.
        failures: objects that came and are not to be used, by name.
        missing: objects that the log has and the hub did not hand out.
        findings: entries of the log that do not hold.  warnings: what a strict consumer does not put up with.
        gone: object versions that left the collection since the last pull.
        size: entries of the log now.  authority: who signed the agreement.
        reached: everything with a `date_added` up to this was handed on, or is missing.
        more: whether there is more to be pulled.
    """

    delivered: tuple[Outcome, ...]
    failures: tuple[Outcome, ...]
    missing: tuple[LoggedVersion, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    gone: tuple[Gone, ...]
    size: int
    authority: str
    reached: Micros
    more: bool = False

    @property
    def ok(self) -> bool:
        """True if nothing is wrong; warnings aside."""
        return not (self.failures or self.missing or self.findings)


class VerifiedPull:
    """One part of a pull: `report` says what came of it, `bodies()` yields what may be used.

    Call `keep` once that is safe; what was not kept comes again. It can be used until the next part is asked
    for; one that stands alone goes into a `with` block.
    """

    def __init__(
        self, report: Report, kept: Kept, received: Received, wanted: Sequence[bool], told: int
    ) -> None:
        self.report, self.kept = report, kept
        self._received, self._wanted, self.told = received, wanted, told

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the objects go."""
        self._received.spool.close()

    def bodies(self) -> Iterator[bytes]:
        """Yield the canonical bytes of the delivered objects, in order."""
        return self._received.bodies(self._wanted)

    def keep(self) -> None:
        """Keep that all of this was handed on, durably.

        Raises:
            NotKept: it cannot be; what was kept before is as it was.
        """
        self.kept.forget(self.told)
        self.kept.handed += 1
        self.kept.commit()


def pull(
    connection: Connection, path: str, source: LogSource, kept: Kept, now: Callable[[], Micros]
) -> VerifiedPull:
    """Pull all that is new to the consumer in one part, however large; see `pull_parts`.

    Raises:
        LogRefused, LightshipError: as there.
    """
    bring_up(source, kept, now())
    one = _Pull(connection, path, source, kept, now, EVERYTHING, MOST)
    return one.spooled(_start(kept), 0)[0]


def pull_parts(
    connection: Connection,
    path: str,
    source: LogSource,
    kept: Kept,
    now: Callable[[], Micros],
    *,
    part: int = PART,
    strict: bool = True,
    most: int = MOST,
    clock: Callable[[], float] = time.monotonic,
    progress: Progress | None = None,
) -> Generator[VerifiedPull]:
    """Pull what is new to the consumer and verify all of it; yield it part by part, at least one.

    Each part is to be kept (`VerifiedPull.keep`) before the next one is asked for. Withdrawals come before
    the objects that were added after them.

    Args:
        connection: to the hub.
        path: the collection's TAXII path, ending in a slash.
        source: its log.
        kept: changed to what is trusted now; close it afterwards, whatever happens.
        now: the consumer's clock, microseconds.
        part: about how many objects a part has.
        strict: ask for newer versions of the agreement even if the hub's checkpoint is that of the last pull;
            without it that is done once an hour.
        most: entries of the log that are gone through at most.
        clock: monotonic, seconds.  progress: is told how far the log is verified.

    Raises:
        LogRefused: the log as a whole does not verify: nothing more is handed on.
        LightshipError: the hub cannot be reached, or refuses.
    """
    news = bring_up(source, kept, now(), thorough=strict, clock=clock, most=most, progress=progress)
    one = _Pull(connection, path, source, kept, now, part, most)
    start = _start(kept)
    more = news or start < kept.log.last_at
    told = 0
    while len(kept.told(part + 1, told)) > part or not more:
        few = one.told_only(part, told)
        told, more_told = few.told, bool(kept.told(1, few.told))
        yield from _handed(few)
        if not more and not more_told:
            return
    while more:
        done, start, more = one.spooled(start, told)
        told = done.told
        yield from _handed(done)


def _start(kept: Kept) -> Micros:
    """Return the stamp after which objects are asked for: before the first that is owed."""
    owed = kept.log.ledger.held.shelf.owed()
    return kept.reached if owed is None else Micros(min(kept.reached, owed - 1))


def _handed(part: VerifiedPull) -> Iterator[VerifiedPull]:
    try:
        yield part
    finally:
        part.close()


@dataclass(frozen=True, slots=True)
class _Pull:
    """What the parts of one pull have in common."""

    connection: Connection
    path: str
    source: LogSource
    kept: Kept
    now: Callable[[], Micros]
    size: int
    most: int

    def told_only(self, most: int, after: int) -> VerifiedPull:
        """Return a part without objects."""
        received = Received(tempfile.TemporaryFile())  # noqa: SIM115 -- closed with the part that it belongs to
        return self._result(received, (), (), (), self.kept.told(most, after))

    def spooled(self, start: Micros, told: int) -> tuple[VerifiedPull, Micros, bool]:
        """Return the next part; its objects lie in a file that has no name."""
        received = Received(tempfile.TemporaryFile())  # noqa: SIM115 -- closed with the part that it belongs to
        try:
            return self.part(received, start, told)
        except BaseException:
            received.spool.close()
            raise

    def part(self, received: Received, start: Micros, told: int) -> tuple[VerifiedPull, Micros, bool]:
        """Return the next part, the stamp that it ends with, and whether there is more."""
        log, kept = self.kept.log, self.kept
        shelf = log.ledger.held.shelf
        before, upto = log.size, log.last_at
        receive(self.connection, self.path, start, self.size, received, shelf)
        bring_up(self.source, kept, self.now(), most=self.most)
        if not received.all:
            upto = Micros(min(upto, max([start, *received.there.values()])))
        witnessed = all(one.failure is not Failure.NOT_WITNESSED for one in log.warnings(self.now()))
        came = compare(shelf, received.came, before=before, after=start, upto=upto, witnessed=witnessed)
        wanted = _wanted(came.received, kept)
        more = not received.all or came.upto < upto
        if more and came.upto <= start and not any(wanted):
            raise NotTaxii("The server goes on for ever", why="it sends more than its log has")
        _settle(kept, came, wanted, before, received.there)
        queue = kept.told(EVERYTHING, told)
        done = self._result(received, came.received, came.missing, wanted, queue, more=more, before=before)
        return done, came.upto, more

    def _result(
        self,
        received: Received,
        outcomes: Sequence[Outcome],
        missing: tuple[LoggedVersion, ...],
        wanted: Sequence[bool],
        told: Sequence[Told],
        *,
        more: bool = False,
        before: int = 0,
    ) -> VerifiedPull:
        kept, log = self.kept, self.kept.log
        dates = _dates(received, outcomes, before)
        report = Report(
            delivered=tuple(one for one, want in zip(outcomes, wanted, strict=True) if want),
            failures=(*received.unreadable, *(one for one in outcomes if not one.good)),
            missing=missing,
            findings=(*(one.what for one in told if isinstance(one.what, Finding)), *dates),
            warnings=tuple(log.warnings(self.now())),
            gone=tuple(one.what for one in told if isinstance(one.what, Gone)),
            size=log.size,
            authority=log.chain.last.root.text if log.chain.last else "",
            reached=kept.reached,
            more=more,
        )
        return VerifiedPull(report, kept, received, wanted, told[-1].number if told else 0)


def _settle(
    kept: Kept, came: Completeness, wanted: Sequence[bool], before: int, there: dict[int, int]
) -> None:
    """Write down how far the consumer is once it has this part, what it has early, and what it is owed."""
    shelf = kept.log.ledger.held.shelf
    kept.reached = Micros(max(kept.reached, came.upto))
    kept.early = {place: stamp for place, stamp in kept.early.items() if stamp > kept.reached}
    for one, want in zip(came.received, wanted, strict=True):
        held = one.held
        if held is None or not want:
            continue
        if held.owed:
            held.owed = False
            shelf.change(held)
        if held.stamp > kept.reached and (held.index < before or held.place not in there):
            kept.early[held.place] = held.stamp
    for held in came.missing:
        if not held.owed:
            held.owed = True
            shelf.change(held)


def _wanted(outcomes: Sequence[Outcome], kept: Kept) -> list[bool]:
    """Which are handed on: what is good, still there, and was not handed on before.

    What left and came back while it was pulled comes once more with the next pull: which of the two came
    cannot be told.
    """
    wanted, given = [], set()
    for one in outcomes:
        held = one.held
        want = False
        if one.good and held is not None and held.live and held.place not in given:
            given.add(held.place)
            want = held.owed or (held.stamp > kept.reached and kept.early.get(held.place) != held.stamp)
        wanted.append(want)
    return wanted


def _dates(received: Received, outcomes: Sequence[Outcome], before: int) -> Iterator[Finding]:
    """The dates that pages claim must be those of the log: cursors of others go by them."""
    for at, text in received.dates:
        held = outcomes[at].held if 0 <= at < len(outcomes) else None
        if held is None or not outcomes[at].good or held.index >= before or not text:
            continue
        if format_stamp(held.stamp) != text:
            why = f"a page says {text}, the log {format_stamp(held.stamp)}"
            yield Finding(Failure.WRONG_DATE, why, held.index, held.id)
