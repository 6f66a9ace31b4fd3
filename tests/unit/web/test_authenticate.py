"""Who asks: four ways to carry one secret, and everything that makes a credential not hold."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hubkit import HubKit, StoppedClock, make_hub
from lightship.core.errors import Throttled
from lightship.web.authenticate import LoginRefused, Presented, presented

DISCOVERY = "/taxii2/"


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def kit(tmp_path: Path, clock: StoppedClock) -> Iterator[HubKit]:
    with make_hub(tmp_path, clock=clock, settings={"throttle_failures": 3}) as made:
        yield made


def basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


def status(
    kit: HubKit, authorization: str | None = None, *, address: str = "127.0.0.1", key: str = ""
) -> int:
    headers = {"Authorization": authorization} if authorization is not None else {}
    headers |= {"X-API-Key": key} if key else {}
    return kit.client(None, address=address).get(DISCOVERY, headers=headers).status_code


def why(kit: HubKit) -> str:
    return kit.events()[-1].why


def test_one_secret_four_ways(kit: HubKit) -> None:
    name, secret = kit.credential("uslax")
    for sent in (basic(name, secret), basic(name.upper(), secret), f"Bearer {secret}", f"token  {secret} "):
        assert status(kit, sent) == 200
    assert status(kit, key=secret) == 200
    assert status(kit, "", key=secret) == 200


@pytest.mark.parametrize(
    "form", ["Basic", "Basic !", "Basic eA==", "Digest x", "Bearer", "Bearer x", "x", "Basic Og=="]
)
def test_what_cannot_be_read_is_401_with_a_challenge(kit: HubKit, form: str) -> None:
    answer = kit.client(None).get(DISCOVERY, headers={"Authorization": form})
    assert answer.status_code == 401
    challenges = answer.headers.get_list("www-authenticate")
    assert 'Basic realm="Lightship", charset="UTF-8"' in challenges
    assert any(one.startswith("Bearer") for one in challenges)
    assert why(kit) == "deny-unknown-credential"


def test_the_user_name_has_to_be_the_credentials_own(kit: HubKit) -> None:
    assert status(kit, basic(kit.credential("uslgb")[0], kit.secret("uslax"))) == 401
    assert status(kit, basic("", kit.secret("uslax"))) == 401


def test_two_authorization_headers_are_one_that_does_not_hold() -> None:
    joined = {b"authorization": b"Bearer a, Bearer b"}
    assert presented(joined) == Presented(b"a, Bearer b")


def test_a_revoked_credential_stops_with_the_next_request(kit: HubKit) -> None:
    client = kit.client("uslax")
    assert client.get(DISCOVERY).status_code == 200
    kit.revoke("uslax")
    assert client.get(DISCOVERY).status_code == 401
    assert why(kit) == "deny-revoked"


def test_an_expired_credential_says_so_and_is_refused_from_its_second_on(
    kit: HubKit, clock: StoppedClock
) -> None:
    name, secret = kit.mint("uslax", "short", days=1)
    clock.advance(86_399)
    assert status(kit, basic(name, secret)) == 200
    clock.advance(1)
    answer = kit.client(None).get(DISCOVERY, headers={"Authorization": basic(name, secret)})
    assert answer.status_code == 401
    assert "expired" in answer.json()["title"]
    assert why(kit) == "deny-expired"


def test_a_credential_is_for_its_networks_only(kit: HubKit) -> None:
    name, secret = kit.mint("uslax", "net", allowed=("192.0.2.0/24", "2001:db8::/32"))
    for address, expected in {
        "192.0.2.9": 200,
        "::ffff:192.0.2.9": 200,
        "2001:db8::1": 200,
        "198.51.100.1": 401,
        "2001:db9::1": 401,
        "": 401,
    }.items():
        assert status(kit, basic(name, secret), address=address) == expected, address
    assert why(kit) == "deny-address"


def test_no_header_is_believed_about_the_address(kit: HubKit) -> None:
    name, secret = kit.mint("uslax", "net", allowed=("192.0.2.0/24",))
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        headers = {"Authorization": basic(name, secret), header: "192.0.2.9"}
        assert kit.client(None).get(DISCOVERY, headers=headers).status_code == 401


def test_failures_are_throttled_per_address_and_a_valid_credential_never_is(
    kit: HubKit, clock: StoppedClock
) -> None:
    for _ in range(3):
        assert status(kit, "Bearer wrong") == 401
    answer = kit.client(None).get(DISCOVERY, headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "300"
    assert why(kit) == "throttled"
    assert kit.client("uslax").get(DISCOVERY).status_code == 200
    assert status(kit, "Bearer wrong", address="192.0.2.1") == 401
    clock.advance(300)
    assert status(kit, "Bearer wrong") == 401


def test_a_wall_clock_that_is_set_makes_nobody_wait_longer_or_shorter(
    kit: HubKit, clock: StoppedClock
) -> None:
    for _ in range(3):
        assert status(kit, "Bearer wrong") == 401
    clock.at += 86_400_000_000
    assert status(kit, "Bearer wrong") == 429
    clock.at -= 2 * 86_400_000_000
    answer = kit.client(None).get(DISCOVERY, headers={"Authorization": "Bearer wrong"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "300")
    clock.advance(300)
    assert status(kit, "Bearer wrong") == 401


def test_failures_are_throttled_per_user_name_over_many_addresses(kit: HubKit) -> None:
    name = kit.credential("uslax")[0]
    for number in range(3):
        assert status(kit, basic(name, "wrong"), address=f"192.0.2.{number}") == 401
    assert status(kit, basic(name.upper(), "wrong"), address="192.0.2.99") == 429
    assert kit.client("uslax", address="192.0.2.99").get(DISCOVERY).status_code == 200


def test_requests_without_a_credential_are_no_failures(kit: HubKit) -> None:
    for _ in range(9):
        assert status(kit) == 401
    assert why(kit) == "deny-no-credential"
    assert status(kit, "Bearer wrong") == 401


def test_a_member_that_left_has_no_access_any_more(kit: HubKit) -> None:
    kit.add_agreement("exercise", members=("uslgb",))
    assert kit.client("uslax").get(DISCOVERY).status_code == 401
    assert why(kit) == "deny-no-member"


def test_secrets_stay_out_of_events_and_errors(kit: HubKit) -> None:
    secret = kit.secret("uslax")
    answer = kit.client(None).get(
        f"{kit.root}?key={secret[:20]}", headers={"Authorization": f"Basic {secret}"}
    )
    assert secret not in answer.text
    assert all(secret not in repr(replace(event)) for event in kit.events())
    assert not issubclass(LoginRefused, Throttled)
