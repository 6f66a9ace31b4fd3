"""What the access log as a log consists of: its leaves read strictly, and the rule of their times.

A leaf is RFC 8785 JSON of `{act, agr, at, col, cred, first, ip, last, n, q, req, st, who, why}`. Its `at` is
when it was handled, so the leaves of a log stand nearly in order: one may be recorded up to LATE after newer
ones. What is recorded later (events of before a crash, a clock that was put right) comes after a leaf
`log-late` that says how many follow, so that nothing can be dated back unseen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import orjson

from lightship.core.errors import CallerError
from lightship.core.time import instant_micros, parse_instant

LATE = 15 * 60 * 1_000_000
"""Microseconds by which an event may be older than the newest one before it."""
MAX_LEAF = 65_535
"""Bytes; the limit of an entry in tlog-tiles."""

LOG = "log"
"""What stands as `cred` in a leaf that the log writes by itself."""
CONTINUED = "log-continued"
"""First leaf where there is a log of an earlier year: `why` is that log's signed checkpoint, `n` its size."""
LOG_LATE = "log-late"
"""The next `n` leaves are recorded late."""

_TEXT = rb'(?:[^"\\\x00-\x1f]|\\["\\bfnrt]|\\u00(?:0[0-7bef]|1[0-9a-f]))*'
_TIME = rb"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z"
_DIGEST = rb"[0-9a-f]{64}"
_NUMBER = rb"(?:0|[1-9]\d{0,15})"
_FORMS = {
    "act": (b'"(%s)"', _TEXT, "text"),
    "agr": (b'"(%s)"', _TEXT, "text"),
    "at": (b'"(%s)"', _TIME, "a time in UTC with six digits"),
    "col": (b'"%s"', _TEXT, "text"),
    "cred": (b'"(%s)"', _TEXT, "text"),
    "first": (b'"(?:%s)?"', _TIME, "a time in UTC with six digits, or empty"),
    "ip": (b'"%s"', _DIGEST, "a SHA-256 in hex"),
    "last": (b'"(?:%s)?"', _TIME, "a time in UTC with six digits, or empty"),
    "n": (b"(%s)", _NUMBER, "a whole number"),
    "q": (b'"%s"', _DIGEST, "a SHA-256 in hex"),
    "req": (b'"(%s)"', _TEXT, "text"),
    "st": (b"%s", _NUMBER, "a whole number"),
    "who": (b'"(%s)"', _TEXT, "text"),
    "why": (b'"(%s)"', _TEXT, "text"),
}
_LEAF = re.compile(
    rb"\{"
    + b",".join(b'"%s":' % name.encode() + form % part for name, (form, part, _) in _FORMS.items())
    + rb"\}"
)


class BadLeaf(CallerError):
    """It is no leaf of an access log; `why` names the member."""

    code = "bad-leaf"


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a verifier looks at in a leaf. `at` is as written: it orders as text."""

    act: str
    agr: str
    at: str
    cred: str
    n: int
    req: str
    who: str
    why: str


def read_leaf(data: bytes) -> Leaf:
    """Return what a leaf says; its bytes are taken only in their one canonical form.

    Raises:
        BadLeaf: they are not such a leaf.
    """
    match = _LEAF.fullmatch(data)
    if match is None or len(data) > MAX_LEAF or not _is_utf8(data):
        raise BadLeaf("This is no entry of an access log", why=_what_is_wrong(data))
    act, agr, at, cred, n, req, who, why = match.groups()
    if not _is_day(at[:10]):
        raise BadLeaf("This is no entry of an access log", why="`at` is a day that does not exist")
    texts = [_plain(one) for one in (act, agr, cred, req, who, why)]
    return Leaf(texts[0], texts[1], at.decode(), texts[2], int(n), *texts[3:])


def micros(at: str) -> int:
    """Return the time of a leaf that was read, in microseconds."""
    return instant_micros(parse_instant(at))


@dataclass(slots=True)
class TimeOrder:
    """Whether leaves of a log, in order, keep to the rule of times. `late` counts those that came late."""

    newest: str = ""
    late: int = 0
    _announced: int = 0

    def take(self, leaf: Leaf) -> str:
        """Return what is wrong with the time of the next leaf, empty if nothing is."""
        announced, self._announced = self._announced, max(self._announced - 1, 0)
        if leaf.at >= self.newest:
            self.newest = leaf.at
        elif micros(leaf.at) < micros(self.newest) - LATE:
            if not announced:
                return f"it is dated {leaf.at}, after entries of {self.newest}, and was not announced as late"
            self.late += 1
        if leaf.act == LOG_LATE and leaf.cred == LOG:
            self._announced = leaf.n
        return ""


def _plain(raw: bytes) -> str:
    text: str = orjson.loads(b'"%s"' % raw) if b"\\" in raw else raw.decode()
    return text


def _is_utf8(data: bytes) -> bool:
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


@lru_cache(maxsize=1024)
def _is_day(text: bytes) -> bool:
    try:
        date.fromisoformat(text.decode())
    except ValueError:
        return False
    return True


def _what_is_wrong(data: bytes) -> str:
    if len(data) > MAX_LEAF:
        return f"it has more than {MAX_LEAF} bytes"
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return f"it is not JSON in UTF-8 ({error.msg} at character {error.pos})"
    if not isinstance(value, dict):
        return "it is no JSON object"
    if missing := [name for name in _FORMS if name not in value]:
        return f"`{missing[0]}` is missing"
    if further := [name for name in value if name not in _FORMS]:
        return f"it has a member `{further[0]}` that no entry has"
    for name, (form, part, said) in _FORMS.items():
        if re.fullmatch(form % part, orjson.dumps(value[name])) is None:
            return f"`{name}` is not {said}"
    return "it is not in canonical form (RFC 8785)"
