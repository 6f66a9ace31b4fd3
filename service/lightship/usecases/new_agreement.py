"""A first agreement file to edit: from a shipped sample, or from a list of members.

Writes what no person should have to invent: collection ids, an identity id for every member, the hub's public
key. Comments and order of a sample are kept. Signs nothing and applies nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence

from lightship.core.agreement import fields, lines, parse_toml
from lightship.core.errors import MalformedRequest

KNOWN_PORTS = {
    "USLAX": "Port of Los Angeles",
    "USLGB": "Port of Long Beach",
    "JPTYO": "Port of Tokyo",
    "JPYOK": "Port of Yokohama",
    "CNSHA": "Port of Shanghai",
    "SGSIN": "Port of Singapore",
}

_HEAD = """\
# An agreement: who shares what with whom. Check it with `lightship agreement check`, put it in force with
# `lightship agreement apply`. A change is a new version of this file, applied the same way.
id = {id}
title = {title}

[authority]
threshold = 1                     # the steward's hub signs alone

"""
_MEMBER = """\
[members.{slug}]
name = {name}
unlocode = "{unlocode}"
group = "port-authority"
roles = ["publisher", "consumer", "auditor"]

"""
_COLLECTIONS = """\
# Who reads and who writes follows from the roles, unless a collection lists `audience` or `publishers`.
[collections.incidents]
title = "Incidents"
description = "Incidents at a member, for the members listed here only."
ceiling = "red"
red = "audience"
audience = [{members}]

[collections.indicators]
title = "Indicators"
description = "Indicators of compromise."
ceiling = "amber+strict"

[collections.sightings]
title = "Sightings"
description = "Who saw an indicator, and when."
ceiling = "amber+strict"

[collections.warnings]
title = "Warnings"
description = "Early warnings that may be passed on within the community."
ceiling = "green"
"""


def new_text(
    agreement: str,
    *,
    hub_key: str,
    new_uuid: Callable[[], str],
    sample: str | None = None,
    members: Sequence[str] = (),
    title: str | None = None,
) -> str:
    """Return the text of a new agreement file, complete and correct.

    Args:
        agreement: its id.
        hub_key: the hub's public key, `ed25519:…`.
        new_uuid: gives a fresh UUIDv4 a call.
        sample: text of a sample to start from; it brings its own members.
        members: UN/LOCODEs, each as `USLAX` or `USLAX=Name`, where no sample is given.
        title: its title, by default the sample's or one that names the members.

    Raises:
        MalformedRequest: neither or both of sample and members, or a member that cannot be.
        BadFile: the outcome would have mistakes, such as a reserved id.
    """
    if (sample is None) == (not members):
        raise MalformedRequest(
            "An agreement starts from a sample or from a list of members",
            todo="Use `--from la-lb-mou`, or `--member USLAX --member USLGB`",
        )
    text = _from_members(agreement, members, title) if sample is None else _retitled(sample, agreement, title)
    filled = fill_in(text, hub_key=hub_key, new_uuid=new_uuid)
    parse_toml(filled, f"{agreement}/agreement.toml")
    return filled


def fill_in(text: str, *, hub_key: str, new_uuid: Callable[[], str]) -> str:
    """Return `text` with the ids, identities and the hub's key that it leaves out."""
    raw = tomllib.loads(text)
    found = lines.index(text)
    insert: dict[int, str] = {}
    if "hub" not in raw.get("authority", {}).get("keys", {}):
        insert[found["authority",]] = f'keys.hub = "{hub_key}"'
    for slug, member in raw.get("members", {}).items():
        if "identities" not in member:
            insert[found["members", slug]] = f'identities = ["identity--{new_uuid()}"]'
    for alias, collection in raw.get("collections", {}).items():
        if "id" not in collection:
            insert[found["collections", alias]] = f'id = "{new_uuid()}"'
    out = []
    for number, line in enumerate(text.splitlines(), 1):
        out.append(line)
        if number in insert:
            out.append(insert[number])
    return "\n".join(out) + "\n"


def _retitled(text: str, agreement: str, title: str | None) -> str:
    """Put another id or title at the top of a sample."""
    text = re.sub(r'(?m)^id = ".*"$', lambda _: f"id = {_quoted(agreement)}", text, count=1)
    if title is not None:
        text = re.sub(r'(?m)^title = ".*"$', lambda _: f"title = {_quoted(title)}", text, count=1)
    return text


def _from_members(agreement: str, members: Sequence[str], title: str | None) -> str:
    found: dict[str, tuple[str, str]] = {}
    for one in members:
        code, _, name = one.partition("=")
        if said := fields.locode(code):
            raise MalformedRequest(f"`{code}` cannot be a member", why=said)
        slug = code.lower()
        if slug in found:
            raise MalformedRequest(f"`{code}` is named twice", why="each member is named once")
        found[slug] = (code, name or KNOWN_PORTS.get(code, code))
    if title is None:
        title = f"Cybersecurity sharing: {' and '.join(name for _, name in found.values())}"[:200]
    parts = [_HEAD.format(id=_quoted(agreement), title=_quoted(title))]
    for slug, (code, name) in found.items():
        parts.append(_MEMBER.format(slug=slug, name=_quoted(name), unlocode=code))
    parts.append(_COLLECTIONS.format(members=", ".join(f'"{slug}"' for slug in found)))
    return "".join(parts)


def _quoted(text: str) -> str:
    """Return a TOML basic string."""
    out = text.replace("\\", "\\\\").replace('"', '\\"')
    if not out.isprintable():
        raise MalformedRequest("A name holds characters that cannot be printed")
    return f'"{out}"'
