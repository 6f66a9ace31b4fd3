"""A hub whose file somebody wrote to: what a publisher is told, and the ways out that its steward has."""

from __future__ import annotations

import json
from pathlib import Path

import apsw
import pytest

from hubkit import make_hub
from lightship.cli.main import execute
from lightship.core.collection import pack
from lightship.wiring import make_app, open_hub
from stixsamples import indicator
from tamperlab import rehash


def edit(hub_dir: Path, sql: str, *, again: bool = False) -> None:
    db = apsw.Connection(str(hub_dir / "data" / "hub.db"))
    try:
        db.execute(sql).fetchall()
        if again:
            rehash(db)
    finally:
        db.close()


def vouch(hub_dir: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, object]]:
    capsys.readouterr()
    code = execute(["collection", "vouch", "exercise/indicators", "--json", "--hub", str(hub_dir), *more])
    said = capsys.readouterr().out
    return code, json.loads(said) if said else {}


def test_publishing_stops_with_503_and_goes_on_once_the_steward_vouches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with make_hub(tmp_path, "sqlite") as kit:
        hub_dir, place, clock = kit.hub.dir, kit.path("indicators", "objects/"), kit.hub.clock
        with kit.client("uslgb") as lgb:
            assert lgb.post(place, json={"objects": [indicator()]}).status_code == 202
            log = f"/log/{kit.collection('indicators')}/checkpoint"
            kept = tmp_path / "kept.checkpoint"
            kept.write_bytes(lgb.get(log, headers={"Accept": "*/*"}).content)
            held = dict(kit.held)
    edit(hub_dir, "UPDATE log_head SET note = x''")
    hub = open_hub(hub_dir, clock=clock)
    with type(kit)(hub, make_app(hub), kit.agreement, held) as kit, kit.client("uslgb") as lgb:
        refused = lgb.post(place, json={"objects": [indicator()]})
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) >= 60
        assert "lightship fsck" in refused.text
        assert lgb.get(place).status_code == 200
        assert lgb.get(log, headers={"Accept": "*/*"}).status_code == 503
        assert execute(["fsck", "--hub", str(hub_dir)]) == 1
        code, said = vouch(hub_dir, capsys, "--since", str(kept))
        assert (code, said["vouched"]) == (0, True)
        assert lgb.post(place, json={"objects": [indicator()]}).status_code == 202
        assert lgb.get(log, headers={"Accept": "*/*"}).status_code == 200
        assert [one.col for one in kit.events() if one.act == "vouch-log"] == [kit.collection("indicators")]
    code, said = vouch(hub_dir, capsys)
    assert (code, said["vouched"], said["problems"]) == (0, False, [])
    assert execute(["fsck", "--hub", str(hub_dir)]) == 0


def test_what_is_wrong_beside_the_signature_or_with_a_kept_checkpoint_is_not_vouched_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with make_hub(tmp_path, "sqlite") as kit:
        hub_dir, place = kit.hub.dir, kit.path("indicators", "objects/")
        with kit.client("uslgb") as lgb:
            for _ in range(3):
                assert lgb.post(place, json={"objects": [indicator()]}).status_code == 202
            log = f"/log/{kit.collection('indicators')}/checkpoint"
            kept = tmp_path / "kept.checkpoint"
            kept.write_bytes(lgb.get(log, headers={"Accept": "*/*"}).content)
    edit(hub_dir, f"UPDATE statement SET by = 'eve' WHERE key = {pack(1, 1)}")
    code, said = vouch(hub_dir, capsys)
    assert (code, said["vouched"]) == (1, False)
    edit(hub_dir, f"UPDATE statement SET by = 'uslgb' WHERE key = {pack(1, 1)}")
    edit(hub_dir, f"UPDATE statement SET at = at - 1 WHERE key = {pack(1, 0)}", again=True)
    code, said = vouch(hub_dir, capsys)
    assert (code, said["vouched"]) == (1, False)
    signed_last = "the checkpoint that the hub signed last: the first 4 entries were others"
    assert said["problems"] == [signed_last]
    edit(hub_dir, "UPDATE log_head SET note = x''")
    code, said = vouch(hub_dir, capsys, "--since", str(kept))
    assert (code, said["vouched"]) == (1, False)
    assert said["problems"] == [f"{kept}: the first 4 entries were others"]
    (tmp_path / "none").write_bytes(b"no note")
    assert vouch(hub_dir, capsys, "--since", str(tmp_path / "none"))[0] == 2


def test_a_backup_of_before_is_a_way_out(tmp_path: Path) -> None:
    with make_hub(tmp_path, "sqlite") as kit:
        hub_dir, place = kit.hub.dir, kit.path("indicators", "objects/")
        with kit.client("uslgb") as lgb:
            assert lgb.post(place, json={"objects": [indicator()]}).status_code == 202
        held, clock = dict(kit.held), kit.hub.clock
    archive = tmp_path / "backup.tar"
    assert execute(["backup", str(archive), "--hub", str(hub_dir)]) == 0
    edit(hub_dir, f"UPDATE statement SET by = 'eve' WHERE key = {pack(1, 1)}", again=True)
    assert execute(["fsck", "--hub", str(hub_dir)]) == 1
    assert execute(["restore", str(archive), "--force", "--hub", str(hub_dir)]) == 0
    hub = open_hub(hub_dir, clock=clock)
    with type(kit)(hub, make_app(hub), kit.agreement, held) as kit, kit.client("uslgb") as lgb:
        assert lgb.post(place, json={"objects": [indicator()]}).status_code == 202
    assert execute(["fsck", "--hub", str(hub_dir)]) == 0


def test_an_export_that_the_hub_does_not_vouch_for_says_so_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with make_hub(tmp_path, "sqlite") as kit:
        hub_dir = kit.hub.dir
    words = ["audit", "export", "exercise", "--hub", str(hub_dir), "--json", "--out"]
    assert execute([*words, str(tmp_path / "sound")]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["unvouched"] == []
    (path,) = (hub_dir / "data").glob("audit-*.db")
    db = apsw.Connection(str(path))
    db.execute("UPDATE event SET seal = NULL").fetchall()
    db.close()
    assert execute([*words, str(tmp_path / "forged")]) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["unvouched"] == [int(path.stem[-4:])]
    words = [*words[:-2], "--out", str(tmp_path / "told")]
    assert execute(words) == 1
    assert "does not vouch" in capsys.readouterr().err
    keys = str(tmp_path / "sound" / "keys")
    assert execute(["verify", str(tmp_path / "sound"), "--root", keys]) == 0
    assert execute(["verify", str(tmp_path / "forged"), "--root", keys]) == 1
