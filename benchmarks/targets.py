"""The servers that are compared, each made as its own documentation says, with one collection and a login.

Lightship through its command line; medallion (in memory) and OpenTAXII (SQLite) from the package index, each
in a virtual environment of its own from a lock file with hashes, one gunicorn worker; nginx from Debian with
the same bytes as files. Everything binds to 127.0.0.1.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from benchmarks import objects
from benchmarks.processes import Failed, Server, free_port, run, start

HERE = Path(__file__).parent
TAXII = "application/taxii+json;version=2.1"
USER, PASSWORD = "bench", "bench-for-loopback-only-" + uuid.uuid4().hex
MEDALLION_COLLECTION = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"


def basic(user: str, password: str) -> dict[str, str]:
    """Return the headers of a TAXII client with HTTP Basic."""
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Accept": TAXII, "Authorization": f"Basic {pair}"}


@dataclass
class Running:
    """A running target: its server, where its collection is, who asks."""

    name: str
    server: Server
    root: str
    headers: Mapping[str, str]
    scheme: str = "http"
    stamps: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def pid(self) -> int:
        return self.server.pid

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        """Ask for one path below the collection (TLS unverified: our own server on loopback).

        Raises:
            Failed: the answer was no success.
        """
        url = f"{self.scheme}://127.0.0.1:{self.port}{self.root}{path}"
        with httpx2.Client(verify=False, trust_env=False, timeout=120) as client:
            answer = client.get(url, headers={**self.headers, **(headers or {})})
        if answer.status_code != 200:
            raise Failed(f"GET {path} -> {answer.status_code}: {answer.text[:200]}")
        return answer

    def raw(self, path: str, encoding: str) -> bytes:
        """Return the bytes of an answer as they travel, in this content encoding."""
        url = f"{self.scheme}://127.0.0.1:{self.port}{self.root}{path}"
        sent = {**self.headers, "Accept-Encoding": encoding}
        with (
            httpx2.Client(verify=False, trust_env=False, timeout=120) as client,
            client.stream("GET", url, headers=sent) as answer,
        ):
            got = b"".join(answer.iter_raw())
        if answer.status_code != 200 or answer.headers.get("Content-Encoding", "identity") != encoding:
            raise Failed(f"GET {path} with {encoding}: {answer.status_code}, {dict(answer.headers)}")
        return got

    def stop(self) -> None:
        self.server.stop()


# --- Lightship ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HubDirectory:
    """A hub's directory and a member's login; served any number of times."""

    path: Path
    root: str
    headers: Mapping[str, str]

    def copy(self, path: Path) -> HubDirectory:
        """Copy the directory of a hub that is not running."""
        shutil.copytree(self.path, path)
        return HubDirectory(path, self.root, self.headers)


def _lightship(directory: Path, *arguments: str) -> bytes:
    command = Path(sys.executable).parent / "lightship"
    return run([command, *arguments], environment={"LIGHTSHIP_HUB": str(directory), "NO_COLOR": "1"})


def make_hub(path: Path) -> HubDirectory:
    """Make a hub with the exercise agreement in force and a credential, by the commands a steward uses."""
    port = free_port()
    _lightship(path, "init", "--public-url", f"https://localhost:{port}", "--listen", f"127.0.0.1:{port}")
    _lightship(path, "agreement", "new", "exercise", "--from", "exercise")
    _lightship(path, "agreement", "apply", "exercise")
    minted = json.loads(_lightship(path, "credential", "mint", "exercise", "uslax/bench", "--json"))
    root = "/exercise/collections/indicators/"
    return HubDirectory(path, root, basic(minted["name"], minted["secret"]))


def serve_hub(
    hub: HubDirectory,
    *,
    tls: bool = False,
    module: str = "",
    workers: int = 1,
    settings: Mapping[str, str] | None = None,
) -> Running:
    """Serve a hub directory with `lightship serve`.

    Args:
        module: of this package, to run instead: the same command with a part replaced.
        workers: processes that serve.
        settings: further settings for its environment.
    """
    port, scheme = free_port(), "https" if tls else "http"
    environment = {
        "LIGHTSHIP_PUBLIC_URL": f"{scheme}://localhost:{port}",
        "NO_COLOR": "1",
        **(settings or {}),
    }
    usual = [str(Path(sys.executable).parent / "lightship"), "serve"]
    command = [sys.executable, "-m", f"benchmarks.{module}"] if module else usual
    command += ["--hub", str(hub.path), "--listen", f"127.0.0.1:{port}", *([] if tls else ["--plain"])]
    command += ["--workers", str(workers)] if workers > 1 else []
    log = hub.path / "serve.log"
    server = start("lightship", command, port, log, environment=environment, directory=HERE.parent, tls=tls)
    return Running("lightship", server, hub.root, hub.headers, scheme)


# --- peers ----------------------------------------------------------------------------------------


def environment_of(peer: str, work: Path) -> Path:
    """Return the virtual environment of a peer, made from its lock file if it is not there or has changed.

    Raises:
        Failed: it cannot be installed on this Python.
    """
    lock, place = HERE / "peers" / f"{peer}.txt", work / "environments" / peer
    mark = place / "lock.txt"
    if mark.exists() and mark.read_bytes() == lock.read_bytes():
        return place
    run([sys.executable, "-m", "venv", "--clear", place])
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--require-hashes", "-r", str(lock)], timeout=600)
    mark.write_bytes(lock.read_bytes())
    return place


def _gunicorn(place: Path, port: int, *more: str) -> list[str]:
    # A peer's answer may take minutes: no worker timeout.
    fixed = ["--workers", "1", "--timeout", "0", "--keep-alive", "75", "--no-control-socket"]
    return [str(place / "bin" / "gunicorn"), *fixed, "--bind", f"127.0.0.1:{port}", *more]


def serve_medallion(work: Path, directory: Path, count: int) -> Running:
    """Serve medallion's memory backend with `count` objects, loaded from its data file as it starts.

    It holds everything in one process, so there is one worker; four threads, so that connections are kept.
    """
    place, port = environment_of("medallion", work), free_port()
    directory.mkdir(parents=True, exist_ok=True)
    made = objects.make_objects(count, 1, versioned_only=True)
    stamps = [f"2026-05-01T{n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}.{n:06}Z" for n in range(count)]
    manifest = [
        {
            "id": one["id"],
            "date_added": stamp,
            "version": one["modified"],
            "media_type": "application/stix+json;version=2.1",
        }
        for one, stamp in zip(made, sorted(stamps), strict=True)
    ]
    collection = {
        "id": MEDALLION_COLLECTION,
        "title": "Benchmark",
        "can_read": True,
        "can_write": True,
        "media_types": ["application/stix+json;version=2.1"],
        "manifest": manifest,
        "objects": made,
    }
    information = {"title": "Benchmark", "versions": [TAXII], "max_content_length": 16 << 20}
    base = f"http://127.0.0.1:{port}/bench/"
    data = {
        "/discovery": {"title": "Benchmark", "default": base, "api_roots": [base]},
        "bench": {"information": information, "status": [], "collections": [collection]},
    }
    (directory / "data.json").write_text(json.dumps(data))
    backend = {
        "module": "medallion.backends.memory_backend",
        "module_class": "MemoryBackend",
        "filename": str(directory / "data.json"),
    }
    config = {"backend": backend, "users": {USER: PASSWORD}, "taxii": {"max_page_size": 1000}}
    (directory / "config.json").write_text(json.dumps(config))
    app = f"medallion:load_app('{directory / 'config.json'}')"
    server = start("medallion", _gunicorn(place, port, "--threads", "4", app), port, directory / "log")
    running = Running(
        "medallion", server, f"/bench/collections/{MEDALLION_COLLECTION}/", basic(USER, PASSWORD)
    )
    running.stamps = [manifest[-1]["date_added"]] if manifest else []
    return running


def kept_name(peer: str, count: int) -> str:
    """Return the name of a filled peer's data: another one if its versions or the objects change."""
    made_of = (HERE / "peers" / f"{peer}.txt").read_bytes() + (HERE / "objects.py").read_bytes()
    return f"{peer}-{count}-{hashlib.sha256(made_of).hexdigest()[:12]}"


