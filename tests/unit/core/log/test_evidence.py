"""Evidence for somebody who was not there: proved or not, by the file and a pinned key alone."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.core.log import merkle
from lightship.core.log.evidence import (
    ACCEPTED,
    CONFLICT,
    ENTRIES,
    EQUIVOCATION,
    REPLAYED,
    TWO_LOGS,
    Entry,
    Evidence,
    decode,
    encode,
)
from lightship.core.log.evidence_check import Judgement, judge
from lightship.core.log.record import BadRecord
from lightship.crypto.sign import new_signing_key, verify
from simulator import AGREEMENT, Author, Simulator, inclusion_path, indicator


@pytest.fixture(name="hub", scope="module")
def _hub() -> Simulator:
    hub = Simulator()
    for number in range(5):
        hub.publish("uslgb", indicator(number))
    return hub


def under(hub: Simulator, *indexes: int, size: int | None = None) -> tuple[Entry, ...]:
    entries = hub.entries[:size]
    return tuple(Entry(at, entries[at], tuple(inclusion_path(entries, at))) for at in indexes)


def case(hub: Simulator, kind: str, *indexes: int) -> Evidence:
    rosters = tuple(hub.rosters.values())
    entries = under(hub, *indexes)
    return Evidence(
        kind, AGREEMENT, hub.collection, tuple(hub.envelopes), (hub.sign_note(),), entries, rosters
    )


def judged(hub: Simulator, one: Evidence, pin: str = "") -> Judgement:
    """Judge what a file would say, pinned to the hub's key."""
    return judge(decode(encode(one)), [pin or hub.key.keyid], verify)


@pytest.fixture(name="cases", scope="module")
def _cases() -> tuple[Simulator, dict[str, Evidence]]:
    """One case of each kind, all at one dishonest hub."""
    hub = Simulator()
    author = hub.authors["uslgb"]
    hub.publish("uslgb", indicator(1))
    twin = Author("uslgb", author.key, author.seq, author.prev)
    first = hub.publish("uslgb", indicator(2))
    second = hub.log("uslgb", twin.sign(hub, [indicator(3)]), [indicator(3)])
    again = author.sign(hub, [indicator(4)])
    places = [hub.log("uslgb", again, [indicator(4)]) for _ in range(2)]
    other = hub.attest("uslax", indicator(4, name="another content"))
    small, less = hub.sign_note(6), hub.entries[:6]
    fork = Simulator(key=hub.key, entries=[*less[:5], *hub.entries[6:7]])

    logs = Evidence(TWO_LOGS, AGREEMENT, hub.collection, tuple(hub.envelopes), (small, fork.sign_note(6)))

    return hub, {
        EQUIVOCATION: case(hub, EQUIVOCATION, first, second),
        REPLAYED: case(hub, REPLAYED, *places),
        CONFLICT: case(hub, CONFLICT, places[0], other),
        ACCEPTED: case(hub, ACCEPTED, first),
        TWO_LOGS: logs,
    }


@pytest.mark.parametrize("kind", ENTRIES)
def test_what_happened_is_proved_by_the_file_and_a_pinned_key_alone(
    cases: tuple[Simulator, dict[str, Evidence]], kind: str
) -> None:
    hub, made = cases
    found = judged(hub, made[kind])
    assert found.findings == []
    assert (found.proved, found.authority) == (True, "steward alone (1 of 1)")
    assert found.verdict.startswith("PROVED: ")


@pytest.mark.parametrize("kind", ENTRIES)
def test_nothing_is_proved_without_a_key_that_the_reader_knows(
    cases: tuple[Simulator, dict[str, Evidence]], kind: str
) -> None:
    hub, made = cases
    unpinned = judge(made[kind], [], verify)
    assert (unpinned.proved, unpinned.verdict[:10]) == (False, "NOT PINNED")
    wrong = judged(hub, made[kind], pin=new_signing_key().keyid)
    assert (wrong.proved, wrong.findings[0][0]) == (False, "versions[0]")


@pytest.mark.parametrize("kind", [EQUIVOCATION, REPLAYED, CONFLICT])
def test_nothing_is_made_of_statements_that_are_as_they_must_be(hub: Simulator, kind: str) -> None:
    found = judged(hub, case(hub, kind, 3, 4))
    assert not found.proved
    assert found.findings[0][0] == "entries"
    assert not judged(hub, case(hub, kind, 3, 3)).proved, "one entry twice"


def test_a_log_that_goes_on_is_not_two_logs(hub: Simulator) -> None:
    size = len(hub.entries)
    hashes = [merkle.leaf_hash(one) for one in hub.entries]
    path = consistency(hub, 4, size)
    honest = Evidence(
        TWO_LOGS,
        AGREEMENT,
        hub.collection,
        tuple(hub.envelopes),
        (hub.sign_note(4), hub.sign_note()),
        prefix=merkle.root_of(hashes[:4]),
        consistency=path,
    )
    found = judged(hub, honest)
    assert (found.proved, found.findings[0][0]) == (False, "prefix")
    assert "goes on" in found.verdict
    silent = judged(hub, replace(honest, prefix=b"", consistency=()))
    assert (silent.proved, silent.findings[0][0]) == (False, "prefix")
    assert "ask it for the proof" in silent.verdict
    forged = judged(hub, replace(honest, prefix=b"\1" * 32))
    assert (forged.proved, forged.findings[0][0]) == (False, "consistency")
    same = judged(hub, replace(honest, checkpoints=(hub.sign_note(), hub.sign_note())))
    assert (same.proved, same.findings[0][0]) == (False, "checkpoints")


