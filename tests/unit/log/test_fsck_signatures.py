"""fsck of signed statements and rosters: what no key of the member signed is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fsckhub import damage
from lightship.crypto.sign import verify
from lightship.keys.hub_key import load_hub_key
from lightship.storage.fsck import fsck
from lightship.storage.fsck_log import HubKey
from signedhub import SignedHub, signed_hub
from stixsamples import indicator

SIGNATURE = (
    "CAST(replace(CAST(signatures AS TEXT), substr(CAST(signatures AS TEXT), 90, 20), 'AAAABBBBCCCCDDDDEEEE')"
    " AS BLOB) WHERE signatures <> x''"
)


@pytest.fixture(name="hub")
def _hub(tmp_path: Path) -> Iterator[SignedHub]:
    hub = signed_hub(tmp_path)
    hub.enrol("uslgb")
    one = indicator()
    assert "leaf" in hub.post("uslgb", hub.statement("uslgb", [one]), [one]).json()
    yield hub
    hub.kit.close()


def said(hub: SignedHub) -> str:
    folder = hub.kit.hub.dir
    key = HubKey(load_hub_key(folder).public, verify)
    return "\n".join(f"{one.where}: {one.what}" for one in fsck(folder / "data", key=key).findings)


def test_what_was_signed_and_not_touched_is_clean(hub: SignedHub) -> None:
    assert said(hub) == ""


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (f"UPDATE statement SET signatures = {SIGNATURE}", "no signature of it is one by its key"),
        ("UPDATE statement SET by = 'uslax' WHERE signatures <> x''", "no roster of uslax"),
        ("UPDATE statement SET signatures = x'00' WHERE signatures <> x''", "cannot be read"),
        ("UPDATE statement SET signatures = x'' WHERE signatures <> x''", "has no signature"),
        ("DELETE FROM roster", "a roster of uslgb that is not kept"),
        ("UPDATE roster SET admin_key = 'ed25519:x'", "names another admin key"),
        ("UPDATE roster SET version = 2", "not the one that is stored"),
        ("UPDATE roster SET envelope = x'00'", "roster 1 of uslgb in exercise: it cannot be read"),
    ],
)
def test_a_change_is_named(hub: SignedHub, change: str, expected: str) -> None:
    damage(hub.kit.hub.dir / "data" / "hub.db", change)
    assert expected in said(hub)
