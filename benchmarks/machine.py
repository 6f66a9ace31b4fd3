"""Where it was measured: facts that explain a figure. No paths, no names of hosts or users."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

OURS = ("lightship", "uvicorn", "uvloop", "httptools", "apsw", "orjson", "jsonschema-rs", "isal")


def facts(peers: Path) -> dict[str, str]:
    """Return what the table's head says; `peers` is the folder with the lock files."""
    found = {
        "Processor": _cpu_model(),
        "Cores": str(os.cpu_count()),
        "Memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "Kernel": platform.release().partition("-")[0],
        "Python": platform.python_version(),
        "Lightship and what it runs on": ", ".join(_installed(name) for name in OURS),
        "SQLite": _sqlite(),
    }
    for peer in ("medallion", "opentaxii"):
        pins = dict(re.findall(r"^([\w.-]+)==([\w.]+)", (peers / f"{peer}.txt").read_text(), re.MULTILINE))
        shown = [peer, "gunicorn", "flask", *(["sqlalchemy", "stix2"] if peer == "opentaxii" else [])]
        found[f"Peer {peer}"] = ", ".join(f"{name} {pins[name]}" for name in shown)
    for tool, command in (("nginx", ["nginx", "-v"]), ("wrk", ["wrk", "-v"])):
        found[tool] = _version(command)
    return found


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _installed(name: str) -> str:
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"{name} (not installed)"


def _sqlite() -> str:
    import apsw

    return str(apsw.sqlite_lib_version())


def _version(command: list[str]) -> str:
    binary = shutil.which(command[0]) or shutil.which(command[0], path="/usr/sbin")
    if binary is None:
        return "not installed"
    done = subprocess.run([binary, *command[1:]], capture_output=True, text=True, timeout=30, check=False)
    version = re.search(r"\d+(\.\d+)+", done.stderr + done.stdout)
    return version.group() if version else "unknown"
