"""STIX patterns: every verdict beside that of stix2-patterns, and messages that say where and what."""

# ruff: noqa: E501  # tables with one case a line

from __future__ import annotations

import random
import time

import pytest
from stix2patterns.validator import run_validator

from lightship.core.stix import patterns
from lightship.core.stix.patterns import PatternError, check_pattern


def ours(text: str, version: str = "2.1") -> bool:
    try:
        check_pattern(text, version=version)
    except PatternError:
        return False
    return True


def oracle(text: str, version: str = "2.1") -> bool | None:
    """Return the verdict of stix2-patterns, None where it crashes."""
    try:
        return not run_validator(text, version)
    except Exception:  # it crashes on an empty text and on a negative index
        return None


VALID = [
    "[file:size = 1280]",
    "[ file:size=1280 ]",
    "[file:name = 'it\\'s \\\\ here']",
    "[file:name = 'two\nlines']",
    "[file:hashes.'SHA-256' = '" + "a" * 64 + "']",
    "[file:hashes.MD5 != '" + "A" * 32 + "' OR file:hashes[*] = 'x']",
    "[a:b == 1] /* note */ // end",
    "[a:b <> 1.5 AND (a:c >= -.5 OR NOT EXISTS a:d)]",
    "[EXISTS file:hashes.MD5]",
    "[a:b IN ()]",
    "[a:b IN ('x', 2, -3, 4.5, h'00ff', b'aGk=', true, t'2024-01-01T00:00:00Z')]",
    "[a:b NOT LIKE '%x_'] OR [a:b NOT MATCHES '^a.*$'] OR [a:b ISSUPERSET '192.0.2.0/24']",
    "[a-b:'quoted key'.x[*].'y z'[0][12] < t'2016-12-31T23:59:60.123456789Z']",
    "([a:b = 1] FOLLOWEDBY ([a:c = 2] AND [d:e = 3])) WITHIN 5.5 SECONDS",
    "[a:b = 1] REPEATS 5 TIMES WITHIN 60 SECONDS",
    "([a:b = 1]) WITHIN 5 SECONDS WITHIN 6 SECONDS",
    "[a:b = 1] START t'2016-06-01T01:30:00.123Z' STOP t'2016-06-01T02:20:00Z'",
    "[a:b\u3000=\u20091]",
    "[_a:_b = +5]",
]
INVALID = [
    ("[]", 2, "object type"),
    ("file:size = 1", 1, "'[' or '('"),
    ("[file:size = ]", 14, "a value"),
    ("[file.size = 1]", 6, "':'"),
    ("[file:size 1]", 12, "comparison operator"),
    ("[file:size = 1", 15, "']'"),
    ("[file:size = 1]]", 16, "AND, OR, FOLLOWEDBY"),
    ("([file:size = 1]", 17, "')'"),
    ("[file:size = 007]", 15, "']'"),
    ("[file:size = abc]", 14, "a value"),
    ('[file:name = "x"]', 14, "a value"),
    ("[file:name = 'x]", 14, "a value"),
    ("[file:name = 'a\\b']", 14, "a value"),
    ("[file:name LIKE 5]", 17, "a string"),
    ("[file:size > true]", 14, "a number"),
    ("[file:a-b = 1]", 7, "a property name"),
    ("[file:AND = 1]", 7, "a property name"),
    ("[true:x = 1]", 2, "an object type"),
    ("[file:x.5 = 1]", 8, "operator"),
    ("[file:x[1.5] = 1]", 9, "an index or *"),
    ("[file:x IN 1]", 12, "'('"),
    ("[file:x IN (1,)]", 15, "a value"),
    ("[a:b = 1 FOLLOWEDBY c:d = 2]", 10, "']'"),
    ("[a:b = 1 and a:c = 2]", 10, "']'"),
    ("[a:b = 1] AND", 14, "'[' or '('"),
    ("[a:b = 1] WITHIN 5", 19, "SECONDS"),
    ("[a:b = 1] WITHIN -5 SECONDS", 18, "seconds"),
    ("[a:b = 1] REPEATS 1.5 TIMES", 19, "whole number"),
    ("[a:b = 1] START '2016-01-01T00:00:00Z' STOP t'2016-01-01T00:00:00Z'", 17, "a timestamp"),
    ("[a:b = t'2016-13-01T00:00:00Z']", 8, "a value"),
    ("[a:b = h'abc']", 8, "a value"),
    ("[a:b = b'====']", 8, "a value"),
    ("[a:b = 1] WITHIN 1 SECONDS WITHIN 2 SECONDS", 28, "no second WITHIN"),
    ("[a:b = 1 /* open]", 10, "']'"),
    ("[file:hashes.MD5 = 'f00']", 20, "a MD5 hash"),
    ("[file:hashes.'SHA-256' = '" + "g" * 64 + "']", 26, "SHA-256"),
    ("[a:b = 'x'] \x00", 13, "the end"),
]


