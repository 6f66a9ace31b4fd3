"""Signed notes and checkpoints: published examples reproduced, everything that is none refused by line."""

from __future__ import annotations

from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from lightship.core.log.notes import (
    COSIGNATURE,
    BadNote,
    Checkpoint,
    NoteKey,
    NoteSignature,
    format_note,
    key_hash,
    parse_checkpoint,
    parse_key,
    parse_note,
    sign_note,
    verify_note,
)
from lightship.crypto.sign import new_signing_key, verify

C2SP = """\
Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore \
NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
"""  # the example of the C2SP signed-note text, which gives no key for it
COSIGNED = """\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa \
Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 \
jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""  # the example of the C2SP tlog-cosignature text
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SEED = b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
PETER_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
PETER_NOTE = (
    f"{PETER_TEXT}\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)  # the published test vector of golang.org/x/mod/sumdb/note (BSD 3-clause), key included
NO_SIZES = ("", "-1", "01", "1.0", "1 ", "٣", "²", str(1 << 63), "9" * 5000)
ORIGIN = "hub.example/audit/la-lb-mou/2026"


def test_the_c2sp_examples_are_read_and_written_byte_for_byte() -> None:
    for example in (C2SP, COSIGNED):
        note = parse_note(example.encode())
        assert format_note(note.text, note.signatures) == example.encode()
    note = parse_note(C2SP.encode())
    assert note.text.endswith("\n\ned è subito sera.\n")
    assert note.signatures[0].name == "quasimodo.example/salvatore"
    assert parse_checkpoint(parse_note(COSIGNED.encode()).text).size == 20852163


def test_the_published_note_of_go_is_reproduced_and_verified() -> None:
    key = parse_key(PETER)
    assert key.to_text() == PETER
    line = sign_note(PETER_TEXT, key, Ed25519PrivateKey.from_private_bytes(PETER_SEED).sign)
    assert format_note(PETER_TEXT, [line]) == PETER_NOTE.encode()
    note = parse_note(PETER_NOTE.encode())
    assert [held.key for held in verify_note(note, [key], verify)] == [key]
    bent = parse_note(PETER_NOTE.replace("answer", "Answer").encode())
    with pytest.raises(BadNote, match="signature 1 is not that of PeterNeumann"):
        verify_note(bent, [key], verify)


@given(st.integers(0, 96), st.integers(1, 97))
def test_no_part_of_a_key_is_a_key(begin: int, length: int) -> None:
    part = PETER[begin : begin + length]
    if part != PETER:
        with pytest.raises(BadNote):
            parse_key(part)


@pytest.mark.parametrize(
    "text",
    [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_a_key_of_another_length_kind_or_hash_is_none(text: str) -> None:
    with pytest.raises(BadNote):
        parse_key(text)


def test_signature_type_confusion() -> None:
    """One key in two roles: what it signed in one is never taken as signed in the other."""
    secret = new_signing_key()
    log, witness = NoteKey(ORIGIN, secret.public), NoteKey(ORIGIN, secret.public, COSIGNATURE)
    text = Checkpoint(ORIGIN, 5, b"\7" * 32).to_text()
    assert log.hash != witness.hash
    as_log, as_witness = (
        sign_note(text, log, secret.sign),
        sign_note(text, witness, secret.sign, 1_790_000_000),
    )
    (held,) = verify_note(parse_note(format_note(text, [as_witness])), [witness], verify)
    assert held.time == 1_790_000_000
    for line, key in ((as_log, witness), (as_witness, log)):
        with pytest.raises(BadNote, match="not signed by a known key"):
            verify_note(parse_note(format_note(text, [line])), [key], verify)
        relabelled = NoteSignature(line.name, key.hash, line.blob)
        with pytest.raises(BadNote, match="does not hold"):
            verify_note(parse_note(format_note(text, [relabelled])), [key], verify)
    stretched = NoteSignature(ORIGIN, witness.hash, (1).to_bytes(8, "big") + as_log.blob)
    with pytest.raises(BadNote, match="does not hold"):
        verify_note(parse_note(format_note(text, [stretched])), [witness], verify)


def test_lines_of_unknown_keys_are_ignored_and_one_bad_line_of_a_known_key_spoils_the_note() -> None:
    mine, other = new_signing_key(), new_signing_key()
    key = NoteKey("mine.example", mine.public)
    text = Checkpoint(ORIGIN, 1, b"\1" * 32).to_text()
    good = sign_note(text, key, mine.sign)
    alien = sign_note(text, NoteKey("mine.example", other.public), other.sign)
    assert verify_note(parse_note(format_note(text, [alien, good, good])), [key], verify)[0].key == key
    bad = NoteSignature(good.name, good.key, alien.blob)
    with pytest.raises(BadNote, match="signature 2"):
        verify_note(parse_note(format_note(text, [good, bad])), [key], verify)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "an empty line"),
        (b"text\n", "an empty line"),
        (b"\n\n", "an empty line"),
        (b"text\n\n", "an empty line"),
        (b"text\n\n\xe2\x80\x94 name AAAAAAA=", "an empty line"),
        (b"text\n\nname AAAAAAA=\n", "line 3"),
        (b"a\nb\n\n\xe2\x80\x94 name AAAAAAA=\n\xe2\x80\x94 name\n", "line 5"),
        (b"text\n\n\xe2\x80\x94 na+me AAAAAAA=\n", "line 3"),
        (b"text\n\n\xe2\x80\x94 na\xc2\xa0me AAAAAAA=\n", "line 3"),
        (b"text\n\n\xe2\x80\x94 name AAAAAA==\n", "line 3"),
        (b"text\n\n\xe2\x80\x94 name AAAAAAB=\n", "line 3"),
        (b"te\rxt\n\n\xe2\x80\x94 name AAAAAAA=\n", "control character"),
        (b"te\xffxt\n\n\xe2\x80\x94 name AAAAAAA=\n", "byte 2"),
        (b"text\n\n" + b"\xe2\x80\x94 name AAAAAAA=\n" * 65, "64 signatures"),
        (b"x" * 70_000, "65536"),
    ],
)
def test_what_is_no_note_is_refused_by_line(data: bytes, said: str) -> None:
    with pytest.raises(BadNote, match=said):
        parse_note(data)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "three lines"),
        ("a\n1\n", "three lines"),
        ("\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n", "line 1"),
        *((f"a\n{size}\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n", "line 2") for size in NO_SIZES),
        ("a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n", "line 3"),
        ("a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n", "line 3"),
        ("a\n1\nAAAA\n", "line 3"),
    ],
)
def test_what_is_no_checkpoint_is_refused_by_line(text: str, said: str) -> None:
    with pytest.raises(BadNote, match=said):
        parse_checkpoint(text)


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail_otherwise(data: bytes) -> None:
    try:
        note = parse_note(data)
    except BadNote:
        return
    assert format_note(note.text, note.signatures) == data


@given(st.integers(0, (1 << 63) - 1), st.binary(min_size=32, max_size=32))
def test_checkpoints_come_back(size: int, top: bytes) -> None:
    point = Checkpoint(ORIGIN, size, top)
    assert parse_checkpoint(point.to_text()) == point
    assert parse_checkpoint(point.to_text() + "extension\n") == point


def test_a_key_hash_is_that_of_the_text() -> None:
    key = parse_key(PETER)
    assert key_hash("PeterNeumann", 1, key.public).hex() == "c74f20a3"
