"""What the rows measure: one small function each. It returns its contestants, ready to be measured.

`hot` is a page that the hub has in memory, `cold` one that it has not (its file is in the system's cache).
Lightship always writes its access log, and a line of its own log a request to stderr (a file here), unless
the contestant's name says otherwise: "no access log" writes those lines too, "log level warning" does not.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import quote

from benchmarks import inside, objects, targets
from benchmarks.bench import Bench, Measure, TooSlow, label
from benchmarks.load import Sample, client, fast
from benchmarks.processes import Failed
from benchmarks.targets import HubDirectory, Running

POST = {"Content-Type": targets.TAXII}
GZIP = {"Accept-Encoding": "gzip"}
TWO = "lightship, 2 workers"
SIGNED = "lightship, signed"
HOT = 32
"""Connections that ask for hot pages: a busy hub has many."""


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


KEYS = 4
"""Publish keys, each with a connection of its own: what one key signs comes one after the other."""


def signed(bench: Bench) -> dict[str, Measure]:
    """The same objects, 256 a post, over as many connections: signed statements, and posts without signature.

    Everything is made before the time begins. The hub is a new one for each run, with a roster in force.
    """
    prepared: list[tuple[HubDirectory, Path, str]] = []

    def prepare() -> tuple[HubDirectory, Path, str]:
        if not prepared:
            hub, out = bench.blank().copy(bench.place("hub-signed")), bench.place("bodies")
            count = ["--keys", KEYS, "--bodies", bench.plan.statements]
            collection = inside.said_by("signed", ["--hub", hub.path, "--out", out, *count])
            prepared.append((hub, out, collection))
        return prepared[0]

    def measured(kind: str, content_type: str, sure: str) -> Sample:
        hub, out, collection = prepare()
        path = f"{hub.root}objects/" if kind == "plain" else f"/log/{collection}/publish"
        running = bench.started(targets.serve_hub(hub.copy(bench.place("hub"))))
        try:
            folders = [str(out / f"{kind}-{number}") for number in range(KEYS)]
            found, _ = client(
                running,
                "send",
                timeout=600,
                folders=folders,
                each=256,
                path=path,
                content_type=content_type,
                sure=sure,
            )
            return found
        finally:
            running.stop()

    return {
        "lightship": partial(measured, "plain", targets.TAXII, '"success_count":256'),
        SIGNED: partial(measured, "signed", "application/json", '"leaf"'),
    }


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

        return {
            "lightship": ours,
            "medallion": lambda: theirs(lambda: bench.medallion(count)),
            "opentaxii": lambda: theirs(lambda: bench.opentaxii(count)),
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
    """The peers with `plan.peer` objects, one request after the other; a path is measured once a run."""

    def measured(name: str, make: Callable[[], Running]) -> Sample:
        def ask() -> Sample:
            return client(
                make(),
                "repeat",
                path=path,
                objects=each,
                seconds=bench.plan.seconds,
                request_timeout=bench.plan.bound,
            )[0]

        return bench.once((name, path), ask)

    return {
        f"{name} ({label(bench.plan.peer)})": partial(measured, name, make)
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
                return bench.started(targets.serve_nginx(place, files, certificate=certificate, tls=tls))

            running = bench.keep(("nginx", limit, tls), make)
            return fast(
                running, ["/page"], seconds=seconds, connections=connections, objects=each, headers=encoding
            )

        found: dict[str, Measure] = {
            "lightship, no access log": lambda: page("tls, no log" if tls else "no log"),
            "lightship": lambda: page("tls" if tls else "plain"),
            "nginx": floor,
        }
        if not tls:  # what the lines of the hub's own log cost: both of the first two write them
            found["lightship, log level warning"] = lambda: page("quiet")
            found["lightship, no access log, log level warning"] = lambda: page("quiet, no log")
        return found if tls else found | _peers(bench, path, min(limit, bench.plan.peer))

    return contestants


def cold(limit: int, *, gzip: bool = False) -> Callable[[Bench], dict[str, Measure]]:
    """Pages that were not asked for before, each once, of a hub that was just started."""

    def contestants(bench: Bench) -> dict[str, Measure]:
        size = bench.plan.middle

        def ours() -> Sample:
            running = bench.hub_again(size)
            most = bench.plan.cold_pages[limit]
            paths = [f"{running.root}{one}" for one in cold_paths(running.stamps, limit, most)]
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


def workers(bench: Bench) -> dict[str, Measure]:
    """Cold 1000-pages of one process and of two, over connections enough for both."""

    def served_by(count: int) -> Sample:
        running = bench.hub_of_workers(bench.plan.middle, count)
        try:
            most = bench.plan.cold_pages[1000]
            paths = [f"{running.root}{one}" for one in cold_paths(running.stamps, 1000, most)]
            return fast(running, paths, seconds=bench.plan.seconds, connections=HOT, objects=1000, warm=0)
        finally:
            running.stop()

    return {"lightship": partial(served_by, 1), TWO: partial(served_by, 2)}


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
