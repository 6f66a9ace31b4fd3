"""A new hub: private to its user, complete, without a default account, and never made over another one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lightship import data
from lightship.core.errors import BadFile, Conflict, MalformedRequest
from lightship.core.time import Micros
from lightship.crypto import certificates
from lightship.keys.authority import KeyMaker
from lightship.keys.hub_key import load_cursor_key, load_hub_key
from lightship.settings import load_settings
from lightship.usecases.initialise import Initialised, init_hub

NOW = Micros(1_780_000_000_000_000)
DAY = 86_400 * 1_000_000
KEYS = KeyMaker(data.cert_profile)


def init(hub: Path, url: str = "https://localhost:9443", **more: object) -> Initialised:
    return init_hub(hub, url, keys=KEYS, cursor_key=bytes(32), now=NOW, **more)  # type: ignore[arg-type]  # any argument by name


def pair(folder: Path, *hosts: str, at: int = NOW, mode: int = 0o600) -> tuple[Path, Path]:
    profile = certificates.read_profile(data.cert_profile("server"))
    made = certificates.issue(profile, hosts, Micros(at))
    for name, content in (("own.pem", made.certificate), ("own.key", made.key)):
        (folder / name).write_bytes(content)
        (folder / name).chmod(mode)
    return folder / "own.pem", folder / "own.key"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_everything_is_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        init(tmp_path / "hub")
    finally:
        os.umask(before)
    modes = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode)
        for path in [tmp_path / "hub", *(tmp_path / "hub").rglob("*")]
    }
    assert modes == {
        "hub": 0o700,
        "hub/agreements": 0o700,
        "hub/data": 0o700,
        "hub/data/backups": 0o700,
        "hub/keys": 0o700,
        "hub/keys/cursor.key": 0o400,
        "hub/keys/hub.key": 0o400,
        "hub/lightship.toml": 0o600,
        "hub/tls": 0o700,
        "hub/tls/ca.key": 0o400,
        "hub/tls/ca.pem": 0o600,
        "hub/tls/server.key": 0o400,
        "hub/tls/server.pem": 0o600,
    }


def test_a_new_hub_can_be_loaded(tmp_path: Path) -> None:
    done = init(tmp_path / "deep" / "hub", "https://hub.example:9443/")
    settings = load_settings(done.dir)
    assert settings.public_url == done.public_url == "https://hub.example:9443"
    assert settings.listen == done.listen
    assert done.hub_key.startswith("ed25519:")
    assert load_hub_key(done.dir).public
    assert load_cursor_key(done.dir) == bytes(32)
    certificates.check_pair(settings.tls_cert.read_bytes(), settings.tls_key.read_bytes(), NOW)
    assert done.ca == done.dir / "tls/ca.pem"
    assert not done.warnings


def test_two_hubs_share_no_key(tmp_path: Path) -> None:
    for name in ("a", "b"):
        init(tmp_path / name)
    for key in ("keys/hub.key", "tls/ca.key", "tls/server.key"):
        assert (tmp_path / "a" / key).read_bytes() != (tmp_path / "b" / key).read_bytes()


@pytest.mark.parametrize(
    ("url", "listen"),
    [
        ("https://localhost:9443", "127.0.0.1:9443"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("https://[::1]:9443", "[::1]:9443"),
        ("https://hub.example", "0.0.0.0:443"),
    ],
)
def test_a_loopback_hub_listens_on_loopback_only(tmp_path: Path, url: str, listen: str) -> None:
    assert init(tmp_path / "hub", url).listen == listen
    assert load_settings(tmp_path / "hub").listen == listen


def test_the_address_to_listen_on_can_be_given(tmp_path: Path) -> None:
    assert init(tmp_path / "hub", "https://hub.example", listen="127.0.0.1:1").listen == "127.0.0.1:1"


BAD_URLS = (
    *("", "hub.example", "ftp://x", "http://hub.example", "https://x/y", "https://x?y"),
    *("https://u:p@x", "https://x:99999", "https://"),
)


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_url_that_cannot_be_is_refused_and_nothing_is_made(tmp_path: Path, url: str) -> None:
    with pytest.raises(MalformedRequest, match="public URL"):
        init(tmp_path / "hub", url)
    assert not (tmp_path / "hub").exists()


def test_an_existing_hub_is_never_touched(tmp_path: Path) -> None:
    init(tmp_path / "hub")
    before = {path: path.read_bytes() for path in (tmp_path / "hub").rglob("*") if path.is_file()}
    with pytest.raises(Conflict, match="already"):
        init(tmp_path / "hub", "https://other.example")
    assert {path: path.read_bytes() for path in before} == before


def test_an_interrupted_init_is_run_again(tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    init(hub)
    (hub / "lightship.toml").unlink()
    old = (hub / "keys/hub.key").read_bytes()
    init(hub)
    assert (hub / "keys/hub.key").read_bytes() != old


@pytest.mark.parametrize("name", ["notes.txt", "data/hub.db", ".git/config"])
def test_a_directory_with_other_things_is_refused(tmp_path: Path, name: str) -> None:
    hub = tmp_path / "hub"
    (hub / name).parent.mkdir(parents=True)
    (hub / name).write_bytes(b"")
    with pytest.raises(Conflict, match="not empty"):
        init(hub)
    assert not (hub / "keys").exists()


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "hub").write_bytes(b"")
    with pytest.raises(Conflict, match="not a directory"):
        init(tmp_path / "hub")


def test_a_given_certificate_is_used_where_it_lies(tmp_path: Path) -> None:
    certificate, key = pair(tmp_path, "hub.example")
    done = init(tmp_path / "hub", "https://hub.example", tls_cert=certificate, tls_key=key)
    settings = load_settings(done.dir)
    assert (settings.tls_cert, settings.tls_key) == (certificate, key)
    assert done.ca is None
    assert not done.warnings
    assert not list((done.dir / "tls").iterdir())


def test_a_given_certificate_is_looked_at(tmp_path: Path) -> None:
    certificate, key = pair(tmp_path, "other.example", at=NOW - 380 * DAY, mode=0o644)
    done = init(tmp_path / "hub", "https://hub.example", tls_cert=certificate, tls_key=key)
    said = " ".join(done.warnings)
    for words in ("not for hub.example", "less than 30 days", "read by others"):
        assert words in said


def test_a_certificate_that_cannot_be_used_makes_no_hub(tmp_path: Path) -> None:
    certificate, key = pair(tmp_path, "hub.example", at=NOW - 400 * DAY)
    for cert_path, key_path, words in (
        (certificate, key, "expired"),
        (key, key, "no PEM certificate"),
        (certificate, certificate, "not an unencrypted PEM key"),
        (tmp_path / "none", key, "cannot be read"),
    ):
        with pytest.raises(BadFile, match=words):
            init(tmp_path / "hub", "https://hub.example", tls_cert=cert_path, tls_key=key_path)
    with pytest.raises(MalformedRequest, match="comes with its key"):
        init(tmp_path / "hub", "https://hub.example", tls_cert=certificate)
    assert not (tmp_path / "hub").exists()
