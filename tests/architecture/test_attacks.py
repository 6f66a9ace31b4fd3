"""docs/attacks.md says what is tested: every attack has its test, every test of an attack stands there."""

from __future__ import annotations

import ast

import pytest

from attack_table import CONTROLS, LOG, MACHINE, PAGE, ROOT, ROWS, Row, page, source_of

WANTED = (
    *("stored object altered", "object left out of an answer", "entry deleted", "entry rewritten"),
    *("truncation", "rollback", "split view", "forged checkpoint", "freeze", "backdating"),
    *("forged statement", "hub-attested forgery", "publisher equivocation"),
    *("replay in another collection", "replay at another hub", "impersonation", "stolen token"),
    *("stolen client key", "stolen publish key", "one rogue officer", "agreement rollback"),
    *("agreement skip", "agreement withheld", "access log edited", "access never logged"),
    *("duplicate JSON members", "signature type confusion", "kill -9"),
)
"""What a hub for organisations that do not trust one another must stand, or tell."""
CONTROL_ONLY = {
    "test_what_leaves_while_it_is_pulled_is_no_failure",
    "test_withdrawal_that_the_agreement_orders",
    "test_an_honest_hub_withdraws_what_a_stolen_key_added",
    "test_a_first_look_that_is_interrupted_goes_on_where_it_was",
    "test_a_log_in_windows_is_the_log_in_one",
    "test_a_pull_in_parts_is_the_pull_in_one",
    "test_an_interrupted_look_does_not_make_old_entries_backdated",
}
"""Honest things in the files of attacks."""


def test_the_page_is_that_of_the_table() -> None:
    assert PAGE.read_text() == page(), "run `python tests/attack_table.py`"


@pytest.mark.parametrize("name", WANTED)
def test_every_attack_of_the_list_has_its_row(name: str) -> None:
    assert [row for row in ROWS if row.attack.startswith(name)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.attack)
def test_every_row_names_a_test_and_a_control_of_its_kind(row: Row) -> None:
    assert "assert" in source_of(row.test) or "raises" in source_of(row.test)
    control = source_of(row.control or row.test)
    assert any(sign in control for sign in CONTROLS[row.kind]), row


def test_a_test_that_is_gone_is_noticed() -> None:
    with pytest.raises(LookupError):
        source_of(f"{LOG}::test_of_nothing")


@pytest.mark.parametrize("path", [LOG, MACHINE])
def test_every_negative_control_belongs_to_a_row(path: str) -> None:
    """A test that switches a mechanism off is about an attack, and so has a row."""
    tree = ast.parse((ROOT / "tests" / path).read_text())
    named = {row.test for row in ROWS} | {row.control for row in ROWS}
    left = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            switched = "off(monkeypatch" in ast.unparse(node)
            if switched and f"{path}::{node.name}" not in named and node.name not in CONTROL_ONLY:
                left.append(node.name)
    assert not left
