"""The one place where errors become HTTP answers: status, headers and the TAXII error (section 3.6.1).

An error that nobody raised on purpose becomes a plain 500 with an id that is in the hub's log beside the
traceback; nothing of its inside is told. The title says what happened and what to do about it.
"""

from __future__ import annotations

import logging
from uuid import UUID

import orjson

from lightship.core import errors
from lightship.web.message import NO_STORE, TAXII_TYPE, Answer, Header

_log = logging.getLogger("lightship.web")

QUOTA_RULE = "deny-publish-quota"
QUOTA_RETRY_S = 3600
CHALLENGES: tuple[Header, ...] = (
    (b"www-authenticate", b'Basic realm="Lightship", charset="UTF-8"'),
    (b"www-authenticate", b'Bearer realm="Lightship"'),
)
"""RFC 7617 and RFC 6750; sent with every 401."""


class SlowBody(errors.CallerError):
    """The body did not come in time (HTTP 408)."""

    code = "request-timeout"


class TargetTooLong(errors.CallerError):
    """Path and query are longer than is read (HTTP 414)."""

    code = "uri-too-long"


class HeadersTooLarge(errors.CallerError):
    """The header fields are larger than is read (HTTP 431)."""

    code = "headers-too-large"


_STATUS: dict[type[errors.LightshipError], int] = {
    errors.MalformedRequest: 400,
    errors.NotAuthenticated: 401,
    errors.Refused: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.NotAcceptable: 406,
    SlowBody: 408,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    TargetTooLong: 414,
    errors.UnsupportedMedia: 415,
    errors.Unprocessable: 422,
    errors.Throttled: 429,
    HeadersTooLarge: 431,
    errors.CallerError: 400,
    errors.Unavailable: 503,
}


def status_of(error: errors.LightshipError) -> int:
    """Return the HTTP status of an error; 500 for what is the hub's own fault."""
    if isinstance(error, errors.Refused) and error.rule == QUOTA_RULE:
        return 429
    return next((_STATUS[one] for one in type(error).__mro__ if one in _STATUS), 500)


def rule_of(error: errors.LightshipError) -> str:
    """Return what the access event names as the reason: the deciding rule, else the error's code."""
    return getattr(error, "rule", "") or error.code


def answer_error(error: errors.LightshipError, request_id: UUID) -> Answer:
    """Return the answer for an error raised on purpose."""
    status = status_of(error)
    if status >= 500:
        fields = {"error_id": str(request_id), "code": error.code}
        _log.error("%s: %s", request_id, error, extra={"fields": fields})
    if status == 500:
        return answer_unknown(request_id)
    details = dict(error.details)
    if isinstance(error, errors.Refused):
        details["rule"] = error.rule
    body: dict[str, object] = {"title": _title(error)}
    if error.why:
        body["description"] = error.why
    body |= {"error_id": str(request_id), "error_code": error.code, "http_status": str(status)}
    if details:
        body["details"] = details
    return Answer(status, orjson.dumps(body), (TAXII_TYPE, NO_STORE, *_headers(error, status)))


def answer_unknown(request_id: UUID) -> Answer:
    """Return the answer for an error that nobody foresaw; the caller has logged it."""
    body = {
        "title": "The hub failed on this request. Try again, or quote error_id to the hub's steward",
        "error_id": str(request_id),
        "error_code": "internal-error",
        "http_status": "500",
    }
    return Answer(500, orjson.dumps(body))


def log_unknown(request_id: UUID) -> None:
    """Log the exception being handled, with its traceback, under the request's id."""
    _log.exception("request %s failed", request_id, extra={"fields": {"error_id": str(request_id)}})


def _title(error: errors.LightshipError) -> str:
    return f"{error.title.rstrip('.')}. {error.todo}" if error.todo else error.title


def _headers(error: errors.LightshipError, status: int) -> tuple[Header, ...]:
    if status == 401:
        return CHALLENGES
    if isinstance(error, errors.MethodNotAllowed):
        return ((b"allow", ", ".join(error.allow).encode()),)
    if isinstance(error, (errors.Throttled, errors.Unavailable)):
        return ((b"retry-after", str(max(1, error.retry_after)).encode()),)
    if status == 429:
        return ((b"retry-after", str(QUOTA_RETRY_S).encode()),)
    return ()
