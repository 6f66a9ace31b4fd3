"""The benchmark harness: what it publishes is what it measured, and it can be started. Nothing is timed."""

from __future__ import annotations

import json
import re
import sys
import uuid
from pathlib import Path

import pytest

from lightship.core.collection import CollectionSettings, Level
from lightship.core.stix.ingest import Ingest
from lightship.core.time import Micros
from lightship.data import extension_schemas, stix_schemas

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import client, kept, objects, report, rows  # noqa: E402  (benchmarks is a folder, not installed)
from benchmarks.bench import FULL, QUICK, Bench, Outcome, Plan, TooSlow, measure  # noqa: E402  (the same reason here)
from benchmarks.goals import GOALS, judge  # noqa: E402  (the same reason here)
from benchmarks.load import Sample  # noqa: E402  (the same reason here)
from benchmarks.processes import Failed, cpu_seconds, memory_mib  # noqa: E402  (the same reason here)
from benchmarks.table import Row  # noqa: E402  (the same reason here)
from benchmarks.table import table as rows_of  # noqa: E402  (the same reason here)

SAMPLE = Sample(100, 1000, 2.0, 0.5, 10**6, 1.0, 2.0, 80.0, 0.3)
NOW = Micros(1_790_000_000_000_000)


def table(plan: Plan) -> list[Row]:
    return rows_of(plan.sizes, plan.pulls, plan.hot)


def as_if_measured(folder: Path) -> dict[str, dict[str, Outcome]]:
    bench = Bench(FULL, folder, folder)
    return {row.name: {name: Outcome([SAMPLE]) for name in row.contestants(bench)} for row in table(FULL)}


@pytest.mark.parametrize("plan", [FULL, QUICK], ids=["full", "quick"])
def test_every_row_has_a_name_of_its_own_and_starts_no_server_before_it_is_measured(
    plan: Plan, tmp_path: Path
) -> None:
    made = table(plan)
    assert len({row.name for row in made}) == len(made)
    assert all("lightship" in row.contestants(Bench(plan, tmp_path, tmp_path)) for row in made)
    assert not list(tmp_path.iterdir())


def test_every_goal_is_answered_by_a_whole_run(tmp_path: Path) -> None:
    results = as_if_measured(tmp_path)
    assert [goal.what for goal in GOALS if judge(goal, results).value is None] == []


def test_no_goal_is_answered_by_a_run_that_measured_nothing() -> None:
    assert all(judge(goal, {}).value is None for goal in GOALS)
    assert " - | not measured" in report.goals_table({})


def test_a_goal_says_by_how_much_it_was_missed() -> None:
    goal = next(goal for goal in GOALS if goal.what.startswith("durable ingest, empty"))
    slow = Sample(4, 4000, 1.0, 1.0, 1, None, None, 1.0, 0.1)
    verdict = judge(goal, {"ingest-fresh": {"lightship": Outcome([slow])}})
    assert verdict.value == 4000
    assert verdict.text == "floor missed (0.50 of it)"


def test_a_contestant_that_fails_has_a_reason_and_no_figure() -> None:
    def fails() -> Sample:
        raise Failed("nginx is not installed")

    def slow() -> Sample:
        raise TooSlow("a page took longer than 60 s", 1000, 60)

    answers = iter([SAMPLE])

    def once() -> Sample:
        try:
            return next(answers)
        except StopIteration:
            raise Failed("it broke in the second run") from None

    found = measure({"nginx": fails, "medallion": slow, "lightship": once}, 2, 2, lambda text: None)
    row = Row("hot-100", "hot", "hot page", lambda bench: {})
    lines = report.rows_table([row], {"hot-100": found}).splitlines()[-3:]
    assert not any(outcome.samples for outcome in found.values())
    assert "nginx is not installed" in lines[0]
    assert not re.search(r"\d", lines[0])
    assert "< 16.7" in lines[1]
    assert not re.search(r"\| \d", lines[2])


