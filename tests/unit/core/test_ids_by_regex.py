"""Ids and digests in two readings: the quick one that the hub uses, and one regular expression each."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from lightship.core.ids import is_sha256, is_stix_id

HEX = "[0-9a-f]"
STIX_ID = re.compile(
    rf"[a-z0-9][a-z0-9-]{{1,248}}[a-z0-9]--{HEX}{{8}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{12}}", re.ASCII
)
SHA256 = re.compile(f"{HEX}{{64}}", re.ASCII)
UUID = "0f1e2d3c-4b5a-4968-8776-655443322110"


def bent(good: str) -> st.SearchStrategy[str]:
    """Texts that differ from a good one in one place, or in their length."""
    letters = st.sampled_from(["", "-", "--", "0", "A", "g", "é", "\n", " ", "٣"])
    return st.builds(
        lambda at, other, cut: good[:at] + other + good[at + cut :],
        st.integers(0, len(good)),
        letters,
        st.integers(0, 2),
    )


@given(
    bent(f"x-a-type--{UUID}") | bent(f"a--b--{UUID}") | bent(f"{'t' * 249}-x--{UUID}") | st.text(max_size=60)
)
@example(f"indicator--{UUID}")
@example(f"a---{UUID}")
@example(f"ab--{UUID}")
@example(f"{'t' * 250}--{UUID}")
@example(f"{'t' * 251}--{UUID}")
@example(f"--{UUID}")
@example(UUID)
def test_a_stix_id_is_a_type_two_hyphens_and_a_uuid(text: str) -> None:
    assert is_stix_id(text) == (STIX_ID.fullmatch(text) is not None)


@given(bent("0123456789abcdef" * 4) | st.text(max_size=70))
@example("0123456789abcdef" * 4)
@example("0123456789ABCDEF" * 4)
@example(" ".join(["0123456789abcdef"] * 3) + "0123456789abcd")
@example("٣" * 64)
def test_a_digest_is_64_lower_case_hex_digits(text: str) -> None:
    assert is_sha256(text) == (SHA256.fullmatch(text) is not None)
