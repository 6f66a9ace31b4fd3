"""What a reference may point to, and which of two times comes first: tables out of STIX 2.1 and 2.0.

Data and one walk over an object. A reference's type is the part of the id before `--`; whether the object
that it names exists is nobody's business here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_ID = re.compile(
    r"([a-z0-9]++(?:-[a-z0-9]++)*+)--"
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    re.ASCII,
)

SCO = frozenset(
    {
        *{"artifact", "autonomous-system", "directory", "domain-name", "email-addr", "email-message", "file"},
        *{"ipv4-addr", "ipv6-addr", "mac-addr", "mutex", "network-traffic", "process", "software", "url"},
        *{"user-account", "windows-registry-key", "x509-certificate"},
    }
)
"""The cyber-observable types of STIX 2.1 section 6."""
_ADDRESSES = frozenset({"ipv4-addr", "ipv6-addr", "mac-addr", "domain-name"})
_EMAIL = frozenset({"email-addr"})
_IP = {
    "resolves_to_refs": frozenset({"mac-addr"}),
    "belongs_to_refs": frozenset({"autonomous-system"}),
}

REFERENCES: Mapping[str, Mapping[str, frozenset[str]]] = {
    "directory": {"contains_refs": frozenset({"file", "directory"})},
    "domain-name": {"resolves_to_refs": frozenset({"ipv4-addr", "ipv6-addr", "domain-name"})},
    "email-addr": {"belongs_to_ref": frozenset({"user-account"})},
    "email-message": {
        **dict.fromkeys(("from_ref", "sender_ref", "to_refs", "cc_refs", "bcc_refs"), _EMAIL),
        "raw_email_ref": frozenset({"artifact"}),
        "body_multipart.body_raw_ref": frozenset({"artifact", "file"}),
    },
    "file": {
        "parent_directory_ref": frozenset({"directory"}),
        "content_ref": frozenset({"artifact"}),
        "extensions.archive-ext.contains_refs": frozenset({"file", "directory"}),
    },
    "ipv4-addr": _IP,
    "ipv6-addr": _IP,
    "malware": {
        "operating_system_refs": frozenset({"software"}),
        "sample_refs": frozenset({"artifact", "file"}),
    },
    "malware-analysis": {
        "host_vm_ref": frozenset({"software"}),
        "operating_system_ref": frozenset({"software"}),
        "installed_software_refs": frozenset({"software"}),
        "sample_ref": frozenset({"artifact", "file", "network-traffic"}),
    },
    "network-traffic": {
        "src_ref": _ADDRESSES,
        "dst_ref": _ADDRESSES,
        "src_payload_ref": frozenset({"artifact"}),
        "dst_payload_ref": frozenset({"artifact"}),
        "encapsulates_refs": frozenset({"network-traffic"}),
        "encapsulated_by_ref": frozenset({"network-traffic"}),
        "extensions.http-request-ext.message_body_data_ref": frozenset({"artifact"}),
    },
    "process": {
        "opened_connection_refs": frozenset({"network-traffic"}),
        "creator_user_ref": frozenset({"user-account"}),
        "image_ref": frozenset({"file"}),
        "parent_ref": frozenset({"process"}),
        "child_refs": frozenset({"process"}),
        "extensions.windows-service-ext.service_dll_refs": frozenset({"file"}),
    },
    "sighting": {
        "observed_data_refs": frozenset({"observed-data"}),
        "where_sighted_refs": frozenset({"identity", "location"}),
    },
    "windows-registry-key": {"creator_user_ref": frozenset({"user-account"})},
}
"""Type -> property path -> types that it may point to (the property tables of sections 4 to 6)."""

_NOT_OBJECTS = frozenset({"bundle"})
_NOT_DOMAIN = frozenset({"bundle", "language-content", "marking-definition", "relationship", "sighting"})

EXCLUDED: Mapping[str, Mapping[str, frozenset[str]]] = {
    "grouping": {"object_refs": _NOT_OBJECTS},
    "language-content": {"object_ref": frozenset({"bundle", "language-content"})},
    "note": {"object_refs": _NOT_OBJECTS},
    "opinion": {"object_refs": _NOT_OBJECTS},
    "relationship": {"source_ref": _NOT_DOMAIN, "target_ref": _NOT_DOMAIN},
    "report": {"object_refs": _NOT_OBJECTS},
    "sighting": {"sighting_of_ref": _NOT_DOMAIN | SCO},
}
"""Type -> property -> types that it must not point to; every other type, custom ones too, is good."""

ORDER: Mapping[str, tuple[str, str, bool]] = {
    "campaign": ("first_seen", "last_seen", False),
    "indicator": ("valid_from", "valid_until", True),
    "infrastructure": ("first_seen", "last_seen", False),
    "intrusion-set": ("first_seen", "last_seen", False),
    "malware": ("first_seen", "last_seen", False),
    "network-traffic": ("start", "end", False),
    "observed-data": ("first_observed", "last_observed", False),
    "relationship": ("start_time", "stop_time", True),
    "sighting": ("first_seen", "last_seen", False),
    "threat-actor": ("first_seen", "last_seen", False),
}
"""Type -> earlier property, later property, must they differ."""


def target_type(ref: str) -> str | None:
    """Return the type that a reference names, None if it is no identifier (STIX 2.1 section 2.9)."""
    match = _ID.fullmatch(ref)
    return match.group(1) if match else None


def references(value: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, reference) for a property path of `REFERENCES`; other forms are passed over."""
    level: list[tuple[str, Any]] = [("", value)]
    for step in path.split("."):
        below: list[tuple[str, Any]] = []
        for at, one in level:
            found = one.get(step) if isinstance(one, Mapping) else None
            if isinstance(found, list):
                below += [(f"{at}/{step}/{index}", item) for index, item in enumerate(found)]
            elif found is not None:
                below.append((f"{at}/{step}", found))
        level = below
    for at, one in level:
        if isinstance(one, str):
            yield at, one
