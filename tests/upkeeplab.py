"""Hubs whose work by themselves is looked at: a clock that stands, a round at a time."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from hubkit import HubKit, StoppedClock, Store
from lightship.core.audit import AccessEvent
from lightship.core.collection import Collection
from lightship.core.ports import Row
from lightship.core.time import format_stamp
from lightship.usecases.staged import cancel_for
from stixsamples import Stix, indicator, sharing_terms

STORES: tuple[Store, ...] = ("memory", "sqlite")
COLLECTIONS: Any = {"indicators": {}, "kept": {"retention_days": 7}}
DAY = 86_400
PLAIN = {"Accept": "application/json"}


def moment(clock: StoppedClock, seconds: float) -> str:
    return format_stamp(clock.now() + int(seconds * 1_000_000))


def look(kit: HubKit) -> float:
    """Let the hub do what is due; return the seconds until the next moment that it knows of."""
    assert kit.app.upkeep is not None
    following = kit.loop.run_until_complete(kit.app.upkeep.round())
    return (following - kit.hub.clock.now()) / 1_000_000


def prepare(kit: HubKit) -> None:
    """Let the hub do what it does before it serves."""
    assert kit.app.upkeep is not None
    kit.loop.run_until_complete(kit.app.upkeep.prepare())


def post(kit: HubKit, *objects: Stix, alias: str = "indicators", member: str = "uslgb") -> Any:
    answer = kit.client(member).post(kit.path(alias, "objects/"), json={"objects": list(objects)})
    assert answer.status_code == 202, answer.text
    return answer.json()


def held(kit: HubKit, alias: str = "indicators") -> set[str]:
    answer = kit.client("uslax").get(kit.path(alias, "objects/"), params={"limit": 5000})
    assert answer.status_code == 200, answer.text
    return {one["id"] for one in answer.json().get("objects", [])}


def staged(kit: HubKit, alias: str = "indicators", member: str = "uslgb") -> dict[str, str]:
    """Return id -> problem."""
    answer = kit.client(member).get(f"/staged/{kit.agreement}/{alias}/", headers=PLAIN)
    assert answer.status_code == 200, answer.text
    return {one["id"]: one["problem"] for one in answer.json()["staged"]}


def under(kit: HubKit, many: int = 1, **terms: str) -> list[Stix]:
    """Return terms and `many` indicators under them."""
    marking = sharing_terms(kit.agreement, **terms)
    return [marking, *(indicator(object_marking_refs=[marking["id"]]) for _ in range(many))]


def cancel(kit: HubKit, place: Collection, epoch: int, stix_id: str) -> list[Row]:
    """Take back what waits in a collection under an id, as the steward does."""
    hub = kit.hub
    return cancel_for(
        *(hub.reader, hub.writer, place, epoch, stix_id),
        now=hub.clock.now(),
        new_request=lambda: uuid4().hex,
    )


def ids(objects: list[Stix]) -> set[str]:
    return {one["id"] for one in objects}


def acts(kit: HubKit, *names: str) -> list[AccessEvent]:
    return [one for one in kit.events() if one.act in names]


def owed(kit: HubKit) -> list[str]:
    """Return the acts whose effect is there and whose event is not in the log yet."""
    return [one.act for one in kit.hub.writer.pending() if one.cred == "hub"]
