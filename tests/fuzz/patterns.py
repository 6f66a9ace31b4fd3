"""Fuzz target: a STIX pattern, read by our parser and, for some of the inputs, by stix2-patterns.

An input is the pattern's text. It must be taken or refused with a column inside the text, the same with the
shortcut for simple patterns as without, and both parsers must give one verdict where the other one has any.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from zlib import crc32

from stix2patterns.validator import run_validator

from lightship.core.stix import patterns
from lightship.core.stix.patterns import PatternError, check_pattern

SAMPLE = 64
"""One input in so many is compared."""
MAX_COMPARED = 300
"""Characters of a pattern that is compared: the other parser is slow."""
_KNOWN = re.compile(
    r"hashes.*(?:\bIN\b|\bLIKE\b|\bMATCHES\b|ISSUB|ISSUPER|[<>\\]|M[^a-z]*D[^a-z]*6)",
    re.DOTALL | re.IGNORECASE,
)
"""Where the other one is wrong: it wants a whole hash where section 9.6 lets a part be compared, takes quotes
inside one, and knows MD6, which STIX 2.1 does not and whose digests have no one length."""


@contextmanager
def opened(sample: int = SAMPLE) -> Iterator[Callable[[bytes], None]]:
    """Give the target; `sample` 1 compares every input."""

    def target(data: bytes) -> None:
        """Check one text under both versions of STIX."""
        text = data.decode("utf-8", "replace")
        for version in ("2.1", "2.0"):
            taken = _verdict(text, version)
            if crc32(data) % sample == 0 and len(text) <= MAX_COMPARED and not _KNOWN.search(text):
                wanted = _oracle(text, version)
                assert wanted is None or taken == wanted, (text, version, taken, wanted)

    yield target


def _verdict(text: str, version: str) -> bool:
    try:
        check_pattern(text, version=version)
    except PatternError as error:
        _check_place(error, text)
        return False
    patterns._Parser(text, version).pattern()  # the shortcut takes nothing that the parser does not
    return True


def _check_place(error: PatternError, text: str) -> None:
    assert 1 <= error.column <= len(text) + 1, (error.column, len(text))
    assert len(str(error)) < 400, str(error)


def _oracle(text: str, version: str) -> bool | None:
    """Return the verdict of stix2-patterns, None where it crashes or is known to be wrong."""
    try:
        return not run_validator(text, version)
    except Exception:  # it crashes on an empty text, on a negative index and more
        return None
