"""The rules behind `ports.Decisions`: Cedar decides, an identity-keyed cache answers most of the time.

Deny is the default and a forbid beats a permit. Rights come from the signed agreement only: the roles that a
principal carries are for display. No clock, no store. What needs the store (who owns an object, quotas,
conflicts) is decided in the store's transaction.

A cached decision belongs to one agreement value and one collection value, by identity: values never change,
and both are kept alive so that no other can take their identity. A new version of an agreement is another
value and forgets everything; a date that passes is another status. So nothing outlives the epoch it was for.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

import cedarpy

from lightship.core.access import Action, Decision, Principal, System
from lightship.core.agreement import Agreement, AgreementStatus
from lightship.core.collection import Candidate, Collection, Level
from lightship.core.explanation import Condition, Explanation, NearPermit, Reason
from lightship.core.time import Micros
from lightship.policy.entities import PUBLISH_OBJECT, Facts, entities, facts_of, levels, owners_of, request
from lightship.policy.rules import Rule, RuleSet, condition_handle, condition_text

CACHED_DECISIONS: Final = 100_000
"""At most this many are kept; then all are forgotten."""

DEFAULT: Final = "deny-default"
NOT_EVALUATED: Final = "deny-not-evaluated"

_STATUS_WORDS: Final = {
    AgreementStatus.PROPOSED: "is not in force yet",
    AgreementStatus.IN_FORCE: "is in force",
    AgreementStatus.GRACE: "is in the 30 days of grace after its end",
    AgreementStatus.EXPIRED: "has expired: reading and withdrawing go on, publishing does not",
    AgreementStatus.SUSPENDED: "is suspended",
    AgreementStatus.ENDED: "has ended",
}

_Key = tuple[int, int, str, Action, AgreementStatus] | tuple[int, int, str, Facts]


class CedarRules:
    """Decides by a set of rules; implements `ports.Decisions`. May be called from several threads."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._levels = levels(rules.schema)
        self._lock = threading.Lock()
        self._decided: dict[_Key, Decision] = {}
        self._agreements: dict[str, Agreement] = {}
        self._collections: dict[int, Collection] = {}
        self._owners: dict[int, dict[str, str]] = {}

    def decide(
        self,
        subject: Principal | System,
        action: Action,
        collection: Collection,
        agreement: Agreement,
        now: Micros,
    ) -> Decision:
        """Answer for every combination; never raises. `now`, in microseconds, decides the status."""
        if isinstance(subject, System):
            return _Case(self, subject, action, collection, agreement, agreement.status(now)).decision
        status = agreement.status(now)
        if subject.agreement != agreement.id:
            return _Case(self, subject, action, collection, agreement, status).decision
        key = (id(agreement), id(collection), subject.member, action, status)
        found = self._decided.get(key)
        if found is None:
            found = _Case(self, subject, action, collection, agreement, status).decision
            self._keep(key, found, agreement, collection)
        return found

    def decide_object(
        self, subject: Principal, collection: Collection, agreement: Agreement, candidate: Candidate
    ) -> Decision:
        """May this member put this object into this collection: level, ceiling, author. Never raises."""
        facts = facts_of(candidate, collection, self._owners_of(agreement))
        if subject.agreement != agreement.id:
            return _Case(self, subject, PUBLISH_OBJECT, collection, agreement, facts).decision
        key = (id(agreement), id(collection), subject.member, facts)
        found = self._decided.get(key)
        if found is None:
            found = _Case(self, subject, PUBLISH_OBJECT, collection, agreement, facts).decision
            self._keep(key, found, agreement, collection)
        return found

    def explain(
        self,
        subject: Principal | System,
        action: Action,
        collection: Collection,
        agreement: Agreement,
        now: Micros,
        candidate: Candidate | None = None,
    ) -> Explanation:
        """Say why: by every rule that decided, and condition by condition of the permits. Never raises.

        With a candidate, and once the action itself is permitted, it is about putting that object there.
        """
        case = _Case(self, subject, action, collection, agreement, agreement.status(now))
        if candidate is not None and isinstance(subject, Principal) and case.decision.allowed:
            facts = facts_of(candidate, collection, self._owners_of(agreement))
            case = _Case(self, subject, PUBLISH_OBJECT, collection, agreement, facts)
        return case.explanation()

    @property
    def remembered(self) -> int:
        """How many decisions are held in the cache."""
        return len(self._decided)

    def _owners_of(self, agreement: Agreement) -> dict[str, str]:
        found = self._owners.get(id(agreement))
        if found is None:
            found = owners_of(agreement)
            with self._lock:
                self._hold(agreement)
                self._owners[id(agreement)] = found
        return found

    def _keep(self, key: _Key, decision: Decision, agreement: Agreement, collection: Collection) -> None:
        with self._lock:
            self._hold(agreement)
            self._collections[id(collection)] = collection
            self._decided[key] = decision

    def _hold(self, agreement: Agreement) -> None:
        """Keep an agreement alive; forget everything if it replaces another version or too much is held.

        What is decided goes first, so that a reader never finds a decision whose values may be gone.
        """
        held = self._agreements.get(agreement.id)
        full = len(self._decided) >= CACHED_DECISIONS
        if held is agreement and not full:
            return
        if held is not None or full:
            self._decided.clear()
            self._owners.clear()
            self._collections.clear()
            self._agreements.clear()
        self._agreements[agreement.id] = agreement


