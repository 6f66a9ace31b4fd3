"""What came of the exercise of `lightship run`: values, as JSON, and in a few lines for a reader."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

WIDTH = 22


@dataclass(slots=True)
class Stakeholders:
    """What became of an AMBER+STRICT indicator beyond the two ports.

    Args:
        object_id: the indicator.
        refusal: why the stakeholders' collection refused it, with the rule; empty if it did not.
        pulled: advisories that the drayage company read.
        read_by_port: the other port read the indicator where it belongs.
        hidden: to the drayage company the ports' collection answers 404, byte for byte like none at all.
    """

    object_id: str = ""
    refusal: str = ""
    pulled: int = 0
    read_by_port: bool = False
    hidden: bool = False

    @property
    def right(self) -> bool:
        """True if nobody got more than is theirs."""
        return bool(self.refusal) and self.hidden


@dataclass(slots=True)
class Embargo:
    """An indicator that was held back until `release`; `added` is its date_added, empty if it never came."""

    object_id: str
    release: str
    added: str = ""


@dataclass(slots=True)
class Outcome:
    """What happened, and how to go on by hand. `embargo` is None where an earlier run has shown it."""

    url: str
    ca: Path
    credentials: Path
    published: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    expired: set[tuple[str, str]] = field(default_factory=set)
    pulled: int = 0
    equal: bool = False
    client: str = ""
    seconds: float = 0.0
    stakeholders: Stakeholders = field(default_factory=Stakeholders)
    embargo: Embargo | None = None

    @property
    def right(self) -> bool:
        """True if what came back is what was sent, and everything else went as it should."""
        released = self.embargo is None or self.embargo.added != ""
        read = self.stakeholders.pulled > 0 or bool(self.expired)
        return self.equal and self.stakeholders.right and released and read

    def shape(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "url": self.url,
            "ca": str(self.ca),
            "credentials": str(self.credentials),
            "published": self.published,
            "held": self.held,
            "refused": self.refused,
            "expired": len(self.expired),
            "pulled": self.pulled,
            "equal": self.equal,
            "client": self.client,
            "stakeholders": asdict(self.stakeholders),
            "embargo": None if self.embargo is None else asdict(self.embargo),
            "seconds": round(self.seconds, 3),
        }

    def lines(self, *, served: bool, user: str, path: str) -> list[str]:
        """Say it in a few lines; how to go on, as `user` at `path`, only while the hub is served."""
        said = [*self._ports(), *self._stakeholders(), *self._embargo()]
        said.append(_line("Time:", f"{self.seconds:.1f} s"))
        if not served:
            return said
        url = self.url.replace("https://", f"https://{user}@")
        files = f"--cacert {quote(str(self.ca))} --netrc-file {quote(str(self.credentials))}"
        return [
            *said,
            "",
            _line("Hub:", self.url),
            _line("Credentials file:", str(self.credentials)),
            _line("Try:", f"curl {files} {url}{path}"),
            _line("Stop:", "Ctrl-C"),
        ]

    def _ports(self) -> list[str]:
        new, held = sum(self.published.values()), sum(self.held.values())
        missing = f"{held} were there already, " if held else ""
        nothing = "nothing was missing" if not new and not self.refused else f"{new} published"
        verdict = "each equal to what was posted" if self.equal else "NOT what was posted"
        said = [
            _line(
                "Port of Long Beach:",
                f"{missing}{nothing} in {len(self.published)} collections, refused: {len(self.refused)}",
            ),
            *[f"  {one}" for one in self.refused],
            _line("Port of Los Angeles:", f"pulled {self.pulled} over TLS with {self.client}, {verdict}"),
        ]
        if self.expired:
            said.append(
                f"  {len(self.expired)} objects have expired: what the exercise holds is withdrawn after"
                " 7 days. For a fresh start: lightship run --hub run2"
            )
        return said

    def _stakeholders(self) -> list[str]:
        one = self.stakeholders
        read = "Los Angeles read it" if one.read_by_port else "Los Angeles did not read it"
        said = [_line("Between the ports:", f"`indicators` took a TLP:AMBER+STRICT indicator; {read}")]
        if one.refusal:
            said += [_line("Stakeholders:", "`advisories` refused the same indicator:"), f"  {one.refusal}"]
        else:
            said += [_line("Stakeholders:", "`advisories` took the same indicator, which is NOT for them")]
        hidden = "404, as for what does not exist" if one.hidden else "NOT hidden"
        told = f"read {one.pulled} advisories; what the ports have between them: {hidden}"
        return [*said, _line("Drayage company:", told)]

    def _embargo(self) -> list[str]:
        if self.embargo is None:
            return []
        if not self.embargo.added:
            return [_line("Embargo:", f"what was held back until {self.embargo.release} did NOT come")]
        return [
            _line("Embargo:", f"an indicator held back until {self.embargo.release}"),
            f"  reached a poller that had gone on meanwhile; it was added at {self.embargo.added}",
        ]


def _line(name: str, text: str) -> str:
    return f"{name.ljust(WIDTH)}{text}"
