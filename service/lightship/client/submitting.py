"""Sending a signed statement and proving the answer: leaf, inclusion proof, checkpoint, all verified.

`POST /log/{collection}/publish`. An answer without a proof that holds is no answer: the statement stays
under way.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any

from lightship.client.connection import Connection
from lightship.client.errors import NotTaxii
from lightship.client.outbox import Proof, Refusal
from lightship.core import dsse, errors
from lightship.core.log import leaf, merkle
from lightship.core.log.findings import LogRefused
from lightship.core.log.record import BadRecord
from lightship.core.log.trusted import TrustedLog

JSON = "application/json"
_ANSWERED = (errors.MalformedRequest, errors.Refused, errors.TooLarge, errors.Unprocessable)
"""Refusals of a whole statement; every other error leaves it under way."""


class NotProved(NotTaxii):
    """The hub says that it logged a statement, and its proof does not hold (exit code 4)."""

    code = "not-proved"


def submit(connection: Connection, log: TrustedLog, body: bytes, envelope: dsse.Envelope) -> Proof | Refusal:
    """Send a statement; return the verified proof that it was logged, or the hub's refusal.

    Args:
        connection: to the hub.
        log: with the agreement's chain; its checkpoint need not be new.
        body, envelope: what the outbox sends, and the statement in it.

    Raises:
        NotProved: the answer's proof does not hold.
        LightshipError: no answer, or one that says nothing about the statement.
    """
    try:
        answer = connection.post(f"/log/{log.collection}/publish", body, accept=JSON, content_type=JSON).value
    except _ANSWERED as error:
        return Refusal((), str(error), final=False)
    if not isinstance(answer, dict) or not isinstance(answer.get("status"), dict):
        raise NotTaxii("The answer to a statement cannot be read", todo="Give the hub's own address")
    if "leaf" not in answer:
        return Refusal(_failures(answer["status"]), "the statement was not taken")
    try:
        return _proved(answer, log, envelope)
    except (KeyError, TypeError, ValueError, AttributeError, Base64Error) as error:
        raise NotProved("The proof of a statement cannot be read", why=str(error)) from None
    except (LogRefused, BadRecord) as error:
        raise NotProved("The proof of a statement does not hold", why=str(error)) from None


def _proved(answer: dict[str, Any], log: TrustedLog, envelope: dsse.Envelope) -> Proof:
    entry, note = b64decode(answer["leaf"], validate=True), answer["checkpoint"].encode()
    path = tuple(b64decode(one, validate=True) for one in answer["proof"])
    index = answer["index"]
    if not isinstance(index, int):
        raise TypeError("its index is no number")
    checkpoint = log.open(note)
    if not merkle.verify_inclusion(merkle.leaf_hash(entry), index, checkpoint.size, path, checkpoint.root):
        raise NotProved(
            "The proof of a statement does not hold", why="its leaf is not under the checkpoint's root"
        )
    found = leaf.read(entry)
    if not isinstance(found, leaf.Publication) or found.envelope != envelope:
        raise NotProved("The proof of a statement does not hold", why="its leaf is of another statement")
    return Proof(index, entry, path, note)


def _failures(status: dict[str, Any]) -> tuple[tuple[str, str, str], ...]:
    listed = status.get("failures")
    return tuple(
        (str(one.get("id", "")), str(one.get("version", "")), str(one.get("message", "")))
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict)
    )
