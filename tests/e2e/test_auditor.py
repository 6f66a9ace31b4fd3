"""As an auditor works: an export of a hub in use, verified elsewhere without network; then a byte changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lightship.client import Client, Connection
from livehub import LIGHTSHIP, TAXII, LiveHub, live_hub
from reference_docs import documented
from stixsamples import indicator

ALONE = """
import json, socket, sys
def refuse(*given, **named):
    raise AssertionError("verifying needs no network")
socket.socket.connect = socket.socket.bind = socket.getaddrinfo = refuse
from lightship.cli.main import execute
code = execute(["verify", *sys.argv[1:]])
sys.stdout.flush()
parts = sorted({name.split(".")[1] for name in sys.modules if name.startswith("lightship.")})
print(json.dumps(parts + [name for name in ("apsw", "httpx2", "uvicorn", "cedarpy") if name in sys.modules]))
sys.exit(code)
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    with live_hub(tmp_path_factory.mktemp("audited"), sample="reference", members=("uslgb", "uslax")) as made:
        yield made


def use(hub: LiveHub) -> list[str]:
    """Publish and pull; return the receipts of the answers."""
    path = f"collections/{hub.collection('public')}/objects/"
    given = []
    with hub.client("uslgb") as lgb, hub.client("uslax") as lax:
        for _ in range(5):
            body = json.dumps({"objects": [indicator()]}).encode()
            answer = lgb.post(path, content=body, headers={"Content-Type": TAXII})
            assert answer.status_code == 202
            given += [answer.headers["Audit-Receipt"], lax.get(path).headers["Audit-Receipt"]]
        hidden = lax.get("collections/00000000-0000-4000-8000-000000000000/")
        assert hidden.status_code == 404
        given.append(hidden.headers["Audit-Receipt"])
    return given


def pull(hub: LiveHub, kept: Path) -> int:
    """Pull with the SDK, which keeps receipts; return how many."""
    user, secret = hub.secrets["uslax"]
    with Client(Connection(hub.url, user, secret, ca=Path(hub.ca), receipts=kept)) as client:
        assert sum(len(page.objects) for page in client.pull(f"{hub.agreement}/public")) == 5
    return len(kept.read_bytes().splitlines())


def verify(place: Path, *arguments: str) -> tuple[int, list[str]]:
    """Run `lightship verify` in a folder that knows no hub, without network; return exit code and lines."""
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *arguments],
        cwd=place,
        env={"PATH": os.environ["PATH"], "HOME": str(place), "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


def export(hub: LiveHub, out: Path) -> str:
    """Export the agreement's log; return the hub's key."""
    told = json.loads(hub.command("audit", "export", hub.agreement, "--out", str(out), "--json"))
    assert set(told) == documented("audit export")
    key: str = told["key"]
    return key


def test_an_auditor_verifies_and_one_byte_changed_is_named(hub: LiveHub, tmp_path: Path) -> None:
    receipts = use(hub)
    (tmp_path / "receipts").write_text("\n".join([*receipts, ""]))
    pulled = pull(hub, tmp_path / "receipts.ndjson")
    key = export(hub, tmp_path / "first")  # while it serves
    (tmp_path / "hub.keys").write_text(key + "\n")

    code, lines = verify(tmp_path, "first", "--root", "hub.keys", "--receipts", "receipts")
    assert code == 0
    assert lines[0].startswith("OK: ")
    assert lines[0].endswith(f"authority: steward alone (1 of 1), {len(receipts)} receipts found")
    assert set(json.loads(lines[-1])) <= {"cli", "client", "core", "crypto", "httpx2"}  # the SDK's own

    code, lines = verify(tmp_path, "first", "--root", "hub.keys", "--receipts", "receipts.ndjson")
    assert lines[0].endswith(f"{pulled} receipts found")

    code, lines = verify(tmp_path, "first", "--root", "hub.keys", "--json")
    report = json.loads(lines[0])
    assert (code, report["ok"], report["findings"]) == (0, True, [])
    assert set(report) == documented("verify")
    assert verify(tmp_path, "first")[0] == 1  # nobody's key was named

    hub.stop()
    (path,) = (hub.dir / "data").glob("audit-*.db")
    data = bytearray(path.read_bytes())
    at = data.index(b'"act":"read-objects"')
    data[at + len(b'"act":"') + 2] ^= 1
    path.write_bytes(data)

    found = hub.command("fsck", check=False)
    (where,) = {line.split(":")[0] for line in found.splitlines() if "its bytes are not those" in line}
    number = where.rpartition(" ")[2]
    export(hub, tmp_path / "second")
    code, lines = verify(
        tmp_path,
        "second",
        "--root",
        "hub.keys",
        "--since",
        str(next((tmp_path / "first").glob("2*/checkpoint"))),
    )
    assert code == 1
    assert lines[0].startswith(f"FAILED: {hub.agreement} ")
    assert f"entry {number}: it was altered" in lines[0]


def refused(hub: LiveHub, *arguments: str) -> tuple[int, str]:
    """Run a command of the steward's; return exit code and what it said."""
    done = subprocess.run(
        [LIGHTSHIP, *arguments, "--hub", str(hub.dir)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def test_what_cannot_be_exported_or_deleted_is_refused_with_its_reason(hub: LiveHub, tmp_path: Path) -> None:
    year = f"{datetime.now(UTC):%Y}"
    code, said = refused(hub, "audit", "export", "nobody", "--out", str(tmp_path / "out"))
    assert (code, "no agreement `nobody`" in said) == (3, True)
    typo = ("--member", "uslxx", "--out", str(tmp_path / "out"))
    code, said = refused(hub, "audit", "export", hub.agreement, *typo)
    assert (code, "never had a member `uslxx`" in said) == (3, True)
    code, said = refused(hub, "audit", "export", hub.agreement, "--out", str(tmp_path))
    assert (code, "exists" in said) == (3, True)
    code, said = refused(hub, "audit", "retire", year, "--delete")
    assert (code, "is kept until" in said) == (3, True)
    assert list((hub.dir / "data").glob(f"audit-{year}.db"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing-here"], "does not exist"),
        (["."], "export.json"),
        ([".", "--root", "empty"], "There is no key"),
        ([".", "--root", "junk"], "Line 1 of the keys is no key"),
        ([".", "--receipts", "junk"], "junk, line 1 holds no receipt"),
    ],
    ids=str,
)
def test_wrong_use_is_said_and_is_no_traceback(arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    (tmp_path / "junk").write_text("\x00\xff junk\n")
    done = subprocess.run(
        [sys.executable, "-m", "lightship.cli.main", "verify", *arguments],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in {1, 2}
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
