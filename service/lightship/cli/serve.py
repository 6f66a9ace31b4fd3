"""`lightship serve`: the hub as a server, in this process or in several that it starts."""

from __future__ import annotations

import errno
import gc
import logging
import os
import re
import resource
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightship import __version__
from lightship.cli.command import Command, hub_option, json_option
from lightship.cli.output import print_json, say
from lightship.core.errors import StewardError

if TYPE_CHECKING:
    from lightship.api.host import HostApp
    from lightship.core.time import Micros
    from lightship.settings import Settings
    from lightship.web.server import Beside, HubServer
    from lightship.wiring import Hub

_log = logging.getLogger("lightship")
COLLECT = (10_000, 20, 20)
"""Values made and not freed until the garbage collector looks, and how often it looks further back."""
MOST_WORKERS = 64
OTHER_FILES = 256
"""Files that a hub holds open beside its connections."""


@click.command(
    cls=Command,
    examples="""
    lightship serve
    lightship serve --hub /srv/hub --listen 0.0.0.0:9443
    lightship serve --plain --listen 127.0.0.1:8080
    lightship serve --workers 4
    """,
)
@click.option("--listen", default=None, help="Address and port; else `listen` of lightship.toml.")
@click.option("--plain", is_flag=True, help="Plain HTTP, on a loopback address only.")
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=1,
    show_default=True,
    help="Processes that serve; one a core at most. Limits of connections and failed logins hold for each.",
)
@click.option("--worker", default=None, hidden=True, help="Descriptors that a supervisor hands over.")
@hub_option
@json_option
def serve(
    listen: str | None, plain: bool, workers: int, worker: str | None, hub_dir: Path, as_json: bool
) -> None:
    """Serve the hub until SIGTERM or Ctrl-C; requests under way are finished first."""
    from lightship.cli.logs import start_log
    from lightship.settings import load_settings
    from lightship.wiring import open_hub

    settings = load_settings(hub_dir)
    log = start_log(settings.log_level, settings.log_format)
    open_files(settings.max_connections)
    if listen is not None:
        if not re.fullmatch(r".+:\d{1,5}", listen):
            raise click.UsageError("Write --listen as address:port, such as 127.0.0.1:9443.")
        settings = settings.model_copy(update={"listen": listen})
    host, port = settings.listen_address
    bound, control = (bind(host, port), None) if worker is None else _handed_over(worker)
    url = settings.public_url if not plain else f"http://{host}:{bound.getsockname()[1]}"

    def ready(_: int) -> None:
        if as_json:
            print_json({"url": url, "listen": f"{host}:{bound.getsockname()[1]}", "hub": str(hub_dir)})
        elif settings.log_format == "text":  # every line on stderr is JSON else
            say(f"{url} is served from {hub_dir}. Stop it with Ctrl-C.")

    if workers > 1:
        sys.exit(_supervise(workers, settings, bound, ready, hub_dir=hub_dir, plain=plain))
    hub = open_hub(hub_dir, settings=settings)
    if settings.log_level in {"debug", "info"}:
        hub.traffic.line = log.request
    fields = {"version": __version__, "pid": os.getpid(), "hub": str(hub_dir), "url": url}
    _log.info("the hub starts", extra={"fields": fields})
    try:
        server = server_of(hub, plain=plain, ready=ready if control is None else None, control=control)
        collect_seldom()
        server.run(sockets=[bound])
    finally:
        hub.close()


