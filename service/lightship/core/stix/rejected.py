"""The one exception by which an object is refused, and how it tells where."""

from __future__ import annotations

from collections.abc import Iterable

from lightship.core.stix.json_scan import MAX_POINTER, escape_step


class Rejected(Exception):
    """One object is not taken.

    Args:
        rule: stable slug for programs.
        what: what is wrong, with any foreign value already cut short.
        todo: what to do about it.
        where: JSON pointer inside the object, "" for the object as a whole.
    """

    def __init__(self, rule: str, what: str, todo: str, where: str = "") -> None:
        self.rule = rule
        self.where = where
        self.message = f"{what}{f' (at {where})' if where else ''}. {todo}"
        super().__init__(self.message)


def pointer(steps: Iterable[str | int]) -> str:
    """Return a JSON pointer (RFC 6901) for a message: printable, each step and the whole cut short."""
    return "".join("/" + escape_step(str(step)) for step in steps)[:MAX_POINTER]
