"""What the commands share that speak to a remote hub: the profile, the client, a bar."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightship.client import Client, Profile


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
