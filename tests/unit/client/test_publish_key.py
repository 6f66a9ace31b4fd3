"""Key files: made for their owner only, never overwritten, refused when others could read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightship.client.publish_key import generate, load
from lightship.core.errors import BadFile, Conflict


def test_a_key_is_made_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "publish.key"
    key = generate(path)
    assert path.stat().st_mode & 0o777 == 0o400
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert load(path).public == key.public


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "publish.key"
    before = generate(path).public
    with pytest.raises(Conflict, match="exists"):
        generate(path)
    assert load(path).public == before


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "publish.key"
    generate(path)
    path.chmod(0o440)
    with pytest.raises(BadFile, match="open to others"):
        load(path)


def test_what_is_no_key_is_refused_without_repeating_it(tmp_path: Path) -> None:
    path = tmp_path / "publish.key"
    with pytest.raises(BadFile, match="lightship keys generate"):
        load(path)
    path.touch(0o600)
    path.write_text("a secret that is no key")
    with pytest.raises(BadFile) as caught:
        load(path)
    assert "a secret" not in str(caught.value)
