"""The outbox: no crash and no second tool makes a key sign two things under one number; nothing is lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from lightship.client import box as module
from lightship.client.drafts import Draft, draft_of, statements
from lightship.client.errors import Unreachable
from lightship.client.following import first_look, follow
from lightship.client.kept_log import Kept
from lightship.client.log_source import LogSource
from lightship.client.monitoring import Outboxes, foreign, known_payloads
from lightship.client.outbox import Outbox, Proof, Refusal, Sent, Unsettled
from lightship.client.submitting import NotProved, submit
from lightship.core import dsse
from lightship.core.collection import WithdrawReason
from lightship.core.errors import BadFile, Conflict, MalformedRequest, Unavailable
from lightship.core.log import leaf
from lightship.core.log.statement import Statement, Withdrawal
from lightship.core.time import Micros
from lightship.crypto.sign import verify
from logworld import connect
from simulator import AGREEMENT, Json, Simulator, indicator, withdrawal_of


def draft(number: int, name: str = "Command server") -> Draft:
    return draft_of(json.dumps(indicator(number, name)).encode())


@dataclass
class Desk:
    """A publisher's tool: an outbox on disk and a connection to a simulated hub."""

    hub: Simulator
    directory: Path
    lock: threading.Lock = field(default_factory=threading.Lock)
    kept: Kept | None = None

    def outbox(self) -> Outbox:
        return Outbox(self.directory, self.hub.authors["uslgb"].key, self.hub.collection, self.hub.digests[0])

    def submit(self, body: bytes, envelope: dsse.Envelope) -> Proof | Refusal:
        with self.lock:
            connection = connect(self.hub)
            if self.kept is None:
                source = LogSource(connection, AGREEMENT, self.hub.collection)
                self.kept = first_look(source, verify)
                follow(source, self.kept.log, self.hub.clock())
            return submit(connection, self.kept.log, body, envelope)

    def send(self) -> list[Sent]:
        return list(self.outbox().send(self.submit, self.hub.clock))

    def logged(self) -> list[tuple[int, list[str]]]:
        """Return (seq, ids) of each statement of the key in the log, in order."""
        found = [leaf.read(one) for one in self.hub.entries]
        return [
            (one.statement.seq, [add.id for add in one.statement.add])
            for one in found
            if isinstance(one, leaf.Publication)
        ]


@pytest.fixture(name="desk")
def _desk(tmp_path: Path) -> Desk:
    return Desk(Simulator(), tmp_path / "outbox")


def ids(*numbers: int) -> list[str]:
    return [indicator(number)["id"] for number in numbers]


def test_statements_are_sent_in_order_and_proved(desk: Desk) -> None:
    box = desk.outbox()
    assert [box.put([draft(n)]) for n in (1, 2, 3)] == [1, 2, 3]
    sent = desk.send()
    assert [(one.number, one.seq, one.objects) for one in sent] == [(1, 1, 1), (2, 2, 1), (3, 3, 1)]
    assert all(isinstance(one.answer, Proof) for one in sent)
    assert desk.logged() == [(1, ids(1)), (2, ids(2)), (3, ids(3))]
    assert not box.waiting()
    assert not desk.send()


def test_add_and_withdraw_in_one_statement(desk: Desk) -> None:
    box = desk.outbox()
    box.put([draft(1)])
    box.put([draft(2)], [withdrawal_of(indicator(1))])
    assert len(desk.send()) == 2
    assert [one.id for one in desk.hub.shelf] == ids(2)


def test_identical_bytes_until_answered(desk: Desk) -> None:
    """The hub logged it and the answer was lost: the same bytes again bring the proof, and nothing twice."""
    box = desk.outbox()
    box.put([draft(1)])
    desk.hub.lose_answers = 2
    for _ in range(2):
        with pytest.raises(Unreachable):
            desk.send()
        box.put([draft(2 + len(desk.hub.posted))])
    sent = desk.send()
    assert len(set(desk.hub.posted[:3])) == 1
    assert [one.seq for one in sent] == [1, 2, 3]
    assert [seq for seq, _ in desk.logged()] == [1, 2, 3]


