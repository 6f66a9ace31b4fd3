"""The figures of several processes of one hub as one exposition: what the workers counted, added up.

Counters and histograms are added, and gauges that count something; what says the same in every process, such
as the size of a file, is taken once. What a process that has ended had counted stays in the sums (`counted`):
whoever computes rates would take one that falls for a fresh start of all. Reads and writes the Prometheus
text format 0.0.4. Holds no figure itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

_TAKEN_ONCE: dict[str, Callable[[Iterable[float]], float]] = {
    "lightship_info": max,
    "python_info": max,
    "lightship_ready": min,
    "lightship_store_bytes": max,
    "lightship_disk_free_bytes": min,
    "lightship_events_unsettled": max,
    "lightship_write_lag_seconds": max,
    "process_start_time_seconds": min,
}
"""Families that are no sum."""
_COUNTS = frozenset({"counter", "histogram", "summary"})


def merge(texts: Sequence[str]) -> str:
    """Return the expositions of some processes as one."""
    heads: dict[str, list[str]] = {}
    values: dict[str, dict[str, list[float]]] = {}
    for text in texts:
        family = ""
        for line in text.splitlines():
            if line.startswith("# "):
                family = line.split(" ", 3)[2]
                head = heads.setdefault(family, [])
                if line not in head:
                    head.append(line)
            elif line:
                sample, _, value = line.rpartition(" ")
                values.setdefault(family, {}).setdefault(sample, []).append(float(value))
    lines: list[str] = []
    for family, samples in values.items():
        together = _TAKEN_ONCE.get(family, sum)
        lines += heads[family]
        lines += [f"{sample} {together(found)!r}" for sample, found in samples.items()]
    return "".join(f"{line}\n" for line in lines)


def counted(text: str) -> str:
    """Return of an exposition what only ever grows."""
    kinds: dict[str, str] = {}
    kept: list[str] = []
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            family, _, kind = line.removeprefix("# TYPE ").rpartition(" ")
            kinds[family] = kind
    family = ""
    for line in text.splitlines():
        if line.startswith("# "):
            family = line.split(" ", 3)[2]
        if line and kinds.get(family) in _COUNTS:
            kept.append(line)
    return "".join(f"{line}\n" for line in kept)
