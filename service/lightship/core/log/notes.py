"""Signed notes and checkpoints: C2SP signed-note, tlog-checkpoint, tlog-cosignature.

A note is text and signature lines; a checkpoint is a note of three lines: origin, size, root. Of the kinds
of signature only two are known: Ed25519 (0x01, over the text) and the timestamped cosignature of a witness
(0x04, over `cosignature/v1`, the time and the text). Lines of other keys are kept and never believed; a line
of a known key that does not hold spoils the whole note. Text that has not been verified must not be used.
Signing and verifying are given as functions: there is no cryptography here but the SHA-256 of a key's name.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from lightship.core.errors import CallerError
from lightship.core.log.merkle import HASH_BYTES

ED25519 = 0x01
COSIGNATURE = 0x04
MAX_NOTE = 64 * 1024
MAX_SIGNATURES = 64
"""Sixteen at least must be taken (C2SP signed-note)."""
MAX_SIZE = (1 << 63) - 1

Verify = Callable[[bytes, bytes, bytes], bool]
"""(raw public key, signature, message) -> whether it holds; never raises."""
Sign = Callable[[bytes], bytes]
"""message -> 64-byte Ed25519 signature."""

_DASH = "\u2014 "


class BadNote(CallerError):
    """It is no signed note, no checkpoint, or not signed as it must be; `why` names the line."""

    code = "bad-note"


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A key that a verifier knows: its name, its kind and the 32 raw bytes of an Ed25519 public key."""

    name: str
    public: bytes
    kind: int = ED25519

    @property
    def hash(self) -> bytes:
        """The four bytes that name the key in a signature line."""
        return key_hash(self.name, self.kind, self.public)

    def to_text(self) -> str:
        """Return it as `name+hash+key`, the form that verifiers are configured with."""
        return f"{self.name}+{self.hash.hex()}+{_encode(bytes([self.kind]) + self.public)}"


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line, unverified. `blob` is what follows the four bytes of the key."""

    name: str
    key: bytes
    blob: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note. Nothing in it has been verified."""

    text: str
    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """A key whose signature holds; `time` is that of a cosignature, in seconds, else 0."""

    key: NoteKey
    time: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log commits to: which log, how many leaves, their root."""

    origin: str
    size: int
    root: bytes

    def to_text(self) -> str:
        """Return the three lines."""
        return f"{self.origin}\n{self.size}\n{_encode(self.root)}\n"


def key_hash(name: str, kind: int, public: bytes) -> bytes:
    """Return SHA-256(name || 0x0A || kind || public key)[:4]."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def parse_key(text: str) -> NoteKey:
    """Return the key in `name+hash+key`.

    Raises:
        BadNote: it is no such text, its hash is not its own, or it is of another kind.
    """
    parts = text.split("+", 2)
    if len(parts) != 3 or not _is_name(parts[0]):
        raise BadNote("The key cannot be used", why="it is not name+hash+key")
    name, digest, key = parts[0], parts[1], _decode(parts[2])
    if key is None or len(key) != 1 + HASH_BYTES or key[0] not in (ED25519, COSIGNATURE):
        raise BadNote("The key cannot be used", why="it is no Ed25519 key of kind 0x01 or 0x04 in base64")
    found = NoteKey(name, key[1:], key[0])
    if digest != found.hash.hex():
        raise BadNote("The key cannot be used", why=f"its hash is {found.hash.hex()}, not what it says")
    return found


def parse_note(data: bytes) -> Note:
    """Return the note in `data`, unverified.

    Raises:
        BadNote: it is none.
    """
    if len(data) > MAX_NOTE:
        raise BadNote("The note is too large", why=f"more than {MAX_NOTE} bytes")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadNote("The note cannot be read", why=f"byte {error.start} is not UTF-8") from None
    if any(sign < " " and sign != "\n" for sign in whole):
        raise BadNote("The note cannot be read", why="it holds a control character")
    head, blank, tail = whole.rpartition("\n\n")
    if not blank or not head or not tail.endswith("\n"):
        raise BadNote("The note cannot be read", why="text, an empty line and signature lines must follow")
    first = head.count("\n") + 3
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise BadNote("The note cannot be read", why=f"it has more than {MAX_SIGNATURES} signatures")
    return Note(f"{head}\n", tuple(_parse_line(line, first + at) for at, line in enumerate(lines)))


