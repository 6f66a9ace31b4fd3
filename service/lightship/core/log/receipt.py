"""Receipts of the access log: what a member holds to prove that its access was left out or changed.

`Audit-Receipt: v1 <index> <leaf hash> <first>:<n>:<path> <signature>`: the events that one commit recorded
have one signature over the log's origin, the index of the first of them, their number and the root over their
leaf hashes; `path` is the inclusion proof of this leaf in that group, hashes one after the other. All base64.
What is signed begins with a line of its own, so that it is no checkpoint and no DSSE envelope. The answer's
header does not name the log: it is that of the agreement asked for, of the year of the answer.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from lightship.core.errors import CallerError
from lightship.core.log.merkle import HASH_BYTES, root_from_inclusion
from lightship.core.log.notes import Sign, Verify

HEADER = "Audit-Receipt"
CONTEXT = "lightship audit group v1"
SIGNATURE_BYTES = 64
UNVOUCHED = "/unvouched"
"""Ends the origin of a checkpoint over entries that are not all what the hub signed at their time: so
it can never be put among those that the hub kept."""
MAX_INDEX = (1 << 53) - 1
_MAX_PATH = 53


class BadReceipt(CallerError):
    """It is no receipt; `why` names the field."""

    code = "bad-receipt"


def audit_origin(host: str, scope: str, year: int) -> str:
    """Return the origin of the access log of an agreement (or of `hub`) and a year."""
    return f"{host}/audit/{scope}/{year}"


def group_message(origin: str, first: int, size: int, root: bytes) -> bytes:
    """Return what the signature of a group is over."""
    return f"{CONTEXT}\n{origin}\n{first}\n{size}\n{_encode(root)}\n".encode()


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt as it is read. Nothing in it has been verified."""

    index: int
    leaf: bytes
    first: int
    size: int
    path: tuple[bytes, ...]
    signature: bytes

    def header(self) -> bytes:
        """Return the value of the header."""
        proof = f"{self.first}:{self.size}:{_encode(b''.join(self.path))}"
        return f"v1 {self.index} {_encode(self.leaf)} {proof} {_encode(self.signature)}".encode()


@dataclass(frozen=True, slots=True)
class KeptReceipt:
    """A receipt that was kept: where it was read, and the id of its request, empty if that is not known."""

    where: str
    receipt: Receipt
    request: str = ""


class Group:
    """The events of one log that were committed together, sealed by one signature."""

    __slots__ = ("_headers", "_rows", "first", "signature")

    def __init__(self, origin: str, first: int, hashes: Sequence[bytes], sign: Sign) -> None:
        self.first = first
        self._rows = [list(hashes)]
        while len(row := self._rows[-1]) > 1:
            above = [sha256(b"\1" + row[at] + row[at + 1]).digest() for at in range(0, len(row) - 1, 2)]
            self._rows.append([*above, row[-1]] if len(row) & 1 else above)
        self.signature = sign(group_message(origin, first, len(hashes), self._rows[-1][0]))
        self._headers: list[bytes] = []

    def __len__(self) -> int:
        return len(self._rows[0])

    @property
    def root(self) -> bytes:
        """The root over the leaf hashes of the group."""
        return self._rows[-1][0]

    def receipt(self, place: int) -> Receipt:
        """Return the receipt of the event at a place of the group, from 0."""
        joined = self._paths()[place]
        path = tuple(joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES))
        leaf = self._rows[0][place]
        return Receipt(self.first + place, leaf, self.first, len(self), path, self.signature)

    def header(self, place: int) -> bytes:
        """Return `receipt(place).header()`; whoever asks for one will soon be followed by the others."""
        if not self._headers:
            proof, tail = f"{self.first}:{len(self)}:", _encode(self.signature)
            proved = zip(self._rows[0], self._paths(), strict=True)
            self._headers = [
                f"v1 {index} {_encode(leaf)} {proof}{_encode(path)} {tail}".encode()
                for index, (leaf, path) in enumerate(proved, self.first)
            ]
        return self._headers[place]

    def _paths(self) -> list[bytes]:
        """Return the inclusion proof of each leaf, hashes one after the other."""
        paths = [b""]
        for row in reversed(self._rows[:-1]):
            above, paths = paths, []
            for left, right, path in zip(row[::2], row[1::2], above, strict=False):
                paths += (right + path, left + path)
            if len(row) & 1:
                paths.append(above[-1])
        return paths


class Sealed(NamedTuple):
    """Where a recorded event lies; `header` makes its receipt when it is asked for."""

    group: Group
    place: int

    def header(self) -> bytes:
        """Return the value of the header `Audit-Receipt`."""
        return self.group.header(self.place)

    def receipt(self) -> Receipt:
        """Return the receipt."""
        return self.group.receipt(self.place)


def parse_receipt(text: str) -> Receipt:
    """Return the receipt in a header's value, unverified.

    Raises:
        BadReceipt: it is none; names the field.
    """
    parts = text.strip().split(" ")
    if len(parts) != 5 or parts[0] != "v1":
        raise _bad("it must be `v1`, index, leaf hash, proof and signature")
    index, leaf = _number(parts[1], "index"), _bytes(parts[2], "leaf hash", HASH_BYTES)
    proof = parts[3].split(":")
    if len(proof) != 3:
        raise _bad("its proof must be first:size:path")
    first, size = _number(proof[0], "proof (first)"), _number(proof[1], "proof (size)")
    if not first <= index < first + size:
        raise _bad("its index lies outside its group")
    joined = _bytes(proof[2], "proof (path)")
    if len(joined) % HASH_BYTES or len(joined) > _MAX_PATH * HASH_BYTES:
        raise _bad("its proof (path) does not consist of hashes")
    path = tuple(joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES))
    return Receipt(index, leaf, first, size, path, _bytes(parts[4], "signature", SIGNATURE_BYTES))


def verify_receipt(receipt: Receipt, origin: str, public: bytes, verify: Verify) -> bool:
    """True if the key has signed that this leaf is at this index of the log; never raises."""
    place = receipt.index - receipt.first
    root = root_from_inclusion(receipt.leaf, place, receipt.size, receipt.path)
    if root is None:
        return False
    return verify(public, receipt.signature, group_message(origin, receipt.first, receipt.size, root))


def _bad(why: str) -> BadReceipt:
    return BadReceipt("The receipt cannot be used", why=why)


def _number(text: str, field: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 16 or text != str(int(text)):
        raise _bad(f"its {field} is no whole number")
    if (number := int(text)) > MAX_INDEX:
        raise _bad(f"its {field} is too large")
    return number


def _encode(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).decode()


def _bytes(text: str, field: str, length: int | None = None) -> bytes:
    try:
        raw = b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, Base64Error, ValueError):
        raise _bad(f"its {field} is no base64") from None
    if _encode(raw) != text or (length is not None and len(raw) != length):
        raise _bad(f"its {field} is not {length or 'canonical base64 of'} bytes")
    return raw
