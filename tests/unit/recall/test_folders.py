"""Folders that are remembered stay in step with the disk."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.contract.base import PathRef
from engine.contract.errors import Cancelled, Invalid, NotFound, Refused
from engine.home import Home
from engine.store import Transaction
from tests.fakes.door import JobDouble
from tests.fakes.waiting import until
from tests.unit.recall.folder_house import FolderHouse, aged, folder_housed, note, pdf, spoken

BIKES = "# Bikes\n\nMine is turquoise.\n\n## Maintenance\n\nOil the chain monthly.\n"


@pytest.fixture
async def folder_house(home: Home) -> AsyncIterator[FolderHouse]:
    """Folders that are looked at when a test asks for it."""
    async with folder_housed(home) as opened:
        yield opened


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    """An empty folder to remember."""
    folder = tmp_path / "papers"
    folder.mkdir()
    return folder


async def test_a_folder_is_remembered_passage_by_passage(
    folder_house: FolderHouse, papers: Path
) -> None:
    note(papers / "bikes.md", BIKES)
    note(papers / "below" / "manual.PDF", pdf(["Turn it on.", "Turn it off."], squeezed=True))
    note(papers / "wifi.txt", "hunter2\n")
    note(papers / "photo.jpg", b"\xff\xd8\xff")
    watched = await folder_house.watch(papers, namespace="house", pinned=True)
    assert (watched.state, watched.files, watched.namespace) == ("waiting", 0, "house")
    folder = await folder_house.one()
    assert (folder.state, folder.files, folder.passages, folder.unread) == ("ok", 3, 5, 0)
    assert folder.read_at is not None
    assert await folder_house.said() == {
        b"below/manual.PDF": ["manual, page 1: Turn it on.", "manual, page 2: Turn it off."],
        b"bikes.md": ["Bikes: Mine is turquoise.", "Bikes > Maintenance: Oil the chain monthly."],
        b"wifi.txt": ["wifi: hunter2"],
    }
    await folder_house.agrees(papers)
    rows = await folder_house.rows()
    assert {(row["kind"], row["pinned"], row["state"]) for row in rows} == {("document", 1, "live")}
    assert rows[0]["source"] == "below/manual.PDF"
    [event] = await folder_house.ground.state.read(
        "SELECT data FROM event WHERE kind = 'recall.memory_changed'"
    )
    assert '"change": "documents"' in event["data"]
    assert '"count": 5' in event["data"]
    assert folder_house.woken == 1


async def test_when_a_file_was_written_is_when_it_was_said(
    folder_house: FolderHouse, papers: Path
) -> None:
    note(papers / "a.md", "# A\nFirst.\n# B\nSecond.\n")
    aged(papers / "a.md", 86_400 * 400)
    await folder_house.watch(papers)
    await folder_house.one()
    first = [row["at"] for row in await folder_house.rows()]
    assert len(set(first)) == 1
    note(papers / "a.md", "# A\nFirst.\n# B\nAnother.\n")
    await folder_house.one()
    assert (await folder_house.rows())[0]["at"] == first[0]
    assert (await folder_house.rows())[1]["at"] > first[0]


async def test_what_did_not_change_keeps_its_number(
    folder_house: FolderHouse, papers: Path
) -> None:
    note(papers / "a.md", "# A\nOne.\n# B\nTwo.\n# C\nThree.\n# D\nFour.\n")
    await folder_house.watch(papers)
    await folder_house.one()
    before = await folder_house.ids()
    note(papers / "a.md", "# New\nZero.\n# D\nFour.\n# B\nTwo.\n# A\nOne, again.\n")
    await folder_house.one()
    after = await folder_house.ids()
    await folder_house.agrees(papers)
    assert {text: after[text] for text in ("B: Two.", "D: Four.")} == {
        text: before[text] for text in ("B: Two.", "D: Four.")
    }
    assert set(after) == {"New: Zero.", "D: Four.", "B: Two.", "A: One, again."}
    gone = await folder_house.ground.state.read("SELECT memory_id FROM forgotten")
    assert {row["memory_id"] for row in gone} == {before["A: One."], before["C: Three."]}


async def test_the_same_said_twice_is_two_passages(folder_house: FolderHouse, papers: Path) -> None:
    note(papers / "a.md", "# A\nOne.\n# A\nOne.\n# A\nOne.\n")
    await folder_house.watch(papers)
    assert (await folder_house.one()).passages == 3
    note(papers / "a.md", "# A\nOne.\n# A\nOne.\n")
    assert (await folder_house.one()).passages == 2
    await folder_house.agrees(papers)


async def test_a_look_that_finds_nothing_new_writes_nothing(
    folder_house: FolderHouse, papers: Path
) -> None:
    note(papers / "a.md", BIKES)
    aged(papers / "a.md")
    await folder_house.watch(papers)
    await folder_house.one()
    woken = folder_house.woken
    [before] = await folder_house.ground.state.read("SELECT read_at FROM document")
    (papers / "a.md").touch()
    aged(papers / "a.md", 60)
    await folder_house.one()  # Read again, and it says the same.
    [after] = await folder_house.ground.state.read("SELECT read_at FROM document")
    assert after["read_at"] > before["read_at"]
    await folder_house.one()
    assert [dict(after)] == [
        dict(row) for row in await folder_house.ground.state.read("SELECT read_at FROM document")
    ]
    assert folder_house.woken == woken


async def test_a_file_written_just_now_is_looked_at_once_more(
    folder_house: FolderHouse, papers: Path
) -> None:
    """Within one tick of the disk's clock a file may change and look no different."""
    note(papers / "a.md", "one")
    await folder_house.watch(papers)
    await folder_house.one()
    seen = (papers / "a.md").stat()
    note(papers / "a.md", "two")
    os.utime(papers / "a.md", ns=(seen.st_mtime_ns, seen.st_mtime_ns))
    await folder_house.one()
    assert await folder_house.said() == {b"a.md": ["a: two"]}


