"""What a dishonest hub, a dishonest publisher or a thief of a key can try against those who verify.

One test per attack, named after it. Each shows that the attack is named, and that it would go unseen if the
one mechanism that stands against it were switched off.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lightship.client import comparing, following, receiving, verifying
from lightship.client.comparing import same_log
from lightship.client.log_source import LogSource
from lightship.core import dsse
from lightship.core.agreement import chain
from lightship.core.agreement.chain import key_text
from lightship.core.collection import WithdrawReason
from lightship.core.log import checkpoint_check, complete, leaf, ledger, roster, statement
from lightship.core.log.findings import Failure, LogRefused
from lightship.core.log.held import Holdings
from lightship.core.log.ledger import Ledger
from lightship.core.log.look import Applied
from lightship.core.log.record import BadRecord
from lightship.core.log.roster import PublishKey, Revoked, Rosters
from lightship.core.log.statement import Statement
from lightship.core.log.trusted import TrustedLog
from lightship.core.stix.json import Decoded, canonical
from lightship.crypto.sign import new_signing_key, verify
from logworld import Consumer
from simulator import INDICATORS, SECOND, WARNINGS, Author, Simulator, add_of, indicator, withdrawal_of

Patch = pytest.MonkeyPatch
ADDRESS = {
    "type": "ipv4-addr",
    "spec_version": "2.1",
    "id": "ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd",
    "value": "198.51.100.3",
}
"""An observable: no version, no owner."""


@pytest.fixture(name="hub")
def _hub() -> Simulator:
    hub = Simulator()
    for number in range(5):
        hub.publish("uslgb", indicator(number))
    hub.attest("uslax", indicator(5))
    return hub


@pytest.fixture(name="consumer")
def _consumer(hub: Simulator, tmp_path: Path) -> Consumer:
    consumer = Consumer(hub, tmp_path / "state")
    report = consumer.pull()
    assert report.ok
    assert [one.result for one in report.delivered] == ["signed"] * 5 + ["hub-attested"]
    assert not report.warnings
    return consumer


def quiet(*_: Any, **__: Any) -> None:
    """A check that never objects."""


def content(source: LogSource, log: TrustedLog, now: Any) -> Any:
    """As if what came were all that was signed for."""
    assert log.aim is not None
    log.note, log.aim = log.aim.note, None
    yield Applied(log.size, (), (), ())


def off(monkeypatch: Patch, owner: Any, name: str, instead: Any = quiet) -> None:
    """Switch a mechanism off."""
    assert hasattr(owner, name)
    monkeypatch.setattr(owner, name, instead)


# --- what the hub hands out -----------------------------------------------------------------------


def alter(hub: Simulator, old: bytes, new: bytes) -> None:
    hub.publish("uslgb", indicator(7))
    body = hub.shelf[-1].body
    assert old in body
    hub.shelf[-1].body = body.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new"), [(b"203.0.113.7", b"203.0.113.8"), (b"Command server", b"Command  server")]
)
def test_stored_object_altered_by_one_byte_or_a_space_in_a_string(
    hub: Simulator, consumer: Consumer, monkeypatch: Patch, old: bytes, new: bytes
) -> None:
    alter(hub, old, new)
    assert consumer.failures() == {Failure.ALTERED, Failure.MISSING}
    off(monkeypatch, complete, "_is", lambda held, digest: True)
    assert not consumer.failures()


def test_an_altered_object_is_not_handed_on_and_comes_once_it_is_right(
    hub: Simulator, consumer: Consumer
) -> None:
    alter(hub, b"203.0.113.7", b"203.0.113.8")
    wrong = hub.shelf[-1]
    before = len(consumer.got)
    assert not consumer.pull().ok
    hub.publish("uslgb", indicator(8))
    report = consumer.pull()
    assert [one.id for one in report.delivered] == [indicator(8)["id"]]
    assert {one.id for one in report.missing} == {indicator(7)["id"]}
    wrong.body = canonical(indicator(7))
    report = consumer.pull()
    assert report.ok
    assert consumer.got[before:] == [canonical(indicator(8)), canonical(indicator(7))]
    assert not consumer.pull().delivered


def test_object_left_out_of_an_answer(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    hub.publish("uslgb", indicator(7), indicator(8))
    del hub.shelf[-2]
    assert consumer.failures() == {Failure.MISSING}
    off(monkeypatch, complete, "_is_missing")
    assert not consumer.failures()


def test_newest_object_left_out_of_an_answer(hub: Simulator, consumer: Consumer) -> None:
    hub.publish("uslgb", indicator(7))
    hub.shelf.pop()
    assert consumer.failures() == {Failure.MISSING}


def test_what_was_left_out_once_is_reported_until_it_comes(hub: Simulator, consumer: Consumer) -> None:
    hub.publish("uslgb", indicator(7))
    kept = hub.shelf.pop()
    hub.publish("uslgb", indicator(8))
    assert [one.id for one in consumer.pull().missing] == [kept.id]
    hub.publish("uslgb", indicator(9))
    assert [one.id for one in consumer.pull().missing] == [kept.id]
    hub.shelf.append(kept)
    report = consumer.pull()
    assert report.ok
    assert [one.id for one in report.delivered] == [kept.id]


def test_object_put_in_that_nobody_published(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    hub.publish("uslgb", indicator(7))
    hub.shelf[-1].body = canonical(indicator(99))
    assert consumer.failures() == {Failure.NOT_IN_LOG, Failure.MISSING}
    true = complete.found
    stands_for = complete.Came(indicator(7)["id"], indicator(7)["modified"], add_of(indicator(7)).digest)
    off(
        monkeypatch,
        complete,
        "found",
        lambda shelf, one: true(shelf, stands_for if one.id == indicator(99)["id"] else one),
    )
    assert not consumer.failures()


def test_withdrawn_object_still_handed_out(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    hub.publish("uslgb", indicator(7))
    kept = hub.shelf[-1]
    hub.publish("uslgb", indicator(8), withdraw=[withdrawal_of(indicator(7))])
    hub.shelf.append(kept)
    assert consumer.failures() == {Failure.WITHDRAWN}
    off(monkeypatch, complete, "_left")
    assert not consumer.failures()


def test_what_leaves_while_it_is_pulled_is_no_failure(hub: Simulator, consumer: Consumer) -> None:
    for number in range(10, 16):
        hub.publish("uslgb", indicator(number))

    def leave() -> None:
        hub.publish("uslgb", indicator(20), withdraw=[withdrawal_of(indicator(n)) for n in (10, 15)])

    hub.between = leave
    report = consumer.pull()
    assert report.ok
    assert {one.id for one in report.gone} == {indicator(n)["id"] for n in (10, 15)}
    assert [one.id for one in report.delivered] == [indicator(n)["id"] for n in (11, 12, 13, 14, 20)]
    assert not consumer.pull().delivered


def test_duplicate_json_members(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """Two readers that keep different ones of two equal members must not be told different things."""
    hub.publish("uslgb", indicator(7))
    hub.shelf[-1].body = hub.shelf[-1].body.replace(b'"name":', b'"name":"Nothing to see","name":')
    assert consumer.failures() == {Failure.UNREADABLE_OBJECT, Failure.MISSING}

    def lenient(body: bytes, member: str) -> Any:
        value = json.loads(body)
        items = [Decoded(one, canonical(one)) for one in value.pop(member, [])]
        return SimpleNamespace(members=value, items=items, is_object=True, is_array=True)

    off(monkeypatch, receiving, "decode_listing", lenient)
    assert not consumer.failures()


def test_dates_of_an_answer_that_are_not_those_of_the_log(
    hub: Simulator, consumer: Consumer, monkeypatch: Patch
) -> None:
    """Other clients keep these dates as their cursor: one far ahead makes them skip what comes next."""
    hub.publish("uslgb", indicator(7))
    hub.shelf[-1].stamp += 3600 * SECOND
    assert consumer.failures() == {Failure.WRONG_DATE}
    off(monkeypatch, verifying, "_dates", lambda *_: ())
    assert not consumer.failures()


# --- the log --------------------------------------------------------------------------------------


def test_entry_deleted(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    del hub.entries[4]
    hub.publish("uslgb", indicator(7))
    hub.publish("uslgb", indicator(8))
    assert consumer.failures() == {Failure.REWRITTEN}
    off(monkeypatch, checkpoint_check, "_same_root")
    assert Failure.REWRITTEN not in consumer.failures()


def test_entry_rewritten(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    old = leaf.read(hub.entries[4])
    assert isinstance(old, leaf.Publication)
    hub.entries[4] = leaf.publication(1, old.at, "uslax", old.envelope)
    hub.publish("uslgb", indicator(7))
    assert consumer.failures() == {Failure.REWRITTEN}
    off(monkeypatch, checkpoint_check, "_same_root")
    off(monkeypatch, checkpoint_check, "_one_view")
    assert not consumer.failures()


def test_new_entry_changed_after_it_was_signed_for(
    hub: Simulator, consumer: Consumer, monkeypatch: Patch
) -> None:
    hub.attest("uslgb", indicator(7))
    hub.note = hub.sign_note()
    hub.entries.pop()
    hub.shelf.pop()
    hub.attest("uslgb", indicator(7, "Harmless"))
    assert consumer.failures() == {Failure.REWRITTEN}
    off(monkeypatch, checkpoint_check, "_same_root")
    off(monkeypatch, checkpoint_check, "_one_view")
    assert not consumer.failures()


def test_truncation(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """Fewer entries come than the checkpoint signs for."""
    hub.publish("uslgb", indicator(7))
    hub.note = hub.sign_note()
    hub.entries.pop()
    hub.shelf.pop()
    assert consumer.failures() == {Failure.TRUNCATED}
    off(monkeypatch, following, "_reach", content)
    assert not consumer.failures()


def test_rollback(hub: Simulator, consumer: Consumer) -> None:
    """A genuine old log is shown again; who kept no checkpoint cannot know."""
    hub.entries, hub.shelf = hub.entries[:-2], hub.shelf[:-2]
    assert consumer.failures() == {Failure.ROLLBACK}
    assert not consumer.failures(fresh=True)


def test_split_view(hub: Simulator, consumer: Consumer) -> None:
    """Another log of the same size, as genuine, that one half of the consumers is shown."""
    hub.entries, hub.shelf = hub.entries[:-1], hub.shelf[:-1]
    hub.attest("uslax", indicator(6))
    assert consumer.failures() == {Failure.SPLIT_VIEW}
    assert not consumer.failures(fresh=True)
    hub.publish("uslgb", indicator(7))
    assert consumer.failures() == {Failure.REWRITTEN}
    assert not consumer.failures(fresh=True)


def compared(consumer: Consumer, note: bytes) -> str:
    """Compare a checkpoint that another consumer verified; return what is wrong, empty if nothing is."""
    with consumer.kept() as kept:
        following.follow(consumer.source, kept.log, consumer.hub.clock())
        try:
            same_log(consumer.source, kept.log, note)
        except LogRefused as error:
            return error.finding.failure.value
    return ""


def test_split_view_between_two_consumers_that_compare_checkpoints(
    hub: Simulator, consumer: Consumer, monkeypatch: Patch
) -> None:
    """Two genuine logs, each whole in itself: neither consumer can tell alone."""
    before, shared, shelf = hub.sign_note(), hub.entries[:], hub.shelf[:]
    hub.publish("uslgb", indicator(6))
    hub.publish("uslgb", indicator(7))
    assert consumer.pull().ok
    ours = hub.sign_note()
    hub.publish("uslgb", indicator(8))
    assert [compared(consumer, note) for note in (before, ours, hub.sign_note())] == ["", "", ""]
    entries, objects = hub.entries, hub.shelf
    hub.entries, hub.shelf = shared, shelf
    theirs = []
    for number in range(10, 15):
        hub.attest("uslax", indicator(number))
        theirs.append(hub.sign_note())
    hub.entries, hub.shelf = entries, objects
    assert [compared(consumer, note) for note in theirs] == ["split-view"] * 5
    forged = hub.sign_note(key=new_signing_key())
    assert compared(consumer, forged) == "checkpoint-forged"
    off(monkeypatch, comparing, "_one_tree", lambda *_: True)
    assert [compared(consumer, note) for note in theirs[:3]] == ["", "", ""]


def test_forged_checkpoint(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    hub.attest("uslgb", indicator(7))
    hub.note = hub.sign_note(key=new_signing_key())
    assert consumer.failures() == {Failure.CHECKPOINT_FORGED}
    hub.note = hub.sign_note()[:-20] + b"AAAAAAAAAAAAAAAAA==\n"
    assert consumer.failures() == {Failure.CHECKPOINT_FORGED}
    hub.note = hub.sign_note(key=new_signing_key())
    off(monkeypatch, checkpoint_check, "_verify_note")
    assert not consumer.failures()


def test_checkpoint_of_another_log(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    hub.host = "other.test"
    hub.publish("uslgb", indicator(7))
    assert consumer.failures() == {Failure.CHECKPOINT_FORGED}  # the key's name is the log's
    off(monkeypatch, checkpoint_check, "_verify_note")
    assert consumer.failures() == {Failure.OTHER_LOG}
    off(monkeypatch, checkpoint_check, "_this_log")
    assert not consumer.failures()


def test_freeze(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """An old state is shown for ever, as if nothing happened: its age is said, and a strict pull fails."""
    hub.agree(max_age_s=3600)
    consumer.pull()
    hub.now += 3700 * SECOND
    assert not consumer.failures()
    assert consumer.failures(strict=True) == {Failure.STALE}
    hub.publish("uslgb", indicator(7))
    assert not consumer.failures(strict=True)
    hub.now += 3700 * SECOND
    off(monkeypatch, TrustedLog, "warnings", lambda self, now: [])
    assert not consumer.failures(strict=True)


def test_backdating(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """An entry claims to be older than the one before it, or than a look at which it was not there."""
    hub.attest("uslgb", indicator(7), at=hub.now - 3600 * SECOND)
    hub.shelf[-1].stamp = hub.now  # so that it is asked for
    assert Failure.BACKDATED in consumer.failures()
    hub.shelf.pop()
    hub.entries.pop()
    last = hub.now
    hub.now += 7200 * SECOND
    consumer.pull()
    hub.attest("uslgb", indicator(8), at=last + 10 * SECOND)
    assert consumer.failures() == {Failure.BACKDATED}
    off(monkeypatch, TrustedLog, "_time")
    assert not consumer.failures()


def test_what_came_while_the_clock_here_was_wrong_comes_once_it_is_right(
    hub: Simulator, consumer: Consumer
) -> None:
    hub.publish("uslgb", indicator(7))
    right, hub.now = hub.now, hub.now - 7200 * SECOND
    with pytest.raises(LogRefused, match="is the clock here right"):
        consumer.pull()
    hub.now = right
    report = consumer.pull()
    assert report.ok
    assert [one.id for one in report.delivered] == [indicator(7)["id"]]


def test_a_look_with_a_clock_that_was_ahead_accuses_nobody_afterwards(
    hub: Simulator, consumer: Consumer
) -> None:
    right, hub.now = hub.now, hub.now + 86_400 * SECOND
    consumer.pull()
    hub.now = right
    hub.publish("uslgb", indicator(7))
    report = consumer.pull()
    assert report.ok
    assert [one.id for one in report.delivered] == [indicator(7)["id"]]


def test_a_time_far_ahead(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """One leap into 2036 would make everything after it unbelievable."""
    hub.attest("uslgb", indicator(7), at=hub.now + 10 * 365 * 86_400 * SECOND)
    assert consumer.failures() == {Failure.FROM_THE_FUTURE}
    off(monkeypatch, TrustedLog, "_time")
    assert not consumer.failures()


# --- statements -----------------------------------------------------------------------------------


def test_forged_statement(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """The hub writes a statement in a publisher's name and cannot sign it."""
    author = hub.authors["uslgb"]
    true = author.sign(hub, [indicator(7)])
    forged = dsse.Envelope(true.payload_type, true.payload, (dsse.Signature(author.key.keyid, bytes(64)),))
    hub.log("uslgb", forged, [indicator(7)])
    assert consumer.failures() == {Failure.FORGED}
    off(monkeypatch, Ledger, "_signed")
    assert not consumer.failures()


