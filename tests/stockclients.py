"""The stock TAXII 2.1 clients, each behind one function that pulls a whole collection page by page.

All of them are built on requests, whose REQUESTS_CA_BUNDLE in the environment wins over `session.verify`: the
tests set that variable to the hub's own authority.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from cc_taxii2_client import CCTaxiiClient
from cytaxii2.cytaxii2 import cytaxii2
from stix2 import TAXIICollectionSource
from stix2.datastore.filters import Filter
from taxii2client.v21 import Collection, Server, as_pages

from livehub import LiveHub

Objects = list[dict[str, Any]]
Puller = Callable[[LiveHub, str, str, int, bool], Objects]


def taxii2_collection(hub: LiveHub, member: str, collection: str) -> Collection:
    """Find a collection as taxii2-client's users do: discovery, API root, collections."""
    user, secret = hub.secrets[member]
    server = Server(f"{hub.url}/taxii2/", user=user, password=secret, verify=hub.ca)
    (found,) = [one for root in server.api_roots for one in root.collections if one.id == collection]
    return found


def pull_with_taxii2_client(hub: LiveHub, member: str, collection: str, limit: int, every: bool) -> Objects:
    """taxii2-client 2.3.0, `as_pages`."""
    source = taxii2_collection(hub, member, collection)
    matches = {"version": "all"} if every else {}
    pages = as_pages(source.get_objects, per_request=limit, **matches)
    return [one for page in pages for one in page.get("objects", [])]


def pull_with_cytaxii2(hub: LiveHub, member: str, collection: str, limit: int, every: bool) -> Objects:
    """cytaxii2 1.0.1: `poll_request` with `next`; it has no `match[version]`, so the poll URL carries it."""
    client = cytaxii2(f"{hub.url}/taxii2/", *hub.secrets[member])
    if every:
        plain = client.request_handler

        def with_versions(method: str, url: str, query_params: Any = None, **more: Any) -> Any:
            if url.endswith("/objects/"):
                query_params = {**(query_params or {}), "match[version]": "all"}
            return plain(method, url, query_params=query_params, **more)

        client.request_handler = with_versions
    found: Objects = []
    following = None
    while True:
        answer = client.poll_request(collection, limit=limit, next=following)
        assert answer["status"], answer
        found += answer["response"].get("objects", [])
        following = answer["response"].get("next")
        if not answer["response"].get("more"):
            return found


def pull_with_cc_taxii2_client(
    hub: LiveHub, member: str, collection: str, limit: int, every: bool
) -> Objects:
    """cc-taxii2-client 0.1.5: its own paging loop over its own requests.

    Its public generator makes dataclasses that only hold CloudCover's own indicators, so the envelopes are
    taken one step below it.
    """
    client: Any = CCTaxiiClient(*hub.secrets[member])
    client.url = hub.url
    root = urlsplit(hub.root).path.strip("/")
    assert collection in client.get_collections(root)
    start = f"objects/?limit={limit}" + ("&match[version]=all" if every else "")
    found: Objects = []
    following = ""
    while True:
        envelope = client._get_json(root, collection, start + following)
        found += envelope.objects or []
        if not envelope.more:
            return found
        following = f"&next={envelope.next}"


def pull_with_stix2_source(hub: LiveHub, member: str, collection: str, limit: int, every: bool) -> Objects:
    """stix2's TAXIICollectionSource; what it hands out are parsed objects, see `parsed` in the tests."""
    source = TAXIICollectionSource(
        taxii2_collection(hub, member, collection), allow_custom=True, items_per_page=limit
    )
    query = [Filter("version", "=", "all")] if every else []
    found: Objects = source.query(query)
    return found


PULLERS: dict[str, Puller] = {
    "taxii2-client": pull_with_taxii2_client,
    "cytaxii2": pull_with_cytaxii2,
    "cc-taxii2-client": pull_with_cc_taxii2_client,
    "stix2-TAXIICollectionSource": pull_with_stix2_source,
}
