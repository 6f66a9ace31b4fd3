"""Settings: the environment over the file over safe defaults; every mistake named, no value repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightship.core.errors import BadFile, StewardError
from lightship.settings import MIB, Settings, is_loopback, load_settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"LIGHTSHIP_{name.upper()}", raising=False)


def hub(folder: Path, text: str) -> Path:
    (folder / "lightship.toml").write_text(text, "utf-8")
    return folder


def test_an_empty_file_gives_the_safe_defaults(tmp_path: Path) -> None:
    settings = load_settings(hub(tmp_path, ""))
    assert settings.public_url == "https://localhost:9443"
    assert settings.listen_address == ("127.0.0.1", 9443)
    assert settings.max_content_length == 16 * MIB
    assert (settings.page_default, settings.page_max) == (1000, 10_000)
    assert (settings.throttle_failures, settings.throttle_window_s) == (20, 300)
    assert settings.tls_cert == tmp_path / "tls/server.pem"
    assert settings.host == "localhost"


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTSHIP_PAGE_DEFAULT", "7")
    monkeypatch.setenv("LIGHTSHIP_HUB", "/elsewhere")  # the command line's own, no setting
    settings = load_settings(hub(tmp_path, "page_default = 5\npage_max = 9\n"))
    assert (settings.page_default, settings.page_max) == (7, 9)


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = load_settings(hub(tmp_path, ""))
    with pytest.raises(ValueError, match="frozen"):
        settings.page_max = 1


def test_a_certificate_elsewhere_stays_where_it_is(tmp_path: Path) -> None:
    assert load_settings(hub(tmp_path, 'tls_cert = "/etc/x.pem"')).tls_cert == Path("/etc/x.pem")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("\npage_maxx = 5", 2, "no setting with this name"),
        ("page_max = 0", 1, "greater than or equal to 1"),
        ('page_max = "many"', 1, "valid integer"),
        ("page_max = 5", 0, "page_default is larger"),
        ("credential_days = 3000", 0, "credential_days_max"),
        ("max_content_length = 10", 1, "greater than or equal to 1024"),
        ('public_url = "http://hub.example"', 1, "http is for loopback"),
        ('public_url = "https://hub.example/taxii2"', 1, "only scheme, host and port"),
        ('public_url = "https://u:p@hub.example"', 1, "only scheme, host and port"),
        ('public_url = "https://"', 1, "names no host"),
        ('public_url = "https://x:99999"', 1, "Port out of range"),
        ('listen = "9443"', 1, "address:port"),
        ('listen = "127.0.0.1:x"', 1, "address:port"),
        ('listen = "127.0.0.1:70000"', 1, "address:port"),
        ("title = ''", 1, "at least 1 character"),
        ("\n\npage_max = [", 3, "not TOML"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(BadFile) as caught:
        load_settings(hub(tmp_path, text))
    assert words in str(caught.value)
    assert caught.value.line == line


def test_all_mistakes_are_named_and_no_value_is_repeated(tmp_path: Path) -> None:
    with pytest.raises(BadFile) as caught:
        load_settings(hub(tmp_path, 'a = 1\npassword = "hunter2"\nlisten = "hunter2"'))
    said = str(caught.value)
    assert "hunter2" not in said
    assert all(part in said for part in ("line 1: `a`", "line 2: `password`", "line 3: `listen`"))


def test_a_directory_without_a_hub_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StewardError, match="lightship init"):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.9.9.9", True), ("[::1]", True), ("0.0.0.0", False), ("localhost.x", False)],
)
def test_what_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in Settings.model_fields.values())
