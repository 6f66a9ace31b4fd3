"""The rules as a port: who may do what, who may have what, and why."""

from __future__ import annotations

from typing import Protocol

from lightship.core.access import Action, Decision, Principal, System
from lightship.core.agreement import Agreement
from lightship.core.collection import Candidate, Collection
from lightship.core.explanation import Explanation
from lightship.core.marks import MarkingSet
from lightship.core.time import Micros


class Decisions(Protocol):
    """The rules: who may do what. Pure and fast; MUST answer for every combination, default is deny.

    A positive answer names the permitting rule, a negative one the deciding forbid, or `deny-default`.
    """

    def decide(
        self,
        subject: Principal | System,
        action: Action,
        collection: Collection,
        agreement: Agreement,
        now: Micros,
        *,
        signed: bool = False,
    ) -> Decision:
        """May they do this? `signed`: by a statement that a publish key signed."""
        ...

    def decide_object(
        self,
        subject: Principal,
        collection: Collection,
        agreement: Agreement,
        candidate: Candidate,
        marks: MarkingSet,
    ) -> Decision:
        """May this member put this object into this collection: level, ceiling, author, and `admits`?

        Beside the set the answer MUST depend on nothing of the object but its type, `level`, `created_by` and
        `owned`, and on its id where it is an identity: objects of a post that agree in these are asked once.
        """
        ...

    def admits(self, collection: Collection, agreement: Agreement, owner: str, marks: MarkingSet) -> Decision:
        """May every member of the collection's audience have an object of `owner` with this marking set?

        A positive answer names no rule; a negative one the forbid and, in its sentence, the member. `owner`
        itself always may. Asked once per set and member: an answer already given MUST come back in
        microseconds.
        """
        ...

    def receive(
        self, member: str, collection: Collection, agreement: Agreement, owner: str, marks: MarkingSet
    ) -> Decision:
        """May this one member of the agreement have it?"""
        ...

    def explain(
        self,
        subject: Principal | System,
        action: Action,
        collection: Collection,
        agreement: Agreement,
        now: Micros,
        candidate: Candidate | None = None,
        marks: MarkingSet | None = None,
        *,
        signed: bool = False,
    ) -> Explanation:
        """Say why; the decision in it MUST be that of `decide`, then of `decide_object`. May be slow."""
        ...
