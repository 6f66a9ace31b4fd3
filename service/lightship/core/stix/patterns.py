"""STIX patterns (STIX 2.1 section 9): is the text one, and if not, where does it go wrong.

Single comparisons, which are nearly all that is seen, are recognised by one regular expression; everything
else goes through a hand-written tokenizer and parser of the whole grammar. Work is linear in the length and
nesting is bounded. A pattern is never evaluated, and nothing that it names is ever looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

MAX_DEPTH: Final = 64
"""Parentheses inside each other that a pattern may have."""

_STRING = r"'(?:[^'\\]++|\\['\\])*+'"
_WORD = r"(?!(?:true|false|hashes)\b)[a-z][a-z0-9_]*+"
_HASH = r"(?:(?:MD5|'MD5') ?= ?'[0-9a-fA-F]{32}|'SHA-1' ?= ?'[0-9a-fA-F]{40}|'SHA-256' ?= ?'[0-9a-fA-F]{64})'"
_SIMPLE = re.compile(
    rf"\[ ?(?:(?!(?:true|false):)[a-z][a-z0-9-]*+:{_WORD}(?:\.{_WORD})*+"
    rf"(?: ?!?= ?| (?:LIKE|MATCHES|ISSUBSET) ){_STRING}"
    rf"|file:hashes\.{_HASH}) ?\]",
    re.ASCII,
)
_TOKEN = re.compile(
    rf"""(?P<skip>[ \t\r\n\x0b\x0c\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+
        |/\*.*?\*/|//[^\r\n]*)
    |(?P<timestamp>t'[0-9]{{4}}-(?:0[1-9]|1[012])-(?:0[1-9]|[12][0-9]|3[01])
        T(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?Z')
    |(?P<hex>h'(?:[0-9a-fA-F]{{2}})*+')
    |(?P<binary>b'(?:[A-Za-z0-9+/]{{4}})*?(?:[A-Za-z0-9+/]{{4}}|[A-Za-z0-9+/]{{3}}=|[A-Za-z0-9+/]{{2}}==)')
    |(?P<string>{_STRING})
    |(?P<float>[+-]?[0-9]*\.[0-9]+)
    |(?P<int>[+-]?(?:0|[1-9][0-9]*))
    |(?P<word>[a-zA-Z_][a-zA-Z0-9_-]*)
    |(?P<equal>==?|!=|<>)
    |(?P<order><=?|>=?)
    |(?P<mark>[\[\]().,:*])""",
    re.ASCII | re.VERBOSE | re.DOTALL,
)
_KEYWORDS = frozenset(
    {
        *{"AND", "OR", "NOT", "FOLLOWEDBY", "LIKE", "MATCHES", "ISSUPERSET", "ISSUBSET", "EXISTS", "LAST"},
        *{"IN", "START", "STOP", "SECONDS", "true", "false", "WITHIN", "REPEATS", "TIMES"},
    }
)
_ORDERABLE = frozenset({"string", "int", "float", "hex", "binary", "timestamp"})
_NEEDS_STRING = frozenset({"LIKE", "MATCHES", "ISSUBSET", "ISSUPERSET"})
_JOINS = frozenset({"AND", "OR", "FOLLOWEDBY"})
_HASHES = {"MD5": 32, "SHA1": 40, "SHA224": 56, "SHA256": 64, "SHA384": 96, "SHA512": 128} | {
    "SHA3224": 56,
    "SHA3256": 64,
    "SHA3384": 96,
    "SHA3512": 128,
    "RIPEMD160": 40,
    "WHIRLPOOL": 128,
}
_DIGITS = re.compile(r"[0-9a-fA-F]*")
_SSDEEP = re.compile(r"[a-zA-Z0-9/+:.]{1,128}")


class PatternError(ValueError):
    """The text is no STIX pattern: at `column` (from 1) there is `found` where `expected` must stand."""

    def __init__(self, column: int, found: str, expected: str) -> None:
        self.column = column
        self.found = found
        self.expected = expected
        super().__init__(f"column {column}: {found} stands where {expected} must stand")


class _Token(NamedTuple):
    kind: str  # a group of _TOKEN, "keyword", "hyphened", "bad", "end"
    text: str
    at: int


def check_pattern(text: str, *, version: str = "2.1") -> None:
    """Check one pattern.

    Args:
        text: the value of `pattern`.
        version: "2.1", or "2.0", which knows no EXISTS and lets qualifiers repeat.

    Raises:
        PatternError: it is not one; says where and what was expected.
    """
    if _SIMPLE.fullmatch(text) is None:
        _Parser(text, version).pattern()


def _tokens(text: str) -> Iterator[_Token]:
    at, end = 0, len(text)
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            yield _Token("bad", text[at], at)
            return
        kind = match.lastgroup or "bad"
        token = match.group()
        if kind == "word":
            kind = "keyword" if token in _KEYWORDS else "hyphened" if "-" in token else "word"
        if kind != "skip":
            yield _Token(kind, token, at)
        at = match.end()
    yield _Token("end", "", end)


class _Parser:
    """Recursive descent over the tokens; `ahead` is the next one."""

    def __init__(self, text: str, version: str) -> None:
        self._tokens = _tokens(text)
        self._version = version
        self._depth = 0
        self.ahead = next(self._tokens)

    def pattern(self) -> None:
        self._observations()
        if self.ahead.kind != "end":
            self._wrong("AND, OR, FOLLOWEDBY, a qualifier or the end")

    def _next(self) -> _Token:
        token = self.ahead
        if token.kind != "end":
            self.ahead = next(self._tokens)
        return token

    def _wrong(self, expected: str) -> None:
        token = self.ahead
        shown = token.text if len(token.text) <= 40 else token.text[:40] + "..."
        found = "the end" if token.kind == "end" else ascii(shown)
        raise PatternError(token.at + 1, found, expected)

    def _take(self, text: str) -> None:
        if self.ahead.text != text or self.ahead.kind not in ("mark", "keyword"):
            self._wrong(repr(text))
        self._next()

    def _is(self, text: str) -> bool:
        return self.ahead.text == text and self.ahead.kind in ("mark", "keyword")

    def _take_kind(self, kinds: frozenset[str], expected: str) -> _Token:
        if self.ahead.kind not in kinds:
            self._wrong(expected)
        return self._next()

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._wrong(f"at most {MAX_DEPTH} levels of parentheses")

    def _observations(self) -> None:
        self._observation()
        while self.ahead.kind == "keyword" and self.ahead.text in _JOINS:
            self._next()
            self._observation()

    def _observation(self) -> None:
        seen: set[str] | None = None  # a qualifier may repeat on a group, not on one expression
        if self._is("("):
            self._deeper()
            self._next()
            self._observations()
            self._take(")")
            self._depth -= 1
        elif self._is("["):
            self._next()
            self._comparisons()
            self._take("]")
            seen = set() if self._version == "2.1" else None
        else:
            self._wrong("'[' or '('")
        while self.ahead.kind == "keyword" and self.ahead.text in ("WITHIN", "REPEATS", "START"):
            if seen is not None:
                if self.ahead.text in seen:
                    self._wrong(f"no second {self.ahead.text}")
                seen.add(self.ahead.text)
            self._qualifier(self._next().text)

    def _qualifier(self, name: str) -> None:
        if name == "WITHIN":
            self._positive(frozenset({"int", "float"}), "a number of seconds")
            self._take("SECONDS")
        elif name == "REPEATS":
            self._positive(frozenset({"int"}), "a whole number")
            self._take("TIMES")
        else:
            kinds = frozenset({"timestamp"})
            self._take_kind(kinds, "a timestamp such as t'2026-01-01T00:00:00Z'")
            self._take("STOP")
            self._take_kind(kinds, "a timestamp such as t'2026-01-01T00:00:00Z'")

    def _positive(self, kinds: frozenset[str], expected: str) -> None:
        if self.ahead.text.startswith("-"):
            self._wrong(expected)
        self._take_kind(kinds, expected)

    def _comparisons(self) -> None:
        self._comparison()
        while self.ahead.kind == "keyword" and self.ahead.text in ("AND", "OR"):
            self._next()
            self._comparison()

    def _comparison(self) -> None:
        if self._is("("):
            self._deeper()
            self._next()
            self._comparisons()
            self._take(")")
            self._depth -= 1
            return
        if self._version == "2.1" and (self._is("NOT") or self._is("EXISTS")):
            if self._is("NOT"):
                self._next()
            self._take("EXISTS")
            self._path()
            return
        path = self._path()
        if self._is("NOT"):
            self._next()
        self._test(path)

    def _test(self, path: list[str]) -> None:
        operator = self.ahead
        if operator.kind == "equal":
            self._next()
            value = self._literal("a value")
            if value.kind == "string" and "hashes" in path:
                self._check_hash(path[-1], value)
        elif operator.kind == "order":
            self._next()
            self._take_kind(_ORDERABLE, "a number, string, timestamp, hex or binary value")
        elif operator.kind == "keyword" and operator.text in _NEEDS_STRING:
            self._next()
            self._take_kind(frozenset({"string"}), "a string in single quotes")
        elif self._is("IN"):
            self._next()
            self._set()
        else:
            self._wrong("a comparison operator")

    def _check_hash(self, name: str, value: _Token) -> None:
        kind = name.strip("'").upper().replace("-", "")
        digest = value.text.strip("'")
        length = _HASHES.get(kind)
        if (length is not None and not (len(digest) == length and _DIGITS.fullmatch(digest))) or (
            kind == "SSDEEP" and not _SSDEEP.fullmatch(digest)
        ):
            shown = ascii(value.text[:40])
            raise PatternError(value.at + 1, shown, f"a {name} hash")

    def _literal(self, expected: str) -> _Token:
        if self._is("true") or self._is("false"):
            return self._next()
        return self._take_kind(_ORDERABLE, expected)

    def _set(self) -> None:
        self._take("(")
        if not self._is(")"):
            self._literal("a value or ')'")
            while self._is(","):
                self._next()
                self._literal("a value")
        self._take(")")

    def _path(self) -> list[str]:
        """Read `type:property.key[0]` and return the property and its keys as written."""
        self._take_kind(frozenset({"word", "hyphened"}), "an object type such as file")
        self._take(":")
        keys = frozenset({"word", "string"})
        path = [self._take_kind(keys, "a property name").text]
        while True:
            if self._is("."):
                self._next()
                path.append(self._take_kind(keys, "a key").text)
            elif self._is("["):
                self._next()
                if self._is("*"):
                    self._next()
                else:
                    self._take_kind(frozenset({"int"}), "an index or *")
                self._take("]")
                path.append("[]")
            else:
                return path
