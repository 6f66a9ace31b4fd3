"""`lightship serve --workers N`: processes that serve one hub on one socket, started again when one dies.

The supervisor opens nothing of the hub: it holds the listening socket, which all workers accept from, and
gives the figures of all of them. Each worker is a `lightship serve` of its own over the same files, which
order their writers by locks; so what one acknowledged, every other sees. A worker that dies takes its own
requests with it and no other's. Limits of connections, of failed logins and of floods hold for each worker by
itself.
"""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType

from lightship.api.merged import counted, merge
from lightship.cli.worker import FIGURES, LENGTH, READY

_log = logging.getLogger("lightship")
LOOK_S = 0.05
ASK_S = 5.0
"""Seconds that a worker has for its figures; of one that does not give them its last ones are taken."""
SOON_S = 10.0
"""A worker that ends sooner than this after its start has failed to start."""
FAILURES = 5
"""So many failed starts one after the other, with no worker that serves, and the supervisor gives up."""
AGAIN_S = 5.0
"""Seconds until it is tried again where others serve meanwhile."""
KILL_AFTER_S = 15.0
"""Seconds beyond the time for requests under way after which a worker that does not end is killed."""


@dataclass(eq=False)
class Worker:
    """One process and the supervisor's end of its socket."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    began: float
    ready: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    came: bytearray = field(default_factory=bytearray)
    asked: int = 0
    told: str = ""

    def look(self) -> None:
        """Note whether it has said that it is ready."""
        if self.ready:
            return
        with self.lock:
            self.control.setblocking(False)
            with suppress(BlockingIOError, ConnectionError):
                self.ready = self.control.recv(1) == READY

    def figures(self) -> str:
        """Return its figures. What it gave too late when it was asked before is passed over.

        Raises:
            OSError: it did not give them in time.
        """
        with self.lock:
            self.control.settimeout(ASK_S)
            self.control.sendall(FIGURES)
            self.asked += 1
            while True:
                end = LENGTH + int.from_bytes(self._at_least(LENGTH), "big")
                text = self._at_least(end, LENGTH)
                del self.came[:end]
                self.asked -= 1
                if not self.asked:
                    return text.decode()

    def _at_least(self, end: int, begin: int = 0) -> bytes:
        """Return bytes of the answer; what has come of it stays until all of it has been taken."""
        while len(self.came) < end:
            piece = self.control.recv(1 << 16)
            if not piece:
                raise ConnectionError("the worker has ended")
            self.came += piece
        return bytes(self.came[begin:end])


class Supervisor:
    """Keeps so many workers running.

    Args:
        count: how many.
        command: what starts one; its socket's descriptor is appended.
        bound: the listening socket, which they inherit.
        stop_within: seconds that their requests have at the end.
        ready: called once, when all of them take connections.
    """

    def __init__(
        self,
        count: int,
        command: Sequence[str],
        bound: socket.socket,
        *,
        stop_within: float,
        ready: Callable[[], None],
    ) -> None:
        self._command = list(command)
        self._bound = bound
        self._stop_within = stop_within
        self._ready: Callable[[], None] | None = ready
        self._count = count
        self._workers: list[Worker] = []
        self._failures = 0
        self._due: list[float] = []
        self._restarts = 0
        self._gave_up = False
        self._stopping = 0.0
        self._signals = 0
        self._asking = threading.Lock()
        self._told: list[Worker] = []
        self._past = ""

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the exit code. Called in the main thread."""
        before = {number: signal.signal(number, self._order) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._workers = [self._start() for _ in range(self._count)]
            while self._workers or self._due:
                time.sleep(LOOK_S)
                self._look()
        finally:
            for worker in self._workers:
                worker.process.kill()
                worker.process.wait()
            for number, handler in before.items():
                signal.signal(number, handler)
        return 1 if self._gave_up else 0

    def figures(self) -> str:
        """Return the figures of all workers, and how they fare; from any thread.

        What workers have counted that are gone, as far as it was asked for, is still in the sums.
        """
        with self._asking:
            running, given = [one for one in self._workers if one.ready], 0
            for worker in running:
                with suppress(OSError):
                    worker.told = worker.figures()
                    given += 1
            gone = [one for one in self._told if one not in running]
            self._past = merge([self._past, *(counted(one.told) for one in gone)])
            self._told = [one for one in running if one.told]
            texts = [self._past, *(one.told for one in self._told)]
        return (
            merge(texts)
            + "# HELP lightship_workers Workers that gave their figures.\n# TYPE lightship_workers gauge\n"
            + f"lightship_workers {given}\n"
            + "# HELP lightship_worker_restarts_total Workers started again.\n"
            + "# TYPE lightship_worker_restarts_total counter\n"
            + f"lightship_worker_restarts_total {self._restarts}\n"
        )

    def _start(self) -> Worker:
        ours, theirs = socket.socketpair()
        handed = [self._bound.fileno(), theirs.fileno()]
        with theirs:
            command = [*self._command, "--worker", ",".join(map(str, handed))]
            process = subprocess.Popen(  # noqa: S603 # this very program
                command, pass_fds=handed, stdin=subprocess.DEVNULL, start_new_session=True
            )
        return Worker(process, ours, time.monotonic())

    def _look(self) -> None:
        """Look at every worker once: who is ready, who has ended, who has to."""
        self._pass_on()
        for worker in list(self._workers):
            worker.look()
            code = worker.process.poll()
            if code is not None:
                self._ended(worker, code)
        for due in [one for one in self._due if one <= time.monotonic()]:
            self._due.remove(due)
            self._restarts += 1
            self._workers.append(self._start())
        if self._ready is not None and self._workers and all(one.ready for one in self._workers):
            self._ready()
            self._ready = None
        if self._stopping and time.monotonic() > self._stopping:
            for worker in self._workers:
                worker.process.kill()

    def _ended(self, worker: Worker, code: int) -> None:
        self._workers.remove(worker)
        worker.control.close()
        if self._stopping:
            return
        soon = time.monotonic() - worker.began < SOON_S and not worker.ready
        self._failures = self._failures + 1 if soon else 0
        _log.error("worker %d ended with %d", worker.process.pid, code)
        others = any(one.ready for one in self._workers)
        if self._failures >= FAILURES and not others:
            _log.error("workers do not start: giving up")
            self._gave_up = True
            self._stop(signal.SIGTERM)
            return
        self._due.append(time.monotonic() + (AGAIN_S if soon and others else 0))

    def _order(self, _: int, __: FrameType | None) -> None:
        self._signals += 1

    def _pass_on(self) -> None:
        """Pass on what came as a signal: the first one ends well, the next ones at once."""
        while self._signals:
            self._signals -= 1
            self._stop(signal.SIGTERM)

    def _stop(self, number: int) -> None:
        self._stopping = self._stopping or time.monotonic() + self._stop_within + KILL_AFTER_S
        self._due.clear()
        self._bound.close()  # nobody accepts any more, so nobody may queue up
        for worker in self._workers:
            with suppress(ProcessLookupError):
                worker.process.send_signal(number)


def serve_figures(bound: socket.socket, supervisor: Supervisor) -> ThreadingHTTPServer:
    """Serve `/metrics` of all workers on a bound socket, in threads of this process."""

    class Handler(BaseHTTPRequestHandler):
        """One request."""

        timeout = 10

        def do_GET(self) -> None:
            """Answer `/metrics`, nothing else."""
            found = self.path.partition("?")[0] == "/metrics"
            body = supervisor.figures().encode() if found else b"The figures are at /metrics\n"
            self.send_response(200 if found else 404)
            self.send_header("content-type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Write nothing: it is no request to the hub."""

    server = ThreadingHTTPServer(bound.getsockname()[:2], Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = bound
    threading.Thread(target=server.serve_forever, name="lightship-figures", daemon=True).start()
    return server


def worker_command(arguments: Sequence[str]) -> list[str]:
    """Return what starts a worker with these arguments of `serve`."""
    return [sys.executable, "-m", "lightship.cli.main", "serve", *arguments]
