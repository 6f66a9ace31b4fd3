"""Client certificates as people use them: issued, bound or listed in a roster; stock clients, commands, two
serving processes; and a collection that takes objects over such connections only."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import ssl
import stat
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import requests
from taxii2client.v21 import Server

from clientcerts import hub_authority, make_pair, other_authority
from livehub import TAXII, LiveHub, live_hub
from machine import Machine
from reference_docs import documented
from stixsamples import indicator

AMBER_STRICT = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"
GUARDED, OPEN = "exercise/indicators", "exercise/sightings"
SAY = "certificate"


class Tool(Machine):
    """A member's machine, with the profile of its last login; its commands answer in JSON."""

    run = Machine.ask

    def login(self, *options: str, stdin: str = "") -> Any:
        return self.run("login", self.hub.url, "--ca-file", self.hub.ca, *options, stdin=stdin)

    def publish(self, target: str, *objects: Any, code: int = 0, options: tuple[str, ...] = ()) -> Any:
        return self.run("publish", self.write(*objects), "--to", target, *options, code=code)


def marked(**over: Any) -> dict[str, Any]:
    return indicator(object_marking_refs=[AMBER_STRICT], **over)


@pytest.fixture(name="hub", scope="module")
def _hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """Two processes serve; `uslgb` has an admin key, and `indicators` wants certificates of who writes."""
    with live_hub(
        tmp_path_factory.mktemp("certified"), sample="exercise", members=("uslax", "uslgb"), workers=2
    ) as hub:
        admin = json.loads(hub.command("keys", "generate", str(hub.dir.parent / "admin.key"), "--json"))
        file = hub.dir / "agreements" / "exercise" / "agreement.toml"
        text = file.read_text()
        for line, more in (
            ("[members.uslgb]\n", f'admin_key = "{admin["key"]}"\n'),
            ("[collections.indicators]\n", "require_certificate_to_write = true\n"),
        ):
            assert line in text
            text = text.replace(line, line + more)
        file.write_text(text)
        hub.command("agreement", "apply", "exercise")
        yield hub


@pytest.fixture(name="tool")
def _tool(hub: LiveHub, tmp_path: Path) -> Tool:
    return Tool(hub, tmp_path)


def issue(hub: LiveHub, name: str, folder: Path) -> dict[str, Any]:
    """Have a certificate issued into a folder; what the command printed."""
    order = ("credential", "mint", "exercise", name, "--issue-certificate", "--days", "30")
    made: dict[str, Any] = json.loads(hub.command(*order, "--out", str(folder), "--json"))
    return made


def connected(hub: LiveHub, made: dict[str, Any] | None, member: str = "") -> httpx2.Client:
    """Return a client with one connection, with a certificate, a secret or both."""
    context = ssl.create_default_context(cafile=hub.ca)
    if made is not None:
        context.load_cert_chain(made["certificate_file"], made["key_file"])
    return httpx2.Client(
        base_url=hub.root,
        auth=hub.secrets[member] if member else None,
        headers={"Accept": TAXII, "Content-Type": TAXII},
        verify=context,
        timeout=30,
        trust_env=False,
        limits=httpx2.Limits(max_connections=1, max_keepalive_connections=1),
    )


def test_an_issued_certificate_and_its_key_are_kept_safe(hub: LiveHub, tmp_path: Path) -> None:
    made = issue(hub, "uslax/safe", tmp_path)
    assert set(made) <= documented("credential mint")
    assert (made["name"], made["kind"], made["state"]) == ("uslax-safe", "certificate", "valid")
    key, certificate = Path(made["key_file"]), Path(made["certificate_file"])
    assert stat.S_IMODE(key.stat().st_mode) == 0o400
    assert "PRIVATE" in key.read_text()
    assert "PRIVATE" not in json.dumps(made) + certificate.read_text()
    pin = json.loads(hub.command("keys", "pin", str(certificate), "--json"))
    assert pin["pin"] == made["pin"]
    assert set(pin) == documented("keys pin")
    listed = [json.loads(line) for line in hub.command("credential", "list", "--json").splitlines()]
    assert made["pin"] in {one["pin"] for one in listed}
    one_file = tmp_path / "together.pem"
    again = json.loads(
        hub.command(
            *("credential", "rotate", "uslax-safe", "--issue-certificate", "--out", str(one_file), "--json")
        )
    )
    assert again["pin"] != made["pin"]
    assert stat.S_IMODE(one_file.stat().st_mode) == 0o400
    with connected(hub, made) as old, connected(hub, again) as new:
        assert (old.get("collections/").status_code, new.get("collections/").status_code) == (401, 200)


