"""What is hidden answers like what does not exist, down to the bytes on the connection.

A real server and plain sockets: status line, order and spelling of header fields, body, and whether the
connection stays open. Aside from Date, the request's id and the receipt, which differ between any two
requests.
"""

from __future__ import annotations

import base64
import re
import socket
import uuid
from collections.abc import Iterator

import pytest

from hubkit import HubKit, Served, make_hub
from stixsamples import indicator

VARYING = re.compile(rb"^(date|x-request-id|audit-receipt): [^\r]*", re.MULTILINE | re.IGNORECASE)
ERROR_ID = re.compile(rb'"error_id":"[0-9a-f-]{36}"')
HELD = indicator()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A hub with two agreements; the members of `other-harbour` are strangers to the first one."""
    with make_hub(tmp_path_factory.mktemp("wire"), "sqlite", settings={"throttle_failures": 10**6}) as kit:
        kit.add_agreement("other-harbour")
        with kit.client("uslgb") as client:
            answer = client.post(kit.path("indicators", "objects/"), json={"objects": [HELD]})
            assert answer.json()["success_count"] == 1
        with kit.serve(tls=False) as hub:
            yield hub


def exchange(served: Served, request: bytes) -> bytes:
    """Send one request and return the bytes of its answer, without what belongs to this one alone."""
    found = bytearray()
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(request)
        while True:
            piece = connection.recv(65536)
            assert piece, "closed before the answer was whole"
            found += piece
            head, end, body = bytes(found).partition(b"\r\n\r\n")
            said = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            due = int(said[1]) if said and not request.startswith(b"HEAD") else 0
            if end and len(body) >= due:
                break
        connection.settimeout(0.02)
        try:
            found += connection.recv(65536)  # nothing may come after it
        except TimeoutError:
            found += b"<open>"
    return ERROR_ID.sub(b'"error_id":"*"', VARYING.sub(rb"\1: *", bytes(found)))


def request(
    kit: HubKit, method: str, path: str, who: str | None, body: bytes = b"", accept: str = ""
) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if who:
        name, secret = kit.credential(who)
        lines.append("Authorization: Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode())
    lines.append(f"Accept: {accept or 'application/taxii+json;version=2.1'}")
    if body:
        lines += ["Content-Type: application/taxii+json;version=2.1", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


PATHS = [
    *(
        "/{root}/",
        "/{root}/collections/",
        "/{root}/collections/{collection}/objects/",
        "/{root}/status/{status}/",
    ),
    *("/{root}/collections/indicators/manifest/", "/{root}/collections/{collection}/objects/{object}/"),
    *(
        "/why/{root}/indicators/",
        "/audience/{root}/indicators/",
        "/audit/{root}/",
        "/staged/{root}/indicators/",
    ),
    "/agreements/{root}/1.json",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("who", ["other-harbour:uslax", None])
def test_hidden_and_missing_are_the_same_bytes(
    served: Served, path: str, method: str, who: str | None
) -> None:
    kit = served.kit
    names = {"collection": kit.collection("indicators"), "object": HELD["id"], "status": str(uuid.uuid4())}
    body = b'{"objects":[]}' if method == "POST" else b""
    accept = "" if path.startswith("/{root}") else "application/json"
    hidden, missing = (
        exchange(served, request(kit, method, path.format(root=root, **names), who, body, accept))
        for root in (kit.agreement, "x" * len(kit.agreement))
    )
    assert hidden == missing
    assert hidden.startswith(b"HTTP/1.1 ")
    assert b"audit-receipt: *" in hidden.lower()
    assert (b"connection: close" in hidden) != hidden.endswith(b"<open>")
    assert hidden.split(b" ", 2)[1] in {b"204", b"401", b"404", b"405"}
