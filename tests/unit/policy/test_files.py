"""A rule or schema file with a mistake is refused with its file, its line and what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lightship.core.errors import BadFile
from lightship.data import policies_dir
from lightship.policy.files import SCHEMA, load_rules
from lightship.policy.rules import PLACEHOLDERS
from policy_rules import shipped

GOOD = """@id("deny-more")
@say("No.")
forbid (principal is Member, action == Action::"read", resource);
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(policies_dir() / "base", tmp_path / "base")
    return tmp_path / "base"


def complaint(folder: Path) -> BadFile:
    with pytest.raises(BadFile) as caught:
        load_rules(folder)
    assert caught.value.todo
    return caught.value


def test_the_shipped_rules_have_ids_and_sentences() -> None:
    for rule in shipped().rules:
        assert rule.id.startswith("allow-" if rule.permits else "deny-")
        assert rule.say.endswith(".")
        assert Path(rule.path).read_text().splitlines()[rule.line - 1] == f'@id("{rule.id}")'


def test_every_placeholder_is_used_by_a_shipped_sentence() -> None:
    said = " ".join(rule.say + rule.otherwise for rule in shipped().rules)
    assert {name for name in PLACEHOLDERS if f"{{{name}}}" in said} == PLACEHOLDERS


def test_a_further_file_adds_rules_in_the_order_of_file_names(folder: Path) -> None:
    (folder / "zz.cedar").write_text(f"// more\n\n{GOOD}")
    last = load_rules(folder).rules[-1]
    assert (last.id, last.line) == ("deny-more", 3)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("\n\nforbid (principal, action, resource) when { {;", 3, "The rule is not Cedar"),
        ("// a; comment\nforbid (principal, action, resource)", 2, "The rule is not Cedar"),
        (f'{GOOD}\n@id("deny-x" forbid (principal, action, resource);', 5, "The rule is not Cedar"),
        (GOOD.replace('"read"', '"reed"'), 1, "The rule does not fit the schema"),
        (f"{GOOD}\n{GOOD.replace('more', 'two')}".replace("Member", "Member when", 1), 1, "not Cedar"),
        (
            GOOD + GOOD.replace("deny-more", "deny-two").replace(";", " when { principal.rols.isEmpty() };"),
            4,
            "`rols`",
        ),
        (GOOD.replace("resource)", "resource == ?resource)"), 1, "This is not one rule"),
        (GOOD.replace('@id("deny-more")\n', ""), 1, "no proper @id"),
        (GOOD.replace("deny-more", "allow-more"), 1, "no proper @id"),
        (GOOD.replace("deny-more", "deny-"), 1, "no proper @id"),
        (GOOD.replace("forbid", "permit"), 1, "no proper @id"),
        (GOOD.replace('@say("No.")', ""), 1, "`deny-more` has no @say"),
        (GOOD.replace("No.", "No"), 1, "`deny-more` has no @say"),
        (GOOD.replace("No.", "No, {who}."), 1, "names {who}"),
        (GOOD.replace("No.", "No, {member.__class__}."), 1, "names {member.__class__}"),
        (GOOD.replace("No.", "No, {member:>9999}."), 1, "names {member}"),
        (GOOD.replace("No.", "No, {."), 1, "A sentence of `deny-more` cannot be used"),
        (GOOD + GOOD, 4, "Two rules are named `deny-more`"),
        (
            '@id("allow-more")@say("Yes.")permit(principal is Member,action==Action::"read",resource)'
            "when{principal in resource.audience};",
            1,
            "`allow-more` has no @otherwise",
        ),
    ],
)
def test_a_wrong_rule_is_refused_with_its_line(folder: Path, text: str, line: int, words: str) -> None:
    (folder / "zz.cedar").write_text(text)
    error = complaint(folder)
    assert error.path.endswith("zz.cedar")
    assert error.line == line, error
    assert words in str(error)


def test_semicolons_in_strings_and_comments_end_no_rule(folder: Path) -> None:
    text = GOOD.replace("No.", 'No; \\"never\\"; // not.').replace("forbid", "// a; b\nforbid")
    (folder / "zz.cedar").write_text(text)
    assert load_rules(folder).rules[-1].say == 'No; "never"; // not.'


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rank: Long", "rank: Lon", "Lon"),
        ("entity Outsider;", "entity Outsider", "error parsing schema"),
        ("entity Outsider;", "entity Outsider; entity Group;", "`Group` is declared twice"),
    ],
)
def test_a_wrong_schema_is_refused_with_its_line(folder: Path, old: str, new: str, words: str) -> None:
    text = (folder / SCHEMA).read_text()
    line = text[: text.index(old)].count("\n") + 1
    (folder / SCHEMA).write_text(text.replace(old, new))
    error = complaint(folder)
    assert error.path.endswith(SCHEMA)
    assert error.line == line, error
    assert words in str(error)


def test_a_schema_that_no_longer_knows_an_attribute_refuses_the_rules_that_use_it(folder: Path) -> None:
    text = (folder / SCHEMA).read_text()
    (folder / SCHEMA).write_text(text.replace("  audience: Group,\n", ""))
    assert "audience" in str(complaint(folder))


def test_missing_unreadable_and_empty_are_refused(folder: Path) -> None:
    for path in folder.glob("*.cedar"):
        path.unlink()
    assert "There are no rules" in str(complaint(folder))
    (folder / "bad.cedar").write_bytes(b"\xff")
    assert "cannot be read" in str(complaint(folder))
    (folder / SCHEMA).unlink()
    assert "cannot be read" in str(complaint(folder))
