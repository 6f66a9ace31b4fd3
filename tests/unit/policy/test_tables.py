"""The shipped tables pass, and every wrong version of the shipped rules fails one of their cases."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lightship.core.errors import BadFile
from lightship.data import policies_dir
from lightship.policy.engine import CedarRules
from lightship.policy.mutants import mutants
from lightship.policy.rules import PLACEHOLDERS
from lightship.policy.tables import Case, load_tables, run
from policy_rules import cedar_rules, shipped

CASES = load_tables(policies_dir() / "tests")
MUTANTS = {one.what: one.rules for one in mutants(shipped())}

TABLE = """
[members.port]
roles = ["publisher"]
[collections.x]
ceiling = "green"
audience = []
publishers = ["port"]

[[case]]
name = "a case"
principal = "port"
action = "publish"
collection = "x"
expect = "allow"
rule = "allow-publisher-publish"
"""


PAGE = Path(__file__).resolve().parents[3] / "docs" / "policy.md"


def test_the_table_of_the_docs_passes(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "docs.toml").write_text(block)
    assert not list(run(load_tables(tmp_path), cedar_rules()))


def test_the_docs_name_the_words_that_a_sentence_may_hold_and_rules_that_exist() -> None:
    text = PAGE.read_text()
    assert set(re.findall(r"`\{(\w+)\}`", text)) == PLACEHOLDERS
    elsewhere = {"deny-default", "deny-owner", "deny-conflict", "deny-withdrawn", "deny-publish-quota"}
    elsewhere |= {"deny-revoked", "deny-expired", "deny-not-evaluated", "deny-unknown-marking"}
    elsewhere |= {"deny-other-agreement", "deny-share-until"}
    elsewhere |= {"deny-receive-"}
    assert set(re.findall(r"(?:allow|deny)-[a-z-]+", text)) <= {*shipped().by_id, *elsewhere}


@pytest.mark.parametrize("case", CASES, ids=lambda one: f"{Path(one.path).stem}:{one.line}")
def test_a_case_of_the_shipped_tables_passes(case: Case) -> None:
    assert not [str(failure) for failure in run([case], cedar_rules())]


def test_no_two_cases_have_one_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_rule_is_expected_by_a_case() -> None:
    assert {case.rule for case in CASES} == {*shipped().by_id, "deny-default"}


def test_the_mutants_are_one_a_rule_and_one_a_part_of_a_condition() -> None:
    without = [what for what in MUTANTS if what.startswith("without ")]
    assert without == [f"without {rule.id}" for rule in shipped().rules]
    assert len(MUTANTS) >= 140
    wanted = [
        "allow-audience-read with principal in resource.audience negated",
        'deny-auditor-content with ["auditor", "joint-auditor"].containsAll(principal.roles) negated',
        'deny-agreement-not-in-force with context.status == "grace" negated',
        "deny-unmarked with !context.object has level negated",
    ]
    bare = {what.replace("(", "").replace(")", "") for what in MUTANTS}
    assert not {one.replace("(", "").replace(")", "") for one in wanted} - bare


@pytest.mark.parametrize("what", MUTANTS)
def test_a_wrong_rule_set_fails_a_case(what: str) -> None:
    assert any(run(CASES, CedarRules(MUTANTS[what]))), f"no case notices the rules {what}"


def test_a_case_that_comes_out_otherwise_is_named_with_its_line(tmp_path: Path) -> None:
    table = tmp_path / "own.toml"
    table.write_text(TABLE.replace("publishers = [", "publishers = []\nx = [").replace("\nx = [", "\n# ["))
    (failure,) = run(load_tables(tmp_path), cedar_rules())
    assert str(failure) == (
        f"{table}:10: a case: expected allow by allow-publisher-publish, got deny by deny-default"
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('"port"\naction', '"port\naction', 11, "cannot be read"),
        ('action = "publish"', 'action = "post"', 9, "post"),
        ('rule = "allow-pub', 'rool = "allow-pub', 9, "rool"),
        ('expect = "allow"', 'expect = "deny"', 9, "expect must be"),
        ('expect = "allow"', 'expect = "perhaps"', 9, "expect must be"),
        ('expect = "allow"', 'expect = "allow"\nobject = { colour = "red" }', 9, "colour"),
        ('action = "publish"', 'action = "read"\nobject = {}', 9, "only publishing"),
        ('ceiling = "green"', 'ceiling = "blue"', 0, "blue"),
        ('collection = "x"', 'status = "over"\ncollection = "x"', 9, "over"),
        ('action = "publish"', 'action = "receive"\nobject = { colour = "red" }', 9, "colour"),
        ('"port"\naction = "publish"', '"other/port"\naction = "receive"', 9, "asked of members"),
        ('"port"\naction = "publish"', '"system"\naction = "receive"', 9, "asked of members"),
        ("[members.port]", 'rules_file = "gone.cedar"\n[members.port]', 0, "gone.cedar"),
        ("[[case]]", "[[cases]]", 0, "There are no cases"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    (tmp_path / "own.toml").write_text(TABLE.replace(old, new))
    with pytest.raises(BadFile) as caught:
        load_tables(tmp_path)
    assert words in str(caught.value)
    assert caught.value.line == line


def test_a_table_can_hold_the_rules_of_an_agreements_own(tmp_path: Path) -> None:
    (tmp_path / "rules.cedar").write_text(
        '@id("rule-quiet") @say("Not now.") forbid (principal, action == Action::"publish", resource);'
    )
    table = TABLE.replace("[members.port]", 'rules_file = "rules.cedar"\n[members.port]', 1)
    wanted = table.replace('"allow"', '"deny"').replace("allow-publisher-publish", "rule-quiet")
    (tmp_path / "own.toml").write_text(wanted)
    assert not list(run(load_tables(tmp_path), cedar_rules()))
    (tmp_path / "own.toml").write_text(table)
    (failure,) = run(load_tables(tmp_path), cedar_rules())
    assert failure.decision.rule == "rule-quiet"
