"""Made-up STIX 2.1 objects of every type, each with a random choice of its properties; the same for one seed.

Only documentation addresses and names are used (RFC 5737, RFC 3849, RFC 2606).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

Rng = random.Random
Maker = Callable[[Rng], Any]

SCO_TYPES = (
    *("artifact", "autonomous-system", "directory", "domain-name", "email-addr", "email-message", "file"),
    *("ipv4-addr", "ipv6-addr", "mac-addr", "mutex", "network-traffic", "process", "software", "url"),
    *("user-account", "windows-registry-key", "x509-certificate"),
)
_WORDS = (
    "crane",
    "berth",
    "reefer",
    "naïve",
    "貨物",
    "tos",
    "'one'",
    '"two"',
    "back\\slash",
    "tab\t",
    "é—ß",
    "🚢",
)


def stix_id(rng: Rng, stix_type: str, version: int = 4) -> str:
    """Return an id with a UUID of the given version."""
    digits = f"{rng.getrandbits(128):032x}"
    digits = f"{digits[:12]}{version}{digits[13:16]}{rng.choice('89ab')}{digits[17:]}"
    return f"{stix_type}--{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def stamp(rng: Rng, year: int = 2024) -> str:
    """Return a timestamp of that year with three digits (stix2 and both specs take those everywhere)."""
    return (
        f"{year}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:"
        f"{rng.randint(0, 59):02}:{rng.randint(0, 59):02}.{rng.randint(0, 999):03}Z"
    )


def text(rng: Rng) -> str:
    return " ".join(rng.choice(_WORDS) for _ in range(rng.randint(1, 5)))


def _texts(rng: Rng) -> list[str]:
    return [text(rng) for _ in range(rng.randint(1, 3))]


def _bool(rng: Rng) -> bool:
    return rng.random() < 0.5


def _count(rng: Rng) -> int:
    return rng.randint(1, 99999)


def _year(year: int) -> Maker:
    return lambda rng: stamp(rng, year)


def _ref(*types: str) -> Maker:
    return lambda rng: stix_id(rng, rng.choice(types))


def _refs(*types: str) -> Maker:
    return lambda rng: [stix_id(rng, rng.choice(types)) for _ in range(rng.randint(1, 3))]


def _pick(*choices: Any) -> Maker:
    return lambda rng: rng.choice(choices)


def _kill_chain(rng: Rng) -> list[dict[str, str]]:
    return [{"kill_chain_name": "mitre-attack", "phase_name": rng.choice(("discovery", "lateral-movement"))}]


def hashes(rng: Rng) -> dict[str, str]:
    made = {"MD5": 32, "SHA-1": 40, "SHA-256": 64, "SHA-512": 128}
    names = rng.sample(sorted(made), rng.randint(1, 4))
    return {name: f"{rng.getrandbits(512):0128x}"[: made[name]] for name in names}


def _external(rng: Rng) -> list[dict[str, Any]]:
    plain = {"source_name": "Port advisory", "description": text(rng)}
    linked = {"source_name": "vendor", "url": "https://www.example.com/a?b=c#d", "external_id": "ADV-7"}
    cve = {"source_name": "cve", "external_id": "CVE-2024-12345"}
    capec = {"source_name": "capec", "external_id": "CAPEC-163"}
    return rng.sample([plain, linked, cve, capec], rng.randint(1, 3))


def pattern(rng: Rng) -> str:
    """Return a STIX pattern that is one."""
    simple = [
        "[ipv4-addr:value = '192.0.2.7']",
        "[domain-name:value = 'c2.example.org']",
        "[url:value = 'https://example.com/x?y=z']",
        f"[file:hashes.'SHA-256' = '{rng.getrandbits(256):064x}']",
        f"[file:hashes.MD5 = '{rng.getrandbits(128):032x}']",
        "[file:name = 'it\\'s a \\\\ test.exe' AND file:size > 1024]",
        "[email-message:from_ref.value LIKE '%@example.net']",
        "[network-traffic:dst_port IN (102, 502, 44818)] WITHIN 60 SECONDS",
        "([process:name = 'a'] FOLLOWEDBY [process:name = 'b']) REPEATS 3 TIMES",
        "[ipv6-addr:value ISSUBSET '2001:db8::/32'] OR [ipv4-addr:value NOT ISSUBSET '198.51.100.0/24']",
        "[file:extensions.'windows-pebinary-ext'.sections[*].entropy > 7.5]",
        "[x-crane:speed != -3.5] START t'2024-01-01T00:00:00Z' STOP t'2024-02-01T00:00:00.5Z'",
    ]
    return rng.choice(simple)


_SEEN = {"first_seen": _year(2021), "last_seen": _year(2022)}

SDO: Mapping[str, tuple[Mapping[str, Maker], Mapping[str, Maker]]] = {
    "attack-pattern": (
        {"name": text},
        {"description": text, "aliases": _texts, "kill_chain_phases": _kill_chain},
    ),
    "campaign": ({"name": text}, {"description": text, "aliases": _texts, "objective": text, **_SEEN}),
    "course-of-action": ({"name": text}, {"description": text}),
    "grouping": (
        {
            "context": _pick("suspicious-activity", "unspecified"),
            "object_refs": _refs("indicator", "x-crane", "file"),
        },
        {"name": text, "description": text},
    ),
    "identity": (
        {"name": text},
        {
            "description": text,
            "roles": _texts,
            "identity_class": _pick("organization", "individual", "class"),
            "sectors": lambda rng: ["transportation"],
            "contact_information": text,
        },
    ),
    "incident": ({"name": text}, {"description": text}),
    "indicator": (
        {"pattern": pattern, "pattern_type": lambda rng: "stix", "valid_from": _year(2023)},
        {
            "name": text,
            "description": text,
            "indicator_types": lambda rng: ["malicious-activity"],
            "pattern_version": lambda rng: "2.1",
            "valid_until": _year(2024),
            "kill_chain_phases": _kill_chain,
        },
    ),
    "infrastructure": (
        {"name": text},
        {
            "description": text,
            "infrastructure_types": lambda rng: ["command-and-control"],
            "aliases": _texts,
            "kill_chain_phases": _kill_chain,
            **_SEEN,
        },
    ),
    "intrusion-set": (
        {"name": text},
        {
            "description": text,
            "aliases": _texts,
            "goals": _texts,
            "resource_level": lambda rng: "organization",
            "primary_motivation": lambda rng: "personal-gain",
            "secondary_motivations": lambda rng: ["dominance"],
            **_SEEN,
        },
    ),
    "location": (
        {"country": lambda rng: "us"},
        {
            "name": text,
            "description": text,
            "region": lambda rng: "northern-america",
            "administrative_area": text,
            "city": text,
            "street_address": text,
            "postal_code": lambda rng: "90731",
        },
    ),
    "malware": (
        {"name": text, "is_family": _bool},
        {
            "description": text,
            "malware_types": lambda rng: ["ransomware"],
            "aliases": _texts,
            "kill_chain_phases": _kill_chain,
            "operating_system_refs": _refs("software"),
            "architecture_execution_envs": lambda rng: ["x86-64"],
            "implementation_languages": lambda rng: ["go"],
            "capabilities": lambda rng: ["emails-spam"],
            "sample_refs": _refs("file", "artifact"),
            **_SEEN,
        },
    ),
    "malware-analysis": (
        {"product": text, "result": _pick("malicious", "benign")},
        {
            "version": text,
            "host_vm_ref": _ref("software"),
            "operating_system_ref": _ref("software"),
            "installed_software_refs": _refs("software"),
            "configuration_version": text,
            "modules": _texts,
            "analysis_engine_version": text,
            "analysis_definition_version": text,
            "submitted": _year(2023),
            "analysis_started": _year(2023),
            "analysis_ended": _year(2024),
            "result_name": text,
            "analysis_sco_refs": _refs("file", "url"),
            "sample_ref": _ref("file", "artifact", "network-traffic"),
        },
    ),
    "note": (
        {"content": text, "object_refs": _refs("indicator", "relationship", "file")},
        {"abstract": text, "authors": _texts},
    ),
    "observed-data": (
        {
            "first_observed": _year(2022),
            "last_observed": _year(2023),
            "number_observed": _count,
            "object_refs": lambda rng: [stix_id(rng, "file"), stix_id(rng, "relationship")],
        },
        {},
    ),
    "opinion": (
        {"opinion": _pick("agree", "neutral"), "object_refs": _refs("indicator", "sighting")},
        {"explanation": text, "authors": _texts},
    ),
    "report": (
        {"name": text, "published": _year(2024), "object_refs": _refs("malware", "file", "relationship")},
        {"description": text, "report_types": lambda rng: ["threat-report"]},
    ),
    "threat-actor": (
        {"name": text},
        {
            "description": text,
            "threat_actor_types": lambda rng: ["crime-syndicate"],
            "aliases": _texts,
            "roles": lambda rng: ["agent"],
            "goals": _texts,
            "sophistication": lambda rng: "expert",
            "resource_level": lambda rng: "team",
            "primary_motivation": lambda rng: "revenge",
            "personal_motivations": lambda rng: ["ideology"],
            **_SEEN,
        },
    ),
    "tool": (
        {"name": text},
        {
            "description": text,
            "tool_types": lambda rng: ["remote-access"],
            "aliases": _texts,
            "kill_chain_phases": _kill_chain,
            "tool_version": text,
        },
    ),
    "vulnerability": ({"name": text}, {"description": text}),
    "relationship": (
        {
            "relationship_type": _pick("uses", "related-to"),
            "source_ref": _ref("malware", "indicator", "file"),
            "target_ref": _ref("tool", "identity", "ipv4-addr"),
        },
        {"description": text, "start_time": _year(2022), "stop_time": _year(2023)},
    ),
    "sighting": (
        {"sighting_of_ref": _ref("indicator", "malware")},
        {
            "description": text,
            "count": _count,
            "observed_data_refs": _refs("observed-data"),
            "where_sighted_refs": _refs("identity", "location"),
            "summary": _bool,
            **_SEEN,
        },
    ),
    "language-content": (
        {
            "object_ref": _ref("indicator", "campaign"),
            "contents": lambda rng: {"de": {"name": text(rng)}, "fr": {"description": text(rng)}},
        },
        {"object_modified": _year(2023)},
    ),
    "extension-definition": (
        {
            "name": text,
            "schema": lambda rng: "https://www.example.com/schema.json",
            "version": lambda rng: "1.2.1",
            "extension_types": lambda rng: ["property-extension"],
        },
        {"description": text},
    ),
}
"""Type -> what it needs, what it may have; the common properties come on top."""


def _network(rng: Rng) -> dict[str, Any]:
    made: dict[str, Any] = {
        rng.choice(("src_ref", "dst_ref")): stix_id(rng, "ipv4-addr"),
        "protocols": ["ipv4", "tcp"],
    }
    if _bool(rng):
        made |= {"start": stamp(rng, 2022), "end": stamp(rng, 2023), "is_active": False}
    if _bool(rng):
        made |= {"src_port": 50000, "dst_port": 502, "src_byte_count": 35779, "dst_packets": 7}
    if _bool(rng):
        made["extensions"] = {
            "http-request-ext": {
                "request_method": "get",
                "request_value": "/x.html",
                "request_header": {"User-Agent": ["test/1.0"]},
            },
            "tcp-ext": {"src_flags_hex": "02"},
            "icmp-ext": {"icmp_type_hex": "08", "icmp_code_hex": "00"},
            "socket-ext": {
                "address_family": "AF_INET",
                "socket_type": "SOCK_STREAM",
                "options": {"SO_ERROR": 0},
            },
        }
    return made


def _file(rng: Rng) -> dict[str, Any]:
    made: dict[str, Any] = {"hashes": hashes(rng), "name": text(rng)}
    if _bool(rng):
        made |= {"size": _count(rng), "magic_number_hex": "4d5a", "mime_type": "application/x-dosexec"}
    if _bool(rng):
        made |= {"ctime": stamp(rng), "mtime": stamp(rng), "atime": stamp(rng)}
    if _bool(rng):
        made |= {"parent_directory_ref": stix_id(rng, "directory"), "content_ref": stix_id(rng, "artifact")}
    if _bool(rng):
        made["extensions"] = rng.choice(
            [
                {"pdf-ext": {"version": "1.7", "is_optimized": True, "document_info_dict": {"Title": "x"}}},
                {"ntfs-ext": {"sid": "S-1-5", "alternate_data_streams": [{"name": "s", "size": 3}]}},
                {
                    "raster-image-ext": {
                        "image_height": 9,
                        "exif_tags": {"Make": "Nikon", "XResolution": 4928},
                    }
                },
                {"archive-ext": {"contains_refs": [stix_id(rng, "file")], "comment": "c"}},
                {
                    "windows-pebinary-ext": {
                        "pe_type": "exe",
                        "machine_hex": "014c",
                        "time_date_stamp": "2016-01-22T12:31:12Z",
                        "sections": [{"name": ".text", "entropy": 0.061089, "size": 4}],
                    }
                },
            ]
        )
    return made


def _email(rng: Rng) -> dict[str, Any]:
    made: dict[str, Any] = {"from_ref": stix_id(rng, "email-addr"), "subject": text(rng), "date": stamp(rng)}
    if _bool(rng):
        return made | {"is_multipart": False, "body": text(rng), "to_refs": [stix_id(rng, "email-addr")]}
    parts = [
        {"content_type": "text/plain", "body": text(rng)},
        {"content_type": "application/zip", "body_raw_ref": stix_id(rng, "artifact")},
    ]
    return made | {"is_multipart": True, "body_multipart": parts, "raw_email_ref": stix_id(rng, "artifact")}


def _process(rng: Rng) -> dict[str, Any]:
    made: dict[str, Any] = {"pid": _count(rng), "command_line": text(rng)}
    if _bool(rng):
        made |= {"created_time": stamp(rng), "cwd": "C:\\x", "environment_variables": {"PATH": "x"}}
    if _bool(rng):
        made |= {"image_ref": stix_id(rng, "file"), "parent_ref": stix_id(rng, "process"), "is_hidden": True}
    if _bool(rng):
        made["extensions"] = {
            "windows-process-ext": {"aslr_enabled": True, "integrity_level": "high"},
            "windows-service-ext": {"service_name": "s", "start_type": "SERVICE_AUTO_START"},
        }
    return made


def _directory(rng: Rng) -> dict[str, Any]:
    return {"path": text(rng), "ctime": stamp(rng), "contains_refs": [stix_id(rng, "file")]}


def _artifact(rng: Rng) -> dict[str, Any]:
    if _bool(rng):
        return {"mime_type": "image/jpeg", "payload_bin": "aGVsbG8gcG9ydA=="}
    return {
        "url": "https://example.com/z.zip",
        "hashes": hashes(rng),
        "encryption_algorithm": "mime-type-indicated",
    }


SCO: Mapping[str, Callable[[Rng], dict[str, Any]]] = {
    "artifact": _artifact,
    "autonomous-system": lambda rng: {"number": _count(rng), "name": text(rng), "rir": "ARIN"},
    "directory": _directory,
    "domain-name": lambda rng: {
        "value": rng.choice(("example.com", "a.b-c.example.org", "xn--mnchen-3ya.example"))
    },
    "email-addr": lambda rng: {"value": "john.doe@example.com", "display_name": text(rng)},
    "email-message": _email,
    "file": _file,
    "ipv4-addr": lambda rng: {"value": rng.choice(("192.0.2.1", "198.51.100.0/24", "0.0.0.0/0"))},
    "ipv6-addr": lambda rng: {"value": rng.choice(("2001:db8::1", "2001:db8::/96", "::"))},
    "mac-addr": lambda rng: {"value": "d2:fb:49:24:37:18"},
    "mutex": lambda rng: {"name": text(rng)},
    "network-traffic": _network,
    "process": _process,
    "software": lambda rng: {"name": text(rng), "vendor": text(rng), "version": "2002", "languages": ["eng"]},
    "url": lambda rng: {
        "value": rng.choice(("https://example.com/research/index.html?a=%20#x", "ftp://[2001:db8::1]/"))
    },
    "user-account": lambda rng: {
        "user_id": "1001",
        "account_login": "j",
        "account_type": "unix",
        "account_created": stamp(rng),
        "extensions": {"unix-account-ext": {"gid": 1001, "groups": ["wheel"], "home_dir": "/srv/j"}},
    },
    "windows-registry-key": lambda rng: {
        "key": "HKEY_LOCAL_MACHINE\\System\\Foo",
        "values": [{"name": "Foo", "data": "qwerty", "data_type": "REG_SZ"}],
        "modified_time": stamp(rng),
    },
    "x509-certificate": lambda rng: {
        "issuer": "C=US, CN=example",
        "serial_number": "36:f7",
        "validity_not_before": stamp(rng),
        "x509_v3_extensions": {"basic_constraints": "critical,CA:TRUE"},
    },
}
"""Observable type -> what it holds besides the common properties."""

TLP_GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"


def sdo(rng: Rng, stix_type: str, *, full: bool = False) -> dict[str, Any]:
    """Return a domain or relationship object, or one of the meta types that have `modified`."""
    needed, possible = SDO[stix_type]
    made: dict[str, Any] = {
        "type": stix_type,
        "spec_version": "2.1",
        "id": stix_id(rng, stix_type),
        "created": stamp(rng, 2023),
        "modified": stamp(rng, 2024),
    }
    made |= {name: maker(rng) for name, maker in needed.items()}
    made |= {name: maker(rng) for name, maker in possible.items() if full or _bool(rng)}
    if stix_type == "extension-definition" or _bool(rng):
        made["created_by_ref"] = stix_id(rng, "identity")
    if _bool(rng):
        made |= {"labels": ["a label"], "revoked": False}
    if stix_type not in ("language-content", "extension-definition") and _bool(rng):
        made |= {"confidence": rng.randint(0, 100), "lang": rng.choice(("en", "de", "zh"))}
    if _bool(rng):
        made["external_references"] = _external(rng)
    if _bool(rng):
        made["object_marking_refs"] = [TLP_GREEN]
        made["granular_markings"] = [{"selectors": ["created", "type"], "marking_ref": TLP_GREEN}]
    return made


def sco(rng: Rng, stix_type: str) -> dict[str, Any]:
    """Return an observable."""
    made: dict[str, Any] = {
        "type": stix_type,
        "spec_version": "2.1",
        "id": stix_id(rng, stix_type, 4 if stix_type == "process" else 5),
    }
    made |= SCO[stix_type](rng)
    if _bool(rng):
        made |= {"defanged": False, "object_marking_refs": [TLP_GREEN]}
    if stix_type == "process":
        return made
    if _bool(rng):
        del made["spec_version"]
    return made


def marking(rng: Rng) -> dict[str, Any]:
    """Return a statement marking."""
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": stix_id(rng, "marking-definition"),
        "created": stamp(rng),
        "definition_type": "statement",
        "definition": {"statement": text(rng)},
    }


def objects(seed: int, rounds: int) -> list[dict[str, Any]]:
    """Return `rounds` objects of each type, always the same for one seed."""
    rng = random.Random(seed)
    made: list[dict[str, Any]] = []
    for _ in range(rounds):
        made += [sdo(rng, stix_type) for stix_type in SDO]
        made += [sco(rng, stix_type) for stix_type in SCO_TYPES]
        made.append(marking(rng))
    return made
