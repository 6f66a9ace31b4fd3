"""One frozen value from `lightship.toml` of the hub directory and the environment.

The environment (`LIGHTSHIP_PUBLIC_URL` ...) wins over the file, the file over the defaults; every default is
a safe one. Unknown keys are refused, all mistakes of a file at once. Holds no secret: keys are files of
their own.
"""

from __future__ import annotations

import re
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from lightship.core.errors import BadFile, StewardError

FILE = "lightship.toml"
KIB = 1024
MIB = 1024 * 1024
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]


class Settings(BaseSettings):
    """What a hub's steward can set. Sizes are bytes, times seconds. Paths may be relative to the hub."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix="LIGHTSHIP_", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    public_url: str = Field("https://localhost:9443", description="the URL that clients use, without a path")
    listen: str = Field("127.0.0.1:9443", description="address and port to listen on")
    title: str = Field("Lightship", min_length=1, max_length=200, description="the hub's name in discovery")
    description: str = Field("", max_length=2000, description="the hub's description in discovery")
    contact: str = Field("", max_length=200, description="whom to ask, shown in discovery")
    max_content_length: int = Field(
        16 * MIB, ge=1024, le=1024 * MIB, description="largest request body in bytes"
    )
    page_default: int = Field(1000, ge=1, le=100_000, description="objects a page without `limit`")
    page_max: int = Field(10_000, ge=1, le=100_000, description="objects a page at most")
    page_max_bytes: int = Field(16 * MIB, ge=64 * 1024, le=1024 * MIB, description="bytes a page at most")
    throttle_failures: int = Field(20, ge=1, le=100_000, description="failed logins before 429")
    throttle_window_s: int = Field(300, ge=1, le=86_400, description="seconds in which they are counted")
    credential_days: int = Field(365, ge=1, le=3650, description="days a minted credential lasts")
    credential_days_max: int = Field(1095, ge=1, le=3650, description="days that can be asked for at most")
    tls_cert: Path = Field(Path("tls/server.pem"), description="certificate chain, PEM")
    tls_key: Path = Field(Path("tls/server.key"), description="its private key, PEM")
    tls_client_ca: str = Field(
        "", description="PEM file of authorities of client certificates, beside the hub's own; empty: none"
    )
    log_level: LogLevel = Field("info", description="`debug`, `info` (a line a request), `warning`, `error`")
    log_format: LogFormat = Field("text", description="lines on stderr: `text` (key=value) or `json`")
    metrics_listen: str = Field("", description="address and port of `/metrics`, plain HTTP; empty: none")
    min_free_bytes: int = Field(256 * MIB, ge=0, description="free disk below which `/readyz` says 503")
    answer_unlogged: bool = Field(
        False,
        description="answer although the access log cannot be written, without record and receipt; the choice"
        " is recorded at each start",
    )
    publish_min_free_bytes: int = Field(
        2048 * MIB,
        ge=0,
        description="free disk below which nothing is published: the rest is the access log's",
    )
    max_connections: int = Field(
        10_000, ge=1, le=1_000_000, description="connections at a time; more are closed"
    )
    max_connections_per_address: int = Field(
        1_000, ge=1, le=1_000_000, description="the same from one address (IPv6: one /64)"
    )
    max_url_bytes: int = Field(
        64 * KIB, ge=1024, le=64 * KIB, description="path and query together; else 414"
    )
    max_header_bytes: int = Field(64 * KIB, ge=1024, le=64 * KIB, description="all header fields; else 431")
    max_headers: int = Field(100, ge=10, le=1000, description="number of header fields; else 431")
    handshake_timeout_s: int = Field(10, ge=1, le=300, description="seconds for the TLS handshake")
    header_timeout_s: int = Field(20, ge=1, le=300, description="seconds for request line and header fields")
    keep_alive_s: int = Field(65, ge=1, le=3600, description="seconds that an idle connection is kept")
    body_idle_s: int = Field(30, ge=1, le=600, description="seconds between two pieces of a body; else 408")
    body_timeout_s: int = Field(300, ge=1, le=3600, description="seconds for a whole body; else 408")
    body_min_rate: int = Field(
        1024, ge=0, le=MIB, description="bytes a second of a body on average, after 10 s; else 408"
    )
    send_idle_s: int = Field(
        60, ge=1, le=3600, description="seconds without a client reading on; then cut off"
    )
    stop_timeout_s: int = Field(30, ge=0, le=600, description="seconds that requests have when the hub stops")

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username is not None:
            raise ValueError("write only scheme, host and port, such as https://hub.example:9443")
        if not parts.hostname or not re.fullmatch(r"[A-Za-z0-9.:-]+", parts.hostname):
            raise ValueError("it names no host; write it as https://hub.example:9443")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
            raise ValueError("TAXII 2.1 needs https; http is for loopback addresses only")
        _ = parts.port  # ValueError when it is no port
        return value.rstrip("/")

    @field_validator("listen", "metrics_listen")
    @classmethod
    def _listen(cls, value: str, about: ValidationInfo) -> str:
        if not value and about.field_name == "metrics_listen":
            return value
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise ValueError("write address:port, such as 127.0.0.1:9443 or [::]:9443")
        return value

    @model_validator(mode="after")
    def _pages(self) -> Settings:
        if self.page_default > self.page_max:
            raise ValueError("page_default is larger than page_max")
        if self.credential_days > self.credential_days_max:
            raise ValueError("credential_days is larger than credential_days_max")
        return self

    @property
    def host(self) -> str:
        """The host part of `public_url`, lower case, without brackets."""
        return urlsplit(self.public_url).hostname or ""

    @property
    def is_local(self) -> bool:
        """True if `public_url` names this machine's loopback, which other programs share."""
        return is_loopback(self.host)

    @property
    def listen_address(self) -> tuple[str, int]:
        """Address and port to bind, brackets of an IPv6 address taken off."""
        return _address(self.listen)

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """The same of `metrics_listen`, None if it is empty."""
        return _address(self.metrics_listen) if self.metrics_listen else None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over what `load_settings` read from the file; no other source exists."""
        return env_settings, init_settings


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """True for localhost and the loopback addresses."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def load_settings(hub_dir: Path) -> Settings:
    """Return the settings of a hub directory; TLS paths come out absolute.

    Raises:
        StewardError: there is no hub in that directory.
        BadFile: the file or an environment variable cannot be used; names every mistake.
    """
    path = hub_dir / FILE
    text = ""
    try:
        text = path.read_text("utf-8")
        values: dict[str, Any] = tomllib.loads(text)
    except FileNotFoundError:
        raise StewardError(
            f"There is no hub in {hub_dir}",
            why=f"{FILE} is missing",
            todo="Make one with `lightship init`, or name the directory with --hub",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        found = re.search(r"at line (\d+)", str(error))
        raise BadFile(
            "The settings are not TOML",
            path=str(path),
            line=int(found[1]) if found else len(text.splitlines()),
            why=str(error),
        ) from None
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise _bad(error, text, path) from None
    files: dict[str, object] = {
        "tls_cert": hub_dir / settings.tls_cert,
        "tls_key": hub_dir / settings.tls_key,
        "tls_client_ca": str(hub_dir / settings.tls_client_ca) if settings.tls_client_ca else "",
    }
    return settings.model_copy(update=files)


def _bad(error: ValidationError, text: str, path: Path) -> BadFile:
    """Return one error for all mistakes; values are never repeated in it."""
    said, first = [], 0
    for one in error.errors(include_input=False, include_url=False):
        key = str(one["loc"][0]) if one["loc"] else ""
        if one["type"] == "extra_forbidden":
            message = f"there is no setting with this name; there are {', '.join(Settings.model_fields)}"
        else:
            message = str(one["msg"]).removeprefix("Value error, ")
        line = _line_of(text, key) if key else 0
        first = first or line
        said.append(f"{f'line {line}: ' if line else ''}{f'`{key}`: ' if key else ''}{message}")
    return BadFile(
        "The settings cannot be used",
        path=str(path),
        line=first,
        why="; ".join(said),
        todo="Correct the file, or the environment variable LIGHTSHIP_… that overrides it",
    )


def _line_of(text: str, key: str) -> int:
    pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
    return next((n for n, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 0)
