"""The client SDK: pull and publish over TAXII 2.1 (see `Client`). Of the hub it imports core values only."""

from lightship.client.connection import Connection, Limits
from lightship.client.errors import NoProfile, NotTaxii, NotTrusted, Unreachable
from lightship.client.hub import Client, RemoteCollection, Root
from lightship.client.profiles import Profile, config_dir, load_profile, save_profile
from lightship.client.publishing import Failure, Note, PublishReport
from lightship.client.pulling import Cursor, PulledPage, load_cursor, save_cursor
from lightship.client.waiting import Held

__all__ = [
    "Client",
    "Connection",
    "Cursor",
    "Failure",
    "Held",
    "Limits",
    "NoProfile",
    "NotTaxii",
    "NotTrusted",
    "Note",
    "Profile",
    "PublishReport",
    "PulledPage",
    "RemoteCollection",
    "Root",
    "Unreachable",
    "config_dir",
    "load_cursor",
    "load_profile",
    "save_cursor",
    "save_profile",
]
