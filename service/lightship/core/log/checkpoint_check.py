"""When a checkpoint is believed, and when entries lead to it: the rules of `trusted` that need no state.

The hub signed it, for this log; it does not go back behind what was seen, nor show another log of the same
size; the entries hash to its root, or to the beginning of its tree. One function a rule; what breaks one is
raised as `LogRefused`. Never changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lightship.core.agreement.chain import Verify
from lightship.core.log import merkle, notes
from lightship.core.log.findings import Failure, LogRefused
from lightship.core.log.merkle import Frontier
from lightship.core.log.notes import Checkpoint, NoteKey

_OTHERS = (
    "the entries do not hash to the signed root: one was changed, left out or put in, "
    "among the new ones or among those that were seen before"
)
MAX_ENTRIES = 1 << 52
"""No log is larger: each entry takes a microsecond of its own, until 2112."""


def open_checkpoint(note: bytes, origin: str, keys: Sequence[NoteKey], verify: Verify) -> Checkpoint:
    """Return the checkpoint in a note, if one of these keys signed it for the log `origin`.

    Raises:
        LogRefused: forged, or another log's.
    """
    try:
        parsed = notes.parse_note(note)
        _verify_note(parsed, keys, verify)
        checkpoint = notes.parse_checkpoint(parsed.text)
    except notes.BadNote as error:
        raise LogRefused(Failure.CHECKPOINT_FORGED, str(error)) from None
    _this_log(checkpoint, origin)
    return checkpoint


def goes_on(checkpoint: Checkpoint, promised: int, known: Iterable[Checkpoint]) -> None:
    """Return if a genuine checkpoint can follow what was seen.

    Args:
        promised: entries that the hub signed for before.
        known: checkpoints of this log that were seen.

    Raises:
        LogRefused: older than what was seen, another root for the same size, or of more entries than a log
            can have.
    """
    _not_endless(checkpoint)
    _not_back(checkpoint, promised)
    _one_view(checkpoint, known)


def leads_to(checkpoint: Checkpoint, frontier: Frontier, start: int, proof: Sequence[bytes]) -> None:
    """Return if entries from `start` on, hashed up to `frontier`, are what a checkpoint signs for.

    Args:
        proof: that the tree of `frontier` is the beginning of the checkpoint's; without one it is all of it.

    Raises:
        LogRefused: too few or many, or another root.
    """
    if proof:
        _same_beginning(frontier, checkpoint, proof)
    else:
        _whole(frontier.size - start, checkpoint.size - start, start)
        _same_root(frontier.root, checkpoint.root)


def is_beginning(frontier: Frontier, checkpoint: Checkpoint, proof: Sequence[bytes]) -> bool:
    """Whether a tree is the beginning of a checkpoint's (RFC 9162 2.1.4)."""
    return merkle.verify_consistency(frontier.size, checkpoint.size, frontier.root, checkpoint.root, proof)


def _verify_note(parsed: notes.Note, keys: Sequence[NoteKey], verify: Verify) -> None:
    notes.verify_note(parsed, keys, verify)


def _this_log(checkpoint: Checkpoint, origin: str) -> None:
    if checkpoint.origin != origin:
        raise LogRefused(Failure.OTHER_LOG, f"the checkpoint is of {checkpoint.origin}, not {origin}")


def _not_endless(checkpoint: Checkpoint) -> None:
    if checkpoint.size > MAX_ENTRIES:
        why = f"a log of {checkpoint.size} entries cannot be: each takes a microsecond of its own"
        raise LogRefused(Failure.ENDLESS, why)


def _not_back(checkpoint: Checkpoint, promised: int) -> None:
    if checkpoint.size < promised:
        raise LogRefused(
            Failure.ROLLBACK, f"the log has {checkpoint.size} entries, {promised} were seen before"
        )


def _one_view(checkpoint: Checkpoint, known: Iterable[Checkpoint]) -> None:
    if any(one.size == checkpoint.size and one.root != checkpoint.root for one in known):
        raise LogRefused(
            Failure.SPLIT_VIEW, f"there are two logs of {checkpoint.size} entries, both signed by the hub"
        )


def _whole(came: int, wanted: int, start: int) -> None:
    if came != wanted:
        raise LogRefused(Failure.TRUNCATED, f"{wanted} new entries are signed for, {came} came", start)


def _same_beginning(frontier: Frontier, checkpoint: Checkpoint, proof: Sequence[bytes]) -> None:
    if not is_beginning(frontier, checkpoint, proof):
        raise LogRefused(Failure.REWRITTEN, _OTHERS, frontier.size)


def _same_root(ours: bytes, signed: bytes) -> None:
    if ours != signed:
        raise LogRefused(Failure.REWRITTEN, _OTHERS)