def _supervise(
    count: int,
    settings: Settings,
    bound: socket.socket,
    ready: Callable[[int], None],
    *,
    hub_dir: Path,
    plain: bool,
) -> int:
    """Serve by several processes; return the exit code."""
    from lightship.cli.workers import Supervisor, serve_figures, worker_command
    from lightship.system_clock import SystemClock

    if not plain:
        _renew(hub_dir, settings, SystemClock().now())
    port = bound.getsockname()[1]
    listen = f"{settings.listen_address[0]}:{port}"
    arguments = ["--hub", str(hub_dir), "--listen", listen, *(["--plain"] if plain else [])]
    supervisor = Supervisor(
        count,
        worker_command(arguments),
        bound,
        stop_within=settings.stop_timeout_s,
        ready=partial(ready, port),
    )
    if settings.metrics_address is not None:
        serve_figures(bind(*settings.metrics_address, setting="metrics_listen"), supervisor)
    _log.info("workers are started", extra={"fields": {"workers": count, "hub": str(hub_dir)}})
    return supervisor.run()


def _handed_over(worker: str) -> tuple[socket.socket, socket.socket]:
    """Return the listening socket and the control socket that the supervisor left open for this process."""
    listening, control = (socket.socket(fileno=int(one)) for one in worker.split(","))
    return listening, control


def collect_seldom() -> None:
    """Look for cyclic garbage seldom, and never among what was loaded before the first request.

    A request leaves no cycles behind but through exceptions, so its values go as soon as it ends.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)


def bind(host: str, port: int, *, setting: str = "listen") -> socket.socket:
    """Return a socket bound to an address; port 0 takes a free one.

    Raises:
        StewardError: the address is in use, not ours, or its port needs more rights.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(1024)
    except OSError as error:
        found.close()
        busy = error.errno == errno.EADDRINUSE
        raise StewardError(
            f"Cannot listen on {host}:{port}",
            why="another process listens there" if busy else error.strerror or str(error),
            todo=f"Stop it, or choose another port with `{setting}`" if busy else f"Check `{setting}`",
        ) from None
    return found


def server_of(
    hub: Hub,
    *,
    plain: bool = False,
    ready: Callable[[int], None] | None = None,
    control: socket.socket | None = None,
) -> HubServer:
    """Return the server of an open hub, its own certificate renewed first where that is due.

    With `control` it is a worker, which gives its figures over that socket and ends when it closes.
    """
    from lightship.bounds import bounds_of, tls_of
    from lightship.cli.worker import Tie
    from lightship.crypto.client_certificates import client_certificate
    from lightship.web.server import HubServer
    from lightship.wiring import make_app

    host, port = hub.settings.listen_address
    tls = None
    if not plain:
        _renew(hub.dir, hub.settings, hub.clock.now())
        tls = tls_of(hub.settings, hub.dir)
    app = make_app(hub, plain=plain)
    tie = None
    if control is not None and app.figures is not None:
        tie = Tie(control, app.figures, app.upkeep)
    server = HubServer(
        app,
        host=host,
        port=port,
        tls=tls,
        ready=ready,
        bounds=bounds_of(hub.settings),
        stop_within=hub.settings.stop_timeout_s,
        beside=_figures(hub, app) if control is None else None,
        alongside=tie or app.upkeep,
        certificate=client_certificate,
    )
    if app.figures is not None:
        app.figures.sources.connections = server.seats
    if tie is not None:
        tie.stop = server.stop
    return server


def _renew(hub_dir: Path, settings: Settings, now: Micros) -> None:
    """Renew the hub's own certificate where that is due."""
    from lightship.data import cert_profile
    from lightship.keys.authority import renew_if_due

    renewal = renew_if_due(hub_dir, settings.host, cert_profile, now)
    if renewal is not None:
        say(f"The server certificate was renewed: {renewal.why}.")


def _figures(hub: Hub, app: HostApp) -> Beside | None:
    """Return the figures with the socket that they are served on, where the settings name one."""
    from lightship.web.server import Beside

    address = hub.settings.metrics_address
    return None if address is None else Beside(app.figures, bind(*address, setting="metrics_listen"))


def open_files(connections: int) -> None:
    """Let this process hold so many connections, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        fields = {"connections": hard - OTHER_FILES}
        _log.warning("the limit of open files allows fewer than max_connections", extra={"fields": fields})
        wanted = hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def log_to_stderr() -> None:
    """Send warnings and errors of this process to stderr, one line each."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
