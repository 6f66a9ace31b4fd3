"""The rows in one table: name, group, title, and what is measured (`rows`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import inside
from benchmarks.bench import Bench, Measure, label
from benchmarks.rows import (
    HOT,
    by_id,
    cold,
    hot,
    ingest_fresh,
    ingest_into,
    memory,
    poll,
    publish,
    pull,
    read,
    signed,
    workers,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table for each contestant. `group` is what `--rows` picks."""

    name: str
    group: str
    title: str
    contestants: Callable[[Bench], dict[str, Measure]]
    runs: int | None = None
    """How often it is measured, where once is enough because it takes long and varies little."""


def table(plan_sizes: tuple[int, ...], pulls: tuple[int, ...], hot_size: int) -> list[Row]:
    """Return all rows in the order in which they are measured."""
    rows = [
        *(
            Row(f"publish-{n}", "publish", f"publish {n} an envelope, 1 connection", publish(n, 1))
            for n in (1, 100, 1000)
        ),
        *(
            Row(f"publishers-{n}", "publishers", f"single publishes, {n} publisher(s)", publish(1, n))
            for n in (1, 64)
        ),
        *(
            Row(f"pull-{label(n)}-{m}", "pull", f"full pull of {label(n)}, limit {m}", pull(n, m))
            for n in pulls
            for m in (1000, 100)
        ),
    ]
    for index, n in enumerate(plan_sizes):
        size, first = label(n), index == 0
        rows += [
            Row(f"poll-{size}", "poll", f"empty poll at {size}", poll(n, 8, peers=first)),
            Row(f"object-{size}", "small", f"object by id at {size}", by_id(n)),
            *(
                Row(
                    f"{name}-{size}",
                    "small",
                    f"{title} at {size}",
                    read(n, path, 100 if name != "type" else 20, peers=first),
                )
                for name, title, path in (
                    ("manifest", "manifest, limit 100", "manifest/?limit=100"),
                    (
                        "type",
                        "match[type] of 2 in 100, limit 100",
                        "objects/?match%5Btype%5D=malware&limit=100",
                    ),
                    (
                        "versions",
                        "match[version]=all, limit 100",
                        "objects/?match%5Bversion%5D=all&limit=100",
                    ),
                )
            ),
        ]
    middle = plan_sizes[min(1, len(plan_sizes) - 1)]
    rows += [
        Row(
            f"pollers-{n}",
            "pollers",
            f"empty poll at {label(middle)}, {n} connection(s)",
            poll(middle, n),
        )
        for n in (1, 8, 64)
    ]
    at = label(hot_size)
    for limit in (100, 1000):
        rows += [
            Row(
                f"hot-{limit}",
                "hot",
                f"hot {limit}-page at {at}, {HOT} connections",
                hot(limit, HOT, tls=False),
            ),
            Row(
                f"hot-{limit}-few",
                "hot",
                f"hot {limit}-page at {at}, 4 connections",
                hot(limit, 4, tls=False),
            ),
            Row(
                f"hot-{limit}-tls",
                "hot",
                f"hot {limit}-page, TLS 1.3, stored gzip, {HOT} connections",
                hot(limit, HOT, tls=True),
            ),
            Row(f"cold-{limit}", "cold", f"cold {limit}-page at {label(middle)}", cold(limit)),
        ]
    rows.append(Row("cold-1000-gzip", "cold", "cold 1000-page, gzip", cold(1000, gzip=True)))
    title = f"cold 1000-page at {label(middle)}, {HOT} connections"
    rows.append(Row("workers", "cold", title, workers))
    rows.append(Row("ingest-fresh", "ingest", "ingest, empty store, 4 x envelopes of 1000", ingest_fresh))
    rows.append(Row("signed", "ingest", "ingest, empty store, 4 x 256 objects a post", signed))
    last = plan_sizes[-1]
    rows.append(
        Row(
            "authorised-100",
            "rules",
            f"hot 100-page, rules asked and not, {HOT} connections",
            inside.authorised(100, HOT),
        )
    )
    rows.append(Row("decisions", "rules", "decision never made before, many members", inside.decisions))
    rows.append(
        Row("change", "rules", "change of an agreement over a large collection", inside.agreement_change, 1)
    )
    rows.append(Row("verify", "log", "lightship verify of an exported access log", inside.verify, 1))
    rows.append(Row(f"memory-{label(last)}", "memory", f"full pull of {label(last)}", memory(last), 1))
    rows.append(Row(f"ingest-{label(last)}", "ingest", f"ingest at {label(last)}", ingest_into(last)))
    return rows
