"""What was acknowledged is there afterwards: after kill -9, on a full disk, on a read-only one."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.contract.errors import StoreFailed
from engine.home import Home
from engine.store import Database, Transaction, schema
from tests.fakes.stores import job_event, opened

WRITER = """
import asyncio, sys
from pathlib import Path
from engine.store import Database
from tests.fakes.stores import job_event

async def main():
    seqs = []
    database = Database(
        Path(sys.argv[1]), "state", durable=True, publish=lambda event: seqs.append(event.seq)
    )
    await database.open()
    number = int(sys.argv[2])
    while True:
        async def work(tx):
            await tx.execute("INSERT INTO setting VALUES (?, ?)", (f"{number:08}", "x" * 500))
            await tx.emit(job_event(number))
            await tx.execute("INSERT INTO setting VALUES (?, ?)", (f"{number:08}b", "x" * 500))
        await database.write(work)
        print(number, seqs[-1], flush=True)
        number += 1

asyncio.run(main())
"""


def writer(path: Path, first: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(first)], stdout=subprocess.PIPE, text=True
    )


async def test_everything_acknowledged_survives_kill_9_whole(home: Home) -> None:
    """Each write is two rows and an event: all three of them are there, or none."""
    dice = random.Random(20261120)
    acknowledged: dict[int, int] = {}
    number = 1
    for _ in range(6):
        process = writer(home.state_file, number)
        assert process.stdout is not None
        with process:
            for _ in range(dice.randint(1, 40)):
                told, seq = map(int, process.stdout.readline().split())
                assert seq not in acknowledged.values()
                acknowledged[told] = seq
            process.kill()
            for line in process.stdout:  # What it said before it died, it said.
                if line.endswith("\n"):
                    told, seq = map(int, line.split())
                    acknowledged[told] = seq
        async with opened(home.state_file) as database:
            rows = set(await names(database))
            events = await database.read("SELECT seq FROM event ORDER BY seq")
        whole = {name for name in rows if not name.endswith("b")}
        assert {f"{told:08}" for told in acknowledged} <= whole
        assert {f"{name}b" for name in whole} == rows - whole
        assert [row["seq"] for row in events] == list(range(1, len(whole) + 1))
        number = max(int(name) for name in whole) + 1


async def test_a_process_killed_while_it_makes_the_database_leaves_one_that_opens(
    home: Home,
) -> None:
    """Killed at every step: the file, its journal, its log appear, grow and go."""
    for stage in range(8):
        path = home.data / f"{stage}" / "arcanum.db"
        process = writer(path, 1)
        with process:
            seen: set[tuple[tuple[str, int], ...]] = set()
            while len(seen) <= stage and process.poll() is None:
                if path.parent.is_dir():
                    seen.add(sizes(path.parent))
            process.kill()
        async with opened(path) as database:
            await database.write(lambda tx: tx.emit(job_event()))


def sizes(folder: Path) -> tuple[tuple[str, int], ...]:
    found = []
    for file in folder.iterdir():
        try:
            found.append((file.name, file.stat().st_size))
        except FileNotFoundError:
            continue
    return tuple(sorted(found))


async def names(database: Database) -> list[str]:
    return [row["name"] for row in await database.read("SELECT name FROM setting ORDER BY name")]


async def fill(database: Database) -> tuple[list[str], StoreFailed]:
    """Writes until the disk is full: what was acknowledged, and the error at the end."""
    acknowledged: list[str] = []
    while len(acknowledged) < 10_000:
        name = f"{len(acknowledged):06}"

        async def work(tx: Transaction, name: str = name) -> None:
            await tx.execute("INSERT INTO setting VALUES (?, ?)", (name, "x" * 8000))
            await tx.emit(job_event())

        try:
            await database.write(work)
        except StoreFailed as error:
            return acknowledged, error
        acknowledged.append(name)
    raise AssertionError("this disk is never full")


async def test_a_file_that_may_not_grow_loses_nothing_and_says_so(home: Home) -> None:
    async with opened(home.state_file) as database:
        assert database._connection is not None
        await database._connection.execute("PRAGMA max_page_count = 200")
        acknowledged, error = await fill(database)
        assert len(acknowledged) > 10
        assert error.message.startswith("The disk is full.")
        assert error.hint
        assert await names(database) == acknowledged
    async with opened(home.state_file) as again:
        assert await names(again) == acknowledged


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.system("mount")
async def test_on_a_full_disk_nothing_is_lost_and_work_goes_on_when_there_is_room(
    disk: Path,
) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(256 * 1024))
    async with opened(disk / "arcanum.db") as database:
        acknowledged, error = await fill(database)
        assert len(acknowledged) > 10
        assert "disk is full" in error.message
        assert str(disk) in error.message
        assert await names(database) == acknowledged
        ballast.unlink()
        await database.write(lambda tx: tx.execute("INSERT INTO setting VALUES ('z', 'room')"))
    async with opened(disk / "arcanum.db") as again:
        assert await names(again) == [*acknowledged, "z"]


@pytest.mark.system("mount")
async def test_a_disk_without_any_room_is_one_clear_error(disk: Path) -> None:
    (disk / "ballast").write_bytes(bytes(2 * 1024 * 1024 - 4 * 4096))
    with pytest.raises(StoreFailed, match="disk is full"):
        async with opened(disk / "arcanum.db"):
            pass


@pytest.mark.system("mount")
async def test_a_backup_that_found_no_room_leaves_the_database_and_no_half_copy(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = disk / "arcanum.db"
    async with opened(path) as database:
        acknowledged, _error = await fill(database)
    whole = path.read_bytes()
    known = [*schema.migrations("state"), schema.Migration(900, "x", "CREATE TABLE x (y);")]
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda _kind: known)
        with pytest.raises(StoreFailed, match="disk is full"):
            async with opened(path):
                pass
    assert list((disk / "backups").iterdir()) == []
    assert path.read_bytes() == whole
    async with opened(path) as database:
        assert await names(database) == acknowledged


@pytest.mark.system("mount")
async def test_a_read_only_data_folder_is_one_clear_error(disk: Path) -> None:
    path = disk / "arcanum.db"
    async with opened(path) as database:
        await database.write(lambda tx: tx.execute("INSERT INTO setting VALUES ('a', 'b')"))
    whole = path.read_bytes()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(StoreFailed, match="cannot be written") as caught:
        async with opened(path):
            pass
    assert "Make the folder writable" in caught.value.hint
    assert path.read_bytes() == whole
    with pytest.raises(StoreFailed, match="Read-only file system"):
        async with opened(disk / "new" / "arcanum.db"):
            pass
