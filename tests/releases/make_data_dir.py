"""Makes a small hub, keeps its data as an archive named by its schema versions; a test opens every one kept.

Run it once when a migration was added: `python tests/releases/make_data_dir.py`. Holds `data/*.db` and
`about.json` (what is in them, and the public key that signed the agreement); no key, no secret, no settings.
The clock is a stopped one and every value is made up.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from hubkit import HubKit, StoppedClock, make_hub  # noqa: E402 # found beside this folder
from lightship import __version__  # noqa: E402 # as the line above
from lightship.core.agreement.chain import key_text  # noqa: E402 # as the line above
from lightship.core.audit import AccessEvent  # noqa: E402 # as the line above
from lightship.keys.hub_key import load_hub_key  # noqa: E402 # as the line above
from lightship.storage.migrate import Kind, load  # noqa: E402 # as the line above
from stixsamples import indicator  # noqa: E402 # as the line above


def archive_name() -> str:
    """Return the name of the archive that fits the migrations of this checkout."""
    return f"hub-{len(load(Kind.HUB)):04d}-audit-{len(load(Kind.AUDIT)):04d}.tar.xz"


def fill(kit: HubKit, clock: StoppedClock) -> dict[str, Any]:
    """Publish, supersede, repeat, contradict, withdraw, refuse; return what has to be there afterwards."""
    place = kit.path("indicators", "objects/")
    first = [indicator(name=f"kept {number}", description='é\u2028 1.0 \\ "') for number in range(12)]
    newer = [{**one, "modified": "2026-02-01T00:00:00.000Z", "name": "newer"} for one in first[:3]]
    observable = {
        "type": "ipv4-addr",
        "spec_version": "2.1",
        "id": "ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd",
        "value": "198.51.100.3",
    }
    with kit.client("uslgb") as lgb, kit.client("uslax") as lax, kit.client(None) as nobody:
        contradicts = {**first[5], "name": "contradicts"}
        batches: list[list[dict[str, Any]]] = [first, newer, [observable], first[:2], [contradicts], [{}]]
        for batch in batches:
            assert lgb.post(place, json={"objects": batch}).status_code == 202
            clock.advance(1)
        assert lgb.delete(f"{place}{first[11]['id']}/").status_code == 200
        assert lax.delete(f"{place}{first[10]['id']}/").status_code == 403
        assert nobody.get(place).status_code == 401
        kit.mint("uslax", "revoked")
        kit.held["uslax"], kit.held["again"] = kit.held["uslax/revoked"], kit.held["uslax"]
        kit.revoke("uslax")
        _pin(kit, clock)
        clock.advance(1)
        assert lax.get(place).status_code == 200
        versions = lax.get(kit.path("indicators", "manifest/"), params={"match[version]": "all"}).json()
        objects = lax.get(place, params={"match[version]": "all"}).json()
    return {
        "manifest": versions["objects"],
        "objects": objects["objects"],
        "withdrawn": first[11],
        "contradicts": contradicts,
        "credentials": sorted(one.name for one in kit.hub.registry.credentials()),
        "events": len(kit.events(limit=10_000)),
        "collection": kit.collection("indicators"),
    }


def _pin(kit: HubKit, clock: StoppedClock) -> None:
    """Keep a credential of kind certificate."""
    held = kit.hub.registry.credentials()[0]
    pinned = replace(held, id="pinned", name="uslgb-pinned", digest=bytes(range(32)), kind="certificate")
    event = AccessEvent(
        uuid4().hex, clock.now(), "credential-mint", held.agreement, held.member, "steward", q=pinned.name
    )
    kit.hub.registry.put_credential(pinned, event)


def make(target: Path) -> None:
    """Write the archive."""
    with tempfile.TemporaryDirectory() as folder:
        clock = StoppedClock()
        with make_hub(Path(folder), "sqlite", clock=clock) as kit:
            about = fill(kit, clock)
            key = key_text(load_hub_key(kit.hub.dir).public)
            about |= {"version": __version__, "agreement": kit.agreement, "public_key": key}
            about["keyid"] = load_hub_key(kit.hub.dir).keyid
            data = kit.hub.dir / "data"
        with tarfile.open(target, "w:xz") as archive:
            for path in sorted(data.glob("*.db")):
                _add(archive, f"data/{path.name}", path.read_bytes())
            _add(archive, "about.json", json.dumps(about, indent=1, sort_keys=True).encode())


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    archive.addfile(member, io.BytesIO(content))


if __name__ == "__main__":
    make(HERE / archive_name())
    print(f"{HERE / archive_name()}: {(HERE / archive_name()).stat().st_size} bytes")
