"""What a path names, for every face: a collection by its id or alias, an object by its id.

Both are noted for the access event. What is not there, or not for this principal, is hidden.
"""

from __future__ import annotations

from collections.abc import Mapping

from lightship.core.access import Principal
from lightship.core.ids import is_stix_id
from lightship.usecases.entry import Hidden, Place, open_collection
from lightship.web.message import Request


def enter(request: Request, principal: Principal, path: Mapping[str, str]) -> Place:
    """Return the collection that the path names, and note it for the access event.

    Raises:
        Hidden: there is none for this principal.
    """
    place = open_collection(request.view, principal, path["root"], path["collection"])
    request.col = place.collection.id
    return place


def object_of(request: Request, path: Mapping[str, str]) -> str:
    """Return the object id that the path names, and note it for the access event.

    Raises:
        Hidden: it is no STIX identifier, so nothing can have it.
    """
    object_id = path["object"]
    request.q = f"{object_id}?{request.q}" if request.q else object_id
    if not is_stix_id(object_id):
        raise Hidden
    return object_id
