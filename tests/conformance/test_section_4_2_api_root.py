"""TAXII 2.1 section 4.2: API roots, one for each agreement."""

from __future__ import annotations

import re

import pytest

from conformance_clauses import clause
from probehub import ProbeHub
from stixsamples import indicator
from taxiiprobe import TAXII


@clause("4.2-unique", "8.2.1-api-root")
def test_each_api_root_has_its_own_url(hub: ProbeHub) -> None:
    one = hub.lax.get(hub.root).ok().json
    two = hub.stranger.get(hub.other_root).ok().json
    assert hub.root != hub.other_root
    assert one["title"] != two["title"]


@clause("4.2.1-versions-media", "4.2.1-versions-parameter", "4.2.1-versions-21")
def test_versions_names_taxii_2_1(hub: ProbeHub) -> None:
    versions = hub.lax.get(hub.root).json["versions"]
    assert TAXII in versions
    assert all(re.fullmatch(r"application/taxii\+json;version=\d+\.\d+", one) for one in versions)


@clause("4.2.1-max-positive")
def test_max_content_length_is_what_the_hub_is_set_to(hub: ProbeHub) -> None:
    assert hub.lax.get(hub.root).json["max_content_length"] == hub.max_content_length > 0


@clause("4.2.1-max-kept")
@pytest.mark.parametrize("short_by", [1, 0])
@pytest.mark.parametrize("pieces", [False, True])
def test_a_body_within_the_limit_is_never_413(hub: ProbeHub, short_by: int, pieces: bool) -> None:
    body = padded(hub.max_content_length - short_by)
    assert hub.lgb.send([body[:70_000], body[70_000:]] if pieces else body).status == 202


@clause("5.5-failures")
@pytest.mark.parametrize("pieces", [False, True])
def test_a_longer_one_is_413_and_leaves_nothing(hub: ProbeHub, pieces: bool) -> None:
    body = padded(hub.max_content_length + 1)
    cut = [body[at : at + 60_000] for at in range(0, len(body), 60_000)]
    hub.lgb.send(cut if pieces else body).advice(413)
    assert hub.lax.objects().objects == []


def padded(length: int) -> bytes:
    """Return a good envelope of exactly so many bytes."""
    import json

    body = json.dumps({"objects": [indicator()]}).encode()
    return body + b" " * (length - len(body))
