"""Contract of `ports.Writer.publish`: verdicts, stamps, statements, quotas, all or nothing. Both drivers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import orjson
import pytest

from lightship.core.audit import AccessEvent
from lightship.core.collection import CollectionSettings, Verdict, WithdrawReason
from lightship.core.errors import Conflict, NotFound, Refused, Unavailable
from lightship.core.ports import EpochChanged, PublishOutcome
from lightship.core.query import Filters, Versions
from lightship.core.time import Micros
from storekit import (
    ALICE,
    ALL,
    BOB,
    SECOND,
    START,
    WAIT,
    HandClock,
    HubStore,
    activate,
    candidate,
    check_statements,
    collection,
    grant,
    object_id,
    principal,
    publish,
    publishing,
    pull,
    signed,
    uuid_of,
    withdraw,
)

V1, V2 = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


def verdicts(outcome: PublishOutcome) -> list[str]:
    return [str(item.verdict) for item in outcome.items]


def test_outcomes_come_in_the_order_posted_with_their_stamps(hub_store: HubStore) -> None:
    published = publish(hub_store, *[candidate(n) for n in (3, 1, 2)])
    stamps = [item.stamp for item in published.outcome.items]
    assert [item.candidate.id for item in published.outcome.items] == [object_id(n) for n in (3, 1, 2)]
    assert stamps == [stamps[0], stamps[0] + 1, stamps[0] + 2]
    assert (published.outcome.added_first, published.outcome.added_last) == (stamps[0], stamps[2])


def test_an_exact_duplicate_is_a_success_for_everybody_and_shows_the_held_stamp(hub_store: HubStore) -> None:
    first = publish(hub_store, candidate(1)).outcome
    for member in (ALICE, BOB):
        again = publish(hub_store, candidate(1), member=member).outcome
        assert verdicts(again) == ["duplicate"]
        assert again.items[0].stamp == first.items[0].stamp
        assert (again.added_first, again.added_last) == (0, 0)
    assert len(pull(hub_store, ALL)) == 1
    assert len(hub_store.statements(1)) == 2


def test_items_of_one_request_are_judged_against_each_other(hub_store: HubStore) -> None:
    outcome = publish(hub_store, candidate(1), candidate(1), candidate(1, content="other")).outcome
    assert verdicts(outcome) == ["add", "duplicate", "conflict"]
    assert outcome.items[0].stamp == outcome.items[1].stamp > 0
    assert outcome.items[2].stamp == 0
    assert len(pull(hub_store, ALL)) == 1


def test_a_version_written_otherwise_is_the_same_version(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1, "2026-01-01T00:00:00Z"))
    other = candidate(1, "2026-01-01T00:00:00.000Z")._replace(digest=b"x" * 32)
    assert verdicts(publish(hub_store, other).outcome) == ["conflict"]


def test_other_content_under_a_known_version_is_a_conflict(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1))
    assert verdicts(publish(hub_store, candidate(1, content="other")).outcome) == ["conflict"]
    (row,) = pull(hub_store, ALL)
    assert row.body == candidate(1).body


def test_another_members_object_gets_no_new_version(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1, V1))
    assert verdicts(publish(hub_store, candidate(1, V2), member=BOB).outcome) == ["not-owner"]
    withdraw(hub_store, object_id(1))
    assert verdicts(publish(hub_store, candidate(1, V2), member=BOB).outcome) == ["not-owner"]


def test_objects_without_an_owner_take_versions_from_anybody(hub_store: HubStore) -> None:
    kind = "extension-definition"
    publish(hub_store, candidate(1, V1, type_name=kind, owned=False))
    outcome = publish(hub_store, candidate(1, V2, type_name=kind, owned=False), member=BOB).outcome
    assert verdicts(outcome) == ["add"]


@pytest.mark.parametrize(
    ("reason", "same", "other"),
    [
        (WithdrawReason.PUBLISHER, "add", "conflict"),
        (WithdrawReason.EXPIRED, "withdrawn", "conflict"),
        (WithdrawReason.ORDERED, "withdrawn", "conflict"),
        (WithdrawReason.DISTRUSTED, "withdrawn", "conflict"),
    ],
)
def test_what_was_withdrawn_comes_back_only_as_it_was_and_only_if_its_publisher_withdrew_it(
    hub_store: HubStore, reason: WithdrawReason, same: str, other: str
) -> None:
    publish(hub_store, candidate(1))
    withdraw(hub_store, object_id(1), member=None, reason=reason)
    assert verdicts(publish(hub_store, candidate(1, content="other")).outcome) == [other]
    assert verdicts(publish(hub_store, candidate(1)).outcome) == [same]


def test_an_object_added_again_has_a_new_date_added_and_its_tombstone_is_gone(hub_store: HubStore) -> None:
    first = publish(hub_store, candidate(1)).outcome
    for _ in range(3):
        withdraw(hub_store, object_id(1))
        again = publish(hub_store, candidate(1)).outcome
        assert verdicts(again) == ["add"]
        assert again.items[0].stamp > first.items[0].stamp
        assert verdicts(publish(hub_store, candidate(1)).outcome) == ["duplicate"]
        assert len(pull(hub_store, ALL)) == 1
        first = again
    check_statements(hub_store, 1)


def test_stamps_rise_strictly_while_the_clock_stands_still(hub_store: HubStore) -> None:
    for number in range(1, 60):
        publish(hub_store, candidate(number), candidate(number, V2))
    stamps = [row.key for row in pull(hub_store, ALL)]
    assert len(stamps) == len(set(stamps)) == 118
    check_statements(hub_store, 1)


def test_stamps_lie_a_quarter_second_ahead_and_end_on_a_whole_millisecond(
    hub_store: HubStore, hub_clock: HandClock
) -> None:
    hub_clock.advance(SECOND + 123)
    outcome = publish(hub_store, *[candidate(n) for n in range(1, 700)]).outcome
    assert outcome.added_first >= hub_clock.wall + 250_000
    assert outcome.added_last % 1000 == 0
    assert outcome.added_last < hub_clock.wall + 260_000


def test_a_burst_goes_on_in_microseconds_a_second_ahead_of_the_clock(hub_store: HubStore) -> None:
    number = 0
    while True:
        number += 1
        outcome = publish(hub_store, candidate(number)).outcome
        if outcome.added_last % 1000:
            break
        assert number < 800, "rounding went on more than a second ahead"
    assert outcome.added_last > START + SECOND - 2_000
    assert publish(hub_store, candidate(number + 1)).outcome.added_last == outcome.added_last + 1


def test_a_backlog_of_stamps_makes_publishing_wait_and_writes_nothing(
    hub_store: HubStore, hub_clock: HandClock
) -> None:
    publish(hub_store, candidate(1))
    hub_clock.wall -= 40 * SECOND  # within what may be the clock's fault: not a jump
    hub_clock.steady -= 40 * SECOND
    before = hub_store.state(grant(hub_store))
    with pytest.raises(Unavailable) as caught:
        publish(hub_store, candidate(2))
    assert caught.value.retry_after >= 1
    with pytest.raises(Unavailable):
        withdraw(hub_store, object_id(1))
    assert hub_store.state(grant(hub_store)) == before
    assert verdicts(publish(hub_store, candidate(1)).outcome) == ["duplicate"]
    hub_clock.advance(40 * SECOND)
    publish(hub_store, candidate(2))
    check_statements(hub_store, 1)


@pytest.mark.parametrize("jump", [-61 * SECOND, 61 * SECOND, 10 * 365 * 86_400 * SECOND])
def test_a_clock_that_jumped_stops_publishing_and_poisons_nothing(
    hub_store: HubStore, hub_clock: HandClock, jump: int
) -> None:
    publish(hub_store, candidate(1))
    before = hub_store.state(grant(hub_store))
    hub_clock.jump(jump)
    with pytest.raises(Unavailable, match="clock has jumped"):
        publish(hub_store, candidate(2))
    with pytest.raises(Unavailable, match="clock has jumped"):
        withdraw(hub_store, object_id(1))
    with pytest.raises(Unavailable, match="clock has jumped"):
        activate(hub_store, version=2, req="r")
    assert hub_store.state(grant(hub_store)) == before
    assert len(hub_store.chain("exercise")) == 1
    hub_clock.jump(-jump)
    publish(hub_store, candidate(2))
    assert hub_store.state(grant(hub_store)).last < START + 2 * SECOND


def test_a_small_correction_of_the_clock_goes_unnoticed(hub_store: HubStore, hub_clock: HandClock) -> None:
    for number, jump in enumerate((20 * SECOND, -25 * SECOND, 59 * SECOND)):
        hub_clock.jump(jump)
        publish(hub_store, candidate(number))
    check_statements(hub_store, 1)


def test_a_statement_row_is_what_the_hub_attests(hub_store: HubStore) -> None:
    one, two = candidate(1), candidate(2, "", type_name="ipv4-addr", owned=False)
    published = publish(hub_store, one, two, member=BOB)
    row = hub_store.statements(1)[-1]
    assert (row.collection, row.idx, row.by, row.agreement) == (1, 1, BOB, 1)
    assert row.at == published.outcome.added_last
    assert row.body == orjson.dumps(
        {
            "add": [[one.id, V1, one.digest.hex()], [two.id, "", two.digest.hex()]],
            "collection": uuid_of(1),
            "hub": signed(1).digest,
            "key": "",
            "prev": "",
            "seq": 0,
            "withdraw": [],
        },
        option=orjson.OPT_SORT_KEYS,
    )


def test_a_statement_names_the_agreement_version_in_force(hub_store: HubStore) -> None:
    activate(hub_store, 1, 2, version=2)
    publish(hub_store, candidate(1))
    row = hub_store.statements(1)[-1]
    assert row.agreement == 2
    assert orjson.loads(row.body)["hub"] == signed(1).digest


def test_what_changes_nothing_makes_no_statement(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1))
    before = hub_store.statements(1)
    publish(hub_store, candidate(1), candidate(1, content="other"))
    publish(hub_store)
    assert hub_store.statements(1) == before


@pytest.mark.parametrize(("count", "sizes"), [(256, [256]), (257, [256, 1]), (600, [256, 256, 88])])
def test_a_statement_has_256_entries_at_most_and_each_entry_its_own_stamp(
    hub_store: HubStore, count: int, sizes: list[int]
) -> None:
    outcome = publish(hub_store, *[candidate(n) for n in range(count)]).outcome
    rows = hub_store.statements(1)[1:]
    assert [len(orjson.loads(row.body)["add"]) for row in rows] == sizes
    stamps = [
        row.at - (size - 1 - index) for row, size in zip(rows, sizes, strict=True) for index in range(size)
    ]
    assert [item.stamp for item in outcome.items] == stamps
    check_statements(hub_store, 1)


def test_a_statement_has_45_000_bytes_at_most(hub_store: HubStore) -> None:
    kind = "x-" + "a" * 240
    outcome = publish(hub_store, *[candidate(n, type_name=kind) for n in range(256)]).outcome
    assert set(verdicts(outcome)) == {"add"}
    rows = check_statements(hub_store, 1)[1:]
    assert len(rows) > 1
    assert len(rows[0].body) > 44_000


def test_quotas_refuse_the_whole_request_and_write_nothing(hub_store: HubStore) -> None:
    size = len(candidate(1).body)
    for settings in (CollectionSettings(max_objects=3), CollectionSettings(max_bytes=4 * size - 1)):
        full = collection(1, settings)
        publish(hub_store, *[candidate(n) for n in (1, 2)], on=full)
        before = hub_store.state(grant(hub_store))
        with pytest.raises(Refused) as caught:
            publish(hub_store, candidate(3), candidate(4), on=full, status_id=uuid_of(77))
        assert caught.value.rule == "deny-publish-quota"
        assert hub_store.state(grant(hub_store)) == before
        assert hub_store.status(principal(), uuid_of(77)) is None
        assert verdicts(publish(hub_store, candidate(1), on=full).outcome) == ["duplicate"]
    publish(hub_store, candidate(3), on=collection(1, CollectionSettings(max_objects=3, max_bytes=3 * size)))
    withdraw(hub_store, object_id(1))
    publish(hub_store, candidate(4), on=collection(1, CollectionSettings(max_objects=3, max_bytes=3 * size)))


def test_a_grant_of_an_older_epoch_is_sent_back(hub_store: HubStore) -> None:
    old = grant(hub_store)
    activate(hub_store, 1, 2, version=2)
    with pytest.raises(EpochChanged):
        hub_store.publish(publishing(old, [candidate(1)])).result(WAIT)
    assert pull(hub_store) == []
    publish(hub_store, candidate(1))


def test_a_collection_that_no_agreement_has_takes_nothing(hub_store: HubStore) -> None:
    with pytest.raises(NotFound):
        publish(hub_store, candidate(1), on=9)


def test_status_and_event_are_made_from_the_outcome_and_kept_with_it(hub_store: HubStore) -> None:
    published = publish(hub_store, candidate(1), candidate(1, content="x"), status_id=uuid_of(50), req="r1")
    stamp = published.outcome.items[0].stamp
    assert orjson.loads(published.status) == [["add", stamp], ["conflict", 0]]
    assert hub_store.status(principal(), uuid_of(50)) == published.status
    assert (published.event.first, published.event.last, published.event.n) == (stamp, stamp, 2)
    assert published.event in hub_store.pending()


def test_a_request_whose_status_cannot_be_made_leaves_no_trace(hub_store: HubStore) -> None:
    def fail(outcome: PublishOutcome) -> bytes:
        raise ValueError("no status")

    before = (hub_store.state(grant(hub_store)), len(hub_store.pending()))
    request = replace(publishing(grant(hub_store), [candidate(1)]), render_status=fail)
    with pytest.raises(ValueError, match="no status"):
        hub_store.publish(request).result(WAIT)
    assert (hub_store.state(grant(hub_store)), len(hub_store.pending())) == before
    assert publish(hub_store, candidate(1)).outcome.items[0].verdict is Verdict.ADD


def test_a_status_id_is_used_once(hub_store: HubStore) -> None:
    publish(hub_store, candidate(1), status_id=uuid_of(50))
    with pytest.raises(Conflict):
        publish(hub_store, candidate(2), status_id=uuid_of(50))
    assert [row.id for row in pull(hub_store)] == [object_id(1)]


def test_requests_sent_at_once_each_get_their_own_answer(hub_store: HubStore) -> None:
    allowed = grant(hub_store)
    full = grant(hub_store, on=collection(1, CollectionSettings(max_objects=0)))
    stale = replace(allowed, epoch=99)
    futures = [hub_store.publish(publishing(allowed, [candidate(n)])) for n in range(20)]
    bad = [
        hub_store.publish(publishing(full, [candidate(900)])),
        hub_store.publish(publishing(stale, [candidate(901)])),
        hub_store.publish(
            replace(publishing(allowed, [candidate(902)]), render_status=lambda _: bytes(1 // 0))
        ),
    ]
    futures += [hub_store.publish(publishing(allowed, [candidate(n)])) for n in range(10, 30)]
    stamps = [future.result(WAIT).outcome.items[0].stamp for future in futures]
    for future, error in zip(bad, (Refused, EpochChanged, ZeroDivisionError), strict=True):
        assert isinstance(future.exception(WAIT), error)
    assert stamps[10:20] == stamps[20:30]
    assert sorted(row.id for row in pull(hub_store)) == sorted(object_id(n) for n in range(30))
    check_statements(hub_store, 1)


def test_eight_clients_posting_the_same_objects_at_once_leave_one_of_each(hub_store: HubStore) -> None:
    def post(member: str) -> list[Verdict]:
        outcome = publish(hub_store, *[candidate(n) for n in range(40)], member=member).outcome
        return [item.verdict for item in outcome.items]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, [ALICE, BOB] * 4))
    flat = [verdict for answer in answers for verdict in answer]
    assert flat.count(Verdict.ADD) == 40
    assert flat.count(Verdict.DUPLICATE) == 280
    assert len(pull(hub_store, ALL)) == 40
    check_statements(hub_store, 1)


def test_a_reader_that_follows_stamps_while_others_write_misses_nothing(hub_store: HubStore) -> None:
    allowed = grant(hub_store)
    futures = []
    seen: list[str] = []
    after = Micros(-1)
    for number in range(120):
        futures.append(hub_store.publish(publishing(allowed, [candidate(3 * number + n) for n in range(3)])))
        for row in pull(hub_store, Filters(versions=Versions(last=False, every=True))):
            if row.key & ((1 << 52) - 1) > after:
                seen.append(row.id)
                after = Micros(row.key & ((1 << 52) - 1))
        if number > 60:
            break
    for future in futures:
        future.result(WAIT)
    seen += [row.id for row in pull(hub_store) if row.key & ((1 << 52) - 1) > after]
    assert len(seen) == len(set(seen)) == 3 * len(futures)


def test_settled_events_are_forgotten_and_others_are_not(hub_store: HubStore) -> None:
    settled = [one.req for one in hub_store.pending()]
    publish(hub_store, candidate(1), req="kept")
    hub_store.settle([*settled, "never-seen"])
    publish(hub_store, candidate(2), req="last")
    assert sorted(one.req for one in hub_store.pending()) == ["kept", "last"]


def test_an_event_with_hostile_text_is_kept(hub_store: HubStore) -> None:
    hostile = AccessEvent("r9", START, "publish", q="\ud800 \x00 ü")
    request = replace(publishing(grant(hub_store), [candidate(1)]), render_event=lambda _: hostile)
    hub_store.publish(request).result(WAIT)
    assert hostile in hub_store.pending()
