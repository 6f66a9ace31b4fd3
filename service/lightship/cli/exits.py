"""Exit codes, assigned in this place only.

0 ok, 1 a check failed, 2 wrong use (arguments, files, settings), 3 refused, 4 unreachable or unavailable.
An interrupt (Ctrl-C) ends with 130, as shells expect; `serve` and `run` end with 0.
"""

from __future__ import annotations

from lightship.core import errors

OK = 0
FAILED = 1
USAGE = 2
REFUSED = 3
UNREACHABLE = 4
INTERRUPTED = 130

MEANING = {
    OK: "done",
    FAILED: "a check failed",
    USAGE: "wrong use: arguments, files or settings",
    REFUSED: "refused: by a rule, for lack of rights, or not there",
    UNREACHABLE: "the hub cannot be reached, is not trusted, or is unavailable",
}

_CODES: dict[str, int] = {
    "unreachable": UNREACHABLE,
    "not-trusted": UNREACHABLE,
    "not-taxii": UNREACHABLE,
    "log-refused": FAILED,
    errors.Unavailable.code: UNREACHABLE,
    errors.HubError.code: UNREACHABLE,
    errors.Damaged.code: FAILED,
    errors.BadFile.code: USAGE,
    errors.NewerStore.code: USAGE,
    errors.StewardError.code: USAGE,
    errors.CallerError.code: USAGE,
    errors.MalformedRequest.code: USAGE,
    errors.NotAuthenticated.code: REFUSED,
    errors.Refused.code: REFUSED,
    errors.NotFound.code: REFUSED,
    errors.Conflict.code: REFUSED,
    errors.Throttled.code: REFUSED,
    errors.TooLarge.code: REFUSED,
    errors.Unprocessable.code: REFUSED,
    errors.UnsupportedMedia.code: REFUSED,
    errors.NotAcceptable.code: REFUSED,
    errors.MethodNotAllowed.code: REFUSED,
}


def code_of(error: errors.LightshipError) -> int:
    """Return the exit code of an error; one of a new kind takes that of its nearest known parent."""
    for kind in type(error).__mro__:
        code = _CODES.get(getattr(kind, "code", ""))
        if code is not None:
            return code
    return FAILED
