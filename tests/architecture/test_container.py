"""The Dockerfile and the compose file, as far as they can be checked without a container engine.

What the image would run is run here: the wheel is built, installed by itself, and its `lightship` makes a hub
and serves it on a file system where only the hub's directory can be written.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from lightship import __version__
from lightship.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = (ROOT / "compose.yaml").read_text()
FINAL = DOCKERFILE.split("\nFROM ")[-1]


def instruction(name: str, text: str = FINAL) -> list[str]:
    """Return the arguments of an instruction in exec form."""
    (found,) = re.findall(rf"^{name} (?:.|\\\n)*?(\[.*\])$", text, re.MULTILINE)
    arguments: list[str] = json.loads(found)
    return arguments


def test_every_copied_source_exists_and_is_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), f"COPY {source}: there is no such file"
            covered = any(one == source or one.startswith(f"{source}/") for one in allowed)
            assert covered, f"COPY {source}: .dockerignore keeps it out"


def test_what_the_wheel_is_built_from_is_copied() -> None:
    copied = " ".join(re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)).split()
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source in [*wheel["packages"], *wheel["force-include"]]:
        assert any(source == one or source.startswith(f"{one}/") for one in copied), source


def test_what_one_stage_takes_from_another_is_made_there() -> None:
    stages = re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE)
    for stage, source in re.findall(r"^COPY --from=(\S+) (\S+)", DOCKERFILE, re.MULTILINE):
        assert stage in stages
        assert f"venv {source}" in DOCKERFILE


def test_it_runs_as_somebody_without_rights_from_the_python_that_it_was_built_for() -> None:
    assert re.search(r"^USER (?!root|0)", FINAL, re.MULTILINE)
    assert not re.search(r"\b(gcc|build-essential|apt-get)\b", FINAL)
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    assert len(bases) == 1, "the virtual environment is copied, so both stages need the same Python"
    version = re.fullmatch(r"python:(\d+)\.(\d+)-slim", bases.pop())
    assert version is not None
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert (int(version[1]), int(version[2])) >= tuple(map(int, needs.removeprefix(">=").split(".")))


def test_the_compose_file_fits_the_image_and_the_settings() -> None:
    for named in re.findall(r"^      LIGHTSHIP_(\w+):", COMPOSE, re.MULTILINE):
        assert named.lower() in Settings.model_fields
    for wanted in (
        "read_only: true",
        "cap_drop: [ALL]",
        "no-new-privileges:true",
        '"hub:/hub"',
        '"9443:9443"',
    ):
        assert wanted in COMPOSE
    assert re.search(r"^VOLUME /hub$", FINAL, re.MULTILINE)
    assert re.search(r"^EXPOSE 9443$", FINAL, re.MULTILINE)
    grace = re.search(r"stop_grace_period: (\d+)s", COMPOSE)
    assert grace is not None
    assert int(grace[1]) > Settings.model_fields["stop_timeout_s"].default
    files = re.search(r"nofile: (\d+)", COMPOSE)
    assert files is not None
    assert int(files[1]) > Settings.model_fields["max_connections"].default


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Install the built wheel by itself; return the folder of its commands and the environment for them."""
    folder = tmp_path_factory.mktemp("image")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    assert f"-{__version__}-" in wheel.name
    install = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile")
    ]
    subprocess.run(
        [*install, "--disable-pip-version-check", "--target", str(folder / "site"), str(wheel)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    stated = {"PYTHONPATH": str(folder / "site"), "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}
    return folder / "site" / "bin", environment | stated


def run(
    installed: tuple[Path, dict[str, str]], *command: str, **more: str
) -> subprocess.CompletedProcess[str]:
    commands, environment = installed
    return subprocess.run(
        [str(commands / command[0]), *command[1:]],
        env=environment | more,
        cwd=commands,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_installed_wheel_is_what_runs_and_names_its_version(
    installed: tuple[Path, dict[str, str]],
) -> None:
    done = run(installed, "lightship", "--version")
    assert done.returncode == 0, done.stderr
    assert __version__ in done.stdout
    commands, environment = installed
    code = "import lightship, lightship_feeds; print(lightship.__file__, lightship_feeds.__file__)"
    where = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True, timeout=60
    )
    assert all(Path(one).is_relative_to(commands.parent) for one in where.stdout.split())


def test_the_start_command_of_the_image_serves_and_its_health_check_sees_it(
    installed: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    commands, environment = installed
    hub = tmp_path / "hub"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (entry,) = instruction("ENTRYPOINT")
    stated = dict(re.findall(r"(\w+)=(\S+)", " ".join(re.findall(r"^ENV (.+)$", FINAL, re.MULTILINE))))
    assert stated["LIGHTSHIP_HUB"] == "/hub"
    own = {"LIGHTSHIP_HUB": str(hub)}
    check = [word.replace("/hub", str(hub)) for word in instruction("HEALTHCHECK")]
    url = f"https://localhost:{port}"
    made = run(installed, entry, "init", "--public-url", url, "--listen", f"0.0.0.0:{port}", **own)
    assert made.returncode == 0, made.stderr
    down = run(installed, *check, **own)
    assert (down.returncode, "nobody answers" in down.stdout) == (1, True), down.stderr
    before = {path: path.stat().st_mtime_ns for path in commands.parent.rglob("*")}
    serving = subprocess.Popen(
        [str(commands / entry), *instruction("CMD")],
        env=environment | own,
        cwd=commands,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 30
        while (up := run(installed, *check, **own)).returncode != 0:
            assert time.monotonic() < deadline, shlex.join(check) + up.stdout + up.stderr
        assert "requests can be answered" in up.stdout
        (signal_name,) = re.findall(r"^STOPSIGNAL (\w+)$", FINAL, re.MULTILINE)
        assert signal_name == "SIGTERM"
        serving.terminate()
        _, said = serving.communicate(timeout=30)
        assert serving.returncode == 0, said
    finally:
        if serving.poll() is None:
            serving.kill()
            serving.wait(10)
    assert {path: path.stat().st_mtime_ns for path in commands.parent.rglob("*")} == before, (
        "only /hub is written"
    )
