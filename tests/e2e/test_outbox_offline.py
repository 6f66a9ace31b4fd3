"""What is signed for while the hub is down: kept by the machine, sent once and in order when it is back."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from livehub import LIGHTSHIP
from machine import two_machines
from signingports import TO, Port, enrol, marked


@pytest.fixture(name="ports")
def _ports(tmp_path: Path) -> Iterator[tuple[Port, Port]]:
    with two_machines(tmp_path, Port) as ports:
        enrol(ports[1])
        yield ports


def unanswered(port: Port, *arguments: str) -> tuple[dict[str, Any], str]:
    """Run a command that ends with 4; return what it printed on stdout, and what to do."""
    done = port.call(*arguments, "--json", code=4)
    error = json.loads(done.stderr.splitlines()[-1])["error"]
    assert error["code"] == "unreachable"
    return json.loads(done.stdout or "{}"), error["todo"]


def listed(port: Port) -> list[dict[str, Any]]:
    return [json.loads(one) for one in port.run_text("outbox", "list").splitlines()]


def chain(port: Port) -> list[dict[str, Any]]:
    """Return the payloads of what was proved logged, in the key's order; their numbers have no gap."""
    found = {}
    for path in (port.home / "lightship" / "outbox").glob("*/*/delivered/*.json"):
        payload = json.loads(b64decode(json.loads(path.read_bytes())["publication"]["payload"]))
        assert payload["seq"] not in found
        found[payload["seq"]] = payload
    assert sorted(found) == list(range(1, len(found) + 1))
    return [found[seq] for seq in sorted(found)]


def logged_ids(port: Port) -> list[str]:
    return [one[0] for payload in chain(port) for one in payload["add"]]


def in_our_name(port: Port) -> int:
    """Return how many statements the log has in our name that this machine's outbox did not send."""
    watched = ("--member", "uslgb", "--state", "monitor.state")
    return len(port.run_text("monitor", TO, *watched).splitlines())


def publishing(port: Port, file: str = "", objects: list[Any] | None = None) -> subprocess.Popen[bytes]:
    """Start a tool that publishes a file of objects, or what waits."""
    if objects is not None:
        (port.home / file).write_text("".join(json.dumps(one) + "\n" for one in objects))
    return subprocess.Popen(
        [LIGHTSHIP, "publish", *([file] if file else []), "--to", TO, "--sign"],
        env=port.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=port.home,
    )


def test_what_is_published_while_the_hub_is_down_leaves_once_and_in_order(ports: tuple[Port, Port]) -> None:
    lax, lgb = ports
    old = marked(name="old")
    lgb.publish(old)
    assert lgb.hub.stop() == 0
    first, second = [marked(name=f"{n}") for n in range(300)], [marked(name="second")]
    order = ("publish", lgb.write(*first), "--to", TO, "--sign")
    told, todo = unanswered(lgb, *order)
    assert [one["statement"] for one in told["waiting"]] == [2, 3]
    assert todo.startswith("Kept: 300 objects wait in the outbox;")
    assert f"`lightship publish --to {TO} --sign`" in todo
    assert unanswered(lgb, *order)[0] == told  # who repeats the command says nothing twice
    told, todo = unanswered(lgb, "publish", lgb.write(*second), "--to", TO, "--sign")
    assert [one["statement"] for one in told["waiting"]] == [2, 3, 4]
    assert todo.startswith("Kept: 301 objects wait")
    gone = f"{old['id']}@{old['modified']}"
    _, todo = unanswered(lgb, "withdraw", gone, "--from", TO, "--sign")
    assert todo.startswith("Kept: 302 objects wait")
    told, todo = unanswered(lgb, "withdraw", old["id"], "--from", TO, "--sign")
    assert (told, todo) == ({}, f"Name the versions of {old['id']}, as ID@VERSION, to have it kept here")
    rows = listed(lgb)
    assert [(one["state"], len(one["added"]), one["withdrawn"]) for one in rows] == [
        ("waiting", 256, []),
        ("waiting", 44, []),
        ("waiting", 1, []),
        ("waiting", 0, [gone]),
    ]
    assert chain(lgb)[1:] == []
    lgb.hub.start()
    done = lgb.run("publish", "--to", TO, "--sign")
    assert [(one["seq"], one["objects"], one["withdrawn"]) for one in done["logged"]] == [
        (2, 256, 0),
        (3, 44, 0),
        (4, 1, 0),
        (5, 0, 1),
    ]
    assert (done["refused"], done["waiting"]) == ([], [])
    assert logged_ids(lgb) == [one["id"] for one in (old, *first, *second)]
    assert lgb.run("publish", "--to", TO, "--sign")["logged"] == []
    assert listed(lgb) == []
    assert in_our_name(lgb) == 0
    assert lax.pull() == {"signed": 301}
    assert lgb.hub.command("fsck").startswith("clean")


