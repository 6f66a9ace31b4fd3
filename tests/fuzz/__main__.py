"""Coverage-guided fuzzing: `PYTHONPATH=tests python -m fuzz [TARGET…] --runs N --seconds S --jobs J`.

Each target runs in a process of its own, J at a time, until its share of N inputs is used up, S seconds have
passed, or something was found. The last line says how many inputs there were in all. Starts from the kept
corpus; what widens the coverage is put below build/fuzz, an input that breaks something beside it. Exit code:
0 nothing found, 1 something found.

`--keep` instead adds to the kept corpus what of build/fuzz covers more than it does.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fuzz.targets import CORPUS, TARGETS, Target

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "fuzz"
MAX_KEPT = 1_000
"""Bytes of an input that `--keep` takes."""
GRACE_S = 120
FAST_DISK = Path("/dev/shm")
"""Where stores of the targets lie, if there is such a place: what they hold is thrown away."""
_UNITS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_LAST = re.compile(r"^#(\d+)\s", re.MULTILINE)
_ARTIFACT = re.compile(r"Test unit written to (\S+)")


@dataclass(frozen=True, slots=True)
class Result:
    """What one process did: inputs, seconds, coverage, and where it put an input that broke something."""

    name: str
    inputs: int
    seconds: float
    coverage: int
    found: str
    log: str

    def __str__(self) -> str:
        end = f", FOUND {self.found}" if self.found else ""
        done = f"{self.name}: {self.inputs:,} inputs in {self.seconds:.0f} s"
        return f"{done}, {self.coverage:,} edges covered{end}"


def main(arguments: Sequence[str]) -> int:
    """Fuzz, report, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("target", nargs="*", choices=[[], *TARGETS], help="all by default")
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs in all")
    parser.add_argument("--seconds", type=int, default=3_600, help="for each target")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--seed", type=int, default=0, help="of the fuzzer; 0 takes another each time")
    parser.add_argument("--keep", action="store_true", help="take over into the kept corpus what covers more")
    order = parser.parse_args(arguments)
    if importlib.util.find_spec("atheris") is None:
        print("fuzzing is skipped: atheris is not installed (wheels: Linux on x86-64, Python 3.11 to 3.13)")
        return 0
    chosen = [TARGETS[name] for name in order.target or TARGETS]
    if order.keep:
        for target in chosen:
            print(f"{target.name}: {keep(target)} inputs taken over")
        return 0
    whole = sum(target.share for target in chosen)
    with ThreadPoolExecutor(order.jobs) as pool:
        futures = [
            pool.submit(fuzz, target, round(order.runs * target.share / whole), order.seconds, order.seed)
            for target in chosen
        ]
        results = []
        for future in futures:
            results.append(future.result())
            print(results[-1], flush=True)
            if results[-1].found:
                print(results[-1].log[-6_000:], flush=True)
    inputs, found = sum(one.inputs for one in results), sum(bool(one.found) for one in results)
    print(f"fuzzing: {inputs:,} inputs, {found} findings")
    return 1 if found else 0


def fuzz(target: Target, runs: int, seconds: int, seed: int = 0) -> Result:
    """Run one target in a process of its own."""
    held = WORK / target.name
    held.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".dict", encoding="latin-1") as words:
        for word in target.words():
            words.write('"' + "".join(f"\\x{byte:02x}" for byte in word.encode()) + '"\n')
        words.flush()
        options = [
            *(f"-runs={runs}", f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={target.longest}"),
            *(f"-dict={words.name}", f"-artifact_prefix={held.parent / target.name}-", "-timeout=30"),
            *("-rss_limit_mb=3000", "-print_final_stats=1", str(held), str(CORPUS / target.name)),
        ]
        began = time.monotonic()
        done = _worker(target.name, options, seconds + GRACE_S)
    log = done.stdout + done.stderr
    units = _UNITS.search(log)
    inputs = int(units[1]) if units else max((int(one) for one in _LAST.findall(log)), default=0)
    edges = re.findall(r"cov: (\d+)", log)
    artifact = _ARTIFACT.search(log)
    found = artifact[1] if artifact else "" if done.returncode == 0 else f"exit code {done.returncode}"
    spent = time.monotonic() - began
    return Result(target.name, inputs, spent, int(edges[-1]) if edges else 0, found, log)


def keep(target: Target) -> int:
    """Add to the kept corpus the short inputs that cover what it does not; return how many."""
    kept = CORPUS / target.name
    before = set(kept.iterdir())
    with tempfile.TemporaryDirectory() as name:
        short = Path(name)
        for one in sorted((WORK / target.name).iterdir()):
            if one.stat().st_size <= MAX_KEPT:
                (short / one.name).write_bytes(one.read_bytes())
        _worker(target.name, ["-set_cover_merge=1", str(kept), str(short)], 3_600)
    return len(set(kept.iterdir()) - before)


def _worker(name: str, options: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "PYTHONUNBUFFERED": "1"}
    if FAST_DISK.is_dir():
        environment["TMPDIR"] = str(FAST_DISK)
    command = [sys.executable, "-m", "fuzz.worker", name, *options]
    return subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env=environment,
        timeout=seconds,
        capture_output=True,
        text=True,
        errors="replace",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
