"""The hub's figures for Prometheus: what `web.traffic` and the stores counted, in the text exposition format.

Served on an address of its own (`metrics_listen`), never on the hub's. Labels are actions, methods, classes
of status, rules and files: no member, no address, no collection and nothing of any object. Counting happens
where the work is done; here it is only read, when somebody asks.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.registry import Collector

from lightship import __version__
from lightship.api.health import Readiness
from lightship.core.errors import LightshipError
from lightship.core.ports import COMMIT_MICROS, GROUP_SIZES, CommitFigures
from lightship.usecases.pages import Pages
from lightship.usecases.publish import Publish
from lightship.usecases.upkeep import Upkeep
from lightship.web.message import Receive, Scope, Send
from lightship.web.traffic import BOUNDS, Traffic

METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})
_SECOND = 1_000_000


class Connections(Protocol):
    """How many connections there are (`lightship.web.listener.Seats`)."""

    taken: int
    turned_away: int
    failed_handshakes: int


@dataclass(slots=True)
class Sources:
    """Where the figures come from.

    Args:
        commits: file -> what its writer did.
        sizes: file -> bytes on disk.
        free: bytes free on the disk.
        unsettled: writes whose access event has not reached the access log.
        connections: set once the server is there.
    """

    traffic: Traffic
    pages: Pages
    publish: Publish
    upkeep: Upkeep
    ready: Readiness
    commits: Callable[[], Mapping[str, CommitFigures]]
    sizes: Callable[[], Mapping[str, int]]
    free: Callable[[], int]
    unsettled: Callable[[], int]
    connections: Connections | None = None


class HubCollector(Collector):
    """Turns the sources into metric families."""

    def __init__(self, sources: Sources) -> None:
        self._from = sources

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        info = GaugeMetricFamily("lightship_info", "The version that runs.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield from self._traffic()
        yield from self._objects()
        yield from self._pages()
        yield from self._commits()
        yield from self._disk()
        yield from self._connections()
        ready = GaugeMetricFamily("lightship_ready", "1 if the check passed.", labels=["check"])
        for name in self._from.ready.names:
            ready.add_metric([name], 0 if name in self._from.ready.failed else 1)
        yield ready

    def _traffic(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "lightship_requests", "Requests answered.", labels=["route", "method", "status"]
        )
        times: dict[str, tuple[list[int], int]] = {}
        counts: dict[tuple[str, str, str], int] = {}
        for (route, method, status), count in self._from.traffic.counts().items():
            key = (route, method if method in METHODS else "other", f"{status}xx")
            counts[key] = counts.get(key, 0) + sum(count.counts)
            held, micros = times.get(route, ([0] * len(count.counts), 0))
            times[route] = ([a + b for a, b in zip(held, count.counts, strict=True)], micros + count.micros)
        for key, number in counts.items():
            requests.add_metric(key, number)
        yield requests
        durations = HistogramMetricFamily(
            "lightship_request_seconds", "From header fields to answer, by route.", labels=["route"]
        )
        for route, (held, micros) in times.items():
            durations.add_metric([route], _buckets(BOUNDS, held, _SECOND), micros / _SECOND)
        yield durations

    def _objects(self) -> Iterator[Metric]:
        counts = self._from.publish.counts
        taken = CounterMetricFamily(
            "lightship_objects", "Objects posted, by what became of them.", labels=["result"]
        )
        for result in ("added", "duplicate", "staged"):
            taken.add_metric([result], counts.get(result, 0))
        yield taken
        moments = CounterMetricFamily(
            "lightship_upkeep_objects",
            "Objects whose moment came, by what became of them.",
            labels=["result"],
        )
        for result, number in self._from.upkeep.counts.items():
            moments.add_metric([result], number)
        yield moments
        refused = CounterMetricFamily(
            "lightship_objects_refused", "Objects refused, by the rule that refused them.", labels=["rule"]
        )
        for rule, number in dict(self._from.publish.refused).items():
            refused.add_metric([rule], number)
        yield refused
        lenient = CounterMetricFamily(
            "lightship_objects_lenient",
            "Objects that lenient collections took, by the rule by which strict ones refuse them.",
            labels=["rule"],
        )
        for rule, number in dict(self._from.publish.violations).items():
            lenient.add_metric([rule], number)
        yield lenient

    def _pages(self) -> Iterator[Metric]:
        pages = self._from.pages
        asked = CounterMetricFamily(
            "lightship_pages", "Pages asked for, by where they were found.", labels=["found"]
        )
        asked.add_metric(["memory"], pages.hits)
        asked.add_metric(["store"], pages.misses)
        yield asked
        yield GaugeMetricFamily("lightship_page_cache_bytes", "Bytes of pages kept in memory.", pages.bytes)

    def _commits(self) -> Iterator[Metric]:
        sizes = HistogramMetricFamily("lightship_commit_writes", "Writes a commit.", labels=["file"])
        times = HistogramMetricFamily("lightship_commit_seconds", "Seconds a commit.", labels=["file"])
        failed = CounterMetricFamily("lightship_commits_failed", "Groups not committed.", labels=["file"])
        waiting = GaugeMetricFamily("lightship_writes_waiting", "Writes not yet durable.", labels=["file"])
        lag = GaugeMetricFamily("lightship_write_lag_seconds", "Age of the oldest of them.", labels=["file"])
        for name, one in self._from.commits().items():
            sizes.add_metric([name], _buckets(GROUP_SIZES, one.sizes), one.writes)
            times.add_metric([name], _buckets(COMMIT_MICROS, one.times, _SECOND), one.micros / _SECOND)
            failed.add_metric([name], one.failed)
            waiting.add_metric([name], one.waiting)
            lag.add_metric([name], one.oldest / _SECOND)
        yield from (sizes, times, failed, waiting, lag)
        yield GaugeMetricFamily(
            "lightship_events_unsettled",
            "Writes whose access event has not reached the access log.",
            self._unsettled(),
        )

    def _unsettled(self) -> float:
        try:
            return self._from.unsettled()
        except LightshipError:  # the other figures are needed most when the store cannot be read
            return math.nan

    def _disk(self) -> Iterator[Metric]:
        sizes = GaugeMetricFamily(
            "lightship_store_bytes", "Bytes of a data file with its log.", labels=["file"]
        )
        for name, size in self._from.sizes().items():
            sizes.add_metric([name], size)
        yield sizes
        yield GaugeMetricFamily(
            "lightship_disk_free_bytes", "Free bytes on the data's disk.", self._from.free()
        )

    def _connections(self) -> Iterator[Metric]:
        seats = self._from.connections
        if seats is not None:
            yield GaugeMetricFamily("lightship_connections", "Open connections.", seats.taken)
            yield CounterMetricFamily(
                "lightship_connections_turned_away", "Connections beyond a bound.", seats.turned_away
            )
            yield CounterMetricFamily(
                "lightship_handshakes_failed",
                "TLS handshakes that did not end well.",
                seats.failed_handshakes,
            )


def _buckets(bounds: Iterable[int], counts: Sequence[int], unit: int = 1) -> list[tuple[str, float]]:
    """Return cumulative buckets as the exposition format has them."""
    total, buckets = 0, []
    for bound, count in zip([*(str(float(one / unit)) for one in bounds), "+Inf"], counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets


class Figures:
    """The ASGI application that answers `/metrics`, and nothing else."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(HubCollector(sources))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        answer = partial(_answer, send)
        if scope["path"] != "/metrics":
            await answer(404, b"text/plain", b"The figures are at /metrics\n")
        elif scope["method"] not in {"GET", "HEAD"}:
            await answer(405, b"text/plain", b"Use GET\n", (b"allow", b"GET, HEAD"))
        else:
            await self.sources.ready()
            accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
            encode, media_type = choose_encoder(accept)
            body = await asyncio.to_thread(encode, self._registry)
            await answer(200, media_type.encode(), b"" if scope["method"] == "HEAD" else body)

    async def text(self) -> bytes:
        """Return the figures in the text format, for who puts those of several processes together."""
        await self.sources.ready()
        return await asyncio.to_thread(generate_latest, self._registry)


async def _answer(
    send: Send, status: int, media_type: bytes, body: bytes, *more: tuple[bytes, bytes]
) -> None:
    headers = [(b"content-type", media_type), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
