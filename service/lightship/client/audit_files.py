"""The files of an exported access log, read strictly and in bounded memory; and those that an auditor keeps.

Everything that is not as an export writes it is `BadExport`, which names the file and the line or member.
What a caller gives (keys, receipts) is refused as a usage error instead.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator
from dataclasses import dataclass
from errno import ELOOP
from pathlib import Path
from select import select
from stat import S_ISDIR, S_ISREG
from typing import Any, BinaryIO

import orjson

from lightship.core import dsse
from lightship.core.agreement.chain import read_key_text
from lightship.core.errors import CallerError, LightshipError, MalformedRequest
from lightship.core.log.audit import MAX_LEAF
from lightship.core.log.merkle import Frontier
from lightship.core.log.notes import BadNote, parse_key
from lightship.core.log.receipt import HEADER, BadReceipt, KeptReceipt, parse_receipt
from lightship.core.stix.json import decode

FORMAT = 1
_YEAR = re.compile(r"\d{4}", re.ASCII)
_KEYID = re.compile(r"[0-9a-f]{64}")
_MAX_LINE = 8 * MAX_LEAF
_MAX_SMALL = 64 * 1024
MAX_RECEIPTS = 64 * 1024 * 1024
"""Bytes of all receipts that are looked for at once."""
MAX_VERSIONS = 10_000
"""Versions of an agreement that an export may have."""
PATIENCE_S = 10
"""How long a pipe that the caller names may stay silent."""
_PART_FILES = frozenset({"checkpoint", "part.ndjson"})
_LOG_FILES = frozenset(
    {"checkpoint", "checkpoints.ndjson", "entries.ndjson", "hashes", "seals", "start.json"}
)


class BadExport(CallerError):
    """A file of an export is not as it must be: `where`, and `what` is wrong there."""

    code = "bad-export"

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
        self.what = what


@dataclass(frozen=True, slots=True)
class About:
    """What an export says it is; `member` is empty for a whole log."""

    agreement: str
    member: str
    years: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PartEntry:
    """One line of a member's part: `values` are (member of the leaf, digest there, salt, value)."""

    index: int
    leaf: bytes
    path: tuple[bytes, ...]
    values: tuple[tuple[str, str, bytes, str], ...]


