"""TAXII 2.1 section 3.2: the two headers that bracket a page.

A page without entries has no first and no last entry: there the headers are left out.
"""

from __future__ import annotations

import pytest

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import address, indicator
from taxiiprobe import STAMP, Reply

ONE = "2026-03-01T00:00:00.000Z"
TWO = "2026-03-02T00:00:00.000Z"


def pages(hub: ProbeHub) -> dict[str, tuple[Reply, list[str]]]:
    """Return each of the four answers with the `date_added` of its entries, oldest first."""
    first = indicator(modified=ONE)
    hub.lgb.publish(first, address())
    hub.lgb.publish({**first, "modified": TWO})
    every = {"match[version]": "all"}
    added = [entry["date_added"] for entry in hub.lax.manifest(every).objects]
    own = [entry["date_added"] for entry in hub.lax.manifest({**every, "match[id]": first["id"]}).objects]
    assert (len(added), len(own)) == (3, 2)
    return {
        "manifest": (hub.lax.manifest(every), added),
        "objects": (hub.lax.objects(every), added),
        "object": (hub.lax.object(first["id"], every), own),
        "versions": (hub.lax.versions(first["id"]), own),
    }


@clause("3.2-first-timestamp", "3.2-first", "3.2-last-timestamp", "3.2-last")
def test_the_headers_are_those_of_the_first_and_last_entry(hub: ProbeHub) -> None:
    for name, (reply, added) in pages(hub).items():
        assert STAMP.fullmatch(reply.first), name
        assert STAMP.fullmatch(reply.last), name
        assert (reply.first, reply.last) == (added[0], added[-1]), name


@clause("3.2-first", "3.2-last")
@pytest.mark.parametrize("limit", [1, 2])
def test_a_cut_page_is_bracketed_by_its_own_entries(hub: ProbeHub, limit: int) -> None:
    added = pages(hub)["manifest"][1]
    for read in (hub.lax.objects, hub.lax.manifest):
        reply = read({"match[version]": "all", "limit": limit})
        assert (reply.first, reply.last) == (added[0], added[limit - 1])


@clause("3.2-first", "3.2-last")
def test_also_on_304_free_repeats_and_on_gzip(hub: ProbeHub) -> None:
    plain = pages(hub)["objects"][0]
    packed = hub.lax.objects({"match[version]": "all"}, Accept_Encoding="gzip")
    assert (packed.first, packed.last) == (plain.first, plain.last)


def test_a_page_without_entries_has_neither(hub: ProbeHub) -> None:
    reply = hub.lax.objects({"match[type]": "x-nothing"})
    assert not {"x-taxii-date-added-first", "x-taxii-date-added-last"} & set(reply.headers)
