"""Properties of agreements: what is signed loads back, any altered byte is seen, no file crashes the form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance_samples import Hub, content, seal, text_for
from lightship.core import dsse
from lightship.core.agreement import Chain, lines, parse_toml
from lightship.core.agreement.form import check
from lightship.core.errors import BadFile, CallerError
from lightship.crypto.sign import new_signing_key, verify

KEY = new_signing_key()
GOOD = seal(dsse.canonical(content({"hub": KEY})), KEY)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_an_envelope_with_one_altered_byte_is_refused(position: int, mask: int) -> None:
    altered = bytearray(GOOD)
    altered[position] ^= mask
    chain = Chain("la-lb-mou", verify)
    with pytest.raises(CallerError):
        chain.append(bytes(altered))
    assert chain.last is None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_crash_the_envelope_reader(data: bytes) -> None:
    with pytest.raises(dsse.BadEnvelope):
        dsse.decode(data, payload_type="x")


LINES = text_for().splitlines()


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(LINES) - 1), st.sampled_from(["drop", "twice", "swap"])), max_size=4
    ),
    st.sampled_from(LINES),
)
def test_a_file_with_lines_lost_repeated_or_moved_is_read_or_named(
    edits: list[tuple[int, str]], extra: str
) -> None:
    text = list(LINES)
    for where, edit in edits:
        where %= len(text)
        if edit == "drop":
            del text[where]
        elif edit == "twice":
            text.insert(where, text[where])
        else:
            text[where], text[-1] = text[-1], text[where]
    joined = "\n".join([*text, extra])
    lines.index(joined)
    try:
        payload = parse_toml(joined, "a.toml")
    except BadFile as error:
        named = error
    else:
        assert not check(payload)
        return
    assert named.title
    assert named.path == "a.toml"


def paths(value: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(value, dict):
        return [at]
    return [at, *(path for key, held in value.items() for path in paths(held, (*at, key)))]


SAMPLE = parse_toml(text_for(), "a.toml")


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([path for path in paths(SAMPLE) if path]), JSON)
def test_any_value_at_any_key_is_taken_or_named_and_never_crashes(path: tuple[str, ...], value: Any) -> None:
    def put(held: Any, rest: tuple[str, ...]) -> Any:
        return {**held, rest[0]: put(held[rest[0]], rest[1:])} if rest else value

    for problem in check(put(SAMPLE, path)):
        assert problem.what


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co", "Zl", "Zp", "Cf"]), max_size=60))
def test_a_text_is_signed_and_served_to_the_character(purpose: str) -> None:
    if not purpose.isprintable() or not purpose.strip():
        return
    hub = Hub()
    quoted = purpose.replace("\\", "\\\\").replace('"', '\\"')
    hub.apply(hub.text().replace('"Two ports."', f'"{quoted}"'))
    assert hub.directory.view().agreements["la-lb-mou"].description == purpose
