"""Mutations that keep JSON readable, so that inputs get past the reader to the checks of objects."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

Mutate = Callable[[bytes, int], bytes]
_ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1.5,
        1e300,
        2**53 - 1,
        "",
        "x",
        [],
        {},
        [[]],
        {"": ""},
        "\u0000",
        "\ud800",
        "é",
    ),
    *(
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00.123456789Z",
        "9999-12-31T23:59:59Z",
        "0000-01-01T00:00:00Z",
    ),
    *("2.0", "2.1", "indicator", "identity--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f", "a" * 300),
)


def mutate_json(data: bytes, longest: int, seed: int, otherwise: Mutate) -> bytes:
    """Return the input changed in its structure, or by `otherwise` if it is no JSON or by chance."""
    rng = random.Random(seed)
    if rng.random() < 0.3:
        return otherwise(data, longest)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return otherwise(data, longest)
    places = list(_places(value))
    if not places:
        return otherwise(data, longest)
    for _ in range(rng.randint(1, 3)):
        _change(rng, places)
    try:
        made = json.dumps(value, separators=(",", ":"), ensure_ascii=rng.random() < 0.5).encode(
            "utf-8", "surrogatepass"
        )
    except RecursionError:
        return otherwise(data, longest)
    return made if len(made) <= longest else otherwise(data, longest)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return (container, key) of every value inside."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting and len(found) < 2_000:
        one = waiting.pop()
        keys: Any = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        for key in keys:
            found.append((one, key))
            waiting.append(one[key])
    return found


def _change(rng: random.Random, places: list[tuple[Any, Any]]) -> None:
    """Make one change; a place that is gone by now is left alone."""
    holder, key = rng.choice(places)
    other, other_key = rng.choice(places)
    try:
        match rng.randrange(6):
            case 0:
                holder[key] = rng.choice(_ODD)
            case 1:
                holder[key] = json.loads(json.dumps(other[other_key]))
            case 2:
                del holder[key]
            case 3 if isinstance(holder, list):
                holder.insert(rng.randint(0, len(holder)), json.loads(json.dumps(holder[key])))
            case 4 if isinstance(holder, dict):
                holder[rng.choice([other_key if isinstance(other_key, str) else "x", "x_y", "type", "é"])] = (
                    holder[key]
                )
            case _:
                if isinstance(holder[key], str):
                    at = rng.randint(0, len(holder[key]))
                    holder[key] = (
                        holder[key][:at] + rng.choice("0a-:.'[ZT\\é") + holder[key][at + rng.randint(0, 2) :]
                    )
                else:
                    holder[key] = rng.choice(_ODD)
    except (KeyError, IndexError, RecursionError):
        return
