"""A first look at a long log: `python -m benchmarks.long_log 1000000` makes one, serves it, and verifies it.

The hub is a process of its own that hands out tiles, bundles and pages from files, so that what is measured
is the consumer: CPU seconds, seconds, and the most memory it had, then the same for a second look with
nothing new. Each entry is a hub-attested statement that adds one object.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from array import array
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from lightship.client.connection import Connection, Limits
from lightship.client.following import first_look
from lightship.client.kept_log import load
from lightship.client.log_source import LogSource
from lightship.client.verified import machine_clock as now
from lightship.client.verifying import pull_parts
from lightship.core import dsse
from lightship.core.agreement.chain import PAYLOAD_TYPE
from lightship.core.log import leaf, merkle, notes, statement, tiles
from lightship.core.log.statement import Add, Statement
from lightship.core.time import format_stamp, parse_added_after
from lightship.crypto.sign import new_signing_key, verify

AGREEMENT = "long"
COLLECTION = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa2"
ORIGIN = f"hub.test/c/{COLLECTION}"
BEGIN = 1_767_225_600_000_000
PAGE = 1_000


def body(number: int) -> bytes:
    """Return the canonical JSON of an indicator."""
    digest = hashlib.blake2b(b"%d" % number, digest_size=16).digest()
    return orjson.dumps(
        {
            "created": "2026-01-01T00:00:00.000Z",
            "id": f"indicator--{uuid.UUID(bytes=digest, version=4)}",
            "labels": ["malicious-activity"],
            "modified": "2026-01-01T00:00:00.000Z",
            "name": f"Command server {number}",
            "object_marking_refs": ["marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"],
            "pattern": f"[ipv4-addr:value = '198.51.{number >> 8 & 255}.{number & 255}']",
            "pattern_type": "stix",
            "spec_version": "2.1",
            "type": "indicator",
            "valid_from": "2026-01-01T00:00:00Z",
        },
        option=orjson.OPT_SORT_KEYS,
    )


def stamp(number: int) -> int:
    """Return when object `number` was added, microseconds."""
    return BEGIN + (number + 1) * 1_000


def make(folder: Path, count: int) -> None:
    """Write a log of `count` objects: entries and where each ends, hashes by level, checkpoint, agreement."""
    key = new_signing_key()
    content = {
        "id": AGREEMENT,
        "collections": {"long": {"id": COLLECTION, "publishers": ["one"], "title": "Long"}},
        "members": {"one": {"name": "One"}},
        "prev": "",
        "root": {
            "distinct_parties": True,
            "keys": {key.keyid: {"alg": "ed25519", "key": b64encode(key.public).decode(), "party": "hub"}},
            "threshold": 1,
        },
        "version": 1,
    }
    payload = dsse.canonical(content)
    signed = dsse.Signature(key.keyid, key.sign(dsse.pae(PAYLOAD_TYPE, payload)))
    (folder / "agreement").write_bytes(dsse.encode(dsse.Envelope(PAYLOAD_TYPE, payload, (signed,))))
    hub = hashlib.sha256(payload).hexdigest()
    ends, levels = array("Q"), {0: bytearray(), 8: bytearray(), 16: bytearray(), 24: bytearray()}
    frontier, at = merkle.Frontier(), 0
    with (folder / "entries").open("wb") as file:
        for number in range(-1, count):
            if number < 0:
                entry = leaf.agreement_change(1, BEGIN, hub)
            else:
                one = body(number)
                digest_of = hashlib.sha256(one).hexdigest()
                add = Add(orjson.loads(one)["id"], "2026-01-01T00:00:00.000Z", digest_of)
                made = Statement(COLLECTION, hub, add=(add,))
                entry = leaf.publication(1, stamp(number), "one", statement.attested(made.payload()))
            file.write(len(entry).to_bytes(2, "big") + entry)
            at += len(entry) + 2
            ends.append(at)
            digest = merkle.leaf_hash(entry)
            levels[0] += digest
            frontier, nodes = merkle.append(frontier, (digest,))
            for level, _, node in nodes:
                levels[level] += node
    (folder / "ends").write_bytes(ends.tobytes())
    for level, data in levels.items():
        (folder / f"level-{level}").write_bytes(data)
    text = notes.Checkpoint(ORIGIN, frontier.size, frontier.root).to_text()
    line = notes.sign_note(text, notes.NoteKey(ORIGIN, key.public), key.sign)
    (folder / "checkpoint").write_bytes(notes.format_note(text, [line]))


def serve(folder: Path) -> None:
    """Serve a log that was made; print the port first."""
    with (folder / "entries").open("rb") as file:
        entries = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    ends = array("Q", (folder / "ends").read_bytes())
    levels = {level: (folder / f"level-{level * 8}").read_bytes() for level in range(4)}
    count = len(ends) - 1

    def page(query: dict[str, list[str]]) -> tuple[bytes, dict[str, str]]:
        after = int(query["next"][0]) if "next" in query else -1
        if "added_after" in query and after < 0:
            after = (parse_added_after(query["added_after"][0]) - BEGIN) // 1_000 - 1
        numbers = range(max(after + 1, 0), min(after + 1 + PAGE, count))
        if not numbers:
            return b'{"more":false}', {}
        more = numbers[-1] + 1 < count
        head = b'{"more":%s,' % (b"true" if more else b"false")
        head += b'"next":"%d",' % numbers[-1] if more else b""
        dates = {"X-TAXII-Date-Added-Last": format_stamp(stamp(numbers[-1]))}
        return head + b'"objects":[' + b",".join(map(body, numbers)) + b"]}", dates

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            headers: dict[str, str] = {}
            name = parts.path.removeprefix(f"/log/{COLLECTION}/")
            found: bytes | None = None
            if name == "checkpoint":
                found = (folder / "checkpoint").read_bytes()
            elif name.startswith("tile/"):
                tile = tiles.parse_path(name.removeprefix("tile/"))
                if tile.level < 0:
                    start = ends[tile.first - 1] if tile.first else 0
                    found = entries[start : ends[tile.first + tile.width - 1]]
                else:
                    found = levels[tile.level][tile.first * 32 : (tile.first + tile.width) * 32]
            elif name == f"/agreements/{AGREEMENT}/1.json":
                found = (folder / "agreement").read_bytes()
            elif name.endswith("/objects/"):
                found, headers = page(parse_qs(parts.query))
            self.send_response(200 if found is not None else 404)
            self.send_header("Content-Length", str(len(found or b"")))
            for one, value in headers.items():
                self.send_header(one, value)
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    print(server.server_port, flush=True)
    server.serve_forever()


def look(port: int, folder: Path) -> dict[str, Any]:
    """Pull and verify; return what it cost."""
    usage, began, cpu = resource.RUSAGE_SELF, time.monotonic(), time.process_time()
    requests = delivered = parts = 0
    with Connection(f"http://127.0.0.1:{port}", "u", "s", limits=Limits(attempts=1)) as connection:
        fetch = connection.fetch

        def counted(*arguments: Any, **more: Any) -> Any:
            nonlocal requests
            requests += 1
            return fetch(*arguments, **more)

        connection.fetch = counted  # type: ignore[method-assign]  # only to count
        source, state = LogSource(connection, AGREEMENT, COLLECTION), folder / "state"
        kept = load(state, verify, now()) or first_look(source, verify, path=state)
        kept.check(now())
        log_s = 0.0
        with kept, (folder / "out").open("ab") as out:
            path = f"/{AGREEMENT}/collections/{COLLECTION}/"
            for part in pull_parts(connection, path, source, kept, now, strict=False):
                log_s = log_s or time.process_time() - cpu
                assert part.report.ok, part.report
                out.writelines(one + b"\n" for one in part.bodies())
                delivered, parts = delivered + len(part.report.delivered), parts + 1
                part.keep()
            size = kept.log.size
    return {
        "entries": size,
        "objects": delivered,
        "requests": requests,
        "parts": parts,
        "cpu_s": round(time.process_time() - cpu, 3),
        "cpu_s_to_first_part": round(log_s, 3),
        "seconds": round(time.monotonic() - began, 3),
        "peak_mb": resource.getrusage(usage).ru_maxrss // 1024,
        "state_mb": round((folder / "state").stat().st_size / 1e6, 1),
    }


def main(count: int) -> None:
    """Make, serve, look twice; each in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, count)
        command = [sys.executable, "-m", "benchmarks.long_log"]
        with subprocess.Popen([*command, "serve", name], stdout=subprocess.PIPE, text=True) as hub:
            try:
                assert hub.stdout is not None
                port = hub.stdout.readline().strip()
                for _ in range(2):
                    subprocess.run([*command, "look", port, name], check=True, env=dict(os.environ))
            finally:
                hub.kill()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", where]:
            serve(Path(where))
        case ["look", number, where]:
            print(json.dumps(look(int(number), Path(where))), flush=True)
        case [number]:
            main(int(number))
