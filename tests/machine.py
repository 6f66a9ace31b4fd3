"""A member's machine beside a hub: its command line, in processes of their own, its profiles, its files."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from livehub import LIGHTSHIP, LiveHub, live_hub

M = TypeVar("M", bound="Machine")


@dataclass
class Machine:
    """A directory in which commands run."""

    hub: LiveHub
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """What its commands run with."""
        return {**os.environ, "XDG_CONFIG_HOME": str(self.home), "NO_COLOR": "1"}

    def call(self, *arguments: str, code: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command, which ends with this exit code."""
        done = subprocess.run(
            [LIGHTSHIP, *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=self.home,
        )
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done

    def ask(self, *arguments: str, code: int = 0, stdin: str = "") -> Any:
        """Run a command and return what it printed as JSON, errors too."""
        done = self.call(*arguments, "--json", code=code, stdin=stdin)
        return json.loads(done.stdout or done.stderr.splitlines()[-1])

    def log_in(self, member: str) -> None:
        """Keep a profile with the member's secret."""
        user, secret = self.hub.secrets[member]
        file = self.home / "secret"
        file.touch(0o600)
        file.write_text(secret)
        options = ("--user", user, "--ca-file", self.hub.ca, "--secret-file", str(file))
        self.call("login", self.hub.url, *options)

    def write(self, *objects: Any) -> str:
        """Put objects into a file; return its name."""
        (self.home / "o.ndjson").write_text("".join(json.dumps(one) + "\n" for one in objects))
        return "o.ndjson"


@contextlib.contextmanager
def two_machines(folder: Path, kind: Callable[[LiveHub, Path], M]) -> Iterator[tuple[M, M]]:
    """Yield the machines of `uslax` and `uslgb`, logged in at a new hub that serves."""
    with live_hub(folder, sample="exercise", members=("uslax", "uslgb")) as hub:
        made = []
        for member in ("uslax", "uslgb"):
            home = folder / member
            home.mkdir()
            made.append(kind(hub, home))
            made[-1].log_in(member)
        yield made[0], made[1]