class _Case:
    """One question, put to the rules."""

    def __init__(
        self,
        engine: CedarRules,
        subject: Principal | System,
        action: str,
        collection: Collection,
        agreement: Agreement,
        asked: AgreementStatus | Facts,
    ) -> None:
        self._rules = engine._rules
        self._action = action
        self._stray = collection.agreement != agreement.id
        member = None
        self._principal = ("System", "hub")
        if isinstance(subject, Principal):
            inside = subject.agreement == agreement.id and not self._stray
            member = agreement.members.get(subject.member) if inside else None
            self._principal = ("Outsider" if member is None else "Member", subject.member)
        self._entities = entities(engine._levels, self._rules.schema, agreement, collection, member)
        plain = asked if isinstance(asked, Facts) else asked.value
        self._request = request(agreement, collection, self._principal, action, plain)
        self._words = _words(agreement, collection, self._principal[1], asked)
        self.decision, self._reasons = self._decide()

    def explanation(self) -> Explanation:
        """Return the decision with its reasons and the nearest permits, condition by condition."""
        return Explanation(
            self.decision,
            tuple(Reason(one.id, self._say(one)) for one in self._reasons),
            tuple(
                NearPermit(
                    one.id,
                    self._say(one),
                    tuple(
                        Condition(condition_text(part), self._ask(condition_handle(part)).allowed)
                        for part in one.conditions()
                    ),
                )
                for one in self._permits()
            ),
        )

    def _decide(self) -> tuple[Decision, list[Rule]]:
        if self._stray:
            say = "`{collection}` does not belong to the agreement `{agreement}`.".format_map(self._words)
            return Decision(False, DEFAULT, say), []
        answer = self._ask(self._rules.policies)
        if answer.diagnostics.errors:
            # A forbid that cannot be evaluated would not forbid.
            return Decision(False, NOT_EVALUATED, "The rules could not be evaluated. Tell the steward."), []
        named = set(answer.diagnostics.reasons)
        reasons = [one for one in self._rules.rules if one.id in named]
        if reasons:
            return Decision(answer.allowed, reasons[0].id, self._say(reasons[0])), reasons
        permits = self._permits()
        if not permits:
            who = "the hub itself" if self._principal[0] == "System" else f"`{self._principal[1]}`"
            say = f"No rule lets {who} do this ({self._action})."
            return Decision(False, DEFAULT, say), []
        return Decision(
            False, DEFAULT, " ".join(one.otherwise.format_map(self._words) for one in permits)
        ), []

    def _permits(self) -> list[Rule]:
        return [] if self._stray else self._rules.permits_for(self._principal[0], self._action)

    def _ask(self, policies: cedarpy.PolicySet) -> cedarpy.AuthzResult:
        return cedarpy.is_authorized(self._request, policies, self._entities, self._rules.schema)

    def _say(self, rule: Rule) -> str:
        return rule.say.format_map(self._words)


def _words(
    agreement: Agreement, collection: Collection, member: str, asked: AgreementStatus | Facts
) -> Mapping[str, Any]:
    """Return what the placeholders of a sentence stand for (`rules.PLACEHOLDERS`)."""
    facts = asked if isinstance(asked, Facts) else None
    return {
        "agreement": agreement.id,
        "collection": collection.alias,
        "member": member,
        "ceiling": _tlp(collection.ceiling),
        "status": "" if isinstance(asked, Facts) else _STATUS_WORDS[asked],
        "level": _tlp(facts.level) if facts is not None and facts.level is not None else "unmarked",
        "owner": facts.identity_of if facts is not None else "",
        "author": facts.author if facts is not None else "",
    }


def _tlp(level: Level) -> str:
    return f"TLP:{level.upper()}"
