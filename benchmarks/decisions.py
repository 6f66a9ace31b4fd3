"""What the rules cost in a large agreement: 500 members, 200 collections, new and known marking sets.

Run as `python -m benchmarks.decisions [--members N] [--collections N]`: it decides in process, without any
store.
What was promised: a decision that is not remembered takes less than 2 ms.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import cycle

from lightship.core.access import Action, Principal
from lightship.core.agreement import Agreement, Member
from lightship.core.collection import Candidate, Collection, Level
from lightship.core.marks import MarkingSet, marking_set
from lightship.core.time import NO_INSTANT, Micros
from lightship.data import policies_dir
from lightship.policy.engine import CedarRules
from lightship.policy.files import load_rules

AGREEMENT = "bench"
COUNTRIES = ("US", "US", "JP", "SG")
GROUPS = ("port-authority", "marine-terminal", "shipping-line", "drayage", "railroad", "labor", "cargo-owner")
OWN = """@id("rule-one")
@say("Not for `{member}`.")
forbid (principal == Member::"bench/m1", action == Action::"receive", resource)
when { context has level && context.level.rank == 3 };
"""
NOW = Micros(1_500_000)
HOT = 20_000


def world(members: int, collections: int, rules: str = "") -> Agreement:
    """Return an agreement in which everybody reads everything."""
    slugs = [f"m{number}" for number in range(members)]
    readers = frozenset(slugs)
    places = tuple(
        Collection(number, f"c{number}", AGREEMENT, f"c{number}", "T", "", Level.RED, readers, readers)
        for number in range(1, collections + 1)
    )
    known = {
        slug: Member(slug, slug, "", country, group, frozenset({"publisher", "consumer"}), frozenset({slug}))
        for slug, country, group in zip(slugs, cycle(COUNTRIES), cycle(GROUPS), strict=False)
    }
    return Agreement(
        id=AGREEMENT,
        version=1,
        title="T",
        description="",
        legal_basis="",
        not_before=None,
        not_after=None,
        members=known,
        collections=places,
        digest="",
        hub="",
        authority="",
        rules=rules,
    )


def sets(agreement: Agreement) -> dict[str, MarkingSet]:
    """Return sets that need more or less of their readers."""
    everybody = frozenset(agreement.members)
    return {
        "TLP:AMBER": MarkingSet(Level.AMBER),
        "three countries": MarkingSet(Level.GREEN, only_countries=frozenset({"US", "JP", "SG"})),
        "named recipients": MarkingSet(Level.AMBER, recipients=everybody),
        "TLP:RED to its audience": MarkingSet(Level.RED, red_members=everybody),
    }


def timed(call: Callable[[], object]) -> float:
    """Return how long a call takes, seconds."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def hot(call: Callable[[], object]) -> float:
    """Return how long a call takes when its answer is known, microseconds; the best of five."""
    call()
    return min(timed(lambda: [call() for _ in range(HOT)]) for _ in range(5)) / HOT * 1e6


def cold(
    rules: CedarRules, agreement: Agreement, ask: Callable[[CedarRules, str, Collection], object]
) -> str:
    """Return how long answers take that nobody knows yet, one a collection."""
    slugs = cycle(agreement.members)
    taken = [
        timed(lambda slug=slug, place=place: ask(rules, slug, place))  # type: ignore[misc]  # bound early
        for slug, place in zip(slugs, agreement.collections, strict=False)
    ]
    return f"{statistics.median(taken) * 1e3:.2f} ms median, {max(taken) * 1e3:.1f} ms at most"


def candidate(level: Level) -> Candidate:
    """Return an object with a TLP level and nothing else."""
    return Candidate(0, "indicator--x", "indicator", "2.1", NO_INSTANT, "", b"", b"{}", level=level)


def measure(members: int, collections: int) -> list[tuple[str, str]]:
    """Return what was measured, and the figures."""
    shipped = load_rules(policies_dir() / "base")
    agreement, own = world(members, collections), world(members, collections, OWN)
    amber = MarkingSet(Level.AMBER)
    first = next(iter(agreement.members))
    found = [
        (
            "reading, not known",
            cold(
                CedarRules(shipped),
                agreement,
                lambda rules, slug, place: rules.decide(who(slug), Action.READ, place, agreement, NOW),
            ),
        ),
        (
            "may a member have it, not known",
            cold(
                CedarRules(shipped),
                agreement,
                lambda rules, slug, place: rules.receive(slug, place, agreement, first, amber),
            ),
        ),
    ]
    rules, place = CedarRules(shipped), agreement.collections[0]
    for name, marks in sets(agreement).items():
        taken = timed(lambda marks=marks: rules.admits(place, agreement, first, marks))  # type: ignore[misc]  # bound early
        found.append((f"an audience of {members}, new set: {name}", f"{taken * 1e3:.1f} ms"))
    strict = CedarRules(shipped)
    taken = timed(lambda: strict.admits(own.collections[0], own, first, amber))
    found.append(
        (f"an audience of {members}, new set, a rule of the agreement's own", f"{taken * 1e3:.1f} ms")
    )
    one, asker = candidate(Level.AMBER), who(first)
    known = {
        "reading, known": lambda: rules.decide(asker, Action.READ, place, agreement, NOW),
        "an audience, known set": lambda: rules.admits(place, agreement, first, amber),
        "an object, known": lambda: rules.decide_object(asker, place, agreement, one, amber),
        "the set of an object with TLP alone": lambda: marking_set(one, place, {}),
    }
    return found + [(name, f"{hot(call):.2f} µs") for name, call in known.items()]


def who(slug: str) -> Principal:
    """Return a client of a member."""
    return Principal(AGREEMENT, slug, "c", slug)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description=__doc__)
    parser.add_argument("--members", type=int, default=500)
    parser.add_argument("--collections", type=int, default=200)
    options = parser.parse_args()
    print(f"{options.members} members, {options.collections} collections")
    print("| decision | time |")
    print("|---|---|")
    for name, figure in measure(options.members, options.collections):
        print(f"| {name} | {figure} |")


if __name__ == "__main__":
    main()
