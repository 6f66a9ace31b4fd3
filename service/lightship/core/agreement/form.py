"""The form of an agreement that people edit: strict checks, every mistake of a file at once.

The same checks run over the TOML before it is signed and over the signed JSON when it is loaded. Nothing is
filled in here: what is signed is what people wrote.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from lightship.core.agreement import fields, lines
from lightship.core.agreement.chain import HUB_PARTY
from lightship.core.agreement.consistency import resolve, whole_problems
from lightship.core.agreement.problems import BadAgreement, Path, Problem, where
from lightship.core.countries import COUNTRIES
from lightship.core.errors import BadFile

MAX_FILE = 1024 * 1024
_TABLES = ("authority", "audit", "members", "collections")


def parse_toml(text: str, path: str) -> dict[str, Any]:
    """Return the agreement in a TOML file as JSON values, dates as text, nothing filled in.

    Args:
        text: the file's content.
        path: its name, for complaints.

    Raises:
        BadFile: it cannot be used; `BadAgreement.problems` names every mistake with its line.
    """
    if len(text) > MAX_FILE:
        raise BadFile("The agreement is too large", path=path, why=f"more than {MAX_FILE} characters")
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else len(text.splitlines())
        raise BadFile(
            "The agreement is not TOML",
            path=path,
            line=line,
            why=re.sub(r" \(at .*\)$", "", str(error)),
            todo="Correct this line; everything after it is read once it is right",
        ) from None
    problems: list[Problem] = []
    payload: dict[str, Any] = _json(raw, (), problems)
    reported = {problem.path for problem in problems}
    problems += [problem for problem in check(payload) if problem.path not in reported]
    problems = problems or list(_countries(payload))
    if problems:
        raise BadAgreement(path, lines.index(text), problems)
    return payload


def check(payload: Mapping[str, Any]) -> list[Problem]:
    """Return everything that is wrong with an agreement in JSON form, in the file's order."""
    problems = [*_table(payload, (), fields.AGREEMENT, "agreement", _TABLES)]
    problems += _authority(payload)
    if "audit" in payload:
        problems += _table(payload["audit"], ("audit",), fields.AUDIT, "audit")
    for kind, plural, known in (
        ("member", "members", fields.MEMBER),
        ("collection", "collections", fields.COLLECTION),
    ):
        entries = payload.get(plural)
        if not isinstance(entries, dict) or not entries:
            problems.append(
                Problem((plural,), f"The agreement has no {plural}", todo=f"Add a table [{plural}.<name>]")
            )
            continue
        for name, entry in entries.items():
            if said := fields.slug(name) or _reserved(kind, name):
                problems.append(Problem((plural, name), f"`{name}` cannot name a {kind}", said))
            problems += _table(entry, (plural, name), known, kind)
    # What spans several keys is looked at once every key by itself is right.
    return problems or whole_problems(payload)


def _reserved(kind: str, name: str) -> str:
    if kind == "member" and name in fields.RESERVED_MEMBERS:
        return "this word is reserved"
    if kind == "collection" and not fields.uuid4(name):
        return "it looks like an id; collections are found by id and by this name"
    return ""


def _table(
    value: Any, path: Path, known: fields.Fields, kind: str, tables: tuple[str, ...] = ()
) -> Iterator[Problem]:
    """Check one table's keys: unknown ones, wrong values, missing ones."""
    if not isinstance(value, dict):
        yield Problem(path, f"{where(path)} must be a table", todo=f"Write it as [{'.'.join(path)}]")
        return
    for key, held in value.items():
        if key in tables:
            continue
        if key not in known:
            close = difflib.get_close_matches(key, [*known, *tables], 1)
            yield Problem(
                (*path, key),
                f"{where((*path, key))} is not a known key",
                todo=f"Did you mean `{close[0]}`?" if close else f"Known are {', '.join([*known, *tables])}",
            )
        elif said := known[key](held):
            yield Problem((*path, key), f"{where((*path, key))} cannot be used", said)
    for key in fields.REQUIRED.get(kind, ()):
        if key not in value:
            todo = "`lightship agreement new` writes new ids" if key in {"id", "identities"} else ""
            yield Problem((*path, key), f"{where((*path, key))} is missing", todo=todo)


