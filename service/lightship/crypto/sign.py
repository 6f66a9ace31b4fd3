"""Ed25519 (RFC 8032) signing and verifying.

Keys come and go as PEM (PKCS #8) or raw public bytes. A private key never appears in a repr, an error or
a log line. Touches no files.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lightship.core.dsse import key_id


class SigningKey:
    """An Ed25519 private key that shows only its public half."""

    __slots__ = ("_key", "keyid", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public: bytes = key.public_key().public_bytes_raw()
        self.keyid: str = key_id(self.public)

    def __repr__(self) -> str:
        return f"SigningKey({self.keyid[:16]}…)"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not pickled")

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of `message`."""
        return self._key.sign(message)

    def pem(self) -> bytes:
        """Return the private key as unencrypted PKCS #8 PEM, for a file of mode 0400 only."""
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def new_signing_key() -> SigningKey:
    """Return a fresh key from the operating system's randomness."""
    return SigningKey(Ed25519PrivateKey.generate())


def read_signing_key(pem: bytes) -> SigningKey:
    """Return the key in a PEM.

    Raises:
        ValueError: no unencrypted Ed25519 private key; the text never repeats the input.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise ValueError("it holds no unencrypted PEM private key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("its key is not an Ed25519 key")
    return SigningKey(key)


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """True if `signature` is that of the raw Ed25519 key `public` over `message`; never raises."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
