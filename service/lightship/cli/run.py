"""`lightship run`: a hub with an exercise on it, in one command. Kept between runs; nothing in it is real."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightship.cli import exits
from lightship.cli.command import REPORTING, Command, json_option
from lightship.cli.output import print_json, say

if TYPE_CHECKING:
    from lightship.cli.outcome import Outcome


@click.command(
    cls=Command,
    examples="""
    lightship run
    lightship run --hub /tmp/try --no-serve --json
    """,
)
@click.option(
    "--hub",
    "hub_dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("run"),
    show_default=True,
    help="The hub's directory; made if need be, kept between runs.",
)
@click.option("--no-serve", is_flag=True, help="End after the exercise.")
@json_option
def run(hub_dir: Path, no_serve: bool, as_json: bool) -> int:
    """Make a hub, publish an exercise as Long Beach, pull it as Los Angeles, then serve.

    The exercise is a made-up ransomware case at a terminal operating system. A drayage company reads what is
    for everybody in the bay and sees nothing of what is for the ports alone. A second run publishes only what
    is missing. Ends with 3 if an object was refused, with 1 if something else did not go as it should.
    """
    from lightship.cli import exercise, scenario
    from lightship.cli.serve import log_to_stderr, server_of
    from lightship.wiring import open_hub

    log_to_stderr()
    say(REPORTING)
    settings, bound = exercise.prepare(hub_dir)
    hub = open_hub(hub_dir, settings=settings)
    results: list[Outcome | BaseException] = []

    def play() -> None:
        try:
            outcome = scenario.play(hub, credentials, hub.dir / exercise.CREDENTIALS)
            results.append(outcome)
            served = not no_serve and exit_code(outcome) == exits.OK
            _tell(outcome, served=served, as_json=as_json)
            if not served:
                server.stop()
        except BaseException as error:  # handed to the main thread, which raises it
            if not server.should_exit:  # else it failed because the server is ending
                results.append(error)
            server.stop()

    try:
        credentials = exercise.credentials_of(hub)
        player = threading.Thread(target=play, name="exercise", daemon=True)
        server = server_of(hub, ready=lambda _: player.start())
        server.run(sockets=[bound])
        known = list(results)  # what fails from here on fails because the server has ended
        if known:
            player.join()
    finally:
        hub.close()
    code = exits.OK  # also where a signal ended it before the exercise was over
    for one in known:
        if isinstance(one, BaseException):
            raise one
        code = exit_code(one)
    return code


def exit_code(outcome: Outcome) -> int:
    """Return what an exercise that went this way ends with."""
    if outcome.refused:
        return exits.REFUSED
    return exits.OK if outcome.right else exits.FAILED


def _tell(outcome: Outcome, *, served: bool, as_json: bool) -> None:
    if as_json:
        print_json(outcome.shape())
        return
    from lightship.cli.scenario import AGREEMENT, READER

    path = f"/{AGREEMENT}/collections/"
    click.echo("\n".join(outcome.lines(served=served, user=f"{READER}-exercise", path=path)))