@pytest.mark.parametrize("text", VALID)
def test_a_valid_pattern_is_taken(text: str) -> None:
    check_pattern(text)
    assert oracle(text)


@pytest.mark.parametrize(("text", "column", "expected"), INVALID)
def test_an_invalid_pattern_says_the_column_and_what_was_expected(
    text: str, column: int, expected: str
) -> None:
    with pytest.raises(PatternError) as caught:
        check_pattern(text)
    assert caught.value.column == column, str(caught.value)
    assert expected in caught.value.expected
    assert oracle(text) is False


DIFFER = [
    # pattern, what the oracle says, why ours is another
    ("", None, "it crashes"),
    ("[a:b[-1] = 1]", None, "it crashes; the grammar takes a negative index"),
    ("[file:hashes.MD5 IN ('x')]", False, "it compares the text of the whole set with the form of a hash"),
    ("[file:hashes.MD5 LIKE 'a%']", False, "it wants a whole hash where section 9.6 lets a part be compared"),
    ("[file:hashes.MD5 MATCHES '^a']", False, "the same"),
]


@pytest.mark.parametrize(("text", "verdict", "why"), DIFFER)
def test_where_the_oracle_differs_it_is_known_why(text: str, verdict: bool | None, why: str) -> None:
    assert oracle(text) is verdict, why
    assert ours(text) is (text != "")


def test_qualifiers_may_repeat_and_exists_is_unknown_in_stix_2_0() -> None:
    for text in ("[a:b = 1] WITHIN 1 SECONDS WITHIN 2 SECONDS", "[EXISTS a:b]"):
        assert ours(text, "2.0") == oracle(text, "2.0") != ours(text, "2.1")


_ATOMS = (
    *(
        "[",
        "]",
        "(",
        ")",
        ",",
        ".",
        ":",
        "*",
        " ",
        " ",
        " ",
        "=",
        "!=",
        "<>",
        "<=",
        ">",
        "-",
        "+",
        "'",
        "\\",
        "/",
    ),
    *(
        "AND",
        "OR",
        "NOT",
        "FOLLOWEDBY",
        "LIKE",
        "MATCHES",
        "ISSUBSET",
        "IN",
        "EXISTS",
        "true",
        "START",
        "STOP",
    ),
    *(
        "WITHIN",
        "SECONDS",
        "REPEATS",
        "TIMES",
        "file",
        "size",
        "a-b",
        "x_y",
        "_",
        "5",
        "-5",
        "1.5",
        "0",
        "07",
    ),
    *(
        "'a'",
        "'SHA-1'",
        "h'ff'",
        "b'aGk='",
        "t'2024-01-01T00:00:00Z'",
        "t'2024-1-01T00:00:00Z'",
        "é",
        "\t",
        "//",
        "/*",
    ),
)


def _path(rng: random.Random) -> str:
    steps = rng.choice(("", ".key", ".'quoted key'", "[*]", "[3]", ".a[0].b"))
    return (
        rng.choice(("file", "x-crane", "network-traffic", "_a"))
        + ":"
        + rng.choice(("name", "'q'", "v1"))
        + steps
    )


def _literal(rng: random.Random) -> str:
    return rng.choice(
        ("'x'", "'it\\'s'", "5", "-5", "+5", "1.5", "-.5", "h'ff'", "b'aGk='", "t'2024-01-01T00:00:00.5Z'")
    )


def _comparison(rng: random.Random, depth: int = 0) -> str:
    kind = rng.randrange(8 if depth < 3 else 5)
    if kind == 0:
        return f"{rng.choice(('', 'NOT '))}EXISTS {_path(rng)}"
    if kind == 1:
        literals = ", ".join(_literal(rng) for _ in range(rng.randrange(4)))
        return f"{_path(rng)} {rng.choice(('', 'NOT '))}IN ({literals})"
    if kind == 2:
        operator = rng.choice(("LIKE", "MATCHES", "ISSUBSET", "ISSUPERSET"))
        return f"{_path(rng)} {rng.choice(('', 'NOT '))}{operator} 'x%'"
    if kind < 5:
        return f"{_path(rng)}{rng.choice(('', ' '))}{rng.choice(('=', '!=', '<>', '==', '<', '>='))} {_literal(rng)}"
    if kind == 5:
        return f"({_comparison(rng, depth + 1)})"
    return f"{_comparison(rng, depth + 1)} {rng.choice(('AND', 'OR'))} {_comparison(rng, depth + 1)}"


