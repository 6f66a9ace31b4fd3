"""The marking definitions in `policies/markings` are those that the hub knows, byte for byte in JCS form."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lightship.core.errors import BadFile
from lightship.core.stix.json import canonical
from lightship.core.stix.markings import LEVEL_OF, SHIPPED, level_of
from lightship.data import policies_dir
from lightship.policy.files import load_policy

FILES = sorted((policies_dir() / "markings").glob("*.json"))


def test_the_files_hold_every_definition_with_a_level_once() -> None:
    found = [one["id"] for path in FILES for one in json.loads(path.read_text())["objects"]]
    assert sorted(found) == sorted(LEVEL_OF)


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_each_definition_is_the_one_that_the_hub_takes(path: Path) -> None:
    for one in json.loads(path.read_text())["objects"]:
        assert canonical(one) == SHIPPED[one["id"]]
        assert level_of({"object_marking_refs": [one["id"]]}) is LEVEL_OF[one["id"]]


def test_the_shipped_files_are_loaded() -> None:
    assert "allow-audience-read" in load_policy(policies_dir()).by_id


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('"objects": [', '"objects": {', 5, "is not JSON"),
        ('"objects": [', '"object": [', 1, "no STIX bundle"),
        ("TLP:GREEN", "TLP:GREENISH", 21, "differs from the published one"),
        ('"tlp_2_0": "red"', '"tlp_2_0": "clear"', 60, "differs from the published one"),
        ("marking-definition--bab4", "marking-definition--cab4", 21, "something else than TLP"),
        ("55d920b0-5e8b-4f79-9ee9-91f868d9b421", "bab4a63c-aed9-4cf5-a766-dfca5abac2bb", 34, "differs"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    shutil.copytree(policies_dir(), tmp_path / "policies")
    path = tmp_path / "policies" / "markings" / "tlp-2.json"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    with pytest.raises(BadFile) as caught:
        load_policy(tmp_path / "policies")
    assert words in str(caught.value)
    assert (caught.value.path, caught.value.line) == (str(path), line)
    assert "Put the file back" in str(caught.value)


def test_a_definition_that_is_missing_or_twice_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(policies_dir(), folder)
    shutil.copy(folder / "markings" / "tlp-1.json", folder / "markings" / "tlp-9.json")
    with pytest.raises(BadFile, match="stands twice"):
        load_policy(folder)
    (folder / "markings" / "tlp-9.json").unlink()
    (folder / "markings" / "tlp-1.json").unlink()
    with pytest.raises(BadFile, match="are missing"):
        load_policy(folder)
