"""The oracles for STIX objects, stix2 and stix2-validator: one verdict each, and no way to the network."""

from __future__ import annotations

import copy
from typing import Any

import stix2
from stix2validator import ValidationOptions, validate_instance
from stix2validator.v20 import enums as enums_20
from stix2validator.v21 import enums as enums_21

for _enums in (enums_20, enums_21):  # they would fetch IANA's registries; without them, patterns decide
    _enums.media_types = list
    _enums.char_sets = list

_OPTIONS = {
    version: ValidationOptions(version=version, disabled=["all"], silent=True) for version in ("2.0", "2.1")
}


def stix2_takes(value: dict[str, Any], version: str = "2.1") -> bool:
    """True if stix2 parses it, custom content allowed."""
    try:
        stix2.parse(copy.deepcopy(value), allow_custom=True, version=version)
    except Exception:  # it crashes in many ways on what it does not expect; each is a no
        return False
    return True


def validator_takes(value: dict[str, Any], version: str = "2.1") -> bool:
    """True if stix2-validator finds no error; checks of what only SHOULD be are off."""
    try:
        return bool(validate_instance(copy.deepcopy(value), _OPTIONS[version]).is_valid)
    except Exception:  # it crashes in many ways on what it does not expect; each is a no
        return False
