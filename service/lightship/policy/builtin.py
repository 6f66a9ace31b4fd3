"""The built-in rules: who may do what, as plain code behind `ports.Decisions`.

Deny is the default and a forbid beats a permit. Rights come from the signed agreement only: the roles that
a principal carries are for display. Pure: no clock, no store, nothing cached.

The order is fixed: membership, then the agreement's status, then the rule of the action. What needs the
store (who owns an object, quotas, conflicts) is decided in the store's transaction.
"""

from __future__ import annotations

from typing import Final

from lightship.core.access import Action, Decision, Principal, System
from lightship.core.agreement import Agreement, AgreementStatus, Member
from lightship.core.agreement.consistency import AUDITING, RANK
from lightship.core.collection import Candidate, Collection, Level
from lightship.core.time import Micros

UNLEVELLED_TYPES: Final = frozenset({"marking-definition", "extension-definition"})
"""They say what a marking or an extension means, and need no TLP themselves."""

_OPEN: Final = {
    Action.READ: frozenset({AgreementStatus.IN_FORCE, AgreementStatus.GRACE}),
    Action.WITHDRAW: frozenset({AgreementStatus.IN_FORCE, AgreementStatus.GRACE}),
    Action.PUBLISH: frozenset({AgreementStatus.IN_FORCE}),
}
"""The states of an agreement in which content may be touched; other actions work in every state."""

_SYSTEM_ACTIONS: Final = frozenset({Action.LIST, Action.READ, Action.WITHDRAW, Action.ADMINISTER})

_STATUS_WORDS: Final = {
    AgreementStatus.PROPOSED: "is not in force yet",
    AgreementStatus.GRACE: "has expired and is in its 30 days of grace: reading and withdrawing go on, "
    "publishing does not",
    AgreementStatus.SUSPENDED: "is suspended",
    AgreementStatus.ENDED: "has ended",
}


class BuiltinRules:
    """The rule set that every agreement has; implements `ports.Decisions`."""

    def decide(
        self,
        subject: Principal | System,
        action: Action,
        collection: Collection,
        agreement: Agreement,
        now: Micros,
    ) -> Decision:
        """Answer for every combination; never raises. `now`, in microseconds, decides the status."""
        if collection.agreement != agreement.id:
            return _default(f"`{collection.alias}` does not belong to the agreement `{agreement.id}`.")
        if isinstance(subject, System):
            return _decide_system(subject, action)
        member = agreement.members.get(subject.member)
        if subject.agreement != agreement.id or member is None:
            return _default(f"This credential has no access to the agreement `{agreement.id}`.")
        status = agreement.status(now)
        if action in _OPEN and status not in _OPEN[action]:
            return Decision(
                False,
                "deny-agreement-not-in-force",
                f"The agreement `{agreement.id}` {_STATUS_WORDS.get(status, 'is not in force')}. "
                "Ask the parties to renew it.",
            )
        return _decide_member(member, action, collection, agreement)

    def decide_object(
        self, subject: Principal, collection: Collection, agreement: Agreement, candidate: Candidate
    ) -> Decision:
        """May this member put this object into this collection: level, ceiling, author. Never raises."""
        member = agreement.members.get(subject.member)
        if (
            member is None
            or subject.agreement != agreement.id
            or collection.agreement != agreement.id
            or member.slug not in collection.publishers
        ):
            return _default(f"This credential may not publish to `{collection.alias}`.")
        return (
            _forbid_level(collection, candidate)
            or _forbid_author(member, collection, agreement, candidate)
            or Decision(True, "allow-publisher-publish", f"Its publishers may post to `{collection.alias}`.")
        )


def _default(say: str) -> Decision:
    return Decision(False, "deny-default", say)


def _decide_system(subject: System, action: Action) -> Decision:
    if action in _SYSTEM_ACTIONS:
        return Decision(True, "allow-system", f"Work of the hub itself: {subject.reason}.")
    return _default("The hub itself publishes nothing and reads nobody's statuses or audit log.")


