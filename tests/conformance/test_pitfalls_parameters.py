"""Where servers go wrong, 5: malformed parameters are 400 with advice; the collection stays readable."""

from __future__ import annotations

import pytest

from probehub import ProbeHub
from stixsamples import indicator

ADDED_AFTER_BAD = [
    *("", "x", "0", "now", "2026", "2026-01-01", "2026-01-01T00:00", "2026-01-01T00:00:00"),
    *("2026-01-01T00:00:00%2B00:00", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00-08:00"),
    *("2026-01-01%2000:00:00Z", "2026-01-01 00:00:00Z", "2026-01-01t00:00:00z", "2026-01-01T00:00:00z"),
    *("2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z"),
    *(
        "2026-01-01T00:00:60Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00.1234567890Z",
        "0000-01-01T00:00:00Z",
    ),
    *(
        "2026-01-01T00:00:00Z%00",
        "%00",
        "%ff",
        "%D9%A2026-01-01T00:00:00Z",
        "2026-1-1T0:0:0Z",
        "20260101T000000Z",
    ),
    *("2026-01-01T00:00:00Z%0a", "-2026-01-01T00:00:00Z", "2026-01-01T00:00:00ZZ"),
]

OTHER_BAD = [
    *("limit=%00", "limit=9%00", "limit=1_0", "limit=1,2", "limit=None", "limit=Infinity", "limit=NaN"),
    *("next=%00", "next="),
    *("match[type]=", "match[id]=", "match[spec_version]=", "match[version]="),
    *("match[type]=indicator,", "match[type]=,indicator", "match[id]=,", "match[type]=%00", "match[id]=%ff"),
    *("match[type]=indicator%00", "match[spec_version]=2.1,", "added_after=%zz", "limit=%"),
]


def assert_fine(hub: ProbeHub, kept: dict[str, object]) -> None:
    """The collection is as readable as before."""
    assert hub.lax.objects().objects == [kept]
    assert len(hub.lax.manifest().objects) == 1


@pytest.mark.parametrize("value", ADDED_AFTER_BAD)
def test_added_after_that_is_no_timestamp(hub: ProbeHub, value: str) -> None:
    kept = indicator()
    hub.lgb.publish(kept)
    for path in ("objects/", "manifest/", f"objects/{kept['id']}/", f"objects/{kept['id']}/versions/"):
        title = hub.lax.get(hub.lax.at(path), f"added_after={value}").advice(400)
        assert "added_after" in title or "query string" in title
    assert_fine(hub, kept)


@pytest.mark.parametrize(
    "value",
    [
        *("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.0Z", "2026-01-01T00:00:00.000Z"),
        *("2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:00.123456789Z", "1969-12-31T23:59:59Z"),
        *("0001-01-01T00:00:00Z", "2024-02-29T00:00:00Z"),
    ],
)
def test_added_after_with_no_to_nine_digits_is_taken(hub: ProbeHub, value: str) -> None:
    kept = indicator()
    hub.lgb.publish(kept)
    assert hub.lax.objects(f"added_after={value}").objects == [kept]


@pytest.mark.parametrize(
    "value", ["2112-09-17T23:53:47.370495Z", "2113-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]
)
def test_added_after_far_ahead_finds_nothing_also_of_other_collections(hub: ProbeHub, value: str) -> None:
    hub.lgb.publish(indicator())
    for alias in hub.aliases:
        assert hub.lax.get(hub.path(alias, "objects/"), f"added_after={value}").objects == []


@pytest.mark.parametrize("query", OTHER_BAD)
def test_other_malformed_parameters(hub: ProbeHub, query: str) -> None:
    kept = indicator()
    hub.lgb.publish(kept)
    name = query.partition("=")[0]
    for path in ("objects/", "manifest/"):
        title = hub.lax.get(hub.lax.at(path), query).advice(400)
        assert name in title or "query string" in title
    assert_fine(hub, kept)


@pytest.mark.parametrize(
    "query",
    [
        "match[id]=x",
        "match[id]=indicator--x",
        "match[id]=1",
        "match[type]=1",
        "match[spec_version]=9.9",
        "match[type]=X Y",
    ],
)
def test_odd_values_of_match_are_400_or_find_nothing(hub: ProbeHub, query: str) -> None:
    kept = indicator()
    hub.lgb.publish(kept)
    reply = hub.lax.objects(query.replace(" ", "%20"))
    if reply.status == 200:
        assert reply.objects == []
    else:
        reply.advice(400)
    assert_fine(hub, kept)


@pytest.mark.parametrize(
    "query", ["&", "=", "&&&", "a=b=c", "?", "%5B", "match[]=x", "match=x", "match[type=x", "x" * 9000]
)
def test_odd_queries_never_fail(hub: ProbeHub, query: str) -> None:
    kept = indicator()
    hub.lgb.publish(kept)
    assert hub.lax.objects(query).status in {200, 400, 414}
    assert_fine(hub, kept)


def test_a_query_with_very_many_values_is_answered(hub: ProbeHub) -> None:
    kept = indicator()
    hub.lgb.publish(kept)
    ids = ",".join(indicator()["id"] for _ in range(1500))
    reply = hub.lax.objects(f"match[id]={ids},{kept['id']}")
    assert reply.status in {200, 400, 414}
    assert_fine(hub, kept)


@pytest.mark.parametrize(
    "rest", ["objects/x/", "objects/x/versions/", "objects/%00/", "manifest/x/", "x/", "objects/x/y/"]
)
def test_paths_with_ids_that_are_no_ids_are_404(hub: ProbeHub, rest: str) -> None:
    hub.lax.get(hub.lax.at(rest)).error(404)


def test_malformed_parameters_of_endpoints_without_filters_do_no_harm(hub: ProbeHub) -> None:
    for path in ("/taxii2/", hub.root, f"{hub.root}collections/", hub.lax.collection):
        assert hub.lax.get(path, "limit=x&added_after=x").status in {200, 400}
