"""Is this value a STIX object that the hub can take? STIX 2.1 and 2.0, strictly or only by identity and time.

What a JSON schema can say, the OASIS schemas say (`schemas`); what they cannot, the rules here and in `rules`
say. Identity, times and the form of markings are checked in every mode, since versions, owners and access
decisions rest on them. Objects are never changed and references never followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

from lightship.core.collection import CollectionSettings
from lightship.core.ids import is_stix_id
from lightship.core.stix.extensions import Extensions
from lightship.core.stix.markings import LEVEL_OF, is_false_tlp
from lightship.core.stix.references import SCO, target_type
from lightship.core.stix.rejected import Rejected, pointer
from lightship.core.stix.rules import check_rules
from lightship.core.stix.schemas import Schemas, SpecVersion, explain, show
from lightship.core.time import NO_INSTANT, Instant, Micros, format_stamp, instant_micros, parse_instant

__all__ = ["Checker", "Facts", "Rejected"]

_UNOWNED = frozenset({"marking-definition", "extension-definition"})


class Facts(NamedTuple):
    """What the check found out: spec version, version instant and its text, and whether it has an owner.

    `violation` is what a strict collection would have refused it for (rule, message); None if nothing.
    """

    spec_version: SpecVersion
    version: Instant
    version_text: str
    owned: bool
    violation: tuple[str, str] | None = None


class Checker:
    """Checks decoded values against STIX.

    Args:
        schemas: `lightship.data.stix_schemas()`.
        extensions: `lightship.data.extension_schemas()`.
    """

    def __init__(self, schemas: Mapping[str, bytes], extensions: Mapping[str, bytes]) -> None:
        self._schemas = Schemas(schemas)
        self._extensions = Extensions(extensions)
        self._kinds = self._schemas.kinds

    def check(self, value: Any, written: bytes, settings: CollectionSettings, now: Micros) -> Facts:
        """Return the facts of an object that may go on.

        Args:
            value: a decoded item.
            written: its JCS bytes.
            settings: of the collection: `validation`, `custom_objects`, `max_future_s`.
            now: microseconds.

        Raises:
            Rejected: the first thing that is wrong, with its rule.
        """
        stix_type = _identify(value)
        spec = self._spec_version(value, stix_type)
        custom = (spec, stix_type) not in self._kinds
        observable = stix_type in SCO or (custom and _is_custom_observable(value))
        if not settings.custom_objects:
            self._refuse_custom(value, spec, stix_type, custom, observable)
        version, version_text = _version(value, stix_type, observable, settings, now)
        _check_marking_form(value)
        if "created_by_ref" in value:
            _check_reference(value["created_by_ref"], "identity", "/created_by_ref")
        if stix_type == "marking-definition" and is_false_tlp(value, written):
            raise Rejected(
                "invalid-marking",
                "it claims to be a TLP marking but differs from the published one",
                "Leave it out: the TLP 1 and TLP 2.0 definitions are built in, cite them by their ids",
            )
        strict, violation = settings.validation == "strict", None
        if "extensions" in value and not strict:
            self._extensions.check(value, stix_type, strict=False)  # terms count in every mode
        try:
            self._check_strictly(value, stix_type, spec, observable=observable)
        except Rejected as rejected:
            if strict:
                raise
            violation = (rejected.rule, rejected.message)
        owned = not observable and stix_type not in _UNOWNED
        return Facts(spec, version, version_text, owned, violation)

    def _check_strictly(
        self, value: dict[str, Any], stix_type: str, spec: SpecVersion, *, observable: bool
    ) -> None:
        """Check an object against its schema and the rules that schemas cannot hold.

        Raises:
            Rejected: the first thing that is wrong.
        """
        if "extensions" in value:
            self._extensions.check(value, stix_type, strict=True)
        validator, known = self._schemas.validator_and_names(spec, stix_type, observable=observable)
        if not validator.is_valid(value):
            problem = explain(validator, value)
            todo = f"Correct it to what STIX {spec} says of {stix_type}"
            rule = "invalid-time" if problem.is_time else "invalid-schema"
            raise Rejected(rule, problem.what, todo, pointer(problem.steps))
        check_rules(value, stix_type, spec, known, self._kinds)

    def _spec_version(self, value: dict[str, Any], stix_type: str) -> SpecVersion:
        """STIX 2.1 section 3.2: without the property, an observable is 2.1 and everything else 2.0."""
        stated = value.get("spec_version")
        in_20, in_21 = ("2.0", stix_type) in self._kinds, ("2.1", stix_type) in self._kinds
        if stated is None and "spec_version" not in value:
            if stix_type in SCO or not (in_20 or in_21 or "created" in value or "modified" in value):
                return "2.1"
            stated = "2.0"
        if stated == "2.1":
            return "2.1"
        if stated != "2.0":
            raise Rejected(
                "invalid-spec-version",
                f"the spec_version {show(stated)} is not known",
                'Send "2.1", or leave it out for STIX 2.0',
                "/spec_version",
            )
        if stix_type in SCO or (in_21 and not in_20):
            raise Rejected(
                "invalid-spec-version",
                f"STIX 2.0 has no object {stix_type!r}",
                'Add "spec_version": "2.1"',
                "/spec_version",
            )
        return "2.0"

    def _refuse_custom(
        self, value: dict[str, Any], spec: SpecVersion, stix_type: str, custom: bool, observable: bool
    ) -> None:
        todo = "Leave it out, or ask the steward for a collection with custom_objects = true"
        if custom:
            what = f"this collection takes no custom objects, and STIX {spec} has no type {stix_type!r}"
            raise Rejected("deny-custom-objects", what, todo, "/type")
        if declares(value, "toplevel-property-extension"):
            return  # STIX 2.1 section 7.3: such properties belong to a declared extension
        known = self._schemas.properties(spec, stix_type, observable=observable)
        for name in value:
            if name not in known:
                what = "this collection takes no custom properties"
                raise Rejected("deny-custom-objects", what, todo, pointer([name]))


def _identify(value: Any) -> str:
    if not isinstance(value, dict):
        raise Rejected("invalid-schema", f"it is {show(value)}, not a STIX object", "Send a JSON object")
    stix_type, stix_id = value.get("type"), value.get("id")
    if stix_type == "bundle":
        raise Rejected(
            "invalid-type", "a bundle is no STIX object", "Send the objects that it holds instead", "/type"
        )
    if not isinstance(stix_type, str):
        raise Rejected("invalid-type", "the property 'type' is missing or no string", "Add it", "/type")
    if not isinstance(stix_id, str) or not is_stix_id(stix_id):
        what = f"the id {show(stix_id)} is no STIX id" if "id" in value else "the property 'id' is missing"
        raise Rejected("invalid-id", what, f"Send {stix_type[:60]}--UUID in lower case", "/id")
    if stix_id.partition("--")[0] != stix_type:
        what = f"the id {show(stix_id)} does not begin with the type {show(stix_type)}"
        raise Rejected("invalid-id", what, "Make type and id agree", "/id")
    return stix_type


def _is_custom_observable(value: dict[str, Any]) -> bool:
    """A type that STIX does not define is an observable if it says so, or has no created and no modified."""
    return declares(value, "new-sco") or ("created" not in value and "modified" not in value)


def declares(value: dict[str, Any], extension_type: str) -> bool:
    """True if an extension of the object is of this extension_type (STIX 2.1 section 7.3)."""
    extensions = value.get("extensions")
    return isinstance(extensions, dict) and any(
        isinstance(one, dict) and one.get("extension_type") == extension_type for one in extensions.values()
    )


def _version(
    value: dict[str, Any], stix_type: str, observable: bool, settings: CollectionSettings, now: Micros
) -> tuple[Instant, str]:
    """TAXII 2.1 section 3.4.1: the version is modified, else created, else there is none."""
    if observable:
        return NO_INSTANT, ""
    created = _instant(value, "created")
    modified = None if stix_type == "marking-definition" else _instant(value, "modified")
    if created is None and modified is None:
        missing = "created" if stix_type == "marking-definition" else "created and modified"
        raise Rejected("invalid-time", f"{missing} missing", "Add when it was made", "")
    if created is not None and modified is not None and modified < created:
        what = f"modified ({show(value['modified'])}) is earlier than created ({show(value['created'])})"
        raise Rejected(
            "invalid-time", what, "STIX section 3.2: send a modified that is not earlier", "/modified"
        )
    if settings.max_future_s is not None:
        limit = now + settings.max_future_s * 1_000_000
        latest = _instant_of(limit)
        for name, instant in (("modified", modified), ("created", created)):
            if instant is not None and instant > latest and instant_micros(instant) > limit:
                what = (
                    f"{name} ({show(value[name])}) lies more than {settings.max_future_s} s ahead of the"
                    f" hub's clock ({format_stamp(now)})"
                )
                raise Rejected("future-time", what, "Set the clock of the tool that made it", f"/{name}")
    if modified is not None:
        return modified, value["modified"]
    return created or NO_INSTANT, value["created"]


def _instant(value: dict[str, Any], name: str) -> Instant | None:
    if name not in value:
        return None
    text = value[name]
    try:
        return parse_instant(text)
    except (ValueError, TypeError):
        what = f"{name} {show(text)} is not a UTC timestamp with a date that exists"
        todo = "Send it as 2026-04-01T12:00:00.000Z"
        raise Rejected("invalid-time", what, todo, f"/{name}") from None


@lru_cache(maxsize=8)
def _instant_of(micros: int) -> Instant:
    """Return what every later moment is later than as text as well."""
    try:
        return parse_instant(format_stamp(micros))
    except OverflowError:  # beyond the years that a date has
        return NO_INSTANT


def _check_marking_form(value: dict[str, Any]) -> None:
    """STIX 2.1 section 7.2: what a marking is must be plain before anybody decides by it."""
    refs = value.get("object_marking_refs", ())
    if not isinstance(refs, list | tuple):
        _bad_marking("object_marking_refs must be a list", "/object_marking_refs")
    for index, ref in enumerate(refs):
        if type(ref) is not str or ref not in LEVEL_OF:
            _check_reference(ref, "marking-definition", f"/object_marking_refs/{index}")
    if "granular_markings" not in value:
        return
    granular = value["granular_markings"]
    if not isinstance(granular, list | tuple):
        _bad_marking("granular_markings must be a list", "/granular_markings")
    for index, marking in enumerate(granular):
        if not isinstance(marking, dict):
            _bad_marking("a granular marking must be an object", f"/granular_markings/{index}")
        if "marking_ref" in marking:
            ref = marking["marking_ref"]
            _check_reference(ref, "marking-definition", f"/granular_markings/{index}/marking_ref")


def _bad_marking(what: str, where: str) -> NoReturn:
    raise Rejected("invalid-marking", what, "See STIX 2.1 section 7.2", where)


def _check_reference(ref: Any, wanted: str, where: str) -> None:
    if not isinstance(ref, str) or target_type(ref) != wanted:
        raise Rejected("invalid-reference", f"{show(ref)} names no {wanted}", f"Send a {wanted}--UUID", where)