async def test_files_that_are_emptied_renamed_and_removed(
    folder_house: FolderHouse, papers: Path
) -> None:
    for name in ("a.md", "b.md", "c.md", "d.md"):
        note(papers / name, f"This is {name}.")
    await folder_house.watch(papers)
    await folder_house.one()
    note(papers / "a.md", "")
    (papers / "b.md").rename(papers / "moved.md")
    (papers / "c.md").unlink()
    folder = await folder_house.one()
    assert set(await folder_house.said()) == {b"d.md", b"moved.md"}
    assert (folder.files, folder.passages) == (2, 2)
    (papers / "d.md").unlink()
    (papers / "moved.md").unlink()
    assert (await folder_house.one()).passages == 0
    [left] = await folder_house.ground.state.read("SELECT count(*) AS n FROM document")
    assert left["n"] == 1  # The empty one.


async def test_what_a_passage_had_replaced_is_free_when_it_goes(
    folder_house: FolderHouse, papers: Path
) -> None:
    note(papers / "a.md", "I moved to Bern.")
    await folder_house.watch(papers)
    await folder_house.one()
    [passage] = await folder_house.rows()
    state = folder_house.ground.state

    async def work(tx: Transaction) -> int:
        return await tx.insert(
            "INSERT INTO memory (namespace_id, kind, state, replaced_by, at, added_at, text)"
            " VALUES (?, 'note', 'replaced', ?, '2026', '2026', 'I live in Basel.')",
            (passage["namespace_id"], passage["id"]),
        )

    number = await state.write(work)
    (papers / "a.md").unlink()
    await folder_house.one()
    [row] = await state.read("SELECT state, replaced_by FROM memory WHERE id = ?", (number,))
    assert (row["state"], row["replaced_by"]) == ("live", None)


async def test_a_copy_that_was_imported_does_not_stand_in_the_way(
    folder_house: FolderHouse, papers: Path
) -> None:
    note(papers / "a.md", "Mine is turquoise.")
    await folder_house.watch(papers)
    state = folder_house.ground.state

    async def work(tx: Transaction) -> None:
        await tx.execute(
            "INSERT INTO memory (namespace_id, kind, at, added_at, source, ref, text)"
            " SELECT id, 'document', '2020', '2020', 'a.md', '1:1', 'Old.' FROM namespace"
            " WHERE name = 'documents'"
        )

    await state.write(work)
    await folder_house.one()
    await folder_house.agrees(papers)
    [row] = await state.read("SELECT count(*) AS n FROM memory")
    assert row["n"] == 1


async def test_folders_are_looked_at_by_themselves(home: Home, papers: Path) -> None:
    note(papers / "a.md", "one")
    async with folder_housed(home, first_s=0, every_s=0.1) as house:
        await house.watch(papers)

        async def in_step() -> bool:
            return await house.said() == spoken(papers)

        await until(in_step, 15)
        note(papers / "a.md", "another")
        note(papers / "b.txt", "more")
        await until(in_step, 15)
        (papers / "a.md").unlink()
        await until(in_step, 15)
    async with folder_housed(home, first_s=0, every_s=0.1) as house:
        note(papers / "c.md", "after a restart")
        await until(in_step, 15)


