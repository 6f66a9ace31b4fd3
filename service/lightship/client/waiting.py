"""What waits at a hub for its release: who published it lists it and takes it back. Beside TAXII, in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from lightship.client.connection import Answer, Connection
from lightship.client.errors import NotTaxii

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Held:
    """An object version that is held back.

    `release_at` and `posted` are timestamps as the hub wrote them, empty where it named none. `problem` says
    why the hub could not release it when its moment came, empty as long as that has not happened.
    """

    id: str
    version: str
    release_at: str = ""
    posted: str = ""
    problem: str = ""


def staged(connection: Connection, root: str, collection: str) -> tuple[Held, ...]:
    """Return what the credential's member has waiting in a collection, by release."""
    return _held(connection.get(_path(root, collection), accept=JSON), "staged")


def cancel(connection: Connection, root: str, collection: str, object_id: str) -> tuple[Held, ...]:
    """Take back what waits of an object; return what was taken back.

    Raises:
        NotFound: nothing of it waits.
    """
    path = f"{_path(root, collection)}{quote(object_id, safe='')}/"
    return _held(connection.delete(path, accept=JSON), "cancelled")


def _path(root: str, collection: str) -> str:
    return f"/staged/{quote(root, safe='')}/{quote(collection, safe='')}/"


def _held(answer: Answer, name: str) -> tuple[Held, ...]:
    listed = answer.value.get(name) if isinstance(answer.value, Mapping) else None
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        raise NotTaxii("The answer is no list of staged objects", todo="Give a Lightship hub's own address")
    return tuple(Held(**{name: _text(one.get(name)) for name in Held.__slots__}) for one in listed)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
