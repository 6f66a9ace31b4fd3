"""Profiles of remote hubs: `profiles.toml` with addresses and users, each secret in a file of its own.

Kept in `$XDG_CONFIG_HOME/lightship/` (else `~/.config/lightship/`), files 0600 in a directory 0700. A secret
never stands in `profiles.toml`: it is a file, the name of an environment variable, or was read from stdin
into `secrets/<profile>`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lightship.client.connection import ClientFiles
from lightship.client.durable import replace_file
from lightship.client.errors import NoProfile
from lightship.core.errors import BadFile, MalformedRequest
from lightship.core.ids import is_slug

FILE = "profiles.toml"


@dataclass(frozen=True, slots=True)
class Profile:
    """How to reach one hub. One of `secret_file` and `secret_env` is set; `ca` None = the system's store.

    With a client certificate, `client_cert` and `client_key` (None: in the same file), user and secret may
    be empty.
    """

    name: str
    url: str
    user: str
    secret_file: Path | None = None
    secret_env: str = ""
    ca: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None

    @property
    def client(self) -> ClientFiles | None:
        """The client certificate to show, None without one."""
        return None if self.client_cert is None else ClientFiles(self.client_cert, self.client_key)

    def secret(self, environ: Mapping[str, str]) -> str:
        """Return the secret; empty where the client certificate alone says who it is.

        Raises:
            BadFile: the file is missing, empty, or readable by others.
            NoProfile: the environment variable is not set.
        """
        if self.client_cert is not None and not self.user:
            return ""
        if self.secret_file is None:
            found = environ.get(self.secret_env, "").strip()
            if not found:
                raise NoProfile(
                    f"No secret for profile {self.name}",
                    why=f"the environment variable {self.secret_env} is not set",
                    todo="Set it, or run `lightship login` again",
                )
            return found
        return read_secret(self.secret_file)


def config_dir(environ: Mapping[str, str]) -> Path:
    """Return the directory of profiles (XDG Base Directory specification)."""
    base = environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "lightship"


def read_secret(path: Path) -> str:
    """Return the first line of a secret's file.

    Raises:
        BadFile: missing, empty, or readable by other users.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise BadFile("The secret's file is open to others", path=str(path), todo=f"chmod 600 {path}")
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise BadFile("The secret cannot be read", path=str(path), why=error.strerror or "") from None
    if not lines[0].strip():
        raise BadFile("The secret's file is empty", path=str(path))
    return lines[0].strip()


def load_profiles(directory: Path) -> tuple[dict[str, Profile], str]:
    """Return all profiles by name, and the default's name (empty if there is none).

    Raises:
        BadFile: `profiles.toml` cannot be read.
    """
    path = directory / FILE
    try:
        kept = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: _profile(name, one) for name, one in kept.get("profiles", {}).items()}, str(
            kept.get("default", "")
        )
    except FileNotFoundError:
        return {}, ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadFile("The profiles cannot be read", path=str(path), why=str(error)) from None


def load_profile(directory: Path, name: str = "") -> Profile:
    """Return one profile, the default one without a name.

    Raises:
        NoProfile: there is no such profile.
    """
    profiles, default = load_profiles(directory)
    wanted = name or default
    if wanted not in profiles:
        known = ", ".join(sorted(profiles)) or "none"
        raise NoProfile(
            f"No profile {wanted}" if wanted else "No profile of a hub yet",
            why=f"known are: {known}",
            todo="Make one: lightship login https://hub.example:9443 --user NAME --ca-file ca.pem",
        )
    return profiles[wanted]


def save_profile(directory: Path, profile: Profile, secret: str | None, *, make_default: bool) -> Profile:
    """Keep a profile, and the secret where one is given (in `secrets/<profile>`). Returns it as kept.

    Raises:
        MalformedRequest: its name is none.
    """
    if not is_slug(profile.name):
        raise MalformedRequest(
            f"{profile.name!r} is no profile name", todo="Use lower-case letters, digits and hyphens"
        )
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    profiles, default = load_profiles(directory)
    if secret is not None:
        folder = directory / "secrets"
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / profile.name
        write_private(path, secret + "\n")
        profile = replace(profile, secret_file=path, secret_env="")
    profiles[profile.name] = profile
    text = _dump(profiles, profile.name if make_default or not default else default)
    write_private(directory / FILE, text)
    return profile


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    replace_file(path, text.encode())


def _profile(name: str, kept: Mapping[str, str]) -> Profile:
    secret_file, ca = kept.get("secret_file"), kept.get("ca_file")
    client_cert, client_key = kept.get("client_cert"), kept.get("client_key")
    return Profile(
        name=name,
        url=kept["url"],
        user=kept.get("user", "") if client_cert else kept["user"],
        secret_file=Path(secret_file) if secret_file else None,
        secret_env=kept.get("secret_env", ""),
        ca=Path(ca) if ca else None,
        client_cert=Path(client_cert) if client_cert else None,
        client_key=Path(client_key) if client_key else None,
    )


def _dump(profiles: Mapping[str, Profile], default: str) -> str:
    lines = [f"default = {_quote(default)}"]
    for name, one in sorted(profiles.items()):
        values = {
            "url": one.url,
            "user": one.user,
            "secret_file": one.secret_file,
            "secret_env": one.secret_env,
            "ca_file": one.ca,
            "client_cert": one.client_cert,
            "client_key": one.client_key,
        }
        lines += ["", f"[profiles.{name}]"]
        lines += [f"{key} = {_quote(str(value))}" for key, value in values.items() if value]
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    """Return a TOML basic string."""
    out = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in out) + '"'
