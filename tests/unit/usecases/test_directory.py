"""The directory: fresh on every epoch, verified, and one damaged agreement does not take the others along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from governance_samples import NOW, Hub
from lightship.core.access import Credential, CredentialKind
from lightship.core.ports import SignedAgreement, SignedSuspension
from lightship.crypto.sign import new_signing_key, verify
from lightship.usecases import credentials
from lightship.usecases.directory import Directory


class Counting:
    """A registry over another one, which counts and can alter what it gives."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.loads = 0
        self.lookups = 0
        self.altered: dict[str, tuple[SignedAgreement, ...]] = {}

    def epoch(self) -> int:
        return self.hub.store.epoch()

    def chain(self, agreement: str) -> Sequence[SignedAgreement]:
        self.loads += 1
        return self.altered.get(agreement) or self.hub.store.chain(agreement)

    def suspensions(self, agreement: str) -> Sequence[SignedSuspension]:
        return self.hub.store.suspensions(agreement)

    def suspend(self, signed: SignedSuspension, event: object) -> None:
        raise AssertionError("the directory writes nothing")

    def agreement_ids(self) -> Sequence[str]:
        return self.hub.store.agreement_ids()

    def collection_numbers(self) -> Mapping[str, int]:
        return self.hub.store.collection_numbers()

    def credential_by_digest(self, digest: bytes, kind: CredentialKind = "secret") -> Credential | None:
        self.lookups += 1
        return self.hub.store.credential_by_digest(digest, kind)

    def credentials(self, agreement: str | None = None) -> Sequence[Credential]:
        return self.hub.store.credentials(agreement)

    def activate(
        self,
        signed: SignedAgreement,
        collections: Sequence[str],
        event: object,
        *,
        admits: object,
        withdraw: object,
    ) -> None:
        raise AssertionError("the directory writes nothing")

    def put_credential(self, credential: Credential, event: object) -> None:
        raise AssertionError("the directory writes nothing")


def hub_with_two() -> Hub:
    hub = Hub()
    hub.apply(hub.text())
    other = hub.text().replace('"la-lb-mou"', '"other"').replace("8aaa-aaaaaaaaaa", "8bbb-bbbbbbbbbb")
    hub.apply(other)
    return hub


def mint(hub: Hub, name: str = "tool") -> credentials.Minted:
    return credentials.mint(
        hub.store,
        hub.directory.view(),
        credentials.Order("la-lb-mou", "uslax", name),
        entropy=name.encode().ljust(32, b"."),
        credential_id=f"id-{name}",
        req=hub.req(),
        now=NOW,
    )


def test_collections_are_found_by_id_and_by_alias_within_their_agreement() -> None:
    view = hub_with_two().directory.view()
    found = view.collection("la-lb-mou", "indicators")
    assert found is not None
    assert found is view.collection("la-lb-mou", found.id)
    assert view.collection("other", found.id) is None
    assert view.collection("other", "indicators") is not found
    assert view.collection("la-lb-mou", "Indicators") is None
    assert view.collection("nobody", "indicators") is None


def test_nothing_is_loaded_again_while_the_epoch_stands() -> None:
    counting = Counting(hub_with_two())
    directory = Directory(counting, verify)
    view = directory.view()
    loads = counting.loads
    assert all(directory.view() is view for _ in range(5))
    assert counting.loads == loads


def test_removed_collections_are_looked_for_once_an_epoch() -> None:
    hub = hub_with_two()
    text = hub.text()
    begin = text.index("[collections.warnings]")
    end = text.find("[collections.", begin + 1)
    hub.apply(text[:begin] + (text[end:] if end > 0 else ""))
    counting = Counting(hub)
    directory = Directory(counting, verify)
    view = directory.view()
    assert [(one.id, gone.alias) for one, gone in directory.removed(view)] == [("la-lb-mou", "warnings")]
    loads = counting.loads
    assert len(directory.removed(view)) == 1
    assert counting.loads == loads, "every chain is read for it"
    hub.apply(text)
    assert not directory.removed(directory.view())


def test_a_new_version_counts_at_once_also_when_somebody_else_made_it() -> None:
    hub = hub_with_two()
    reader = Directory(hub.store, verify)
    assert reader.view().agreements["la-lb-mou"].title.startswith("Cyber")
    hub.apply(hub.text().replace("Cybersecurity sharing", "Sharing"))
    after = reader.view().agreements["la-lb-mou"]
    assert (after.version, after.title) == (2, "Sharing, San Pedro Bay")


def test_a_revoked_credential_is_seen_as_revoked_on_the_next_view() -> None:
    hub = hub_with_two()
    reader = Directory(hub.store, verify)
    minted = mint(hub)
    view = reader.view()
    first = reader.credential(view, minted.secret.digest)
    assert first is not None
    assert first.revoked is None
    credentials.revoke(hub.store, first.name, req=hub.req(), now=NOW)
    again = reader.credential(reader.view(), minted.secret.digest)
    assert again is not None
    assert again.revoked == NOW


def test_a_credential_is_looked_up_once_an_epoch_and_guesses_are_not_kept() -> None:
    hub = hub_with_two()
    minted = mint(hub)
    counting = Counting(hub)
    directory = Directory(counting, verify)
    view = directory.view()
    for _ in range(3):
        assert directory.credential(view, minted.secret.digest) is not None
    assert counting.lookups == 1
    for _ in range(3):
        assert directory.credential(view, b"guess") is None
    assert counting.lookups == 4


def test_an_old_view_never_answers_from_a_newer_cache() -> None:
    hub = hub_with_two()
    minted = mint(hub)
    counting = Counting(hub)
    directory = Directory(counting, verify)
    old = directory.view()
    mint(hub, "second")
    new = directory.view()
    directory.credential(new, minted.secret.digest)
    lookups = counting.lookups
    assert directory.credential(old, minted.secret.digest) is not None
    assert counting.lookups == lookups + 1


def test_an_altered_agreement_is_not_served_and_the_others_are() -> None:
    hub = hub_with_two()
    counting = Counting(hub)
    (link,) = hub.store.chain("other")
    counting.altered["other"] = (replace(link, payload=link.payload.replace(b"Tokyo", b"Kyoto")),)
    view = Directory(counting, verify).view()
    assert set(view.agreements) == {"la-lb-mou"}
    assert "does not hold" in view.damaged["other"]
    assert view.collection("other", "indicators") is None


def test_an_agreement_is_not_served_with_other_rules_than_those_that_were_signed() -> None:
    hub = hub_with_two()
    counting = Counting(hub)
    (link,) = hub.store.chain("other")
    counting.altered["other"] = (replace(link, rules=b"// looser"),)
    view = Directory(counting, verify).view()
    assert set(view.agreements) == {"la-lb-mou"}
    assert "not the signed ones" in view.damaged["other"]


def test_an_agreement_of_another_hubs_key_is_not_served_where_the_key_is_pinned() -> None:
    hub = hub_with_two()
    assert not Directory(hub.store, verify, pinned_key=new_signing_key().keyid).view().agreements
    assert len(Directory(hub.store, verify, pinned_key=hub.key.keyid).view().agreements) == 2


def test_an_empty_hub_has_an_empty_view() -> None:
    view = Hub().directory.view()
    assert not view.agreements
    assert not view.damaged
