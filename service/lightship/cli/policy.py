"""`lightship policy test|rules`: the tables of the rules, whether they notice wrong rules, and the rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lightship.cli import exits
from lightship.cli.command import Command, Group, json_option
from lightship.cli.output import print_json, progress, say


@click.group(cls=Group, examples="lightship policy test --mutants")
def policy() -> None:
    """Test the rules of access, and list them."""


@policy.command(
    cls=Command,
    examples="""
    lightship policy test
    lightship policy test --mutants
    lightship policy test my-tables/ --json
    """,
)
@click.argument(
    "tables", required=False, type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="[DIR]"
)
@click.option(
    "--mutants",
    "with_mutants",
    is_flag=True,
    help="Once all cases pass, also leave out each rule and turn around each condition: a case must fail.",
)
@json_option
def test(tables: Path | None, with_mutants: bool, as_json: bool) -> int:
    """Run given/expect tables (*.toml of DIR, else the shipped ones) against the rules.

    Ends with 1 if a case comes out otherwise, or if wrong rules pass.
    """
    from lightship.data import policies_dir
    from lightship.policy.engine import CedarRules
    from lightship.policy.files import load_rules
    from lightship.policy.mutants import mutants
    from lightship.policy.tables import load_tables, run

    rules = load_rules(policies_dir() / "base")
    cases = load_tables(tables or policies_dir() / "tests")
    failures = [str(one) for one in run(cases, CedarRules(rules))]
    wrong = list(mutants(rules)) if with_mutants and not failures else []
    survivors = []
    with progress("Wrong rules", len(wrong)) as step:
        for one in wrong:
            if not any(run(cases, CedarRules(one.rules))):
                survivors.append(one.what)
            step(1)
    if as_json:
        shape: dict[str, Any] = {"ok": not failures and not survivors, "rules": len(rules.rules)}
        shape |= {"cases": len(cases), "failures": failures}
        print_json(shape | ({"mutants": len(wrong), "survivors": survivors} if with_mutants else {}))
    else:
        for failure in failures:
            say(failure)
        for survivor in survivors:
            say(f"no case notices wrong rules: {survivor}")
        click.echo(f"{len(rules.rules)} rules, {len(cases)} cases: {len(cases) - len(failures)} pass")
        if wrong:
            click.echo(f"{len(wrong)} wrong versions of the rules: {len(wrong) - len(survivors)} noticed")
    return exits.FAILED if failures or survivors else exits.OK


@policy.command(cls=Command, examples="lightship policy rules\nlightship policy rules --json | jq .rule")
@json_option
def rules(as_json: bool) -> None:
    """List the rules in force with the sentences that people read. With --json one rule a line."""
    from lightship.data import policies_dir
    from lightship.policy.files import load_rules

    for rule in load_rules(policies_dir() / "base").rules:
        if as_json:
            print_json(
                {
                    "rule": rule.id,
                    "effect": "permit" if rule.permits else "forbid",
                    "say": rule.say,
                    "otherwise": rule.otherwise,
                    "file": Path(rule.path).name,
                    "line": rule.line,
                }
            )
        else:
            click.echo(f"{rule.id}: {rule.say}")