def _observation(rng: random.Random, depth: int = 0) -> str:
    kind = rng.randrange(6 if depth < 2 else 3)
    text = f"[{_comparison(rng)}]"
    if kind == 3:
        text = f"({_observation(rng, depth + 1)})"
    elif kind > 3:
        join = rng.choice(("AND", "OR", "FOLLOWEDBY"))
        return f"{_observation(rng, depth + 1)} {join} {_observation(rng, depth + 1)}"
    if rng.random() < 0.3:
        text += rng.choice(
            (
                " WITHIN 5 SECONDS",
                " REPEATS 2 TIMES",
                " START t'2024-01-01T00:00:00Z' STOP t'2025-01-01T00:00:00Z'",
            )
        )
    return text


@pytest.mark.parametrize("seed", range(4))
def test_made_patterns_are_taken_by_both(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(150):
        text = _observation(rng)
        check_pattern(text)
        assert oracle(text), text


@pytest.mark.parametrize("seed", range(4))
def test_mutated_patterns_get_the_same_verdict_from_both(seed: int) -> None:
    rng = random.Random(100 + seed)
    verdicts = {True: 0, False: 0}
    for _ in range(350):
        text = _observation(rng, 2)
        for _ in range(rng.randrange(1, 3)):
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice((*_ATOMS, "")) + text[at + rng.randrange(3) :]
        for version in ("2.1", "2.0"):
            wanted = oracle(text, version)
            assert wanted is None or ours(text, version) == wanted, (text, version)
        verdicts[ours(text)] += 1
    assert min(verdicts.values()) > 30, verdicts


def test_the_short_way_takes_nothing_that_the_parser_would_refuse() -> None:
    rng = random.Random(7)
    texts = [*VALID, *(text for text, *_ in INVALID)]
    words = ("file", "a-b", "true", "false", "hashes", "x_1", "trueish", "v", "MD5", "'MD5'")
    for _ in range(20_000):
        space, join = (
            rng.choice(("", " ")),
            rng.choice(("=", "!=", "LIKE ", "MATCHES ", "ISSUBSET", ">", " LIKE ")),
        )
        steps = ".".join(rng.choice(words) for _ in range(rng.randint(1, 3)))
        value = rng.choice(("'x'", "'it\\'s'", "''", "'\\\\'", "5", "'\\n'", f"'{'a' * 32}'"))
        text = f"[{space}{rng.choice(words)}:{steps}{space}{join}{space}{value}{space}]"
        at = rng.randrange(len(text))
        texts += [text, text[:at] + rng.choice(_ATOMS) + text[at:]]
    quick = [text for text in texts if patterns._SIMPLE.fullmatch(text)]
    assert len(quick) > 200
    for text in quick:
        patterns._Parser(text, "2.1").pattern()
        patterns._Parser(text, "2.0").pattern()


@pytest.mark.parametrize(
    "text",
    [
        "(" * 500_000,
        "[" + "(" * 500_000,
        "[a:b = '" + "\\'" * 500_000,
        "[a:b" + ".c" * 300_000 + " = 1]",
        "[a:b = 1" + " AND a:b = 1" * 60_000 + "]",
        "[a:b = b'" + "aaaa" * 200_000,
        "[a:b = " + "1" * 1_000_000 + "]",
        "/*" * 500_000,
        "[" + "a" * 1_000_000,
        " " * 1_000_000,
    ],
    ids=range(10),
)
def test_hostile_patterns_cost_linear_time_and_no_recursion(text: str) -> None:
    began = time.process_time()
    verdict = ours(text)
    assert time.process_time() - began < 5
    assert verdict == (text.endswith("]"))


def test_sixty_four_parentheses_are_enough_for_anybody() -> None:
    check_pattern("(" * 64 + "[a:b = 1]" + ")" * 64)
    with pytest.raises(PatternError, match="at most 64 levels"):
        check_pattern("(" * 65 + "[a:b = 1]" + ")" * 65)