def open_plain(path: Path, name: str) -> BinaryIO:
    """Open a file to read: a plain one, no link that leads elsewhere and no pipe that never ends.

    Raises:
        BadExport: it is missing, something else, or cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        if not S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise BadExport(name, "it is no plain file")
    except OSError as error:
        what = "it is a link" if error.errno == ELOOP else error.strerror
        raise BadExport(name, what or "it cannot be read") from None
    return os.fdopen(fd, "rb")


def whole_file(path: Path, limit: int = _MAX_SMALL) -> bytes:
    """Return a small file's bytes.

    Raises:
        BadExport: it is missing, cannot be read, or is larger than `limit`.
    """
    folder = path.parent.name
    name = f"{folder}/{path.name}" if folder == "agreement" or _YEAR.fullmatch(folder) else path.name
    with open_plain(path, name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise BadExport(name, f"it has more than {limit} bytes")
    return data


def lines_of(path: Path, limit: int = _MAX_LINE) -> Iterator[bytes]:
    """Yield the lines of a file of an export without their newline.

    Raises:
        BadExport: it cannot be read, a line is too long, or the last one does not end.
    """
    name = f"{path.parent.name}/{path.name}"
    with open_plain(path, name) as file:
        yield from _lines(file, name, limit)


def _lines(file: BinaryIO, name: str, limit: int) -> Iterator[bytes]:
    number = 0
    while line := file.readline(limit + 1):
        number += 1
        if not line.endswith(b"\n"):
            what = "is too long" if len(line) > limit else "does not end: the file is cut off"
            raise BadExport(f"{name}, line {number}", f"it {what}")
        yield line[:-1]


def read_about(folder: Path) -> About:
    """Return what `export.json` says, compared with the folders that are there."""
    value = _object("export.json", whole_file(folder / "export.json"))
    if type(value.get("v")) is not int or value["v"] != FORMAT:
        raise BadExport("export.json", f"`v` is not {FORMAT}: another version of Lightship made it")
    if set(value) != {"agreement", "lightship", "made", "member", "v", "years"}:
        raise BadExport("export.json", "it needs agreement, lightship, made, member, v and years only")
    texts = [value[name] for name in ("agreement", "member", "made", "lightship")]
    years = value["years"]
    if not all(isinstance(text, str) for text in texts) or not value["agreement"]:
        raise BadExport("export.json", "`agreement`, `member`, `made` and `lightship` must be text")
    if not isinstance(years, list) or not years or not all(type(year) is int for year in years):
        raise BadExport("export.json", "`years` must be a list of years")
    for path in folder.iterdir():
        if path.is_symlink():
            raise BadExport(path.name, "it is a link")
    there = sorted(int(path.name) for path in folder.iterdir() if _YEAR.fullmatch(path.name))
    if years != there:
        raise BadExport("export.json", f"`years` is {years}, but there are folders of {there}")
    return About(value["agreement"], value["member"], tuple(years))


def strangers(folder: Path, about: About) -> Iterator[str]:
    """Yield the names of what does not belong to the export, so that nothing in it is passed over."""
    known = _PART_FILES if about.member else _LOG_FILES
    years = {str(year): known for year in about.years}
    for path in sorted(folder.iterdir()):
        if path.name not in {"agreement", "export.json", "keys", *years}:
            yield path.name
        elif path.name in years and path.is_dir():
            yield from sorted(f"{path.name}/{one.name}" for one in path.iterdir() if one.name not in known)


def read_hub_key(folder: Path) -> bytes:
    """Return the raw public key in `keys`."""
    text = whole_file(folder / "keys").decode(errors="replace").strip()
    public = read_key_text(text)
    if public is None:
        raise BadExport("keys", "it is not `ed25519:` and a public key in base64")
    return public


def read_start(folder: Path, year: int) -> Frontier:
    """Return the tree that the export goes on from; empty for one from the beginning."""
    if not os.path.lexists(folder / "start.json"):
        return Frontier()
    value = _object(f"{year}/start.json", whole_file(folder / "start.json"))
    size, peaks = value.get("size"), value.get("peaks")
    try:
        if type(size) is not int or not isinstance(peaks, list) or set(value) != {"size", "peaks"}:
            raise ValueError("it needs size and peaks only")
        return Frontier(size, tuple(map(_from_hex, peaks)))
    except (ValueError, TypeError) as error:
        raise BadExport(f"{year}/start.json", str(error)) from None


def read_kept(folder: Path, year: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield line, size and signed note of the checkpoints that the hub kept, in order."""
    last = -1
    for number, line in enumerate(lines_of(folder / "checkpoints.ndjson"), 1):
        where = f"{year}/checkpoints.ndjson, line {number}"
        value = _object(where, line)
        if set(value) != {"note", "size"} or type(value["size"]) is not int or type(value["note"]) is not str:
            raise BadExport(where, "it needs note (text) and size (whole number) only")
        if value["size"] <= last:
            raise BadExport(where, "its size does not rise")
        last = value["size"]
        yield number, last, value["note"].encode()


