"""Data that ships: found in a checkout and in an installed package, and read without running foreign code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lightship import data
from lightship.core.errors import StewardError


def test_the_stix_schemas_of_both_versions_are_there_and_are_json() -> None:
    schemas = data.stix_schemas()
    assert "schemas-2.1/schemas/sdos/indicator.json" in schemas
    assert "schemas-2.0/schemas/sdos/indicator.json" in schemas
    assert len(schemas) == 103
    assert all(json.loads(text)["$id"] for text in schemas.values())


def test_reading_the_schemas_runs_no_code_of_the_wheel() -> None:
    code = (
        "import sys; from lightship.data import stix_schemas; assert stix_schemas();"
        "assert not {'stix2validator', 'stix2patterns', 'requests'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_checkout_and_a_package_are_both_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "lightship"
    monkeypatch.setattr(data, "_PACKAGE", package)
    monkeypatch.setattr(data, "_CHECKOUT", tmp_path)
    with pytest.raises(StewardError, match="incomplete"):
        data.policies_dir()
    (tmp_path / "policies").mkdir()
    monkeypatch.undo()
    monkeypatch.setattr(data, "_PACKAGE", package)
    assert data.policies_dir().name == "policies"
    (package / "_data" / "policies").mkdir(parents=True)
    (package / "_data" / "certs").mkdir()
    (package / "_data" / "certs" / "server.toml").write_text("days = 90\n")
    assert data.policies_dir() == package / "_data" / "policies"
    assert data.cert_profile("server") == "days = 90\n"
    with pytest.raises(StewardError, match="no certificate profile"):
        data.cert_profile("../server")


def test_a_missing_wheel_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "find_spec", lambda _name: None)
    data.stix_schemas.cache_clear()
    with pytest.raises(StewardError, match=r"stix2-validator 3\.2\.0"):
        data.stix_schemas()
    monkeypatch.undo()
    data.stix_schemas.cache_clear()
    assert data.stix_schemas()
