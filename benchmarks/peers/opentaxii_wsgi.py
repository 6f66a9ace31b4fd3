"""OpenTAXII's WSGI application with one mend, run in its own environment (gunicorn loads this module).

OpenTAXII 0.9.3 answers every POST of objects with 500 after it has stored them, because its status resource
holds a `uuid.UUID` that `json.dumps` refuses (its issue 243). Here such a value is written as text,
nothing else is touched.
"""

import json
from types import SimpleNamespace

import opentaxii.taxii2.http
from opentaxii.http import app

__all__ = ["app"]


def dumps(value):
    """Return JSON; what json does not know (UUIDs) as text."""
    return json.dumps(value, default=str)


opentaxii.taxii2.http.json = SimpleNamespace(dumps=dumps)
