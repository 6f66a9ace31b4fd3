"""Data that ships with Lightship: policies, certificate profiles, and the OASIS STIX schemas.

In an installed wheel the policies and profiles lie in `lightship/_data`; in a checkout (an editable install)
they are `policies/` and `certs/profiles/` beside `service/`. The STIX schemas lie in the `stix2-validator`
wheel, of which only the files are read: its code is never imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from lightship.core.errors import StewardError

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent.parent
SCHEMA_FOLDERS = ("schemas-2.1/schemas", "schemas-2.0/schemas")


def policies_dir() -> Path:
    """Return the folder of the shipped policies: `base/`, `agreements/`, `markings/`, `tests/`.

    Raises:
        StewardError: the installation is incomplete.
    """
    return _folder("policies", _CHECKOUT / "policies")


def cert_profile(name: str) -> str:
    """Return the text of a shipped certificate profile (TOML), such as `server`.

    Raises:
        StewardError: no profile has that name, or the installation is incomplete.
    """
    folder = _folder("certs", _CHECKOUT / "certs" / "profiles")
    known = {path.stem: path for path in folder.glob("*.toml")}
    if name not in known:
        raise StewardError(
            f"There is no certificate profile {name!r}", todo=f"Use one of: {', '.join(sorted(known))}"
        )
    return known[name].read_text(encoding="utf-8")


@cache
def stix_schemas() -> Mapping[str, bytes]:
    """Return the OASIS schemas of STIX 2.1 and 2.0 by their path, `schemas-2.1/schemas/sdos/indicator.json`.

    Raises:
        StewardError: the wheel that holds them is missing or holds none.
    """
    spec = find_spec("stix2validator")  # a top-level package is found without running it
    found: dict[str, bytes] = {}
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        for folder in SCHEMA_FOLDERS:
            for path in sorted((root / folder).rglob("*.json")):
                found[path.relative_to(root).as_posix()] = path.read_bytes()
    if not found:
        raise StewardError(
            "The STIX schemas are missing",
            why="they ship in the wheel stix2-validator 3.2.0, which is not installed or holds none",
            todo="Install Lightship again with its locked requirements",
        )
    return MappingProxyType(found)


@cache
def extension_schemas() -> Mapping[str, bytes]:
    """Return the JSON schemas of Lightship's STIX extensions by file name, `maritime-context-1.0.json`.

    Raises:
        StewardError: the installation is incomplete.
    """
    paths = sorted((policies_dir() / "extensions").glob("*-1.0.json"))
    return MappingProxyType({path.name: path.read_bytes() for path in paths})


def extension_definitions() -> bytes:
    """Return the STIX bundle of the extension-definition objects and the identity that defines them.

    Raises:
        StewardError: the installation is incomplete.
    """
    return (policies_dir() / "extensions" / "definitions.json").read_bytes()


def _folder(packaged: str, checkout: Path) -> Path:
    for path in (_PACKAGE / "_data" / packaged, checkout):
        if path.is_dir():
            return path
    raise StewardError(
        f"The shipped data folder {packaged!r} is missing",
        why="the installation is incomplete",
        todo="Install Lightship again",
    )