def test_peers_are_measured_less_often_and_compared_by_their_middle() -> None:
    found = measure({"lightship": lambda: SAMPLE, "opentaxii": lambda: SAMPLE}, 3, 1, lambda text: None)
    assert [len(found[name].samples) for name in ("lightship", "opentaxii")] == [3, 1]
    goal = next(goal for goal in GOALS if goal.what.startswith("publish of 1000"))
    assert judge(goal, {"publish-1000": found}).value == 1


def test_a_stopped_run_is_continued_with_the_same_plan_only(tmp_path: Path) -> None:
    path, results = tmp_path / "run.json", {"poll-1k": {"lightship": Outcome([SAMPLE], "why")}}
    with pytest.raises(ValueError, match="no run"):
        kept.load(path, FULL, {})
    kept.save(path, FULL, {"Cores": "2"}, 1, results)
    assert kept.load(path, FULL, {"Cores": "2"}) == (1, results)
    with pytest.raises(ValueError, match="another plan"):
        kept.load(path, QUICK, {"Cores": "2"})
    with pytest.raises(ValueError, match="another machine"):
        kept.load(path, FULL, {"Cores": "64"})


def test_a_page_says_that_its_run_was_continued_and_keeps_what_was_written_by_hand() -> None:
    page = report.page("2026-01-01", FULL, 2, {"Cores": "2"}, [], {}, "## Where the time goes\n")
    assert "stopped and continued 2 times" in page
    assert page.endswith("## Where the time goes\n")
    assert "continued" not in report.page("2026-01-01", FULL, 0, {}, [], {}, "").split("\n- ", 1)[0]


def test_what_is_published_is_valid_and_takes_a_new_id_each_time() -> None:
    pieces = objects.template(100).split(b"@@")
    body = b"".join(piece + str(uuid.uuid4()).encode() for piece in pieces[:-1]) + pieces[-1]
    assert len(pieces) == 101
    ingest = Ingest(stix_schemas(), extension_schemas())
    items = ingest.read_envelope(body)
    candidates, refusals = ingest.check(items, CollectionSettings(), NOW)
    assert refusals == []
    assert {one.level for one in candidates} == {Level.GREEN}
    assert len({one.id for one in candidates}) == 100


def test_cold_pages_all_begin_elsewhere() -> None:
    stamps = [f"2026-04-01T12:00:{second:02}.500000Z" for second in range(30)]
    paths = rows.cold_paths(stamps, 1000, 500)
    assert len(paths) == len(set(paths)) == 500


@pytest.mark.parametrize(
    ("body", "token"),
    [
        (b'{"more":true,"next":"abc","objects":[]}', "abc"),
        (b'{"objects": [{"name": "\\"next\\":\\"x"}], "next": "tail"}', "tail"),
        (b'{"objects":[]}', None),
        (b"{}", None),
    ],
)
def test_the_client_finds_the_next_page(body: bytes, token: str | None) -> None:
    assert client.next_of(body) == token


def test_time_and_memory_of_a_process_are_read() -> None:
    import os

    assert cpu_seconds(os.getpid()) > 0
    assert memory_mib(os.getpid()) > 5


def test_peers_come_from_lock_files_with_hashes_and_no_addresses() -> None:
    locks = sorted((ROOT / "benchmarks" / "peers").glob("*.txt"))
    assert [lock.stem for lock in locks] == ["medallion", "opentaxii"]
    for lock in locks:
        text = lock.read_text()
        assert not re.search(r"(https?|file)://|index-url|find-links", text)
        for block in re.split(r"\n(?=[A-Za-z0-9])", text.strip()):
            assert "--hash=sha256:" in block, block.splitlines()[0]


def test_published_figures_are_those_of_the_kept_run() -> None:
    page, data = ROOT / "docs" / "performance.md", ROOT / "benchmarks" / "results.json"
    assert page.exists() == data.exists()
    if not page.exists():
        pytest.skip("no whole run has been made yet: `make bench`")
    kept = json.loads(data.read_text())
    text = page.read_text()
    for name, value in kept["machine"].items():
        assert f"- {name}: {value}" in text
    for goal in kept["goals"]:
        assert goal["verdict"] in text