def serve_opentaxii(work: Path, directory: Path) -> Running:
    """Serve OpenTAXII on SQLite, empty if there is nothing in its directory yet.

    The login is a token, which spares it a slow hash per request.
    """
    place, port = environment_of("opentaxii", work), free_port()
    directory.mkdir(parents=True, exist_ok=True)
    known = directory / "password"
    new = not known.exists()
    if new:
        known.write_text(PASSWORD)
    password = known.read_text()
    config = (HERE / "peers" / "opentaxii.yml").read_text()
    for key, value in {"DIRECTORY": str(directory), "PORT": str(port), "SECRET": password}.items():
        config = config.replace(f"@{key}@", value)
    (directory / "config.yml").write_text(config)
    environment = {"OPENTAXII_CONFIG": str(directory / "config.yml")}

    def command(verb: str, *arguments: str) -> str:
        tool = place / "bin" / f"opentaxii-{verb}"
        return run([tool, *arguments], environment=environment).decode()

    if new:
        command("create-account", "-u", USER, "-p", password)
        command("update-account", "-u", USER, "-f", "admin", "-v", "yes")
        command("add-api-root", "-t", "Benchmark", "--default")
    with sqlite3.connect(directory / "data.db") as database:
        api_root = str(uuid.UUID(database.execute("select id from opentaxii_api_root").fetchone()[0]))
    if new:
        command("add-collection", "-r", api_root, "-t", "Benchmark", "-a", "benchmark")
    app = [f"--pythonpath={HERE / 'peers'}", "--config", "python:opentaxii.http", "opentaxii_wsgi:app"]
    server = start(
        "opentaxii", _gunicorn(place, port, *app), port, directory / "log", environment=environment
    )
    with httpx2.Client(trust_env=False, timeout=30) as client:
        login = {"username": USER, "password": password}
        answer = client.post(f"http://127.0.0.1:{port}/management/auth", json=login)
    if answer.status_code != 200:
        server.stop()
        raise Failed(f"opentaxii refused the login: {answer.status_code}")
    headers = {"Accept": TAXII, "Authorization": f"Bearer {answer.json()['token']}"}
    return Running("opentaxii", server, f"/taxii2/{api_root}/collections/benchmark/", headers)