def read_seals(folder: Path, year: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield the seals in order: index of a group's first entry, its size, its signature."""
    last = -1
    for number, line in enumerate(lines_of(folder / "seals"), 1):
        where = f"{year}/seals, line {number}"
        parts = line.decode(errors="replace").split(" ")
        if len(parts) != 3 or not all(
            part.isascii() and part.isdigit() and len(part) < 17 and str(int(part)) == part
            for part in parts[:2]
        ):
            raise BadExport(where, "it is not index, size and signature")
        index, size, signature = int(parts[0]), int(parts[1]), _base64(parts[2])
        if signature is None or len(signature) != 64 or size < 1 or index <= last:
            raise BadExport(where, "its size, its signature or its index cannot be used")
        last = index
        yield index, size, signature


def read_part(folder: Path, year: int) -> Iterator[tuple[int, PartEntry]]:
    """Yield line and entry of a member's part."""
    for number, line in enumerate(lines_of(folder / "part.ndjson"), 1):
        where = f"{year}/part.ndjson, line {number}"
        value = _object(where, line)
        if set(value) != {"index", "leaf", "path", "values"}:
            raise BadExport(where, "it needs index, leaf, path and values only")
        if type(value["index"]) is not int or not isinstance(value["leaf"], str):
            raise BadExport(where, "`index` must be a whole number, `leaf` text")
        leaf = value["leaf"].encode()
        try:
            path = tuple(map(_from_hex, value["path"]))
        except (ValueError, TypeError):
            raise BadExport(where, "`path` is no list of hashes in hex") from None
        yield number, PartEntry(value["index"], leaf, path, _values(where, leaf, value["values"]))


def _values(where: str, leaf: bytes, values: Any) -> tuple[tuple[str, str, bytes, str], ...]:
    said = _object(where, leaf)
    found = []
    try:
        for name, (salt, value) in values.items():
            if name not in {"q", "ip"} or not isinstance(value, str):
                raise ValueError(name)
            found.append((name, str(said.get(name)), _from_hex(salt), value))
    except (AttributeError, ValueError, TypeError):
        raise BadExport(where, "`values` must give salt (hex) and value of q and ip") from None
    return tuple(found)


def read_pins(text: str) -> tuple[str, ...]:
    """Return the ids of the keys in a file: `ed25519:…`, `name+hash+key` or an id in hex, one a line.

    Raises:
        MalformedRequest: a line is none of these, or there is none.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        key = line.split("#")[0].strip()
        if not key:
            continue
        public = read_key_text(key)
        try:
            found.append(key if _KEYID.fullmatch(key) else dsse.key_id(public or parse_key(key).public))
        except BadNote:
            raise MalformedRequest(
                f"Line {number} of the keys is no key",
                why="it is not `ed25519:…`, `name+hash+key` or 64 hex digits",
                todo="Write one key a line, as the hub's steward gives it",
            ) from None
    if not found:
        raise MalformedRequest("There is no key in the file given with --root")
    return tuple(found)


def read_receipts(folder: Path) -> list[KeptReceipt]:
    """Return the receipts in the files of a folder: header values, header lines, or JSON with `receipt`.

    JSON may have `request` too, the id of the request; lines without it, or with an empty one, have none.

    Raises:
        MalformedRequest: a line holds none, or there is none at all; names file and line.
    """
    found: list[KeptReceipt] = []
    left = MAX_RECEIPTS
    for path in sorted(folder.iterdir()) if folder.is_dir() else [folder]:
        data = own_file(path, left)
        left -= len(data)
        found += _receipts_in(data, path.name)
    if not found:
        raise MalformedRequest(f"There is no receipt in {folder}")
    return found


def own_file(path: Path, limit: int = _MAX_SMALL) -> bytes:
    """Return what is in a file that the caller names: a link or a pipe will do, one without end will not.

    Raises:
        MalformedRequest: it cannot be read, is a folder, has more than `limit` bytes, or a pipe stays silent.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise MalformedRequest(f"{path} cannot be read", why=error.strerror or "") from None
    try:
        if S_ISDIR(os.fstat(fd).st_mode):
            raise MalformedRequest(f"{path} is a folder", todo="Name a file")
        data = bytearray()
        while len(data) <= limit:
            if not select([fd], [], [], PATIENCE_S)[0]:
                raise MalformedRequest(f"Nothing comes from {path}", why=f"for {PATIENCE_S} seconds")
            piece = os.read(fd, min(1 << 20, limit + 1 - len(data)))
            if not piece:
                return bytes(data)
            data += piece
    except OSError as error:
        raise MalformedRequest(f"{path} cannot be read", why=error.strerror or "") from None
    finally:
        os.close(fd)
    raise MalformedRequest(f"{path} is too large", why=f"it has more than {limit} bytes")


def _receipts_in(data: bytes, name: str) -> Iterator[KeptReceipt]:
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            text, request = _receipt_text(where, line)
            yield KeptReceipt(where, parse_receipt(text), request)
        except LightshipError as error:
            why = error.why if isinstance(error, BadReceipt) else str(error)
            raise MalformedRequest(f"{where} holds no receipt", why=why) from None


def _receipt_text(where: str, line: bytes) -> tuple[str, str]:
    """Return the text of the receipt in a line and the id of its request, empty where there is none."""
    if line.startswith(b"{"):
        value = _object(where, line)
        text, request = value.get("receipt"), value.get("request", "")
        if not isinstance(request, str):
            raise BadExport(where, "`request` must be text")
        return text if isinstance(text, str) else "", request
    text = line.decode(errors="replace").strip()
    name, colon, rest = text.partition(":")
    return (rest.strip() if colon and name.lower() == HEADER.lower() else text), ""


def _object(where: str, data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadExport(where, f"it is not JSON ({error.msg})") from None
    if not isinstance(value, dict):
        raise BadExport(where, "it is no JSON object")
    if orjson.dumps(value) != data.rstrip(b"\n"):  # another spelling: no name twice, of which one counts
        try:
            decode(data)
        except MalformedRequest as error:
            raise BadExport(where, str(error)) from None
    return value


def _from_hex(text: str) -> bytes:
    raw = bytes.fromhex(text)
    if raw.hex() != text:
        raise ValueError("it is not hex as an export writes it")
    return raw


def _base64(text: str) -> bytes | None:
    try:
        raw = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        return None
    return raw if b64encode(raw).decode() == text else None
