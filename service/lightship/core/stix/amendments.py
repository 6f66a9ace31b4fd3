"""Where an OASIS JSON schema refuses what the STIX text permits: the text wins, clause by clause.

Data only. Each amendment names a schema file, a place in it (JSON pointer), what shall stand there instead
(REMOVE takes the member away), and the clause. Nothing here makes a schema looser than the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

_HEX = "[0-9a-fA-F]"
_UUID = f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
REMOVE: Final = object()

TIMESTAMP = "stix-timestamp"
DOMAIN = "stix-domain"
EMAIL = "stix-email"
IPV4 = "stix-ipv4"
IPV6 = "stix-ipv6"
"""Formats that `lightship.core.stix.formats` checks."""


@dataclass(frozen=True, slots=True)
class Amendment:
    """In `file`, at `pointer`, put `value`; `clause` says why."""

    file: str
    pointer: str
    value: Any
    clause: str


def _extension_keys(common: str) -> list[Amendment]:
    old = (
        "^extension-definition--[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-5][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}"
        "-[0-9a-fA-F]{12}$"
    )
    at = "/properties/extensions/patternProperties/"
    clause = "2.1 section 2.9: a UUID of any version"
    return [
        Amendment(common, at + f"^extension-definition--{_UUID}$", {"$ref": "extension.json"}, clause),
        Amendment(common, at + old, REMOVE, clause),
    ]


_21 = "schemas-2.1/schemas/"
_20 = "schemas-2.0/schemas/"

AMENDMENTS: tuple[Amendment, ...] = (
    # Identifiers: "MUST be an RFC 4122-compliant UUID"; versions 4 and 5 are only what SHOULD be made.
    Amendment(
        _21 + "common/identifier.json", "/pattern", f"^[a-z][a-z0-9-]+[a-z0-9]--{_UUID}$", "2.1 section 2.9"
    ),
    Amendment(
        _20 + "common/identifier.json", "/pattern", f"^[a-z0-9][a-z0-9-]+[a-z0-9]--{_UUID}$", "2.0 part 1 2.7"
    ),
    *_extension_keys(_21 + "common/core.json"),
    *_extension_keys(_21 + "common/cyber-observable-core.json"),
    *_extension_keys(_21 + "common/marking-definition.json"),
    # Timestamps: real dates (the pattern takes 30 February), any number of digits in the fraction.
    Amendment(
        _21 + "common/timestamp.json", "/format", TIMESTAMP, "2.1 section 2.16: a valid RFC 3339 timestamp"
    ),
    Amendment(_20 + "common/timestamp.json", "/format", TIMESTAMP, "2.0 part 1 2.11"),
    *(
        Amendment(root + "common/core.json", f"/properties/{name}", {"$ref": "timestamp.json"}, clause)
        for root, clause in (
            (_21, "2.1 section 2.16: s+ is one or more digits, or none"),
            (_20, "2.0 part 1 2.11"),
        )
        for name in ("created", "modified")
    ),
    # External references: other sources may cite a CVE or CAPEC id too.
    *(
        Amendment(
            root + "common/external-reference.json", "/oneOf/2/properties/external_id/not", REMOVE, clause
        )
        for root, clause in (
            (_21, "2.1 section 2.5.1: any identifier of the external system"),
            (_20, "2.0 part 1 2.5"),
        )
    ),
    # Granular markings: lang or marking_ref; a selector may name a dictionary key, whose case is free.
    Amendment(_21 + "common/granular-marking.json", "/required", ["selectors"], "2.1 section 7.2.3"),
    Amendment(
        _21 + "common/granular-marking.json",
        "/oneOf",
        [{"required": ["marking_ref"]}, {"required": ["lang"]}],
        "2.1 section 7.2.3: exactly one of lang and marking_ref",
    ),
    *(
        Amendment(
            root + "common/granular-marking.json",
            "/properties/selectors/items/pattern",
            r"^([a-z0-9_-]{3,250}(\.(\[[0-9]+\]|[a-zA-Z0-9_-]{1,250}))*|id)$",
            clause,
        )
        for root, clause in ((_21, "2.1 sections 2.3 and 7.2.3.1"), (_20, "2.0 part 1 4.2.1"))
    ),
    # Formats that the schema spells as a pattern that is wrong, or as a format that engines read differently.
    Amendment(
        _20 + "common/url-regex.json",
        "/pattern",
        REMOVE,
        "2.0 part 4 2.17: RFC 3986; the schema uses lookahead",
    ),
    Amendment(_20 + "common/url-regex.json", "/format", "uri", "2.0 part 4 2.17: RFC 3986"),
    Amendment(
        _20 + "observables/process.json",
        "/allOf/1/properties/arguments/items/pattern",
        REMOVE,
        "2.0 part 4 2.12",
    ),
    Amendment(
        _21 + "observables/ipv6-addr.json",
        "/allOf/1/properties/value",
        {"type": "string", "format": IPV6},
        "2.1 6.9",
    ),
    Amendment(
        _20 + "observables/ipv4-addr.json",
        "/allOf/1/properties/value",
        {"type": "string", "format": IPV4},
        "2.0 part 4 2.7",
    ),
    Amendment(
        _20 + "observables/ipv6-addr.json",
        "/allOf/1/properties/value",
        {"type": "string", "format": IPV6},
        "2.0 part 4 2.8",
    ),
    Amendment(
        _21 + "observables/domain-name.json", "/allOf/1/properties/value/format", DOMAIN, "2.1 section 6.4"
    ),
    Amendment(
        _20 + "observables/domain-name.json", "/allOf/1/properties/value/format", DOMAIN, "2.0 part 4 2.4"
    ),
    Amendment(
        _21 + "observables/email-addr.json", "/allOf/1/properties/value/format", EMAIL, "2.1 section 6.5"
    ),
    # "at least one of these properties": the schema names properties of an older draft.
    Amendment(
        _21 + "observables/windows-registry-key.json",
        "/anyOf/2/required",
        ["modified_time"],
        "2.1 section 6.17",
    ),
    Amendment(_21 + "observables/process.json", "/anyOf/4/required", ["created_time"], "2.1 section 6.13"),
    # A hive is abbreviated only at the start of a key; the schema's alternatives are not anchored.
    Amendment(
        _21 + "observables/windows-registry-key.json",
        "/allOf/1/properties/key/not/pattern",
        r"^(HKLM|HKCC|HKCR|HKCU|HKU|hklm|hkcc|hkcr|hkcu|hku)(\\|$)",
        "2.1 section 6.17",
    ),
    # A header field that occurs once is a list of one string.
    Amendment(
        _21 + "observables/email-message.json",
        "/definitions/email-additional-header-fields/patternProperties/^[a-zA-Z0-9_-]{0,250}$/oneOf/0/minItems",
        1,
        "2.1 section 6.6.1: always a list, also for one value",
    ),
    # TLSH digests of its second version begin with T1.
    Amendment(
        _21 + "common/hashes-type.json",
        "/patternProperties/^TLSH$/pattern",
        "^(T1)?[a-zA-Z0-9]{70}$",
        "2.1 10.7: a valid TLSH",
    ),
    # An unanchored alternative would take custom types such as x-my-directory for standard ones.
    *(
        Amendment(
            root + "sdos/observed-data.json",
            "/allOf/1/properties/objects/patternProperties/^.*$/oneOf/0/allOf/1/not/properties/type/pattern",
            "^(artifact|directory|file|mutex|process|software|user-account|windows-registry-key|x509-certificate"
            "|autonomous-system|domain-name|email-addr|email-message|ipv4-addr|ipv6-addr|mac-addr"
            "|network-traffic|url)$",
            clause,
        )
        for root, clause in ((_21, "2.1 section 11.2"), (_20, "2.0 part 3 5"))
    ),
)
