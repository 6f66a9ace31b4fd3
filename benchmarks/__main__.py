"""`python -m benchmarks`: choose rows, measure, write JSON and the page.

A run that has measured every row, without `--quick`, writes docs/performance.md and benchmarks/results.json;
any other one prints its tables and writes only below the work directory. One that was stopped is continued
with `--resume`, and then says so.
"""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import kept, report
from benchmarks.bench import FULL, PEERS, QUICK, Bench, Outcome, Plan, measure
from benchmarks.machine import facts
from benchmarks.processes import Failed
from benchmarks.table import Row, table

ROOT = Path(__file__).resolve().parent.parent


def arguments() -> argparse.Namespace:
    """Return the command line's choices."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", help="groups or names of rows, separated by commas; default: all")
    parser.add_argument("--list", action="store_true", help="show the rows and end")
    parser.add_argument("--resume", action="store_true", help="go on with the run that was stopped")
    parser.add_argument("--runs", type=int, help="how often each is measured (default 3, with --quick 1)")
    parser.add_argument("--seconds", type=float, help="how long one measurement takes (default 3, --quick 1)")
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
    every = rows_of(plan)
    if options.list:
        for row in every:
            print(f"{row.group:12}{row.name:20}{row.title}")
        return 0
    rows = chosen(every, options.rows)
    options.work.mkdir(parents=True, exist_ok=True)
    kept_path, machine = options.work / "run.json", facts(ROOT / "benchmarks" / "peers")
    continued, results = 0, kept.Results()
    if options.resume:
        try:
            continued, results = kept.load(kept_path, plan, machine)
        except ValueError as error:
            sys.exit(f"--resume: {error}")
        continued += 1
        rows = [row for row in rows if row.name not in results]
    with tempfile.TemporaryDirectory(prefix="run-", dir=options.work) as directory:
        bench = Bench(plan, options.work, Path(directory))
        try:
            for row in progress(rows):
                results[row.name] = measured(row, bench, options.without_peers)
                kept.save(kept_path, plan, machine, continued, results)
        except KeyboardInterrupt:
            print("stopped; --resume goes on. What was measured so far:", file=sys.stderr)
        finally:
            bench.close()
    write(options, plan, machine, continued, every, results)
    return 0 if any(outcome.samples for row in results.values() for outcome in row.values()) else 1


def progress(rows: list[Row]) -> Iterator[Row]:
    """Yield the rows, with a line for each."""
    began = time.monotonic()
    for number, row in enumerate(rows, 1):
        print(f"[{number}/{len(rows)}, {time.monotonic() - began:.0f} s] {row.title}", flush=True)
        yield row
    print(f"[{time.monotonic() - began:.0f} s]", flush=True)


def measured(row: Row, bench: Bench, without_peers: bool) -> dict[str, Outcome]:
    """Return what the contestants of a row did; a row that cannot be set up says why."""
    try:
        contestants = row.contestants(bench)
    except Failed as error:
        return {"lightship": Outcome(reason=str(error))}
    if without_peers:
        contestants = {name: one for name, one in contestants.items() if not name.startswith(PEERS)}
    runs = row.runs or bench.plan.runs
    return measure(contestants, runs, bench.plan.peer_runs, lambda text: print(text, flush=True))


def write(
    options: argparse.Namespace,
    plan: Plan,
    machine: dict[str, str],
    continued: int,
    rows: list[Row],
    results: kept.Results,
) -> None:
    """Write JSON and page: into the repository after a whole run, else below the work directory."""
    whole = not options.quick and not options.without_peers and all(row.name in results for row in rows)
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    reading = ROOT / "benchmarks" / "reading.md"
    text = reading.read_text() if reading.exists() else ""
    page = report.page(date, plan, continued, machine, rows, results, text)
    data = report.to_json(machine, dataclasses.asdict(plan) | {"continued": continued}, rows, results)
    targets = (
        (ROOT / "docs" / "performance.md", ROOT / "benchmarks" / "results.json")
        if whole
        else (options.work / "performance.md", options.work / "results.json")
    )
    for path, content in zip(targets, (page, data), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    print(f"\n{report.goals_table(results)}\n{report.rows_table(rows, results)}")
    print("written: " + ", ".join(str(path) for path in targets))


if __name__ == "__main__":
    sys.exit(main())
