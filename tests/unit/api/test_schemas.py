"""The schemas of the extensions over HTTP: as they ship, to everybody with a credential, logged."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from hubkit import HubKit, make_hub
from lightship.data import extension_definitions, extension_schemas


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubKit]:
    with make_hub(tmp_path_factory.mktemp("schemas")) as made:
        yield made


@pytest.mark.parametrize("path", ["/schemas/", "/schemas"])
def test_the_list_names_every_schema_and_holds_the_definitions(kit: HubKit, path: str) -> None:
    answer = kit.client("uslgb").get(path)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "schemas": [
            {"title": "maritime-context 1.0", "path": "/schemas/maritime-context-1.0.json"},
            {"title": "sharing-terms 1.0", "path": "/schemas/sharing-terms-1.0.json"},
        ],
        "definitions": json.loads(extension_definitions())["objects"],
    }


@pytest.mark.parametrize("name", extension_schemas())
def test_a_schema_comes_as_it_ships(kit: HubKit, name: str) -> None:
    before = len(kit.events())
    answer = kit.client("uslgb", headers={"Accept": "application/schema+json"}).get(f"/schemas/{name}")
    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.content == extension_schemas()[name]
    (event,) = kit.events()[before:]
    assert (event.act, event.who, event.st, event.why) == ("read-schema", "uslgb", 200, "allow-member-list")


@pytest.mark.parametrize("path", ["/schemas/", *(f"/schemas/{name}" for name in extension_schemas())])
def test_nobody_reads_them_without_a_credential(kit: HubKit, path: str) -> None:
    assert kit.client(None).get(path).status_code == 401


@pytest.mark.parametrize(
    "rest", ["maritime-context-1.1.json", "definitions.json", "../exercise/incidents.json", "x/", "%2e%2e/"]
)
def test_nothing_else_lies_there(kit: HubKit, rest: str) -> None:
    assert kit.client("uslgb").get(f"/schemas/{rest}").status_code == 404


def test_each_definition_points_to_a_path_that_is_served(kit: HubKit) -> None:
    with kit.client("uslgb") as client:
        for one in client.get("/schemas/").json()["definitions"]:
            if one["type"] == "extension-definition":
                path = f"/schemas/{one['name']}-{one['version']}.json"
                assert path in one["schema"]
                assert one["id"] in client.get(path).json()["description"]
