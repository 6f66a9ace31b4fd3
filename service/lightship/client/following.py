"""Following a log: from what is trusted to the hub's newest checkpoint, in windows of bounded size.

Each window is proved to belong to the signed tree before anything in it is read, and is judged before the
next one is fetched to its end. What is begun can be interrupted after any window and goes on from there, for
the checkpoint that it went for first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lightship.client import kept_log
from lightship.client.bounded import TooMuch
from lightship.client.kept_log import Kept, origin_in
from lightship.client.log_source import MAX_VERSIONS, LogSource
from lightship.core.agreement.chain import Verify
from lightship.core.errors import CallerError
from lightship.core.log.findings import Failure, LogRefused
from lightship.core.log.leaf import AgreementChange
from lightship.core.log.look import Applied
from lightship.core.log.notes import BadNote
from lightship.core.log.trusted import TrustedLog
from lightship.core.time import Micros

MOST = 100_000_000
"""New entries that are gone through in one look, unless more are asked for."""
ASK_EVERY = Micros(3_600 * 1_000_000)
"""After so long without anything new the hub is asked for newer versions of the agreement all the same."""
COMMIT_EVERY_S = 5.0
MOST_SIGNED = 64 * 1024 * 1024
"""Bytes of all versions of an agreement, and of all rosters; they are kept in memory."""

Progress = Callable[[int, int], None]
"""(entries that are verified, entries that were signed for)."""


def first_look(
    source: LogSource, verify: Verify, *, pinned_key: str = "", hub: str = "", path: Path | None = None
) -> Kept:
    """Return an empty trusted log for a hub that was never looked at.

    Args:
        source: the log.
        verify: the signature check.
        pinned_key, hub: what version 1 of the agreement must be; with both empty what is shown now is pinned.
        path: of the file that it will be kept in; None keeps it in memory.

    Raises:
        LogRefused: the hub shows no checkpoint of this collection.
    """
    try:
        origin = origin_in(source.checkpoint(), source.collection)
    except (BadNote, TooMuch) as error:
        raise LogRefused(Failure.CHECKPOINT_FORGED, str(error)) from None
    place = (source.agreement, source.collection, origin, verify)
    if path is None:
        return Kept(TrustedLog(*place, pinned_key=pinned_key, hub=hub))
    return kept_log.begin(path, *place, pinned_key=pinned_key, hub=hub)


def windows(source: LogSource, log: TrustedLog, now: Micros, *, most: int = MOST) -> Iterator[Applied]:
    """Bring a trusted log up to the hub's newest checkpoint; yield what each window brought.

    Args:
        source: where it is fetched.
        log: stands behind each window that was yielded, and can be kept there.
        now: the consumer's clock, microseconds.
        most: entries that are gone through at most.

    Raises:
        LogRefused: it does not verify; the log must not be used any further.
    """
    if _versions(source, log) == 0:
        raise LogRefused(Failure.AGREEMENT_WITHHELD, "the hub shows no version of the agreement")
    note = source.checkpoint()
    checkpoint = log.open(note)
    if checkpoint.size - log.size > most:
        why = (
            f"{checkpoint.size - log.size} new entries are signed for, more than the {most} that are allowed"
        )
        raise LogRefused(Failure.ENDLESS, why, log.size)
    if log.aim is not None:
        yield from _reach(source, log, now)
    log.take_aim(note, checkpoint, now)
    yield from _reach(source, log, now)


def follow(source: LogSource, log: TrustedLog, now: Micros) -> Applied:
    """Bring a trusted log up to the hub's newest checkpoint at once; return all that this brought.

    Raises:
        LogRefused: it does not verify; the log must not be used any further.
    """
    first, parts = log.size, list(windows(source, log, now))
    return Applied(
        first,
        tuple(leaf for one in parts for leaf in one.leaves),
        tuple(gone for one in parts for gone in one.gone),
        tuple(finding for one in parts for finding in one.findings),
    )


def bring_up(
    source: LogSource,
    kept: Kept,
    now: Micros,
    *,
    thorough: bool = True,
    clock: Callable[[], float] | None = None,
    most: int = MOST,
    progress: Progress | None = None,
    watch: Callable[[Applied], None] | None = None,
    tell: bool = True,
) -> bool:
    """Follow the log, queue in `kept` what is to be told, and keep what is verified while that takes long.

    Args:
        source, now, most: as `windows`.
        kept: what is trusted.
        thorough: ask for newer versions of the agreement even if the checkpoint is the one that is kept.
        clock: monotonic, seconds; None keeps nothing before the caller does.
        progress: is told after each window.
        watch: is given each window before it can be kept.
        tell: False for who has no use for withdrawals and findings.

    Returns:
        False if nothing is new: the hub showed the very checkpoint that is kept.

    Raises:
        LogRefused: it does not verify; `kept` must be closed.
    """
    log = kept.log
    lately = 0 <= now - kept.asked < ASK_EVERY
    may_rest = not thorough and lately and log.aim is None and log.note != b""
    if may_rest and source.checkpoint() == log.note:
        log.seen = max(log.seen, now)
        return False
    begun, long = (0.0 if clock is None else clock()), False
    for one in windows(source, log, now, most=most):
        if watch is not None:
            watch(one)
        if tell:
            kept.tell(one.findings)
            kept.tell(one.gone)
        if progress is not None:
            progress(log.size, log.promised)
        if clock is not None and clock() - begun >= COMMIT_EVERY_S:
            kept.commit()
            begun, long = clock(), True
    kept.asked = now
    if long:
        kept.commit()
    return True


def _reach(source: LogSource, log: TrustedLog, now: Micros) -> Iterator[Applied]:
    """Go for what `log.aim` says."""
    if log.aim is None:
        return
    size = log.aim.checkpoint.size
    if log.size == size:
        yield log.apply(log.admit(()), {}, now)
        return
    parts = source.windows(log.size, size)
    while log.size < size:
        try:
            entries = next(parts)
            end = log.size + len(entries)
            proof = source.proof(end, size) if end < size else ()
        except (CallerError, TooMuch, StopIteration) as error:
            raise LogRefused(
                Failure.TRUNCATED, f"the entries that are signed for did not come: {error}", log.size
            ) from None
        batch = log.admit(entries, proof)
        newest = max((one.agreement for one in batch.leaves if isinstance(one, AgreementChange)), default=0)
        if newest > len(log.terms):
            _versions(source, log)  # it took effect after they were asked for
        yield log.apply(batch, _rosters(source, log, batch.rosters), now)


def _versions(source: LogSource, log: TrustedLog) -> int:
    """Take the versions of the agreement that are new; return how many there are."""
    size = sum(map(len, log.envelopes))
    while len(log.terms) < MAX_VERSIONS:
        envelope = source.version(len(log.terms) + 1)
        if envelope is None:
            break
        size += len(envelope)
        _bounded(size, "versions of the agreement")
        log.add_agreement(envelope)
    return len(log.terms)


def _rosters(source: LogSource, log: TrustedLog, digests: Iterable[str]) -> dict[str, bytes]:
    """Return the rosters that the hub shows of those that a window names."""
    size = sum(len(envelope) for _, envelope in log.ledger.applied_rosters)
    shown = {}
    for digest in dict.fromkeys(digests):
        envelope = source.roster(digest)
        if envelope is not None:
            size += len(envelope)
            _bounded(size, "rosters")
            shown[digest] = envelope
    return shown


def _bounded(size: int, what: str) -> None:
    if size > MOST_SIGNED:
        raise LogRefused(Failure.ENDLESS, f"{what} of more than {MOST_SIGNED} bytes together cannot be")
