"""What commands share: a hub's directory opened, also while it serves; the time, and times that are typed."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightship.core.errors import MalformedRequest, StewardError
from lightship.core.time import Micros, instant_micros, parse_instant

if TYPE_CHECKING:
    from lightship.wiring import Hub

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@contextmanager
def hub_of(hub_dir: Path) -> Iterator[Hub]:
    """Yield the opened hub; at the end what was done reaches its access log, then it is closed."""
    from lightship.usecases.recover import recover
    from lightship.wiring import open_hub

    hub = open_hub(hub_dir)
    try:
        yield hub
        recover(hub.writer, hub.access)
    finally:
        hub.close()


def note(hub: Hub, act: str, agreement: str = "", asked: str = "") -> None:
    """Record what the steward is about to do, durable before anything of it is shown.

    Raises:
        Unavailable: the access log cannot be written.
    """
    from lightship.core.audit import HUB_SCOPE, STEWARD, AccessEvent

    event = AccessEvent(
        req=new_request(),
        at=hub.clock.now(),
        act=act,
        agr=agreement or HUB_SCOPE,
        cred=STEWARD,
        q=asked,
        why=STEWARD,
    )
    hub.access.record(event).result()


def data_of(hub_dir: Path) -> Path:
    """Return the data folder of a hub.

    Raises:
        StewardError: there is no hub in that directory.
    """
    if not (hub_dir / "data" / "hub.db").is_file():
        raise StewardError(
            f"There is no hub in {hub_dir}",
            why="data/hub.db is missing",
            todo="Make one with `lightship init`, or name the directory with --hub",
        )
    return hub_dir / "data"


def wall_clock() -> Micros:
    """Return the time now, in microseconds."""
    return Micros(time.time_ns() // 1000)


def new_request() -> str:
    """Return a fresh request id for an access event."""
    return uuid.uuid4().hex


def time_of(text: str) -> Micros:
    """Return a time given as `2026-04-01` or `2026-04-01T12:00:00Z`, UTC.

    Raises:
        MalformedRequest: it is neither.
    """
    try:
        return instant_micros(parse_instant(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text))
    except ValueError as error:
        raise MalformedRequest(
            f"{text!r} is no time", why=str(error), todo="Write it as 2026-04-01 or 2026-04-01T12:00:00Z"
        ) from None


class Time(click.ParamType[Micros]):
    """A time on the command line, in microseconds."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Micros:
        """Return the time, or end with a usage error."""
        try:
            return time_of(str(value))
        except MalformedRequest as error:
            self.fail(str(error), param, ctx)
