"""What a TAXII read asks for: filters and a place to start (TAXII 2.1 section 3.4).

`Filters` is canonical (sorted, without repeats), so that equal questions share pages and cursors.
"""

from __future__ import annotations

from dataclasses import dataclass

from lightship.core.time import Instant, Micros


@dataclass(frozen=True, slots=True)
class Versions:
    """`match[version]`: any of the named picks, or `instants`. The default is `last`.

    `first` and `last` are taken within one spec_version of an object. An instant equals an object's
    version, or for objects without one its `date_added`.
    """

    last: bool = True
    first: bool = False
    every: bool = False
    instants: frozenset[Instant] = frozenset()


@dataclass(frozen=True, slots=True)
class Filters:
    """Fields are ANDed, values ORed; an empty tuple does not filter.

    Empty `spec_versions` means the default: for each object its latest spec_version only.
    """

    ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    versions: Versions = Versions()
    spec_versions: tuple[str, ...] = ()


DEFAULT_FILTERS = Filters()


@dataclass(frozen=True, slots=True)
class Query:
    """Filters plus the stamp after which (exclusive) to go on, and how many rows at most."""

    filters: Filters = DEFAULT_FILTERS
    after: Micros = Micros(-1)
    limit: int = 1000
