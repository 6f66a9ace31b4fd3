"""What a marking definition says: statements, sharing-terms, IEP 2.0, ACS 3.0 (STIX 2.1 section 7.2).

The definition is carried as it is; here is read what the hub keeps of it. sharing-terms: recipients,
countries, embargo, expiry, SSI. IEP 2.0 (FIRST, as `definition_type` or as the extension of the OASIS common
objects): `tlp` red, by which a recipient must not share it on. ACS 3.0 (the extension of the OASIS common
objects): a classification other than U and NF, and NF. A definition of any other kind cannot be read, and
what cannot be read cannot be kept. Nothing is ever fetched: a reference to a policy elsewhere says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from lightship.core.stix.extensions import SHARING_TERMS
from lightship.core.stix.markings import SHIPPED
from lightship.core.time import MAX_MICROS, Micros, instant_micros, parse_instant

IEP: Final = "extension-definition--762e2e97-ee51-43e5-a9ea-165fbb862c4a"
ACS: Final = "extension-definition--3a65884d-005a-4290-8335-cb2d778a83ce"

IEP_MUST_NOT_SHARE: Final = "iep-must-not-share"
ACS_CLASSIFIED: Final = "acs-classified"

_NO_FOREIGN = frozenset({"US"})
_IEP_LEVELS = frozenset({"red", "amber", "green", "white", "clear"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one or several definitions ask for.

    Args:
        recipients: ids of the identities that may have it, None for no such restriction; of several terms
            what all of them allow.
        only_countries, exclude_countries: ISO 3166 alpha-2; None for no such restriction.
        ssi: Sensitive Security Information (49 CFR 1520).
        closed: why nobody else may have it, in stable words such as `iep-must-not-share`.
        release_at: embargo, microseconds; the latest of several.
        share_until: not after this moment, microseconds; the earliest of several.
    """

    recipients: frozenset[str] | None = None
    only_countries: frozenset[str] | None = None
    exclude_countries: frozenset[str] = frozenset()
    ssi: bool = False
    closed: frozenset[str] = frozenset()
    release_at: Micros | None = None
    share_until: Micros | None = None

    def and_also(self, other: Terms) -> Terms:
        """Return what both ask for together: never less than either."""
        releases = [one for one in (self.release_at, other.release_at) if one is not None]
        ends = [one for one in (self.share_until, other.share_until) if one is not None]
        return Terms(
            recipients=_common(self.recipients, other.recipients),
            only_countries=_common(self.only_countries, other.only_countries),
            exclude_countries=self.exclude_countries | other.exclude_countries,
            ssi=self.ssi or other.ssi,
            closed=self.closed | other.closed,
            release_at=max(releases, default=None),
            share_until=min(ends, default=None),
        )


NO_TERMS: Final = Terms()


class UnreadableTerms(Exception):
    """A definition that the hub cannot interpret: why, and where in it (JSON pointer)."""

    def __init__(self, why: str, where: str) -> None:
        self.why = why
        self.where = where
        super().__init__(f"{why} (at {where})")


class TermsReader:
    """Reads definitions, each once, for as many objects of a post as cite them: a definition may be large."""

    def __init__(self) -> None:
        self._terms: dict[bytes, Terms | UnreadableTerms] = {}
        self._agreements: dict[bytes, str] = {}

    def terms(self, body: bytes) -> Terms:
        """Return what a marking definition asks for; see `read_terms`."""
        found = self._terms.get(body)
        if found is None:
            try:
                found = read_terms(body)
            except UnreadableTerms as error:
                found = error
            self._terms[body] = found
        if isinstance(found, UnreadableTerms):
            raise UnreadableTerms(found.why, found.where)
        return found

    def agreement(self, body: bytes) -> str:
        """Return the agreement that a definition names; see `agreement_of`."""
        found = self._agreements.get(body)
        if found is None:
            found = self._agreements[body] = agreement_of(body)
        return found


def read_terms(body: bytes) -> Terms:
    """Return what a marking definition asks for.

    Args:
        body: the definition as JSON in UTF-8, checked at ingest.

    Raises:
        UnreadableTerms: it is of a kind that the hub does not know, or says what it means in no known way.
    """
    return _remembered(body) if len(body) <= 4096 else _read(body)


def agreement_of(body: bytes) -> str:
    """Return the agreement that the sharing-terms of a marking definition name, empty without such terms.

    Args:
        body: the definition as JSON in UTF-8, checked at ingest.
    """
    extensions = json.loads(body).get("extensions")
    for key, content in extensions.items() if isinstance(extensions, dict) else ():
        if key.lower() == SHARING_TERMS and isinstance(content, dict):
            return str(content.get("agreement", ""))
    return ""


