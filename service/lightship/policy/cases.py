"""One question, put to the rules: the decision, the rules that made it, permits that could have helped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import cedarpy

from lightship.core.access import Decision
from lightship.core.agreement import Agreement, AgreementStatus, Member
from lightship.core.collection import Collection, Level
from lightship.core.explanation import Condition, Explanation, NearPermit, Reason
from lightship.core.time import Micros, format_stamp
from lightship.policy.entities import (
    entities,
    object_context,
    receive_context,
    request,
    standing_context,
)
from lightship.policy.facts import Asked, Facts, Received, Standing
from lightship.policy.rules import Rule, RuleSet, condition_handle, condition_text

DEFAULT: Final = "deny-default"
NOT_EVALUATED: Final = "deny-not-evaluated"

_STATUS_WORDS: Final = {
    AgreementStatus.PROPOSED: "is not in force yet",
    AgreementStatus.IN_FORCE: "is in force",
    AgreementStatus.GRACE: "is in the 30 days of grace after its end",
    AgreementStatus.EXPIRED: "has expired: reading and withdrawing go on, publishing does not",
    AgreementStatus.SUSPENDED: "is suspended until {until}",
    AgreementStatus.ENDED: "has ended",
}


class Who(NamedTuple):
    """Who asks: an entity type, a name, and the member of the agreement that it is, if any."""

    kind: str
    name: str
    member: Member | None


class Receipt(NamedTuple):
    """May somebody have an object that is marked so, posted by `owner`?"""

    asked: Asked
    received: Received
    owner: str


class Verdict(NamedTuple):
    """A decision whose sentence is not filled in yet: it is the same for all who are alike."""

    allowed: bool
    rule: str
    sentence: str

    def decision(self, words: Mapping[str, str]) -> Decision:
        """Return it as said to one of them."""
        return Decision(self.allowed, self.rule, self.sentence.format_map(words))


_NOT_EVALUATED: Final = Verdict(False, NOT_EVALUATED, "The rules could not be evaluated. Tell the steward.")


class Case:
    """One question.

    Args:
        rules: what decides.
        levels: the entities of the TLP levels.
        who: who asks.
        action: what for; `publishObject` with `Facts`, `receive` with `Receipt`, else with a `Standing`.
        collection, agreement: where.
        about: what is asked about.
    """

    def __init__(
        self,
        rules: RuleSet,
        levels: cedarpy.Entities,
        who: Who,
        action: str,
        collection: Collection,
        agreement: Agreement,
        about: Standing | Facts | Receipt,
    ) -> None:
        self._rules = rules
        self._who = who
        self._action = action
        self._stray = collection.agreement != agreement.id
        self._words = words(agreement, collection, who, about)
        self._reasons: list[Rule] = []
        if self._stray:
            self.verdict = _STRAY
            return
        self._entities = entities(levels, rules.schema, agreement, collection, who.member)
        self._request = request(
            agreement, collection, (who.kind, who.name), action, _context(agreement, about)
        )
        self.verdict = self._decide()

    @property
    def decision(self) -> Decision:
        """The decision, in words for who asked."""
        return self.verdict.decision(self._words)

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

    def _decide(self) -> Verdict:
        answer = self._ask(self._rules.policies)
        if answer.diagnostics.errors:
            # A forbid that cannot be evaluated would not forbid.
            return _NOT_EVALUATED
        named = set(answer.diagnostics.reasons)
        self._reasons = [one for one in self._rules.rules if one.id in named]
        if self._reasons:
            return Verdict(answer.allowed, self._reasons[0].id, self._reasons[0].say)
        permits = self._permits()
        if not permits:
            who = "the hub itself" if self._who.kind == "System" else "`{member}`"
            return Verdict(False, DEFAULT, f"No rule lets {who} do this ({self._action}).")
        return Verdict(False, DEFAULT, " ".join(one.otherwise for one in permits))

    def _permits(self) -> list[Rule]:
        return [] if self._stray else self._rules.permits_for(self._who.kind, self._action)

    def _ask(self, policies: cedarpy.PolicySet) -> cedarpy.AuthzResult:
        return cedarpy.is_authorized(self._request, policies, self._entities, self._rules.schema)

    def _say(self, rule: Rule) -> str:
        return rule.say.format_map(self._words)


_STRAY: Final = Verdict(False, DEFAULT, "`{collection}` does not belong to the agreement `{agreement}`.")


def _context(agreement: Agreement, about: Standing | Facts | Receipt) -> Mapping[str, Any]:
    if isinstance(about, Facts):
        return object_context(agreement, about)
    if isinstance(about, Receipt):
        return receive_context(about.asked, about.received)
    return standing_context(about)


def words(
    agreement: Agreement,
    collection: Collection,
    who: Who,
    about: Standing | Facts | Receipt,
) -> Mapping[str, str]:
    """Return what the placeholders of a sentence stand for (`rules.PLACEHOLDERS`)."""
    level: Level | None = None
    owner = author = status = until = ""
    if isinstance(about, Facts):
        level, owner, author = about.level, about.identity_of, about.author
    elif isinstance(about, Receipt):
        level, owner = about.asked.level, about.owner
    else:
        status = _STATUS_WORDS[about.status].format(until=_moment(about.ends))
        until = _moment(about.stopped)
    return {
        "agreement": agreement.id,
        "collection": collection.alias,
        "member": who.name,
        "country": who.member.country if who.member is not None else "",
        "ceiling": _tlp(collection.ceiling),
        "status": status,
        "until": until,
        "level": "unmarked" if level is None else _tlp(level),
        "owner": owner,
        "author": author,
    }


def _moment(at: Micros | None) -> str:
    return "" if at is None else f"{format_stamp(at)[:16]}Z"


def _tlp(level: Level) -> str:
    return f"TLP:{level.upper()}"
