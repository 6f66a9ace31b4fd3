"""TAXII 2.1 appendix B: `next` is judged anew each time; errors do not tell what is hidden."""

from __future__ import annotations

import pytest

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import indicator, malware


def token(hub: ProbeHub, **params: str) -> str:
    """Return a `next` of the default collection for these parameters."""
    return str(hub.lax.objects({"limit": 1, **params}).json["next"])


@clause("B-next-untrusted")
@pytest.mark.parametrize(
    "value", ["", "x", "0", "1", "-1", "%00", "%ff", "null", "AAAA", "a" * 5000, "../../etc"]
)
def test_a_next_that_was_never_given_out_is_400(hub: ProbeHub, value: str) -> None:
    title = hub.lax.objects(f"next={value}").advice(400)
    assert "next" in title or "query string" in title


@clause("B-next-untrusted")
def test_a_next_with_any_character_changed_is_400(hub: ProbeHub) -> None:
    hub.lgb.publish(indicator(), indicator(), indicator())
    good = token(hub)
    assert len(hub.lax.objects({"next": good}).objects) == 2
    for at in range(len(good)):
        for other in ("A", "B") if good[at] not in "AB" else ("C",):
            bad = good[:at] + other + good[at + 1 :]
            if at == len(good) - 1:
                continue
            hub.lax.objects({"next": bad}).error(400)
    for bad in (good[:-1], good + "A", good * 2, good[1:]):
        hub.lax.objects({"next": bad}).error(400)


@clause("B-next-checked")
def test_next_carries_the_rights_of_nobody(hub: ProbeHub) -> None:
    hub.lgb.publish(indicator(), indicator())
    given = {"next": token(hub)}
    hub.nobody.objects(given).error(401)
    hub.stranger.objects(given).error(404)
    hub.writer.objects(given).error(403)
    assert len(hub.reader.objects(given).objects) == 1


@clause("B-next-checked")
def test_next_of_one_collection_shows_nothing_of_it_in_another(hub: ProbeHub) -> None:
    elsewhere = hub.path(hub.aliases[-1], "objects/")
    mine, other = indicator(), malware()
    assert hub.lgb.ask("POST", elsewhere, body=_envelope(mine, other)).json["failure_count"] == 0
    hub.advance(60)
    hub.lgb.publish(indicator(), indicator(), indicator())
    given = token(hub, **{"match[type]": "indicator"})
    started_over = hub.lax.get(elsewhere, {"next": given}).objects
    assert started_over == [mine], "from the start of this collection, with the token's filters"


@clause("B-next-checked")
def test_filters_beside_next_are_its_own_or_absent(hub: ProbeHub) -> None:
    hub.lgb.publish(indicator(), indicator(), indicator(), malware())
    given = token(hub, **{"match[type]": "indicator"})
    assert len(hub.lax.objects({"next": given}).objects) == 2
    assert len(hub.lax.objects({"next": given, "match[type]": "indicator"}).objects) == 2
    assert "next" in hub.lax.objects({"next": given, "match[type]": "malware"}).advice(400)
    assert "next" in hub.lax.objects({"next": given, "match[version]": "all"}).advice(400)


@clause("B-errors-silent")
def test_what_a_party_must_not_know_answers_like_what_does_not_exist(hub: ProbeHub) -> None:
    hidden, missing = hub.stranger.get(hub.root), hub.stranger.get("/no-such-root/")
    assert hidden.status == missing.status == 404
    same = [{k: v for k, v in one.json.items() if k != "error_id"} for one in (hidden, missing)]
    assert same[0] == same[1]


def _envelope(*objects: object) -> bytes:
    import json

    return json.dumps({"objects": list(objects)}).encode()
