"""What a scan finds, and what it must not do: real folders, a real worker process."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from engine.contract.errors import Busy, Cancelled, NotFound
from engine.contract.media import LibraryScanned
from tests.fakes.door import JobDouble
from tests.fakes.waiting import until
from tests.unit.media.house import House, sparse, write
from tests.unit.media.test_hazards import mortal

HOSTILE = [
    b"\xff\xfe.mkv",
    b"new\nline.mkv",
    b"\x1b[31mred\x1b[0m.mkv",
    b"[bold]brackets[/bold].mkv",
    "\u202etxt.exe".encode(),
    "e\u0301 and \u00e9.mkv".encode(),
    b"-rf",
    b" leading space",
    b"a" * 255,
    b"%_like.mkv",
]


async def test_every_file_is_found_with_its_hash(house: House, films: Path) -> None:
    top = os.fsencode(films)
    for number, name in enumerate(HOSTILE):
        write(top + b"/" + name, b"content %d" % number)
        write(top + b"/\xff folder/" + name, b"deeper %d" % number)
    write(films / "empty", b"")
    write(films / "large", os.urandom(3_000_000))
    write(films / "a.b" / "x")
    write(films / "a" / "x")
    await house.add(films)
    result = await house.scan()
    assert await house.agrees(films)
    assert (result.added, result.hashed, result.changed, result.removed) == (24, 24, 0, 0)
    assert result.hashed_bytes == result.bytes
    assert (await house.events(LibraryScanned))[-1].result == result
    for asset in await house.assets():
        assert asset.path.display.isprintable()


async def test_links_pipes_and_the_trash_are_no_files(house: House, films: Path) -> None:
    write(films / "real")
    (films / "link").symlink_to("real")
    (films / "loop").symlink_to(films)
    (films / "deep").mkdir()
    (films / "deep" / "up").symlink_to("..")
    os.mkfifo(films / "pipe")
    write(films / ".arcanum-trash" / "old")
    write(films / "deep" / ".arcanum-trash", b"only a name here")
    await house.add(films)
    result = await house.scan()
    assert result.skipped == 4
    assert set(await house.known()) == {b"real", b"deep/.arcanum-trash"}


async def test_what_did_not_change_is_neither_read_nor_written(house: House, films: Path) -> None:
    for number in range(300):
        write(films / str(number % 7) / str(number))
    await house.add(films)
    await house.scan()
    before = await house.library()
    result = await house.scan()
    assert (result.files, result.added, result.changed, result.hashed) == (300, 0, 0, 0)
    assert (await house.library()).changed_at == before.changed_at


async def test_new_content_is_noticed_though_size_and_time_are_as_before(
    house: House, films: Path
) -> None:
    file = films / "film"
    write(file, b"before")
    await house.add(films)
    await house.scan()
    status = file.stat()
    write(file, b"behind")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    result = await house.scan()
    assert (result.changed, result.hashed) == (1, 1)
    assert await house.agrees(films)


@pytest.mark.parametrize(("old", "new"), [("m/film", "a/film"), ("m/film", "z/other")])
async def test_a_moved_file_keeps_its_id_and_is_not_read_again(
    house: House, films: Path, old: str, new: str
) -> None:
    write(films / old, b"the same")
    write(films / "a" / "x")
    write(films / "z" / "x")
    await house.add(films)
    await house.scan()
    before = (await house.known())[old.encode()]
    (films / old).rename(films / new)
    result = await house.scan()
    assert (result.moved, result.added, result.removed, result.hashed) == (1, 0, 0, 0)
    after = (await house.known())[new.encode()]
    assert (after.id, after.blake3) == (before.id, before.blake3)
    assert await house.agrees(films)


async def test_two_files_that_change_places(house: House, films: Path) -> None:
    write(films / "a", b"one")
    write(films / "b", b"two")
    await house.add(films)
    await house.scan()
    (films / "a").rename(films / "c")
    (films / "b").rename(films / "a")
    (films / "c").rename(films / "b")
    await house.scan()
    assert await house.agrees(films)


async def test_a_file_where_a_folder_was_and_the_other_way(house: House, films: Path) -> None:
    write(films / "a" / "inside")
    write(films / "b", b"file")
    await house.add(films)
    await house.scan()
    (films / "a" / "inside").unlink()
    (films / "a").rmdir()
    write(films / "a", b"file now")
    (films / "b").unlink()
    write(films / "b" / "inside")
    await house.scan()
    assert await house.agrees(films)


async def test_a_folder_that_became_a_link_holds_nothing(house: House, films: Path) -> None:
    write(films / "real" / "film")
    await house.add(films)
    await house.scan()
    (films / "real").rename(films.parent / "elsewhere")
    (films / "real").symlink_to(films.parent / "elsewhere")
    result = await house.scan()
    assert (result.files, result.removed) == (0, 1)


async def test_a_hardlinked_file_counts_once(house: House, films: Path) -> None:
    write(films / "film", os.urandom(500_000))
    os.link(films / "film", films / "seeding")
    await house.add(films)
    result = await house.scan()
    assert (result.files, result.bytes) == (2, 500_000)
    assert result.hashed_bytes == 500_000
    assert {asset.links for asset in await house.assets()} == {2}
    assert await house.agrees(films)
    (films / "film").unlink()
    result = await house.scan()
    assert (result.files, result.bytes, result.removed) == (1, 500_000, 1)
    assert await house.agrees(films)


async def test_the_catalogue_is_true_after_anything(house: House, films: Path) -> None:
    """Random changes, then a scan: it says what the disk holds, down to hashes and sums."""
    chance = random.Random(7)
    await house.add(films)
    for _round in range(12):
        for _step in range(25):
            change(films, chance)
        await house.scan()
        assert await house.agrees(films)


def change(root: Path, chance: random.Random) -> None:
    """One thing that people and programs do to folders."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    folders = [root, *sorted(path for path in root.rglob("*") if path.is_dir())]
    target = chance.choice(folders) / chance.choice("abcdefgh.-")
    act = chance.choice(["write", "write", "write", "mkdir", "unlink", "rename", "link", "move"])
    if act == "write" and not target.is_dir():
        write(target, chance.randbytes(chance.choice([0, 10, 200_000])))
    elif act == "mkdir" and not target.exists():
        target.mkdir()
    elif act == "unlink" and files:
        chance.choice(files).unlink()
    elif act == "rename" and files and not target.is_dir():
        chance.choice(files).rename(target)
    elif act == "link" and files and not target.exists():
        os.link(chance.choice(files), target)
    elif act == "move" and len(folders) > 1 and not target.exists():
        folder = chance.choice(folders[1:])
        if folder not in target.parents:
            folder.rename(target)


