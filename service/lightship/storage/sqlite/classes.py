"""The class of a row: four bits that say under which filters it shows (column `object.class`).

Every index ends in (class, key), so each combination of filters is a few ranges in key order. Pure.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

from lightship.core.query import Filters

K = TypeVar("K", bound=Hashable)

LAST = 1
FIRST = 2
TOP = 4
SPEC_21 = 8
SHOWN = LAST | TOP
"""What a reader without filters sees."""
ALONE = LAST | FIRST | TOP
"""The only version of an object, but for SPEC_21."""
CLASSES = range(16)


def spec_bit(spec_version: str) -> int:
    """Return SPEC_21 or 0."""
    return SPEC_21 if spec_version == "2.1" else 0


def spec_of(row_class: int) -> str:
    """Return the spec_version of a row."""
    return "2.1" if row_class & SPEC_21 else "2.0"


def classify(versions: Iterable[tuple[K, int, str]]) -> dict[K, int]:
    """Return the class of each live version of one object.

    Args:
        versions: (name, class or at least its SPEC_21 bit, instant of the version).
    """
    groups: dict[int, list[tuple[str, K]]] = {}
    for name, row_class, version in versions:
        groups.setdefault(row_class & SPEC_21, []).append((version, name))
    found = {}
    for spec, group in groups.items():
        base = spec | (TOP if spec == max(groups) else 0)
        first = min(version for version, _ in group)
        last = max(version for version, _ in group)
        for version, name in group:
            found[name] = base | (LAST if version == last else 0) | (FIRST if version == first else 0)
    return found


def spec_passes(row_class: int, filters: Filters) -> bool:
    """True if a row passes `match[spec_version]`, or its default."""
    if filters.spec_versions:
        return spec_of(row_class) in filters.spec_versions
    return bool(row_class & TOP)


def spec_bits(filters: Filters) -> tuple[int, ...]:
    """Return the values of the bits TOP and SPEC_21 that pass `match[spec_version]`, or its default."""
    return tuple(one for one in range(0, 16, TOP) if spec_passes(one, filters))


def wanted(filters: Filters) -> tuple[int, ...]:
    """Return the classes that pass `match[spec_version]` and a named pick of `match[version]`."""
    versions = filters.versions
    picks = (LAST if versions.last else 0) | (FIRST if versions.first else 0)
    return tuple(
        one for one in CLASSES if spec_passes(one, filters) and (versions.every or bool(one & picks))
    )
