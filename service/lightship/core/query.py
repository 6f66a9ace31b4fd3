"""What a TAXII read or delete asks for: filters, a place to start, how much (TAXII 2.1 section 3.4).

`Filters` is canonical (sorted, without repeats), so that equal questions share pages and cursors.
`read_query` is strict: what has no clear meaning is refused with a text that says what to send, and a
repeated parameter is refused too, since either reading of it could be the wrong one. Unknown parameters and
match fields are ignored, except on a delete, where ignoring one would take out more than was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from lightship.core.errors import MalformedRequest
from lightship.core.ids import is_stix_id
from lightship.core.time import Instant, Micros, parse_added_after, parse_instant


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

    def without_ends(self) -> Versions:
        """Return the same picks but for `first` and `last`."""
        return Versions(last=False, every=self.every, instants=self.instants)


LATEST = Versions()
EVERY = Versions(last=False, every=True)


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


class Endpoint(StrEnum):
    """The five endpoints that take filters (TAXII 2.1 sections 5.3, 5.4, 5.6, 5.7, 5.8)."""

    MANIFEST = "manifest"
    OBJECTS = "objects"
    OBJECT = "object"
    DELETE = "delete"
    VERSIONS = "versions"


MATCH_FIELDS: dict[Endpoint, frozenset[str]] = {
    Endpoint.MANIFEST: frozenset({"id", "type", "version", "spec_version"}),
    Endpoint.OBJECTS: frozenset({"id", "type", "version", "spec_version"}),
    Endpoint.OBJECT: frozenset({"version", "spec_version"}),
    Endpoint.DELETE: frozenset({"version", "spec_version"}),
    Endpoint.VERSIONS: frozenset({"spec_version"}),
}
"""Which match fields each endpoint takes: the tables of its section."""

MAX_VALUES = 500
"""Values that `match[id]`, `match[type]` or `match[spec_version]` may list."""
MAX_VERSIONS = 50
"""Values that `match[version]` may list: each is looked for by itself, in every type that has it."""
MAX_NAME = 80
"""Characters of a parameter's name that a refusal repeats."""
MAX_LIMIT_DIGITS = 18
SHORT = 256
"""Bytes up to which a query string is remembered with its meaning."""
REMEMBERED = 2_000
SPEC_VERSIONS = ("2.0", "2.1")


@dataclass(frozen=True, slots=True)
class Asked:
    """A query string, read and checked; `given` names the match fields that were sent.

    `limit` is not clamped yet; `token` is the `next` parameter, not verified yet.
    """

    filters: Filters = DEFAULT_FILTERS
    given: frozenset[str] = frozenset()
    added_after: Micros | None = None
    limit: int | None = None
    token: str | None = None


_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_MATCH = re.compile(r"match\[([^\[\]]*)\]")
_TYPE = re.compile(r"[a-z0-9][a-z0-9-]{1,248}[a-z0-9]", re.ASCII)
_SPEC_VERSION = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_PICKS = frozenset({"first", "last", "all"})


def read_query(raw: bytes, endpoint: Endpoint, object_id: str = "") -> Asked:
    """Read a query string as sent, for one endpoint; `object_id` is the one in the path, if any.

    Pollers ask the same again and again, so short ones are remembered; an equal question then gives the same
    value.

    Raises:
        MalformedRequest: anything that has no clear meaning (TAXII 2.1 section 3.4; 400).
    """
    return (_read_short if len(raw) <= SHORT else _read)(raw, endpoint, object_id)


def _read(raw: bytes, endpoint: Endpoint, object_id: str) -> Asked:
    plain: dict[str, str] = {}
    match: dict[str, tuple[str, ...]] = {}
    for name, value in _pairs(raw):
        field = _MATCH.fullmatch(name)
        if field is not None:
            _take_match(match, field[1], value, endpoint)
        elif endpoint is Endpoint.DELETE:
            raise _not_on_delete(name)
        elif name in {"added_after", "limit", "next"}:
            _take_plain(plain, name, value)
    return Asked(
        filters=_filters(match, endpoint, object_id),
        given=frozenset(match),
        added_after=parse_added_after(plain["added_after"]) if "added_after" in plain else None,
        limit=_limit(plain["limit"]) if "limit" in plain else None,
        token=plain.get("next"),
    )


_read_short = lru_cache(REMEMBERED)(_read)


def read_parameters(raw: bytes, known: Iterable[str]) -> dict[str, str]:
    """Return the parameters of a query string as sent, each with one value, none but those known.

    Raises:
        MalformedRequest: an unknown, repeated or empty one (400): left out, it would answer another question.
    """
    names, found = frozenset(known), dict[str, str]()
    for name, value in _pairs(raw):
        if name not in names:
            raise MalformedRequest(
                f"{name[:MAX_NAME]} is not known here", todo=f"Use {', '.join(sorted(names)) or 'none'}"
            )
        _take_plain(found, name, value)
    return found


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    """Split and decode as application/x-www-form-urlencoded, strictly."""
    found = []
    for part in raw.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            decoded = _decode(name, "A parameter's name")
            found.append((decoded, _decode(value, decoded[:MAX_NAME])))
    return found


