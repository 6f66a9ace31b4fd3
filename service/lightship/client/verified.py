"""The one call for tools that verify: a collection's objects and withdrawals, checked, nothing lost.

Everything that `lightship pull --verify` does, for Python. Exactly what is handed on in a part is kept by
`keep`; whatever ends the process before, it comes again (at least once, never not at all).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from lightship.client.comparing import same_log
from lightship.client.evidence import Keeper
from lightship.client.following import MOST, Progress, bring_up, first_look
from lightship.client.hub import Client
from lightship.client.kept_log import Kept, load
from lightship.client.log_source import LogSource
from lightship.client.verifying import PART, VerifiedPull, pull_parts
from lightship.core.agreement.chain import Chain
from lightship.core.errors import BadFile, CallerError
from lightship.core.log.findings import Failure, LogRefused
from lightship.core.time import Micros
from lightship.crypto.sign import verify


def machine_clock() -> Micros:
    """Return this machine's time, microseconds."""
    return Micros(time.time_ns() // 1000)


@contextmanager
def verified(
    client: Client,
    collection: str,
    state: Path,
    *,
    pinned_key: str = "",
    strict: bool = False,
    part: int = PART,
    most: int = MOST,
    now: Callable[[], Micros] = machine_clock,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
    compare: Sequence[bytes] = (),
) -> Iterator[Iterator[VerifiedPull]]:
    """Pull what is new in a collection and verify all of it, for a `with` block that yields the parts.

    >>> with verified(client, "la-lb-mou/indicators", Path("verified.state")) as parts:
    ...     for part in parts:
    ...         forget(part.report.gone)  # drop repeats by (index, id, version)
    ...         store(part.bodies())  # each an object's canonical JSON; storing one twice must be harmless
    ...         part.keep()

    Args:
        client: of the hub.
        collection: `<agreement>/<alias>`, or whatever names it for `Client.collection`.
        state: a file of this consumer's own; made at the first look. One process uses it at a time.
        pinned_key: id of the key that must have signed version 1 of the agreement; empty takes what is shown
            at the first look.
        strict: ask for newer versions of the agreement each time, not once an hour.
        part: about how many objects a part has.
        most: new entries of the log that are gone through at most.
        now: the consumer's clock.
        progress: is told how far the log is verified.
        keeper: keeps evidence of a log that contradicts itself; by default beside the state.
        compare: checkpoints that other consumers verified: they must be of the same log.

    Raises:
        LogRefused: the hub's log is not to be trusted; the state keeps what was verified before.
        BadFile: the state is damaged, or of another collection.  StateBusy, NotKept: see `kept_file`.
        LightshipError: the hub cannot be reached, or refuses.
    """
    keeper = keeper or Keeper(state)
    looking = opened(client, collection, state, pinned_key=pinned_key, now=now, keeper=keeper)
    with looking as (kept, source, path):
        if compare:
            bring_up(source, kept, now(), clock=time.monotonic, most=most, progress=progress)
            for note in compare:
                try:
                    same_log(source, kept.log, note)
                except LogRefused as refused:
                    if refused.finding.failure is Failure.SPLIT_VIEW:
                        keeper.compared(source, kept.log, note)
                    raise
        parts = pull_parts(
            *(client.connection, path, source, kept, now),
            part=part,
            strict=strict,
            most=most,
            progress=progress,
        )
        with closing(parts):
            yield parts


@contextmanager
def opened(
    client: Client,
    collection: str,
    state: Path,
    *,
    pinned_key: str = "",
    now: Callable[[], Micros],
    keeper: Keeper | None = None,
) -> Iterator[tuple[Kept, LogSource, str]]:
    """Yield what is kept in a state (or is begun), the log, and the collection's TAXII path.

    Where a collection was found is remembered, so that later looks need not ask; nothing is believed of it.

    Raises:
        as `verified`.
    """
    kept, source, keeper = load(state, verify, now()), None, keeper or Keeper(state)
    try:
        where = {"name": collection, "hub": client.connection.origin}
        known = kept.where if kept is not None else {}
        if kept is None or {name: known.get(name) for name in where} != where:
            target = client.collection(collection)
            known = where | {"agreement": target.root, "id": target.id, "path": target.path}
        source = LogSource(client.connection, known["agreement"], known["id"])
        if kept is None:
            kept = first_look(source, verify, pinned_key=pinned_key, path=state)
            kept.check(now())  # nothing is in it: the day begins
        if (kept.log.agreement, kept.log.collection) != (source.agreement, source.collection):
            raise BadFile(
                "The state is of another collection",
                path=str(state),
                why=f"it is of {kept.log.origin} under the agreement {kept.log.agreement}",
                todo="Give each collection a --state of its own",
            )
        if pinned_key:
            _pinned(kept, pinned_key)
        kept.where = known
        yield kept, source, known["path"]
        keeper.keep(source, kept.log)
    except LogRefused as refused:
        if kept is not None and source is not None:
            keeper.keep(source, kept.log, refused)
            refused.details["evidence"] = ", ".join(map(str, keeper.kept))
        raise
    finally:
        if kept is not None:
            kept.close()


def _pinned(kept: Kept, key: str) -> None:
    """A pin counts for what was kept before, too: version 1 of its agreement must be signed by the key."""
    if kept.log.envelopes:
        try:
            Chain(kept.log.agreement, verify, pinned_key=key).append(kept.log.envelopes[0])
        except CallerError as error:
            raise LogRefused(Failure.AGREEMENT_FORGED, f"in what was kept: {error}") from None
