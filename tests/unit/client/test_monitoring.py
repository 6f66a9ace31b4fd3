"""A member's monitor: every statement in its name that its outboxes do not know, from its kept place on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from lightship.client import following, log_source, monitoring
from lightship.client.kept_file import StateBusy
from lightship.client.monitoring import Foreign, Outboxes, look
from lightship.core.errors import NotFound
from lightship.core.log.findings import Failure, Finding, LogRefused
from lightship.core.log.statement import digest_of
from logworld import connect
from simulator import AGREEMENT, Simulator, indicator, withdrawal_of


class Desk:
    """A member's machine, in front of a simulated hub."""

    def __init__(self, hub: Simulator, folder: Path) -> None:
        self.hub, self.state, self.folder = hub, folder / "state", folder / "outbox"
        self.found: list[Foreign | Finding] = []
        target = SimpleNamespace(
            root=AGREEMENT, id=hub.collection, path=f"/{AGREEMENT}/collections/{hub.collection}/"
        )
        self.client: Any = SimpleNamespace(connection=connect(hub), collection=lambda name: target)

    def look(self, **more: Any) -> list[int]:
        """Look once; return the entries that were found."""
        self.found = []
        take = more.pop("found", self.found.append)
        look(
            *(self.client, "indicators", "uslgb", self.state, Outboxes(self.folder), take),
            now=self.hub.clock,
            **more,
        )
        return [one.index for one in self.found]


@pytest.fixture(name="desk")
def _desk(tmp_path: Path) -> Desk:
    return Desk(Simulator(), tmp_path)


def test_a_mistyped_member_is_not_told_that_all_is_well(desk: Desk) -> None:
    """Nothing would ever be found in its name, and the command would end with 0 for good."""
    desk.hub.attest("uslgb", indicator(1))
    with pytest.raises(NotFound, match="never had a member `uslbg`"):
        look(desk.client, "indicators", "uslbg", desk.state, Outboxes(desk.folder), desk.found.append)
    assert desk.found == []


def test_hub_attested_forgery(desk: Desk) -> None:
    """Nobody but the member can tell; others see an honest `hub-attested` object."""
    desk.hub.attest("uslax", indicator(1))
    forged = desk.hub.attest("uslgb", indicator(2), withdraw=[withdrawal_of(indicator(7))])
    assert desk.look() == [forged, forged]
    (seen, wrong) = desk.found
    assert isinstance(seen, Foreign)
    assert (seen.signed, seen.added, seen.withdrawn) == (
        False,
        (indicator(2)["id"],),
        (indicator(7)["id"],),
    )
    assert isinstance(wrong, Finding)
    assert wrong.failure is Failure.NOTHING_TO_WITHDRAW
    assert desk.look() == []


def test_a_stolen_publish_key_signs_what_no_outbox_knows(desk: Desk) -> None:
    stolen = desk.hub.publish("uslgb", indicator(1))
    assert desk.look() == [stolen]
    assert isinstance(desk.found[0], Foreign)
    assert desk.found[0].signed


def test_without_the_monitor_a_forgery_goes_unseen(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.hub.attest("uslgb", indicator(2))
    monkeypatch.setattr(monitoring, "foreign", lambda *_: ())
    assert desk.look() == []


def test_a_long_log_is_gone_through_in_windows_and_on_from_the_place_that_was_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_source, "WINDOW", 1)
    monkeypatch.setattr(following, "COMMIT_EVERY_S", 0.0)
    forged = []
    for number in range(900):
        by = "uslgb" if number % 300 == 50 else "uslax"
        index = desk.hub.attest(by, indicator(number))
        forged += [index] if by == "uslgb" else []
    taken: list[int] = []

    def die(one: Foreign | Finding) -> None:
        taken.append(one.index)
        if len(taken) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.look(found=die, clock=lambda: 0.0)
    paths: list[str] = []
    desk.hub.answer = lambda request: paths.append(request.url.path)
    assert desk.look(clock=lambda: 0.0) == forged[1:]
    assert not [path for path in paths if path.endswith("entries/000")]
    assert [*taken[:1], *[one.index for one in desk.found]] == forged
    paths.clear()
    assert desk.look() == []
    assert [path.rpartition("/")[2] for path in paths] == ["checkpoint"]


def test_a_statement_that_is_sent_while_the_monitor_looks_is_no_false_alarm(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outboxes are read once the entries are there, not before."""
    sent: set[str] = set()
    monkeypatch.setattr(monitoring, "known_payloads", lambda folder: set(sent))

    def send(request: httpx2.Request) -> None:
        if request.url.path.endswith("/checkpoint") and not sent:
            envelope = desk.hub.authors["uslgb"].sign(desk.hub, [indicator(1)])
            desk.hub.log("uslgb", envelope, [indicator(1)])
            sent.add(digest_of(envelope.payload))

    desk.hub.attest("uslax", indicator(5))
    desk.hub.answer = send
    assert desk.look() == []
    assert sent


def test_a_log_that_is_not_to_be_trusted_is_no_quiet_log(desk: Desk) -> None:
    desk.hub.attest("uslax", indicator(1))
    desk.look()
    desk.hub.entries.pop()
    with pytest.raises(LogRefused, match="rollback"):
        desk.look()


def test_two_monitors_do_not_share_a_state(desk: Desk) -> None:
    desk.look()

    def again(one: Foreign | Finding) -> None:
        desk.look()

    desk.hub.attest("uslgb", indicator(1))
    with pytest.raises(StateBusy):
        desk.look(found=again)