def _decode(raw: bytes, what: str) -> str:
    if raw.isalnum():
        return raw.decode("ascii")
    if _ESCAPE.search(raw):
        raise MalformedRequest(f"{what} has a broken % escape", todo="Write a % sign itself as %25")
    try:
        text = unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedRequest(f"{what} is not UTF-8", todo="Percent-encode UTF-8 bytes") from None
    if any(character < " " or character == "\x7f" for character in text):
        raise MalformedRequest(f"{what} has a control character", todo="Leave out %00 to %1F and %7F")
    return text


def _take_plain(plain: dict[str, str], name: str, value: str) -> None:
    if name in plain:
        raise MalformedRequest(f"{name} was sent more than once", todo=f"Send {name} once")
    if not value:
        raise MalformedRequest(f"{name} is empty", todo=f"Give {name} a value or leave it out")
    plain[name] = value


def _take_match(match: dict[str, tuple[str, ...]], field: str, value: str, endpoint: Endpoint) -> None:
    name = f"match[{field}]"
    if field not in MATCH_FIELDS[endpoint]:
        if endpoint is Endpoint.DELETE:
            raise _not_on_delete(name)
        return
    if field in match:
        raise MalformedRequest(
            f"{name} was sent more than once", todo=f"Send {name} once, values separated by commas"
        )
    sent = value.split(",")
    values = tuple(sorted(set(sent)))
    if "" in values:
        raise MalformedRequest(
            f"{name} has an empty value", todo=f"Give {name} values separated by single commas"
        )
    most = MAX_VERSIONS if field == "version" else MAX_VALUES
    if len(values) > most:
        raise MalformedRequest(
            f"{name} lists more than {most} values", todo=f"Ask for up to {most} of them in each request"
        )
    if field == "version" and len(values) < len(sent):
        raise MalformedRequest(f"{name} repeats a value", todo="Send each version once")
    _VALID[field](values)
    match[field] = values


def _not_on_delete(name: str) -> MalformedRequest:
    return MalformedRequest(
        f"{name[:MAX_NAME]} has no meaning on a delete, nothing was deleted",
        todo="Pick with match[version] and match[spec_version] only",
    )


def _check_ids(values: tuple[str, ...]) -> None:
    for value in values:
        if not is_stix_id(value):
            raise MalformedRequest(
                "match[id] has a value that is no STIX identifier",
                todo="Send identifiers such as indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f",
            )


def _check_types(values: tuple[str, ...]) -> None:
    for value in values:
        if not _TYPE.fullmatch(value):
            raise MalformedRequest(
                "match[type] has a value that is no STIX type name", todo="Send type names such as indicator"
            )


def _check_spec_versions(values: tuple[str, ...]) -> None:
    for value in values:
        if not _SPEC_VERSION.fullmatch(value):
            raise MalformedRequest(
                "match[spec_version] has a value that is no version number", todo="Send 2.0, 2.1 or both"
            )


def _check_versions(values: tuple[str, ...]) -> None:
    if "all" in values and len(values) > 1:
        raise MalformedRequest("match[version] has all together with others", todo="Send all alone")
    for value in values:
        if value not in _PICKS:
            try:
                parse_instant(value)
            except ValueError as error:
                raise MalformedRequest(
                    "match[version] has a value that is no version",
                    why=str(error),
                    todo="Send first, last, all, or timestamps such as 2026-04-01T12:00:00.000Z",
                ) from None


_VALID: dict[str, Callable[[tuple[str, ...]], None]] = {
    "id": _check_ids,
    "type": _check_types,
    "version": _check_versions,
    "spec_version": _check_spec_versions,
}


def _filters(match: dict[str, tuple[str, ...]], endpoint: Endpoint, object_id: str) -> Filters:
    """Make the filters, with what each endpoint takes as given.

    The versions endpoint lists every version. A delete without `match[version]` takes the whole object,
    whatever its spec_versions; with it, it takes what a read with the same filters would show.
    """
    spec_versions = match.get("spec_version", ())
    if endpoint is Endpoint.VERSIONS:
        versions = EVERY
    elif "version" in match:
        versions = _versions(match["version"])
    elif endpoint is Endpoint.DELETE:
        versions = EVERY
        spec_versions = spec_versions or SPEC_VERSIONS
    else:
        versions = LATEST
    ids = (object_id,) if object_id else match.get("id", ())
    return Filters(ids=ids, types=match.get("type", ()), versions=versions, spec_versions=spec_versions)


def _versions(values: tuple[str, ...]) -> Versions:
    return Versions(
        last="last" in values,
        first="first" in values,
        every="all" in values,
        instants=frozenset(parse_instant(value) for value in values if value not in _PICKS),
    )


def _limit(text: str) -> int:
    if not _DIGITS.fullmatch(text) or not text.strip("0"):
        raise MalformedRequest("limit is no whole number above 0", todo="Send for example limit=1000")
    return int(text[-MAX_LIMIT_DIGITS:]) if len(text) <= MAX_LIMIT_DIGITS else 10**MAX_LIMIT_DIGITS