def format_note(text: str, signatures: Sequence[NoteSignature]) -> bytes:
    """Return the bytes of a note; `text` ends with a newline.

    Raises:
        ValueError: there would be no note in them.
    """
    lines = "".join(f"{_DASH}{one.name} {_encode(one.key + one.blob)}\n" for one in signatures)
    if not text.endswith("\n") or not lines:
        raise ValueError("a note is text that ends its line, and signatures")
    return f"{text}\n{lines}".encode()


def sign_note(text: str, key: NoteKey, sign: Sign, time: int = 0) -> NoteSignature:
    """Return the signature line of `key` over a text; `time` (seconds) is needed for a cosignature."""
    if key.kind == COSIGNATURE:
        blob = time.to_bytes(8, "big") + sign(cosigned(text, time))
    else:
        blob = sign(text.encode())
    return NoteSignature(key.name, key.hash, blob)


def cosigned(text: str, time: int) -> bytes:
    """Return what a witness signs (tlog-cosignature)."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def verify_note(note: Note, keys: Sequence[NoteKey], verify: Verify) -> tuple[Verified, ...]:
    """Return the keys whose signatures hold, each once, in the order of their lines.

    Raises:
        BadNote: none of these keys has signed, or the signature of one does not hold.
    """
    known = {(key.name, key.hash): key for key in keys}
    found: dict[tuple[str, bytes], Verified] = {}
    for number, one in enumerate(note.signatures, 1):
        key = known.get((one.name, one.key))
        if key is None:
            continue
        held = _verified(note.text, key, one.blob, verify)
        if held is None:
            raise BadNote(
                "The signature does not hold",
                why=f"signature {number} is not that of {one.name} over the text",
            )
        found.setdefault((one.name, one.key), held)
    if not found:
        names = ", ".join(sorted({one.name for one in note.signatures}))
        raise BadNote("The note is not signed by a known key", why=f"it is signed by {names}")
    return tuple(found.values())


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint in a note's text; further lines (extensions) are ignored.

    Raises:
        BadNote: it is none; names the line.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1]:
        raise BadNote("The checkpoint cannot be used", why="it has no three lines")
    origin, size, root = lines[:3]
    if not origin:
        raise BadNote("The checkpoint cannot be used", why="line 1 (origin) is empty")
    if not size.isascii() or not size.isdigit() or size != str(int(size[:20])) or int(size) > MAX_SIZE:
        raise BadNote("The checkpoint cannot be used", why="line 2 is no size in decimal")
    digest = _decode(root)
    if digest is None or len(digest) != HASH_BYTES:
        raise BadNote("The checkpoint cannot be used", why="line 3 is no root hash in base64")
    return Checkpoint(origin, int(size), digest)


def _parse_line(line: str, number: int) -> NoteSignature:
    name, gap, code = line.removeprefix(_DASH).partition(" ")
    blob = _decode(code)
    if not line.startswith(_DASH) or not gap or not _is_name(name) or blob is None or len(blob) <= 4:
        raise BadNote("The note cannot be read", why=f"line {number} is no signature line")
    return NoteSignature(name, blob[:4], blob[4:])


def _verified(text: str, key: NoteKey, blob: bytes, verify: Verify) -> Verified | None:
    if key.kind == ED25519:
        return Verified(key) if len(blob) == 64 and verify(key.public, blob, text.encode()) else None
    time = int.from_bytes(blob[:8], "big")
    if len(blob) != 72 or not verify(key.public, blob[8:], cosigned(text, time)):
        return None
    return Verified(key, time)


def _is_name(name: str) -> bool:
    """Not empty, no plus, no space of any kind."""
    return bool(name) and "+" not in name and not any(sign.isspace() for sign in name)


def _encode(raw: bytes) -> str:
    return b64encode(raw).decode()


def _decode(text: str) -> bytes | None:
    """Return the bytes of standard base64 in its one canonical spelling, else None."""
    try:
        raw = b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, Base64Error, ValueError):
        return None
    return raw if b64encode(raw).decode() == text else None
