"""Makes docs/conformance.md from the clause table and from the tests that name its clauses.

    python tests/conformance_docs.py            write the file
    python tests/conformance_docs.py --check    exit 1 if it is out of date

Reads the test files as syntax trees, so nothing is run. A test in tests/conformance fails when the file
differs from what this makes.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from pathlib import Path

from conformance_clauses import BY_KEY, CLAUSES, SECTIONS, Clause

ROOT = Path(__file__).resolve().parent.parent
TESTS = ("tests/conformance", "tests/security")
PAGE = ROOT / "docs" / "conformance.md"

HEAD = """\
# Conformance with TAXII 2.1, server side

Made by `python tests/conformance_docs.py` from the clause table and the tests; a test fails when it is old.
Source: TAXII Version 2.1, OASIS Standard, 10 June 2021. Each clause is put in our own words.
A clause without a test says why it is not applicable. `TEXT`: no key word, not counted.
"""


def tests_by_clause() -> dict[str, list[str]]:
    """Return clause key -> `file::test`, in the order of the files.

    Raises:
        KeyError: a test names a clause that is not in the table.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for folder in TESTS:
        for path in sorted((ROOT / folder).glob("test_*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if not isinstance(node, ast.FunctionDef):
                    continue
                for key in _keys(node):
                    found[BY_KEY[key].key].append(f"{path.relative_to(ROOT).as_posix()}::{node.name}")
    return found


def _keys(node: ast.FunctionDef) -> list[str]:
    keys: list[str] = []
    for call in node.decorator_list:
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "clause":
            keys += [str(one.value) for one in call.args if isinstance(one, ast.Constant)]
    return keys


def counts(clauses: list[Clause], tests: dict[str, list[str]], strength: str) -> tuple[int, int, int]:
    """Return (covered, applicable, not applicable) of one strength, MUST or SHOULD."""
    asked = [one for one in clauses if one.strength == strength]
    bound = [one for one in asked if not one.why_not]
    return sum(1 for one in bound if tests.get(one.key)), len(bound), len(asked) - len(bound)


def page() -> str:
    """Return the whole page."""
    tests = tests_by_clause()
    lines = [HEAD, "## Counts: covered / applicable", ""]
    lines += ["| section | | MUST | SHOULD | not applicable |", "|---|---|---|---|---|"]
    for section, title in SECTIONS.items():
        lines.append(_count_row(section, title, [c for c in CLAUSES if c.section == section], tests))
    lines.append(_count_row("", "**all**", list(CLAUSES), tests))
    for section, title in SECTIONS.items():
        lines += [
            "",
            f"## {section} {title}",
            "",
            "| clause | level | what it asks | test |",
            "|---|---|---|---|",
        ]
        lines += [_row(one, tests.get(one.key, [])) for one in CLAUSES if one.section == section]
    return "\n".join(lines) + "\n"


def _count_row(section: str, title: str, clauses: list[Clause], tests: dict[str, list[str]]) -> str:
    must = counts(clauses, tests, "MUST")
    should = counts(clauses, tests, "SHOULD")
    cells = [f"{one[0]}/{one[1]}" if one[1] else "" for one in (must, should)]
    return f"| {section} | {title} | {cells[0]} | {cells[1]} | {must[2] + should[2] or ''} |"


def _row(one: Clause, tests: list[str]) -> str:
    where = f"not applicable: {one.why_not}" if one.why_not else "<br>".join(_link(test) for test in tests)
    text = f"{one.text}. Read as: {one.reading}" if one.reading else one.text
    return f"| `{one.key}` | {one.level} | {text} | {where or '**none**'} |"


def _link(test: str) -> str:
    path, _, name = test.partition("::")
    return f"[{name}](../{path})"


def main(arguments: list[str]) -> int:
    """Write the page, or compare it. Returns the exit code."""
    made = page()
    if "--check" in arguments:
        return 0 if PAGE.is_file() and PAGE.read_text("utf-8") == made else 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(made, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
