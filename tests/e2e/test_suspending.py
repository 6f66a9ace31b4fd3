"""Suspending on the command line while the hub serves; who it is not about can tell nothing of it."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubkit import HubKit, make_hub
from lightship.cli.main import execute
from probehub import probe_hub
from reference_docs import documented
from signedhub import signed_hub

VARYING = {"date", "x-request-id", "audit-receipt"}
ERROR_ID = re.compile(rb'"error_id":"[0-9a-f-]{36}"')


@pytest.fixture(name="kit")
def _kit(tmp_path: Path) -> Iterator[HubKit]:
    with make_hub(tmp_path, store="sqlite") as kit:
        yield kit


def run(kit: HubKit, *arguments: str) -> tuple[int, str, str]:
    """Run a command on the hub; return exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = execute([*arguments, "--hub", str(kit.hub.dir)])
    return code, out.getvalue(), err.getvalue()


def told(kit: HubKit, *arguments: str) -> Any:
    code, out, err = run(kit, *arguments, "--json")
    assert code in {0, 3}, err
    return json.loads(out)


def test_a_member_is_stopped_shown_explained_and_comes_back(kit: HubKit) -> None:
    path = kit.path("indicators", "objects/")
    order = (
        "agreement",
        "suspend",
        kit.agreement,
        "--member",
        "uslgb",
        "--hours",
        "24",
        "--reason",
        "Stolen",
    )
    with kit.serve() as served, served.client("uslgb") as client:
        assert client.get(path).status_code == 200
        done = told(kit, *order, "--yes")
        assert set(done) == documented("agreement suspend")
        assert (done["member"], done["number"]) == ("uslgb", 1)
        refused = client.get(path)
        assert refused.status_code == 403
        assert "deny-suspended" in refused.text
        shown = told(kit, "agreement", "show", kit.agreement)
        assert [(one["member"], one["reason"]) for one in shown["suspensions"]] == [("uslgb", "Stolen")]
        why = told(kit, "why", "uslgb", "read", f"{kit.agreement}/indicators")
        assert why["rule"] == "deny-suspended"
        assert done["until"][:16] in why["say"]
        assert set(told(kit, "agreement", "resume", kit.agreement, "--member", "uslgb")) == set(done)
        assert client.get(path).status_code == 200
    code, _, err = run(kit, *order, "--yes")
    assert code != 0
    assert "may stop the same target again from" in err
    acts = [(one.act, one.cred) for one in kit.events() if one.act in {"suspend", "resume"}]
    assert acts == [("suspend", "steward"), ("resume", "steward")]


def test_a_key_is_stopped_by_its_id_and_shown(tmp_path: Path) -> None:
    hub = signed_hub(tmp_path)
    try:
        keyid = hub.enrol("uslgb").keyid
        order = ("agreement", "suspend", hub.kit.agreement, "--hours", "12", "--reason", "Stolen", "--yes")
        assert run(hub.kit, *order, "--key", "0" * 64)[0] != 0
        assert run(hub.kit, *order, "--key", keyid, "--member", "uslgb")[0] == 2
        code, out, err = run(hub.kit, *order, "--key", keyid)
        assert (code, f"Key {keyid}" in out) == (0, True), err
        assert "of uslgb" in err
        assert f"agreement resume {hub.kit.agreement} --key {keyid}" in err
        shown = told(hub.kit, "agreement", "show", hub.kit.agreement)
        assert [(one["key"], one["member"]) for one in shown["suspensions"]] == [(keyid, None)]
        assert shown["status"] == "in-force"
        assert f"key {keyid} (Stolen)" in run(hub.kit, "agreement", "show", hub.kit.agreement)[1]
        assert told(hub.kit, "agreement", "resume", hub.kit.agreement, "--key", keyid)["key"] == keyid
        assert told(hub.kit, "agreement", "show", hub.kit.agreement)["suspensions"] == []
    finally:
        hub.kit.close()


def test_all_of_it_is_stopped_and_more_than_72_hours_cannot_be_asked_for(kit: HubKit) -> None:
    order = ("agreement", "suspend", kit.agreement, "--reason", "Incident", "--yes", "--hours")
    assert run(kit, *order, "73")[0] == 2
    assert run(kit, *order, "72")[0] == 0
    assert told(kit, "agreement", "show", kit.agreement)["status"] == "suspended"
    assert "suspended by hub until" in run(kit, "agreement", "show", kit.agreement)[1]


def test_a_stranger_cannot_tell_a_suspended_agreement_from_one_that_is_not() -> None:
    def seen(reply: Any) -> Any:
        headers = {key: value for key, value in reply.headers.items() if key not in VARYING}
        return reply.status, headers, ERROR_ID.sub(b"*", reply.body)

    with probe_hub() as hub:
        places = [hub.place(one) for one in ("root", "collections", "objects", "staged", "why", "version")]
        before = [seen(hub.stranger.get(place)) for place in places]
        hub.suspend("uslgb")
        hub.suspend()
        assert [seen(hub.stranger.get(place)) for place in places] == before
        assert [one[0] for one in before[:3]] == [404] * 3
