"""A secret that its member does not list counts for nothing where a collection asks for that.

The steward mints secrets and so could act as any member. With `tokens = "member"` a secret reads, publishes
and withdraws there only if the member's own roster, signed with its admin key, lists the credential.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clientcerts import bind, client_with, hub_authority, make_pair
from lightship.core.agreement.chain import key_text
from lightship.core.log.roster import Roster
from lightship.crypto.sign import new_signing_key
from lightship.usecases.directory import Directory
from signedhub import SignedHub, signed_hub
from stixsamples import indicator
from upkeeplab import held


@pytest.fixture(name="hub")
def _hub(tmp_path: Path) -> Iterator[SignedHub]:
    hub = signed_hub(tmp_path)
    yield hub
    hub.kit.close()


def switch(hub: SignedHub, tokens: str = "member") -> None:
    members = {slug: {"admin_key": key_text(one.public)} for slug, one in hub.admins.items()}
    hub.kit.add_agreement(hub.kit.agreement, members=members, collections={"indicators": {"tokens": tokens}})


def roster_of(hub: SignedHub, member: str, *tokens: str) -> Roster:
    made = replace(hub.next_roster(member, {}), tokens=tokens)
    hub.apply(made)
    return made


def id_of(hub: SignedHub, name: str) -> str:
    return id_of_name(hub, hub.kit.credential(name)[0])


def id_of_name(hub: SignedHub, name: str) -> str:
    return next(one.id for one in hub.kit.hub.registry.credentials() if one.name == name)


def tries(hub: SignedHub, who: str = "uslgb") -> list[int]:
    """Read, publish and withdraw; return the HTTP statuses."""
    path, one = hub.kit.path("indicators", "objects/"), indicator()
    with hub.kit.client(who) as client:
        found = [client.get(path).status_code, client.post(path, json={"objects": [one]}).status_code]
        return [*found, client.delete(f"{path}{one['id']}/").status_code]


GOOD, BAD = [200, 202, 200], [403, 403, 404]
"""Who may neither read nor withdraw learns of no object."""


def test_a_secret_counts_once_its_member_lists_it_and_no_longer_than_that(hub: SignedHub) -> None:
    assert tries(hub) == GOOD
    switch(hub)
    assert tries(hub) == BAD
    roster_of(hub, "uslgb", id_of(hub, "uslgb"))
    assert tries(hub) == GOOD
    roster_of(hub, "uslgb")
    assert tries(hub) == BAD
    switch(hub, "steward")
    assert tries(hub) == GOOD


def test_the_refusal_names_its_rule_and_what_to_do(hub: SignedHub) -> None:
    switch(hub)
    with hub.kit.client("uslgb") as client:
        answer = client.get(hub.kit.path("indicators", "objects/"))
        rights = client.get(hub.kit.path("indicators")).json()
    assert "deny-token-not-listed" in answer.json()["description"]
    assert "roster sign --list" in answer.text
    assert (rights["can_read"], rights["can_write"]) == (False, False)


def test_a_secret_that_the_steward_mints_for_itself_in_a_members_name(hub: SignedHub) -> None:
    """The attack that this is against: it opens nothing, though the hub minted it."""
    switch(hub)
    roster_of(hub, "uslgb", id_of(hub, "uslgb"))
    hub.kit.mint("uslgb", "forged")
    assert tries(hub, "uslgb/forged") == BAD
    assert tries(hub) == GOOD


def test_a_certificate_that_the_steward_pins_for_itself_in_a_members_name(
    hub: SignedHub, tmp_path: Path
) -> None:
    """A pin on the hub's list is the steward's word, as a minted secret is: the member's roster decides."""
    switch(hub)
    one = indicator()
    stewards, members = (
        make_pair(tmp_path / "clients", hub_authority(hub.kit.hub.dir), name) for name in ("forged", "own")
    )
    bind(hub.kit, "uslgb", "forged", stewards.shown)
    bind(hub.kit, "uslgb", "own", members.shown)
    hub.apply(replace(hub.next_roster("uslgb", {}), clients=(members.pin,)))
    path = hub.kit.path("indicators", "objects/")
    with hub.kit.serve() as served:
        for shown, secret, expected in (
            (stewards, None, (403, 403)),
            (stewards, "uslgb", (403, 403)),
            (members, None, (200, 202)),
            (members, "uslgb", (200, 202)),
        ):
            with client_with(served, shown, secret) as client:
                posted = client.post(path, json={"objects": [one]})
                assert (client.get(path).status_code, posted.status_code) == expected
        roster_of(hub, "uslgb", id_of_name(hub, "uslgb-forged"))
        with client_with(served, stewards) as client:
            assert client.get(path).status_code == 200


