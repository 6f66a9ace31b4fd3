"""What happens in the exercise of `lightship run`: who publishes, who reads, what is refused, what is hidden.

Everything goes over TLS, the way that real members go: Long Beach and the drayage company through the SDK,
Los Angeles with a stock TAXII client. All of it is made up and uses documentation addresses and names only.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightship.cli.outcome import Embargo, Outcome, Stakeholders
from lightship.core.errors import LightshipError
from lightship.core.time import Micros, format_stamp

if TYPE_CHECKING:
    from lightship.client import Client
    from lightship.wiring import Hub

AGREEMENT, STAKEHOLDERS = "exercise", "exercise-stakeholders"
PUBLISHER, READER, DRAYAGE = "uslgb", "uslax", "drayage"
EMBARGO_S = 2
"""Seconds that the embargoed indicator is held back."""
RELEASED_WITHIN_S = 15
POLL_S = 0.1
_AMBER_STRICT = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"
_TERMS = "extension-definition--695b6cb5-8427-41b0-898f-55fbfa8c8bbe"

Keys = tuple[str, str]
Secrets = Mapping[tuple[str, str], tuple[str, str]]
"""(agreement, member) -> user and secret."""


def play(hub: Hub, secrets: Secrets, credentials: Path) -> Outcome:
    """Publish what is missing as one port, pull everything as the other, and compare; show what is refused.

    Args:
        hub: the hub, which is served.
        secrets: of both ports and the drayage company.
        credentials: the file that holds them, for the reader.

    Raises:
        LightshipError: the hub could not be reached or refused a whole request.
    """
    from lightship.client import Client, Connection, Unreachable

    start = time.monotonic()
    url, ca = hub.settings.public_url, hub.dir / "tls" / "ca.pem"
    scenario = bundles()
    outcome = Outcome(url, ca, credentials)
    reader = secrets[AGREEMENT, READER]
    with (
        Client(Connection(url, *secrets[AGREEMENT, PUBLISHER], ca=ca)) as publisher,
        Client(Connection(url, *secrets[STAKEHOLDERS, PUBLISHER], ca=ca)) as wider,
        Client(Connection(url, *secrets[STAKEHOLDERS, DRAYAGE], ca=ca)) as drayage,
        Client(Connection(url, *reader, ca=ca)) as poller,
    ):
        for alias, objects in scenario.items():
            _publish(publisher, alias, objects, outcome)
        embargo = None if outcome.expired else _hold_back(publisher, poller, hub.clock.now())
        outcome.stakeholders = _stakeholders(wider, drayage, scenario)
        path = publisher.collection(f"{AGREEMENT}/indicators").path
        outcome.stakeholders.hidden = _hidden(url, ca, secrets[STAKEHOLDERS, DRAYAGE], path)
        if embargo is not None:
            outcome.embargo = _await_release(poller, *embargo)
    try:
        outcome.client, pulled = _pull(url, *reader, ca)
    except LightshipError:
        raise
    except Exception as error:  # a stock client raises what it likes
        raise Unreachable("The stock client could not pull", why=str(error)) from error
    outcome.pulled = sum(map(len, pulled.values()))
    outcome.equal = _equal(scenario, pulled, outcome.expired)
    outcome.stakeholders.read_by_port = any(
        one["id"] == outcome.stakeholders.object_id for one in pulled.get("indicators", {}).values()
    )
    outcome.seconds = time.monotonic() - start
    return outcome


def bundles() -> dict[str, list[bytes]]:
    """Return the scenario: collection alias -> objects as JSON texts."""
    from lightship.data import policies_dir
    from lightship_feeds.stix_bundle import StixBundle

    found = {}
    for path in sorted((policies_dir() / "exercise").glob("*.json")):
        with path.open("rb") as source:
            found[path.stem] = [one.raw for one in StixBundle().read(source, str(path))]
    return found


def key_of(one: Mapping[str, Any]) -> Keys:
    """Return (id, version) of an object."""
    return one["id"], one.get("modified") or one.get("created") or ""


def _publish(client: Client, alias: str, objects: list[bytes], outcome: Outcome) -> None:
    name = f"{AGREEMENT}/{alias}"
    missing = _missing(client, name, objects)
    report = client.publish(name, missing)
    outcome.published[alias] = report.success
    outcome.held[alias] = len(objects) - len(missing)
    for one in report.failures:
        if "(deny-withdrawn)" in one.message:
            outcome.expired.add((alias, one.id))
        else:
            outcome.refused.append(f"{alias}: {one.id}: {one.message}")


def _missing(client: Client, name: str, objects: Iterable[bytes]) -> list[bytes]:
    held = {key_of(one) for page in client.pull(name) for one in page.objects}
    return [text for text in objects if key_of(json.loads(text)) not in held]


def _stakeholders(port: Client, drayage: Client, scenario: Mapping[str, list[bytes]]) -> Stakeholders:
    """Offer advisories and an AMBER+STRICT indicator to the stakeholders; return what became of it."""
    name = f"{STAKEHOLDERS}/advisories"
    indicator = next(
        text
        for text in scenario["indicators"]
        if (one := json.loads(text))["type"] == "indicator" and one["object_marking_refs"] == [_AMBER_STRICT]
    )
    port.publish(name, _missing(port, name, scenario["warnings"]))
    report = port.publish(name, [indicator])
    return Stakeholders(
        object_id=json.loads(indicator)["id"],
        refusal=report.failures[0].message if report.failures else "",
        pulled=sum(len(page.objects) for page in drayage.pull(name)),
    )


def _hidden(url: str, ca: Path, secret: tuple[str, str], path: str) -> bool:
    """True if what the ports share answers to the drayage company like what does not exist, byte for byte."""
    import httpx2

    from lightship.client.connection import trust

    missing = path.replace(f"/{AGREEMENT}/", f"/{'x' * len(AGREEMENT)}/", 1)
    headers = {"Accept": "application/taxii+json;version=2.1"}
    with httpx2.Client(auth=secret, headers=headers, verify=trust(ca), trust_env=False, base_url=url) as http:
        told = [_answer(http.get(f"{one}objects/")) for one in (path, missing)]
    return told[0] == told[1] and told[0][0] == 404


def _answer(response: Any) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return an answer without what differs between any two: the time and the ids of the request."""
    varying = {"date", "x-request-id", "audit-receipt"}
    kept = [(name, value) for name, value in response.headers.items() if name not in varying]
    return response.status_code, kept, response.content.replace(response.json()["error_id"].encode(), b"")