def _authority(payload: Mapping[str, Any]) -> Iterator[Problem]:
    """Check who signs: threshold and keys."""
    table = payload.get("authority")
    if not isinstance(table, dict):
        yield Problem(
            ("authority",),
            "The agreement does not say who signs it",
            todo="Add [authority] with threshold = 1 and keys.hub; `lightship agreement new` writes it",
        )
        return
    rest = {key: value for key, value in table.items() if key != "keys"}
    yield from _table(rest, ("authority",), fields.AUTHORITY, "authority")
    if "threshold" not in table:
        yield Problem(("authority", "threshold"), "`threshold` of `authority` is missing")
    keys = table.get("keys")
    if not isinstance(keys, dict) or not keys:
        yield Problem(
            ("authority", "keys"),
            "The agreement names no key that signs it",
            todo='Add keys.hub = "ed25519:…"; `lightship agreement new` writes the hub\'s',
        )
        return
    members = payload.get("members")
    for party, key in keys.items():
        path = ("authority", "keys", party)
        if party != HUB_PARTY and (not isinstance(members, dict) or party not in members):
            yield Problem(path, f"{where(path)} belongs to nobody", "it is neither `hub` nor a member")
        if said := fields.public_key(key):
            yield Problem(path, f"{where(path)} cannot be used", said)


def _json(value: Any, path: Path, problems: list[Problem]) -> Any:
    """Turn TOML values into JSON ones, dates to text; what canonical JSON cannot hold is named."""
    if isinstance(value, dict):
        return {key: _json(held, (*path, key), problems) for key, held in value.items()}
    if isinstance(value, list):
        return [_json(held, path, problems) for held in value]
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        problems.append(
            Problem(path, f"{where(path)} cannot be used", "a time needs its offset", "End it with Z")
        )
    elif isinstance(value, date):
        return value.isoformat()
    elif isinstance(value, str | bool) or (isinstance(value, int) and abs(value) < 2**53):
        return value
    else:
        problems.append(
            Problem(path, f"{where(path)} cannot be used", "numbers here are whole and below 2^53")
        )
    return None


def _countries(payload: Mapping[str, Any]) -> Iterator[Problem]:
    """Check that members are in countries that terms can name; what was signed before stays readable."""
    for slug, member in payload["members"].items():
        if member.get("country", "US") not in COUNTRIES:
            path = ("members", slug, "country")
            why = "ISO 3166 has no such country, so terms that exclude countries would not meet this member"
            yield Problem(path, f"{where(path)} cannot be used", why, "Write its code, such as GB (not UK)")


@dataclass(frozen=True, slots=True)
class Note:
    """Something that `check` says although nothing is wrong."""

    path: Path
    text: str


def notes(payload: Mapping[str, Any]) -> list[Note]:
    """Return what the steward should know, such as what is signed but not acted on yet."""
    said = []
    for key, text in (
        ("witnesses", "witnesses are kept in what is signed; nobody cosigns yet"),
        ("quorum", "the quorum is kept in what is signed; nobody cosigns yet"),
    ):
        if key in payload:
            said.append(Note((key,), text))
    if "retention_days" in payload.get("audit", {}):
        said.append(
            Note(
                ("audit", "retention_days"),
                "the hub deletes no access event by itself: see `lightship audit retire`",
            )
        )
    for slug, member in payload["members"].items():
        if "country" not in member and member["unlocode"][:2] not in COUNTRIES:
            text = "no country begins so: terms that exclude countries would not meet this member"
            said.append(Note(("members", slug, "unlocode"), text))
        if "admin_key" in member:
            said.append(Note(("members", slug, "admin_key"), "with this key the member signs its rosters"))
    for alias, one in payload["collections"].items():
        if "max_age_s" in one:
            said.append(
                Note(("collections", alias, "max_age_s"), "consumers that verify warn of an older log")
            )
        if one["ceiling"] == "red" and one.get("red", "named") == "named":
            said.append(
                Note(
                    ("collections", alias, "ceiling"),
                    "TLP:RED enters only with sharing-terms that name its recipients",
                )
            )
        if one.get("require_signature", False):
            unable = sorted(
                slug
                for slug in resolve(one, "publishers", payload["members"])
                if "admin_key" not in payload["members"].get(slug, {})
            )
            said += [
                Note(
                    ("collections", alias, "require_signature"),
                    f"`{slug}` publishes there and has no admin_key, so nothing that it signs would be taken",
                )
                for slug in unable
            ]
        if one.get("tokens") == "member":
            said.append(
                Note(
                    ("collections", alias, "tokens"),
                    "a secret or certificate counts there only if its member's roster lists it",
                )
            )
    return said
