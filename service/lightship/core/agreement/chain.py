"""The signed chain of an agreement: all trust rules in one pure class.

Root rules of the TUF specification, section 5.3: a version is exactly one more than the last, names the
last payload by its SHA-256, and is valid under the thresholds of the last version *and* its own; each key
counts once and each party once. Version 1 vouches for itself, so a reader pins its key or its digest.

Never reads a clock, a store or an envelope's keyid as proof; the signature check is passed in.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightship.core import dsse
from lightship.core.errors import CallerError

PAYLOAD_TYPE = "application/vnd.lightship.agreement.v1+json"
HUB_PARTY = "hub"
"""The party that the hub's own key stands for, while the steward alone signs."""
KEY_PREFIX = "ed25519:"

Verify = Callable[[bytes, bytes, bytes], bool]
"""(raw public key, signature, message) -> does it hold."""


class BadChain(CallerError):
    """A version does not follow from the one before, or too few of the right keys signed it."""

    code = "bad-chain"


@dataclass(frozen=True, slots=True)
class RootKey:
    """A key that may sign an agreement, for one party."""

    public: bytes
    party: str


@dataclass(frozen=True, slots=True)
class Root:
    """Who signs: `threshold` distinct parties, each with a key of its own."""

    threshold: int
    keys: Mapping[str, RootKey]

    @property
    def parties(self) -> frozenset[str]:
        """The parties that have a key."""
        return frozenset(key.party for key in self.keys.values())

    @property
    def text(self) -> str:
        """Name the authority in words, for status pages, exports and the verifier's first line."""
        if self.threshold == 1 and self.parties == {HUB_PARTY}:
            return "steward alone (1 of 1)"
        return f"{self.threshold} of {len(self.parties)} parties"


@dataclass(frozen=True, slots=True)
class Link:
    """One verified version."""

    version: int
    digest: str
    payload: bytes
    content: dict[str, Any]
    root: Root


class Chain:
    """Verified versions of one agreement, from version 1 on.

    Args:
        agreement: the id that every payload must carry.
        verify: the signature check.
        pinned_key: key id that version 1 must name and be signed by; empty takes any.
        hub: SHA-256 that version 1's payload must have; empty takes any.
    """

    def __init__(self, agreement: str, verify: Verify, *, pinned_key: str = "", hub: str = "") -> None:
        self.agreement = agreement
        self._verify = verify
        self._pinned_key = pinned_key
        self._pinned_hub = hub
        self._links: list[Link] = []
        self._hub = ""

    @property
    def last(self) -> Link | None:
        """The newest verified version, None before the first."""
        return self._links[-1] if self._links else None

    @property
    def links(self) -> Sequence[Link]:
        """All verified versions, oldest first."""
        return self._links

    @property
    def hub(self) -> str:
        """The digest of version 1's payload, which names this hub for ever; empty before it."""
        return self._hub

    def append(self, envelope: bytes) -> Link:
        """Verify the next version and make it the last one.

        Raises:
            BadEnvelope, BadChain: it is refused; the chain is as it was.
        """
        opened = dsse.decode(envelope, payload_type=PAYLOAD_TYPE)
        content = dsse.parse_canonical(opened.payload)
        link = Link(
            version=_number(content.get("version")),
            digest=hashlib.sha256(opened.payload).hexdigest(),
            payload=opened.payload,
            content=content,
            root=read_root(content.get("root")),
        )
        self._follows(link)
        last = self.last
        for root in (last.root, link.root) if last else (link.root,):
            _enough(root, opened, self._verify)
        if last is None:
            self._pins(link, opened)
            self._hub = link.digest
        self._links.append(link)
        return link

    def _follows(self, link: Link) -> None:
        content, last = link.content, self.last
        if content.get("id") != self.agreement:
            raise BadChain("This is another agreement's version", why=f"it is not `{self.agreement}`")
        expected = last.version + 1 if last else 1
        if link.version != expected:
            raise BadChain(
                f"Version {link.version} does not follow", why=f"version {expected} must be the next one"
            )
        if content.get("prev") != (last.digest if last else ""):
            raise BadChain(
                f"Version {link.version} does not follow", why="`prev` names another version before it"
            )

    def _pins(self, link: Link, opened: dsse.Envelope) -> None:
        if self._pinned_hub and link.digest != self._pinned_hub:
            raise BadChain("The first version is not the pinned one", why="its digest differs")
        pinned = link.root.keys.get(self._pinned_key)
        if self._pinned_key and (
            pinned is None
            or not any(self._verify(pinned.public, one.sig, opened.signed_bytes) for one in opened.signatures)
        ):
            raise BadChain("The first version is not this hub's", why="the pinned key did not sign it")