def test_signature_type_confusion(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """Bytes that a publisher's key signed as something else are passed off as its statement."""
    author = hub.authors["uslgb"]

    payload = author.sign(hub, [indicator(7)]).payload
    taken = dsse.Signature(author.key.keyid, author.key.sign(dsse.pae(roster.PAYLOAD_TYPE, payload)))
    hub.log("uslgb", dsse.Envelope(statement.PAYLOAD_TYPE, payload, (taken,)), [indicator(7)])
    assert consumer.failures() == {Failure.FORGED}

    def typeless(self: Ledger, one: leaf.Publication, key: PublishKey) -> Any:
        """As if the type were no part of what is signed."""
        messages = [
            dsse.pae(kind, one.envelope.payload) for kind in (statement.PAYLOAD_TYPE, roster.PAYLOAD_TYPE)
        ]
        held = [
            verify(key.public, sig.sig, message) for sig in one.envelope.signatures for message in messages
        ]
        return None if any(held) else (Failure.FORGED, "")

    off(monkeypatch, Ledger, "_signed", typeless)
    assert not consumer.failures()


def test_another_kind_of_envelope_in_a_statements_place(hub: Simulator) -> None:
    """A leaf takes statements only: an envelope of another type is not even read."""
    author = hub.authors["uslgb"]
    payload = author.sign(hub, [indicator(7)]).payload
    message = dsse.pae(roster.PAYLOAD_TYPE, payload)
    other = dsse.Envelope(
        roster.PAYLOAD_TYPE, payload, (dsse.Signature(author.key.keyid, author.key.sign(message)),)
    )
    entry = leaf.publication(1, hub.at(), "uslgb", other)
    with pytest.raises(BadRecord, match="payloadType"):
        leaf.read(entry)


def test_hub_attested_forgery_is_seen_as_such(hub: Simulator, consumer: Consumer) -> None:
    """The hub attests what no member posted: nobody can prove it false, but it never counts as signed."""
    hub.attest("uslax", indicator(7))
    assert [one.result for one in consumer.look().delivered] == ["hub-attested"]


def test_hub_attested_forgery_where_signatures_are_required(
    hub: Simulator, consumer: Consumer, monkeypatch: Patch
) -> None:
    hub.agree(require_signature=True)
    hub.attest("uslax", indicator(7))
    assert consumer.failures() == {Failure.UNSIGNED}
    off(monkeypatch, Ledger, "_rights")
    assert not consumer.failures()


def test_hub_attested_withdrawal_in_anothers_name(
    hub: Simulator, consumer: Consumer, monkeypatch: Patch
) -> None:
    """The hub cannot drop an object by a withdrawal of who does not own it, or by an order nobody signed."""
    hub.publish("uslgb", indicator(7))
    gone = hub.shelf[-1:]
    hub.attest("uslax", withdraw=[withdrawal_of(indicator(7))])
    assert consumer.failures() == {Failure.NOT_OWNER, Failure.MISSING}
    hub.entries.pop()
    hub.shelf += gone
    hub.attest("", withdraw=[withdrawal_of(indicator(7), WithdrawReason.ORDERED)])
    assert consumer.failures() == {Failure.NOT_ORDERED, Failure.MISSING}
    hub.entries.pop()
    hub.attest("", withdraw=[withdrawal_of(indicator(7), WithdrawReason.DISTRUSTED)])
    assert consumer.failures() == {Failure.NOT_DISTRUSTED, Failure.MISSING}

    def believe(self: Holdings, entry: Any, by: str, key: str, index: int, ordered: Any) -> Any:
        held = self.shelf.version(entry.id, entry.instant)
        assert held is not None
        return self.take_out(held, entry.reason, index)

    off(monkeypatch, Holdings, "withdraw", believe)
    assert not consumer.failures()


def test_withdrawal_that_the_agreement_orders(hub: Simulator, consumer: Consumer) -> None:
    hub.publish("uslgb", indicator(7))
    hub.agree(withdraw=[indicator(7)["id"]])
    hub.attest("", withdraw=[withdrawal_of(indicator(7), WithdrawReason.ORDERED)])
    report = consumer.pull()
    assert report.ok
    assert [(one.id, one.reason, one.signed) for one in report.gone] == [
        (indicator(7)["id"], "ordered", False)
    ]


def test_publisher_equivocation(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """A publisher signs two statements under one number, to tell two readers different things."""
    author = hub.authors["uslgb"]
    first = Author("uslgb", author.key, author.seq, author.prev)
    hub.log("uslgb", author.sign(hub, [indicator(7)]), [indicator(7)])
    hub.log("uslgb", first.sign(hub, [indicator(8)]), [indicator(8)])
    assert consumer.failures() == {Failure.EQUIVOCATION}
    report = consumer.look()
    assert "entry 9" in report.findings[0].why
    assert [one.id for one in report.delivered] == [indicator(7)["id"]]
    off(monkeypatch, Ledger, "_sequence")
    assert not consumer.failures()


def test_statement_left_out_of_the_log(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """The hub takes a statement, answers well, and logs only the next one."""
    author = hub.authors["uslgb"]
    author.sign(hub, [indicator(7)])
    hub.publish("uslgb", indicator(8))
    assert consumer.failures() == {Failure.GAP}
    off(monkeypatch, Ledger, "_sequence")
    assert not consumer.failures()


def test_replay_of_a_statement(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """A withdrawn object is put back by logging its old statement again."""
    envelope = hub.authors["uslgb"].sign(hub, [indicator(7)])
    hub.log("uslgb", envelope, [indicator(7)])
    hub.publish("uslgb", withdraw=[withdrawal_of(indicator(7))])
    hub.log("uslgb", envelope, [indicator(7)])
    assert Failure.REPLAYED in consumer.failures()
    off(monkeypatch, Ledger, "_sequence")
    assert not consumer.failures()


def test_replay_in_another_collection(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    author = hub.authors["uslgb"]
    envelope = author.sign(hub, [indicator(7)], collection=WARNINGS, seq=author.seq + 1, prev=author.prev)
    hub.log("uslgb", envelope, [indicator(7)])
    assert consumer.failures() == {Failure.OTHER_COLLECTION}
    off(monkeypatch, Ledger, "_place")
    assert not consumer.failures()


def test_replay_at_another_hub(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    author = hub.authors["uslgb"]
    made = Statement(
        INDICATORS, "f" * 64, author.key.keyid, author.seq + 1, author.prev, (add_of(indicator(7)),)
    )
    hub.log("uslgb", statement.sign(made, author.key.sign), [indicator(7)])
    assert consumer.failures() == {Failure.OTHER_HUB}
    off(monkeypatch, Ledger, "_place")
    assert not consumer.failures()


def test_impersonation(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """One member's statement is logged as another's."""
    hub.log("uslax", hub.authors["uslgb"].sign(hub, [indicator(7)]), [indicator(7)])
    assert consumer.failures() == {Failure.IMPERSONATION}
    off(monkeypatch, Ledger, "_signature")
    assert not consumer.failures()


def test_impersonation_by_listing_anothers_key(
    hub: Simulator, consumer: Consumer, monkeypatch: Patch
) -> None:
    """A member lists another's publish key on its own roster, to claim what that one signs."""
    theirs = hub.authors["uslgb"]
    keys = dict(hub.last_roster["uslax"].keys) | {theirs.key.keyid: PublishKey(theirs.key.public)}
    hub.roster("uslax", keys)
    hub.log("uslax", theirs.sign(hub, [indicator(7)]), [indicator(7)])
    assert consumer.failures() == {Failure.ROSTER, Failure.IMPERSONATION}
    off(monkeypatch, Rosters, "_others_key")
    assert not consumer.failures()


def test_key_that_no_roster_lists(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """The hub makes a key of its own and signs with it in a member's name."""
    hub.log("uslgb", Author("uslgb", new_signing_key()).sign(hub, [indicator(7)]), [indicator(7)])
    assert consumer.failures() == {Failure.UNKNOWN_KEY}
    off(monkeypatch, Ledger, "_signature")
    assert not consumer.failures()


def test_forged_roster(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """The hub puts a key of its own on a member's roster and cannot sign that."""
    thief = new_signing_key()
    keys = dict(hub.last_roster["uslgb"].keys) | {thief.keyid: PublishKey(thief.public)}
    hub.roster("uslgb", keys, signer=thief)
    hub.log("uslgb", Author("uslgb", thief).sign(hub, [indicator(7)]), [indicator(7)])
    assert consumer.failures() == {Failure.ROSTER, Failure.UNKNOWN_KEY}
    off(monkeypatch, Rosters, "_signed")
    assert not consumer.failures()


def test_roster_withheld(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """A revocation that the log names but the hub does not show is a failure, not an old roster."""
    hub.enrol("uslgb")
    hub.rosters.popitem()
    assert consumer.failures() == {Failure.ROSTER}
    off(monkeypatch, Ledger, "roster", lambda *_: ([], []))
    assert not consumer.failures()


# --- a stolen publish key -------------------------------------------------------------------------


def revoke(hub: Simulator, member: str, since: int | None) -> None:
    author = hub.authors[member]
    why = Revoked("stolen", {} if since is None else {hub.origin: since})
    keys = dict(hub.last_roster[member].keys) | {author.key.keyid: PublishKey(author.key.public, why)}
    hub.roster(member, keys)


def test_stolen_publish_key_after_it_was_revoked(
    hub: Simulator, consumer: Consumer, monkeypatch: Patch
) -> None:
    revoke(hub, "uslgb", None)
    hub.publish("uslgb", indicator(7))
    assert consumer.failures() == {Failure.REVOKED_KEY}
    off(monkeypatch, ledger, "_revoked")
    assert not consumer.failures()


def test_stolen_publish_key_before_and_after_distrust_from(
    hub: Simulator, consumer: Consumer, monkeypatch: Patch
) -> None:
    """What the thief added leaves with the roster, even if the hub goes on handing it out; the rest stays."""
    hub.publish("uslgb", indicator(7))
    stolen = hub.publish("uslgb", indicator(8))
    hub.publish("uslgb", indicator(9))
    revoke(hub, "uslgb", stolen)
    assert consumer.failures() == {Failure.DISTRUSTED}
    report = consumer.look()
    assert [one.id for one in report.delivered] == [indicator(7)["id"]]
    assert {one.id for one in report.failures} == {indicator(8)["id"], indicator(9)["id"]}
    assert {(one.id, one.reason) for one in report.gone} == {
        (indicator(n)["id"], "distrusted") for n in (8, 9)
    }
    off(monkeypatch, Holdings, "distrust", lambda *_: [])
    assert not consumer.failures()


def test_an_honest_hub_withdraws_what_a_stolen_key_added(hub: Simulator, consumer: Consumer) -> None:
    stolen = hub.publish("uslgb", indicator(7))
    consumer.pull()
    revoke(hub, "uslgb", stolen)
    hub.attest("", withdraw=[withdrawal_of(indicator(7), WithdrawReason.DISTRUSTED)])
    hub.enrol("uslgb")
    hub.publish("uslgb", indicator(8))
    report = consumer.pull()
    assert report.ok
    assert [(one.id, one.reason) for one in report.gone] == [(indicator(7)["id"], "distrusted")]
    hub.publish("uslgb", indicator(7))
    assert consumer.failures() == {Failure.ADDED_AFTER_WITHDRAWAL, Failure.DISTRUSTED}


def test_a_revoked_key_does_not_come_back(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    author = hub.authors["uslgb"]
    revoke(hub, "uslgb", None)
    hub.roster("uslgb", {author.key.keyid: PublishKey(author.key.public)})
    hub.publish("uslgb", indicator(7))
    assert consumer.failures() == {Failure.REVOKED_KEY}
    off(monkeypatch, ledger, "_revoked")
    assert not consumer.failures()


def test_stolen_admin_key_after_it_was_replaced(
    hub: Simulator, consumer: Consumer, monkeypatch: Patch
) -> None:
    """A hub that withholds the member's next roster cannot keep one of the stolen admin key in force."""
    thief = hub.enrol("uslgb")
    fresh = hub.admins["uslgb"] = new_signing_key()
    hub.written["members"]["uslgb"]["admin_key"] = key_text(fresh.public)
    hub.agree()
    hub.log("uslgb", thief.sign(hub, [indicator(7)]), [indicator(7)])
    assert consumer.failures() == {Failure.UNKNOWN_KEY}
    off(monkeypatch, Ledger, "_in_force", lambda *_: True)
    assert not consumer.failures()


def test_the_roster_of_a_new_admin_key_is_taken(hub: Simulator, consumer: Consumer) -> None:
    fresh = hub.admins["uslgb"] = new_signing_key()
    hub.written["members"]["uslgb"]["admin_key"] = key_text(fresh.public)
    hub.agree()
    hub.enrol("uslgb")
    hub.publish("uslgb", indicator(7))
    assert consumer.pull().ok
    hub.publish("uslgb", indicator(8))
    assert consumer.pull().ok


def test_what_has_no_owner_and_comes_back_by_another_member_is_withdrawn_by_it(
    hub: Simulator, consumer: Consumer
) -> None:
    hub.attest("uslgb", ADDRESS)
    hub.attest("uslgb", withdraw=[withdrawal_of(ADDRESS)])
    hub.attest("uslax", ADDRESS)
    assert consumer.pull().ok
    hub.attest("uslax", withdraw=[withdrawal_of(ADDRESS)])
    assert consumer.look(fresh=True).ok
    assert consumer.pull().ok


# --- the agreement --------------------------------------------------------------------------------


def test_agreement_rollback(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """The hub puts an older version in force again, to be able to use what was taken away."""
    hub.agree(require_signature=True)
    hub.entries.append(leaf.agreement_change(1, hub.at(), hub.digests[0]))
    assert consumer.failures() == {Failure.AGREEMENT_ROLLBACK}
    off(monkeypatch, TrustedLog, "_not_older")
    assert not consumer.failures()


def test_agreement_skip(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    hub.agree(log=False, max_age_s=3600)
    hub.agree()
    assert consumer.failures() == {Failure.AGREEMENT_SKIPPED}
    off(monkeypatch, TrustedLog, "_no_skip")
    assert not consumer.failures()


def test_agreement_forged(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """A version that too few of the right keys signed is none."""
    hub.key = new_signing_key()
    hub.agree(require_signature=True)
    assert consumer.failures() == {Failure.AGREEMENT_FORGED}
    off(monkeypatch, chain, "_enough")
    assert not consumer.failures()


def test_agreement_withheld(hub: Simulator, consumer: Consumer, monkeypatch: Patch) -> None:
    """The log says that a version is in force, the hub does not show it: the old one is not gone on with."""
    hub.agree(require_signature=True)
    hub.envelopes.pop()
    assert consumer.failures() == {Failure.AGREEMENT_WITHHELD}
    off(monkeypatch, TrustedLog, "_agreement")
    assert not consumer.failures()


def test_agreement_that_does_not_reach_the_log(
    hub: Simulator, consumer: Consumer, monkeypatch: Patch
) -> None:
    hub.agree(log=False, require_signature=True)
    assert consumer.failures(strict=True) == {Failure.AGREEMENT_BEHIND}
    off(monkeypatch, TrustedLog, "warnings", lambda self, now: [])
    assert not consumer.failures(strict=True)


def test_a_whole_other_hub_in_its_place(hub: Simulator, consumer: Consumer) -> None:
    """Everything replaced at once, keys too: the first look's pin holds, and one that is given by hand."""
    pinned = hub.key.keyid
    consumer.hub.__dict__.update(Simulator().__dict__)
    hub.publish("uslgb", indicator(7))
    assert consumer.failures() == {Failure.CHECKPOINT_FORGED}
    assert not consumer.failures(fresh=True)
    kept = following.first_look(consumer.source, verify, pinned_key=pinned)
    with pytest.raises(LogRefused, match="the pinned key did not sign it"):
        following.follow(consumer.source, kept.log, hub.clock())
