"""TAXII resources as JSON bytes (TAXII 2.1 sections 3.7, 4.1.1, 4.2.1, 5.1.1, 5.2.1, 5.3.1, 5.8.1).

A property with nothing to list is left out, since TAXII lists are never empty; the compatibility profile
`empty-list` gets an empty list on a page without entries instead. Objects go out as the bytes they are held
as. The manifest and versions resources carry `next` as the envelope does.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from lightship.core.access import Profile
from lightship.core.agreement import Agreement
from lightship.core.collection import stamp_of
from lightship.core.ports import Row
from lightship.core.query import Endpoint
from lightship.core.time import Micros, format_stamp
from lightship.usecases.entry import Rights
from lightship.web.message import TAXII

MEDIA_TYPES = ("application/stix+json;version=2.1", "application/stix+json;version=2.0")
"""What every collection takes."""
_MEDIA_TYPE_OF = {"2.0": MEDIA_TYPES[1], "2.1": MEDIA_TYPES[0]}
_EMPTY = b'{"more":false}'
_EMPTY_LIST = {
    Endpoint.OBJECTS: b'{"more":false,"objects":[]}',
    Endpoint.OBJECT: b'{"more":false,"objects":[]}',
    Endpoint.MANIFEST: b'{"more":false,"objects":[]}',
    Endpoint.VERSIONS: b'{"more":false,"versions":[]}',
}


def envelope(rows: Sequence[Row], token: str | None) -> bytes:
    """Return an envelope of these rows' objects."""
    return b"".join((_head(token), b'"objects":[', b",".join([row.body for row in rows]), b"]}"))


def manifest(rows: Sequence[Row], token: str | None) -> bytes:
    """Return a manifest of these rows."""
    entries = [
        {
            "id": row.id,
            "date_added": format_stamp(stamp_of(row.key)),
            "version": version_of(row),
            "media_type": _MEDIA_TYPE_OF[row.spec_version],
        }
        for row in rows
    ]
    return b"".join((_head(token), b'"objects":', orjson.dumps(entries), b"}"))


def versions(rows: Sequence[Row], token: str | None) -> bytes:
    """Return the versions of these rows, in the order they were added."""
    return b"".join((_head(token), b'"versions":', orjson.dumps([version_of(row) for row in rows]), b"}"))


def version_of(row: Row) -> str:
    """Return the version as TAXII shows it: as written in the object, else `date_added`."""
    return row.version_text or format_stamp(stamp_of(row.key))


def nothing(endpoint: Endpoint, profile: Profile) -> bytes:
    """Return a page without entries."""
    return _EMPTY_LIST[endpoint] if profile == "empty-list" else _EMPTY


def discovery(title: str, description: str, contact: str, roots: Sequence[str]) -> bytes:
    """Return the discovery resource; the first root is the default one."""
    resource: dict[str, object] = {"title": title}
    if description:
        resource["description"] = description
    if contact:
        resource["contact"] = contact
    if roots:
        resource |= {"default": roots[0], "api_roots": list(roots)}
    return orjson.dumps(resource)


def api_root(agreement: Agreement, max_content_length: int, now: Micros) -> bytes:
    """Return the API root resource of an agreement; past its end the description says so first."""
    resource: dict[str, object] = {"title": agreement.title}
    said = [text for text in (agreement.notice(now), agreement.description) if text]
    if said:
        resource["description"] = ". ".join(said)
    resource |= {"versions": [TAXII], "max_content_length": max_content_length}
    return orjson.dumps(resource)


def collection(rights: Rights) -> bytes:
    """Return one collection resource."""
    return orjson.dumps(_collection(rights))


def collections(found: Sequence[Rights]) -> bytes:
    """Return the collections resource; an empty object if there are none."""
    return orjson.dumps({"collections": [_collection(one) for one in found]} if found else {})


def _collection(rights: Rights) -> dict[str, object]:
    held = rights.collection
    resource: dict[str, object] = {"id": held.id, "title": held.title}
    if held.description:
        resource["description"] = held.description
    if held.alias:
        resource["alias"] = held.alias
    return resource | {
        "can_read": rights.can_read,
        "can_write": rights.can_write,
        "media_types": list(MEDIA_TYPES),
    }


def _head(token: str | None) -> bytes:
    return b'{"more":false,' if token is None else b'{"more":true,"next":"%b",' % token.encode("ascii")
