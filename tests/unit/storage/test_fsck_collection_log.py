"""fsck of the logs of collections: a changed byte is named by its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsckhub import damage, findings, make_hub
from lightship.crypto.sign import new_signing_key, verify
from lightship.storage.fsck import fsck
from lightship.storage.fsck_log import HubKey
from lightship.storage.sqlite.access_tree import Sealer
from lightship.storage.sqlite.store import open_store
from storekit import HandClock, activate, candidate, publish

KEY = new_signing_key()
SEALER = Sealer("hub.test", KEY.public, KEY.sign)


@pytest.fixture(name="hub_dir")
def _hub_dir(tmp_path: Path) -> Path:
    make_hub(tmp_path)
    assert not findings(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE statement SET at = at - 1 WHERE idx = 1 AND collection = 1", "collection 1, statement 1"),
        ("UPDATE statement SET by = 'eve' WHERE idx = 1 AND collection = 1", "collection 1, statement 1"),
        (
            "UPDATE statement SET body = CAST(replace(CAST(body AS TEXT), '\"seq\":0', '\"seq\":1') AS BLOB)"
            " WHERE key IN (SELECT key FROM statement WHERE idx = 1 AND collection = 1)",
            "collection 1, statement 1",
        ),
        ("UPDATE statement SET hash = zeroblob(32) WHERE idx = 1 AND collection = 1", "statement 1"),
        (
            "UPDATE log_head SET size = size + 1, peaks = zeroblob(32) WHERE collection = 1",
            "log of collection 1",
        ),
        ("UPDATE log_head SET peaks = zeroblob(length(peaks)) WHERE collection = 1", "its head is not that"),
        ("DELETE FROM log_head WHERE collection = 1", "it has 0 entries"),
        ("UPDATE log_head SET note = x'00' WHERE collection = 1", "its checkpoint does not hold"),
    ],
)
def test_damage_of_a_log_is_named(hub_dir: Path, statement: str, said: str) -> None:
    damage(hub_dir / "hub.db", statement)
    assert any(said in one for one in findings(hub_dir))


def test_a_subtree_and_a_signature_are_checked(tmp_path: Path) -> None:
    store = open_store(tmp_path, HandClock(), sealer=SEALER)
    activate(store, 1)
    for number in range(300):
        publish(store, candidate(number))
    store.close()

    def said(key: HubKey) -> str:
        return "\n".join(f"{one.where}: {one.what}" for one in fsck(tmp_path, key=key).findings)

    assert "log of collection" not in said(HubKey(KEY.public, verify))
    assert "its checkpoint does not hold" in said(HubKey(new_signing_key().public, verify))
    damage(tmp_path / "hub.db", "UPDATE log_node SET hash = zeroblob(32)")
    assert "leaves 0 to 255" in said(HubKey(KEY.public, verify))