def consistency(hub: Simulator, old: int, size: int) -> tuple[bytes, ...]:
    hashes = [merkle.leaf_hash(one) for one in hub.entries[:size]]

    def read(level: int, first: int, count: int) -> list[bytes]:
        assert level == 0
        return hashes[first : first + count]

    return tuple(merkle.consistency(read, old, size))


def test_a_log_that_was_rewritten_below_a_signed_checkpoint_is_two_logs(hub: Simulator) -> None:
    fork = Simulator(key=hub.key, entries=[*hub.entries[:3], *hub.entries[4:]])
    size = len(fork.entries)
    hashes = [merkle.leaf_hash(one) for one in fork.entries]
    for old in (4, 5):
        one = Evidence(
            TWO_LOGS,
            AGREEMENT,
            hub.collection,
            tuple(hub.envelopes),
            (hub.sign_note(old), fork.sign_note()),
            prefix=merkle.root_of(hashes[:old]),
            consistency=consistency(fork, old, size),
        )
        found = judged(hub, one)
        assert found.proved, found.verdict
        assert f"the first {old} entries" in found.verdict


def test_a_key_that_no_roster_lists_is_nobodys(cases: tuple[Simulator, dict[str, Evidence]]) -> None:
    hub, made = cases
    found = judged(hub, replace(made[EQUIVOCATION], rosters=()))
    assert (found.proved, found.findings[0][0]) == (False, "rosters")
    stranger = Simulator()
    found = judged(hub, replace(made[EQUIVOCATION], rosters=tuple(stranger.rosters.values())))
    assert (found.proved, found.findings[0][0]) == (False, "rosters[0]")


def test_an_entry_or_checkpoint_that_the_hub_did_not_sign_proves_nothing(
    cases: tuple[Simulator, dict[str, Evidence]],
) -> None:
    hub, made = cases
    one = made[CONFLICT]
    first, second = one.entries
    forged = replace(one, checkpoints=(hub.sign_note(key=new_signing_key()),))
    assert judged(hub, forged).findings[0][0] == "checkpoints[0]"
    moved = replace(one, entries=(replace(first, index=first.index + 1), second))
    assert judged(hub, moved).findings[0][0] == "entries[0]"
    altered = replace(one, entries=(first, replace(second, leaf=second.leaf.replace(b"uslax", b"uslgb"))))
    assert judged(hub, altered).findings[0][0] == "entries[1]"
    elsewhere = replace(one, collection="0a1b2c3d-0000-4000-8000-000000000000")
    assert judged(hub, elsewhere).findings[0][0] == "checkpoints[0]"
    assert judged(hub, replace(one, versions=())).findings[0][0] == "versions"


def test_what_is_no_evidence_is_refused_with_its_field(
    cases: tuple[Simulator, dict[str, Evidence]],
) -> None:
    _, made = cases
    value = orjson.loads(encode(made[CONFLICT]))
    for name, wrong in [
        ("v", 2),
        ("kind", "murder"),
        ("agreement", "No Slug"),
        ("versions", "x"),
        ("entries", []),
        ("entries", [{}, {}]),
        ("entries", [value["entries"][0] | {"index": -1}, value["entries"][1]]),
        ("entries", [value["entries"][0] | {"checkpoint": 1}, value["entries"][1]]),
        ("entries", [value["entries"][0] | {"leaf": "====="}, value["entries"][1]]),
        ("checkpoints", []),
        ("prefix", 7),
        ("consistency", ["AAA"]),
        ("rosters", [1]),
    ]:
        with pytest.raises(BadRecord) as caught:
            decode(orjson.dumps(value | {name: wrong}))
        assert caught.value.field.startswith(name), (name, caught.value.field)
    for data in (b"", b"[]", b"{", b'{"v":1,"v":1}', b"\xff", orjson.dumps(value | {"more": 1})):
        with pytest.raises(BadRecord):
            decode(data)


@given(data=st.data())
def test_no_change_of_a_file_is_an_exception_or_proves_something_else(
    cases: tuple[Simulator, dict[str, Evidence]], data: st.DataObject
) -> None:
    hub, made = cases
    one = made[data.draw(st.sampled_from(sorted(made)))]
    whole = bytearray(encode(one))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        changed = decode(bytes(whole))
    except BadRecord:
        return
    found = judge(changed, [hub.key.keyid], verify)
    if changed != one and found.proved:
        assert found.says == judged(hub, one).says, "only what is not needed may be changed"
