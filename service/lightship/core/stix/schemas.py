"""The OASIS JSON schemas, amended and compiled; what they find, told in words.

Every `$ref` resolves inside the shipped set: there is no retriever, and nothing is ever fetched. Patterns run
in an engine without backtracking, so that no value can make one slow.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import jsonschema_rs

from lightship.core.stix import amendments
from lightship.core.stix.amendments import AMENDMENTS, REMOVE
from lightship.core.stix.formats import FORMATS

SpecVersion = Literal["2.0", "2.1"]

_FOLDERS = {"sdos": "sdo", "sros": "sro", "observables": "sco"}
_META = ("marking-definition", "extension-definition", "language-content")
_TIME = "a UTC timestamp with a date that exists, such as 2026-04-01T12:00:00.000Z"
_MANY = 40
"""Choices above which a message does not list them."""
_MEANING = {
    "uri": "a URL (RFC 3986)",
    amendments.TIMESTAMP: _TIME,
    "date-time": _TIME,
    amendments.DOMAIN: "a domain name",
    amendments.EMAIL: "an e-mail address (RFC 5322)",
    amendments.IPV4: "an IPv4 address or CIDR block",
    amendments.IPV6: "an IPv6 address or CIDR block",
}


class Problem:
    """One thing that a schema does not take: steps of a JSON pointer, words, whether it is about time."""

    __slots__ = ("is_time", "steps", "what")

    def __init__(self, steps: list[str | int], what: str, *, is_time: bool = False) -> None:
        self.steps = steps
        self.what = what
        self.is_time = is_time


class Schemas:
    """Validators by spec version and object type.

    Args:
        schemas: path inside the wheel's schema folders -> JSON bytes (`lightship.data.stix_schemas()`).
    """

    def __init__(self, schemas: Mapping[str, bytes]) -> None:
        docs = _amended(schemas)
        self._docs = {path: doc for path, doc in docs.items() if not path.endswith("/bundle.json")}
        self._by_id = {doc["$id"]: doc for doc in self._docs.values()}
        self._registry = jsonschema_rs.Registry(list(self._by_id.items()), draft=jsonschema_rs.Draft202012)
        self._compiled: dict[str, jsonschema_rs.Validator] = {}
        self._properties: dict[str, frozenset[str]] = {}
        self._paths: dict[tuple[str, str], str] = {}
        self._ready: dict[tuple[str, str], tuple[jsonschema_rs.Validator, frozenset[str]]] = {}
        self.kinds: dict[tuple[str, str], str] = {}
        """(spec version, type) -> sdo, sro, sco or meta."""
        for path in self._docs:
            folder, _, name = path.removesuffix(".json").rpartition("/")
            version = path[len("schemas-") : len("schemas-2.x")]
            kind = _FOLDERS.get(folder.rpartition("/")[2]) or ("meta" if name in _META else None)
            if kind is not None:
                self.kinds[version, name] = kind
                self._paths[version, name] = path

    def validator(self, version: SpecVersion, stix_type: str, *, observable: bool) -> jsonschema_rs.Validator:
        """Return the validator for a type; for one that STIX does not define, that of common properties."""
        path = self._path(version, stix_type, observable=observable)
        found = self._compiled.get(path)
        if found is None:
            found = jsonschema_rs.Draft202012Validator(
                self._docs[path],
                registry=self._registry,
                formats=dict(FORMATS),
                validate_formats=True,
                ignore_unknown_formats=False,
                pattern_options=jsonschema_rs.RegexOptions(),
                offline=True,
            )
            self._compiled[path] = found
        return found

    def properties(self, version: SpecVersion, stix_type: str, *, observable: bool) -> frozenset[str]:
        """Return the names of the top-level properties that STIX defines for a type."""
        path = self._path(version, stix_type, observable=observable)
        if path not in self._properties:
            self._properties[path] = frozenset(self._names(path, self._docs[path]))
        return self._properties[path]

    def validator_and_names(
        self, version: SpecVersion, stix_type: str, *, observable: bool
    ) -> tuple[jsonschema_rs.Validator, frozenset[str]]:
        """Return what `validator` and `properties` return; for a type that STIX defines it costs one look."""
        found = self._ready.get((version, stix_type))
        if found is None:
            found = (
                self.validator(version, stix_type, observable=observable),
                self.properties(version, stix_type, observable=observable),
            )
            if (version, stix_type) in self._paths:
                self._ready[version, stix_type] = found
        return found

    def _path(self, version: SpecVersion, stix_type: str, *, observable: bool) -> str:
        found = self._paths.get((version, stix_type))
        if found is not None:
            return found
        return f"schemas-{version}/schemas/common/{'cyber-observable-core' if observable else 'core'}.json"

    def _names(self, path: str, doc: dict[str, Any]) -> Iterator[str]:
        yield from doc.get("properties", {})
        for key in ("allOf", "oneOf", "anyOf"):
            for part in doc.get(key, []):
                yield from self._names(path, part)
        ref = doc.get("$ref", "#")
        if not ref.startswith("#"):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), ref))
            yield from self._names(target, self._docs[target])


def explain(validator: jsonschema_rs.Validator, value: Any) -> Problem:
    """Return the most telling reason why a value is not valid. Call it only for values that are not."""
    return _tell(_most_telling(list(validator.iter_errors(value))))


def _most_telling(errors: list[jsonschema_rs.ValidationError]) -> jsonschema_rs.ValidationError:
    """Return the first error, and of a choice between branches the one in the branch that came nearest."""
    kind = jsonschema_rs.ValidationErrorKind
    error = min(errors, key=lambda one: isinstance(one.kind, kind.OneOfNotValid | kind.AnyOf | kind.Not))
    while isinstance(error.kind, kind.OneOfNotValid | kind.AnyOf):
        branches = [branch for branch in error.kind.context if branch]
        if not branches:
            break
        # A branch for another type says so by an enum or pattern of `type`, `id` or `definition_type`.
        error = min(branches, key=_distance)[0]
    return error


def _distance(branch: list[jsonschema_rs.ValidationError]) -> tuple[bool, int, int]:
    names = {step for one in branch for step in one.instance_path[-1:]}
    depth = max(len(one.instance_path) for one in branch)
    return bool(names & {"type", "id", "definition_type", "is_family", "is_multipart"}), len(branch), -depth


def _tell(error: jsonschema_rs.ValidationError) -> Problem:
    kind = jsonschema_rs.ValidationErrorKind
    steps = list(error.instance_path)
    shown = show(error.instance)
    is_time = False
    match error.kind:
        case kind.Required(property=name):
            what = f"the property {name!r} is missing"
        case kind.Type(types=types):
            what = f"{shown} must be of type {' or '.join(types)}"
        case kind.Enum(options=options) if len(options) > _MANY:
            what = f"{shown} is none of the {len(options)} values that are allowed here"
        case kind.Enum(options=options):
            listed = ", ".join(show(option) for option in options[:12])
            what = f"{shown} must be one of {listed}"
        case kind.Pattern(pattern=pattern):
            is_time = pattern.startswith("^[0-9]{4}-(0[1-9]")
            what = (
                f"{shown} is not {_MEANING[amendments.TIMESTAMP]}"
                if is_time
                else f"{shown} does not have the form {pattern[:120]}"
            )
        case kind.Format(format=name):
            is_time = name == amendments.TIMESTAMP
            what = f"{shown} is not {_MEANING.get(name, name)}"
        case kind.MinItems():
            what = "a list must not be empty"
        case kind.UniqueItems():
            what = "a list must not name the same thing twice"
        case kind.MinProperties():
            what = "a dictionary must not be empty"
        case kind.AdditionalProperties(unexpected=names):
            what = f"the name {show(names[0])} is not allowed here"
        case kind.PropertyNames():
            what = "a name in it is not allowed here"
        case kind.Minimum(limit=limit) | kind.ExclusiveMinimum(limit=limit):
            what = f"{shown} is less than {limit}"
        case kind.Maximum(limit=limit) | kind.ExclusiveMaximum(limit=limit):
            what = f"{shown} is greater than {limit}"
        case kind.MinLength() | kind.MaxLength():
            what = f"{shown} has a length that is not allowed here"
        case kind.Not() | kind.OneOfMultipleValid():
            what = (
                f"it breaks the rule {'/'.join(str(step) for step in error.schema_path)[:120]} of its schema"
            )
        case _:
            what = "the properties present do not go together, or one that is needed is missing"
    return Problem(steps, what, is_time=is_time)


def show(value: Any) -> str:
    """Return a value for a message: JSON in ASCII, cut to 80 characters."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, str) and len(value) > 70:
        value = value[:70] + "..."
    return json.dumps(value)[:80]


def _amended(schemas: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    docs: dict[str, dict[str, Any]] = {path: json.loads(text) for path, text in schemas.items()}
    for doc in docs.values():
        doc.pop("$schema", None)  # three spellings, some unknown to engines; all are read as 2020-12
    for amendment in AMENDMENTS:
        *way, last = amendment.pointer.split("/")[1:] if "~" not in amendment.pointer else []
        target: Any = docs[amendment.file]
        for step in way:
            target = target[int(step) if isinstance(target, list) else step]
        if amendment.value is REMOVE:
            del target[last]
        else:
            target[last] = amendment.value
    return docs
