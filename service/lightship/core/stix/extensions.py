"""The STIX extensions that Lightship defines, maritime-context and sharing-terms, checked where they occur.

Property extensions (STIX 2.1 section 7.3.3). Their form is what their JSON schemas say, and two orders of
times that schemas cannot say. maritime-context is descriptive: only a collection with `validation = "strict"`
checks it. sharing-terms is a marking: its form is checked in every mode, since a term that cannot be read
cannot be kept. What terms mean is read in `terms`; those that the hub cannot keep are refused, never ignored.
Other extensions are carried unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jsonschema_rs

from lightship.core.errors import BadFile, StewardError
from lightship.core.stix.formats import is_timestamp
from lightship.core.stix.rejected import Rejected, pointer
from lightship.core.stix.schemas import Problem, explain, show
from lightship.core.time import parse_instant

MARITIME_CONTEXT: Final = "extension-definition--9bab803a-30ca-456c-b3b4-f5712e2340ae"
SHARING_TERMS: Final = "extension-definition--695b6cb5-8427-41b0-898f-55fbfa8c8bbe"

_FILES = {MARITIME_CONTEXT: "maritime-context-1.0.json", SHARING_TERMS: "sharing-terms-1.0.json"}


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension: its name, the object types that it may stand on, and what checks its content."""

    name: str
    file: str
    types: frozenset[str]
    validator: jsonschema_rs.Validator


ALLOWED_ON: Mapping[str, frozenset[str]] = {
    MARITIME_CONTEXT: frozenset(
        {
            *{"indicator", "incident", "infrastructure", "attack-pattern", "campaign", "malware"},
            *{"vulnerability", "sighting", "report", "grouping", "identity", "location", "observed-data"},
        }
    ),
    SHARING_TERMS: frozenset({"marking-definition"}),
}
"""Extension id -> the object types that it may stand on."""


class Extensions:
    """Checks the content of Lightship's extensions.

    Args:
        schemas: file name -> JSON schema (`lightship.data.extension_schemas()`).

    Raises:
        StewardError: a schema is missing.
        BadFile: one cannot be used; with its line where its JSON is broken.
    """

    def __init__(self, schemas: Mapping[str, bytes]) -> None:
        self._known: dict[str, Extension] = {}
        for key, file in _FILES.items():
            if file not in schemas:
                raise StewardError(f"The schema {file} is missing", todo="Install Lightship again")
            validator = _validator(file, schemas[file])
            name = file.removesuffix(".json").replace("-1.0", " 1.0")
            self._known[key] = Extension(name, file, ALLOWED_ON[key], validator)

    def check(self, value: Mapping[str, Any], stix_type: str, *, strict: bool) -> None:
        """Check the extensions of one object; costs a look at its `extensions` where it has none of ours.

        Args:
            value: a decoded STIX object; `extensions` may have any form.
            stix_type: its type.
            strict: whether descriptive extensions are checked too.

        Raises:
            Rejected: the first thing that is wrong, with its rule.
        """
        extensions = value.get("extensions")
        if not isinstance(extensions, dict):
            return
        for key, content in extensions.items():
            extension_id = key.lower()  # a UUID in capitals is the same UUID (RFC 4122 section 3)
            if extension_id not in self._known or not (strict or extension_id == SHARING_TERMS):
                continue
            where = f"/extensions/{key}"
            self._check_form(extension_id, content, stix_type, where)
            if extension_id == SHARING_TERMS:
                _check_terms(content, where)

    def _check_form(self, extension_id: str, content: Any, stix_type: str, where: str) -> None:
        known = self._known[extension_id]
        if stix_type not in known.types:
            todo = f"Leave it out; it may stand on {', '.join(sorted(known.types))}"
            raise Rejected("invalid-extension", f"{known.name} may not stand on {stix_type}", todo, where)
        problem = _problem(known, content)
        if problem is not None:
            todo = f"Correct it to what {known.name} says: /schemas/{known.file} on this hub"
            place = where + pointer(problem.steps)
            raise Rejected("invalid-extension", f"{known.name}: {problem.what}", todo, place)


def _validator(file: str, text: bytes) -> jsonschema_rs.Validator:
    path, todo = f"policies/extensions/{file}", "Put the file back as it was shipped"
    try:
        schema = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", 0)
        raise BadFile("The schema is not JSON", path=path, line=line, why=str(error), todo=todo) from None
    try:
        return jsonschema_rs.Draft202012Validator(
            schema,
            formats={"date-time": is_timestamp},
            validate_formats=True,
            pattern_options=jsonschema_rs.RegexOptions(),
            offline=True,
        )
    except ValueError as error:
        why = str(error).partition("\n")[0]
        raise BadFile("The file is no JSON schema", path=path, why=why, todo=todo) from None


def _problem(known: Extension, content: Any) -> Problem | None:
    if not known.validator.is_valid(content):
        if isinstance(content, dict) and content.keys() <= {"extension_type"} and content:
            return Problem([], "it says nothing: a property beside extension_type is needed")
        return explain(known.validator, content)
    for steps, part, first, second in _ordered(content):
        if first in part and second in part and parse_instant(part[second]) < parse_instant(part[first]):
            what = f"{second} ({show(part[second])}) is earlier than {first} ({show(part[first])})"
            return Problem([*steps, second], what, is_time=True)
    return None


def _ordered(content: Mapping[str, Any]) -> Iterator[tuple[list[str | int], Mapping[str, Any], str, str]]:
    """Yield where two times stand whose order matters: steps, what holds them, earlier one, later one."""
    yield [], content, "release_at", "share_until"
    for index, impact in enumerate(content.get("operational_impacts", ())):
        yield ["operational_impacts", index], impact, "start_time", "end_time"


def _check_terms(content: Mapping[str, Any], where: str) -> None:
    """Refuse terms that would be broken by taking the objects that cite them."""
    if content.get("publisher_visibility", "named") != "named":
        raise Rejected(
            "deny-hidden-publisher",
            "the hub cannot hide who published: its records name the member",
            'Send "named" or leave it out, if the publisher may be known',
            f"{where}/publisher_visibility",
        )