def test_a_refused_statement_uses_up_no_number(desk: Desk) -> None:
    box = desk.outbox()
    box.put([draft(1)])
    box.put([draft(2, "refused"), draft(3)])
    box.put([draft(4)])
    first, second, third = desk.send()
    assert isinstance(second.answer, Refusal)
    assert second.answer.failures == (
        (indicator(2)["id"], indicator(2)["modified"], "refused: deny-unmarked"),
    )
    assert (first.seq, third.seq) == (1, 2)
    assert desk.logged() == [(1, ids(1)), (2, ids(4))]
    kept = json.loads((desk.directory / "refused" / "000000002.json").read_bytes())
    assert [entry[0] for entry in kept["content"]["add"]] == ids(2, 3)
    assert box.put([draft(5)]) == 4


def refused_as_a_whole(desk: Desk) -> None:
    """Let the hub refuse posts before it looks at them: a role was taken away, say."""

    def answer(request: httpx2.Request) -> httpx2.Response | None:
        return httpx2.Response(403, json={"title": "Not allowed"}) if request.method == "POST" else None

    desk.hub.answer = answer


def test_a_logged_statement_whose_answer_was_lost_is_not_ended_by_a_later_refusal(desk: Desk) -> None:
    """Or an honest outbox would sign a second statement under its number, and equivocate."""
    box = desk.outbox()
    box.put([draft(1)])
    desk.hub.lose_answers = 1
    with pytest.raises(Unreachable):
        desk.send()
    real = desk.hub.answer
    refused_as_a_whole(desk)
    box.put([draft(2)])
    for known in (None, lambda *_: True):
        with pytest.raises(Unsettled, match="stays under way"):
            list(box.send(desk.submit, desk.hub.clock, known))
    assert [one.state for one in box.entries()] == ["sending", "waiting"]
    desk.hub.answer = real
    assert [(one.seq, isinstance(one.answer, Proof)) for one in desk.send()] == [(1, True), (2, True)]
    assert desk.logged() == [(1, ids(1)), (2, ids(2))]


def test_a_refusal_ends_what_the_verified_log_does_not_hold(desk: Desk) -> None:
    box = desk.outbox()
    box.put([draft(1)])
    real, asked = desk.hub.answer, list[tuple[int, str]]()

    def unknown(found: Statement, digest: str) -> bool:
        asked.append((found.seq, digest))
        return False

    desk.hub.answer = lambda request: httpx2.Response(503, json={})
    with pytest.raises(Unavailable):
        desk.send()
    refused_as_a_whole(desk)
    (sent,) = box.send(desk.submit, desk.hub.clock, unknown)
    assert isinstance(sent.answer, Refusal)
    assert [seq for seq, _ in asked] == [1]
    desk.hub.answer = real
    assert box.retry(1) == 2
    assert [(one.number, one.seq) for one in desk.send()] == [(2, 1)]


def test_what_is_in_the_outbox_can_be_seen_taken_out_and_tried_again(desk: Desk) -> None:
    box = desk.outbox()
    box.put([draft(1, "refused")])
    desk.send()
    later = Micros(desk.hub.now + 1_000_000)
    box.put([draft(2)], [withdrawal_of(indicator(9))], not_before=later)
    refused, waiting = sorted(box.entries(), key=lambda one: one.number)
    version = indicator(1)["modified"]
    assert (refused.number, refused.state, refused.add) == (1, "refused", ((ids(1)[0], version),))
    assert refused.failures[0][0] == ids(1)[0]
    assert (waiting.number, waiting.state, waiting.until) == (2, "waiting", later)
    assert waiting.withdraw == ((ids(9)[0], version),)
    assert not box.retry(2)  # it waits already
    assert box.retry(1) == 3
    assert [one.number for one in box.entries()] == [2, 3]
    assert isinstance(desk.send()[0].answer, Refusal)  # still refused
    assert (box.drop(2), box.drop(3), box.drop(3)) == (True, True, False)
    assert box.entries() == []


