"""The rows: one small function each, in one table. A row returns its contestants, ready to be measured.

`hot` is a page that the hub has in memory, `cold` one that it has not (its file is in the system's cache).
Lightship always writes its access log and a line a request to stderr (a file here), unless the contestant's
name says otherwise.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from benchmarks import objects, targets
from benchmarks.bench import Bench, Measure, TooSlow, label
from benchmarks.load import Sample, client, fast
from benchmarks.processes import Failed
from benchmarks.targets import Running

POST = {"Content-Type": targets.TAXII}
GZIP = {"Accept-Encoding": "gzip"}
HOT = 32
"""Connections that ask for hot pages: a busy hub has many."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table for each contestant. `group` is what `--rows` picks."""

    name: str
    group: str
    title: str
    contestants: Callable[[Bench], dict[str, Measure]]


# --- publishing


def publish(count: int, connections: int) -> Callable[[Bench], dict[str, Measure]]:
    """Envelopes of `count` objects into an empty store, made anew for each run."""

    def contestants(bench: Bench) -> dict[str, Measure]:
        form = objects.template(count, versioned_only=True)
        made: dict[str, Callable[[], Running]] = {
            "lightship": bench.fresh_hub,
            "medallion": lambda: bench.medallion(0),
            "opentaxii": bench.opentaxii,
        }

        def measured(name: str) -> Sample:
            running = made[name]()
            try:
                # The first envelope through a client that reads the status: wrk sees only the 202.
                _post(running, form, count)
                if name != "lightship" and connections == 1:
                    # Whole envelopes only: a slow server would end in the midst of one.
                    return _post(running, form, count * max(3, min(100, 1000 // count)))
                return fast(
                    running,
                    [f"{running.root}objects/"],
                    seconds=bench.plan.seconds,
                    connections=connections,
                    objects=count,
                    body=form,
                    headers=POST,
                    warm=0,
                )
            finally:
                running.stop()

        return {name: partial(measured, name) for name in made}

    return contestants


def _post(running: Running, form: bytes, count: int) -> Sample:
    return client(running, "fill", timeout=300, template=form.decode(), count=count, connections=1)[0]


def ingest_fresh(bench: Bench) -> dict[str, Measure]:
    """Envelopes of 1000 over four connections into an empty hub."""

    def measured() -> Sample:
        running = bench.fresh_hub()
        try:
            return _ingest(running, bench.plan.seconds)
        finally:
            running.stop()

    return {"lightship": measured}


def ingest_into(count: int) -> Callable[[Bench], dict[str, Measure]]:
    """The same into a hub that holds `count` already."""
    return lambda bench: {"lightship": lambda: _ingest(bench.hub(count), bench.plan.seconds)}


def _ingest(running: Running, seconds: float) -> Sample:
    path, form = f"{running.root}objects/", objects.template(1000)
    return fast(
        running, [path], seconds=seconds, connections=4, objects=1000, body=form, headers=POST, warm=0
    )


# --- pulling


def pull(count: int, limit: int) -> Callable[[Bench], dict[str, Measure]]:
    """Everything from the start, following `next` on one connection; a new process for each run."""

    def contestants(bench: Bench) -> dict[str, Measure]:
        bound = bench.plan.bound

        def ours() -> Sample:
            sample, _ = client(bench.hub_again(count), "pull", limit=limit, seconds=600)
            return sample

        def theirs(make: Callable[[], Running]) -> Sample:
            running = make()
            try:
                sample, _ = client(
                    running, "pull", limit=limit, seconds=bound, request_timeout=bound, timeout=bound * 4
                )
            except Failed as error:
                raise TooSlow(str(error), limit, bound) from None
            finally:
                running.stop()
            return sample

        peer = bench.peers(count)["opentaxii"]

        def opentaxii() -> Sample:
            sample, _ = client(
                peer(), "pull", limit=limit, seconds=bound, request_timeout=bound, timeout=bound * 4
            )
            return sample

        return {
            "lightship": ours,
            "medallion": lambda: theirs(lambda: bench.medallion(count)),
            "opentaxii": opentaxii,
        }

    return contestants


def memory(count: int) -> Callable[[Bench], dict[str, Measure]]:
    """A full pull of the largest hub in a new process; what counts is its memory afterwards."""

    def ours(bench: Bench) -> Sample:
        return client(bench.hub_again(count), "pull", limit=1000, seconds=900)[0]

    return lambda bench: {"lightship": lambda: ours(bench)}


# --- polling and other small reads


def poll(count: int, connections: int, *, peers: bool = False) -> Callable[[Bench], dict[str, Measure]]:
    """`added_after` the last object: nothing new, the request that clients make most."""

    def contestants(bench: Bench) -> dict[str, Measure]:
        def ours() -> Sample:
            running = bench.hub(count)
            path = f"objects/?added_after={running.stamps[-1]}"
            if "objects" in running.get(path).json():
                raise Failed("the poll is not empty")
            return fast(running, [running.root + path], seconds=bench.plan.seconds, connections=connections)

        found: dict[str, Measure] = {"lightship": ours}
        if peers:
            path = "objects/?added_after=2099-01-01T00:00:00.000000Z"
            found |= _peers(bench, path, 0)
        return found

    return contestants


def _peers(bench: Bench, path: str, each: int) -> dict[str, Measure]:
    """The peers with `plan.peer` objects, one request after the other."""

    def measured(make: Callable[[], Running]) -> Sample:
        return client(
            make(),
            "repeat",
            path=path,
            objects=each,
            seconds=bench.plan.seconds,
            request_timeout=bench.plan.bound,
        )[0]

    return {
        f"{name} ({label(bench.plan.peer)})": partial(measured, make)
        for name, make in bench.peers(bench.plan.peer).items()
    }


def by_id(count: int) -> Callable[[Bench], dict[str, Measure]]:
    """Objects by id, 200 different ones."""

    def contestants(bench: Bench) -> dict[str, Measure]:
        def ours() -> Sample:
            running = bench.hub(count)
            source = random.Random(count)
            # From several places of the collection: its stamps are known at every 1000th object.
            places = source.sample(running.stamps[:-1], min(4, len(running.stamps) - 1)) or [""]
            ids: list[str] = []
            for place in places:
                after = f"&added_after={place}" if place else ""
                page = running.get(f"manifest/?limit=50{after}").json()["objects"]
                ids += [one["id"] for one in page]
            paths = [f"{running.root}objects/{one}/" for one in ids]
            return fast(running, paths, seconds=bench.plan.seconds, objects=1)

        return {"lightship": ours}

    return contestants


def read(count: int, path: str, each: int, *, peers: bool = True) -> Callable[[Bench], dict[str, Measure]]:
    """The same path again and again, of a hub with `count` objects."""

    def contestants(bench: Bench) -> dict[str, Measure]:
        def ours() -> Sample:
            running = bench.hub(count)
            got = len(running.get(path).json()["objects"])
            return fast(running, [running.root + path], seconds=bench.plan.seconds, objects=got)

        found: dict[str, Measure] = {"lightship": ours}
        if peers:
            found |= _peers(bench, path, each)
        return found

    return contestants


# --- pages against the floor


def hot(limit: int, connections: int, *, tls: bool) -> Callable[[Bench], dict[str, Measure]]:
    """One page that is in memory, against nginx with the same bytes; over TLS both send stored gzip.

    How many connections ask matters to Lightship alone: the events of requests that wait together
    share a commit.
    """

    def contestants(bench: Bench) -> dict[str, Measure]:
        size, path = bench.plan.hot, f"objects/?limit={limit}"
        encoding: Mapping[str, str] = GZIP if tls else {}
        seconds, each = bench.plan.seconds, min(limit, size)

        def page(kind: str) -> Sample:
            running = bench.hub(size) if kind == "plain" else bench.hub_beside(size, kind)
            path = f"{running.root}objects/?limit={limit}"
            return fast(
                running, [path], seconds=seconds, connections=connections, objects=each, headers=encoding
            )

        def floor() -> Sample:
            ours = bench.hub_beside(size, "tls") if tls else bench.hub(size)

            def make() -> Running:
                files = {"page": ours.raw(path, "identity")}
                if tls:
                    files["page.gz"] = ours.raw(path, "gzip")
                certificate = bench.filled(size).path / "tls"
                place = bench.place("nginx")
                return targets.serve_nginx(place, files, certificate=certificate, tls=tls)

            running = bench.keep(("nginx", limit, tls), make)
            return fast(
                running, ["/page"], seconds=seconds, connections=connections, objects=each, headers=encoding
            )

        found: dict[str, Measure] = {
            "lightship, no access log": lambda: page("tls, no log" if tls else "no log"),
            "lightship": lambda: page("tls" if tls else "plain"),
            "nginx": floor,
        }
        if not tls:
            found["lightship, log level warning"] = lambda: page("quiet")
        return found if tls else found | _peers(bench, path, min(limit, bench.plan.peer))

    return contestants


def cold(limit: int, *, gzip: bool = False) -> Callable[[Bench], dict[str, Measure]]:
    """Pages that were not asked for before, each once, of a hub that was just started."""

    def contestants(bench: Bench) -> dict[str, Measure]:
        size = bench.plan.middle

        def ours() -> Sample:
            running = bench.hub_again(size)
            paths = [
                f"{running.root}{one}" for one in cold_paths(running.stamps, limit, bench.plan.cold_pages)
            ]
            sample = fast(
                running,
                paths,
                seconds=bench.plan.seconds,
                connections=4,
                objects=limit,
                headers=GZIP if gzip else {},
                warm=0,
            )
            if sample.requests > len(paths):
                raise Failed(f"{sample.requests} requests, only {len(paths)} different pages to ask for")
            return sample

        return {"lightship": ours}

    return contestants


def cold_paths(stamps: list[str], limit: int, most: int) -> list[str]:
    """Return paths of pages that all begin at another object and are full.

    Stamps of one envelope are consecutive microseconds, so that going back from the last one of each page
    by up to 999 of them meets as many different objects.
    """
    full = stamps[: -max(2, -(-limit // 1000) + 1)]
    found = []
    for stamp in full:
        whole, _, fraction = stamp.rstrip("Z").partition(".")
        micros = int(fraction)
        step = max(1, len(full) * 1000 // most)
        for back in range(0, min(999, micros), step):
            after = quote(f"{whole}.{micros - back:06}Z")
            found.append(f"objects/?limit={limit}&added_after={after}")
    random.Random(limit).shuffle(found)
    return found[:most]


# --- the table


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
    rows.append(Row("ingest-fresh", "ingest", "ingest, empty store, 4 x envelopes of 1000", ingest_fresh))
    last = plan_sizes[-1]
    rows.append(Row(f"memory-{label(last)}", "memory", f"full pull of {label(last)}", memory(last)))
    rows.append(Row(f"ingest-{label(last)}", "ingest", f"ingest at {label(last)}", ingest_into(last)))
    return rows