def _decide_member(member: Member, action: Action, collection: Collection, agreement: Agreement) -> Decision:
    """Decide for a member of the agreement, its status already looked at."""
    name = collection.alias
    if action is Action.LIST:
        return Decision(True, "allow-member-list", "Members know the collections of their agreement.")
    if action is Action.READ:
        if member.slug not in collection.audience:
            return _default(f"`{member.slug}` is not in the audience of `{name}`.")
        if is_auditor_only(member):
            return _default(
                f"`{member.slug}` is an auditor, and auditors see who accessed what, never the content."
            )
        return Decision(True, "allow-audience-read", f"The audience of `{name}` may read it.")
    if action in {Action.PUBLISH, Action.WITHDRAW}:
        if member.slug not in collection.publishers:
            return _default(f"`{member.slug}` is not a publisher of `{name}`.")
        if action is Action.PUBLISH:
            return Decision(True, "allow-publisher-publish", f"Its publishers may post to `{name}`.")
        return Decision(True, "allow-publisher-withdraw", "A publisher may withdraw its own objects.")
    if action is Action.READ_STATUS:
        return Decision(True, "allow-own-status", "Who posted may ask what became of it.")
    if action is Action.READ_AUDIT and (member.slug in agreement.auditors or "auditor" in member.roles):
        return Decision(True, "allow-own-audit", "Auditors may search their member's access events.")
    return _default(f"No rule lets `{member.slug}` do this ({action}).")


def is_auditor_only(member: Member) -> bool:
    """True for a member that audits and neither consumes nor publishes: it reads no content."""
    return bool(member.roles) and member.roles <= AUDITING


def _forbid_level(collection: Collection, candidate: Candidate) -> Decision | None:
    """Refuse what is unmarked where that is not taken, and what is above the ceiling."""
    level, name = candidate.level, collection.alias
    if level is None and candidate.type not in UNLEVELLED_TYPES:
        if collection.settings.unmarked == "refuse":
            return Decision(
                False,
                "deny-unmarked",
                f"The object has no TLP marking, and `{name}` takes only marked ones: "
                f"add object_marking_refs with a TLP level up to {_tlp(collection.ceiling)}.",
            )
        level = collection.settings.unmarked
    if level is not None and RANK[level] > RANK[collection.ceiling]:
        return Decision(
            False,
            "deny-publish-ceiling",
            f"The object is {_tlp(level)}, but `{name}` accepts at most {_tlp(collection.ceiling)}: "
            f"post it to a collection that accepts {_tlp(level)}.",
        )
    return None


def _forbid_author(
    member: Member, collection: Collection, agreement: Agreement, candidate: Candidate
) -> Decision | None:
    """Refuse an author that the collection does not take, and another member's identity object."""
    others = {
        identity: other.slug
        for other in agreement.members.values()
        if other.slug != member.slug
        for identity in other.identities
    }
    if candidate.type == "identity" and candidate.id in others:
        return _author(f"This identity is that of `{others[candidate.id]}`: only that member may post it.")
    author, takes, name = candidate.created_by, collection.settings.authors, collection.alias
    if takes == "any":
        return None
    if author is None:
        if isinstance(takes, frozenset) and candidate.owned:
            return _author(f"The object names no author, and `{name}` takes only listed ones.")
        return None
    if takes == "not-others":
        if author in others:
            return _author(
                f"created_by_ref names `{others[author]}`, another member: `{name}` takes your own objects "
                "and third parties', not another member's."
            )
        return None
    if takes == "own":
        if author not in member.identities:
            return _author(
                f"created_by_ref is not an identity of `{member.slug}`, and `{name}` takes only a member's "
                "own objects: use one of your identities, or have this one added to the agreement."
            )
        return None
    if author not in takes:
        return _author(f"created_by_ref is not among the authors that `{name}` takes.")
    return None


def _author(say: str) -> Decision:
    return Decision(False, "deny-author", say)


def _tlp(level: Level) -> str:
    return f"TLP:{level.upper()}"
