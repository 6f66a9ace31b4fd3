"""Signed statements from the command line: through the outbox of this machine's key, each proved logged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lightship.cli import exits
from lightship.cli.local import Time, wall_clock
from lightship.cli.output import named, print_json, say
from lightship.cli.remote import client_of
from lightship.core.errors import LightshipError
from lightship.core.time import Micros, format_stamp

if TYPE_CHECKING:
    from lightship.client.box import Box
    from lightship.client.outbox import Sent
    from lightship.client.signing import SignedPublisher

SHOWN = 20
"""Objects of a refused statement that are named; JSON has all of them."""

F = TypeVar("F", bound=Callable[..., Any])


def signing_options(function: F) -> F:
    """Add what `publish` and `withdraw` take to sign: `--sign`, `--key-file`, `--at`."""
    sign = click.option("--sign", is_flag=True, help="Sign with this machine's key, through its outbox.")
    key_file = click.option(
        "--key-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="With --sign: the key in this file; else the one of `lightship keys generate`.",
    )
    at = click.option("--at", type=Time(), help="With --sign: keep it here, unsigned, until then.")
    return sign(key_file(at(function)))


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be said in a collection: objects (JSON texts) in, `ID[@VERSION]` out; neither: what waits.

    `at` is the moment before which it is not sent, microseconds, 0 for at once.
    """

    collection: str
    key_file: Path | None
    objects: Iterable[bytes] = ()
    withdraw: Sequence[str] = ()
    reason: str = "publisher"
    at: Micros = Micros(0)


def publish_signed(order: Order, profile_name: str, *, as_json: bool) -> int:
    """Put an order into the outbox, send what may go now, tell what came of it; return the exit code.

    Raises:
        Whatever the hub or the network says: what was put in stays in the outbox, and goes next time; it is
        told before, as what was answered is.
    """
    from lightship.cli.keys import default_key
    from lightship.client import config_dir
    from lightship.client.publish_key import load
    from lightship.client.signing import SignedPublisher
    from lightship.core.collection import WithdrawReason

    key = load(order.key_file or default_key())
    objects = list(order.objects)
    with client_of(profile_name) as client:
        outboxes = config_dir(os.environ) / "outbox"
        with SignedPublisher(client, order.collection, key, outboxes, wall_clock) as desk:
            gone = desk.named(order.withdraw, WithdrawReason(order.reason))
            numbers = desk.put(objects, withdraw=gone, at=order.at)
            if gone and len(numbers) > 1:
                say(f"{len(numbers)} statements: what is withdrawn leaves first, not at once with the rest")
            done, unanswered = _send(desk)
    if unanswered is None:
        return _tell(order.collection, done, desk, as_json=as_json)
    kept = _kept(desk.outbox, order.collection)
    if done or kept:
        _tell(order.collection, done, desk, as_json=as_json)
    unanswered.todo = ". ".join(part for part in (kept, unanswered.todo) if part)
    raise unanswered


def _kept(outbox: Box, target: str) -> str:
    """Say how much waits in an outbox and when it leaves; empty if nothing waits."""
    count = sum(len(one.add) + len(one.withdraw) for one in outbox.entries() if one.state != "refused")
    waits = "1 object waits" if count == 1 else f"{count} objects wait"
    next_ = f"what waits leaves in order with the next `lightship publish --to {target} --sign`"
    return f"Kept: {waits} in the outbox; {next_}. See `lightship outbox list`" if count else ""


def _send(desk: SignedPublisher) -> tuple[list[Sent], LightshipError | None]:
    """Send what may go; return what was answered, and why no more was, if the hub stopped answering."""
    done: list[Sent] = []
    try:
        for one in desk.send():
            done.append(one)  # noqa: PERF402 -- what came before an error counts
    except LightshipError as error:
        if exits.code_of(error) != exits.UNREACHABLE:
            raise
        return done, error
    return done, None


def _tell(target: str, done: list[Sent], desk: SignedPublisher, *, as_json: bool) -> int:
    from lightship.client.outbox import Proof, Refusal

    proved = [one for one in done if isinstance(one.answer, Proof)]
    refused = [(one, one.answer) for one in done if isinstance(one.answer, Refusal)]
    waiting = desk.outbox.waiting()
    if as_json:
        print_json(
            {
                "collection": target,
                "logged": [_logged(one) for one in proved],
                "refused": [
                    {
                        "statement": one.number,
                        "why": answer.why,
                        "failures": named(answer.failures),
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
            say(f"kept in {desk.outbox.refused(one.number)}; see `lightship outbox list`")
        for one in proved:
            said = _logged(one)
            say(f"statement {one.seq} of the key is entry {said['entry']} of the log")
        total = sum(one.objects for one in proved)
        left = sum(one.withdrawn for one in proved)
        click.echo(
            f"{target}: {total} signed and proved logged{f', {left} withdrawn' if left else ''}, "
            f"statements refused: {len(refused)}, waiting: {len(waiting)}"
        )
    return exits.REFUSED if refused else exits.OK


def _logged(one: Sent) -> dict[str, Any]:
    return {
        "statement": one.number,
        "seq": one.seq,
        "objects": one.objects,
        "withdrawn": one.withdrawn,
        "entry": getattr(one.answer, "index", -1),
    }
