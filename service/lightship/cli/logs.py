"""The log of a serving process: one line an event on stderr, as key=value or as JSON.

A thread of its own writes, so a request never waits for whoever reads the log; if nobody reads, the oldest
lines are dropped and their number is said. Lines hold ids, names of routes and rules, and times: no secret,
no query and no content of objects. Of an unforeseen exception its type and place are written; its message,
which may quote what was posted, only at the level debug.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import re
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from lightship.web.message import Request

MOST_LINES = 20_000
"""Lines that wait for the writing thread at most."""
GATHER_S = 0.05
"""The thread writes what came within this time at once."""
MAX_TEXT = 2_000
_BARE = re.compile(r"[\w./:@+-]+", re.ASCII)
_PLACE = re.compile(r".*/(?=(?:lightship|lightship_feeds|site-packages)/)")
Fields = Mapping[str, Any]


def as_json(fields: Fields) -> bytes:
    """Return one line of JSON."""
    return orjson.dumps(fields, default=str) + b"\n"


def as_text(fields: Fields) -> bytes:
    """Return one line of key=value; a value that is no plain word is a JSON string."""
    return (" ".join(f"{key}={_word(value)}" for key, value in fields.items()) + "\n").encode("ascii")


def _word(value: Any) -> str:
    if value.__class__ is int or value.__class__ is float:
        return repr(value)
    if value == "":
        return '""'
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    # Ids, slugs and most words are letters, digits and hyphens: two looks by the interpreter, no regex.
    if text.isascii() and text.replace("-", "").isalnum():
        return text
    return text if _BARE.fullmatch(text) else json.dumps(text)


class LineLog(logging.Handler):
    """Writes lines to a file descriptor.

    Args:
        write: takes whole lines; called in the writing thread.
        form: makes a line of its fields.
        messages: the messages of exceptions are written too.
    """

    def __init__(
        self, write: Callable[[bytes], object], form: Callable[[Fields], bytes], *, messages: bool = False
    ) -> None:
        super().__init__()
        self._write = write
        self._form = form
        self._messages = messages
        self._lines: deque[Fields | tuple[Any, ...]] = deque(maxlen=MOST_LINES)
        self._dropped = 0
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._loop, name="lightship-log", daemon=True)
        self._thread.start()

    def request(self, request: Request, status: int, micros: int) -> None:
        """Write the line of a request."""
        self._put(
            (
                *(time.time(), request.id, request.method, request.act, status, micros),
                *(request.agr, request.who, request.cred),
            )
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of a log record, with the fields that came with it under `fields`."""
        try:
            fields: dict[str, Any] = {
                "time": _time(record.created),
                "level": record.levelname.lower(),
                "logger": record.name,
                "event": record.getMessage()[:MAX_TEXT],
                **getattr(record, "fields", {}),
            }
            if record.exc_info and record.exc_info[1] is not None:
                fields |= self._exception(record.exc_info[1])
            self._put(fields)
        except Exception:  # as the standard handlers do: a log never breaks what it tells about
            self.handleError(record)

    def close(self) -> None:
        """Write what waits, then end. May be called twice."""
        self._ended = True
        self._wake.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(5)
        super().close()

    def _put(self, line: Fields | tuple[Any, ...]) -> None:
        if len(self._lines) == MOST_LINES:
            self._dropped += 1
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def _loop(self) -> None:
        while not self._ended:
            self._wake.wait()
            if not self._ended:
                time.sleep(GATHER_S)
            self._wake.clear()
            self._flush()
        self._flush()

    def _flush(self) -> None:
        pieces = []
        with contextlib.suppress(IndexError):
            while True:
                line = self._lines.popleft()
                pieces.append(self._of_request(line) if isinstance(line, tuple) else self._form(line))
        dropped, self._dropped = self._dropped, 0
        if dropped:
            told = {"time": _time(time.time()), "level": "warning", "logger": "lightship"}
            pieces.append(self._form({**told, "event": "lines of this log were dropped", "lines": dropped}))
        if pieces:
            with contextlib.suppress(OSError):  # nobody can be told
                self._write(b"".join(pieces))

    def _of_request(self, line: tuple[Any, ...]) -> bytes:
        return _request_text(line) if self._form is as_text else self._form(_request_fields(line))

    def _exception(self, error: BaseException) -> dict[str, Any]:
        chain = [error]
        while len(chain) < 5 and (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
            chain.append(cause)
        frames = [at for each in reversed(chain) for at in traceback.extract_tb(each.__traceback__)]
        told: dict[str, Any] = {
            "exception": " < ".join(type(each).__qualname__ for each in chain),
            "trace": " > ".join(
                f"{_PLACE.sub('', at.filename)}:{at.lineno} {at.name}" for at in frames[-12:]
            ),
        }
        return told | ({"message": str(error)[:MAX_TEXT]} if self._messages else {})


def _request_fields(line: tuple[Any, ...]) -> Fields:
    at, request_id, method, route, status, micros, agreement, member, credential = line
    return {
        "time": _time(at),
        "level": "info",
        "logger": "lightship.request",
        "event": "request",
        "request": request_id.hex,
        "method": method,
        "route": route,
        "status": status,
        "ms": round(micros / 1000, 1),
        "agreement": agreement,
        "member": member,
        "credential": credential,
    }


def _request_text(line: tuple[Any, ...]) -> bytes:
    """Return `as_text(_request_fields(line))` with less work: there is one for every request."""
    at, request_id, method, route, status, micros, agreement, member, credential = line
    return (
        f"time={_time(at)} level=info logger=lightship.request event=request request={request_id.hex}"
        f"{_asked(method, route)} status={status} ms={micros / 1000:.1f}"
        f"{_asker(agreement, member, credential)}"
    ).encode("ascii")


@lru_cache(1_000)
def _asked(method: str, route: str) -> str:
    """Return the fields of what was asked for: the same few stand in all lines."""
    return f" method={_word(method)} route={_word(route)}"


@lru_cache(1_000)
def _asker(agreement: str, member: str, credential: str) -> str:
    """Return the fields of who asked, and the end of the line."""
    return f" agreement={_word(agreement)} member={_word(member)} credential={_word(credential)}\n"


def _time(seconds: float) -> str:
    return f"{_second(int(seconds))}.{int(seconds % 1 * 1000):03}Z"


@lru_cache(2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


def start_log(level: str, form: str) -> LineLog:
    """Send the log of this process to stderr, from `level` on; what waits is written when it ends.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        form: `text` or `json`.
    """
    log = LineLog(_to_stderr, as_json if form == "json" else as_text, messages=level == "debug")
    root = logging.getLogger()
    root.handlers[:] = [log]
    root.setLevel(level.upper())
    if level != "debug":
        logging.getLogger("uvicorn").setLevel(logging.ERROR)  # it speaks of each malformed request
    atexit.register(log.close)
    return log


def _to_stderr(lines: bytes) -> None:
    while lines:
        lines = lines[os.write(2, lines) :]
