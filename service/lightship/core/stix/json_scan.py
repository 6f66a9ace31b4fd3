"""A slow, iterative JSON scanner that says exactly where a text goes wrong (RFC 8259, RFC 7493).

It runs only after the fast decoder has met something that it does not take. It never recurses, never converts
a number, and its work grows linearly with the text. It reads text that was decoded from UTF-8, so it never
meets a surrogate other than as an escape.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

MAX_DEPTH = 64
"""Arrays and objects inside each other that one item may have, itself included."""
MAX_POINTER = 240
"""Characters of a JSON pointer that a message shows."""
MAX_INTEGER = (1 << 53) - 1
"""The greatest integer that every JSON implementation keeps (RFC 7493 section 2.2)."""
LEAST_EXPONENT = 1e21
"""From here on JCS writes an exponent; a whole number below it becomes an integer, however it was sent."""

_STRING = r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"'
_NUMBER = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
_WORD = r"(?:true|false|null)"
_TOKEN = re.compile(
    rf"[ \t\n\r]*+(?:([\[{{\]}},:])|({_STRING})|(-?Infinity|NaN)|({_NUMBER})(?![0-9])|{_WORD})", re.ASCII
)
_SPACE = re.compile(r"[ \t\n\r]*+")
# Runs that are swallowed whole once an item is known to be bad and only its end is looked for.
_GAP = r"[ \t\n\r]*+"
_SCALAR = rf"(?:{_STRING}|-?Infinity|NaN|{_NUMBER}|{_WORD}|\[\]|\{{\}})"
_ELEMENTS = re.compile(rf"(?:{_GAP}{_SCALAR}{_GAP},)*+", re.ASCII)
_MEMBERS = re.compile(rf"(?:{_GAP}{_STRING}{_GAP}:{_GAP}{_SCALAR}{_GAP},)*+", re.ASCII)
# A run of array elements that cannot hold a flaw, so that long arrays cost little before one is found.
_PLAIN_STRING = re.compile(r'"[^"\\\x00-\x1f]*+"')
_HARMLESS = re.compile(
    rf"(?:{_GAP}(?:{_PLAIN_STRING.pattern}|-?(?:0|[1-9][0-9]{{0,14}}+)(?:\.[0-9]{{1,17}}+)?|{_WORD}){_GAP},)*+",
    re.ASCII,
)
_OPENINGS = re.compile(rf"(?:[ \t\n\r]*+(?:\[|\{{[ \t\n\r]*+{_STRING}[ \t\n\r]*+:))*+")
_NOT_BRACKETS = re.compile(rf"{_STRING}|[ \t\n\r:]++")
_CLOSINGS = re.compile(r"(?:[ \t\n\r]*+[\]}])*+")
_CLOSING = re.compile(r"[\]}]")
_PAIRS = str.maketrans("[{", "]}")
_SURROGATE = re.compile(
    r"(?:\\\\|\\[^u]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(\\u[dD][89a-fA-F])"
)
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")


class Flaw(StrEnum):
    """What a text can hold that is JSON by its grammar but that Lightship does not take."""

    DUPLICATE = "a member name appears twice in one object"
    CONSTANT = "NaN and Infinity are not JSON"
    INFINITE = "the number is too large for a double"
    INTEGER = "the integer is beyond 2^53-1 and would be changed by other programs"
    SURROGATE = "a surrogate escape without its other half is no character"
    DEPTH = f"more than {MAX_DEPTH} arrays and objects lie inside each other"


@dataclass(frozen=True, slots=True)
class Finding:
    """A flaw at the character `index` of the text, inside the value that `pointer` names (RFC 6901)."""

    flaw: Flaw
    index: int
    pointer: str


class Broken(ValueError):
    """The text is no JSON at the character `index`; `pointer` names the value it lies in."""

    def __init__(self, index: int, expected: str, pointer: str) -> None:
        super().__init__(f"expected {expected}")
        self.index = index
        self.expected = expected
        self.pointer = pointer


def skip_space(text: str, at: int) -> int:
    """Return the index of the first character from `at` that is no JSON whitespace."""
    match = _SPACE.match(text, at)
    return match.end() if match else at


def scan(text: str, at: int, base: str, *, to_end: bool) -> tuple[Finding | None, int]:
    """Walk the one value that begins at `at` and return its first flaw and the index behind it.

    Args:
        text: the whole body.
        at: index of the value's first character (whitespace before it is skipped).
        base: JSON pointer of the value, the start of every pointer that is returned.
        to_end: go on to the end of the value after a flaw; False stops at it (the index is then the flaw's).

    Raises:
        Broken: the grammar of RFC 8259 does not hold.
    """
    return _Walk(text, base, to_end).run(at)


class _Walk:
    """The state of one scan: open containers, and for the first 64 of them the way there."""

    def __init__(self, text: str, base: str, to_end: bool) -> None:
        self.text = text
        self.base = base
        self.to_end = to_end
        self.kinds = bytearray()
        self.steps: list[str | int] = []
        self.seen: list[set[str]] = []
        self.finding: Finding | None = None

    def run(self, at: int) -> tuple[Finding | None, int]:
        text, kinds = self.text, self.kinds
        wants = "value"  # value, first (value or ]), name, first-name (name or }), comma
        while True:
            if self.finding is not None:
                if not self.to_end:
                    return self.finding, self.finding.index
                at, wants = self._hurry(at, wants)
                if wants == "comma" and not kinds:
                    return self.finding, at
            elif wants == "value" and kinds and kinds[-1] == 91:
                at = self._skip_harmless(at)
            match = _TOKEN.match(text, at)
            if match is None:
                raise self._broken(at, wants)
            at = match.end()
            mark = match.group(1)
            if wants in ("name", "first-name"):
                if mark == "}" and wants == "first-name":
                    wants = self._close()
                elif match.group(2) is None:
                    raise self._broken(match.start(), wants)
                else:
                    at = self._name(match)
                    wants = "value"
            elif wants == "comma":
                if mark == ",":
                    wants = self._next()
                elif mark in ("]", "}") and kinds[-1] == (91 if mark == "]" else 123):
                    wants = self._close()
                else:
                    raise self._broken(match.start(), wants)
            elif mark in ("[", "{"):
                wants = self._open(mark, at - 1)
            elif mark == "]" and wants == "first":
                wants = self._close()
            elif mark is not None:
                raise self._broken(match.start(), wants)
            else:
                self._scalar(match)
                wants = "comma"
            if wants == "comma" and not kinds:
                return self.finding, at

    def _skip_harmless(self, at: int) -> int:
        """Pass a run of array elements that hold no flaw, each with the comma behind it."""
        run = _HARMLESS.match(self.text, at)
        step = self.steps[-1]
        if run is None or run.end() == at or not isinstance(step, int):
            return at
        self.steps[-1] = step + _PLAIN_STRING.sub("", run.group()).count(",")
        return run.end()

    def _hurry(self, at: int, wants: str) -> tuple[int, str]:
        """Swallow runs of scalars, opening and closing brackets; all that matters now is the end."""
        text, kinds = self.text, self.kinds
        if wants == "name" or (wants == "value" and kinds and kinds[-1] == 91):
            run = (_MEMBERS if wants == "name" else _ELEMENTS).match(text, at)
            at = run.end() if run is not None else at
        if wants in ("value", "first") and kinds:
            run = _OPENINGS.match(text, at)
            if run is not None and run.end() > at:
                kinds += _NOT_BRACKETS.sub("", run.group()).encode()
                at = run.end()
                wants = "first" if kinds[-1] == 91 else "value"
        elif wants == "comma":
            at = self._close_run(at)
        return at, wants

    def _close_run(self, at: int) -> int:
        """Close what the brackets from `at` on close rightly; return the index behind them."""
        run = _CLOSINGS.match(self.text, at)
        if run is None or run.end() == at:
            return at
        brackets = "".join(run.group().split())[: len(self.kinds)]
        opened = self.kinds[: -len(brackets) - 1 : -1].decode().translate(_PAIRS)
        right = len(brackets)
        if brackets != opened:
            pairs = enumerate(zip(brackets, opened, strict=True))
            right = next(index for index, (one, other) in pairs if one != other)
        if right == 0:
            return at
        del self.kinds[len(self.kinds) - right :]
        if right == run.end() - at:
            return run.end()
        return next(islice(_CLOSING.finditer(self.text, at), right - 1, None)).end()

    def _open(self, mark: str, index: int) -> str:
        self.kinds.append(ord(mark))
        if len(self.kinds) > MAX_DEPTH:
            self._found(Flaw.DEPTH, index)
        elif self.finding is None:
            self.steps.append(0 if mark == "[" else "")
            self.seen.append(set())
        return "first" if mark == "[" else "first-name"

    def _close(self) -> str:
        self.kinds.pop()
        if self.finding is None:
            self.steps.pop()
            self.seen.pop()
        return "comma"

    def _next(self) -> str:
        if self.kinds[-1] == 123:
            return "name"
        if self.finding is None:
            step = self.steps[-1]
            self.steps[-1] = step + 1 if isinstance(step, int) else step
        return "value"

    def _name(self, match: re.Match[str]) -> int:
        if self.finding is None:
            name = unescape(match.group(2))
            self.steps[-1] = name
            if name in self.seen[-1]:
                self._found(Flaw.DUPLICATE, match.start(2))
            self.seen[-1].add(name)
            self._string(match)
        colon = skip_space(self.text, match.end())
        if self.text[colon : colon + 1] != ":":
            raise Broken(colon, "':' after a member name", self._pointer())
        return colon + 1

    def _scalar(self, match: re.Match[str]) -> None:
        if self.finding is not None:
            return
        number = match.group(4)
        if match.group(2) is not None:
            self._string(match)
        elif match.group(3) is not None:
            self._found(Flaw.CONSTANT, match.start(3))
        elif number is not None:
            if not number.lstrip("-").isdigit():
                size = abs(float(number))
                if size == float("inf"):
                    self._found(Flaw.INFINITE, match.start(4))
                elif MAX_INTEGER < size < LEAST_EXPONENT:
                    self._found(Flaw.INTEGER, match.start(4))
            elif len(number) > 17 or abs(int(number)) > MAX_INTEGER:
                self._found(Flaw.INTEGER, match.start(4))

    def _string(self, match: re.Match[str]) -> None:
        literal = match.group(2)
        if "\\" in literal and self.finding is None:
            lone = next((one for one in _SURROGATE.finditer(literal) if one.group(1)), None)
            if lone is not None:
                self._found(Flaw.SURROGATE, match.start(2) + lone.start())

    def _found(self, flaw: Flaw, index: int) -> None:
        if self.finding is None:
            self.finding = Finding(flaw, index, self._pointer())

    def _pointer(self) -> str:
        steps = "".join(f"/{escape_step(str(step))}" for step in self.steps if step != "")
        return (self.base + steps)[:MAX_POINTER]

    def _broken(self, at: int, wants: str) -> Broken:
        kind = self.kinds[-1] if self.kinds else 0
        expected = {
            "value": "a value",
            "first": "a value or ']'",
            "name": "a member name in double quotes",
            "first-name": "a member name in double quotes or '}'",
            "comma": "',' or ']'" if kind == 91 else "',' or '}'",
        }[wants]
        return Broken(skip_space(self.text, at), expected, self._pointer())


def unescape(literal: str) -> str:
    """Return the characters of a JSON string literal, lone surrogates kept as they are."""
    if "\\" not in literal:
        return literal[1:-1]
    raw = _ESCAPE.sub(
        lambda match: chr(int(match.group(1), 16)) if match.group(1) else _ESCAPES[match.group(2)],
        literal[1:-1],
    )
    return raw.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def escape_step(step: str) -> str:
    """Return one reference token of a JSON pointer (RFC 6901 section 3), cut and printable for messages."""
    shown = step[:40].replace("~", "~0").replace("/", "~1")
    if not shown.isprintable():
        shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in shown)
    return shown if len(step) <= 40 else shown + "…"
