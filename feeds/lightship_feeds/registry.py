"""Which feeds there are: those shipped here, and those that other packages add by an entry point.

A package adds one with, in its pyproject.toml:

    [project.entry-points."lightship.feeds"]
    mycsv = "my_package.mycsv:MyCsv"
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import PurePath

from lightship.core.errors import BadFile, NotFound
from lightship_feeds.base import FeedIn
from lightship_feeds.stix_bundle import StixBundle

GROUP = "lightship.feeds"
SHIPPED: dict[str, type[FeedIn]] = {StixBundle.name: StixBundle}


def feeds() -> dict[str, FeedIn]:
    """Return all feeds by name. A shipped name cannot be taken by another package.

    Raises:
        BadFile: an installed entry point cannot be loaded, or is no feed.
    """
    found: dict[str, FeedIn] = {}
    for entry in entry_points(group=GROUP):
        try:
            made = entry.load()()
        except Exception as error:
            raise BadFile(
                f"The feed {entry.name} cannot be loaded", path=entry.value, why=f"{error}"
            ) from error
        if not isinstance(made, FeedIn):
            raise BadFile(f"{entry.name} is no feed", path=entry.value, why="it lacks name, suffixes or read")
        found[entry.name] = made
    return found | {name: kind() for name, kind in SHIPPED.items()}


def feed(name: str) -> FeedIn:
    """Return one feed by name.

    Raises:
        NotFound: there is none of that name.
    """
    known = feeds()
    if name not in known:
        raise NotFound(f"No feed {name}", why=f"there are: {', '.join(sorted(known))}")
    return known[name]


def feed_for(path: str) -> FeedIn:
    """Return the feed that takes a file's ending; stdin (`-`) and unknown endings are read as STIX."""
    ending = PurePath(path).suffix.lower()
    for one in feeds().values():
        if ending in one.suffixes:
            return one
    return SHIPPED[StixBundle.name]()
