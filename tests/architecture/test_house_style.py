"""House rules that a machine can check: docstrings, module size, names, reasons beside ignores, reads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*(ROOT / "service").rglob("*.py"), *(ROOT / "feeds").rglob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("*.py"))
VAGUE = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}
IGNORE = re.compile(r"#\s*(noqa|type:\s*ignore)\b(?P<codes>[:\[\]\w\s,-]*)(?P<rest>.*)$")
READS = {
    *{"page", "state", "first_after", "dropped_since", "exists", "added", "status"},
    *{"definitions", "held_sets", "holding", "staged", "due", "next_due"},
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def modules(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=name_of(path)) for path in paths]


@pytest.mark.parametrize("path", modules(SOURCES))
def test_a_module_says_first_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{name_of(path)} has no docstring"


@pytest.mark.parametrize("path", modules(SOURCES))
def test_a_module_has_400_lines_at_most(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", modules(SOURCES))
def test_no_vague_module_names(path: Path) -> None:
    assert path.stem not in VAGUE


@pytest.mark.parametrize("path", modules([*SOURCES, *TESTS]))
def test_every_lint_ignore_has_a_code_and_a_reason(path: Path) -> None:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if path == Path(__file__):
            continue
        match = IGNORE.search(line)
        if match is None:
            continue
        place = f"{name_of(path)}:{number}"
        assert match["codes"].strip(": []"), f"{place}: an ignore without a code"
        text = f"{match['codes']} {match['rest']}"
        assert re.search(r"\w+ \w+ \w+", text), f"{place}: an ignore without a reason beside it"


def public_definitions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_":
            yield node


@pytest.mark.parametrize("path", modules(SOURCES))
def test_public_functions_and_classes_are_documented(path: Path) -> None:
    bare = [
        node.name for node in public_definitions(ast.parse(path.read_text())) if not ast.get_docstring(node)
    ]
    assert not bare, f"{name_of(path)}: no docstring on {', '.join(bare)}"


def reads_without_a_grant(source: str) -> list[str]:
    """Return the calls `reader.page(...)` and the like whose first argument names no grant or principal."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = ast.unparse(node.func.value)
        if node.func.attr not in READS or not owner.endswith(("reader", "statuses", "store")):
            continue
        first = ast.unparse(node.args[0]) if node.args else ""
        if not re.search(r"grant|principal|subject", first):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("path", modules(SOURCES))
def test_every_store_read_takes_a_principal(path: Path) -> None:
    assert not reads_without_a_grant(path.read_text())


def test_a_store_read_without_a_principal_is_caught() -> None:
    assert reads_without_a_grant("hub.reader.page(collection, query)")
    assert not reads_without_a_grant("hub.reader.page(grant, query)")


def test_every_read_of_the_store_ports_takes_a_grant_or_a_principal() -> None:
    tree = ast.parse((ROOT / "service/lightship/core/ports/reading.py").read_text())
    ports = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for port in ("Reader", "Statuses"):
        for node in ports[port].body:
            if isinstance(node, ast.FunctionDef):
                first = node.args.args[1].annotation
                assert first is not None
                assert ast.unparse(first) in {"Grant", "Principal", "Sequence[Grant]"}, f"{port}.{node.name}"
