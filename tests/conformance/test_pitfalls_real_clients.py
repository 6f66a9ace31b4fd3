"""What real clients need beyond the text of the standard."""

from __future__ import annotations

import base64
import json

import pytest

from probehub import ProbeHub
from stixsamples import indicator
from taxiiprobe import basic


@pytest.mark.parametrize(
    "content_type", ["application/taxii+json;version=2.1", "application/stix+json;version=2.1"]
)
def test_a_bundle_as_the_body_of_a_post(hub: ProbeHub, content_type: str) -> None:
    posted = [indicator(), indicator()]
    bundle = {"type": "bundle", "id": "bundle--5d0092c5-5f74-4287-9642-33f4c354e56d", "objects": posted}
    status = hub.lgb.send(json.dumps(bundle).encode(), Content_Type=content_type).ok().json
    assert (status["total_count"], status["success_count"]) == (2, 2)
    assert hub.lax.objects().objects == posted


def test_a_bundle_of_2_0_with_its_spec_version(hub: ProbeHub) -> None:
    one = indicator()
    bundle = {
        "type": "bundle",
        "id": "bundle--5d0092c5-5f74-4287-9642-33f4c354e56d",
        "spec_version": "2.0",
        "objects": [one],
    }
    assert hub.lgb.send(json.dumps(bundle).encode()).json["success_count"] == 1


@pytest.mark.parametrize(
    "scheme", ["Bearer {}", "bearer {}", "Token {}", "TOKEN {}", "basic", "key", "key lower"]
)
def test_one_secret_works_in_every_scheme(hub: ProbeHub, scheme: str) -> None:
    name, secret = hub.login("uslax")
    headers: dict[str, str] = {"Authorization": scheme.format(secret)}
    if scheme == "basic":
        headers = {"Authorization": basic(name, secret)}
    elif scheme.startswith("key"):
        headers = {"X-API-Key" if scheme == "key" else "x-api-key": secret}
    assert hub.nobody.ask("GET", hub.root, headers=headers).status == 200


def test_basic_takes_a_lower_cased_name_and_odd_spacing(hub: ProbeHub) -> None:
    name, secret = hub.login("uslax")
    assert name == name.lower()
    coded = base64.b64encode(f"{name}:{secret}".encode()).decode()
    for value in (f"Basic {coded}", f"basic {coded}", f"BASIC  {coded}"):
        assert hub.nobody.ask("GET", hub.root, headers={"Authorization": value}).status == 200


def test_basic_with_another_clients_name_is_refused(hub: ProbeHub) -> None:
    _, secret = hub.login("uslax")
    other, _ = hub.login("uslgb")
    hub.nobody.ask("GET", hub.root, headers={"Authorization": basic(other, secret)}).error(401)


@pytest.mark.parametrize(
    "place", ["/taxii2/", "root", "collections", "collection", "manifest", "objects", "object"]
)
def test_paths_without_the_last_slash_are_served_not_redirected(hub: ProbeHub, place: str) -> None:
    path = hub.place(place)
    bare = hub.lgb.get(path.rstrip("/"))
    assert bare.status == 200
    assert bare.json == hub.lgb.get(path).json


def test_a_post_without_the_last_slash_is_served(hub: ProbeHub) -> None:
    body = json.dumps({"objects": [indicator()]}).encode()
    assert hub.lgb.ask("POST", hub.lgb.at("objects"), body=body).status == 202


def test_empty_pages_follow_the_standard_unless_the_credential_asks_for_a_list(hub: ProbeHub) -> None:
    nothing = {"match[type]": "x-nothing"}
    assert hub.lax.objects(nothing).json == {"more": False}
    assert hub.elastic.objects(nothing).json.get("objects") == []
    assert hub.elastic.manifest(nothing).json == {"more": False, "objects": []}
    one = indicator()
    hub.lgb.publish(one)
    assert hub.elastic.objects().json["objects"] == [one]
    later = {"added_after": hub.elastic.objects().last}
    assert hub.elastic.versions(one["id"], later).json == {"more": False, "versions": []}
    assert hub.elastic.object(one["id"], later).json == {"more": False, "objects": []}


def test_versions_of_json_numbers_come_back_in_canonical_form(hub: ProbeHub) -> None:
    body = json.dumps({"objects": [indicator(x_a=1.0, x_b=100.0)]}).encode()
    assert b"1.0" in body
    hub.lgb.send(body).ok()
    assert b'"x_a":1,' in hub.lax.objects().body


def test_date_is_sent(hub: ProbeHub) -> None:
    """Servers add Date themselves; the application must not send a second, wrong one."""
    assert "," not in hub.lax.objects().headers.get("date", "").replace(",", "", 1)