def test_without_the_look_into_rosters_every_minted_secret_would_open_it(
    hub: SignedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Directory, "lists", lambda *_: True)
    switch(hub)
    hub.kit.mint("uslgb", "forged")
    assert tries(hub, "uslgb/forged") == GOOD


def test_a_member_cannot_list_anothers_credential(hub: SignedHub) -> None:
    switch(hub)
    roster_of(hub, "uslax", id_of(hub, "uslgb"))
    assert tries(hub) == BAD


def test_a_roster_whose_admin_key_was_replaced_lists_nothing(hub: SignedHub) -> None:
    switch(hub)
    roster_of(hub, "uslgb", id_of(hub, "uslgb"))
    hub.admins["uslgb"] = new_signing_key()
    switch(hub)
    assert tries(hub) == BAD


def test_a_signed_statement_needs_a_listed_secret_too(hub: SignedHub) -> None:
    hub.enrol("uslgb")
    switch(hub)
    one = indicator()
    refused = hub.post("uslgb", hub.statement("uslgb", [one]), [one])
    assert (refused.status_code, "deny-token-not-listed" in refused.text) == (403, True)
    made = replace(hub.next_roster("uslgb", dict(hub.last["uslgb"].keys)), tokens=(id_of(hub, "uslgb"),))
    hub.apply(made)
    assert "leaf" in hub.post("uslgb", hub.statement("uslgb", [one]), [one]).json()
    assert held_by(hub, "uslgb") == {one["id"]}


def held_by(hub: SignedHub, member: str) -> set[str]:
    with hub.kit.client(member) as client:
        found = client.get(hub.kit.path("indicators", "objects/")).json()
    return {one["id"] for one in found.get("objects", [])}


def test_a_write_under_way_when_the_roster_drops_its_secret_is_refused(
    hub: SignedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch(hub)
    for member in ("uslgb", "uslax"):
        roster_of(hub, member, id_of(hub, member))
    store: Any = hub.kit.hub.writer
    publish, done = store.publish, list[int]()

    def late(request: Any) -> Any:
        if not done:
            done.append(1)
            roster_of(hub, "uslgb")
        return publish(request)

    monkeypatch.setattr(store, "publish", late)
    with hub.kit.client("uslgb") as client:
        answer = client.post(hub.kit.path("indicators", "objects/"), json={"objects": [indicator()]})
    assert answer.status_code == 403
    assert held(hub.kit) == set()


def test_why_and_audience_know_which_secrets_count(hub: SignedHub) -> None:
    switch(hub)
    roster_of(hub, "uslax", id_of(hub, "uslax"))
    hub.kit.mint("uslax", "second")
    where = f"{hub.kit.agreement}/indicators/"
    with hub.client("uslgb") as client:
        assert client.get(f"/why/{where}?action=read").json()["rule"] == "deny-token-not-listed"
        assert client.get(f"/audience/{where}").status_code == 403
    with hub.client("uslax") as client:
        assert client.get(f"/why/{where}?action=read").json()["allowed"]
        second = client.get(f"/why/{where}?action=read&principal=uslax/second").json()
        readers = client.get(f"/audience/{where}").json()["readers"]
    assert second["rule"] == "deny-token-not-listed"
    assert [(one["member"], one["clients"]) for one in readers] == [("uslax", 1), ("uslgb", 0)]


def test_what_a_roster_lists_is_signed_with_it(hub: SignedHub) -> None:
    made = roster_of(hub, "uslgb", "some-credential")
    digest = hashlib.sha256(made.payload()).hexdigest()
    assert hub.kit.hub.signing is not None
    assert [one.digest for one in hub.kit.hub.signing.rosters(hub.kit.agreement)] == [digest]
