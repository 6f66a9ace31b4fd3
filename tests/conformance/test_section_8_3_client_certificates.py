"""TAXII 2.1 section 8.3.1: client certificates, verified by PKIX (RFC 5280) in the handshake."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from clientcerts import bind, client_with, hub_authority, make_pair, other_authority
from conformance_clauses import clause
from hubkit import make_hub


@clause("8.3.1-follow", "8.3.1-pkix", "8.1.2-optional")
def test_a_client_certificate_is_verified_by_pkix_and_names_who_it_is_pinned_for(tmp_path: Path) -> None:
    with make_hub(tmp_path) as kit, kit.serve() as served:
        own = hub_authority(kit.hub.dir)
        good, old = make_pair(tmp_path / "c", own), make_pair(tmp_path / "c", own, days=1, ago=3)
        strange = make_pair(tmp_path / "c", other_authority())
        for number, one in enumerate((good, strange)):
            bind(kit, "uslax", f"tool{number}", one.shown)
        with client_with(served, good) as client:
            assert client.get("/taxii2/").status_code == 200
        for one in (old, strange):
            with client_with(served, one) as client, pytest.raises(httpx2.TransportError):
                client.get("/taxii2/")
        with client_with(served, None, "uslax") as client:
            assert client.get("/taxii2/").status_code == 200, "it is optional"