def _hold_back(publisher: Client, poller: Client, now: Micros) -> tuple[str, Micros, Any] | None:
    """Post an indicator that is held back; return its id, its release and the poller's place then.

    None if a run before has shown it already.
    """
    from lightship.data import policies_dir

    name = f"{AGREEMENT}/indicators"
    release = Micros(now + EMBARGO_S * 1_000_000)
    one = json.loads((policies_dir() / "exercise" / "embargo" / "indicator.json").read_bytes())
    if not _missing(publisher, name, [json.dumps(one).encode()]):
        return None
    terms = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": f"marking-definition--{uuid.uuid4()}",
        "created_by_ref": one["created_by_ref"],
        "created": format_stamp(now),
        "name": "EXERCISE. Held back for two seconds",
        "extensions": {
            _TERMS: {
                "extension_type": "property-extension",
                "agreement": AGREEMENT,
                "release_at": format_stamp(release),
            }
        },
    }
    one["object_marking_refs"].append(terms["id"])
    report = publisher.publish(name, [terms, one])
    if report.failures:
        return None
    cursor = None
    for page in poller.pull(name):
        cursor = page.cursor
    return one["id"], release, cursor


def _await_release(poller: Client, object_id: str, release: Micros, cursor: Any) -> Embargo:
    """Poll from where the poller had got to when the object was posted, until it comes."""
    found, end = Embargo(object_id, format_stamp(release)), time.monotonic() + RELEASED_WITHIN_S
    while time.monotonic() < end:
        for page in poller.pull(f"{AGREEMENT}/indicators", cursor):
            cursor = page.cursor
            if any(one["id"] == object_id for one in page.objects):
                found.added = str(page.last)
                return found
        time.sleep(POLL_S)
    return found


def _equal(
    scenario: Mapping[str, list[bytes]],
    pulled: Mapping[str, Mapping[Keys, Mapping[str, Any]]],
    expired: set[tuple[str, str]],
) -> bool:
    """True if everything that was posted and has not expired came back as it was sent."""
    posted = {alias: [json.loads(text) for text in texts] for alias, texts in scenario.items()}
    return all(
        pulled.get(alias, {}).get(key_of(one)) == one
        for alias, objects in posted.items()
        for one in objects
        if (alias, one["id"]) not in expired
    )


def _pull(url: str, user: str, secret: str, ca: Path) -> tuple[str, dict[str, dict[Keys, dict[str, Any]]]]:
    """Pull every collection with taxii2-client; where that is not installed, with the SDK."""
    try:
        from importlib.metadata import version

        from taxii2client.common import _HTTPConnection
        from taxii2client.v21 import ApiRoot, Server, as_pages
    except ImportError:
        return "the SDK (taxii2-client is not installed)", _pull_with_sdk(url, user, secret, ca)
    conn = _HTTPConnection(user=user, password=secret, verify=str(ca), version="2.1")
    conn.session.trust_env = False  # else REQUESTS_CA_BUNDLE of the environment wins over the hub's own CA
    roots = [one.url for one in Server(f"{url}/taxii2/", conn=conn).api_roots]
    root = ApiRoot(next(one for one in roots if one.rstrip("/").endswith(f"/{AGREEMENT}")), conn=conn)
    found = {}
    for collection in root.collections:
        pages = as_pages(collection.get_objects, per_request=20)
        found[_alias(collection)] = _index(one for page in pages for one in page.get("objects", []))
    conn.close()
    return f"taxii2-client {version('taxii2-client')}", found


def _pull_with_sdk(url: str, user: str, secret: str, ca: Path) -> dict[str, dict[Keys, dict[str, Any]]]:
    from lightship.client import Client, Connection

    with Client(Connection(url, user, secret, ca=ca)) as client:
        return {
            one.alias: _index(got for page in client.pull(one.name) for got in page.objects)
            for one in client.collections(AGREEMENT)
        }


def _index(objects: Iterable[dict[str, Any]]) -> dict[Keys, dict[str, Any]]:
    return {key_of(one): one for one in objects}


def _alias(collection: Any) -> str:
    """Return a collection's alias; taxii2-client keeps it among the properties that it does not know."""
    custom = getattr(collection, "custom_properties", {})
    return str(getattr(collection, "alias", None) or custom.get("alias", collection.id))
