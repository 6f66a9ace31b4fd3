"""Explanations, audiences and access events as JSON values: the same over HTTP and in `--json`."""

from __future__ import annotations

from typing import Any

from lightship.core.audit import AccessEvent
from lightship.core.explanation import Explanation
from lightship.core.time import format_stamp
from lightship.usecases.explain import Reach, Reader

Shape = dict[str, Any]


def explanation_shape(found: Explanation, object_id: str = "") -> Shape:
    """Return a decision, its rules and the nearest permits; `object` where it is about one."""
    shape: Shape = {
        "allowed": found.decision.allowed,
        "rule": found.decision.rule,
        "say": found.decision.say,
        "reasons": [{"rule": one.rule, "say": one.say} for one in found.reasons],
        "permits": [
            {
                "rule": one.rule,
                "say": one.say,
                "holds": one.holds,
                "conditions": [{"text": part.text, "holds": part.holds} for part in one.conditions],
            }
            for one in found.permits
        ],
    }
    return shape | ({"object": object_id} if object_id else {})


def reader_shape(reader: Reader) -> Shape:
    """Return a member that reads."""
    return {"member": reader.member, "name": reader.name, "clients": reader.clients}


def reach_shape(reach: Reach, member: str) -> Shape:
    """Return what becomes of one object that `member` would publish, and who would get it."""
    decision = reach.explanation.decision
    refused = [] if decision.allowed else [{"member": member, "rule": decision.rule, "say": decision.say}]
    return {
        "id": reach.object_id,
        "taken_from": [member] if decision.allowed else [],
        "refused": refused,
        "receives": [one.member for one in reach.receives],
        "withheld": [
            {"member": one.member, "rule": denied.rule, "say": denied.say} for one, denied in reach.withheld
        ],
        "release_at": "" if reach.release_at is None else format_stamp(reach.release_at),
        "share_until": "" if reach.share_until is None else format_stamp(reach.share_until),
    }


def event_shape(event: AccessEvent, *, clear: bool, principal: str = "") -> Shape:
    """Return an access event; `clear` shows what was asked for and from where, else only their digests.

    `principal` is the name of its credential, as far as who asks may know it.
    """
    return {
        "req": event.req,
        "at": format_stamp(event.at),
        "outcome": event.outcome,
        "act": event.act,
        "agreement": event.agr,
        "member": event.who,
        "credential": event.cred,
        "principal": principal,
        "collection": event.col,
        "query": event.q if clear else None,
        "query_digest": event.q_digest,
        "address": event.ip if clear else None,
        "address_digest": event.ip_digest,
        "status": event.st,
        "rule": event.why,
        "objects": event.n,
        "first": format_stamp(event.first) if event.first else "",
        "last": format_stamp(event.last) if event.last else "",
    }
