"""`lightship doctor` at a real hub and in its directory: what is suspended, whose key signs nothing."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from lightship.cli import doctor
from lightship.client.hub import Client
from lightship.client.standing import examine_standing
from lightship.crypto import sign
from lightship.keys.hub_key import load_hub_key
from lightship.usecases.suspensions import Suspending
from signedhub import SignedHub, now_of, signed_hub


@pytest.fixture(name="hub")
def _hub(tmp_path: Path) -> SignedHub:
    return signed_hub(tmp_path, collections={"indicators": {"require_signature": True}})


def said(hub: SignedHub) -> str:
    return " | ".join(f"{one.check}: {one.text}" for one in doctor._inside(hub.kit.hub.dir))


def remote(hub: SignedHub, key: str) -> dict[str, str]:
    with Client(hub.connection("uslgb")) as client:
        return {one.check: one.verdict for one in examine_standing(client, key, now_of(hub))}


def suspend(hub: SignedHub, member: str, key: str = "") -> None:
    held = hub.kit.hub
    work = Suspending(held.registry, held.directory, sign.verify, load_hub_key(held.dir), held.signing)
    work.suspend(
        *(hub.kit.agreement, member), key=key, hours=2, reason="Tested", req=uuid4().hex, now=now_of(hub)
    )


def test_doctor_names_what_is_stopped_and_who_cannot_sign(hub: SignedHub) -> None:
    try:
        found = said(hub)
        for member in ("uslax", "uslgb"):
            assert f"{member} must sign in exercise, and no roster in force lists a key of it" in found
        assert remote(hub, "a" * 64)["publish key"] == "warning"
        key = hub.enrol("uslgb")
        assert "uslgb must sign" not in said(hub)
        assert remote(hub, key.keyid) == {"agreement": "ok", "publish key": "ok"}
        suspend(hub, "", key.keyid)
        suspend(hub, "uslgb")
        assert f"key {key.keyid} (Tested)" in said(hub)
        assert "member uslgb (Tested)" in said(hub)
        assert remote(hub, key.keyid) == {"agreement": "ok", "suspension": "failed", "publish key": "failed"}
        hub.revoke("uslgb")
        assert "uslgb must sign" in said(hub)
        suspend(hub, "")
        assert "suspended in exercise until" in said(hub)
        assert remote(hub, "")["agreement"] == "failed"
    finally:
        hub.kit.close()
