"""The private authority: renews in time, keeps the key, never touches what the steward brought."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightship import data
from lightship.core.errors import BadFile
from lightship.core.time import Micros
from lightship.crypto import certificates
from lightship.crypto.client_certificates import read_pin
from lightship.keys.authority import KeyMaker, names_for, renew_if_due
from lightship.usecases.initialise import init_hub

NOW = Micros(1_780_000_000_000_000)
DAY = 86_400 * 1_000_000


@pytest.fixture(name="hub")
def _hub(tmp_path: Path) -> Path:
    hub = tmp_path / "hub"
    keys = KeyMaker(data.cert_profile)
    init_hub(hub, "https://hub.example:9443", keys=keys, cursor_key=bytes(32), now=NOW)
    return hub


def renew(hub: Path, days: int, host: str = "hub.example") -> object:
    return renew_if_due(hub, host, data.cert_profile, Micros(NOW + days * DAY))


def test_nothing_is_renewed_before_it_is_due(hub: Path) -> None:
    before = (hub / "tls/server.pem").read_bytes()
    assert renew(hub, 0) is None
    assert renew(hub, 366) is None
    assert (hub / "tls/server.pem").read_bytes() == before


def test_a_renewal_keeps_the_key_so_that_pair_and_pin_stay(hub: Path) -> None:
    pin = read_pin((hub / "tls/server.pem").read_bytes(), Micros(NOW)).pin
    key = (hub / "tls/server.key").read_bytes()
    done = renew_if_due(hub, "hub.example", data.cert_profile, Micros(NOW + 368 * DAY))
    assert done is not None
    assert done.not_after > NOW + 760 * DAY
    certificate = (hub / "tls/server.pem").read_bytes()
    certificates.check_pair(certificate, key, Micros(NOW + 700 * DAY))
    assert read_pin(certificate, Micros(NOW)).pin == pin
    assert (hub / "tls/server.key").read_bytes() == key
    assert renew(hub, 369) is None


def test_an_expired_certificate_is_renewed_too(hub: Path) -> None:
    assert renew(hub, 1000) is not None


def test_the_authority_does_not_sign_for_a_new_host_it_is_not_for(hub: Path) -> None:
    with pytest.raises(BadFile, match=r"not for other\.example"):
        renew(hub, 0, "other.example")


def test_an_authority_at_its_end_says_so(hub: Path) -> None:
    with pytest.raises(BadFile, match="expires soon"):
        renew(hub, 3640)


def test_a_certificate_of_the_stewards_own_is_left_alone(hub: Path) -> None:
    (hub / "tls/ca.key").unlink()
    assert renew(hub, 1000) is None


def test_damaged_files_are_named(hub: Path) -> None:
    (hub / "tls/server.pem").write_bytes(b"none")
    with pytest.raises(BadFile, match=r"server\.pem"):
        renew(hub, 0)
    (hub / "tls/server.pem").unlink()
    with pytest.raises(BadFile, match=r"server\.pem"):
        renew(hub, 0)


def test_names_come_once_with_the_host_first() -> None:
    assert names_for("localhost") == ("localhost", "127.0.0.1", "::1")
    assert names_for("hub.example")[0] == "hub.example"
