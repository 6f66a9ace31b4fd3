"""The rules of STIX that JSON schemas cannot hold: references, order of times, selectors, names, languages.

STIX 2.1 sections 2.3, 3.2, 4 to 7 and 11; STIX 2.0 parts 1 to 4. They run on objects that their schema took.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from typing import Any, NoReturn

from lightship.core.stix.formats import is_language
from lightship.core.stix.patterns import PatternError, check_pattern
from lightship.core.stix.references import EXCLUDED, ORDER, REFERENCES, SCO, references, target_type
from lightship.core.stix.rejected import Rejected, pointer
from lightship.core.stix.schemas import SpecVersion, show
from lightship.core.time import parse_instant

_NAME = re.compile(r"[a-z][a-z0-9_]{2,249}", re.ASCII)
_INDEX = re.compile(r"\[([0-9]{1,9})\]", re.ASCII)
_SROS = frozenset({"relationship", "sighting"})
_REFERRING = REFERENCES.keys() | EXCLUDED.keys()

Kinds = Mapping[tuple[str, str], str]


def check_rules(
    value: dict[str, Any], stix_type: str, spec: SpecVersion, known: Set[str], kinds: Kinds
) -> None:
    """Check what the schema of an object cannot say.

    Args:
        value: an object that its schema took.
        stix_type: its type.
        spec: its spec version.
        known: the top-level properties that STIX defines for the type.
        kinds: (spec version, type) -> sdo, sro, sco or meta.

    Raises:
        Rejected: the first rule that does not hold.
    """
    if stix_type in ORDER:
        _check_order(value, *ORDER[stix_type])
    if "granular_markings" in value:
        _check_selectors(value)
    if spec == "2.1":
        if not value.keys() <= known:
            _check_names(value, known)
        if "lang" in value:
            _check_language(value["lang"], "/lang")
        if stix_type in _REFERRING:
            _check_references(value, stix_type)
    elif stix_type == "observed-data":
        _check_local_references(value["objects"])
    special = _SPECIAL.get(stix_type)
    if special is not None:
        special(value, spec, kinds)


def _check_order(value: dict[str, Any], first: str, second: str, differ: bool) -> None:
    if first not in value or second not in value:
        return
    earlier, later = parse_instant(value[first]), parse_instant(value[second])
    if later < earlier or (differ and later == earlier):
        how = "later than" if differ else "not earlier than"
        what = f"{second} ({show(value[second])}) must be {how} {first} ({show(value[first])})"
        raise Rejected("invalid-time", what, "Correct one of the two", f"/{second}")


def _check_names(value: dict[str, Any], known: Set[str]) -> None:
    for name in value:
        if name not in known and _NAME.fullmatch(name) is None:
            what = f"the property name {show(name)} is not allowed"
            todo = "Use 3 to 250 of a-z, 0-9 and _, beginning with a letter (STIX 2.1 section 11.1)"
            raise Rejected("invalid-schema", what, todo, pointer([name]))


def _check_language(tag: Any, where: str) -> None:
    if not isinstance(tag, str) or not is_language(tag):
        raise Rejected(
            "invalid-schema", f"{show(tag)} is no language tag", "Send one such as en-US (RFC 5646)", where
        )


def _check_references(value: dict[str, Any], stix_type: str) -> None:
    for path, allowed in REFERENCES.get(stix_type, {}).items():
        for where, ref in references(value, path):
            target = _target(ref, where)
            if target not in allowed:
                _bad_reference(ref, where, f"may only point to {' or '.join(sorted(allowed))}")
    for path, forbidden in EXCLUDED.get(stix_type, {}).items():
        for where, ref in references(value, path):
            target = _target(ref, where)
            if target in forbidden:
                _bad_reference(ref, where, f"must not point to a {target}")


def _target(ref: str, where: str) -> str:
    target = target_type(ref)
    if target is None:
        _bad_reference(ref, where, "must be type--UUID")
    return target


def _bad_reference(ref: str, where: str, rule: str) -> NoReturn:
    raise Rejected("invalid-reference", f"{show(ref)} {rule}", "Correct the reference", where)


def _check_selectors(value: dict[str, Any]) -> None:
    """STIX 2.1 section 7.2.3.1: a selector must name content of the object; a language must be a tag."""
    for index, marking in enumerate(value["granular_markings"]):
        if "lang" in marking:
            _check_language(marking["lang"], f"/granular_markings/{index}/lang")
        for number, selector in enumerate(marking["selectors"]):
            if not _selects(value, selector):
                what = f"the selector {show(selector)} names nothing in this object"
                where = f"/granular_markings/{index}/selectors/{number}"
                raise Rejected("invalid-selector", what, "Name a property that is there", where)


def _selects(value: Any, selector: str) -> bool:
    for step in selector.split("."):
        position = _INDEX.fullmatch(step)
        if position is not None:
            if not isinstance(value, list) or int(position.group(1)) >= len(value):
                return False
            value = value[int(position.group(1))]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return False
    return True


def _check_local_references(objects: dict[str, Any]) -> None:
    """STIX 2.0 part 3 section 2: inside observed-data a reference is the key of another object in it."""
    for key, one in objects.items():
        for path in _local_paths(one):
            for where, ref in references(one, path):
                target = objects.get(ref)
                allowed = REFERENCES[one["type"]][path]
                place = pointer(["objects", key]) + where
                if target is None:
                    _bad_reference(ref, place, "names no object of this observed-data")
                if target["type"] not in allowed:
                    _bad_reference(ref, place, f"may only point to {' or '.join(sorted(allowed))}")


def _local_paths(one: dict[str, Any]) -> list[str]:
    paths = REFERENCES.get(one["type"], {})
    return [path for path in paths if path.partition(".")[0] in one]


def _indicator(value: dict[str, Any], spec: SpecVersion, _kinds: Kinds) -> None:
    if spec == "2.1" and value["pattern_type"] != "stix":
        return
    try:
        check_pattern(value["pattern"], version=spec)
    except PatternError as error:
        what = f"the pattern is no STIX pattern: {error}"
        raise Rejected("invalid-pattern", what, "See STIX 2.1 section 9", "/pattern") from None


def _marking_definition(value: dict[str, Any], _spec: SpecVersion, _kinds: Kinds) -> None:
    cited = [*value.get("object_marking_refs", ())]
    cited += [one.get("marking_ref") for one in value.get("granular_markings", ())]
    if value["id"] in cited:
        what = "a marking-definition must not be marked with itself"
        raise Rejected("invalid-marking", what, "Take its own id out (STIX 2.1 section 7.2.2)")


def _extension_definition(value: dict[str, Any], _spec: SpecVersion, _kinds: Kinds) -> None:
    if "created_by_ref" not in value:
        what = "an extension-definition must name its creator"
        raise Rejected(
            "invalid-schema", what, "Add created_by_ref (STIX 2.1 section 7.3.1)", "/created_by_ref"
        )


def _language_content(value: dict[str, Any], _spec: SpecVersion, _kinds: Kinds) -> None:
    for tag in value["contents"]:
        _check_language(tag, pointer(["contents", tag]))


def _observed_data(value: dict[str, Any], spec: SpecVersion, kinds: Kinds) -> None:
    """STIX 2.1 section 4.14: object_refs are observables and relationships, one observable at least."""
    refs = value.get("object_refs")
    if spec == "2.0" or refs is None:
        return
    observed = False
    for index, ref in enumerate(refs):
        target = _target(ref, f"/object_refs/{index}")
        if target in SCO or ("2.1", target) not in kinds:
            observed = observed or target != "bundle"
        elif target not in _SROS:
            _bad_reference(ref, f"/object_refs/{index}", "is no observable and no relationship")
    if not observed:
        what = "object_refs names no observable"
        raise Rejected("invalid-reference", what, "Name one at least", "/object_refs")


def _only_observables(name: str) -> Special:
    def check(value: dict[str, Any], spec: SpecVersion, kinds: Kinds) -> None:
        for index, ref in enumerate(value.get(name, ()) if spec == "2.1" else ()):
            target = _target(ref, f"/{name}/{index}")
            if target == "bundle" or (target not in SCO and ("2.1", target) in kinds):
                _bad_reference(ref, f"/{name}/{index}", "is no observable")

    return check


Special = Callable[[dict[str, Any], SpecVersion, Kinds], None]

_SPECIAL: Mapping[str, Special] = {
    "extension-definition": _extension_definition,
    "file": _only_observables("contains_refs"),
    "indicator": _indicator,
    "language-content": _language_content,
    "malware-analysis": _only_observables("analysis_sco_refs"),
    "marking-definition": _marking_definition,
    "observed-data": _observed_data,
}
