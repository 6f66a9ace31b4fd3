"""The files of an agreement as people edit them, and what they meet on a hub.

Beside `agreement.toml` a folder may hold `rules.cedar`: forbid rules of the agreement's own. They make it
stricter, never looser. Here they are only read; what decides is the stored text whose digest was signed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lightship.core.agreement import Agreement, Verify
from lightship.core.errors import BadFile
from lightship.core.ports import Decisions, Reader, Registry
from lightship.usecases.impact import OwnRule

MAX_RULES = 256 * 1024
"""Bytes that an agreement's own rules may have."""

ReadRules = Callable[[str, str], Sequence[OwnRule]]
"""(text, path) -> the forbid rules in it; raises BadFile with the line of a mistake."""


@dataclass(frozen=True, slots=True)
class Draft:
    """The files of an agreement.

    Args:
        text: `agreement.toml`.  path: its name, for complaints.
        rules: `rules.cedar`, the agreement's own forbid rules, empty without any.  rules_path: its name.
    """

    text: str
    path: str
    rules: bytes = b""
    rules_path: str = "rules.cedar"


@dataclass(frozen=True, slots=True)
class Ground:
    """What a draft meets on a hub: what is in force, what is held, and the rules that decide about it."""

    registry: Registry
    reader: Reader
    decisions: Decisions
    verify: Verify
    read_rules: ReadRules


def own_rules(ground: Ground, draft: Draft) -> Sequence[OwnRule]:
    """Return the draft's own rules.

    Raises:
        BadFile: they are too large, no text, or have a mistake.
    """
    if not draft.rules:
        return ()
    if len(draft.rules) > MAX_RULES:
        raise BadFile("The rules are too large", path=draft.rules_path, why=f"more than {MAX_RULES} bytes")
    try:
        text = draft.rules.decode()
    except UnicodeDecodeError as error:
        raise BadFile(
            "The rules are not UTF-8",
            path=draft.rules_path,
            line=draft.rules.count(b"\n", 0, error.start) + 1,
            why=error.reason,
            todo="Save the file as UTF-8",
        ) from None
    return ground.read_rules(text, draft.rules_path)


def rules_in_force(ground: Ground, agreement: Agreement | None) -> Sequence[OwnRule]:
    """Return the own rules of the version in force; none where its words are not known any more."""
    if agreement is None or not agreement.rules:
        return ()
    try:
        return ground.read_rules(agreement.rules, f"rules of {agreement.id} version {agreement.version}")
    except BadFile:
        return ()  # signed under an earlier Lightship whose rules knew other words: all of them count as new