def test_what_is_held_back_waits_and_does_not_stop_the_rest(desk: Desk) -> None:
    """`publish --at`: nothing of it leaves before, and the chain has no hole in the meantime."""
    box = desk.outbox()
    later = desk.hub.now + 3600 * 1_000_000
    box.put([draft(1)], not_before=later)
    box.put([draft(2)])
    assert [one.number for one in desk.send()] == [2]
    assert box.waiting() == [(1, later)]
    assert not any(indicator(1)["id"].encode() in body for body in desk.hub.posted)
    desk.hub.now = later
    assert [(one.number, one.seq) for one in desk.send()] == [(1, 2)]


def test_what_waits_can_be_dropped_and_what_was_sent_cannot(desk: Desk) -> None:
    box = desk.outbox()
    box.put([draft(1)])
    box.put([draft(2)])
    desk.hub.lose_answers = 1
    with pytest.raises(Unreachable):
        desk.send()
    assert not box.drop(1)
    assert box.drop(2)
    assert not box.drop(2)
    assert [one.number for one in desk.send()] == [1]


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b"{}", b'{"number":"x","body":1}', b'{"number":1,"body":"{}"}']
)
@pytest.mark.parametrize("name", ["queue/000000001.json", "sending.json", "refused/000000002.json"])
def test_a_broken_file_of_the_outbox_is_named(desk: Desk, name: str, content: bytes) -> None:
    box = desk.outbox()
    box.put([draft(1)])
    (desk.directory / name).write_bytes(content)
    with pytest.raises(BadFile) as caught:
        [look() for look in (box.entries, box.waiting, desk.send)]
    assert caught.value.path.endswith(name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("withdraw", [["indicator--x", "", "whim"]]),
        ("add", [["indicator--x", 1, ""]]),
        ("objects", [1]),
        ("not_before", "now"),
    ],
)
def test_what_waits_is_checked_before_it_is_signed(desk: Desk, name: str, value: Any) -> None:
    box = desk.outbox()
    box.put([draft(1)])
    path = desk.directory / "queue/000000001.json"
    path.write_bytes(json.dumps(json.loads(path.read_bytes()) | {name: value}).encode())
    with pytest.raises(BadFile, match=name):
        desk.send()


def test_what_the_outbox_did_not_name_is_told_where_it_counts_and_passed_over_elsewhere(desk: Desk) -> None:
    box = desk.outbox()
    box.put([draft(1)])
    desk.send()
    (kept,) = (desk.directory / "delivered").iterdir()
    for folder in ("queue", "refused"):
        (desk.directory / folder / "1 (copy).json").write_bytes(b"?")
    assert (box.waiting(), box.entries()) == ([], [])
    kept.with_name(f"{kept.stem}-copy.json").write_bytes(kept.read_bytes())
    with pytest.raises(BadFile, match="move it away"):
        box.head()


def test_a_hub_that_disagrees_about_the_chain_stops_the_outbox(desk: Desk) -> None:
    """The key was used elsewhere: nothing is skipped or renumbered, people must look."""
    desk.hub.publish("uslgb", indicator(9))
    box = desk.outbox()
    box.put([draft(1)])
    for _ in range(2):
        with pytest.raises(Conflict, match="does not follow"):
            desk.send()
    assert box.waiting() == [(1, 0)]
    assert len(set(desk.hub.posted)) == 1


