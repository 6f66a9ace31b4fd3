"""Keys, rosters, signed publications as people use them: commands, a served hub, a verifying consumer."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from livehub import LIGHTSHIP
from machine import two_machines
from reference_docs import documented
from signingports import TO, Port, delivered, enrol, marked
from stixsamples import indicator


@pytest.fixture(name="ports")
def _ports(tmp_path: Path) -> Iterator[tuple[Port, Port]]:
    with two_machines(tmp_path, Port) as ports:
        yield ports


def test_from_a_new_key_to_a_verified_pull_and_a_revocation(ports: tuple[Port, Port]) -> None:
    lax, lgb = ports
    enrol(lgb)
    first = [marked(name=f"one {n}") for n in range(300)]
    told = lgb.publish(*first)
    assert [(one["seq"], one["objects"]) for one in told["logged"]] == [(1, 256), (2, 44)]
    assert lax.pull() == {"signed": 300}
    late = lgb.publish(marked(), options=("--at", "2199-01-01"))
    assert [one["until"][:10] for one in late["waiting"]] == ["2199-01-01"]
    bad, good = indicator(), marked()  # the first one has no marking, which this collection asks for
    (refused,) = lgb.publish(bad, good, code=3)["refused"]
    assert {one["id"] for one in refused["failures"]} == {bad["id"], good["id"]}
    assert lgb.publish(good)["logged"][0]["seq"] == 3
    assert lax.pull() == {"signed": 1}
    keyid = lgb.run("keys", "show")["id"]
    order = ("--admin-key", "admin.key", "--previous", "roster-1.json", "--out", "roster-2.json")
    lgb.run("roster", "sign", *order, "--revoke", keyid, "--reason", "stolen")
    handed_in = lgb.run("roster", "apply", "roster-2.json", "--remote")
    assert (handed_in["applied"], handed_in["revoked"]) == (True, [keyid])
    assert "deny-publish-key" in lgb.publish(marked(), code=3)["refused"][0]["why"]
    assert lax.pull() == {}
    assert lgb.hub.command("fsck").startswith("clean")


def test_withdrawing_replacing_and_what_the_outbox_keeps(ports: tuple[Port, Port]) -> None:
    lax, lgb = ports
    enrol(lgb)
    old, new, other, plain = (marked(name=name) for name in ("old", "new", "other", "plain"))
    lgb.publish(old, other, plain)
    assert lax.pull() == {"signed": 3}
    (done,) = lgb.publish(new, options=("--withdraw", old["id"]))["logged"]
    assert (done["seq"], done["objects"], done["withdrawn"]) == (2, 1, 1)
    assert set(done) <= documented("withdraw")
    assert lax.pull() == {"signed": 1}
    gone = f"{old['id']}@{old['modified']}"
    told = lgb.run("withdraw", gone, other["id"], "--from", TO, "--sign", code=3)
    assert {one["id"] for one in told["refused"][0]["failures"]} == {old["id"], other["id"]}
    (kept,) = [json.loads(lgb.run_text("outbox", "list"))]
    assert set(kept) == documented("outbox list")
    assert (kept["collection"], kept["state"], kept["statement"]) == (TO, "refused", 3)
    assert lgb.run("outbox", "retry", TO, "3") == {"collection": TO, "statement": 4, "state": "waiting"}
    assert set(lgb.run("outbox", "drop", "indicators", "4")) == documented("outbox drop")
    assert lgb.run("outbox", "drop", TO, "4", code=3)
    assert lgb.run_text("outbox", "list") == ""
    (done,) = lgb.run("withdraw", other["id"], "--from", TO, "--sign", "--reason", "expired")["logged"]
    assert done["seq"] == 3
    told = lgb.run("withdraw", plain["id"], "--from", TO)
    assert set(told) <= documented("withdraw")
    assert told["withdrawn"] == [{"id": plain["id"], "version": ""}]
    assert lgb.run("withdraw", plain["id"], "--from", TO, code=3)["failures"][0]["id"] == plain["id"]
    assert lax.run("withdraw", new["id"], "--from", TO, code=3)["failures"][0]["id"] == new["id"]
    order = ("pull", TO, "--verify", "--state", "state", "--out", "got.ndjson", "--deletions", "gone.ndjson")
    assert lax.run(*order)["withdrawn"] == 2
    feed = [json.loads(line) for line in (lax.home / "gone.ndjson").read_text().splitlines()]
    assert [(one["id"], one["reason"], one["signed"]) for one in feed] == [
        (other["id"], "expired", True),
        (plain["id"], "publisher", False),
    ]
    assert lgb.hub.command("fsck").startswith("clean")


def logged_and_live(port: Port) -> tuple[str, str] | None:
    """Return an object version that the outbox has proof of and that it did not withdraw."""
    added, left = list[tuple[str, str]](), set[tuple[str, str]]()
    for path in sorted((port.home / "lightship" / "outbox").glob("*/*/delivered/*.json")):
        payload = json.loads(b64decode(json.loads(path.read_bytes())["publication"]["payload"]))
        added += [(one[0], one[1]) for one in payload["add"]]
        left |= {(one[0], one[1]) for one in payload["withdraw"]}
    return next((one for one in added if one not in left), None)


def under_way(port: Port, sending: subprocess.Popen[bytes]) -> None:
    """Wait until a statement is under way, however slow the machine is."""
    end = time.monotonic() + 60
    while not list((port.home / "lightship" / "outbox").glob("*/*/sending.json")):
        if sending.poll() is not None or time.monotonic() > end:
            return
        time.sleep(0.01)


def kill_loop(lax: Port, lgb: Port, rounds: int, objects: int) -> int:
    """Kill hub and publisher with -9 while it publishes; after each round the outbox and the log agree."""
    pulled = 0
    for number in range(rounds):
        lines = [json.dumps(marked()) + "\n" for _ in range(objects)]
        (lgb.home / "o.ndjson").write_text("".join(lines))
        old = logged_and_live(lgb)
        leaving = ["--withdraw", "@".join(old)] if old else []
        sending = subprocess.Popen(
            [LIGHTSHIP, "publish", "o.ndjson", "--to", TO, "--sign", *leaving],
            env=lgb.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=lgb.home,
        )
        try:
            if number % 2 == 0:
                under_way(lgb, sending)
            with contextlib.suppress(subprocess.TimeoutExpired):
                sending.wait(0.05 * (number % 7) + (0.6 if number % 2 else 0.0))
        finally:
            lgb.hub.kill()
            sending.kill()
            sending.wait(30)
        lgb.hub.start()
        rest = lgb.run("publish", "--to", TO, "--sign")
        assert not rest["refused"]
        assert not rest["waiting"]
        proofs = lax.pull()
        assert set(proofs) <= {"signed"}
        pulled += proofs.get("signed", 0)
        chain = delivered(lgb)
        assert sorted(chain) == list(range(1, len(chain) + 1))
        assert pulled == sum(chain.values())
    assert lgb.hub.command("fsck").startswith("clean")
    return pulled


def test_what_a_killed_hub_did_not_answer_goes_again_and_is_logged_once(ports: tuple[Port, Port]) -> None:
    lax, lgb = ports
    enrol(lgb)
    assert kill_loop(lax, lgb, 3, 300) > 0


@pytest.mark.long
def test_outbox_and_log_agree_through_200_rounds_of_kill_9(ports: tuple[Port, Port]) -> None:
    lax, lgb = ports
    enrol(lgb)
    print(f"200 rounds, {kill_loop(lax, lgb, 200, 40)} objects signed, proved and verified")


def test_a_stolen_publish_key_is_traced_distrusted_and_seen_by_who_verifies(ports: tuple[Port, Port]) -> None:
    """From the theft to the deletion feed: what the thief added leaves everywhere, what came before stays."""
    lax, lgb = ports
    enrol(lgb)
    lgb.publish(marked(), marked())
    stolen = [marked() for _ in range(3)]
    entry = lgb.publish(*stolen)["logged"][0]["entry"]  # the thief signs with the very same key
    assert lax.pull() == {"signed": 5}
    keyid = lgb.run("keys", "show")["id"]
    traced = [
        json.loads(one)
        for one in lgb.hub.command("roster", "trace", "exercise", keyid, "--json").splitlines()
    ]
    (found,) = traced
    assert (found["alias"], found["statements"], found["versions"]) == ("indicators", 2, 5)
    order = ("--admin-key", "admin.key", "--previous", "roster-1.json", "--out", "roster-2.json")
    since = ("--revoke", keyid, "--reason", "stolen", "--distrust-from", f"{found['origin']}={entry}")
    assert lgb.run("roster", "sign", *order, *since)["revoked"] == [keyid]
    file = str(lgb.home / "roster-2.json")
    for extra, applied in (("--dry-run",), False), ((), True):
        told = json.loads(lgb.hub.command("roster", "apply", file, "--json", *extra))
        assert told["applied"] is applied
        assert [(one["alias"], one["first"], one["versions"]) for one in told["withdrawn"]] == [
            ("indicators", entry, 3)
        ]
        if not applied:
            assert lax.pull() == {}  # nothing has changed
    options = ("--verify", "--state", "state", "--out", "got.ndjson", "--deletions", "gone.ndjson")
    assert lax.run("pull", TO, *options)["withdrawn"] == 3
    feed = [json.loads(one) for one in (lax.home / "gone.ndjson").read_text().splitlines()]
    assert {(one["id"], one["reason"]) for one in feed} == {(one["id"], "distrusted") for one in stolen}
    watched = ("--member", "uslgb", "--state", "monitor.state")
    (seen,) = [json.loads(one) for one in lgb.run_text("monitor", TO, *watched, code=1).splitlines()]
    assert (seen["proof"], set(seen["withdrawn"])) == ("distrusted", {one["id"] for one in stolen})
    assert "deny-publish-key" in lgb.publish(marked(), code=3)["refused"][0]["why"]
    bad = ("--revoke", keyid, "--distrust-from", "elsewhere/c/1=0", "--out", "roster-3.json")
    lgb.run("roster", "sign", "--admin-key", "admin.key", "--previous", "roster-2.json", *bad)
    refused = lgb.hub.command("roster", "apply", str(lgb.home / "roster-3.json"), "--json", check=False)
    assert "applied" not in refused
    assert lgb.hub.command("fsck").startswith("clean")


def test_signed_statements_only_from_the_agreement_to_the_refusal_and_the_way_out(
    ports: tuple[Port, Port],
) -> None:
    lax, lgb = ports
    enrol(lgb)
    file = lgb.hub.dir / "agreements" / "exercise" / "agreement.toml"
    text = file.read_text()
    assert "[collections.indicators]\n" in text
    file.write_text(
        text.replace("[collections.indicators]\n", "[collections.indicators]\nrequire_signature = true\n")
    )
    checked = json.loads(lgb.hub.command("agreement", "check", "exercise", "--json"))
    assert any("require_signature" in one for one in checked["impact"])
    assert any("no admin_key" in one for one in checked["notes"])
    lgb.hub.command("agreement", "apply", "exercise")
    (lgb.home / "o.ndjson").write_text(json.dumps(marked()) + "\n")
    refused = lgb.run_text("publish", "o.ndjson", "--to", TO, code=3)
    assert "deny-unsigned" in refused
    assert "publish --sign" in refused
    assert not lgb.run("why", "me", "publish", TO, "--remote", code=0)["allowed"]
    assert lgb.run("why", "me", "publish", TO, "--sign", "--remote")["allowed"]
    assert lgb.publish(marked())["logged"]
    assert lax.pull() == {"signed": 1}
