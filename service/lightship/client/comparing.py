"""Two consumers compare what a hub showed them: one log, or two (a split view).

A hub can show each reader a log of its own that holds in itself. Only readers that compare checkpoints can
tell: of two genuine ones the hub must be able to prove that one tree is the beginning of the other (RFC 9162
section 2.1.4).
"""

from __future__ import annotations

from lightship.client.bounded import TooMuch
from lightship.client.log_source import LogSource
from lightship.core.errors import CallerError
from lightship.core.log import merkle
from lightship.core.log.findings import Failure, LogRefused
from lightship.core.log.trusted import TrustedLog


def same_log(source: LogSource, log: TrustedLog, note: bytes) -> None:
    """Demand proof that another consumer's checkpoint is of the log that was verified here.

    Args:
        source: the hub, asked for hashes of the tree.
        log: brought up to the newest checkpoint.
        note: the other's, from its `--checkpoint`.

    Raises:
        LogRefused: `split-view`: they are two logs; `checkpoint-forged`, `other-log`: it is no genuine
            checkpoint of this log.
    """
    other = log.read_checkpoint(note)
    old, new = sorted(((log.size, log.frontier.root), (other.size, other.root)))
    try:
        proof = () if old[0] == new[0] else source.proof(old[0], new[0])
    except (CallerError, TooMuch) as error:
        raise LogRefused(
            Failure.SPLIT_VIEW, f"the hub does not show that they are one log: {error}"
        ) from None
    if not _one_tree(old, new, proof):
        why = f"the log of {other.size} entries that was compared is not this one of {log.size}"
        raise LogRefused(Failure.SPLIT_VIEW, f"{why}, and the hub signed both")


def _one_tree(old: tuple[int, bytes], new: tuple[int, bytes], proof: list[bytes] | tuple[bytes, ...]) -> bool:
    if old[0] == 0:
        return True
    return merkle.verify_consistency(old[0], new[0], old[1], new[1], proof)
