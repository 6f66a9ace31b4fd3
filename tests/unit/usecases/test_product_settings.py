"""Ready settings: each product's own field names, the right collections, and text that can be pasted."""

from __future__ import annotations

import ast
import configparser
import shlex
from base64 import b64decode
from dataclasses import replace

import pytest

from governance_samples import NOW, Hub
from lightship.core.agreement import Agreement
from lightship.core.errors import MalformedRequest
from lightship.usecases import credentials
from lightship.usecases.credentials import Minted, Order
from lightship.usecases.product_settings import PRODUCTS, settings_for

URL = "https://hub.example:9443"
FIELDS = {
    "splunk": ["type = taxii", "url = ", "post_args = collection=", "taxii_username=", "taxii_password="],
    "opencti": [
        "TAXII2_DISCOVERY_URL=https://hub.example:9443/taxii2/",
        "TAXII2_USERNAME=",
        "TAXII2_PASSWORD=",
        "TAXII2_V21=true",
        "TAXII2_COLLECTIONS=la-lb-mou.Indicators,la-lb-mou.Warnings",
    ],
    "sentinel": ["Friendly name (for server)", "API root URL", "Collection ID", "Username", "Password"],
    "misp": ["discovery_url", "auth_type", "api_root", "collection", "baseurl", "api_key"],
    "taxii2-client": ["from taxii2client.v21 import Collection", "per_request=1000"],
    "curl": ["--user", "Accept: application/taxii+json;version=2.1"],
}


@pytest.fixture(name="made", scope="module")
def _made() -> tuple[Minted, Agreement]:
    hub = Hub()
    hub.apply(hub.text())
    view = hub.directory.view()
    minted = credentials.mint(
        hub.store,
        view,
        Order("la-lb-mou", "uslgb", "soc"),
        entropy=b"\xfb" * 32,
        credential_id="c",
        req="r",
        now=NOW,
    )
    return minted, view.agreements["la-lb-mou"]


def text_for(product: str, made: tuple[Minted, Agreement], ca: str = "") -> str:
    return settings_for(product, *made, public_url=URL + "/", ca_file=ca)


def test_the_products_are_these() -> None:
    assert set(PRODUCTS) == set(FIELDS)


def test_another_product_is_refused_with_the_list(made: tuple[Minted, Agreement]) -> None:
    with pytest.raises(MalformedRequest, match="splunk, opencti"):
        text_for("qradar", made)


@pytest.mark.parametrize("product", sorted(FIELDS))
@pytest.mark.parametrize("ca", ["", "/srv/hub/tls/ca.pem"])
def test_settings_name_the_products_fields_and_hold_the_secret(
    product: str, ca: str, made: tuple[Minted, Agreement]
) -> None:
    text = text_for(product, made, ca)
    assert made[0].secret.reveal() in text
    assert "uslgb-soc" in text
    assert "//taxii2" not in text.replace("https://", "")
    for field in FIELDS[product]:
        assert field in text, field
    if ca and product != "sentinel":
        assert "ca.pem" in text


@pytest.mark.parametrize("product", ["splunk", "sentinel", "curl", "taxii2-client", "opencti"])
def test_collections_that_the_member_may_not_read_are_not_offered(
    product: str, made: tuple[Minted, Agreement]
) -> None:
    text = text_for(product, made)
    assert "aaaaaaaaaaa1" not in text
    assert "Incidents" not in text


def test_misp_gets_what_the_member_may_publish_to(made: tuple[Minted, Agreement]) -> None:
    text = text_for("misp", made)
    assert {f"aaaaaaaaaaa{n}" in text for n in (1, 2, 3)} == {True}
    keys = {line.split()[1] for line in text.splitlines() if line.startswith("api_key")}
    secret = made[0].secret.reveal()
    assert [b64decode(key).decode() for key in keys] == [f"uslgb-soc:{secret}"]


def test_the_splunk_stanzas_are_read_by_an_ini_parser(made: tuple[Minted, Agreement]) -> None:
    stanzas = text_for("splunk", made).partition("# To publish from Splunk")[0]
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_string(stanzas)
    assert parsed.sections() == ["threatlist://la_lb_mou_indicators", "threatlist://la_lb_mou_warnings"]
    one = parsed["threatlist://la_lb_mou_indicators"]
    assert one["url"] == f"{URL}/la-lb-mou/"
    arguments = dict(part.split("=", 1) for part in shlex.split(one["post_args"]))
    assert arguments == {
        "collection": "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa2",
        "taxii_username": "uslgb-soc",
        "taxii_password": made[0].secret.reveal(),
    }


def test_the_curl_line_is_one_command(made: tuple[Minted, Agreement]) -> None:
    words = shlex.split(text_for("curl", made, "/a b/ca.pem"))
    assert words[0] == "curl"
    assert words[words.index("--cacert") + 1] == "/a b/ca.pem"
    assert words[words.index("--user") + 1] == f"uslgb-soc:{made[0].secret.reveal()}"
    assert words[-1] == f"{URL}/la-lb-mou/collections/aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa2/objects/"


def test_the_python_lines_call_taxii2_client_as_it_is(made: tuple[Minted, Agreement]) -> None:
    import inspect

    from taxii2client.v21 import Collection

    tree = ast.parse(text_for("taxii2-client", made, "/a/ca.pem"))
    call = next(node for node in ast.walk(tree) if isinstance(node, ast.Call))
    names = {keyword.arg for keyword in call.keywords}
    assert names == {"user", "password", "verify"}
    assert names <= set(inspect.signature(Collection.__init__).parameters)


def test_a_member_that_publishes_nowhere_is_told_so(made: tuple[Minted, Agreement]) -> None:
    minted, agreement = made
    auditor = Minted(replace(minted.credential, member="jptyo"), minted.secret)
    assert "nothing to push to" in settings_for("misp", auditor, agreement, public_url=URL)
    assert "/la-lb-mou/collections/" in settings_for("curl", auditor, agreement, public_url=URL)


def test_a_title_with_a_comma_falls_back_to_the_whole_root(made: tuple[Minted, Agreement]) -> None:
    minted, agreement = made
    titled = tuple(replace(one, title="A, B") for one in agreement.collections)
    text = settings_for("opencti", minted, replace(agreement, collections=titled), public_url=URL)
    assert "TAXII2_COLLECTIONS=la-lb-mou.*" in text
