"""The marking definitions in `policies/markings` are those that the hub knows, byte for byte in JCS form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lightship.core.stix.json import canonical
from lightship.core.stix.markings import LEVEL_OF, SHIPPED, level_of
from lightship.data import policies_dir

FILES = sorted((policies_dir() / "markings").glob("*.json"))


def test_the_files_hold_every_definition_with_a_level_once() -> None:
    found = [one["id"] for path in FILES for one in json.loads(path.read_text())["objects"]]
    assert sorted(found) == sorted(LEVEL_OF)


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_each_definition_is_the_one_that_the_hub_takes(path: Path) -> None:
    for one in json.loads(path.read_text())["objects"]:
        assert canonical(one) == SHIPPED[one["id"]]
        assert level_of({"object_marking_refs": [one["id"]]}) is LEVEL_OF[one["id"]]
