"""The fuzz targets: modules beside this one, each with its share of the inputs and words to try."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from lightship.data import stix_schemas

CORPUS = Path(__file__).with_name("corpus")
Run = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Target:
    """A target. `share` of all inputs go to it, none over `longest` bytes; `words` are its dictionary."""

    name: str
    share: float
    longest: int
    words: Callable[[], list[str]]

    def opened(self) -> AbstractContextManager[Run]:
        """Give what takes one input after the other; its module is imported only now, instrumented or not."""
        made: AbstractContextManager[Run] = import_module(f"fuzz.{self.name}").opened()
        return made

    def seeds(self) -> Iterator[Path]:
        """Yield the kept inputs: examples, what widened the coverage, and what was once a finding."""
        yield from sorted((CORPUS / self.name).iterdir())


def _query_words() -> list[str]:
    names = [
        "match[id]=",
        "match[type]=",
        "match[version]=",
        "match[spec_version]=",
        "added_after=",
        "limit=",
    ]
    values = [
        "next=NEXT0",
        "2026-01-01T00:00:00Z",
        "first",
        "last",
        "all",
        "2.0",
        "2.1",
        "indicator",
        "%00",
        "&",
    ]
    places = ["objects ", "object ", "manifest ", "versions ", "delete "]
    return [*names, *values, *places, "indicator--00000000-0000-4000-8000-000000000001", ".000001", "malware"]


def _stix_words() -> list[str]:
    text = b"".join(stix_schemas().values()).decode()
    found = set(re.findall(r'"([a-z0-9_-]{3,40})"', text))
    return [
        *sorted(f'"{word}"' for word in found),
        '"2.0"',
        '"2.1"',
        "1e400",
        "\\ud800",
        "-0.0",
        "2026-01-01T00:00:00Z",
    ]


def _pattern_words() -> list[str]:
    marks = [
        "[",
        "]",
        "(",
        ")",
        "=",
        "!=",
        "<>",
        "<=",
        "'",
        "\\'",
        "h'",
        "b'",
        "t'",
        "[*]",
        ":",
        "/*",
        "*/",
        "//",
    ]
    words = "AND OR NOT FOLLOWEDBY LIKE MATCHES ISSUBSET ISSUPERSET IN EXISTS START STOP WITHIN SECONDS"
    return [
        *marks,
        *words.split(),
        "REPEATS",
        "TIMES",
        "true",
        "file:size",
        "hashes.MD5",
        "t'2026-01-01T00:00:00Z'",
        "1.5",
    ]


def _wire_words() -> list[str]:
    lines = [
        "GET ",
        "POST ",
        "DELETE ",
        "HEAD ",
        "OPTIONS ",
        " HTTP/1.1\r\n",
        " HTTP/1.0\r\n",
        "\r\n\r\n",
        "CUT",
    ]
    names = [
        "Host: localhost:9443",
        "Authorization: Bearer SECRET",
        "Accept: ",
        "Accept-Encoding: gzip",
        "X-API-Key: ",
    ]
    body = [
        "Content-Length: ",
        "Transfer-Encoding: chunked",
        "Content-Encoding: gzip",
        "Expect: 100-continue",
    ]
    rest = [
        "Content-Type: application/taxii+json;version=2.1",
        "If-None-Match: ",
        "Connection: close",
        "?next=NEXT",
    ]
    paths = [
        "/taxii2/",
        "/pedro/collections/indicators/",
        "objects/",
        "manifest/",
        "versions/",
        "status/",
        "/openapi.json",
    ]
    return [*lines, *names, *body, *rest, *paths, '{"objects":[', "]}", "q=0", "%2f", "application/stix+json"]


TARGETS = {
    one.name: one
    for one in (
        Target("query", 0.30, 400, _query_words),
        Target("patterns", 0.25, 400, _pattern_words),
        Target("ingest", 0.30, 8_192, _stix_words),
        Target("wire", 0.15, 4_096, _wire_words),
    )
}
