"""What a decision costs that was never made before, in an agreement with many members and collections.

Run as `python -m benchmarks.decisions [--members N] [--collections N]`. Prints one line of JSON: how many
decisions were asked for, seconds and CPU seconds of all, and the middle one and the one that 99 of 100 stay
under, in milliseconds of CPU.
No server and no store: the rules that the hub ships, and an agreement made up here.
"""

from __future__ import annotations

import argparse
import json
import random
import time
import uuid

from lightship.core.access import Action, Principal
from lightship.core.agreement import Agreement, Member
from lightship.core.collection import Collection, CollectionSettings, Level
from lightship.core.time import Micros
from lightship.data import policies_dir
from lightship.policy.engine import CedarRules
from lightship.policy.files import load_rules

NOW = Micros(1_790_000_000_000_000)
ASKED = 2_000
"""Questions, each about another member and collection."""


def agreement_of(members: int, collections: int) -> Agreement:
    """Return an agreement in which every member reads every collection and every second one publishes."""
    slugs = [f"member-{number:03}" for number in range(members)]
    known = {
        slug: Member(
            slug,
            slug,
            "USLAX",
            "US",
            "port-authority",
            frozenset({"publisher", "consumer"}),
            frozenset({f"identity--{uuid.UUID(int=number, version=4)}"}),
        )
        for number, slug in enumerate(slugs)
    }
    audience, publishers = frozenset(slugs), frozenset(slugs[::2])
    places = tuple(
        Collection(
            number,
            str(uuid.UUID(int=number, version=4)),
            "bench",
            f"place-{number:03}",
            "A place",
            "",
            Level.AMBER,
            audience,
            publishers,
            CollectionSettings(),
        )
        for number in range(1, collections + 1)
    )
    return Agreement(
        id="bench",
        version=1,
        title="Bench",
        description="",
        legal_basis="",
        not_before=None,
        not_after=None,
        members=known,
        collections=places,
        digest="d",
        hub="d",
        authority="",
    )


def main() -> None:
    """Ask, each question for the first time, and print what it took."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description=__doc__)
    parser.add_argument("--members", type=int, default=500)
    parser.add_argument("--collections", type=int, default=200)
    options = parser.parse_args()
    agreement = agreement_of(options.members, options.collections)
    rules = CedarRules(load_rules(policies_dir() / "base"))
    every = options.members * options.collections
    numbers = random.Random(1).sample(range(every), min(ASKED, every))
    took: list[float] = []
    began, spent = time.perf_counter(), time.process_time()
    for number in numbers:
        member, place = divmod(number, options.collections)
        slug = f"member-{member:03}"
        principal = Principal("bench", slug, "c", slug)
        start = time.thread_time()
        decision = rules.decide(principal, Action.READ, agreement.collections[place], agreement, NOW)
        took.append(time.thread_time() - start)
        assert decision.allowed
    seconds, cpu = time.perf_counter() - began, time.process_time() - spent
    took.sort()
    found = {
        "decisions": len(took),
        "seconds": seconds,
        "cpu": cpu,
        "p50_ms": took[len(took) // 2] * 1000,
        "p99_ms": took[int(len(took) * 0.99)] * 1000,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
