"""What a verifying consumer keeps between two pulls: damage anywhere in the file is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lightship.client.kept_log import load
from lightship.core.errors import BadFile
from lightship.crypto.sign import verify
from logworld import Consumer
from simulator import Simulator


def test_a_damaged_state_is_refused_whatever_was_changed(tmp_path: Path) -> None:
    path = tmp_path / "state"
    Consumer(Simulator(), path).pull()
    assert load(path, verify) is not None
    value = json.loads(path.read_bytes())
    assert {"version", "last_at", "seen", "reached", "owed", "objects"} < value.keys()
    for name in value:
        others: tuple[object, ...] = ("x", None, [], -1, {})
        for other in (one for one in others if one != value[name]):
            path.write_text(json.dumps({**value, name: other}))
            with pytest.raises(BadFile):
                load(path, verify)
        path.write_text(json.dumps({one: held for one, held in value.items() if one != name}))
        with pytest.raises(BadFile):
            load(path, verify)
    path.write_text("[]")
    with pytest.raises(BadFile):
        load(path, verify)
