"""What the SDK does when the network or the hub does not: retries, waiting, errors that say what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from lightship.client import Connection, Limits, NotTaxii, Unreachable
from lightship.client.connection import origin_of
from lightship.core import errors

Handler = Callable[[httpx2.Request], httpx2.Response]


class Script:
    """A server that gives prepared answers, one after another, and remembers what it was asked."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.answers: Iterator[httpx2.Response | Exception] = iter(answers)
        self.asked: list[httpx2.Request] = []
        self.slept: list[float] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def connection(self, **limits: float) -> Connection:
        attempts = int(limits.pop("attempts", 4))
        return Connection(
            "https://hub.example",
            "uslax-splunk",
            "ls1_secret",
            limits=Limits(attempts=attempts, **limits),
            transport=httpx2.MockTransport(self),
            sleep=self.slept.append,
            chance=lambda: 0.0,
        )


def ok(value: object = None) -> httpx2.Response:
    return httpx2.Response(200, json=value or {"title": "x"})


def refusal(status: int, title: str = "No", **headers: str) -> httpx2.Response:
    return httpx2.Response(status, json={"title": title, "description": "because"}, headers=headers)


def test_a_request_carries_the_credential_and_the_media_type() -> None:
    script = Script(ok())
    script.connection().get("/taxii2/")
    (asked,) = script.asked
    assert asked.headers["accept"] == "application/taxii+json;version=2.1"
    assert asked.headers["authorization"].startswith("Basic ")
    assert str(asked.url) == "https://hub.example/taxii2/"


def test_a_network_error_is_tried_again_and_waits_longer_each_time() -> None:
    script = Script(httpx2.ConnectError("no"), httpx2.ReadTimeout("slow"), ok({"title": "at last"}))
    assert script.connection().get("/taxii2/").value == {"title": "at last"}
    assert script.slept == [0.5, 1.0]


def test_attempts_are_bounded_and_the_error_says_what_to_check() -> None:
    script = Script(*[httpx2.ConnectError("Connection refused")] * 5)
    with pytest.raises(Unreachable, match=r"cannot be reached.*Connection refused.*Check the address"):
        script.connection(attempts=3).get("/taxii2/")
    assert len(script.asked) == 3


def test_retry_after_in_seconds_is_honoured() -> None:
    script = Script(refusal(503, **{"Retry-After": "7"}), refusal(429, **{"Retry-After": "2"}), ok())
    script.connection().get("/taxii2/")
    assert script.slept == [7.0, 2.0]


def test_retry_after_as_a_date_is_honoured() -> None:
    dates = {"Retry-After": "Sun, 06 Nov 1994 08:49:47 GMT", "Date": "Sun, 06 Nov 1994 08:49:37 GMT"}
    script = Script(refusal(503, **dates), ok())
    script.connection().get("/taxii2/")
    assert script.slept == [10.0]


def test_a_wait_longer_than_the_bound_is_given_to_the_caller() -> None:
    script = Script(refusal(429, "Too many failures", **{"Retry-After": "300"}))
    with pytest.raises(errors.Throttled, match="Too many failures") as caught:
        script.connection().get("/taxii2/")
    assert caught.value.retry_after == 300
    assert script.slept == []


def test_a_post_is_repeated_since_the_hub_stores_an_object_once() -> None:
    script = Script(httpx2.ReadError("gone"), httpx2.Response(202, json={"total_count": 0}))
    script.connection().post("/a/collections/b/objects/", b'{"objects":[]}')
    assert [request.content for request in script.asked] == [b'{"objects":[]}'] * 2


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, errors.MalformedRequest, "malformed-request"),
        (401, errors.NotAuthenticated, "not-authenticated"),
        (403, errors.Refused, "refused"),
        (404, errors.NotFound, "not-found"),
        (413, errors.TooLarge, "too-large"),
        (422, errors.Unprocessable, "unprocessable"),
        (500, errors.HubError, "hub-error"),
        (301, NotTaxii, "not-taxii"),
        (418, NotTaxii, "not-taxii"),
    ],
)
def test_a_refusal_is_the_error_of_the_tree_and_is_not_repeated(
    status: int, kind: type[errors.LightshipError], code: str
) -> None:
    script = Script(refusal(status, "It is so", Location="https://elsewhere.example/"))
    with pytest.raises(kind, match="It is so") as caught:
        script.connection().get("/taxii2/")
    assert caught.value.code == code
    assert caught.value.why == "because" or code == "not-taxii"
    assert len(script.asked) == 1


def test_a_redirect_never_takes_the_credential_elsewhere() -> None:
    script = Script(httpx2.Response(302, headers={"Location": "https://evil.example/"}))
    with pytest.raises(NotTaxii):
        script.connection().get("/taxii2/")
    assert [request.url.host for request in script.asked] == ["hub.example"]


def test_addresses_that_a_hub_names_stay_on_its_own_origin() -> None:
    connection = Script().connection()
    assert connection.path_of("https://evil.example/la-lb-mou") == "/la-lb-mou/"
    assert connection.path_of("/la-lb-mou/") == "/la-lb-mou/"


def test_a_page_of_html_is_no_hub() -> None:
    script = Script(httpx2.Response(200, html="<p>hello</p>"))
    with pytest.raises(NotTaxii, match="not JSON"):
        script.connection().get("/taxii2/")


def test_the_secret_goes_by_https_or_to_this_machine() -> None:
    with pytest.raises(errors.MalformedRequest, match="https only"):
        origin_of("http://hub.example")
    assert origin_of("http://127.0.0.1:8080/x/") == "http://127.0.0.1:8080"
    assert origin_of("hub.example:9443") == "https://hub.example:9443"
    for junk in (
        *("ftp://hub.example", "https://", "https://me:hush@hub.example"),
        *("https://[::1", "https://hub.example:x", "https://hub.example:99999"),
    ):
        with pytest.raises(errors.MalformedRequest) as caught:
            origin_of(junk)
        assert "hush" not in str(caught.value)


def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("nothing")
    with pytest.raises(errors.BadFile, match=r"ca\.pem: The CA file cannot be used"):
        Connection("https://hub.example", "a", "b", ca=path)
    with pytest.raises(errors.BadFile):
        Connection("https://hub.example", "a", "b", ca=tmp_path / "missing.pem")


def test_no_error_carries_the_secret() -> None:
    script = Script(httpx2.ConnectError("boom"), refusal(403))
    connection = script.connection(attempts=1)
    for _ in range(2):
        with pytest.raises(errors.LightshipError) as caught:
            connection.get("/taxii2/")
        assert "ls1_secret" not in f"{caught.value!r}{caught.value}{caught.value.details}"