@lru_cache(maxsize=2048)
def _remembered(body: bytes) -> Terms:
    return _read(body)


def _read(body: bytes) -> Terms:
    value = json.loads(body)
    if value.get("id") in SHIPPED:
        return NO_TERMS
    found = list(_parts(value))
    if not found:
        raise UnreadableTerms(*_unknown(value))
    terms = NO_TERMS
    for one in found:
        terms = terms.and_also(one)
    return terms


def _parts(value: Mapping[str, Any]) -> Iterator[Terms]:
    """Yield what each known part of a definition asks for; a statement asks for nothing."""
    kind = value.get("definition_type")
    if kind == "statement":
        yield NO_TERMS
    elif isinstance(kind, str) and kind.lower() == "iep":
        yield _iep(value.get("definition"), "/definition")
    elif kind is not None:
        raise UnreadableTerms(*_unknown(value))
    extensions = value.get("extensions")
    for key, content in extensions.items() if isinstance(extensions, dict) else ():
        reader = _READERS.get(key.lower())
        if reader is not None:
            yield reader(content, f"/extensions/{key}")


def _unknown(value: Mapping[str, Any]) -> tuple[str, str]:
    if value.get("definition_type") is not None:
        return "its definition_type is not known here", "/definition_type"
    return "it is no statement, and none of its extensions is a marking known here", "/extensions"


def _sharing_terms(content: Any, where: str) -> Terms:
    if not isinstance(content, dict):
        raise UnreadableTerms("it is no object", where)
    return Terms(
        recipients=_words(content, "recipient_refs", where),
        only_countries=_words(content, "only_countries", where),
        exclude_countries=_words(content, "exclude_countries", where) or frozenset(),
        ssi=content.get("sensitive_security_information") is True,
        release_at=_moment(content, "release_at", where),
        share_until=_moment(content, "share_until", where),
    )


def _iep(content: Any, where: str) -> Terms:
    if not isinstance(content, dict):
        raise UnreadableTerms("it is no IEP policy", where)
    level = content.get("tlp")
    if level is None and ("id_ref" in content or "url" in content):
        raise UnreadableTerms("it refers to an IEP policy elsewhere, and nothing is fetched", where)
    if content.get("iep_version", 2) not in (2, "2", "2.0"):
        raise UnreadableTerms("it is an IEP policy of another version than 2.0", f"{where}/iep_version")
    if not isinstance(level, str) or level.lower() not in _IEP_LEVELS:
        raise UnreadableTerms("its IEP policy has no tlp that is known", f"{where}/tlp")
    return Terms(closed=frozenset({IEP_MUST_NOT_SHARE})) if level.lower() == "red" else NO_TERMS


def _acs(content: Any, where: str) -> Terms:
    controls = content.get("control_set") if isinstance(content, dict) else None
    classification = controls.get("classification") if isinstance(controls, dict) else None
    if not isinstance(controls, dict) or not isinstance(classification, str):
        raise UnreadableTerms("its ACS marking has no classification", f"{where}/control_set/classification")
    formal = _words(controls, "formal_determination", f"{where}/control_set") or frozenset()
    foreign = "NF" not in {classification, *(one.upper() for one in formal)}
    return Terms(
        only_countries=None if foreign else _NO_FOREIGN,
        closed=frozenset() if classification in {"U", "NF"} else frozenset({ACS_CLASSIFIED}),
    )


_READERS: Final[Mapping[str, Callable[[Any, str], Terms]]] = MappingProxyType(
    {SHARING_TERMS: _sharing_terms, IEP: _iep, ACS: _acs}
)


def _words(content: Mapping[str, Any], name: str, where: str) -> frozenset[str] | None:
    found = content.get(name)
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise UnreadableTerms(f"{name} is no list of texts", f"{where}/{name}")
    return frozenset(found)


def _moment(content: Mapping[str, Any], name: str, where: str) -> Micros | None:
    """Return a time, not after the last one that a stamp can have: nothing is released or held beyond it."""
    found = content.get(name)
    if found is None:
        return None
    try:
        return Micros(min(max(instant_micros(parse_instant(found)), 0), MAX_MICROS))
    except (TypeError, ValueError):
        raise UnreadableTerms(f"{name} is no timestamp", f"{where}/{name}") from None


def _common(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other
