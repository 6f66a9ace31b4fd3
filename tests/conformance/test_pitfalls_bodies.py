"""Where servers go wrong, 9: hostile bodies. Each is a TAXII error or a named failure; what is good is kept.

Each case asserts the same four things: the answer says what to do, nothing that was accepted is lost,
nothing is half stored, and the collection can be read afterwards, value for value what was accepted.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from probehub import ProbeHub
from stixsamples import CREATED, address, indicator, new_id

DEEP = 100_000

WHOLE: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "blank": (b" \n", 400),
    "cut off": (b'{"objects":[{"type":"indicator"', 400),
    "two values": (b'{"objects":[]}{}', 400),
    "trailing comma": (b'{"objects":[],}', 400),
    "single quotes": (b"{'objects':[]}", 400),
    "comment": (b'{"objects":[] /* x */}', 400),
    "byte order mark": (b"\xef\xbb\xbf" + b'{"objects":[]}', 400),
    "utf-16": ('{"objects":[]}'.encode("utf-16"), 400),
    "utf-16 without mark": ('{"objects":[]}'.encode("utf-16-le"), 400),
    "utf-32": ('{"objects":[]}'.encode("utf-32"), 400),
    "latin-1": ('{"objects":["é"]}'.encode("latin-1"), 400),
    "overlong utf-8": (b'{"objects":["\xc0\xaf"]}', 400),
    "surrogate in utf-8": (b'{"objects":["\xed\xa0\x80"]}', 400),
    "raw control character": (b'{"objects":["\x01"]}', 400),
    "raw NUL": (b'{"objects":[]}\x00', 400),
    "gzip without saying so": (gzip.compress(b'{"objects":[]}'), 400),
    "xml": (b"<?xml version='1.0'?><a/>", 400),
    "a list": (b"[]", 422),
    "a string": (b'"x"', 422),
    "a number": (b"1", 422),
    "null": (b"null", 422),
    "objects is no list": (b'{"objects":{"a":1}}', 422),
    "objects is null": (b'{"objects":null}', 422),
    "objects is empty": (b'{"objects":[]}', 422),
    "no objects": (b"{}", 422),
    "lists all the way down": (b"[" * DEEP, 400),
    "lists all the way down and up": (b"[" * DEEP + b"]" * DEEP, 400),
    "objects all the way down": (b'{"a":' * (DEEP // 2) + b"1" + b"}" * (DEEP // 2), 400),
}
"""Bodies that are refused whole. The very deep ones may be 400 or 422."""


def good() -> dict[str, Any]:
    return indicator(name="good")


def hostile(**members: str) -> str:
    """Return an indicator as text, with members given as raw JSON text."""
    base = {name: json.dumps(value) for name, value in indicator(name="hostile").items()}
    return "{" + ",".join(f'"{name}":{text}' for name, text in {**base, **members}.items()) + "}"


def envelope(*objects: str) -> bytes:
    """Return an envelope of objects given as JSON text."""
    return ('{"objects":[' + ",".join(objects) + "]}").encode()


ITEMS: dict[str, str] = {
    "NaN": hostile(x_n="NaN"),
    "Infinity": hostile(x_n="Infinity"),
    "minus Infinity": hostile(x_n="-Infinity"),
    "a number beyond double": hostile(x_n="1e400"),
    "an integer beyond 2^53": hostile(x_n="9007199254740993"),
    "an integer of 5000 digits": hostile(x_n="1" * 5000),
    "a lone surrogate": hostile(description=r'"\ud800"'),
    "a lone surrogate in a name": hostile(**{r"x_\ud800": "1"}),
    "a duplicate member": hostile()[:-1] + ',"name":"again"}',
    "a duplicate id": hostile()[:-1] + ',"id":"indicator--a932fcc6-e032-4f6c-826f-cb970a5a1ade"}',
    "a duplicate deep inside": hostile(x_o='{"a":{"b":1,"b":2}}'),
    "nesting of 65": hostile(x_o="[" * 65 + "]" * 65),
    "nesting of 64 below the object": hostile(x_o="[" * 64 + "]" * 64),
    "nesting of 500": hostile(x_o='{"a":' * 500 + "1" + "}" * 500),
    "a number as object": "7",
    "null as object": "null",
    "a list as object": "[]",
    "a bundle as object": json.dumps({"type": "bundle", "id": new_id("bundle"), "objects": []}),
    "an empty object": "{}",
    "id is null": hostile(id="null"),
    "id is a number": hostile(id="1"),
    "id of another type": hostile(id=json.dumps(new_id("malware"))),
    "id without uuid": hostile(id='"indicator--x"'),
    "id in capitals": hostile(id=json.dumps(new_id("indicator").upper())),
    "id with NUL": hostile(id=r'"indicator--a932fcc6-e032-4f6c-826f-cb970a5a1ad\u0000"'),
    "id very long": hostile(id=json.dumps("indicator--" + "a" * 100_000)),
    "type is a list": hostile(type='["indicator"]'),
    "spec_version 9": hostile(spec_version='"9.9"'),
    "spec_version a number": hostile(spec_version="2.1"),
    "modified before created": hostile(modified='"2020-01-01T00:00:00.000Z"'),
    "modified missing": hostile().replace(f'"modified":"{CREATED}",', ""),
    "modified without Z": hostile(modified='"2026-02-01T00:00:00.000"'),
    "modified with an offset": hostile(modified='"2026-02-01T00:00:00.000+00:00"'),
    "modified a day that is not": hostile(modified='"2026-02-30T00:00:00.000Z"'),
    "modified a number": hostile(modified="1767600000"),
    "modified in 2098": hostile(modified='"2098-01-01T00:00:00.000Z"'),
    "created in 2098": hostile(created='"2098-01-01T00:00:00.000Z"', modified='"2098-01-01T00:00:00.000Z"'),
    "an unfinished pattern": hostile(pattern='"[ipv4-addr:value = "'),
    "confidence beyond 100": hostile(confidence="101"),
    "an empty list": hostile(labels="[]"),
    "a reference that is none": hostile(created_by_ref='"me"'),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_body_that_is_no_envelope_is_refused_whole(hub: ProbeHub, name: str) -> None:
    body, status = WHOLE[name]
    kept = good()
    hub.lgb.publish(kept)
    statuses = (400, 422) if len(body) >= DEEP else (status,)
    hub.lgb.ask("POST", hub.lgb.at("objects/"), headers=CONTENT, body=body).advice(*statuses)
    assert hub.lax.objects().objects == [kept]


CONTENT = {"Content-Type": "application/taxii+json;version=2.1"}


@pytest.mark.parametrize("name", ITEMS)
def test_a_hostile_object_fails_alone_between_two_good_ones(hub: ProbeHub, name: str) -> None:
    before, one, two = good(), good(), good()
    hub.lgb.publish(before)
    status = hub.lgb.send(envelope(json.dumps(one), ITEMS[name], json.dumps(two))).ok().json
    assert (status["total_count"], status["success_count"], status["failure_count"]) == (3, 2, 1)
    (failure,) = status["failures"]
    assert failure["message"].strip()
    assert [entry["id"] for entry in status["successes"]] == [one["id"], two["id"]]
    assert hub.lax.objects().objects == [before, one, two]
    assert len(hub.lax.manifest({"match[version]": "all"}).objects) == 3
    if failure["id"].startswith("unknown--"):
        assert failure["message"].startswith("object at position 1")


@pytest.mark.parametrize(
    "posted",
    [
        indicator(name="NUL inside: \u0000."),
        indicator(name="\u0001\u001f\u007f\u0080\u2028\ufeff\uffff"),
        indicator(name="é e\u0301 — not normalised"),
        indicator(x_names={"ключ": "a name beyond ASCII", "\U0001f6a2": 1, "é": 2, "e\u0301": 3, "": 4}),
        indicator(description="x" * 200_000),
        indicator(x_deep=json.loads("[" * 62 + "1" + "]" * 62)),
        indicator(x_floats=[0.1, 1e-7, 1e21, -0.0, 5e-324, 1.7976931348623157e308]),
        indicator(modified="2026-01-05T08:00:00Z"),
        indicator(modified="2026-01-05T08:00:00.123456789Z"),
        address("192.0.2.200"),
    ],
    ids=[
        "nul",
        "controls",
        "combining",
        "names",
        "long",
        "deep",
        "floats",
        "no fraction",
        "nine digits",
        "observable",
    ],
)
def test_odd_but_valid_objects_come_back_as_sent(hub: ProbeHub, posted: dict[str, Any]) -> None:
    kept = good()
    hub.lgb.publish(kept)
    hub.lgb.publish(posted)
    assert hub.lax.objects().objects == [kept, posted]
    assert len(hub.lax.manifest().objects) == 2
    assert hub.lax.object(posted["id"], {"match[version]": "all"}).objects == [posted]
    assert hub.lax.versions(posted["id"]).ok().json["versions"]


def test_a_gzip_bomb_is_never_unpacked_beyond_the_limit(hub: ProbeHub) -> None:
    bomb = gzip.compress(b" " * 50_000_000, 9)
    assert len(bomb) < hub.max_content_length
    hub.lgb.send(bomb, Content_Encoding="gzip").advice(413)
    many = gzip.compress(b"{}") * 200
    hub.lgb.send(many, Content_Encoding="gzip").advice(400)
    cut = gzip.compress(b'{"objects":[]}')[:-9]
    hub.lgb.send(cut, Content_Encoding="gzip").advice(400)
    assert hub.lax.objects().objects == []


def test_a_body_without_length_is_cut_at_the_limit(hub: ProbeHub) -> None:
    piece = b" " * 64_000
    count = hub.max_content_length // len(piece) + 10
    hub.lgb.send([piece] * count).advice(413)
    assert hub.lax.objects().objects == []


def test_a_body_that_announces_too_much_is_refused_unread(hub: ProbeHub) -> None:
    hub.lgb.send(b"{}", Content_Length=str(10**12)).advice(413)


def test_many_hostile_objects_in_one_envelope_are_each_named(hub: ProbeHub) -> None:
    kept = good()
    texts = [json.dumps(kept), *ITEMS.values()]
    status = hub.lgb.send(envelope(*texts)).ok().json
    assert status["success_count"] == 1
    assert status["failure_count"] == len(status["failures"]) == len(ITEMS)
    assert hub.lax.objects().objects == [kept]


def test_2098_is_refused_with_a_message_about_the_future(hub: ProbeHub) -> None:
    (failure,) = hub.lgb.post(indicator(modified="2098-01-01T00:00:00.000Z")).json["failures"]
    assert "future" in failure["message"]