# --- the floor ------------------------------------------------------------------------------------


def nginx_path() -> str:
    """Return where nginx is.

    Raises:
        Failed: it is not installed, or cannot serve stored gzip files.
    """
    found = shutil.which("nginx") or ("/usr/sbin/nginx" if os.access("/usr/sbin/nginx", os.X_OK) else None)
    if found is None:
        raise Failed("nginx is not installed (Debian package nginx-light)")
    built = subprocess.run([found, "-V"], capture_output=True, text=True, timeout=30, check=False).stderr
    if not re.search(r"gzip_static", built):
        raise Failed("this nginx has no gzip_static module")
    return found


def serve_nginx(directory: Path, files: Mapping[str, bytes], *, certificate: Path, tls: bool) -> Running:
    """Serve files with one nginx worker.

    Args:
        files: name -> content; a name that ends in .gz is what a client that takes gzip gets.
        certificate: folder with the server.pem and server.key that the hub uses too.
    """
    binary, port = nginx_path(), free_port()
    (directory / "root").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / "root" / name).write_bytes(content)
    text = (HERE / "peers" / "nginx.conf").read_text()
    listen = f"{port} ssl" if tls else str(port)
    values = {"LISTEN": listen, "DIRECTORY": str(directory), "CERTIFICATE": str(certificate)}
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    if os.geteuid() == 0:
        text = "user root;\n" + text  # its folder may be closed to other users
    (directory / "nginx.conf").write_text(text)
    command = [
        binary,
        "-e",
        str(directory / "log"),
        "-p",
        str(directory),
        "-c",
        str(directory / "nginx.conf"),
    ]
    server = start("nginx", command, port, directory / "log", tls=tls)
    return Running("nginx", server, "/", {"Accept": TAXII}, "https" if tls else "http")
