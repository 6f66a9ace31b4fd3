"""Profiles hold no secret, secrets are files that only their owner reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightship.client import NoProfile, Profile, config_dir, load_profile, save_profile
from lightship.core.errors import BadFile, MalformedRequest


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_secret_from_stdin_lies_in_a_file_of_its_own(tmp_path: Path) -> None:
    directory = tmp_path / "lightship"
    save_profile(directory, Profile("soc", "https://hub.example", "uslax"), "ls1_abc", make_default=True)
    assert "ls1_abc" not in (directory / "profiles.toml").read_text()
    assert mode(directory) == 0o700
    assert mode(directory / "profiles.toml") == 0o600
    assert mode(directory / "secrets" / "soc") == 0o600
    assert load_profile(directory).secret({}) == "ls1_abc"


def test_a_profile_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    odd = Profile("a", 'https://x.example/"\\', "u\t1", Path("/a b/s"), "", Path('/c"a.pem'))
    env = Profile("b", "https://y.example", "u", None, "HUB_SECRET")
    save_profile(tmp_path, odd, None, make_default=True)
    save_profile(tmp_path, env, None, make_default=False)
    assert load_profile(tmp_path) == odd
    assert load_profile(tmp_path, "b") == env
    assert load_profile(tmp_path, "b").secret({"HUB_SECRET": " s \n"}) == "s"


def test_a_missing_profile_or_secret_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoProfile, match="lightship login"):
        load_profile(tmp_path)
    save_profile(tmp_path, Profile("b", "https://y.example", "u", None, "HUB"), None, make_default=True)
    with pytest.raises(NoProfile, match="known are: b"):
        load_profile(tmp_path, "c")
    with pytest.raises(NoProfile, match="HUB is not set"):
        load_profile(tmp_path).secret({})
    with pytest.raises(MalformedRequest, match="profile name"):
        save_profile(tmp_path, Profile("a]\nb", "https://y.example", "u"), "x", make_default=True)


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("ls1_abc\n")
    secret.chmod(0o644)
    profile = Profile("a", "https://y.example", "u", secret)
    with pytest.raises(BadFile, match="chmod 600"):
        profile.secret({})
    secret.chmod(0o600)
    assert profile.secret({}) == "ls1_abc"
    secret.write_text("\n")
    with pytest.raises(BadFile, match="empty"):
        profile.secret({})
    secret.unlink()
    with pytest.raises(BadFile, match="cannot be read"):
        profile.secret({})


def test_profiles_that_are_no_toml_are_named(tmp_path: Path) -> None:
    (tmp_path / "profiles.toml").write_text("[profiles.a]\nuser = 1\n")
    with pytest.raises(BadFile, match=r"profiles\.toml"):
        load_profile(tmp_path, "a")


def test_the_directory_follows_xdg() -> None:
    assert config_dir({"XDG_CONFIG_HOME": "/x"}) == Path("/x/lightship")
    assert config_dir({"XDG_CONFIG_HOME": "relative"}) == Path.home() / ".config" / "lightship"