async def test_a_folder_is_unwatched_and_nothing_of_it_stays(
    folder_house: FolderHouse, papers: Path, tmp_path: Path
) -> None:
    note(papers / "a.md", BIKES)
    other = tmp_path / "other"
    note(other / "b.md", "Other.")
    await folder_house.watch(papers)
    await folder_house.watch(other)
    assert len(await folder_house.sync()) == 2
    [left] = await folder_house.unwatch(papers)
    assert left.path.data == str(other).encode()
    assert await folder_house.said() == {b"b.md": ["b: Other."]}
    assert (papers / "a.md").read_text() == BIKES
    with pytest.raises(NotFound, match="not a folder that is remembered"):
        await folder_house.unwatch(papers)
    shutil.rmtree(other)
    assert await folder_house.unwatch(other) == ()
    await folder_house.watch(papers)
    assert (await folder_house.one()).passages == 2


async def test_what_cannot_be_remembered_is_refused(
    folder_house: FolderHouse, papers: Path, tmp_path: Path, home: Home
) -> None:
    note(papers / "below" / "a.md", BIKES)
    await folder_house.watch(papers)
    (tmp_path / "link").symlink_to(papers)
    for path, error, words in (
        (papers, Refused, "is remembered already"),
        (tmp_path / "link", Refused, "is remembered already"),
        (papers / "below", Refused, "overlaps"),
        (tmp_path, Refused, "overlaps"),
        (papers / "below" / "a.md", Invalid, "is a file"),
        (tmp_path / "nowhere", NotFound, "There is no folder"),
        (home.data, Refused, "Arcanum's own data"),
        (home.data.parent, Refused, "Arcanum's own data"),
        (Path("/"), Refused, "Arcanum's own data"),
        (b"a\0b", Invalid, "NUL"),
    ):
        with pytest.raises(error, match=words):
            await folder_house.watch(path)
    assert len(await folder_house.folders.folders()) == 1
    assert await folder_house.unwatch(tmp_path / "link") == ()


async def test_a_job_tells_how_far_it_is_and_can_be_cancelled(
    folder_house: FolderHouse, papers: Path
) -> None:
    for number in range(30):
        note(papers / f"{number:02}.md", f"This is {number}.")
        aged(papers / f"{number:02}.md")
    await folder_house.watch(papers)
    job = JobDouble()

    class Stopping(JobDouble):
        def progress(self, done: int, *told: Any, **more: Any) -> None:
            super().progress(done, *told, **more)
            if done == 10:
                self.cancel()

    with pytest.raises(Cancelled):
        await folder_house.sync(Stopping())
    assert len(await folder_house.said()) == 10
    [folder] = await folder_house.folders.folders()
    assert folder.state == "waiting"
    await folder_house.sync(job)
    assert job.told[-1][:3] == (20, 20, "files")
    await folder_house.agrees(papers)


async def test_an_unwatch_ends_a_look_that_is_under_way(
    folder_house: FolderHouse, papers: Path
) -> None:
    for number in range(200):
        note(papers / f"{number}.md", f"This is {number}.")
    await folder_house.watch(papers)
    looking = asyncio.create_task(folder_house.sync())

    async def begun() -> bool:
        return bool(await folder_house.rows())

    await until(begun, 15)
    assert await folder_house.unwatch(papers) == ()
    await looking
    assert await folder_house.rows() == []


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_to_the_files_the_rows_follow(
    folder_house: FolderHouse, papers: Path, seed: int
) -> None:
    chance = random.Random(seed)
    names = [f"{where}{name}{end}" for where in ("", "x/", "x/y/") for name in "abc" for end in (
        ".md", ".txt")]  # fmt: skip
    await folder_house.watch(papers)

    def text() -> str:
        parts = [f"# {chance.choice('ABC')}\n{chance.choice('stuvw') * 5}" for _ in range(4)]
        return "\n".join(chance.sample(parts, chance.randint(0, 4)))

    def any_file() -> Path | None:
        files = sorted(path for path in papers.rglob("*") if path.is_file())
        return chance.choice(files) if files else None

    def write() -> None:
        note(papers / chance.choice(names), text())

    def change() -> None:
        if (file := any_file()) is not None:
            file.write_text(f"{file.read_text()}\n# More\n{text()}")

    def remove() -> None:
        if (file := any_file()) is not None:
            file.unlink()

    def rename() -> None:
        if (file := any_file()) is not None:
            target = papers / chance.choice(names)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)

    def remove_folder() -> None:
        shutil.rmtree(papers / "x", ignore_errors=True)

    acts: list[Callable[[], None]] = [write, write, write, change, change, remove, rename]
    for _round in range(12):
        for _act in range(chance.randint(1, 5)):
            chance.choice([*acts, *([remove_folder] if chance.random() < 0.2 else [])])()
        folder = await folder_house.one()
        await folder_house.agrees(papers)
        assert folder.files == len(await folder_house.said())
        assert folder.passages == len(await folder_house.rows())
        assert folder.path == PathRef.of(papers)
