"""The marking definitions that ship: files for tools that lack them, which must say what the hub knows.

TLP 2.0 and TLP 1 as STIX bundles (`policies/markings`). The hub decides by what is built in; a file that says
something else would give clients another TLP, so nothing starts with it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from lightship.core.errors import BadFile
from lightship.core.stix.json import canonical
from lightship.core.stix.markings import SHIPPED

_REMEDY: Final = "Put the file back as it was shipped; what is in use stays as it is"


def check_markings(folder: Path) -> None:
    """Check that the files of a folder hold the built-in definitions, each once and nothing else.

    Raises:
        BadFile: they do not; with file and line.
    """
    seen: dict[str, Path] = {}
    for path in sorted(folder.glob("*.json")):
        text = _text(path)
        for one in _objects(text, path):
            stix_id = one.get("id") if isinstance(one, dict) else None
            line = _line(text, stix_id)
            if not isinstance(stix_id, str) or stix_id not in SHIPPED:
                raise _bad(path, line, "The file holds something else than TLP", f"its id is {stix_id!r}")
            if canonical(one) != SHIPPED[stix_id]:
                raise _bad(path, line, "A definition differs from the published one", f"it is {stix_id}")
            if stix_id in seen:
                raise _bad(path, line, "A definition stands twice", f"{stix_id}, see also {seen[stix_id]}")
            seen[stix_id] = path
    missing = SHIPPED.keys() - seen.keys()
    if missing:
        raise _bad(folder, 0, "Marking definitions are missing", ", ".join(sorted(missing)))


def _objects(text: str, path: Path) -> list[Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", 0)
        raise _bad(path, line, "The file is not JSON", str(error)) from None
    objects = value.get("objects") if isinstance(value, dict) else None
    if not isinstance(objects, list):
        raise _bad(path, 1, "The file is no STIX bundle", 'it has no list "objects"')
    return objects


def _line(text: str, stix_id: object) -> int:
    """Return the line where an id stands last, 0 if it does not."""
    at = text.rfind(f'"{stix_id}"') if isinstance(stix_id, str) else -1
    return text.count("\n", 0, at) + 1 if at >= 0 else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _bad(path, 0, "The file cannot be read", str(error)) from None


def _bad(path: Path, line: int, title: str, why: str) -> BadFile:
    return BadFile(title, path=str(path), line=line, why=why, todo=_REMEDY)
