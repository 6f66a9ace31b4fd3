"""Client certificates in the SDK: profiles keep where they are, and a key is used only if it is safe."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from clientcerts import Pair, make_pair, other_authority
from lightship.client.connection import ClientFiles, Connection, trust
from lightship.client.profiles import Profile, load_profile, save_profile
from lightship.core.errors import BadFile


@pytest.fixture(name="pair")
def _pair(tmp_path: Path) -> Pair:
    made = make_pair(tmp_path / "c", other_authority())
    made.file.chmod(0o400)
    return made


def test_a_profile_keeps_its_certificate_with_and_without_a_secret(tmp_path: Path, pair: Pair) -> None:
    alone = Profile("alone", "https://hub.example", "", client_cert=pair.file, client_key=Path("/k"))
    both = Profile("both", "https://hub.example", "uslax-x", client_cert=pair.file)
    save_profile(tmp_path, alone, None, make_default=True)
    kept = save_profile(tmp_path, both, "ls1_abc", make_default=False)
    assert load_profile(tmp_path, "alone") == alone
    assert load_profile(tmp_path, "both") == kept
    assert (alone.secret({}), kept.secret({})) == ("", "ls1_abc")
    assert alone.client == ClientFiles(pair.file, Path("/k"))
    assert Profile("x", "https://hub.example", "u").client is None


def test_a_key_that_others_can_read_is_not_used(pair: Pair) -> None:
    assert trust(None, ClientFiles(pair.file)).minimum_version is ssl.TLSVersion.TLSv1_2
    pair.file.chmod(0o440)
    with pytest.raises(BadFile, match="open to others"):
        trust(None, ClientFiles(pair.file))


def test_files_that_do_not_belong_together_and_keys_with_a_passphrase_are_refused_without_asking(
    tmp_path: Path, pair: Pair
) -> None:
    other = make_pair(tmp_path / "c", other_authority())
    locked = tmp_path / "locked.key"
    private = serialization.load_pem_private_key(pair.made.key, None)
    locked.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"words"),
        )
    )
    for key in (other.file, locked, tmp_path / "missing"):
        if key.exists():
            key.chmod(0o400)
        with pytest.raises(BadFile, match="client certificate cannot be used"):
            trust(None, ClientFiles(pair.file, key))


def test_without_user_and_secret_nothing_is_sent_as_a_credential(pair: Pair) -> None:
    with Connection("https://hub.example", "", "", client=ClientFiles(pair.file)) as connection:
        assert connection._http.auth is None
