"""Credentials under attack: what is no credential, who is throttled, and who never is."""

from __future__ import annotations

import base64

import pytest

from probehub import ProbeHub
from taxiiprobe import Party, basic

WINDOW_S = 300
FAILURES = 20


def wrong(hub: ProbeHub, name: str = "", address: str = "127.0.0.1") -> Party:
    """Return somebody who guesses: with Basic under `name`, else as Bearer."""
    value = basic(name, "ls1_" + "A" * 43) if name else "Bearer ls1_" + "A" * 43
    return Party(hub.driver, value, hub.lax.collection, address)


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "Basic", "Basic ", "Bearer", "Bearer ", "Token", "Basic !!!", "Basic =", "Negotiate abc"),
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b":").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:\x00").decode(),
        "Basic " + base64.b64encode(b"uslax:" + b"x" * 20_000).decode(),
        "Bearer " + "x" * 20_000,
        "Bearer \x80\xff",
        "Bearer ls1_" + "A" * 43 + " trailing",
        "Bearer null",
        "Digest username=x",
    ],
)
def test_what_is_no_credential_is_401(hub: ProbeHub, value: str) -> None:
    who = Party(hub.driver, value, hub.lax.collection)
    reply = who.get("/taxii2/")
    reply.advice(401)
    assert reply.headers["www-authenticate"]


def test_two_authorization_headers_are_not_taken_apart(hub: ProbeHub) -> None:
    name, secret = hub.login("uslax")
    headers = [("Authorization", "Bearer wrong"), ("Authorization", f"Bearer {secret}")]
    assert hub.driver.ask("GET", "/taxii2/", headers=headers).status == 401
    assert name


def test_a_secret_in_the_query_or_a_cookie_is_no_login(hub: ProbeHub) -> None:
    _, secret = hub.login("uslax")
    for query in (f"token={secret}", f"access_token={secret}", f"api_key={secret}"):
        assert hub.nobody.get("/taxii2/", query).status == 401
    assert hub.nobody.get("/taxii2/", None, Cookie=f"token={secret}").status == 401


@pytest.mark.parametrize("cut", [0, 1, -1])
def test_a_secret_has_to_match_whole(hub: ProbeHub, cut: int) -> None:
    _, secret = hub.login("uslax")
    other = {0: secret + "A", 1: secret[1:], -1: secret[:-1]}[cut]
    assert Party(hub.driver, f"Bearer {other}", hub.lax.collection).get("/taxii2/").status == 401
    assert Party(hub.driver, f"Bearer {secret.swapcase()}", "").get("/taxii2/").status == 401


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP", "True-Client-IP"]
)
def test_no_header_moves_a_credential_to_an_allowed_address(hub: ProbeHub, header: str) -> None:
    party = hub.party("wrong address")
    value = f"for={hub.allowed_address}" if header == "Forwarded" else hub.allowed_address
    assert party.ask("GET", "/taxii2/", headers={header: value}).status == 401
    inside = Party(party.driver, party.authorization, party.collection, hub.allowed_address)
    assert inside.get("/taxii2/").status == 200
    mapped = Party(party.driver, party.authorization, party.collection, f"::ffff:{hub.allowed_address}")
    assert mapped.get("/taxii2/").status == 200


def test_a_revoked_credential_is_refused_on_the_next_request(hub: ProbeHub) -> None:
    assert hub.lgb_second.get("/taxii2/").status == 200
    hub.revoke(hub.lgb_second)
    hub.lgb_second.get("/taxii2/").error(401)
    assert hub.lgb.get("/taxii2/").status == 200


def test_a_credential_expires_on_its_second(hub: ProbeHub) -> None:
    party = hub.short_lived(600)
    hub.advance(599)
    assert party.get("/taxii2/").status == 200
    hub.advance(1)
    party.get("/taxii2/").error(401)


def test_failures_are_throttled_by_address_and_valid_credentials_never(hub: ProbeHub) -> None:
    for _ in range(FAILURES):
        assert wrong(hub).get("/taxii2/").status == 401
    reply = wrong(hub).get("/taxii2/")
    reply.advice(429)
    assert 1 <= int(reply.headers["retry-after"]) <= WINDOW_S
    for _ in range(3):
        assert hub.lax.get("/taxii2/").status == 200
        assert hub.lgb.objects().status == 200
    assert wrong(hub, address="192.0.2.50").get("/taxii2/").status == 401


def test_failures_are_throttled_by_name_and_the_names_owner_never(hub: ProbeHub) -> None:
    name, secret = hub.login("uslax")
    for number in range(FAILURES):
        assert wrong(hub, name, f"198.51.100.{number}").get("/taxii2/").status == 401
    wrong(hub, name, "198.51.100.99").get("/taxii2/").advice(429)
    wrong(hub, name.upper(), "198.51.100.98").get("/taxii2/").error(429)
    owner = Party(hub.driver, basic(name, secret), hub.lax.collection, "198.51.100.97")
    assert owner.get("/taxii2/").status == 200
    assert wrong(hub, "somebody-else", "198.51.100.96").get("/taxii2/").status == 401


def test_requests_without_a_credential_are_no_failures(hub: ProbeHub) -> None:
    for _ in range(FAILURES * 3):
        hub.nobody.get("/taxii2/").error(401)
    assert wrong(hub).get("/taxii2/").status == 401


def test_the_throttle_lets_go_after_its_window(hub: ProbeHub) -> None:
    for _ in range(FAILURES):
        wrong(hub).get("/taxii2/")
    wait = int(wrong(hub).get("/taxii2/").headers["retry-after"])
    hub.advance(wait - 1)
    wrong(hub).get("/taxii2/").error(429)
    hub.advance(1)
    wrong(hub).get("/taxii2/").error(401)


def test_a_throttled_request_has_its_event_too(hub: ProbeHub) -> None:
    for _ in range(FAILURES + 1):
        wrong(hub).get("/taxii2/")
    event = hub.events()[-1]
    assert (event.st, event.why) == (429, "throttled")


def test_no_secret_is_in_any_event_or_answer(hub: ProbeHub) -> None:
    _, secret = hub.login("uslax")
    replies = [
        hub.lax.get("/taxii2/"),
        hub.lax.get(f"/{secret}/"),
        hub.nobody.get("/taxii2/", None, X_API_Key=secret + "x"),
        hub.nobody.get("/taxii2/", f"token={secret}"),
    ]
    for reply in replies:
        assert secret.encode() not in reply.body
    for event in hub.events():
        assert secret not in f"{event}"
