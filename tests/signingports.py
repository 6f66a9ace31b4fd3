"""Members' machines at one hub, of which one signs: keys, roster, outbox, made by the commands themselves."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from typing import Any

from livehub import LiveHub
from machine import Machine
from stixsamples import indicator

AMBER_STRICT = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"
TO = "exercise/indicators"


class Port(Machine):
    """A member's machine, whose commands answer in JSON."""

    def run(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(*arguments, code=code)
        return found

    def run_text(self, *arguments: str, code: int = 0) -> str:
        done = self.call(*arguments, "--json", code=code)
        return done.stdout or done.stderr

    def publish(self, *objects: Any, options: tuple[str, ...] = (), code: int = 0) -> dict[str, Any]:
        return self.run("publish", self.write(*objects), "--to", TO, "--sign", *options, code=code)

    def pull(self) -> dict[str, int]:
        found = self.run("pull", TO, "--verify", "--state", "state", "--out", "got.ndjson")
        assert not any(found[name] for name in ("failures", "missing", "findings", "warnings")), found
        return dict(found["proofs"])


def marked(**over: Any) -> dict[str, Any]:
    return indicator(object_marking_refs=[AMBER_STRICT], **over)


def version_1(hub: LiveHub) -> str:
    """Return what rosters and statements call the hub."""
    with hub.client("uslax") as client:
        answer = client.get(f"{hub.url}/agreements/exercise/1.json", headers={"Accept": "application/json"})
    return hashlib.sha256(b64decode(answer.json()["payload"])).hexdigest()


def enrol(port: Port) -> None:
    """Do what an officer, a publisher and a steward do to let a machine sign for `uslgb`."""
    admin, key = port.run("keys", "generate", "admin.key"), port.run("keys", "generate")
    file = port.hub.dir / "agreements" / "exercise" / "agreement.toml"
    text = file.read_text()
    assert "[members.uslgb]\n" in text
    file.write_text(text.replace("[members.uslgb]\n", f'[members.uslgb]\nadmin_key = "{admin["key"]}"\n'))
    port.hub.command("agreement", "apply", "exercise")
    order = ("--admin-key", "admin.key", "--add", key["key"], "--out", "roster-1.json")
    where = ("--agreement", "exercise", "--first", version_1(port.hub), "--member", "uslgb")
    assert port.run("roster", "sign", *order, *where)["keys"] == [key["id"]]
    done = json.loads(port.hub.command("roster", "apply", str(port.home / "roster-1.json"), "--json"))
    assert (done["member"], done["version"], done["revoked"]) == ("uslgb", 1, [])


def delivered(port: Port) -> dict[int, int]:
    """Return how many objects each statement added that the outbox holds a proof of, by `seq`."""
    found = {}
    for path in (port.home / "lightship" / "outbox").glob("*/*/delivered/*.json"):
        payload = json.loads(b64decode(json.loads(path.read_bytes())["publication"]["payload"]))
        found[payload["seq"]] = len(payload["add"])
    return found
