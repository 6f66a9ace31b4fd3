"""Ready settings for a new credential, under each product's own field names.

Pure text: nothing is sent and nothing stored. The text holds the secret, so it is shown once, with it. Field
names are those of the products' own documents: Splunk's inputs.conf.spec (threatlist) and its CTIS app,
OpenCTI's taxii2 connector, Microsoft Sentinel's "Threat intelligence - TAXII" connector page, MISP's form for
TAXII servers, taxii2-client, curl.
"""

from __future__ import annotations

import json
import shlex
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from lightship.core.agreement import Agreement
from lightship.core.collection import Collection
from lightship.core.errors import MalformedRequest
from lightship.usecases.credentials import Minted, Secret

TAXII = "application/taxii+json;version=2.1"


@dataclass(frozen=True, slots=True)
class Setup:
    """What a product needs to know. `ca_file` is the private authority's file, empty with a public one."""

    public_url: str
    agreement: str
    name: str
    secret: Secret
    readable: tuple[Collection, ...]
    writable: tuple[Collection, ...]
    ca_file: str = ""

    @property
    def discovery(self) -> str:
        """The discovery URL."""
        return f"{self.public_url}/taxii2/"

    @property
    def root(self) -> str:
        """The agreement's API root."""
        return f"{self.public_url}/{self.agreement}/"

    def objects(self, collection: Collection) -> str:
        """The objects URL of a collection."""
        return f"{self.root}collections/{collection.id}/objects/"


def settings_for(
    product: str, minted: Minted, agreement: Agreement, *, public_url: str, ca_file: str = ""
) -> str:
    """Return the settings of a product, ready to paste.

    Args:
        product: one of `PRODUCTS`.
        minted: the credential and its secret.
        agreement: the one it belongs to.
        public_url: the hub's URL without a path.
        ca_file: the private authority's certificate file, empty where clients trust the certificate anyway.

    Raises:
        MalformedRequest: no such product.
    """
    if product not in PRODUCTS:
        raise MalformedRequest(
            f"There are no settings for {product!r}", todo=f"Use one of: {', '.join(PRODUCTS)}"
        )
    member = minted.credential.member
    setup = Setup(
        public_url=public_url.rstrip("/"),
        agreement=agreement.id,
        name=minted.credential.name,
        secret=minted.secret,
        readable=tuple(one for one in agreement.collections if member in one.audience),
        writable=tuple(one for one in agreement.collections if member in one.publishers),
        ca_file=ca_file,
    )
    return PRODUCTS[product](setup).rstrip() + "\n"


def _splunk(setup: Setup) -> str:
    """Enterprise Security reads (one input a collection); the CTIS app writes."""
    out = [
        "# Splunk Enterprise Security 8.2 or later (it reads TAXII 2.x): one input a collection.",
        "# Where your version keeps credentials apart, store user and password under Credentials first.",
        *_trust(setup, "# Splunk must trust {ca}: add it to the CA bundle that Splunk's Python uses."),
    ]
    for one in setup.readable:
        arguments = (
            f'collection="{one.id}" taxii_username="{setup.name}" taxii_password="{setup.secret.reveal()}"'
        )
        out += [
            "",
            f"[threatlist://{_identifier(setup.agreement, one.alias)}]",
            f"description = {one.title} ({setup.agreement})",
            "type = taxii",
            f"url = {setup.root}",
            f"post_args = {arguments}",
            "interval = 3600",
            "weight = 60",
            "disabled = 0",
        ]
    if setup.writable:
        out += [
            "",
            "# To publish from Splunk: CTIS TAXII ES Add-on > Configuration > TAXII Configurations > Add",
            *_form(
                ("Name", _identifier(setup.agreement)),
                ("TAXII API Root URL", setup.root),
                ("Username", setup.name),
                ("Password", setup.secret.reveal()),
            ),
        ]
    return "\n".join(out)


def _opencti(setup: Setup) -> str:
    titles = [one.title for one in setup.readable]
    listed = [f"{setup.agreement}.{title}" for title in titles]
    if any("," in title for title in titles) or not titles:
        listed = [f"{setup.agreement}.*"]  # the list is split at commas
    environment = {
        "CONNECTOR_NAME": f"Lightship {setup.agreement}",
        "TAXII2_DISCOVERY_URL": setup.discovery,
        "TAXII2_USERNAME": setup.name,
        "TAXII2_PASSWORD": setup.secret.reveal(),
        "TAXII2_USE_TOKEN": "false",
        "TAXII2_V21": "true",
        "TAXII2_COLLECTIONS": ",".join(listed),
        "TAXII2_INITIAL_HISTORY": "8760",
        "TAXII2_INTERVAL": "1",
        "TAXII2_VERIFY_SSL": "true",
    }
    if setup.ca_file:
        environment["REQUESTS_CA_BUNDLE"] = "/etc/ssl/lightship-ca.pem"
    return "\n".join(
        [
            "# OpenCTI: environment of the connector opencti/connector-taxii2 in docker-compose.yml",
            *_trust(setup, "# Mount {ca} into the container as /etc/ssl/lightship-ca.pem."),
            "environment:",
            *(
                f"  - {json.dumps(f'{key}={value}', ensure_ascii=False)}"
                for key, value in environment.items()
            ),
        ]
    )


