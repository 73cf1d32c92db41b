"""Which remotes there are, what is on them, and what is said where one cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.contract import remotes
from engine.contract.base import PathRef
from engine.contract.errors import Failed, Invalid, NotFound, Refused, Unavailable
from tests.fakes.rclone import PASSWORD, SECRET, rclone
from tests.unit.remotes.conftest import Servers
from tests.unit.remotes.house import House, opened, put


async def test_each_remote_is_named_with_its_type_and_address_and_no_secret(
    house: House, servers: Servers
) -> None:
    found = await house.list()
    by_name = {remote.name: remote for remote in found.remotes}
    assert list(by_name) == ["away", "dav", "locked", "s3", "sftp", "silent"]
    assert by_name["dav"].type == "webdav"
    assert by_name["dav"].where == f"http://127.0.0.1:{servers.dav.port}"
    assert by_name["dav"].reachable is None
    assert found.config == PathRef.of(servers.config)
    told = found.model_dump_json()
    hidden = [PASSWORD, SECRET, rclone("obscure", PASSWORD)[:8], "pass"]
    assert not [secret for secret in hidden if secret in told]


async def test_a_probe_says_which_answer_and_why_the_others_do_not(house: House) -> None:
    by_name = {remote.name: remote for remote in (await house.list(probe=True)).remotes}
    assert [name for name, remote in by_name.items() if remote.reachable] == ["dav", "s3", "sftp"]
    assert "connection refused" in by_name["away"].problem
    assert "connection refused" in by_name["silent"].problem
    assert "401" in by_name["locked"].problem


async def test_an_inventory_counts_everything_once(house: House, remote: tuple[str, Path]) -> None:
    ref, disk = remote
    for number in range(30):
        put(disk, f"year/{number % 3}/file {number}.jpg", 10 + number)
    put(disk, "top.bin", 5_000)
    found = await house.inventory(ref)
    assert (found.files, found.bytes) == (31, 5_000 + sum(range(10, 40)))
    assert {(f.name, f.files) for f in found.folders} == {("", 1), ("year", 30)}
    assert found.largest[0].path.display == "top.bin"
    assert found.unread == 0
    if ref.startswith("s3:"):
        assert (found.hash, found.hashed) == ("md5", 31)


async def test_a_slow_hash_is_read_only_when_asked_for(house: House, servers: Servers) -> None:
    put(servers.sftp.folder, "slow/a.bin")
    assert (await house.inventory("sftp:slow")).hash == ""
    found = await house.inventory("sftp:slow", hashes=True)
    assert (found.hash, found.hashed) == ("sha1", 1)


async def test_a_later_inventory_takes_the_place_of_the_earlier(
    house: House, tmp_path: Path
) -> None:
    usb = tmp_path / "usb"
    put(usb, "a.bin", 10)
    await house.inventory(str(usb))
    put(usb, "b.bin", 20)
    await house.inventory(str(usb))
    rows = await house.engine.ground.catalogue.read("SELECT path FROM remote_file")
    assert [row["path"] for row in rows] == ["a.bin", "b.bin"]


async def test_what_others_have_is_found_by_hash_and_else_by_size_and_name(
    house: House, films: Path, servers: Servers, tmp_path: Path
) -> None:
    usb = tmp_path / "usb"
    put(usb, "copy-of-heat.mkv").write_bytes((films / "heat.mkv").read_bytes())
    put(usb, "other/ran.mkv").write_bytes(b"x" * 100_000)
    put(servers.dav.folder, "found/ran.mkv").write_bytes(b"y" * 100_000)
    await house.inventory(str(usb), hashes=True)
    await house.inventory("dav:found")

    async def holders(name: str) -> list[tuple[str, str, str]]:
        request = remotes.FindFile(library="films", path=PathRef.of(name))
        found = await house.call(remotes.FIND, request)
        return [(h.remote, h.path.display, h.by) for h in found.holders]

    assert await holders("heat.mkv") == [(str(usb), "copy-of-heat.mkv", "blake3")]
    # The one on the disk has another hash: it is another file. The other one may be it.
    assert await holders("ran.mkv") == [("dav:found", "ran.mkv", "size")]
    assert await holders("dune/dune.mkv") == []


@pytest.mark.parametrize(
    ("ref", "error", "words"),
    [
        ("nowhere:x", NotFound, "knows no remote nowhere"),
        ("dav:not-there", NotFound, "directory not found"),
        ("locked:", Failed, "401"),
        ("away:", Unavailable, "connection refused"),
        ("silent:bucket/films", Unavailable, "does not answer.*connection refused"),
        ("s3:bucket/file-not-folder", Invalid, "is a file"),
        ("dav:file-not-folder", Invalid, "is a file"),
        (":webdav,url=http://h,pass=x:", Invalid, "is no place"),
        ("dav,user=x:", Invalid, "is no place"),
        ("relative/path", Invalid, "is no place"),
    ],
)
async def test_what_cannot_be_listed_says_why(
    house: House, servers: Servers, ref: str, error: type[Exception], words: str
) -> None:
    put(servers.s3.folder / "bucket", "file-not-folder")
    put(servers.dav.folder, "file-not-folder")
    with pytest.raises(error, match=words):
        await house.inventory(ref)


async def test_a_folder_that_cannot_be_read_is_named_and_the_rest_is_listed(
    house: House, servers: Servers
) -> None:
    root = servers.dav.folder / "partly"
    put(root, "seen/a.bin")
    put(root, b"bad\xff/b.bin")
    found = await house.inventory("dav:partly")
    assert found.files >= 1
    assert "seen" in {folder.name for folder in found.folders}


async def test_the_configuration_is_not_touched(house: House, servers: Servers) -> None:
    before = (servers.config.read_bytes(), servers.config.stat().st_mtime_ns)
    await house.list(probe=True)
    assert (servers.config.read_bytes(), servers.config.stat().st_mtime_ns) == before


async def test_an_encrypted_configuration_asks_for_a_command(
    tmp_path: Path, films: Path, servers: Servers
) -> None:
    config = tmp_path / "locked.conf"
    config.write_bytes(servers.config.read_bytes())
    secret = tmp_path / "secret"
    secret.write_text("open sesame")
    command = f"cat {secret}"
    rclone("config", "encryption", "set", "--password-command", command, RCLONE_CONFIG=str(config))
    assert b"webdav" not in config.read_bytes()
    async with opened(tmp_path / "h", films, config) as house:
        with pytest.raises(Refused, match="encrypted") as refused:
            await house.list()
        assert "password_command" in refused.value.hint
    async with opened(tmp_path / "h", films, config, password_command="echo wrong") as house:
        with pytest.raises(Refused, match="not right"):
            await house.list()
    async with opened(tmp_path / "h", films, config, password_command=command) as house:
        assert len((await house.list()).remotes) == 6
    log = tmp_path / "h" / "data" / "arcanum.log"
    assert not log.exists() or "open sesame" not in log.read_text()


async def test_rclone_of_ones_own_may_be_used_and_an_old_one_is_refused(
    tmp_path: Path, films: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "bin" / "rclone-old"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho Error: unknown flag: --rc-addr >&2; exit 2\n")
    old.chmod(0o700)
    monkeypatch.setenv("PATH", f"{old.parent}:{os.environ['PATH']}")
    async with opened(tmp_path / "h", films, servers.config, rclone="rclone-old") as house:
        with pytest.raises(Unavailable, match="ended at once: Error: unknown flag"):
            await house.list()
    async with opened(tmp_path / "h", films, servers.config, rclone="no-such-rclone") as house:
        with pytest.raises(Unavailable, match="no rclone at no-such-rclone"):
            await house.list()
