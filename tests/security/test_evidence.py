"""What a verifier found is kept as a file that somebody proves to himself who has neither hub nor state."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from lightship.cli.main import cli
from lightship.client import evidence
from lightship.client.evidence import Keeper
from lightship.client.following import bring_up
from lightship.client.hub import Client
from lightship.client.log_source import LogSource
from lightship.client.verified import opened, verified
from lightship.core.agreement.chain import key_text
from lightship.core.errors import BadFile
from lightship.core.log import merkle
from lightship.core.log.evidence import decode
from lightship.core.log.evidence_check import Judgement, judge
from lightship.core.log.findings import Failure, LogRefused
from lightship.crypto.sign import new_signing_key, verify
from logworld import connect
from simulator import AGREEMENT, Author, Simulator, inclusion_path, indicator


@pytest.fixture(name="hub")
def _hub() -> Simulator:
    hub = Simulator()
    for number in range(5):
        hub.publish("uslgb", indicator(number))
    return hub


class Witness:
    """A consumer that verifies and keeps its state, and evidence beside it."""

    def __init__(self, hub: Simulator, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.hub, self.state = hub, folder / "state"

    def look(self) -> list[Path]:
        """Look at what is new; return the files that were made of it."""
        keeper = Keeper(self.state)
        try:
            with opened(client_of(self.hub), "any", self.state, now=self.hub.clock, keeper=keeper) as (
                kept,
                source,
                _,
            ):
                bring_up(source, kept, self.hub.clock(), tell=False)
                kept.commit()
        except LogRefused:
            pass
        assert not keeper.problem
        return keeper.kept


def client_of(hub: Simulator) -> Client:
    """Return a client for which every collection is the simulated hub's."""
    target = SimpleNamespace(root=AGREEMENT, id=hub.collection, path=f"/{AGREEMENT}/")
    found: Any = SimpleNamespace(connection=connect(hub), collection=lambda name: target)
    client: Client = found
    return client


@pytest.fixture(name="witness")
def _witness(hub: Simulator, tmp_path: Path) -> Witness:
    witness = Witness(hub, tmp_path / "evidence")
    assert witness.look() == []
    return witness


def judged(hub: Simulator, path: Path) -> Judgement:
    """Judge a file as somebody who knows the hub's key, and nothing else."""
    return judge(decode(path.read_bytes()), [hub.key.keyid], verify)


def test_a_key_that_signed_two_statements_under_one_number_cannot_deny_it(
    hub: Simulator, witness: Witness
) -> None:
    author = hub.authors["uslgb"]
    twin = Author("uslgb", author.key, author.seq, author.prev)
    hub.log("uslgb", author.sign(hub, [indicator(7)]), [indicator(7)])
    hub.log("uslgb", twin.sign(hub, [indicator(8)]), [indicator(8)])
    (path,) = witness.look()
    found = judged(hub, path)
    assert found.proved, found.verdict
    assert f"number 6 of key {author.key.keyid}, of uslgb" in found.says
    assert witness.look() == []
    assert path.name.startswith("equivocation-")


def test_a_hub_that_logged_a_statement_twice_cannot_deny_it(hub: Simulator, witness: Witness) -> None:
    envelope = hub.authors["uslgb"].sign(hub, [indicator(7)])
    first = hub.log("uslgb", envelope, [indicator(7)])
    second = hub.log("uslgb", envelope, [indicator(7)])
    (path,) = witness.look()
    found = judged(hub, path)
    assert found.proved, found.verdict
    assert f"entries {first} and {second}" in found.says


def test_a_hub_that_logged_two_contents_of_a_version_cannot_deny_it(hub: Simulator, witness: Witness) -> None:
    hub.attest("uslgb", indicator(7))
    hub.attest("uslgb", indicator(7, name="something else"))
    (path,) = witness.look()
    found = judged(hub, path)
    assert found.proved, found.verdict
    assert indicator(7)["id"] in found.says


def test_a_hub_that_shows_another_log_of_the_same_size_cannot_deny_it(
    hub: Simulator, witness: Witness
) -> None:
    hub.entries = hub.entries[:-1]
    hub.attest("uslax", indicator(6))
    (path,) = witness.look()
    found = judged(hub, path)
    assert found.proved, found.verdict
    assert "both of 8 entries" in found.says


@pytest.mark.parametrize("more", [0, 3, -3], ids=["equal", "theirs is shorter", "theirs is longer"])
def test_two_consumers_who_were_shown_different_logs_prove_it_to_others(
    hub: Simulator, tmp_path: Path, more: int
) -> None:
    fork = Simulator(key=hub.key)
    fork.entries, fork.envelopes, fork.digests = hub.entries[:-1], hub.envelopes, hub.digests
    fork.attest("uslax", indicator(6))
    for number in range(abs(more)):
        (hub if more > 0 else fork).attest("uslax", indicator(100 + number))
    keeper = Keeper(tmp_path / "state")
    note = fork.sign_note()
    with (
        pytest.raises(LogRefused) as refused,
        verified(client_of(hub), "any", tmp_path / "state", now=hub.clock, keeper=keeper, compare=[note]),
    ):
        pass
    assert refused.value.finding.failure is Failure.SPLIT_VIEW
    (path,) = keeper.kept
    assert refused.value.details["evidence"] == str(path)
    found = judged(hub, path)
    if more < 0:
        assert "ask it for the proof" in found.verdict, "this hub never shows the log that others saw"
    else:
        assert found.proved, found.verdict


