"""What the commands share that speak to a remote hub: the profile, the client, a bar."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from lightship.client import Client, Profile


F = TypeVar("F", bound=Callable[..., Any])


def remote_options(function: F) -> F:
    """Add `--remote` and `--profile` to a command that asks a hub's directory without them."""
    function = click.option(
        "--profile",
        "profile_name",
        default="",
        help="As --remote, with this profile (see `lightship login`).",
    )(function)
    return click.option(
        "--remote", is_flag=True, help="Ask the hub of the last login over HTTPS, not a hub's directory."
    )(function)


def asked_profile(remote: bool, profile_name: str) -> str | None:
    """Return the profile to ask with, empty for the default one; None where the hub's directory is meant."""
    return (profile_name or os.environ.get("LIGHTSHIP_PROFILE", "")) if remote or profile_name else None


def profile_of(name: str) -> Profile:
    """Return a kept profile by name, the default one without."""
    from lightship.client import config_dir, load_profile

    return load_profile(config_dir(os.environ), name)


@contextmanager
def client_of(profile_name: str) -> Iterator[Client]:
    """Yield the client of a profile, closed at the end."""
    from lightship.client import Client

    with Client.of(profile_of(profile_name)) as client:
        yield client