def test_a_mint_that_fails_leaves_no_key_and_a_file_that_is_there_is_not_touched(
    hub: LiveHub, tmp_path: Path
) -> None:
    order = ("credential", "mint", "exercise", "nobody/x", "--issue-certificate", "--out", str(tmp_path))
    hub.command(*order, check=False)
    assert list(tmp_path.iterdir()) == []
    taken = tmp_path / "uslax-y.key"
    taken.write_text("mine")
    hub.command(
        *("credential", "mint", "exercise", "uslax/y", "--issue-certificate", "--out", str(tmp_path)),
        check=False,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["uslax-y.key"]
    assert taken.read_text() == "mine"
    assert "uslax-y" not in hub.command("credential", "list")


def test_stock_clients_come_in_by_secret_token_and_certificate(
    hub: LiveHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", hub.ca)  # wins over what a session says
    made = issue(hub, "uslax/stock", tmp_path)
    user, secret = hub.secrets["uslax"]
    both = (made["certificate_file"], made["key_file"])
    logins: list[dict[str, Any]] = [{"cert": both}, {"user": user, "password": secret}]
    for login in logins:
        (root,) = Server(f"{hub.url}/taxii2/", verify=hub.ca, **login).api_roots
        writes = {one.title: one.can_write for one in root.collections}
        assert writes["Exercise indicators"] is ("cert" in login)
        assert writes["Exercise sightings"] is True
        (shown,) = [one for one in root.collections if one.title == "Exercise indicators"]
        assert "objects" in shown.get_objects() or shown.get_objects() == {"more": False}
    with requests.Session() as session:
        session.verify, session.cert, session.trust_env = hub.ca, both, False
        assert session.get(f"{hub.root}collections/", headers={"Accept": TAXII}).status_code == 200
    curl = [
        "curl",
        "-sS",
        "--cacert",
        hub.ca,
        "-H",
        f"Accept: {TAXII}",
        "-w",
        "%{http_code}",
        "-o",
        os.devnull,
    ]
    assert shutil.which("curl")
    for options, expected in (
        (["--cert", both[0], "--key", both[1]], "200"),
        (["-u", f"{user}:{secret}"], "200"),
        (["-H", f"Authorization: Bearer {secret}"], "200"),
        (["--cert", both[0], "--key", both[1], "-H", "Authorization: Bearer wrong"], "401"),
        ([], "401"),
    ):
        done = subprocess.run(
            [*curl, *options, f"{hub.root}collections/"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, expected), (options, done.stderr)


def test_the_command_line_uses_a_certificate_from_its_profile(hub: LiveHub, tool: Tool) -> None:
    made = issue(hub, "uslax/cli", tool.home)
    files = ("--client-cert", made["certificate_file"], "--client-key", made["key_file"])
    assert tool.login(*files)["agreements"] == ["exercise"]
    assert tool.publish(GUARDED, marked(name="by certificate"))["success"] == 1
    pulled = tool.home / "got.ndjson"
    tool.run("pull", GUARDED, "--state", "state", "--out", str(pulled))
    assert "by certificate" in pulled.read_text()
    found = {one["check"]: one for one in tool.run("doctor")["findings"]}
    assert found["client"]["verdict"] == "ok"
    assert made["pin"] in found["client"]["text"]
    Path(made["key_file"]).chmod(0o444)
    told = tool.run("pull", GUARDED, "--state", "state", "--out", str(pulled), code=2)["error"]
    assert (told["title"], told["todo"]) == (
        "The client key's file is open to others",
        f"chmod 400 {made['key_file']}",
    )


def test_a_certificate_that_the_handshake_refuses_is_explained_as_far_as_tls_says(
    hub: LiveHub, tool: Tool
) -> None:
    strange = make_pair(tool.home / "strange", other_authority())
    strange.file.chmod(0o400)
    told = tool.run(*("login", hub.url, "--ca-file", hub.ca, "--client-cert", str(strange.file)), code=4)[
        "error"
    ]
    assert "client certificate" in told["title"] + told["todo"]
    assert "client certificates are refused in the handshake" in (hub.dir / "serve.log").read_text()


# --- a collection that wants certificates of who writes ----------------------------------------------


def test_a_collection_that_requires_a_certificate_refuses_a_token_and_says_why(
    hub: LiveHub, tmp_path: Path
) -> None:
    made = issue(hub, "uslgb/writer", tmp_path)
    guarded = f"collections/{hub.collection('indicators')}/"
    one = marked()
    with (
        connected(hub, None, "uslgb") as token,
        connected(hub, made) as alone,
        connected(hub, made, "uslgb") as both,
        connected(hub, made, "uslax") as stranger,
    ):
        for client, may in ((token, False), (alone, True), (both, True), (stranger, False)):
            assert client.get(guarded).json()["can_write"] is may
            assert client.get(guarded).json()["can_read"] is True
            assert client.get(f"{guarded}objects/").status_code == 200
        for client in (token, stranger):
            refused = client.post(f"{guarded}objects/", json={"objects": [one]})
            assert refused.status_code == 403
            assert refused.json()["details"]["rule"] == "deny-no-certificate"
            assert SAY in refused.json()["description"]
        assert alone.post(f"{guarded}objects/", json={"objects": [one]}).json()["success_count"] == 1
        assert both.post(f"{guarded}objects/", json={"objects": [marked()]}).json()["success_count"] == 1
        for client in (token, stranger):
            assert client.delete(f"{guarded}objects/{one['id']}/").status_code == 403
        assert token.get(f"{guarded}objects/{one['id']}/").status_code == 200
        assert both.delete(f"{guarded}objects/{one['id']}/").status_code == 200
        open_ = f"collections/{hub.collection('sightings')}/objects/"
        assert token.post(open_, json={"objects": [marked()]}).json()["success_count"] == 1
    events = [
        json.loads(line) for line in hub.command("audit", "search", "--json", "--limit", "1000").splitlines()
    ]
    assert "deny-no-certificate" in {one["rule"] for one in events if one["act"] == "publish"}


def test_the_steward_is_told_why(hub: LiveHub, tmp_path: Path) -> None:
    issue(hub, "uslgb/asked", tmp_path)

    def decided(who: str, *more: str) -> tuple[bool, set[str]]:
        told = json.loads(hub.command("why", who, "publish", GUARDED, *more, "--json"))
        return told["allowed"], {one["rule"] for one in told["reasons"]}

    assert decided("uslgb-tool") == (False, {"deny-no-certificate"})
    assert decided("uslgb-asked") == (True, {"allow-publisher-publish"})
    assert decided("uslgb-tool", "--certificate") == (True, {"allow-publisher-publish"})


def test_signed_statements_need_the_certificate_too(hub: LiveHub, tool: Tool) -> None:
    made = issue(hub, "uslgb/signer", tool.home)
    key = tool.run("keys", "generate")
    last = roster(hub, tool, "--add", key["key"])
    user, secret = hub.secrets["uslgb"]
    (tool.home / "secret").touch(0o600)
    (tool.home / "secret").write_text(secret)
    basic = ("--user", user, "--secret-file", str(tool.home / "secret"))
    tool.login(*basic)
    refused = tool.publish(GUARDED, marked(name="signed"), options=("--sign",), code=3)
    assert "deny-no-certificate" in json.dumps(refused)
    tool.login(*basic, "--client-cert", made["certificate_file"], "--client-key", made["key_file"])
    told = tool.publish(GUARDED, marked(name="signed again"), options=("--sign",))
    assert told["logged"], told
    assert last["version"] >= 1


def roster(hub: LiveHub, tool: Tool, *changes: str) -> Any:
    """Sign and apply the next roster of `uslgb`."""
    kept = hub.dir.parent / "roster.json"
    order: tuple[str, ...]
    if kept.exists():
        order = ("--previous", str(kept))
    else:
        with hub.client("uslgb") as client:
            url = f"{hub.url}/agreements/exercise/1.json"
            envelope = client.get(url, headers={"Accept": "application/json"}).json()
        first = hashlib.sha256(b64decode(envelope["payload"])).hexdigest()
        order = ("--agreement", "exercise", "--first", first, "--member", "uslgb")
    made = tool.home / "next.json"
    admin = str(hub.dir.parent / "admin.key")
    tool.run("roster", "sign", "--admin-key", admin, *order, *changes, "--out", str(made))
    done = json.loads(hub.command("roster", "apply", str(made), "--json"))
    made.rename(kept)
    return done


def test_a_stolen_client_key_is_refused_at_its_next_request_in_every_process(
    hub: LiveHub, tool: Tool
) -> None:
    made = issue(hub, "uslgb/stolen", tool.home)
    listed = make_pair(tool.home / "listed", hub_authority(hub.dir), "listed")
    shown = {"certificate_file": str(listed.file), "key_file": str(listed.file)}
    assert roster(hub, tool, "--client", str(listed.file))["clients"] == [listed.pin]
    guarded = f"collections/{hub.collection('indicators')}/objects/"
    for files, stop in (
        (made, lambda: hub.command("credential", "revoke", "uslgb-stolen")),
        (shown, lambda: roster(hub, tool, "--drop-client", listed.pin)),
    ):
        thieves = [connected(hub, files) for _ in range(6)]  # some with each of the two processes
        try:
            for thief in thieves:
                assert thief.post(guarded, json={"objects": [marked()]}).status_code == 202
            stop()
            for thief in thieves:
                assert thief.post(guarded, json={"objects": [marked()]}).status_code == 401
                assert thief.get(guarded).status_code == 401
        finally:
            for thief in thieves:
                thief.close()
    assert hub.command("fsck").startswith("clean")


def test_a_key_that_was_replaced_is_refused_although_the_roster_still_lists_it(
    hub: LiveHub, tool: Tool
) -> None:
    made = issue(hub, "uslgb/replaced", tool.home)
    roster(hub, tool, "--client", made["certificate_file"])
    objects = f"collections/{hub.collection('indicators')}/objects/"
    with connected(hub, made) as thief:
        assert thief.get(objects).status_code == 200
        new = str(tool.home / "new.pem")
        hub.command("credential", "rotate", "uslgb/replaced", "--issue-certificate", "--out", new)
        assert thief.get(objects).status_code == 401
    roster(hub, tool, "--drop-client", made["pin"])
    with connected(hub, {"certificate_file": new, "key_file": new}) as tool_of_now:
        assert tool_of_now.get(objects).status_code == 200