def _sentinel(setup: Setup) -> str:
    out = [
        "# Microsoft Sentinel: Data connectors > Threat intelligence - TAXII > Open connector page",
        "# One entry a collection. The hub must be reachable from Azure.",
        *_trust(setup, "# Sentinel trusts public authorities only: give the hub such a certificate."),
    ]
    for one in setup.readable:
        out += [
            "",
            *_form(
                ("Friendly name (for server)", f"{setup.agreement} {one.title}"),
                ("API root URL", setup.root),
                ("Collection ID", one.id),
                ("Username", setup.name),
                ("Password", setup.secret.reveal()),
                ("Import indicators", "All available"),
                ("Polling frequency", "Once an hour"),
            ),
        ]
    return "\n".join(out)


def _misp(setup: Setup) -> str:
    """MISP pushes to TAXII servers; its older form has baseurl and api_key instead of a discovery URL."""
    out = [
        "# MISP pushes: Sync Actions > TAXII Servers > Add TAXII Server connection, one a collection.",
        *_trust(setup, "# MISP must trust {ca}: add it to the CA certificates of its host."),
    ]
    basic = b64encode(f"{setup.name}:{setup.secret.reveal()}".encode()).decode()
    for one in setup.writable:
        out += [
            "",
            *_form(
                ("name", f"{setup.agreement} {one.title}"),
                ("owner", setup.name),
                ("discovery_url", setup.discovery),
                ("auth_type", "basic"),
                ("username", setup.name),
                ("password", setup.secret.reveal()),
                ("api_root", setup.agreement),
                ("collection", one.id),
            ),
            "# Older versions have these in place of discovery_url, auth_type, username, password:",
            *_form(("baseurl", setup.public_url), ("api_key", basic)),
        ]
    if not setup.writable:
        out += [
            "",
            "# This member publishes to no collection of the agreement, so MISP has nothing to push to.",
        ]
    return "\n".join(out)


def _taxii2_client(setup: Setup) -> str:
    url = setup.root
    if setup.readable:
        url += f"collections/{setup.readable[0].id}/"
    verify = f", verify={setup.ca_file!r}" if setup.ca_file else ""
    return "\n".join(
        [
            "# Python: pip install taxii2-client",
            *_trust(setup, "# A REQUESTS_CA_BUNDLE in the environment would win over `verify`."),
            "from taxii2client.v21 import Collection, as_pages",
            "",
            "collection = Collection(",
            f"    {url!r},",
            f"    user={setup.name!r}, password={setup.secret.reveal()!r}{verify},",
            ")",
            "for page in as_pages(collection.get_objects, per_request=1000):",
            '    for item in page.get("objects", []):',
            '        print(item["id"])',
        ]
    )


def _curl(setup: Setup) -> str:
    url = setup.objects(setup.readable[0]) if setup.readable else f"{setup.root}collections/"
    words = ["curl", "--fail-with-body"]
    if setup.ca_file:
        words += ["--cacert", setup.ca_file]
    words += ["--user", f"{setup.name}:{setup.secret.reveal()}", "--header", f"Accept: {TAXII}", url]
    return shlex.join(words)


def _trust(setup: Setup, text: str) -> Sequence[str]:
    return [text.format(ca=setup.ca_file)] if setup.ca_file else []


def _form(*fields: tuple[str, str]) -> list[str]:
    width = max(len(label) for label, _ in fields)
    return [f"{label.ljust(width)}  {value}" for label, value in fields]


def _identifier(*parts: str) -> str:
    """A name of letters, digits and underscores that begins with a letter."""
    name = "_".join(parts).replace("-", "_")
    return name if name[0].isalpha() else f"lightship_{name}"


PRODUCTS: Final[dict[str, Callable[[Setup], str]]] = {
    "splunk": _splunk,
    "opencti": _opencti,
    "sentinel": _sentinel,
    "misp": _misp,
    "taxii2-client": _taxii2_client,
    "curl": _curl,
}
"""What `credential mint --for` knows."""
