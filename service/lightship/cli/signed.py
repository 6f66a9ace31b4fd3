"""`lightship publish --sign`: through the outbox of this machine's key, each statement proved logged."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightship.cli import exits
from lightship.cli.output import print_json, say
from lightship.cli.remote import client_of
from lightship.cli.verified import now
from lightship.core.time import Micros, format_stamp

if TYPE_CHECKING:
    from lightship.client.outbox import Sent

STATE = "log"
SHOWN = 20
"""Objects of a refused statement that are named; JSON has all of them."""


def publish_signed(
    objects: Iterable[bytes],
    target_name: str,
    key_file: Path,
    at: Micros,
    profile_name: str,
    *,
    as_json: bool,
) -> int:
    """Put objects into the outbox, send what may go now, tell what came of it; return the exit code.

    Args:
        objects: JSON texts; none sends only what waits.
        at: they are not sent before this moment, microseconds; 0 for at once.

    Raises:
        Whatever the hub or the network says: what is under way stays in the outbox, and goes again next time.
    """
    from lightship.client import config_dir
    from lightship.client.drafts import draft_of, statements
    from lightship.client.kept_log import load, save
    from lightship.client.log_source import LogSource
    from lightship.client.outbox import Outbox
    from lightship.client.publish_key import load as load_key
    from lightship.client.submitting import submit
    from lightship.client.verifying import first_look, follow
    from lightship.crypto.sign import verify

    key = load_key(key_file)
    drafts = [draft_of(one) for one in objects]
    with client_of(profile_name) as client:
        target = client.collection(target_name)
        source = LogSource(client.connection, target.root, target.id)
        folder = config_dir(os.environ) / "outbox" / key.keyid / target.id
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = load(folder / STATE, verify) or first_look(source, verify)
        follow(source, kept.log, now())
        outbox = Outbox(folder, key, target.id, kept.log.chain.hub)
        for some, gone in statements(drafts):
            outbox.put(some, gone, at)
        done = list(outbox.send(lambda body, one: submit(client.connection, kept.log, body, one), now))
        save(folder / STATE, kept)
    return _tell(target_name, done, outbox.waiting(), as_json=as_json)


def _tell(target: str, done: list[Sent], waiting: list[tuple[int, Micros]], *, as_json: bool) -> int:
    from lightship.client.outbox import Proof, Refusal

    proved = [one for one in done if isinstance(one.answer, Proof)]
    refused = [(one, one.answer) for one in done if isinstance(one.answer, Refusal)]
    if as_json:
        print_json(
            {
                "collection": target,
                "logged": [_logged(one) for one in proved],
                "refused": [
                    {
                        "statement": one.number,
                        "why": answer.why,
                        "failures": [{"id": i, "version": v, "message": m} for i, v, m in answer.failures],
                    }
                    for one, answer in refused
                ],
                "waiting": [
                    {"statement": number, "until": format_stamp(until) if until else ""}
                    for number, until in waiting
                ],
            }
        )
    else:
        for one, answer in refused:
            say(f"statement {one.number}, refused: {answer.why}")
            for object_id, version, message in answer.failures[:SHOWN]:
                say(f"refused {object_id} {version}: {message}")
        total = sum(one.objects for one in proved)
        click.echo(
            f"{target}: {total} signed and proved logged, statements refused: {len(refused)}, "
            f"waiting: {len(waiting)}"
        )
    return exits.REFUSED if refused else exits.OK


def _logged(one: Sent) -> dict[str, Any]:
    return {
        "statement": one.number,
        "seq": one.seq,
        "objects": one.objects,
        "entry": getattr(one.answer, "index", -1),
    }
