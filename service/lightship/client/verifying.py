"""A pull that believes nothing it cannot verify: log, objects, log again, then everything compared.

TAXII 2.1 section 5.4 with `match[version]=all`. The checkpoint before and the one after the objects bound
what must have come. Objects are read strictly and hashed in their canonical form; only what the log vouches
for is handed on. What the hub owes is asked for again at every pull until it comes or leaves the
collection.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Self

from lightship.client.connection import ACCEPT, Connection
from lightship.client.errors import NotTaxii
from lightship.client.kept_log import Kept, digest_of, origin_in
from lightship.client.log_source import MAX_VERSIONS, LogSource
from lightship.client.pulling import LAST
from lightship.core.agreement.chain import Verify
from lightship.core.errors import CallerError
from lightship.core.ids import UNKNOWN_ID
from lightship.core.log.complete import Outcome, compare
from lightship.core.log.findings import Failure, Finding, LogRefused
from lightship.core.log.held import Held
from lightship.core.log.leaf import AgreementChange
from lightship.core.log.ledger import Gone
from lightship.core.log.notes import BadNote
from lightship.core.log.trusted import Applied, TrustedLog
from lightship.core.stix.json import Decoded, decode_listing
from lightship.core.time import Micros, format_stamp

SPEC_VERSIONS = "2.0,2.1"
MARGIN = 1_000_000
"""Objects beyond those in the log that a hub may send before it is thought to go on for ever."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a verified pull came to.

    Args:
        delivered: what is new to the consumer, each with its proof.
        failures: objects that came and are not to be used, by name.
        missing: objects that the log has and the hub did not hand out.
        findings: entries of the log that do not hold.  warnings: what a strict consumer does not put up with.
        gone: object versions that left the collection since the last pull.
        size: entries of the log now.  authority: who signed the agreement.
        reached: everything with a `date_added` up to this was handed on, or is missing.
    """

    delivered: tuple[Outcome, ...]
    failures: tuple[Outcome, ...]
    missing: tuple[Held, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    gone: tuple[Gone, ...]
    size: int
    authority: str
    reached: Micros

    @property
    def ok(self) -> bool:
        """True if nothing is wrong; warnings aside."""
        return not (self.failures or self.missing or self.findings)


@dataclass(slots=True)
class Received:
    """Objects as they came, spooled to a file that goes away with it."""

    spool: IO[bytes]
    keys: list[tuple[str, str]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    unreadable: list[Outcome] = field(default_factory=list)
    dates: list[tuple[int, str]] = field(default_factory=list)

    def bodies(self, wanted: Sequence[bool]) -> Iterator[bytes]:
        """Yield the canonical bytes of the objects that are wanted."""
        self.spool.seek(0)
        for size, want in zip(self.sizes, wanted, strict=True):
            body = self.spool.read(size)
            if want:
                yield body


class VerifiedPull:
    """One pull, for a `with` block: `report` says what came of it, `bodies()` yields what may be used.

    Keep `kept` once that is safe.
    """

    def __init__(self, report: Report, kept: Kept, received: Received, wanted: Sequence[bool]) -> None:
        self.report, self.kept = report, kept
        self._received, self._wanted = received, wanted

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._received.spool.close()

    def bodies(self) -> Iterator[bytes]:
        """Yield the canonical bytes of the delivered objects, in order."""
        return self._received.bodies(self._wanted)


def first_look(source: LogSource, verify: Verify, *, pinned_key: str = "", hub: str = "") -> Kept:
    """Return an empty trusted log for a hub that was never looked at.

    Args:
        source: the log.
        verify: the signature check.
        pinned_key, hub: what version 1 of the agreement must be; with both empty what is shown now is pinned.

    Raises:
        LogRefused: the hub shows no checkpoint of this collection.
    """
    try:
        origin = origin_in(source.checkpoint(), source.collection)
    except BadNote as error:
        raise LogRefused(Failure.CHECKPOINT_FORGED, str(error)) from None
    return Kept(
        TrustedLog(source.agreement, source.collection, origin, verify, pinned_key=pinned_key, hub=hub)
    )


def follow(source: LogSource, log: TrustedLog, now: Micros) -> Applied:
    """Bring a trusted log up to the hub's newest checkpoint.

    Raises:
        LogRefused: it does not verify; the log must not be used any further.
    """
    _versions(source, log)
    note = source.checkpoint()
    checkpoint = log.open(note)
    try:
        entries = source.entries(log.size, checkpoint.size)
    except CallerError as error:
        raise LogRefused(
            Failure.TRUNCATED, f"the entries that are signed for did not come: {error}"
        ) from None
    batch = log.admit(note, checkpoint, entries)
    newest = max((one.agreement for one in batch.leaves if isinstance(one, AgreementChange)), default=0)
    if newest > len(log.terms):
        _versions(source, log)  # it took effect between the two requests
    found = {digest: source.roster(digest) for digest in dict.fromkeys(batch.rosters)}
    shown = {digest: envelope for digest, envelope in found.items() if envelope is not None}
    return log.apply(batch, shown, now)


def _versions(source: LogSource, log: TrustedLog) -> None:
    while len(log.terms) < MAX_VERSIONS:
        envelope = source.version(len(log.terms) + 1)
        if envelope is None:
            break
        log.add_agreement(envelope)
    if not log.terms:
        raise LogRefused(Failure.AGREEMENT_WITHHELD, "the hub shows no version of the agreement")


def pull(
    connection: Connection, path: str, source: LogSource, kept: Kept, now: Callable[[], Micros]
) -> VerifiedPull:
    """Pull what is new to the consumer and verify all of it.

    Args:
        connection: to the hub.
        path: the collection's TAXII path, ending in a slash.
        source: its log.
        kept: changed to what is trusted now; keep it once the objects are safe.
        now: the consumer's clock, microseconds.

    Raises:
        LogRefused: the log as a whole does not verify: nothing is handed on.
        LightshipError: the hub cannot be reached, or refuses.
    """
    first = follow(source, kept.log, now())
    received = Received(tempfile.TemporaryFile())  # noqa: SIM115 -- closed with the pull that it is part of
    try:
        return _pull(connection, path, source, kept, now, first, received)
    except BaseException:
        received.spool.close()
        raise


def _pull(
    connection: Connection,
    path: str,
    source: LogSource,
    kept: Kept,
    now: Callable[[], Micros],
    first: Applied,
    received: Received,
) -> VerifiedPull:
    log, start = kept.log, _window(kept)
    before, upto = log.size, log.last_at
    _receive(connection, path, start, sum(1 for _ in log.ledger.held) + MARGIN, received)
    there = {key for key in received.keys if any(one.digest == key[1] for one in log.ledger.held.of(key[0]))}
    second = follow(source, log, now())
    warnings = log.warnings(now())
    witnessed = all(one.failure is not Failure.NOT_WITNESSED for one in warnings)
    found = compare(log.ledger.held, received.keys, before=before, after=start, witnessed=witnessed)
    wanted = _wanted(found.received, kept)
    report = Report(
        delivered=tuple(one for one, want in zip(found.received, wanted, strict=True) if want),
        failures=(*received.unreadable, *(one for one in found.received if not one.good)),
        missing=found.missing,
        findings=(*first.findings, *second.findings, *_dates(received, found.received, before)),
        warnings=tuple(warnings),
        gone=(*first.gone, *second.gone),
        size=log.size,
        authority=log.chain.last.root.text if log.chain.last else "",
        reached=upto,
    )
    kept.reached = upto
    kept.early = {
        (one.id, one.digest): one.held.stamp
        for one, want in zip(found.received, wanted, strict=True)
        if want and one.held is not None and one.held.index >= before and (one.id, one.digest) not in there
    }
    kept.owed = {(one.id, one.digest) for one in found.missing}
    return VerifiedPull(report, kept, received, wanted)


def _window(kept: Kept) -> Micros:
    """Return the stamp after which objects are asked for: before the first that is owed."""
    owed = [
        held.stamp - 1
        for object_id, digest in kept.owed
        for held in kept.log.ledger.held.of(object_id)
        if held.digest == digest and held.live
    ]
    return Micros(min([kept.reached, *owed]))


def _wanted(outcomes: Sequence[Outcome], kept: Kept) -> list[bool]:
    """Which are handed on: what is good, still there, and was not handed on before.

    What left and came back while it was pulled comes once more with the next pull: which of the two came
    cannot be told.
    """
    wanted, given = [], set()
    for one in outcomes:
        key = (one.id, one.digest)
        held = one.held
        fresh = held is not None and (
            key in kept.owed or (held.stamp > kept.reached and kept.early.get(key) != held.stamp)
        )
        wanted.append(one.good and held is not None and held.live and fresh and key not in given)
        given.add(key)
    return wanted


def _receive(connection: Connection, path: str, after: Micros, most: int, received: Received) -> None:
    """Fetch every version after a stamp, page by page."""
    params = {"match[version]": "all", "match[spec_version]": SPEC_VERSIONS}
    if after > 0:
        params["added_after"] = format_stamp(after)
    seen: set[str] = set()
    while True:
        answer = connection.fetch(f"{path}objects/", params, accept=ACCEPT)
        token = _page(answer.content, received)
        received.dates.append((len(received.keys) - 1, answer.headers.get(LAST, "")))
        if not token:
            return
        if token in seen or len(received.keys) + len(received.unreadable) > most:
            raise NotTaxii("The server goes on for ever", why="it sends more than its log has")
        seen.add(token)
        params["next"] = token


def _page(content: bytes, received: Received) -> str:
    """Spool one page's objects; return `next`, empty on the last page."""
    listing = decode_listing(content or b"{}", "objects")
    if not listing.is_object or not listing.is_array:
        raise NotTaxii("The answer is no TAXII envelope", why="`objects` is not a list")
    for item in listing.items or ():
        value = item.value if isinstance(item.value, dict) else {}
        object_id = value.get("id")
        name = object_id if isinstance(object_id, str) else UNKNOWN_ID
        if isinstance(item, Decoded):
            received.spool.write(item.canonical)
            received.sizes.append(len(item.canonical))
            received.keys.append((name, digest_of(item.canonical)))
        else:
            received.unreadable.append(Outcome(name, "", Failure.UNREADABLE_OBJECT))
    token = listing.members.get("next")
    return token if listing.members.get("more") is True and isinstance(token, str) else ""


def _dates(received: Received, outcomes: Sequence[Outcome], before: int) -> Iterator[Finding]:
    """The dates that pages claim must be those of the log: cursors of others go by them."""
    for at, text in received.dates:
        held = outcomes[at].held if 0 <= at < len(outcomes) else None
        if held is None or not outcomes[at].good or held.index >= before or not text:
            continue
        if format_stamp(held.stamp) != text:
            why = f"a page says {text}, the log {format_stamp(held.stamp)}"
            yield Finding(Failure.WRONG_DATE, why, held.index, held.id)
