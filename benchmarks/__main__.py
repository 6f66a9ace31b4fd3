"""`python -m benchmarks`: choose rows, measure, write JSON and the page.

A whole run (no `--rows`, no `--quick`) writes docs/performance.md and benchmarks/results.json; any other one
prints its tables and writes only below the work directory.
"""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import report
from benchmarks.bench import FULL, QUICK, Bench, Outcome, Plan, measure
from benchmarks.machine import facts
from benchmarks.processes import Failed
from benchmarks.table import Row, table

ROOT = Path(__file__).resolve().parent.parent


def arguments() -> argparse.Namespace:
    """Return the command line's choices."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", help="groups or names of rows, separated by commas; default: all")
    parser.add_argument("--list", action="store_true", help="show the rows and end")
    parser.add_argument("--runs", type=int, help="how often each is measured (default 3, with --quick 1)")
    parser.add_argument("--seconds", type=float, help="how long one measurement takes (default 5, --quick 1)")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs")
    parser.add_argument("--large", action="store_true", help="the empty poll at 10M objects too (hours)")
    parser.add_argument("--without-peers", action="store_true", help="leave medallion and OpenTAXII out")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench", help="where to work")
    return parser.parse_args()


def chosen(rows: list[Row], names: str | None) -> list[Row]:
    """Return the rows that `--rows` names.

    Raises:
        SystemExit: a name that is neither a group nor a row.
    """
    if names is None:
        return rows
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    unknown = wanted - {row.group for row in rows} - {row.name for row in rows}
    if unknown:
        sys.exit(f"no such row: {', '.join(sorted(unknown))}; --list shows them")
    return [row for row in rows if row.group in wanted or row.name in wanted]


def plan_of(options: argparse.Namespace) -> Plan:
    """Return the plan that the options ask for."""
    plan = QUICK if options.quick else FULL
    if options.large:
        plan = dataclasses.replace(plan, sizes=(*plan.sizes, 10_000_000))
    return dataclasses.replace(plan, runs=options.runs or plan.runs, seconds=options.seconds or plan.seconds)


def rows_of(plan: Plan) -> list[Row]:
    """Return the rows of a plan; at 10M objects only the empty poll."""
    rows = table(tuple(size for size in plan.sizes if size < 10_000_000), plan.pulls, plan.hot)
    if plan.sizes[-1] >= 10_000_000:
        rows += [row for row in table(plan.sizes, plan.pulls, plan.hot) if row.name == "poll-10M"]
    return rows


def main() -> int:
    """Run, print, write; return 1 if no row gave a figure."""
    options = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the servers are ended in either case
    plan = plan_of(options)
    rows = rows_of(plan)
    if options.list:
        for row in rows:
            print(f"{row.group:12}{row.name:20}{row.title}")
        return 0
    rows = chosen(rows, options.rows)
    options.work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    results: dict[str, dict[str, Outcome]] = {}
    with tempfile.TemporaryDirectory(prefix="run-", dir=options.work) as directory:
        bench = Bench(plan, options.work, Path(directory))
        try:
            for number, row in enumerate(rows, 1):
                print(f"[{number}/{len(rows)}, {time.monotonic() - began:.0f} s] {row.title}", flush=True)
                try:
                    contestants = row.contestants(bench)
                except Failed as error:
                    results[row.name] = {"lightship": Outcome(reason=str(error))}
                    continue
                if options.without_peers:
                    contestants = {
                        name: one
                        for name, one in contestants.items()
                        if not name.startswith(("medallion", "opentaxii"))
                    }
                results[row.name] = measure(contestants, plan.runs, lambda text: print(text, flush=True))
        except KeyboardInterrupt:
            print("stopped; what was measured so far:", file=sys.stderr)
        finally:
            bench.close()
    write(options, plan, rows, results)
    return 0 if any(outcome.samples for row in results.values() for outcome in row.values()) else 1


def write(
    options: argparse.Namespace, plan: Plan, rows: list[Row], results: dict[str, dict[str, Outcome]]
) -> None:
    """Write JSON and page: into the repository after a whole run, else below the work directory."""
    whole = options.rows is None and not options.quick and len(results) == len(rows)
    whole = whole and not options.without_peers
    machine = facts(ROOT / "benchmarks" / "peers")
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    page = report.page(date, plan.runs, machine, rows, results)
    data = report.to_json(machine, dataclasses.asdict(plan), rows, results)
    targets = (
        (ROOT / "docs" / "performance.md", ROOT / "benchmarks" / "results.json")
        if whole
        else (options.work / "performance.md", options.work / "results.json")
    )
    for path, text in zip(targets, (page, data), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    print(f"\n{report.goals_table(results)}\n{report.rows_table(rows, results)}")
    print("written: " + ", ".join(str(path) for path in targets))


if __name__ == "__main__":
    sys.exit(main())