async def test_only_one_scan_at_a_time(house: House, films: Path) -> None:
    write(films / "film")
    await house.add(films)
    first = JobDouble(7)
    first.pause()
    running = asyncio.create_task(house.scan(job=first))
    await until(lambda: first.waits == 1)
    assert (await house.library()).state == "scanning"
    with pytest.raises(Busy, match="job 7") as refused:
        await house.scan(job=JobDouble(8))
    assert "7" in refused.value.hint
    first.resume()
    assert (await running).files == 1
    assert (await house.library()).state == "ok"
    assert (await house.scan(job=JobDouble(9))).files == 1


async def test_no_such_library(house: House, films: Path) -> None:
    await house.add(films)
    with pytest.raises(NotFound) as refused:
        await house.scan("musik")
    assert "films" in refused.value.hint


async def test_progress_tells_files_then_bytes(house: House, films: Path) -> None:
    size = 400 * 1024**3
    sparse(films / "huge", size)
    write(films / "film")
    await house.add(films)
    scan, job = await house.reads()
    job.cancel()
    with pytest.raises(Cancelled):
        await scan
    assert job.told[0] == (0, None, "files", "")
    assert (0, size, "bytes", "") in job.told
    done, total, unit, note = job.told[-1]
    assert (0 < done < size, total, unit) == (True, size, "bytes")
    assert note == "0 of 1 files: huge"
    (films / "huge").unlink()
    again = JobDouble()
    await house.scan(job=again)
    assert (again.told[0], again.told[-1]) == ((0, 2, "files", ""), (1, 1, "files", ""))


async def test_whoever_ends_a_library_waits_until_its_worker_has_ended(
    house: House, films: Path
) -> None:
    """Also where the worker is only being started, and so is nobody's yet."""
    await house.add(films)
    indexer = house.room._indexers["films"]
    started = asyncio.Event()
    steps: list[str] = []

    async def work() -> None:
        steps.append("begun")
        try:
            await started.wait()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            steps.append("ended")
            raise

    async def by_itself() -> None:
        await indexer._by_itself(work())

    indexer._spawn(by_itself())
    await until(lambda: steps == ["begun"])
    started.set()  # It goes on before whoever waits for it hears of the end.
    await indexer.stop()
    assert steps == ["begun", "ended"]


async def test_what_cannot_be_read_is_named_with_the_reason(
    house: House, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders that cannot be listed, files that cannot be hashed; the first of many."""
    closed = [films / f"folder {number}" for number in range(15)]
    for folder in closed:
        write(folder / "film")
    closed += [films / f"film\x1b {number}" for number in range(15)]
    for file in closed[15:]:
        write(file, b"bytes")
    for path in closed:
        path.chmod(0)
    await house.add(films)
    await house.room._workers.close()
    with mortal(tmp_path, monkeypatch):
        try:
            result = await house.scan()
        finally:
            for path in closed:
                path.chmod(0o755)
        assert (result.unreadable, len(result.unread)) == (30, 20)
        assert {one.why for one in result.unread} == {"Permission denied"}
        assert {one.path.data for one in result.unread[:15]} == {
            os.fsencode(folder.name) for folder in closed[:15]
        }
        assert all(one.path.display.startswith("film\\x1b ") for one in result.unread[15:])
        assert (await house.scan()).unread == ()
