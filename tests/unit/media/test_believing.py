"""What lies at a library's place is the library, or it is not: then nothing is taken out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.contract.call import Actor, ActorKind, Call
from engine.contract.errors import Failed, Forbidden
from engine.media import volume
from engine.media.believing import is_same_disk, is_same_folder
from engine.media.root import Root, open_root, root_of
from engine.store import Transaction
from tests.fakes.door import JobDouble
from tests.fakes.waiting import until
from tests.unit.media.house import House, write

DISK = Root(7, 2, "fsid a", 100)
SHARE = Root(40, 1, "share nfs4 nas:/films", 0)
NAMELESS = Root(7, 5, "", 100)


@pytest.mark.parametrize(
    ("known", "there", "same_disk", "same_folder"),
    [
        (DISK, DISK, True, True),
        (DISK, DISK._replace(dev=8), True, True),
        (DISK, DISK._replace(volume="fsid b", born=200), False, False),
        (DISK, DISK._replace(volume="fsid b"), False, False),
        (DISK, DISK._replace(volume="", born=0), False, False),
        (DISK, DISK._replace(ino=9, born=300), True, False),
        (DISK, DISK._replace(born=300), True, False),
        (SHARE, SHARE, True, True),
        (SHARE, SHARE._replace(dev=41), True, False),
        (SHARE, SHARE._replace(ino=3), False, False),
        (SHARE, SHARE._replace(volume="share nfs4 nas:/music"), False, False),
        (NAMELESS, NAMELESS, True, True),
        (NAMELESS, NAMELESS._replace(dev=8), False, False),
        (NAMELESS, NAMELESS._replace(born=200), False, False),
        (NAMELESS._replace(born=0), NAMELESS._replace(born=0), False, False),
    ],
)
def test_what_numbers_and_names_tell(
    known: Root, there: Root, same_disk: bool, same_folder: bool
) -> None:
    assert is_same_disk(known, there) is same_disk
    assert is_same_folder(known, there) is same_folder


def test_a_file_system_that_says_its_devices_number_is_named_by_what_lies_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    null = Path(os.devnull).stat().st_rdev
    (tmp_path / "not it").symlink_to("/dev/zero")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    monkeypatch.setattr(volume, "_BY_UUID", str(tmp_path))
    assert volume._uuid(null) == ""
    (tmp_path / "1234-ABCD").symlink_to(os.devnull)
    assert volume._uuid(null) == "uuid 1234-ABCD"
    monkeypatch.setattr(volume, "_BY_UUID", str(tmp_path / "nowhere"))
    assert volume._uuid(null) == ""
    device = os.makedev(0x103, 0x12345)
    assert volume._is_of((0x123 << 20) | (0x103 << 8) | 0x45, device)
    assert not volume._is_of(0xF50480723A4495F0, device)


def test_a_share_is_named_by_where_it_comes_from() -> None:
    mounts = (
        b"43 27 0:40 / /films rw shared:1 master:2 - nfs4 nas:/films rw\n"
        b"44 27 0:41 / /fuse rw - fuse.mergerfs a\\040pool rw\n45 27 0:42 /\n46 1 0:1 / / rw - "
    )
    assert volume._share(mounts, b"43") == "share nfs4 nas:/films"
    assert volume._share(mounts, b"44") == "share fuse.mergerfs a\\040pool"
    assert [volume._share(mounts, number) for number in (b"45", b"46")] == ["", ""]
    assert volume._share(mounts, b"4") == volume._share(mounts, b"") == ""


async def known_as(house: House, **values: object) -> None:
    """As if the root had been this at the last look."""

    async def work(tx: Transaction) -> None:
        for name, value in values.items():
            await tx.execute(f"UPDATE library SET {name} = ?", (value,))

    await house.ground.catalogue.write(work)


async def several(house: House, films: Path, files: int = 200) -> None:
    for number in range(files):
        write(films / f"{number % 7}" / f"{number:03}", b"%d" % number)
    await house.add(films)
    await house.scan()


ANOTHER = [{"volume": "fsid 1"}, {"volume": "", "born": 0}, {"volume": "", "ino": 1, "dev": 1}]


@pytest.mark.parametrize("known", ANOTHER)
async def test_what_was_restored_to_another_disk_is_the_library(
    house: House, films: Path, known: dict[str, object]
) -> None:
    await several(house, films)
    for number in range(0, 200, 3):
        (films / f"{number % 7}" / f"{number:03}").unlink()
    await known_as(house, **known)
    assert (await house.scan()).removed == 67
    assert await house.agrees(films)
    root = (await house.room._files.numbers(1)).root
    fd, identity, device = open_root(os.fsencode(films))
    assert root == root_of(fd, identity, device)
    os.close(fd)


@pytest.mark.parametrize("known", ANOTHER)
async def test_a_few_files_of_the_same_name_are_not_the_library(
    house: House, films: Path, known: dict[str, object]
) -> None:
    await several(house, films)
    for number in range(200):
        path = films / f"{number % 7}" / f"{number:03}"
        if number % 3:
            path.unlink()
    await known_as(house, **known)
    with pytest.raises(Failed, match="another file system is in its place") as failed:
        await house.scan()
    assert "arcanum media scan films --as-it-is" in failed.value.hint
    with pytest.raises(Failed, match="another file system"):
        await house.room.refresh("films", [b"0"])
    library = await house.library()
    assert (library.state, library.files) == ("missing", 200)
    assert "another file system is in its place" in library.note
    [concern] = await house.ground.probes["media"]()
    assert concern.severity == "broken"
    result = await house.scan(as_it_is=True)
    assert (result.removed, result.files) == (133, 67)
    assert ((await house.library()).state, (await house.library()).note) == ("ok", "")
    assert (await house.scan()).removed == 0


async def test_other_files_under_the_same_names_are_not_the_library(
    house: House, films: Path
) -> None:
    await several(house, films, 20)
    for number in range(20):
        path = films / f"{number % 7}" / f"{number:03}"
        path.write_bytes(b"of another disk, with the same number")
    await known_as(house, volume="fsid 1")
    with pytest.raises(Failed, match="another file system is in its place, with 0 of 20 files"):
        await house.scan()
    await known_as(house, volume="")  # Then the number says that it is the same file.
    assert (await house.scan()).changed == 20


async def test_an_empty_folder_is_the_library_only_where_a_person_says_so(
    house: House, films: Path
) -> None:
    await several(house, films, 3)
    films.rename(films.parent / "away")
    films.mkdir()
    with pytest.raises(Failed, match="an empty folder is in its place"):
        await house.scan()
    agent = JobDouble(call=Call(actor=Actor(ActorKind.AGENT, "tidy")))
    with pytest.raises(Forbidden, match="Only an operator"):
        await house.scan(job=agent, as_it_is=True)
    assert (await house.library()).files == 3
    assert (await house.scan(as_it_is=True)).removed == 3


async def test_a_root_that_is_not_there_is_not_taken_as_it_is(house: House, films: Path) -> None:
    await several(house, films, 3)
    films.rename(films.parent / "away")
    with pytest.raises(Failed, match="is not there"):
        await house.scan(as_it_is=True)
    assert (await house.library()).files == 3


@contextmanager
def disk(image: Path, place: Path, kind: str, *options: str) -> Iterator[None]:
    """A disk of its own, made where there is none yet, at the first device that is free."""
    if not image.exists():
        with image.open("wb") as file:
            file.truncate((320 if kind == "xfs" else 16) * 1024 * 1024)
        subprocess.run([f"mkfs.{kind}", "-q", *options, image], check=True)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.system("mount")
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.system(f"mkfs.{kind}"))
        for kind in ("ext4", "xfs", "btrfs")
    ],
)
async def test_another_disk_at_the_mount_point(house: House, films: Path, kind: str) -> None:
    image, blank = films.parent / "one", films.parent / "two"
    options = ("-M",) if kind == "btrfs" else ()
    with disk(image, films, kind, *options):
        await several(house, films, 50)
    with disk(blank, films, kind, *options):  # Mostly it gets the device number of the first.
        write(films / "of the other disk")
        with pytest.raises(Failed, match="another file system is in its place, with 0 of 50"):
            await house.scan()
        with pytest.raises(Failed, match="another file system"):
            await house.room.refresh("films", [b"of the other disk"])
        assert (await house.library()).files == 50
    with disk(image, films, kind):
        result = await house.scan()
        assert (result.files, result.removed, result.added, result.hashed) == (50, 0, 0, 0)
        for folder in films.iterdir():
            subprocess.run(["rm", "-r", folder], check=True)
        assert (await house.scan()).removed == 50  # What its person took out is gone.


@pytest.mark.system("mount")
@pytest.mark.system("mkfs.ext4")
async def test_another_disk_is_told_while_it_is_watched(lively: House, films: Path) -> None:
    image = films.parent / "one"
    with disk(image, films, "ext4"):
        write(films / "film", b"film")
        await lively.add(films)
        await lively.until_live()

    async def missing() -> bool:
        library = await lively.library()
        return library.state == "missing" and "another file system" in library.note

    with disk(films.parent / "two", films, "ext4"):
        await until(missing, 10)
        assert (await lively.library()).files == 1
        [concern] = await lively.ground.probes["media"]()
        assert "another file system" in concern.text
    with disk(image, films, "ext4"):
        await lively.until_live()
        await lively.until_agrees(films)