def test_the_monitor_knows_what_the_outbox_sent_and_nothing_else(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub attests what the member never posted: nobody else can tell, the member's monitor does."""
    box = desk.outbox()
    box.put([draft(1)])
    desk.send()
    box.put([draft(2)])
    desk.hub.lose_answers = 1
    with pytest.raises(Unreachable):
        desk.send()
    forged = desk.hub.attest("uslgb", indicator(7), withdraw=[withdrawal_of(indicator(1))])
    desk.hub.attest("uslax", indicator(8))
    source = LogSource(connect(desk.hub), AGREEMENT, desk.hub.collection)
    applied = follow(source, first_look(source, verify).log, desk.hub.clock())
    (seen,) = foreign(applied, "uslgb", Outboxes(desk.directory.parent))
    assert (seen.index, seen.signed, seen.added, seen.withdrawn) == (
        forged,
        False,
        *[(one,) for one in ids(7, 1)],
    )
    assert [one.index for one in foreign(applied, "uslgb", Outboxes(tmp_path / "none"))] == [
        forged - 2,
        forged - 1,
        forged,
    ]
    monkeypatch.setattr(Outboxes, "unknown", lambda self, digests: set())
    assert not list(foreign(applied, "uslgb", Outboxes(desk.directory.parent)))


# --- proofs ---------------------------------------------------------------------------------------


def spoiled(desk: Desk, spoil: Callable[[Json], Any]) -> None:
    """Let the hub change the JSON of its answers."""

    def answer(request: httpx2.Request) -> httpx2.Response | None:
        if request.method != "POST":
            return None
        desk.hub.answer = lambda request: None
        true = json.loads(desk.hub(request).content)
        spoil(true)
        return httpx2.Response(200, json=true)

    desk.hub.answer = answer


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda it: it.update(index=it["index"] - 1), id="another index"),
        pytest.param(lambda it: it.update(index="5"), id="index a text"),
        pytest.param(lambda it: it.update(index=-1), id="negative index"),
        pytest.param(lambda it: it.update(index=10**30), id="huge index"),
        pytest.param(lambda it: it["proof"].pop(), id="short proof"),
        pytest.param(lambda it: it["proof"].append("AAAA"), id="no hash in proof"),
        pytest.param(lambda it: it.update(proof=None), id="no proof"),
        pytest.param(lambda it: it.update(leaf="AAAA"), id="another leaf"),
        pytest.param(lambda it: it.update(leaf="*"), id="leaf no base64"),
        pytest.param(lambda it: it.update(checkpoint="x"), id="no checkpoint"),
        pytest.param(lambda it: it.update(checkpoint=it["checkpoint"].replace("hub", "bub")), id="other log"),
        pytest.param(lambda it: it.update(checkpoint=5), id="checkpoint a number"),
        pytest.param(lambda it: it.pop("checkpoint"), id="checkpoint left out"),
    ],
)
def test_an_answer_without_a_proof_that_holds_is_no_answer(desk: Desk, spoil: Callable[[Json], Any]) -> None:
    box = desk.outbox()
    box.put([draft(1)])
    spoiled(desk, spoil)
    with pytest.raises(NotProved):
        desk.send()
    assert box.waiting() == [(1, 0)]
    assert [one.seq for one in desk.send()] == [1]
    assert [seq for seq, _ in desk.logged()] == [1]


def test_the_proof_of_another_statement_is_none(desk: Desk) -> None:
    box = desk.outbox()
    box.put([draft(1)])
    desk.send()
    digest, old = next(iter(desk.hub.taken.items()))
    box.put([draft(2)])

    def swap(it: Json) -> None:
        it.clear()
        it.update(desk.hub._proof(*old, 1))

    spoiled(desk, swap)
    with pytest.raises(NotProved, match="another statement"):
        desk.send()
    assert digest in known_payloads(desk.directory.parent)


# --- crashes and parallel tools -------------------------------------------------------------------


class Crash(BaseException):
    """The process is gone: nothing may catch it."""


