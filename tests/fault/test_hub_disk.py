"""A hub whose disk is full, cannot be written, or has become read-only: told as 503, nothing lost, goes on.

Reads are answered 503 too: each needs its event in the access log, and that cannot be written either.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from livehub import LIGHTSHIP, TAXII, LiveHub, live_hub
from stixsamples import indicator

SAMPLE = "reference"
POSTS = {"Content-Type": TAXII}
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a file system of its own")


@dataclass
class Desk:
    """A publisher and a reader of one hub, and what was acknowledged."""

    hub: LiveHub
    path: str
    publisher: httpx2.Client
    reader: httpx2.Client
    acknowledged: set[str] = field(default_factory=set)
    refused: int = 0

    def post(self, size: int = 2_000) -> httpx2.Response:
        one = indicator(description="x" * size)
        answer = self.publisher.post(self.path, json={"objects": [one]}, headers=POSTS)
        if answer.status_code == 202:
            assert answer.json()["success_count"] == 1
            self.acknowledged.add(one["id"])
        else:
            self.refused += 1
        return answer

    def held(self) -> list[str]:
        found: list[str] = []
        query: dict[str, Any] = {"limit": 500}
        while True:
            answer = self.reader.get(self.path, params=query)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += [one["id"] for one in page.get("objects", [])]
            if not page.get("more"):
                return found
            query["next"] = page["next"]

    def status(self, path: str) -> int:
        return self.reader.get(f"{self.hub.url}{path}", headers={"Accept": "*/*"}).status_code

    def until(self, what: str, seconds: float = 20) -> None:
        """Wait until a publish and a read are answered well (`works`), or neither is (`fails`)."""
        deadline = time.monotonic() + seconds
        wanted = {"works": (202, 200), "fails": (503, 503)}[what]
        while True:
            got = self.post(20_000).status_code, self.reader.get(self.path, params={"limit": 1}).status_code
            assert set(got) <= {200, 202, 503}, got
            if got == wanted:
                return
            assert time.monotonic() < deadline, f"{what}: still {got}"
            time.sleep(0.05)

    def check_refusals(self) -> None:
        """What is refused says what to do, when to come back, and nothing of the machine."""
        for answer in (self.post(), self.reader.get(self.path), self.reader.get("")):
            assert answer.status_code == 503
            assert answer.headers["content-type"].startswith("application/taxii+json")
            assert int(answer.headers["retry-after"]) >= 1
            told = answer.json()
            assert len(told["title"]) > 20
            assert told["error_code"] == "unavailable"
            assert str(self.hub.dir) not in answer.text
        assert self.status("/healthz") == 200

    def check_kept(self) -> None:
        """Everything acknowledged is there, once; every effect has its event; the files hold together."""
        found = self.held()
        assert len(found) == len(set(found))
        assert self.acknowledged <= set(found)
        logged = self.hub.command("audit", "search", "--action", "publish", "--limit", "100000", "--json")
        events = [line for line in logged.splitlines() if '"publish"' in line]
        assert len(events) >= len(self.acknowledged)
        self.hub.command("fsck")


@contextlib.contextmanager
def desk(parent: Path, free: int = 100_000, for_log: int = 0) -> Iterator[Desk]:
    with live_hub(parent, sample=SAMPLE, members=("uslgb", "uslax")) as hub:
        hub.stop()
        with (hub.dir / "lightship.toml").open("a") as settings:
            settings.write(f"min_free_bytes = {free}\npublish_min_free_bytes = {for_log}\n")
        hub.start()
        path = f"collections/{hub.collection('public')}/objects/"
        with hub.client("uslgb") as publisher, hub.client("uslax") as reader:
            yield Desk(hub, path, publisher, reader)


@contextlib.contextmanager
def mounted(place: Path, *arguments: str) -> Iterator[None]:
    place.mkdir(exist_ok=True)
    command = ["mount", *arguments, str(place)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False, timeout=30)


def fill(path: Path) -> None:
    """Write until not a byte is left on the disk."""
    ballast = os.open(path, os.O_WRONLY | os.O_CREAT)
    for size in (65_536, 4_096, 1):
        with contextlib.suppress(OSError):
            while True:
                os.write(ballast, b"x" * size)
    os.close(ballast)


def test_publishing_stops_while_what_is_left_is_kept_for_the_access_log(tmp_path: Path) -> None:
    with desk(tmp_path, for_log=1 << 60) as one:
        answer = one.post()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
        assert "nothing is published" in answer.json()["title"]
        assert "Audit-Receipt" in answer.headers
        assert one.reader.get(one.path).status_code == 200
        one.check_kept()


def test_a_process_that_may_not_write_answers_503_and_goes_on_by_itself(tmp_path: Path) -> None:
    with desk(tmp_path) as one:
        one.until("works")
        assert one.status("/readyz") == 200
        assert one.hub.process is not None
        pid = one.hub.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        one.until("fails")
        one.check_refusals()
        for _ in range(20):
            assert one.post().status_code == 503
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        one.until("works", 5)
        one.check_kept()
        assert one.hub.stop() == 0


@AS_ROOT
def test_a_full_disk_is_told_and_the_hub_goes_on_once_there_is_room(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    with mounted(place, "-t", "tmpfs", "-o", "size=12m", "tmpfs"), desk(place) as one:
        one.until("works")
        for _ in range(100):
            one.post()
        ballast = place / "ballast"
        fill(ballast)
        one.until("fails")
        one.check_refusals()
        assert one.status("/readyz") == 503
        ballast.unlink()
        one.until("works", 5)
        time.sleep(1.1)  # a bad answer of /readyz is kept for a second
        assert one.status("/readyz") == 200
        assert one.refused > 0
        one.check_kept()
        assert one.hub.stop() == 0


@pytest.mark.long
@AS_ROOT
def test_a_disk_that_becomes_read_only_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    """The file system turns read-only under the running hub, as after a fault of the device."""
    image, place = tmp_path / "image", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    made = subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", str(image)], check=False, timeout=60)
    if made.returncode:
        pytest.skip("there is no mkfs.ext4")
    with contextlib.ExitStack() as stack:
        stack.enter_context(mounted(place, "-o", "loop,errors=remount-ro", str(image)))
        source = subprocess.run(
            ["findmnt", "-no", "SOURCE", str(place)], capture_output=True, text=True, check=True, timeout=30
        )
        trip = Path("/sys/fs/ext4") / Path(source.stdout.strip()).name / "trigger_fs_error"
        if not trip.exists():
            pytest.skip("the kernel offers no way to make a file system fail")
        one = stack.enter_context(desk(place))
        subprocess.run(["sync", "-f", str(place)], check=True, timeout=30)  # settings and keys, not the data
        for _ in range(50):
            one.post()
        one.until("works")
        trip.write_text("lightship test")
        one.until("fails")
        one.check_refusals()
        assert one.status("/readyz") == 503
        one.hub.kill()
        failed = one.hub.command("agreement", "apply", SAMPLE, check=False)
        assert "Traceback" not in failed
        subprocess.run(["umount", str(place)], check=True, timeout=30)
        subprocess.run(["e2fsck", "-fy", str(image)], check=False, capture_output=True, timeout=60)
        stack.enter_context(mounted(place, "-o", "loop", str(image)))
        one.hub.start()
        one.until("works")
        one.check_kept()


def test_a_hub_on_a_disk_that_is_full_from_the_start_says_so(tmp_path: Path) -> None:
    with live_hub(tmp_path, sample=SAMPLE, members=("uslgb",)) as hub:
        hub.stop()
        (hub.dir / "data" / "hub.db").unlink()  # its data has to be made anew, and cannot
        done = subprocess.run(
            ["prlimit", "--fsize=0", str(LIGHTSHIP), "serve", "--hub", str(hub.dir)],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode not in {0, None}
    assert "Traceback" not in done.stderr
    assert "data" in done.stderr
