"""A member's machine beside a hub: its command line, in processes of their own, its profiles, its files."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livehub import LIGHTSHIP, LiveHub


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
