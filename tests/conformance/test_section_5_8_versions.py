"""TAXII 2.1 section 5.8: versions of an object."""

from __future__ import annotations

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import extension_definition, indicator, software, statement_marking


@clause("5.8-created")
def test_versions_are_modified_else_created(hub: ProbeHub) -> None:
    one, mark = indicator(modified="2026-02-01T00:00:00Z"), statement_marking()
    hub.lgb.publish(one, mark)
    assert hub.lax.versions(one["id"]).json["versions"] == ["2026-02-01T00:00:00Z"]
    assert hub.lax.versions(mark["id"]).json["versions"] == [mark["created"]]


@clause("5.8-created")
def test_a_property_named_version_is_not_the_version(hub: ProbeHub) -> None:
    tool, extension = software(), extension_definition()
    hub.lgb.publish(tool, extension)
    assert hub.lax.versions(extension["id"]).json["versions"] == [extension["modified"]]
    assert hub.lax.versions(tool["id"]).json["versions"] == [hub.lax.versions(tool["id"]).first]


@clause("5.8.1-omit")
def test_without_versions_the_key_is_left_out(hub: ProbeHub) -> None:
    one = indicator()
    hub.lgb.publish(one)
    after = hub.lax.versions(one["id"]).last
    assert hub.lax.versions(one["id"], {"added_after": after}).ok().json in ({}, {"more": False})
