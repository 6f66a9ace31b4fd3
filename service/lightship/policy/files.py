"""Reads rule files: Cedar policies and their schema, each mistake with its file and line.

The engine's parser names no place, so a file is cut into its policies first and each is parsed by itself.
Cutting knows strings and comments and nothing else of the language. Nothing is decided here.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import cedarpy

from lightship.core.errors import BadFile
from lightship.policy.markings import check_markings
from lightship.policy.rules import PLACEHOLDERS, Rule, RuleSet, rule_set

SCHEMA: Final = "schema.cedarschema"
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|;|[^";/]+|.', re.DOTALL)
_ID = re.compile(r"(?:allow|deny|rule)-[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
OWN_RULES: Final = 50
"""At most so many rules of an agreement's own: each makes every decision take longer."""
_REMEDY = "Correct it; the rules in use stay as they are"


def load_policy(folder: Path) -> RuleSet:
    """Return the rules in `base` of a folder, once its `markings` are those that the hub knows.

    Raises:
        BadFile: a file of either cannot be used; with its line.
    """
    check_markings(folder / "markings")
    return load_rules(folder / "base")


def load_rules(folder: Path) -> RuleSet:
    """Return the rules of a folder: `schema.cedarschema` and every `*.cedar`, by file name, in their order.

    Raises:
        BadFile: a file cannot be read, parsed or checked against the schema, or a rule lacks its sentence.
    """
    schema_path = folder / SCHEMA
    schema = _schema(_text(schema_path), str(schema_path))
    rules: list[Rule] = []
    paths = sorted(folder.glob("*.cedar"))
    for path in paths:
        for rule in read_rules(_text(path), str(path), schema):
            twin = next((one for one in rules if one.id == rule.id), None)
            if twin is not None:
                raise _bad(rule.path, rule.line, f"Two rules are named `{rule.id}`", f"see also {twin.path}")
            rules.append(rule)
    if not rules:
        raise BadFile("There are no rules", path=str(folder), why="no *.cedar in it holds one", todo=_REMEDY)
    return rule_set(rules, schema)


def read_own_rules(text: str, path: str, schema: cedarpy.Schema) -> Iterator[Rule]:
    """Yield the rules of an agreement's own: forbids only, so that it can be stricter and never looser.

    Raises:
        BadFile: a rule cannot be used, has the name of another one, or there are more than `OWN_RULES`.
    """
    names: set[str] = set()
    for rule in read_rules(text, path, schema, own=True):
        if rule.id in names:
            raise _bad(path, rule.line, f"Two rules are named `{rule.id}`", "each refusal names its rule")
        names.add(rule.id)
        if len(names) > OWN_RULES:
            raise _bad(path, rule.line, "These are too many rules", f"there can be {OWN_RULES}")
        yield rule


def read_rules(text: str, path: str, schema: cedarpy.Schema, *, own: bool = False) -> Iterator[Rule]:
    """Yield the rules of one file in their order; `own` for those of an agreement.

    Raises:
        BadFile: a rule cannot be used.
    """
    for line, piece in _pieces(text):
        try:
            parsed = json.loads(cedarpy.policies_to_json_str(piece))
        except ValueError as error:
            raise _bad(path, line, "The rule is not Cedar", str(error)) from None
        if parsed["templates"] or len(parsed["staticPolicies"]) != 1:
            raise _bad(path, line, "This is not one rule", "templates cannot be used here")
        (body,) = parsed["staticPolicies"].values()
        result = cedarpy.validate_policies(piece, schema)
        if not result.validation_passed:
            said = dict.fromkeys(one.error.replace("for policy `policy0`, ", "") for one in result.errors)
            raise _bad(path, line, "The rule does not fit the schema", "; ".join(said))
        yield _rule(body, path, line, own=own)


def _rule(body: dict[str, Any], path: str, line: int, *, own: bool) -> Rule:
    notes: Mapping[str, str] = body.get("annotations", {})
    effect, name = body["effect"], notes.get("id", "")
    if own and effect != "forbid":
        raise _bad(
            path,
            line,
            "The rule permits something",
            "an agreement's own rules can only forbid: write `forbid`",
        )
    prefix = "rule-" if own else "allow-" if effect == "permit" else "deny-"
    if not _ID.fullmatch(name) or not name.startswith(prefix):
        known = (
            'it begins with "rule-"' if own else 'a permit\'s begins with "allow-", a forbid\'s with "deny-"'
        )
        raise _bad(path, line, "The rule has no proper @id", f"{known}, then lower-case words and hyphens")
    sentences = {"say": notes.get("say", "")}
    if effect == "permit" and body["conditions"]:
        sentences["otherwise"] = notes.get("otherwise", "")
    for key, sentence in sentences.items():
        if not sentence.endswith("."):
            raise _bad(
                path, line, f"The rule `{name}` has no @{key}", "it is what the user reads: a sentence"
            )
        for _, field, spec, conversion in _fields(sentence, path, line, name):
            if field is not None and (field not in PLACEHOLDERS or spec or conversion):
                raise _bad(
                    path,
                    line,
                    f"@{key} of `{name}` names {{{field}}}",
                    f"known are {', '.join(sorted(PLACEHOLDERS))}",
                )
    return Rule(name, effect == "permit", notes["say"], notes.get("otherwise", ""), body, path, line)


def _fields(
    sentence: str, path: str, line: int, name: str
) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(string.Formatter().parse(sentence))
    except ValueError as error:
        raise _bad(path, line, f"A sentence of `{name}` cannot be used", str(error)) from None


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of what stands between semicolons, comments before it left out of the line."""
    line, begin, held = 1, 0, ""
    for found in _PIECE.finditer(text):
        part = found[0]
        if not held.strip() and (part.startswith("//") or part.isspace()):
            line += part.count("\n")
            continue
        if not held:
            lead = part[: len(part) - len(part.lstrip())]
            begin = line + lead.count("\n")
        held += part
        line += part.count("\n")
        if part == ";":
            yield begin, held
            held = ""
    if held.strip():
        yield begin, held


def _schema(text: str, path: str) -> cedarpy.Schema:
    try:
        return cedarpy.Schema.from_str(text)
    except ValueError as error:
        raise _bad(path, _schema_line(text, str(error)), "The schema cannot be used", str(error)) from None


def _schema_line(text: str, said: str) -> int:
    """Return the line of a schema's mistake: of the name that is unknown, else of the first bad part."""
    named = re.search(r"failed to resolve type: (?P<type>\w+)|`(?P<twice>\w+)` is declared twice", said)
    if named is not None:
        wanted = (
            rf"\b{named['type']}\b" if named["type"] else rf"\b(?:entity|action|type)\s+{named['twice']}\b"
        )
        places = [found.start() for found in re.finditer(wanted, text)]
        if places:
            return text.count("\n", 0, places[-1]) + 1
    upto = ""
    for line, piece in _pieces(text):
        upto += piece
        try:
            cedarpy.Schema.from_str(upto)
        except ValueError as error:
            if "error parsing schema" in str(error):
                return line
    return 1


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile("The file cannot be read", path=str(path), why=str(error), todo=_REMEDY) from None


def _bad(path: str, line: int, title: str, why: str) -> BadFile:
    return BadFile(title, path=path, line=line, why=why, todo=_REMEDY)