class Faults:
    """Ends the process before the n-th step that changes something: a write, a removal, a send."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        self.steps = 0
        write, unlink = module.write, Path.unlink

        def counted_write(path: Path, content: object) -> None:
            self.step()
            write(path, content)
            self.step()

        def counted_unlink(path: Path, missing_ok: bool = False) -> None:
            self.step()
            unlink(path, missing_ok=missing_ok)

        monkeypatch.setattr(module, "write", counted_write)
        monkeypatch.setattr(Path, "unlink", counted_unlink)

    def step(self) -> None:
        self.steps += 1
        if self.left >= 0:
            self.left -= 1
            if self.left < 0:
                raise Crash


def rounds(desk: Desk, faults: Faults) -> Iterator[None]:
    """Put in three statements, one of them to be refused, and send them; yield between."""
    contents: list[tuple[list[Draft], list[Withdrawal]]] = [
        ([draft(1)], []),
        ([draft(2, "refused")], []),
        ([draft(3), draft(4)], [withdrawal_of(indicator(1))]),
    ]
    box = desk.outbox()
    for content, leaving in contents:
        box.put(content, leaving)
        yield

    def counted(body: bytes, envelope: dsse.Envelope) -> Proof | Refusal:
        faults.step()
        answer = desk.submit(body, envelope)
        faults.step()
        return answer

    for _ in box.send(counted, desk.hub.clock):
        yield


def until_the_crash(desk: Desk, faults: Faults, number: int) -> int:
    """Crash before step `number`; return how much was done until then."""
    faults.left, done = number, 0
    try:
        for _ in rounds(desk, faults):
            done += 1
    except Crash:
        faults.left = -1
        return done
    raise AssertionError(f"there was no step {number}")


def test_a_crash_at_any_step_loses_nothing_and_signs_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults(monkeypatch)
    whole = Desk(Simulator(), tmp_path / "whole")
    assert len(list(rounds(whole, faults))) == 6
    steps = faults.steps
    assert steps > 20
    for number in range(steps):
        desk = Desk(Simulator(), tmp_path / str(number))
        kept = min(until_the_crash(desk, faults, number), 3)
        desk.send()
        logged = desk.logged()
        assert [seq for seq, _ in logged] == list(range(1, len(logged) + 1)), number
        found = [one for _, many in logged for one in many]
        assert len(found) == len(set(found)), number
        assert set(found) >= {*ids(1)[: min(kept, 1)], *(ids(3, 4) if kept == 3 else ())}, number
        replaced = [one.id for one in desk.hub.shelf]
        assert replaced == (ids(3, 4) if set(found) > set(ids(1)) else found), number
        assert not desk.outbox().waiting(), number


def test_parallel_tools_share_one_chain(desk: Desk) -> None:
    failures: list[BaseException] = []

    def tool(first: int) -> None:
        try:
            for number in range(first, first + 5):
                desk.outbox().put([draft(number)])
                desk.send()
        except BaseException as error:
            failures.append(error)

    tools = [threading.Thread(target=tool, args=(100 * n,)) for n in range(4)]
    for one in tools:
        one.start()
    for one in tools:
        one.join(timeout=60)
    assert not failures
    logged = desk.logged()
    assert [seq for seq, _ in logged] == list(range(1, 21))
    assert len({one for _, many in logged for one in many}) == 20


def test_a_killed_tool_leaves_no_lock(desk: Desk) -> None:
    """The lock is the process's: another tool goes on at once."""
    box = desk.outbox()
    box.put([draft(1)])

    def lost(body: bytes, envelope: dsse.Envelope) -> Proof | Refusal:
        raise Crash

    with pytest.raises(Crash):
        list(box.send(lost, desk.hub.clock))
    assert [one.seq for one in desk.send()] == [1]


# --- drafts ---------------------------------------------------------------------------------------

ODD = "x-y--11111111-1111-4111-8111-111111111111"


def test_what_is_sent_are_the_canonical_bytes_that_were_signed(desk: Desk) -> None:
    text = json.dumps(indicator(1) | {"confidence": 50}, indent=2).replace(
        '"confidence": 50', '"confidence": 50.0'
    )
    made = draft_of(text.encode())
    assert b'"confidence":50,' in made.body
    desk.outbox().put([made])
    desk.send()
    assert desk.hub.shelf[-1].body == made.body


