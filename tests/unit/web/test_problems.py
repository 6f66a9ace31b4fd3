"""Errors become TAXII errors (section 3.6.1) in one place, each with its status and nothing of the inside."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from lightship.core import errors
from lightship.web import problems

ID = UUID("8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f")
CASES: list[tuple[errors.LightshipError, int]] = [
    (errors.MalformedRequest("x"), 400),
    (errors.CallerError("x"), 400),
    (errors.NotAuthenticated("x"), 401),
    (errors.Refused("x", rule="r"), 403),
    (errors.NotFound("x"), 404),
    (errors.MethodNotAllowed("x", allow=("GET",)), 405),
    (errors.NotAcceptable("x"), 406),
    (problems.SlowBody("x"), 408),
    (errors.Conflict("x"), 409),
    (errors.TooLarge("x"), 413),
    (problems.TargetTooLong("x"), 414),
    (errors.UnsupportedMedia("x"), 415),
    (errors.Unprocessable("x"), 422),
    (errors.Throttled("x", retry_after=7), 429),
    (errors.Refused("x", rule="deny-publish-quota"), 429),
    (problems.HeadersTooLarge("x"), 431),
    (errors.Unavailable("x", retry_after=9), 503),
    (errors.Damaged("secret place"), 500),
    (errors.BadFile("secret place", path="/etc/x"), 500),
]


@pytest.mark.parametrize(("error", "status"), CASES, ids=lambda one: type(one).__name__)
def test_each_error_has_its_status_and_a_taxii_error(error: errors.LightshipError, status: int) -> None:
    answer = problems.answer_error(error, ID)
    body = json.loads(answer.body)
    assert answer.status == status
    assert (b"content-type", b"application/taxii+json;version=2.1") in answer.headers
    assert body["http_status"] == str(status)
    assert body["error_id"] == str(ID)
    assert body["title"]


def test_every_error_of_the_caller_is_in_the_list() -> None:
    def tree(kind: type[errors.LightshipError]) -> set[type[errors.LightshipError]]:
        return {kind}.union(
            *(tree(one) for one in kind.__subclasses__() if one.__module__ == errors.__name__)
        )

    assert tree(errors.CallerError) <= {type(error) for error, _ in CASES}


def test_the_title_says_what_happened_and_what_to_do() -> None:
    error = errors.MalformedRequest("It is wrong.", why="because", todo="Send another", details={"a": "b"})
    body = json.loads(problems.answer_error(error, ID).body)
    assert body["title"] == "It is wrong. Send another"
    assert body["description"] == "because"
    assert body["details"] == {"a": "b"}


def test_a_refusal_names_its_rule() -> None:
    body = json.loads(problems.answer_error(errors.Refused("x", rule="deny-owner"), ID).body)
    assert body["details"] == {"rule": "deny-owner"}
    assert problems.rule_of(errors.Refused("x", rule="deny-owner")) == "deny-owner"
    assert problems.rule_of(errors.NotFound("x")) == "not-found"


def test_headers_that_go_with_a_status() -> None:
    def headers(error: errors.LightshipError) -> dict[bytes, bytes]:
        return dict(problems.answer_error(error, ID).headers)

    assert headers(errors.MethodNotAllowed("x", allow=("GET", "HEAD")))[b"allow"] == b"GET, HEAD"
    assert headers(errors.Throttled("x", retry_after=7))[b"retry-after"] == b"7"
    assert headers(errors.Unavailable("x", retry_after=0))[b"retry-after"] == b"1"
    assert headers(errors.Refused("x", rule="deny-publish-quota"))[b"retry-after"] == b"3600"
    challenges = [
        v for k, v in problems.answer_error(errors.NotAuthenticated("x"), ID).headers if k.startswith(b"www")
    ]
    assert challenges[0].startswith(b"Basic ")


def test_what_is_the_hubs_own_fault_is_told_to_nobody() -> None:
    for error in (errors.Damaged("secret place"), errors.BadFile("secret place", path="/etc/x")):
        answer = problems.answer_error(error, ID)
        assert b"secret" not in answer.body
        assert b"/etc" not in answer.body
    assert json.loads(problems.answer_unknown(ID).body)["error_code"] == "internal-error"