def _enough(root: Root, opened: dsse.Envelope, verify: Verify) -> None:
    """Count the distinct parties with a signature that holds; a key has one party, so it counts once too."""
    message = opened.signed_bytes
    parties: set[str] = set()
    for one in opened.signatures:
        key = root.keys.get(one.keyid)
        if key is not None and key.party not in parties and verify(key.public, one.sig, message):
            parties.add(key.party)
    if len(parties) < root.threshold:
        raise BadChain(
            "Too few valid signatures", why=f"{len(parties)} of {root.threshold} needed parties signed"
        )


def read_root(value: Any) -> Root:
    """Return the `root` member of a payload.

    Raises:
        BadChain: other members, a threshold nobody can reach, a key id that is not its key's.
    """
    if not isinstance(value, dict) or set(value) != {"threshold", "keys", "distinct_parties"}:
        raise BadChain("The root cannot be used", why="it needs threshold, keys and distinct_parties only")
    if value["distinct_parties"] is not True:
        raise BadChain("The root cannot be used", why="distinct_parties must be true")
    listed = value["keys"]
    if not isinstance(listed, dict) or not listed:
        raise BadChain("The root cannot be used", why="it names no keys")
    keys = {}
    for keyid, one in listed.items():
        if not isinstance(one, dict) or set(one) != {"alg", "key", "party"} or one["alg"] != "ed25519":
            raise BadChain("The root cannot be used", why="a key needs alg (ed25519), key and party only")
        public = _public(one["key"])
        if public is None or dsse.key_id(public) != keyid or not isinstance(one["party"], str):
            raise BadChain("The root cannot be used", why="a key does not have the id it is listed under")
        keys[keyid] = RootKey(public, one["party"])
    root = Root(_number(value["threshold"]), keys)
    if root.threshold > len(root.parties):
        raise BadChain("The root cannot be used", why="its threshold is larger than its number of parties")
    return root


def make_root(threshold: int, keys: Mapping[str, str]) -> dict[str, Any]:
    """Return the `root` member for party -> key text (`ed25519:…`), which must be well formed."""
    listed = {}
    for party, text in keys.items():
        public = read_key_text(text)
        if public is None:
            raise BadChain("The root cannot be used", why=f"the key of `{party}` is not a public key")
        listed[dsse.key_id(public)] = {"alg": "ed25519", "key": b64encode(public).decode(), "party": party}
    return {"threshold": threshold, "keys": listed, "distinct_parties": True}


def key_text(public: bytes) -> str:
    """Return a raw public key as agreements write it: `ed25519:` and base64."""
    return KEY_PREFIX + b64encode(public).decode()


def read_key_text(text: str) -> bytes | None:
    """Return the raw key of such a text, None if it is not one."""
    return _public(text.removeprefix(KEY_PREFIX)) if text.startswith(KEY_PREFIX) else None


def _public(text: Any) -> bytes | None:
    try:
        raw = b64decode(text.encode("ascii"), validate=True)
    except (AttributeError, UnicodeEncodeError, Base64Error, ValueError):
        return None
    return raw if len(raw) == 32 and b64encode(raw).decode() == text else None


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1_000_000:
        raise BadChain("The agreement cannot be used", why="a version or threshold is not a whole number ≥ 1")
    return value
