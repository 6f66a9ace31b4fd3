"""The load, in processes of its own: `wrk` for requests that repeat, a small client for chains of pages.

What a server's CPU time is divided by is what the generator saw completed. A run with an answer other than
2xx, or with a broken connection, has no figure.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.processes import Failed, cpu_seconds, memory_mib

HERE = Path(__file__).parent


class Target(Protocol):
    """A server with one collection. `root` is the collection's path, `headers` authenticate a reader."""

    name: str
    scheme: str
    root: str

    @property
    def port(self) -> int: ...

    @property
    def pid(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement. Times in seconds unless said; `busy` is the share of a core the generator took."""

    requests: int
    objects: int
    seconds: float
    cpu: float
    bytes: int
    p50_ms: float | None
    p99_ms: float | None
    rss_mib: float
    busy: float
    note: str = ""

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def object_rate(self) -> float:
        return self.objects / self.seconds

    @property
    def cpu_request_us(self) -> float:
        return self.cpu / self.requests * 1e6

    @property
    def cpu_object_us(self) -> float | None:
        return self.cpu / self.objects * 1e6 if self.objects else None


def wrk_path() -> str:
    """Return where wrk is.

    Raises:
        Failed: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise Failed("wrk is not installed (Debian package wrk)")
    return found


def _lua(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ",".join(f"[ {_lua(key)} ]={_lua(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "{" + ",".join(map(_lua, value)) + "}"
    level = "=" * 3
    return f"[{level}[{value}]{level}]"


def fast(
    target: Target,
    paths: Sequence[str],
    *,
    seconds: float,
    connections: int = 8,
    objects: int = 0,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    warm: float = 1,
) -> Sample:
    """Ask for `paths` in turn (or post `body`, its `@@` made unique) with wrk on one thread.

    Args:
        objects: how many objects one request carries, for the rates by object.
        warm: seconds of the same load before the measurement.

    Raises:
        Failed: wrk is missing, nothing was answered, or an answer was no success.
    """
    sent = {**target.headers, **(headers or {})}
    spec = {"paths": list(paths), "headers": sent}
    if body is not None:
        spec["body"] = body.decode().split("@@")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(f"return {_lua(spec)}\n")
        file.flush()
        if warm:
            _wrk(target, file.name, warm, connections)
        cpu, own = cpu_seconds(target.pid), _children_cpu()
        seen = _wrk(target, file.name, seconds, connections)
        cpu, own = cpu_seconds(target.pid) - cpu, _children_cpu() - own
    if seen["refused"] or seen["broken"]:
        raise Failed(
            f"{seen['refused']} answers other than 2xx, {seen['broken']} broken, of {seen['requests']}"
        )
    if not seen["requests"]:
        raise Failed(f"no answer within {seconds:g} s")
    elapsed = seen["microseconds"] / 1e6
    return Sample(
        requests=seen["requests"],
        objects=seen["requests"] * objects,
        seconds=elapsed,
        cpu=cpu,
        bytes=seen["bytes"],
        p50_ms=seen["p50"] / 1000,
        p99_ms=seen["p99"] / 1000,
        rss_mib=memory_mib(target.pid),
        busy=own / elapsed,
    )


def _wrk(target: Target, spec: str, seconds: float, connections: int) -> dict[str, Any]:
    # wrk takes whole seconds only; a fraction is rounded up.
    whole = max(1, -int(-seconds // 1))
    command = [wrk_path(), "-t1", f"-c{connections}", f"-d{whole}s", "--timeout", "60s", "-s"]
    command += [str(HERE / "wrk.lua"), f"{target.scheme}://127.0.0.1:{target.port}", "--"]
    command += [spec, str(random.SystemRandom().randrange(2**31))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=whole + 90, check=False)
    except subprocess.TimeoutExpired:
        raise Failed("the load did not end in time") from None
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        raise Failed(f"wrk: {(done.stderr or done.stdout).strip()[-300:]}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def _children_cpu() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system


def client(
    target: Target,
    verb: str,
    *,
    timeout: float = 900,
    progress: Callable[[int], None] | None = None,
    **more: Any,
) -> tuple[Sample, dict[str, Any]]:
    """Run `benchmarks.client` in a process of its own and return its measurement and what it reported.

    Raises:
        Failed: an answer was no success, or it took longer than `timeout` seconds.
    """
    spec = {
        "verb": verb,
        "port": target.port,
        "root": target.root,
        "headers": dict(target.headers),
        "tls": target.scheme == "https",
        **more,
    }
    cpu = cpu_seconds(target.pid)
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.client"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=HERE.parent,
    )
    last = ""
    watch = threading.Timer(timeout, process.kill)
    watch.start()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(spec) + "\n")
        process.stdin.close()
        process.stdin = None
        for line in process.stdout:
            last = line
            if progress is not None and line.startswith("{"):
                progress(json.loads(line).get("objects", 0))
        _, errors = process.communicate(timeout=30)
    finally:
        watch.cancel()
        if process.poll() is None:
            process.kill()
            process.wait(timeout=10)
    cpu = cpu_seconds(target.pid) - cpu
    if process.returncode != 0 or not last:
        raise Failed((errors.strip().splitlines() or ["the client ended without a word"])[-1][:300])
    seen: dict[str, Any] = json.loads(last)
    if not seen["requests"]:
        raise Failed(seen.get("note") or "no answer in time")
    return (
        Sample(
            requests=seen["requests"],
            objects=seen["objects"],
            seconds=seen["seconds"],
            cpu=cpu,
            bytes=seen["bytes"],
            p50_ms=seen.get("p50_ms"),
            p99_ms=seen.get("p99_ms"),
            rss_mib=memory_mib(target.pid),
            busy=seen["busy"] / seen["seconds"],
            note=seen.get("note", ""),
        ),
        seen,
    )