@pytest.mark.parametrize("size", [8, 255, 256, 300])
def test_a_hub_that_rewrote_what_it_had_signed_cannot_deny_it(
    hub: Simulator, tmp_path: Path, size: int
) -> None:
    while len(hub.entries) < size:
        hub.attest("uslax", indicator(len(hub.entries)))
    witness = Witness(hub, tmp_path / "evidence")
    assert witness.look() == []
    del hub.entries[4]
    for number in range(3):
        hub.attest("uslax", indicator(1000 + number))
    (path,) = witness.look()
    found = judged(hub, path)
    assert found.proved, found.verdict
    assert f"the first {size} entries of that with {size + 2}" in found.says


def test_a_hub_that_hides_its_hashes_is_not_proved_dishonest_and_has_to_explain_itself(
    hub: Simulator, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    del hub.entries[4]
    for number in range(3):
        hub.attest("uslax", indicator(1000 + number))
    monkeypatch.setattr(Simulator, "_hashes", lambda self, level: [b"\0" * 32] * 10)
    (path,) = witness.look()
    found = judged(hub, path)
    assert not found.proved
    assert "ask it for the proof" in found.verdict


def test_a_log_that_goes_on_is_no_evidence_although_its_entries_came_garbled(
    hub: Simulator, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.attest("uslax", indicator(6))
    hashes = [merkle.leaf_hash(one) for one in hub.entries]
    hub.note = hub.sign_note()
    hub.entries[-1] += b" "
    monkeypatch.setattr(Simulator, "_hashes", lambda self, level: hashes)
    assert witness.look() == []


def test_what_a_file_says_is_not_believed_without_the_key_that_somebody_knows(
    hub: Simulator, witness: Witness, tmp_path: Path
) -> None:
    hub.attest("uslgb", indicator(7))
    hub.attest("uslgb", indicator(7, name="something else"))
    (path,) = witness.look()
    keys = tmp_path / "hub.keys"
    keys.write_text(key_text(hub.key.public))
    run = CliRunner()
    done = run.invoke(cli, ["evidence", "verify", str(path), "--root", str(keys)], standalone_mode=False)
    assert (done.return_value, done.stdout.startswith("PROVED: the hub logged two contents")) == (0, True)
    done = run.invoke(cli, ["evidence", "verify", str(path)], standalone_mode=False)
    assert (done.return_value, done.stdout.startswith("NOT PINNED: ")) == (1, True)
    keys.write_text(key_text(new_signing_key().public))
    done = run.invoke(
        cli, ["evidence", "verify", str(path), "--root", str(keys), "--json"], standalone_mode=False
    )
    said = json.loads(done.stdout)
    assert (done.return_value, said["proved"], said["findings"][0]["where"]) == (1, False, "versions[0]")
    path.write_bytes(path.read_bytes()[:-20])
    done = run.invoke(cli, ["evidence", "verify", str(path)], standalone_mode=False)
    assert (done.return_value, "NOT PROVED: JSON" in done.stdout) == (1, True)


def test_what_an_outbox_keeps_proves_that_the_hub_accepted_a_statement(
    hub: Simulator, tmp_path: Path
) -> None:
    index = hub.publish("uslgb", indicator(7))
    proof = {
        "publication": {},
        "index": index,
        "leaf": b64encode(hub.entries[index]).decode(),
        "proof": [b64encode(one).decode() for one in inclusion_path(hub.entries, index)],
        "checkpoint": hub.sign_note().decode(),
    }
    path = tmp_path / "proof.json"
    path.write_text(json.dumps(proof))
    assert evidence.collection_of(path) == hub.collection
    source = LogSource(connect(hub), AGREEMENT, hub.collection)
    kept = evidence.keep(tmp_path, evidence.of_delivery(path, source))
    found = judged(hub, kept)
    assert found.proved, found.verdict
    assert f"entry {index}" in found.says
    assert "signed by uslgb" in found.says
    path.write_text(json.dumps(proof | {"index": index - 1}))
    kept = evidence.keep(tmp_path, evidence.of_delivery(path, source))
    assert judged(hub, kept).findings[0][0] == "entries[0]"
    for wrong in ("", "{}", json.dumps(proof | {"leaf": "AAAA"}), json.dumps(proof | {"proof": 7})):
        path.write_text(wrong)
        with pytest.raises(BadFile):
            evidence.of_delivery(path, source)
