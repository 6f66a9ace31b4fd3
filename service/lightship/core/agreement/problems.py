"""Complaints about an agreement file: each says what, why and what to do, and where the key stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightship.core.agreement import lines
from lightship.core.errors import BadFile

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake at one key."""

    path: Path
    what: str
    why: str = ""
    todo: str = ""


class BadAgreement(BadFile):
    """An agreement with mistakes: it reads as the first one, and `problems` has them all, by line."""

    def __init__(self, path: str, found: Mapping[Path, int], problems: Sequence[Problem]) -> None:
        self.problems: tuple[BadFile, ...] = tuple(
            sorted(
                (
                    BadFile(
                        one.what, path=path, line=lines.line_of(found, one.path), why=one.why, todo=one.todo
                    )
                    for one in problems
                ),
                key=lambda bad: bad.line,
            )
        )
        first = self.problems[0]
        super().__init__(first.title, path=path, line=first.line, why=first.why, todo=first.todo)

    def __str__(self) -> str:
        return "\n".join(str(one) for one in self.problems)


def where(path: Path) -> str:
    """Name a key in words: `ceiling` of collection `incidents`."""
    if not path:
        return "the agreement"
    if len(path) == 1:
        return f"`{path[0]}`"
    if path[0] in {"members", "collections"} and len(path) > 2:
        return f"`{'.'.join(path[2:])}` of {path[0][:-1]} `{path[1]}`"
    if path[0] in {"members", "collections"}:
        return f"{path[0][:-1]} `{path[1]}`"
    return f"`{'.'.join(path[1:])}` of `{path[0]}`"
