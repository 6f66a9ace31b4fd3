"""A signing tool while the hub does not answer: what it keeps, what it does not, and what leaves when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from hubkit import InProcess
from lightship.client.connection import Connection, Limits
from lightship.client.errors import Unreachable
from lightship.client.hub import Client
from lightship.client.outbox import Proof
from lightship.client.signing import SignedPublisher
from lightship.core.collection import WithdrawReason
from lightship.core.errors import HubError, LightshipError, Unavailable
from lightship.core.log.statement import Withdrawal
from lightship.core.time import Micros
from signedhub import SignedHub, now_of, signed_hub
from stixsamples import Stix, indicator

GONE = WithdrawReason.PUBLISHER


@pytest.fixture(name="hub")
def _hub(tmp_path: Path) -> Iterator[SignedHub]:
    hub = signed_hub(tmp_path)
    hub.enrol("uslgb")
    yield hub
    hub.kit.close()


class Line(httpx2.BaseTransport):
    """The network to a hub: `down` says for which paths nothing answers, or a proxy does with a status."""

    def __init__(self, hub: SignedHub) -> None:
        self._real = InProcess(hub.kit.app, hub.kit.loop, "127.0.0.1")
        self.down: tuple[str, int] | None = None
        self.posts = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.down is not None and request.url.path.startswith(self.down[0]):
            if not self.down[1]:
                raise httpx2.ConnectError("Connection refused")
            return httpx2.Response(self.down[1])
        self.posts += request.method == "POST"
        return self._real.handle_request(request)


@pytest.fixture(name="line")
def _line(hub: SignedHub) -> Line:
    return Line(hub)


def desk(hub: SignedHub, line: Line, tmp_path: Path, url: str = "https://hub.test") -> SignedPublisher:
    user, secret = hub.kit.credential("uslgb")
    connection = Connection(url, user, secret, transport=line, limits=Limits(attempts=1))
    name = f"{hub.kit.agreement}/indicators"
    return SignedPublisher(
        Client(connection), name, hub.keys["uslgb"], tmp_path / "outbox", lambda: now_of(hub)
    )


def text(value: Stix) -> bytes:
    return json.dumps(value).encode()


@pytest.fixture(name="before")
def _before(hub: SignedHub, line: Line, tmp_path: Path) -> Stix:
    """An object that was published when the hub answered, so that the machine knows the log."""
    one = indicator()
    with desk(hub, line, tmp_path) as at:
        at.put([text(one)])
        (sent,) = at.send()
        assert isinstance(sent.answer, Proof)
    return one


@pytest.mark.parametrize(
    ("where", "status", "kind"),
    [("/", 0, Unreachable), ("/", 503, Unavailable), ("/log/", 0, Unreachable), ("/log/", 500, HubError)],
)
def test_what_is_put_in_while_nothing_answers_is_kept_and_leaves_once(
    hub: SignedHub,
    line: Line,
    before: Stix,
    tmp_path: Path,
    where: str,
    status: int,
    kind: type[LightshipError],
) -> None:
    line.down, new = (where, status), indicator()
    gone = Withdrawal(before["id"], before["modified"], GONE)
    for _ in range(2):  # said again, kept once
        with desk(hub, line, tmp_path) as at:
            assert isinstance(at.unanswered, kind)
            named = at.named([f"{before['id']}@{before['modified']}"], GONE)
            assert named == [gone]
            assert at.put([text(new)], withdraw=named) == [2]
            with pytest.raises(kind):
                list(at.send())
            (entry,) = at.outbox.entries()
            assert (entry.state, len(entry.add), len(entry.withdraw)) == ("waiting", 1, 1)
    assert line.posts == 1
    line.down = None
    with desk(hub, line, tmp_path) as at:
        assert at.unanswered is None
        (sent,) = at.send()
        assert (sent.seq, isinstance(sent.answer, Proof)) == (2, True)
        assert list(at.send()) == []
    assert line.posts == 2
    assert hub.consumer("uslax").proofs() == ["signed"]
    assert hub.clean()


def test_an_id_alone_is_not_kept_since_only_the_log_of_now_says_what_is_live(
    hub: SignedHub, line: Line, before: Stix, tmp_path: Path
) -> None:
    line.down = ("/", 0)
    with desk(hub, line, tmp_path) as at:
        with pytest.raises(Unreachable, match="ID@VERSION"):
            at.named([before["id"]], GONE)
        assert at.outbox.entries() == []


def test_the_same_name_at_another_hub_is_another_collection(
    hub: SignedHub, line: Line, before: Stix, tmp_path: Path
) -> None:
    """What is meant for one hub never waits for another one, though both call the collection the same."""
    line.down = ("/", 0)
    with pytest.raises(Unreachable, match="Nothing is kept"):
        desk(hub, line, tmp_path, "https://other.test")
    with desk(hub, line, tmp_path) as at:  # and the one that was verified is known
        assert at.named([f"{before['id']}@{before['modified']}"], GONE)


def test_nothing_is_kept_before_the_log_was_verified_once(hub: SignedHub, line: Line, tmp_path: Path) -> None:
    for where in ("/", "/log/"):
        line.down = (where, 0)
        with pytest.raises(Unreachable, match="Nothing is kept"):
            desk(hub, line, tmp_path)


def test_what_is_said_anew_behind_something_else_about_it_is_kept_again(
    hub: SignedHub, line: Line, before: Stix, tmp_path: Path
) -> None:
    """Out, in, out again: the last one is no repetition of the first; the same once more is."""
    line.down = ("/", 0)
    gone, later = Withdrawal(before["id"], before["modified"], GONE), Micros(now_of(hub) + 1_000_000)
    with desk(hub, line, tmp_path) as at:
        assert at.put(withdraw=[gone]) == [2]
        assert at.put([text(indicator())]) == [3]
        assert at.put(withdraw=[gone]) == [2]
        assert at.put([text(before)]) == [4]
        assert at.put(withdraw=[gone]) == [5]
        assert at.put(withdraw=[gone]) == [5]
        assert at.put(withdraw=[gone], at=later) == [6]
        assert at.outbox.drop(6)
    line.down = None
    with desk(hub, line, tmp_path) as at:
        assert [(one.number, one.seq, one.withdrawn) for one in at.send()] == [
            (2, 2, 1),
            (3, 3, 0),
            (4, 4, 0),
            (5, 5, 1),
        ]
    assert hub.clean()
