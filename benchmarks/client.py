"""The generator for what wrk cannot do: follow `next`, fill a collection, ask a slow server a few times.

Run as `python -m benchmarks.client` with a spec as one line of JSON on standard input. Prints one JSON line
of progress at a time, the last one is the result. Cheap on purpose: bodies are not parsed where a look at
their ends will do. Loopback only.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

_NEXT = re.compile(rb'"next": ?"([^"]+)"')


class Connection:
    """One kept connection; counts what it received."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.headers: dict[str, str] = spec["headers"]
        self.bytes = 0
        timeout = float(spec.get("request_timeout", 120))
        self.http: http.client.HTTPConnection
        if spec["tls"]:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # the benchmark's own server on loopback, made a minute ago
            self.http = http.client.HTTPSConnection(
                "127.0.0.1", spec["port"], timeout=timeout, context=context
            )
        else:
            self.http = http.client.HTTPConnection("127.0.0.1", spec["port"], timeout=timeout)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        content_type: str = "application/taxii+json;version=2.1",
    ) -> tuple[bytes, dict[str, str]]:
        """Return body and headers (lower-case names) of a success; end the process otherwise."""
        headers = self.headers
        if body is not None:
            headers = {**headers, "Content-Type": content_type}
        self.http.request(method, path, body, headers)
        answer = self.http.getresponse()
        content = answer.read()
        self.bytes += len(content)
        if not 200 <= answer.status < 300:
            sys.exit(f"{method} {path[:120]} -> {answer.status}: {content[:200]!r}")
        return content, {name.lower(): value for name, value in answer.getheaders()}


def next_of(content: bytes) -> str | None:
    """Return `next` of an envelope: looked for at its ends, where servers write it, else by parsing."""
    for piece in (content[:400], content[-400:]):
        found = _NEXT.search(piece)
        if found is not None and found.group(1).count(b"\\") == 0:
            return found.group(1).decode()
    value = json.loads(content).get("next") if content else None
    return str(value) if value is not None else None


def count_of(content: bytes) -> int:
    """Return how many objects an envelope or manifest holds."""
    return len(json.loads(content).get("objects", []))


def pull(spec: dict[str, Any]) -> dict[str, Any]:
    """Follow `next` from the start to the end, or until `seconds` have passed."""
    line, limit = Connection(spec), int(spec["limit"])
    base = f"{spec['root']}objects/?limit={limit}"
    began = time.perf_counter()
    deadline = began + float(spec["seconds"])
    token: str | None = None
    requests = objects = 0
    note, stamps = "", []
    while True:
        try:
            content, headers = line.ask("GET", base + (f"&next={quote(token)}" if token else ""))
        except TimeoutError:
            note = f"a page took longer than {spec.get('request_timeout', 120):g} s; stopped"
            break
        requests += 1
        token = next_of(content)
        objects += limit if token else count_of(content)
        stamps.append(headers.get("x-taxii-date-added-last", ""))
        if token is None:
            break
        if time.perf_counter() > deadline:
            note = f"stopped after {spec['seconds']:g} s"
            break
    seconds = time.perf_counter() - began
    return {
        "requests": requests,
        "objects": objects,
        "seconds": seconds,
        "bytes": line.bytes,
        "note": note,
        "stamps": stamps,
    }


def repeat(spec: dict[str, Any]) -> dict[str, Any]:
    """Ask for the same path one after the other for `seconds`, once at least."""
    line, path = Connection(spec), f"{spec['root']}{spec['path']}"
    began = time.perf_counter()
    took: list[float] = []
    note = ""
    while not took or time.perf_counter() - began < float(spec["seconds"]):
        start = time.perf_counter()
        try:
            line.ask("GET", path)
        except TimeoutError:
            note = f"no answer within {spec.get('request_timeout', 120):g} s"
            break
        took.append(time.perf_counter() - start)
    seconds = time.perf_counter() - began
    took.sort()
    return {
        "requests": len(took),
        "objects": len(took) * int(spec.get("objects", 0)),
        "note": note,
        "seconds": seconds,
        "bytes": line.bytes,
        "p50_ms": statistics.median(took) * 1000 if took else None,
        "p99_ms": took[int(len(took) * 0.99)] * 1000 if len(took) >= 100 else None,
    }


def fill(spec: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Post `count` objects in envelopes of the template over some connections, as fast as they are taken."""
    pieces = str(spec["template"]).encode().split(b"@@")
    each = len(pieces) - 1
    left = -(-int(spec["count"]) // each)
    lock, sent, total = threading.Lock(), [0], [0]
    began = time.perf_counter()
    failed: list[str] = []

    def post() -> None:
        nonlocal left
        line = Connection(spec)
        while True:
            with lock:
                if left <= 0 or failed:
                    break
                left -= 1
            ids = [str(uuid.uuid4()).encode() for _ in range(each)]
            body = b"".join(part for pair in zip(pieces, [*ids, b""], strict=True) for part in pair)
            try:
                content, _ = line.ask("POST", f"{spec['root']}objects/", body)
                status = json.loads(content)
                if status.get("success_count") != each:
                    raise SystemExit(f"not all were taken: {json.dumps(status.get('failures', []))[:300]}")
            except (SystemExit, OSError, http.client.HTTPException) as error:
                failed.append(str(error))
                break
            with lock:
                sent[0] += each
                total[0] += len(body)
                say({"objects": sent[0]})

    threads = [threading.Thread(target=post) for _ in range(int(spec["connections"]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        sys.exit(failed[0])
    seconds = time.perf_counter() - began
    return {"requests": sent[0] // each, "objects": sent[0], "seconds": seconds, "bytes": total[0]}


def send(spec: dict[str, Any]) -> dict[str, Any]:
    """Post the files of each folder in order, one connection a folder; `sure` stands in every good answer."""
    path, sure = str(spec["path"]), str(spec["sure"]).encode()
    folders = [sorted(Path(one).iterdir()) for one in spec["folders"]]
    bodies = [[file.read_bytes() for file in files] for files in folders]
    took: list[float] = []
    failed: list[str] = []

    def post(mine: list[bytes]) -> None:
        line = Connection(spec)
        for body in mine:
            start = time.perf_counter()
            try:
                content, _ = line.ask("POST", path, body, str(spec["content_type"]))
            except (SystemExit, OSError, http.client.HTTPException) as error:
                failed.append(str(error))
                return
            took.append(time.perf_counter() - start)
            if sure not in content:
                failed.append(f"not taken: {content[:300]!r}")
                return

    began = time.perf_counter()
    threads = [threading.Thread(target=post, args=(mine,)) for mine in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if failed:
        sys.exit(failed[0])
    took.sort()
    return {
        "requests": len(took),
        "objects": len(took) * int(spec["each"]),
        "seconds": seconds,
        "bytes": sum(len(body) for mine in bodies for body in mine),
        "p50_ms": statistics.median(took) * 1000,
        "p99_ms": took[int(len(took) * 0.99)] * 1000 if len(took) >= 100 else None,
    }


def main(text: str) -> None:
    """Carry out one spec and print its result as the last line."""
    spec = json.loads(text)
    spent = time.process_time()
    if spec["verb"] == "fill":
        found = fill(spec, lambda news: print(json.dumps(news), flush=True))
    else:
        found = {"pull": pull, "repeat": repeat, "send": send}[spec["verb"]](spec)
    print(json.dumps({**found, "busy": time.process_time() - spent}), flush=True)


if __name__ == "__main__":
    main(sys.stdin.readline())
