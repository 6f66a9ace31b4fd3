"""The hub's own keys: `hub.key` signs agreements (and later logs), `cursor.key` authenticates `next` tokens.

Both lie in the hub directory's `keys/`, mode 0400, and are never sent anywhere.
"""

from __future__ import annotations

from pathlib import Path

from lightship.core.errors import BadFile
from lightship.crypto.sign import SigningKey, read_signing_key
from lightship.keys.files import read_private

HUB_KEY = Path("keys/hub.key")
CURSOR_KEY = Path("keys/cursor.key")
CURSOR_BYTES = 32


def load_hub_key(hub_dir: Path) -> SigningKey:
    """Return the hub's signing key.

    Raises:
        BadFile: missing, readable by others, or no Ed25519 key.
    """
    path = hub_dir / HUB_KEY
    try:
        return read_signing_key(read_private(path))
    except ValueError as error:
        raise BadFile(
            "The hub's key cannot be used",
            path=str(path),
            why=str(error),
            todo="Restore it from a backup: no other key can continue this hub's agreements",
        ) from None


def load_cursor_key(hub_dir: Path) -> bytes:
    """Return the 32 bytes that authenticate `next` tokens.

    Raises:
        BadFile: missing, readable by others, or not 32 bytes.
    """
    path = hub_dir / CURSOR_KEY
    key = read_private(path)
    if len(key) != CURSOR_BYTES:
        raise BadFile(
            "The cursor key cannot be used",
            path=str(path),
            why=f"it must have {CURSOR_BYTES} bytes",
            todo="Restore it from a backup; with another key clients start over from their last position",
        )
    return key
