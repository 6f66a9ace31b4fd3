"""The example of docs/consumer.md runs as it stands, and its block list is what is live."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lightship.client import Client
from lightship.client.verified import verified
from lightship.client.verifying import VerifiedPull
from logworld import connect
from simulator import AGREEMENT, Simulator, indicator, withdrawal_of

PAGE = Path(__file__).resolve().parents[3] / "docs" / "consumer.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
(EXAMPLE,) = [one for one in BLOCKS if "verified(" in one]


@pytest.fixture(name="hub")
def _hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    hub = Simulator()
    target = SimpleNamespace(
        root=AGREEMENT, id=hub.collection, path=f"/{AGREEMENT}/collections/{hub.collection}/"
    )

    class Remote(Client):
        def collection(self, name: str) -> Any:
            assert name == "la-lb-mou/indicators"
            return target

    monkeypatch.setattr("lightship.client.load_profile", lambda folder: "profile")
    monkeypatch.setattr(Client, "of", lambda profile: Remote(connect(hub)))
    defaults = verified.__wrapped__.__kwdefaults__  # type: ignore[attr-defined]  # contextlib keeps the function there
    monkeypatch.setitem(defaults, "now", hub.clock)
    monkeypatch.chdir(tmp_path)
    return hub


def blocked(folder: Path) -> tuple[set[str], int]:
    with closing(sqlite3.connect(folder / "blocklist.db")) as db:
        live = {row[0] for row in db.execute("SELECT id FROM live")}
        return live, db.execute("SELECT count(*) FROM gone").fetchone()[0]


def test_the_example_follows_a_collection(hub: Simulator, tmp_path: Path) -> None:
    for number in range(5):
        hub.publish("uslgb", indicator(number))
    run()
    hub.publish("uslgb", indicator(5), withdraw=[withdrawal_of(indicator(2))])
    run()
    run()
    assert blocked(tmp_path) == ({indicator(n)["id"] for n in (0, 1, 3, 4, 5)}, 1)


def test_a_crash_before_it_keeps_repeats_and_harms_nothing(
    hub: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.publish("uslgb", indicator(1), indicator(2))
    run()
    hub.publish("uslgb", withdraw=[withdrawal_of(indicator(2))])
    hub.publish("uslgb", indicator(2))

    def die(self: VerifiedPull) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(VerifiedPull, "keep", die)
        with pytest.raises(KeyboardInterrupt):
            run()
    run()
    assert blocked(tmp_path) == ({indicator(n)["id"] for n in (1, 2)}, 1)


def run() -> None:
    exec(compile(EXAMPLE, str(PAGE), "exec"), {"__name__": "example"})
