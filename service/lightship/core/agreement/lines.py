"""On which line of a TOML file a key stands, so that a complaint can say where.

`tomllib` keeps no positions. This reads only headers and keys, of a file that `tomllib` has accepted; it
decides nothing, and where it finds no key it answers with the nearest table above it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Path = tuple[str, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEYS = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_KEYS})\s*\]")
_ASSIGN = re.compile(rf"\s*({_KEYS})\s*=")
_TOKEN = re.compile(r"""\"\"\"|'''|"(?:[^"\\]|\\.)*"|'[^']*'|[\[{\]}]|\#.*""")


def index(text: str) -> dict[Path, int]:
    """Return key path -> line (from 1) for every header and every key at the start of a line."""
    found: dict[Path, int] = {}
    table: Path = ()
    depth, quote = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        start = 0
        if not quote and depth == 0:
            if header := _HEADER.match(line):
                table = _split(header[1])
                found.setdefault(table, number)
                continue
            if assign := _ASSIGN.match(line):
                keys = _split(assign[1])
                for end in range(1, len(keys) + 1):
                    found.setdefault(table + keys[:end], number)
                start = assign.end()
        depth, quote = _scan(line[start:], depth, quote)
    return found


def line_of(found: Mapping[Path, int], path: Path) -> int:
    """Return the line of a key, else of the nearest key above it, else 0."""
    while path:
        if path in found:
            return found[path]
        path = path[:-1]
    return 0


def _split(keys: str) -> Path:
    return tuple(part.strip("\"'") for part in re.findall(_PART, keys))


def _scan(rest: str, depth: int, quote: str) -> tuple[int, str]:
    """Follow brackets and multi-line strings through what is left of a line."""
    position = 0
    while position < len(rest):
        if quote:
            end = rest.find(quote, position)
            if end < 0:
                return depth, quote
            position, quote = end + 3, ""
            continue
        token = _TOKEN.search(rest, position)
        if token is None:
            break
        position = token.end()
        if token[0] in {'"""', "'''"}:
            quote = token[0]
        elif token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth = max(depth - 1, 0)
    return depth, quote
