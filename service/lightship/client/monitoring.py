"""What is in a log in a member's name: every statement that the member's own outboxes do not know.

A hub cannot forge a publisher's signature, but it can attest that a member posted something. Only the
member can tell that it did not; so it looks at the log itself, entry by entry, and keeps its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lightship.client.evidence import Keeper
from lightship.client.following import Progress, bring_up
from lightship.client.hub import Client
from lightship.client.outbox import DELIVERED, SENDING, sent_payload
from lightship.client.verified import machine_clock, opened
from lightship.core.collection import WithdrawReason
from lightship.core.errors import BadFile, NotFound
from lightship.core.log.findings import Finding
from lightship.core.log.leaf import Publication, RosterChange
from lightship.core.log.look import Applied
from lightship.core.log.statement import digest_of
from lightship.core.time import Micros


@dataclass(frozen=True, slots=True)
class Foreign:
    """A statement by the member that no outbox of it sent: its entry, time, and the objects it names.

    `distrusted`: the hub's own, which takes out what a key added that a roster of the member distrusts.
    """

    index: int
    at: Micros
    signed: bool
    added: tuple[str, ...]
    withdrawn: tuple[str, ...]
    distrusted: bool = False


class Outboxes:
    """What all outboxes below a directory sent; read again when something is not known."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: set[str] = set()

    def unknown(self, digests: set[str]) -> set[str]:
        """Return those that are no payload (by its SHA-256) of an outbox."""
        if digests - self._known:
            self._known = known_payloads(self._folder)
        return digests - self._known


def look(
    client: Client,
    collection: str,
    member: str,
    state: Path,
    outboxes: Outboxes,
    found: Callable[[Foreign | Finding], None],
    *,
    pinned_key: str = "",
    now: Callable[[], Micros] = machine_clock,
    progress: Progress | None = None,
    clock: Callable[[], float] | None = None,
    keeper: Keeper | None = None,
) -> int:
    """Go through what is new in a log, keep the place, and return the number of entries of the log.

    Args:
        client: of the hub.
        collection: as `Client.collection` takes it.
        member: our name in the agreement.
        state: a file of the monitor's own.
        outboxes: of the member.
        found: is given each foreign statement, and each entry that does not hold, before the place is kept:
            at least once, and again if the process ends before that. The entry's number tells repeats.
        pinned_key, now, progress, keeper: as `verified`.
        clock: monotonic, seconds; with it the place is kept every few seconds of a long look.

    Raises:
        NotFound: no version of the agreement has this member.  Else as `verified`.
    """
    looking = opened(client, collection, state, pinned_key=pinned_key, now=now, keeper=keeper)
    with looking as (kept, source, _):
        distrusted = Distrusted(member)

        def watch(applied: Applied) -> None:
            for one in (*foreign(applied, member, outboxes), *distrusted(applied)):
                found(one)
            for finding in applied.findings:
                found(finding)

        bring_up(source, kept, now(), thorough=False, clock=clock, progress=progress, watch=watch, tell=False)
        if not any(member in link.content["members"] for link in kept.log.chain.links):
            raise NotFound(
                f"The agreement never had a member `{member}`",
                todo="Name the member as the agreement does: a mistyped one has no statements to be found",
            )
        kept.commit()
        return kept.log.size


def foreign(applied: Applied, member: str, outboxes: Outboxes) -> Iterator[Foreign]:
    """Yield the statements by a member among new entries of a verified log that are not its own.

    Args:
        applied: from `following.windows`.
        member: its name in the agreement.
        outboxes: what it sent.
    """
    ours = [
        (index, one, digest_of(one.envelope.payload))
        for index, one in enumerate(applied.leaves, applied.first)
        if isinstance(one, Publication) and one.by == member
    ]
    strange = outboxes.unknown({digest for _, _, digest in ours})
    for index, one, digest in ours:
        if digest in strange:
            yield Foreign(
                index,
                one.at,
                bool(one.statement.key),
                tuple(entry.id for entry in one.statement.add),
                tuple(entry.id for entry in one.statement.withdraw),
            )


class Distrusted:
    """Watches for what leaves by a roster of the member, entry by entry from the first one on."""

    def __init__(self, member: str) -> None:
        self._member = member
        self._ours = False

    def __call__(self, applied: Applied) -> Iterator[Foreign]:
        """Yield the statements that follow a roster of the member and say what it distrusts."""
        for index, one in enumerate(applied.leaves, applied.first):
            if isinstance(one, RosterChange):
                self._ours = one.member == self._member
            elif isinstance(one, Publication) and not one.by and self._ours:
                gone = tuple(
                    entry.id for entry in one.statement.withdraw if entry.reason is WithdrawReason.DISTRUSTED
                )
                if gone:
                    yield Foreign(index, one.at, False, (), gone, distrusted=True)


def known_payloads(outboxes: Path) -> set[str]:
    """Return the SHA-256 of every payload that outboxes below a directory sent, answered or not.

    What is under way is looked at first: it stands below `delivered/` before it goes from there.
    """
    found = set()
    for path in outboxes.rglob(SENDING):
        try:
            found.add(sent_payload(path))
        except BadFile:
            if path.exists():
                raise
    return found | {path.stem.rpartition("-")[2] for path in outboxes.rglob(f"{DELIVERED}/*-*-*.json")}
