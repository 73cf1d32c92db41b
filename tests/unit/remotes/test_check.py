"""A library against a remote: what is missing, differing, the same, or not known."""

from __future__ import annotations

import os
import shutil
from hashlib import sha1
from pathlib import Path

import pytest

from engine.config import Config, MediaConfig
from engine.contract import remotes
from engine.contract.errors import Invalid, Refused
from engine.contract.remotes import CheckResult
from engine.remotes.target import Target
from engine.store import Transaction
from tests.unit.remotes.conftest import Servers
from tests.unit.remotes.house import House, content, put

HASHES = {"dav": "", "sftp": "sha1", "s3": "md5", "disk": "blake3"}


def named(found: CheckResult, kind: str) -> list[str]:
    return [each.path.display for each in found.differences if each.kind == kind]


async def test_every_class_is_told_apart(
    house: House, films: Path, remote: tuple[str, Path], request: pytest.FixtureRequest
) -> None:
    """ran.mkv: other bytes of the same size; heat.mkv: another size; dune is right."""
    ref, disk = remote
    shutil.copytree(films, disk)
    (disk / "ran.mkv").write_bytes(b"z" * 100_000)
    (disk / "heat.mkv").write_bytes(b"short")
    put(disk, "only-there.mkv")
    put(films, "only-here.mkv")
    found = await house.check(ref)
    kind = HASHES[request.node.callspec.params["remote"]]
    assert found.hash == kind
    assert named(found, "missing_there") == ["only-here.mkv"]
    assert named(found, "missing_here") == ["only-there.mkv"]
    if kind:
        assert sorted(named(found, "differing")) == ["heat.mkv", "ran.mkv"]
        assert (found.same, found.size_only, found.unknown) == (1, 0, 0)
    else:  # Nothing but sizes: that is said, and is not "the same".
        assert named(found, "differing") == ["heat.mkv"]
        assert sorted(named(found, "size_only")) == ["dune/dune.mkv", "ran.mkv"]
        assert found.same == 0
    assert not found.alike


async def test_all_alike(house: House, films: Path, servers: Servers) -> None:
    shutil.copytree(films, servers.sftp.folder / "alike")
    found = await house.check("sftp:alike")
    assert found.alike
    assert (found.same, found.hash, found.read) == (3, "sha1", 600_000)


async def test_a_hash_of_the_catalogue_need_not_be_read_for(
    house: House, films: Path, servers: Servers
) -> None:
    """And a row of the catalogue that is out of date proves nothing."""
    shutil.copytree(films, servers.sftp.folder / "known")
    await house.engine.ground.catalogue.write(_with_sha1)
    found = await house.check("sftp:known")
    assert (found.same, found.read) == (3, 0)
    # The same size and the same time, but the disk says that it is another file.
    heat = films / "heat.mkv"
    was = heat.stat()
    heat.write_bytes(b"!" * 200_000)
    os.utime(heat, ns=(was.st_atime_ns, was.st_mtime_ns))
    found = await house.check("sftp:known")
    assert named(found, "differing") == ["heat.mkv"]


async def _with_sha1(tx: Transaction) -> None:
    """As the scan does where the configuration asks for further hashes."""
    for row in await tx.fetch("SELECT id, path, size FROM file"):
        value = sha1(content(Path(os.fsdecode(row["path"])).name, row["size"])).digest()
        await tx.execute("INSERT INTO digest VALUES (?, 'sha1', ?)", (row["id"], value))


async def test_a_folder_is_compared_with_what_is_in_the_remote_one(
    house: House, films: Path, servers: Servers
) -> None:
    shutil.copytree(films / "dune", servers.sftp.folder / "one")
    for folder in ("dune", str(films / "dune")):
        found = await house.check("sftp:one", folder)
        assert (found.same, found.alike) == (1, True)
    with pytest.raises(Invalid, match="is not in films"):
        await house.check("sftp:one", "../elsewhere")


async def test_what_no_event_has_told_of_yet_counts(
    house: House, films: Path, servers: Servers
) -> None:
    (servers.dav.folder / "fresh").mkdir()
    put(films, "new/just-now.mkv")
    assert "new/just-now.mkv" in named(await house.check("dav:fresh"), "missing_there")


async def test_an_unmounted_library_is_refused(house: House, films: Path) -> None:
    films.rename(films.with_name("elsewhere"))
    with pytest.raises(Refused, match=r"films"):
        await house.check("dav:")


async def test_hostile_names_are_the_same_on_both_sides(
    house: House, films: Path, remote: tuple[str, Path]
) -> None:
    ref, _ = remote
    odd = [
        b"new\nline.mkv", b"esc\x1b[31m.mkv", "rtl\u202efdp.mkv".encode(), b"gro\xdf.mkv",
        "quote\u201bDF.mkv".encode(), "picture\u241b.mkv".encode(), b" lead", b"trail ",
        b"-rf", b"a:b*?.mkv", b"back\\xslash.mkv", "nfd e\u0301.mkv".encode(), b"x" * 240,
    ]  # fmt: skip
    for name in odd:
        put(films, name)
    assert (await house.copy(ref)).state == "done"
    found = await house.check(ref)
    assert found.missing_there == found.missing_here == found.differing == found.unknown == 0
    assert found.same + found.size_only == 3 + len(odd)


async def test_two_files_never_become_one_there(
    house: House, films: Path, servers: Servers
) -> None:
    put(films, b"gro\xdf.mkv", 10)
    put(films, b"gro\\xdf.mkv", 20)
    (servers.dav.folder / "two").mkdir()
    found = await house.check("dav:two")
    (clash,) = [each for each in found.differences if each.kind == "unknown"]
    assert "as another file is" in clash.why
    await house.copy("dav:two")
    assert (servers.dav.folder / "two" / "gro\\xdf.mkv").stat().st_size == 20


async def test_a_remote_name_that_is_not_utf8_is_not_known_and_never_missing(
    house: House, films: Path, tmp_path: Path
) -> None:
    usb = tmp_path / "usb"
    shutil.copytree(films, usb)
    put(usb, b"gro\xdf.mkv")
    found = await house.check(str(usb))
    assert (found.same, found.unknown, found.missing_here) == (3, 1, 0)


async def test_the_numbers_are_of_all_and_the_names_are_bounded(
    house: House, films: Path, servers: Servers
) -> None:
    for number in range(250):
        put(films, f"many/{number:03}.txt", 5)
    (servers.dav.folder / "many").mkdir()
    found = await house.check("dav:many")
    assert found.missing_there == 253
    assert len(found.differences) == remotes.MOST_SHOWN


def test_the_hash_that_the_catalogue_makes_anyway_is_preferred() -> None:
    target = Target(
        "x:", "x:", "", "sftp", "", ("md5", "sha1"), slow_hash=True, precision_ns=1,
        slow_time=False, local=False, folds_case=False, bucket=False,
    )  # fmt: skip
    assert target.common(()) == "sha1"
    assert target.common(Config(media=MediaConfig(hashes=("md5",))).media.hashes) == "md5"
