"""The canonical bytes of an access event: what becomes a leaf of the verifiable access log.

RFC 8785 JSON of `{act, agr, at, col, cred, first, ip, last, n, q, req, st, who, why}`. `q` and `ip` in it are
hex SHA-256(16-byte salt || UTF-8 value), so that a value can be erased without changing a byte here; times
are RFC 3339 with six digits, empty where there is none. Never reads a clock and makes no salt itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

import orjson

from lightship.core.audit import AccessEvent
from lightship.core.time import Micros, format_stamp, instant_micros, parse_instant

SALT_BYTES = 16
KEYS = frozenset(
    {"act", "agr", "at", "col", "cred", "first", "ip", "last", "n", "q", "req", "st", "who", "why"}
)


class Salts(NamedTuple):
    """The two salts of one event, 16 random bytes each."""

    q: bytes
    ip: bytes


def salted(salt: bytes, value: str) -> str:
    """Return the hex digest that stands for `value` in a leaf."""
    return sha256(salt + (value if value.isascii() else clean(value)).encode()).hexdigest()


def clean(text: str) -> str:
    """Return `text` with lone surrogates replaced: what a hostile request line may hold, JSON cannot."""
    return text if text.isascii() else text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def to_leaf(event: AccessEvent, salts: tuple[bytes, bytes]) -> bytes:
    """Return the canonical bytes of an event, given the salts of `q` and `ip` (`Salts`)."""
    e, req = event, event.req
    begin, to_ip, to_q, to_req, end = _around(
        e.act, e.agr, e.col, e.cred, e.first, e.last, e.n, e.st, e.who, e.why
    )
    at, ip, q = _stamp(e.at), salted(salts[1], e.ip), salted(salts[0], e.q)
    return f"{begin}{at}{to_ip}{ip}{to_q}{q}{to_req}{req if req.isalnum() else _text(req)}{end}".encode()


@lru_cache(maxsize=1024)
def _around(
    act: str, agr: str, col: str, cred: str, first: int, last: int, n: int, st: int, who: str, why: str
) -> tuple[str, str, str, str, str]:
    """Return what stands around `at`, `ip`, `q` and `req` in a leaf.

    The rest is the same whenever the same asks for the same, as pollers do.
    """
    before = {"act": clean(act), "agr": clean(agr)}
    middle = {"col": clean(col), "cred": clean(cred), "first": _stamp(first) if first else ""}
    # Equal to RFC 8785 here: ASCII names in order, whole numbers below 2^53, no floats.
    return (
        f'{{{_members(before)},"at":"',
        f'",{_members(middle)},"ip":"',
        f'",{_members({"last": _stamp(last) if last else "", "n": n})},"q":"',
        '","req":"',
        f'",{_members({"st": st, "who": clean(who), "why": clean(why)})}}}',
    )


def _members(members: Mapping[str, str | int]) -> str:
    return orjson.dumps(members).decode()[1:-1]


def _text(text: str) -> str:
    """Return what stands between the quotes of a JSON string."""
    return orjson.dumps(clean(text)).decode()[1:-1]


def from_leaf(leaf: bytes, q: str | None, ip: str | None) -> AccessEvent:
    """Return the event of a leaf; an erased `q` or `ip` (None) is empty in it.

    Raises:
        ValueError: the bytes are not such a leaf.
    """
    value = orjson.loads(leaf)
    if not isinstance(value, dict) or value.keys() != KEYS:
        raise ValueError("not an access event")
    texts = {name: value[name] for name in ("act", "agr", "col", "cred", "req", "who", "why")}
    digests = (value["q"], value["ip"])
    numbers = {name: value[name] for name in ("n", "st")}
    if not all(isinstance(text, str) for text in (*texts.values(), *digests)):
        raise ValueError("a member that should be text is not")
    if not all(type(number) is int for number in numbers.values()):
        raise ValueError("a member that should be a number is not")
    first, last = _micros(value["first"]), _micros(value["last"])
    return AccessEvent(
        **texts,
        **numbers,
        at=_micros(value["at"]),
        first=first,
        last=last,
        q=q or "",
        ip=ip or "",
        q_digest=value["q"],
        ip_digest=value["ip"],
    )


def _stamp(micros: int) -> str:
    return f"{_second(micros // 1_000_000)}{micros % 1_000_000:06d}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return format_stamp(seconds * 1_000_000)[:20]  # up to and with the point: events share their second


def _micros(text: object) -> Micros:
    if not isinstance(text, str):
        raise ValueError("a time that is not text")
    return instant_micros(parse_instant(text)) if text else Micros(0)