@pytest.mark.parametrize(
    ("value", "version"),
    [
        (indicator(1), "2026-04-01T08:00:00.000Z"),
        ({"type": "ipv4-addr", "created": "2020-01-01T00:00:00Z"}, ""),
        (
            {"type": "marking-definition", "created": "2020-01-01T00:00:00Z", "modified": "x"},
            "2020-01-01T00:00:00Z",
        ),
        ({"type": "x-y", "created": "2020-01-01T00:00:00Z"}, "2020-01-01T00:00:00Z"),
        ({"type": "x-y"}, ""),
        ({"type": ["ipv4-addr"], "id": ODD, "created": "2020-01-01T00:00:00Z"}, "2020-01-01T00:00:00Z"),
        ({"type": "x-y", "created": "a", "extensions": {"e": {"extension_type": "new-sco"}}}, ""),
    ],
)
def test_versions_of_objects(value: Json, version: str) -> None:
    named = {"id": f"{value['type']}--{ODD.partition('--')[2]}"} | value
    assert draft_of(json.dumps(named).encode()).add.version == version


@pytest.mark.parametrize(
    "text",
    [b"{", b"[]", b"{}", b'{"id":1}', b'{"id":"x"}', b'{"id":"indicator--1","id":"indicator--2"}', b"\xff"],
)
def test_what_is_no_object_is_not_signed(text: bytes) -> None:
    with pytest.raises(MalformedRequest):
        draft_of(text)


def test_objects_are_cut_into_statements() -> None:
    gone = [Withdrawal(indicator(n)["id"], "", WithdrawReason.PUBLISHER) for n in range(300, 310)]
    parts = list(statements([draft(n) for n in range(300)], gone))
    assert [(len(adds), len(left)) for adds, left in parts] == [(246, 10), (54, 0)]
    assert [len(adds) for adds, _ in statements([draft(1), draft(1), draft(2)])] == [2]
    with pytest.raises(MalformedRequest, match="two different contents"):
        list(statements([draft(1), draft(1, "Other")]))
    assert not list(statements([]))


def test_long_entries_are_cut_by_bytes(desk: Desk) -> None:
    drafts = []
    for number in range(200):
        value = indicator(number)
        value["type"] = "x-" + "y" * 200
        value["id"] = value["id"].replace("indicator", value["type"])
        drafts.append(draft_of(json.dumps(value).encode()))
    parts = list(statements(drafts))
    assert sum(len(adds) for adds, _ in parts) == 200
    assert len(parts) == 2
    for adds, left in parts:
        desk.outbox().put(adds, left)
    assert [one.seq for one in desk.send()] == [1, 2]


def test_withdrawals_are_cut_by_number_and_bytes_and_taken_once(desk: Desk) -> None:
    many = [Withdrawal(indicator(n)["id"], "", WithdrawReason.PUBLISHER) for n in range(600)]
    parts = list(statements([], [*many, *many]))
    assert [len(left) for _, left in parts] == [256, 256, 88]
    assert [one for _, left in parts for one in left] == many
    name = "x-" + "y" * 200
    long = [Withdrawal(one.id.replace("indicator", name), one.version, one.reason) for one in many[:200]]
    parts = list(statements([], long))
    assert [one for _, left in parts for one in left] == long
    assert len(parts) == 2
    for adds, left in parts:
        desk.outbox().put(adds, left)
    assert [one.withdrawn for one in desk.send()] == [len(left) for _, left in parts]


def test_a_version_is_not_withdrawn_and_added_at_once() -> None:
    """The form of a statement forbids it, so the outbox would never get past it."""
    same = replace(withdrawal_of(indicator(1)), version="2026-04-01T08:00:00Z")  # the same moment
    with pytest.raises(MalformedRequest, match="withdrawn and added"):
        list(statements([draft(1)], [same]))
