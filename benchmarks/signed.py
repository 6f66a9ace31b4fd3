"""Prepares a hub for signed posts: an admin key, a roster of publish keys, and bodies, signed and not.

Run as `python -m benchmarks.signed --hub DIR --out FOLDER --keys K --bodies N`: each of K publish keys signs
a chain of N statements of 256 objects, as an outbox does; `signed-<k>` and `plain-<k>` below FOLDER hold the
bodies of POST /log/<collection>/publish and of the TAXII post of the same objects, one a file. Prints the
collection's UUID. What a publisher's own machine does (signing, canonical form) is no part of the row.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from uuid import uuid4

from benchmarks import objects
from lightship.client.drafts import draft_of
from lightship.core import dsse
from lightship.core.agreement.chain import key_text
from lightship.core.collection import STATEMENT_ENTRIES
from lightship.core.log import roster, statement
from lightship.core.log.roster import PublishKey, Roster
from lightship.core.log.statement import Statement
from lightship.crypto.sign import SigningKey, new_signing_key, verify
from lightship.usecases.rosters import apply_roster
from lightship.wiring import open_hub

MEMBER = "uslax"


def name_admin_key(hub_dir: Path, admin: SigningKey) -> None:
    """Write the member's admin key into its table of the agreement's draft, to be applied."""
    path = hub_dir / "agreements" / "exercise" / "agreement.toml"
    table = f"[members.{MEMBER}]\n"
    path.write_text(path.read_text().replace(table, f'{table}admin_key = "{key_text(admin.public)}"\n'))


def enrol(hub_dir: Path, admin: SigningKey, keys: list[SigningKey]) -> tuple[str, str]:
    """Put a roster with the publish keys in force; return the hub's digest for statements, the collection."""
    hub = open_hub(hub_dir)
    try:
        if hub.signing is None:
            raise SystemExit("this hub takes no rosters")
        view = hub.directory.view()
        agreement = view.agreements["exercise"]
        collection = view.collection("exercise", "indicators")
        if collection is None:
            raise SystemExit("the exercise has no collection `indicators`")
        listed = {one.keyid: PublishKey(one.public) for one in keys}
        made = Roster("exercise", agreement.hub, MEMBER, 1, "", listed)
        envelope = dsse.encode(roster.sign(made, admin.keyid, admin.sign))
        apply_roster(
            hub.signing,
            hub.registry,
            view,
            envelope,
            verify=verify,
            req=uuid4().hex,
            now=hub.clock.now(),
        )
        return agreement.hub, collection.id
    finally:
        hub.close()


def write_bodies(out: Path, key: SigningKey, number: int, count: int, hub: str, collection: str) -> None:
    """Write the bodies of one key's chain, and those of the same objects without signatures."""
    signed, plain = out / f"signed-{number}", out / f"plain-{number}"
    signed.mkdir(parents=True)
    plain.mkdir(parents=True)
    prev = ""
    for seq in range(1, count + 1):
        made = objects.make_objects(STATEMENT_ENTRIES, number * 1_000_000 + seq)
        drafts = [draft_of(json.dumps(one).encode()) for one in made]
        listed = b",".join(one.body for one in drafts)
        add = tuple(one.add for one in drafts)
        said = statement.sign(Statement(collection, hub, key.keyid, seq, prev, add), key.sign)
        prev = statement.digest_of(said.payload)
        publication = dsse.encode(said)
        name = f"{seq:06}"
        (signed / name).write_bytes(b'{"publication":%b,"objects":[%b]}' % (publication, listed))
        (plain / name).write_bytes(b'{"objects":[%b]}' % listed)


def main() -> None:
    """Prepare one hub."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.signed", description=__doc__)
    parser.add_argument("--hub", type=Path, required=True, help="with the agreement `exercise` in force")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--keys", type=int, default=4)
    parser.add_argument("--bodies", type=int, default=40)
    options = parser.parse_args()
    from lightship.cli.main import execute

    admin, keys = new_signing_key(), [new_signing_key() for _ in range(options.keys)]
    name_admin_key(options.hub, admin)
    if code := execute(["agreement", "apply", "exercise", "--hub", str(options.hub)]):
        raise SystemExit(code)
    hub, collection = enrol(options.hub, admin, keys)
    for number, key in enumerate(keys):
        write_bodies(options.out, key, number, options.bodies, hub, collection)
    print(collection)


if __name__ == "__main__":
    main()
