"""`lightship serve`: the hub as a server in this process."""

from __future__ import annotations

import errno
import gc
import logging
import os
import re
import resource
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightship import __version__
from lightship.cli.command import Command, hub_option, json_option
from lightship.cli.output import print_json, say
from lightship.core.errors import StewardError

if TYPE_CHECKING:
    from lightship.api.host import HostApp
    from lightship.web.server import Beside, HubServer
    from lightship.wiring import Hub

_log = logging.getLogger("lightship")
COLLECT = (10_000, 20, 20)
"""Values made and not freed until the garbage collector looks, and how often it looks further back."""
OTHER_FILES = 256
"""Files that a hub holds open beside its connections."""


@click.command(
    cls=Command,
    examples="""
    lightship serve
    lightship serve --hub /srv/hub --listen 0.0.0.0:9443
    lightship serve --plain --listen 127.0.0.1:8080
    """,
)
@click.option("--listen", default=None, help="Address and port; else `listen` of lightship.toml.")
@click.option("--plain", is_flag=True, help="Plain HTTP, on a loopback address only.")
@hub_option
@json_option
def serve(listen: str | None, plain: bool, hub_dir: Path, as_json: bool) -> None:
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
    bound = bind(host, port)
    url = settings.public_url if not plain else f"http://{host}:{bound.getsockname()[1]}"

    def ready(_: int) -> None:
        if as_json:
            print_json({"url": url, "listen": f"{host}:{bound.getsockname()[1]}", "hub": str(hub_dir)})
        elif settings.log_format == "text":  # every line on stderr is JSON else
            say(f"{url} is served from {hub_dir}. Stop it with Ctrl-C.")

    hub = open_hub(hub_dir, settings=settings)
    if settings.log_level in {"debug", "info"}:
        hub.traffic.line = log.request
    fields = {"version": __version__, "pid": os.getpid(), "hub": str(hub_dir), "url": url}
    _log.info("the hub starts", extra={"fields": fields})
    try:
        server = server_of(hub, plain=plain, ready=ready)
        collect_seldom()
        server.run(sockets=[bound])
    finally:
        hub.close()


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


def server_of(hub: Hub, *, plain: bool = False, ready: Callable[[int], None] | None = None) -> HubServer:
    """Return the server of an open hub, its own certificate renewed first where that is due."""
    from lightship.data import cert_profile
    from lightship.keys.authority import renew_if_due
    from lightship.web.server import HubServer
    from lightship.web.tls import TlsFiles
    from lightship.wiring import bounds_of, make_app

    host, port = hub.settings.listen_address
    tls = None
    if not plain:
        renewal = renew_if_due(hub.dir, hub.settings.host, cert_profile, hub.clock.now())
        if renewal is not None:
            say(f"The server certificate was renewed: {renewal.why}.")
        tls = TlsFiles(hub.settings.tls_cert, hub.settings.tls_key)
    app = make_app(hub, plain=plain)
    server = HubServer(
        app,
        host=host,
        port=port,
        tls=tls,
        ready=ready,
        bounds=bounds_of(hub.settings),
        stop_within=hub.settings.stop_timeout_s,
        beside=_figures(hub, app),
        alongside=app.upkeep,
    )
    if app.figures is not None:
        app.figures.sources.connections = server.seats
    return server


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
