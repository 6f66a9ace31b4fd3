"""The one tree of errors, ordered by whose fault it is.

Every error says what happened (`title`), why (`why`) and what to do about it (`todo`). `code` is a
stable slug for programs. HTTP status codes are assigned in one place, `lightship.web.problems`; exit
codes in one place, `lightship.cli.exits`. Nothing here ever carries a secret or an indicator value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class LightshipError(Exception):
    """Root of all errors that Lightship raises on purpose.

    Args:
        title: what happened, one short sentence without a final full stop.
        why: the cause, in words the reader knows.
        todo: what the reader can do about it.
        details: further facts as strings (TAXII 2.1 section 3.6.1 `details`).
    """

    code: ClassVar[str] = "error"

    def __init__(
        self, title: str, *, why: str = "", todo: str = "", details: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(title)
        self.title = title
        self.why = why
        self.todo = todo
        self.details = dict(details or {})

    def __str__(self) -> str:
        return ". ".join(part.rstrip(".") for part in (self.title, self.why, self.todo) if part)


# --- the caller's fault -------------------------------------------------------------------------


class CallerError(LightshipError):
    """The request or the command cannot be carried out as it was given."""

    code = "bad-request"


class MalformedRequest(CallerError):
    """A parameter, header or body has no meaning (HTTP 400)."""

    code = "malformed-request"


class NotAuthenticated(CallerError):
    """No credential, or one that does not hold (HTTP 401, with WWW-Authenticate)."""

    code = "not-authenticated"


class Refused(CallerError):
    """A rule refuses it; `rule` names the deciding rule (HTTP 403, exit code 3)."""

    code = "refused"

    def __init__(
        self,
        title: str,
        *,
        rule: str,
        why: str = "",
        todo: str = "",
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(title, why=why, todo=todo, details=details)
        self.rule = rule


class NotFound(CallerError):
    """It does not exist, or its existence is not this caller's business (HTTP 404)."""

    code = "not-found"


class MethodNotAllowed(CallerError):
    """The resource has no such method; `allow` lists those it has (HTTP 405)."""

    code = "method-not-allowed"

    def __init__(self, title: str, *, allow: tuple[str, ...], why: str = "", todo: str = "") -> None:
        super().__init__(title, why=why, todo=todo)
        self.allow = allow


class NotAcceptable(CallerError):
    """No media type that the client accepts can be served (HTTP 406)."""

    code = "not-acceptable"


class UnsupportedMedia(CallerError):
    """Content-Type or Content-Encoding of the body is not taken (HTTP 415)."""

    code = "unsupported-media-type"


class TooLarge(CallerError):
    """The body is larger than `max_content_length` (HTTP 413)."""

    code = "too-large"


class Unprocessable(CallerError):
    """The body is valid JSON but no envelope (HTTP 422)."""

    code = "unprocessable"


class Throttled(CallerError):
    """Too many failures from this source (HTTP 429 with Retry-After, in whole seconds)."""

    code = "throttled"

    def __init__(self, title: str, *, retry_after: int, why: str = "", todo: str = "") -> None:
        super().__init__(title, why=why, todo=todo)
        self.retry_after = retry_after


class Conflict(CallerError):
    """It would contradict something that exists already (HTTP 409)."""

    code = "conflict"


# --- the steward's fault ------------------------------------------------------------------------


class StewardError(LightshipError):
    """A file, setting or order of the steward cannot be used; the running state stays as it is."""

    code = "steward-error"


class BadFile(StewardError):
    """A file that people edit has an error; `path` and `line` (from 1, 0 = unknown) say where."""

    code = "bad-file"

    def __init__(self, title: str, *, path: str, line: int = 0, why: str = "", todo: str = "") -> None:
        super().__init__(title, why=why, todo=todo, details={"path": path, "line": str(line)})
        self.path = path
        self.line = line

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {super().__str__()}"


class NewerStore(StewardError):
    """A data file was written by a newer version; `needed` names the least version that reads it."""

    code = "newer-store"


# --- the hub's fault ----------------------------------------------------------------------------


class HubError(LightshipError):
    """The hub cannot do what it should; nothing that was acknowledged is lost."""

    code = "hub-error"


class Unavailable(HubError):
    """For now it cannot be done; try again after `retry_after` seconds (HTTP 503)."""

    code = "unavailable"

    def __init__(self, title: str, *, retry_after: int = 5, why: str = "", todo: str = "") -> None:
        super().__init__(title, why=why, todo=todo)
        self.retry_after = retry_after


class Damaged(HubError):
    """Stored data does not hold together (`lightship fsck` tells more)."""

    code = "damaged"