def test_where_nothing_was_verified_before_nothing_is_kept_and_it_says_so(ports: tuple[Port, Port]) -> None:
    """The other end of the promise: a machine that knows no log cannot know what it would say where."""
    _, lgb = ports
    lgb.hub.kill()
    order = ("publish", lgb.write(marked()), "--to", TO, "--sign")
    told, todo = unanswered(lgb, *order)
    assert told == {}
    assert todo.startswith(f"Nothing is kept: this key has not verified the log of {TO}")
    assert listed(lgb) == []
    lgb.hub.start()
    lgb.publish(marked())
    lgb.hub.kill()
    for other in ("indicators", "exercise/incidents", "other/indicators"):
        told, todo = unanswered(lgb, "publish", "o.ndjson", "--to", other, "--sign")
        assert told == {}
        assert todo.startswith("Nothing is kept")
    lgb.run("keys", "generate", "second.key")
    told, todo = unanswered(lgb, *order, "--key-file", "second.key")
    assert (told, todo[:15]) == ({}, "Nothing is kept")
    assert listed(lgb) == []
    assert unanswered(lgb, "publish", "--to", TO, "--sign")[0] == {}  # nothing waits: nothing to tell


def test_a_hub_that_goes_away_while_statements_leave(ports: tuple[Port, Port]) -> None:
    """What was proved is told, what was not waits, and the numbers of the key have no gap."""
    lax, lgb = ports
    objects = [marked() for _ in range(256 * 12)]
    (lgb.home / "many.ndjson").write_text("".join(json.dumps(one) + "\n" for one in objects))
    command = [str(LIGHTSHIP), "publish", "many.ndjson", "--to", TO, "--sign", "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=lgb.environment, cwd=lgb.home, text=True, stdout=pipe, stderr=pipe
    ) as tool:
        end = time.monotonic() + 60
        while not list((lgb.home / "lightship" / "outbox").glob("*/*/delivered/*.json")):
            assert time.monotonic() < end
            time.sleep(0.005)
        lgb.hub.kill()
        out, err = tool.communicate(timeout=90)
    assert tool.returncode == 4, (out, err)
    told, error = json.loads(out), json.loads(err.splitlines()[-1])["error"]
    assert told["logged"]
    assert len(told["logged"]) + len(told["waiting"]) == 12
    assert error["todo"].startswith(f"Kept: {256 * len(told['waiting'])} objects wait")
    lgb.hub.start()
    rest = lgb.run("publish", "--to", TO, "--sign")
    assert len(rest["logged"]) == len(told["waiting"])
    assert logged_ids(lgb) == [one["id"] for one in objects]
    assert lax.pull() == {"signed": len(objects)}
    assert in_our_name(lgb) == 0


def keeping(port: Port, tool: subprocess.Popen[bytes]) -> None:
    """Wait until something new waits in the outbox, one statement of two perhaps, or the tool has ended."""
    end = time.monotonic() + 60
    while not list((port.home / "lightship" / "outbox").glob("*/*/queue/*.json")):
        if tool.poll() is not None or time.monotonic() > end:
            return
        time.sleep(0.001)


def outages(lax: Port, lgb: Port, rounds: int, seed: int) -> int:
    """Kill tools with -9 in outages and after them, two side by side; nothing is said twice, nothing lost."""
    chance = random.Random(seed)
    first = marked()
    lgb.publish(first)
    expected = {first["id"]}
    for number in range(rounds):
        lgb.hub.kill()
        batches = {f"{number}-{tool}.ndjson": [marked() for _ in range(260)] for tool in "ab"}
        tools = [publishing(lgb, file, objects) for file, objects in batches.items()]
        if number % 2 == 0:
            keeping(lgb, tools[0])
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                tools[0].wait(chance.uniform(3.5, 8))  # it asks the hub four times before it keeps
        for one in tools[: (number + 1) % 3]:
            one.kill()
        for one in tools:
            one.wait(60)
        for file, objects in batches.items():  # who was not told that it is kept says it again
            lgb.call("publish", file, "--to", TO, "--sign", code=4)
            expected |= {one["id"] for one in objects}
        lgb.hub.start()
        tools = [publishing(lgb), publishing(lgb)]
        with contextlib.suppress(subprocess.TimeoutExpired):
            tools[0].wait(chance.uniform(0.4, 1.5))
        tools[0].kill()
        assert [one.wait(90) for one in tools][1] == 0
        rest = lgb.run("publish", "--to", TO, "--sign")
        assert (rest["refused"], rest["waiting"]) == ([], [])
        assert Counter(logged_ids(lgb)) == Counter(expected)
        assert in_our_name(lgb) == 0
        assert set(lax.pull()) <= {"signed"}
    assert lgb.hub.command("fsck").startswith("clean")
    return len(expected)


def test_tools_killed_in_an_outage_and_after_it_say_everything_once(ports: tuple[Port, Port]) -> None:
    assert outages(*ports, rounds=2, seed=1) == 1041


@pytest.mark.long
def test_thirty_outages_say_everything_once(ports: tuple[Port, Port]) -> None:
    print(f"30 outages, {outages(*ports, rounds=30, seed=2)} objects, each logged once")
