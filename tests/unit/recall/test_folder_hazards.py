"""Files made to break a reader, disks that go away, children that die: the rest is remembered."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.contract.errors import Cancelled
from engine.contract.ports import Severity
from engine.home import Home
from engine.recall.extract import MAX_BYTES, MAX_PASSAGES
from engine.recall.reading_process import Bounds
from tests.fakes.door import JobDouble
from tests.fakes.waiting import until
from tests.unit.recall.folder_house import (
    FolderHouse,
    aged,
    bomb,
    endless,
    folder_housed,
    note,
    pdf,
    readers,
)


@pytest.fixture
async def folder_house(home: Home) -> AsyncIterator[FolderHouse]:
    """Folders that are looked at when a test asks for it, by a reader that soon gives up."""
    async with folder_housed(home, bounds=Bounds(file_s=3, stall_s=3)) as opened:
        yield opened


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    """A folder to remember, with one good file in it."""
    folder = tmp_path / "papers"
    note(folder / "good.md", "This is well.")
    return folder


GOOD = {b"good.md": ["good: This is well."]}

# --- folders that go away -----------------------------------------------------------------------


async def test_a_folder_that_is_away_takes_nothing_with_it(
    folder_house: FolderHouse, papers: Path, tmp_path: Path
) -> None:
    await folder_house.watch(papers)
    await folder_house.one()
    ids = await folder_house.ids()
    papers.rename(tmp_path / "elsewhere")
    folder = await folder_house.one()
    assert (folder.state, folder.files, folder.passages) == ("missing", 1, 1)
    assert folder.note == "No such file or directory"
    [concern] = await folder_house.folders.concerns()
    assert (concern.severity, concern.subject) == (Severity.BROKEN, str(papers))
    papers.mkdir()  # Where a disk is not mounted, an empty folder is in its place.
    folder = await folder_house.one()
    assert (folder.state, folder.passages) == ("missing", 1)
    assert "not mounted" in folder.note
    note(papers / "other.md", "Another disk.")
    assert (await folder_house.one()).state == "missing"
    shutil.rmtree(papers)
    papers.write_text("a file now")
    assert (await folder_house.one()).state == "missing"
    papers.unlink()
    (tmp_path / "elsewhere").rename(papers)
    assert (await folder_house.one()).state == "ok"
    assert await folder_house.folders.concerns() == []
    assert await folder_house.ids() == ids


async def test_the_same_folder_on_another_disk_is_the_same(
    folder_house: FolderHouse, papers: Path, tmp_path: Path
) -> None:
    note(papers / "more.md", "More.")
    await folder_house.watch(papers)
    await folder_house.one()
    shutil.copytree(papers, tmp_path / "copy")
    shutil.rmtree(papers)
    (tmp_path / "copy" / "more.md").unlink()
    (tmp_path / "copy").rename(papers)
    assert (await folder_house.one()).state == "ok"
    assert await folder_house.said() == GOOD


async def test_a_folder_that_is_really_empty_is_forgotten(
    folder_house: FolderHouse, papers: Path
) -> None:
    await folder_house.watch(papers)
    await folder_house.one()
    (papers / "good.md").unlink()
    folder = await folder_house.one()
    assert (folder.state, folder.passages) == ("ok", 0)


async def test_a_command_that_only_asks_learns_whether_the_folders_are_there(
    home: Home, papers: Path
) -> None:
    async with folder_housed(home) as house:
        await house.watch(papers)
        await house.one()
    async with folder_housed(home) as house:
        [folder] = await house.folders.folders()
        assert (folder.state, folder.passages, folder.note) == ("ok", 1, "")
        assert folder.read_at is not None
    shutil.rmtree(papers)
    async with folder_housed(home) as house:
        [folder] = await house.folders.folders()
        assert (folder.state, folder.passages) == ("missing", 1)


class CancelledSoon(JobDouble):
    """Cancelled as soon as a look is under way."""

    def progress(self, done: int, *_told: Any, **_more: Any) -> None:
        self.cancelled = True


async def test_to_look_at_the_list_clears_nothing(
    folder_house: FolderHouse, papers: Path, tmp_path: Path
) -> None:
    await folder_house.watch(papers)
    await folder_house.one()
    papers.rename(tmp_path / "elsewhere")
    papers.mkdir()
    told = await folder_house.one()
    assert (told.state, told.passages) == ("missing", 1)
    assert await folder_house.folders.folders() == (told,)
    [concern] = await folder_house.folders.concerns()
    assert "another folder is in its place" in concern.text
    with pytest.raises(Cancelled):
        await folder_house.sync(CancelledSoon())
    assert await folder_house.folders.folders() == (told,)


async def test_a_folder_that_was_not_read_says_so(folder_house: FolderHouse, papers: Path) -> None:
    watched = await folder_house.watch(papers)
    [folder] = await folder_house.folders.folders()
    assert {watched.state, folder.state} == {"waiting"}
    assert (folder.note, folder.read_at) == ("not read yet", None)
    assert (await folder_house.one()).state == "ok"


async def test_another_folder_is_not_taken_for_the_one_that_was_read(
    home: Home, papers: Path, tmp_path: Path
) -> None:
    async with folder_housed(home) as house:
        await house.watch(papers)
        await house.one()
    papers.rename(tmp_path / "elsewhere")
    papers.mkdir()
    async with folder_housed(home) as house:
        [folder] = await house.folders.folders()
        assert (folder.state, folder.passages) == ("waiting", 1)
        assert "another folder" in folder.note
        assert (await house.one()).state == "missing"
    papers.rmdir()
    (tmp_path / "elsewhere").rename(papers)
    async with folder_housed(home) as house:
        assert [f.state for f in await house.folders.folders()] == ["ok"]


async def test_what_cannot_be_read_is_named_file_by_file(
    folder_house: FolderHouse, papers: Path
) -> None:
    for number in range(23):
        note(papers / f"{number:02}.txt", b"\xff\xfe\xff")
    await folder_house.watch(papers)
    folder = await folder_house.one()
    assert (folder.files, folder.unread) == (1, 23)
    assert [p.path.display for p in folder.problems] == [f"{n:02}.txt" for n in range(20)]
    assert {p.why for p in folder.problems} == {"not UTF-8 text"}


async def test_a_disk_that_hangs_is_given_up(folder_house: FolderHouse, papers: Path) -> None:
    await folder_house.watch(papers)
    await folder_house.one()
    [child] = readers()
    child.suspend()
    started = time.monotonic()
    folder = await folder_house.one()
    assert time.monotonic() - started < 8
    assert (folder.state, folder.passages) == ("unreadable", 1)
    assert "did not answer" in folder.note
    assert (await folder_house.one()).state == "ok"


async def test_an_engine_that_was_large_keeps_its_reader(
    folder_house: FolderHouse, papers: Path
) -> None:
    """Linux counts what a process ever took from what its parent took."""
    large = b"x" * (300 * 1024**2)
    del large
    await folder_house.watch(papers)
    await folder_house.one()
    before = readers()
    assert before
    note(papers / "later.md", "Said later.")
    await folder_house.one()
    assert readers() == before


@pytest.mark.system("mount")
async def test_what_is_mounted_below_is_left_alone(folder_house: FolderHouse, papers: Path) -> None:
    disk = papers / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "none", str(disk)], check=False)
    if done.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        note(disk / "a.md", "On another disk.")
        await folder_house.watch(papers)
        folder = await folder_house.one()
        assert (folder.files, folder.unread) == (1, 0)
        assert await folder_house.said() == GOOD
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# --- names and kinds ----------------------------------------------------------------------------


async def test_hostile_names_are_names(folder_house: FolderHouse, papers: Path) -> None:
    names = [
        b"\xff.md", b"new\nline.md", b"\x1b[2J.txt", "\u202egnp.md".encode(), b"a" * 252 + b".md",
        b"-rf.md", b"'; DROP TABLE memory.md", b"\\xff.md", b".md.md", b"%s%n.md",
    ]  # fmt: skip
    for number, name in enumerate(names):
        note(os.fsencode(papers) + b"/" + name, f"# Number\n{number}")
    deep = papers.joinpath(*["d" * 200] * 10)
    note(deep / "deep.md", "# Number\nDeep.")
    note(papers / ".hidden.md", "Hidden.")
    note(papers / ".arcanum-trash" / "gone.md", "Thrown away.")
    await folder_house.watch(papers)
    folder = await folder_house.one()
    assert (folder.state, folder.unread) == ("ok", 0)
    said = await folder_house.said()
    kept = {name for name in names if not name.startswith(b".")}
    assert {path for path in said if b"/" not in path} == kept | {b"good.md"}
    assert len(said) == len(kept) + 2
    for row in await folder_house.rows():
        assert row["source"].isprintable()
        assert len(row["source"]) <= 200
    await folder_house.agrees(papers)


async def test_links_lead_nowhere_and_pipes_do_not_hang(
    folder_house: FolderHouse, papers: Path, tmp_path: Path
) -> None:
    note(tmp_path / "secret" / "key.md", "Secret.")
    (papers / "link.md").symlink_to(tmp_path / "secret" / "key.md")
    (papers / "folder").symlink_to(tmp_path / "secret")
    (papers / "loop").symlink_to(papers)
    os.mkfifo(papers / "pipe.md")
    (papers / "folder.md").mkdir()
    await folder_house.watch(papers)
    folder = await folder_house.one()
    assert (folder.state, folder.unread) == ("ok", 0)
    assert await folder_house.said() == GOOD


async def test_what_is_no_text_is_passed_over(folder_house: FolderHouse, papers: Path) -> None:
    note(papers / "binary.txt", bytes(range(256)) * 40)
    note(papers / "latin.txt", "Grüße".encode("latin-1"))
    note(papers / "bom.txt", b"\xef\xbb\xbfWith a mark.")
    note(papers / "wide.txt", "From Windows.".encode("utf-16"))
    note(papers / "really.txt", pdf(["A PDF by another name."]))
    note(papers / "fake.pdf", "Only text.")
    note(papers / "pictures.pdf", pdf([""]))
    await folder_house.watch(papers)
    folder = await folder_house.one()
    assert await folder_house.said() == GOOD | {
        b"bom.txt": ["bom: With a mark."],
        b"fake.pdf": ["fake: Only text."],
        b"really.txt": ["really, page 1: A PDF by another name."],
        b"wide.txt": ["wide: From Windows."],
    }
    assert (folder.files, folder.unread) == (5, 1)
    assert folder.note == "latin.txt: not UTF-8 text"


async def test_a_file_that_cannot_be_opened_is_told_and_not_forgotten(
    folder_house: FolderHouse, papers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:  # Children that modes bind, as they bind everybody but root.
        wrapper = tmp_path / "python"
        drop = "--bounding-set=-dac_override,-dac_read_search"
        wrapper.write_text(f'#!/bin/sh\nexec setpriv {drop} "{sys.executable}" "$@"\n')
        wrapper.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(wrapper))
    note(papers / "closed" / "a.md", "Closed.")
    await folder_house.watch(papers)
    before = await folder_house.one()
    assert before.passages == 2
    ids = await folder_house.ids()
    note(papers / "good.md", "This is better.")
    (papers / "good.md").chmod(0)
    (papers / "closed").chmod(0)
    folder = await folder_house.one()
    assert (folder.state, folder.passages, folder.unread) == ("ok", 2, 2)
    assert folder.note == "good.md: Permission denied"
    assert await folder_house.ids() == ids
    (papers / "good.md").chmod(0o644)
    (papers / "closed").chmod(0o755)
    folder = await folder_house.one()
    assert (folder.unread, folder.note) == (0, "")
    assert (await folder_house.said())[b"good.md"] == ["good: This is better."]


# --- content ------------------------------------------------------------------------------------


async def test_a_file_too_large_or_too_long_is_told(
    folder_house: FolderHouse, papers: Path
) -> None:
    with (papers / "large.txt").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    lines = (f"Line {number} of a very long text." for number in range(450_000))
    note(papers / "long.txt", "\n\n".join(lines))
    lag = await _worst_lag(folder_house, papers)
    problems = await folder_house.problems()
    assert problems[b"large.txt"] == "larger than 20 MiB"
    assert problems[b"long.txt"] == (
        f"too long: only its first {MAX_PASSAGES:,} passages are remembered"
    )
    said = await folder_house.said()
    assert len(said[b"long.txt"]) == MAX_PASSAGES
    assert said[b"good.md"]
    assert lag < 0.2  # Other work runs on this machine too; by itself it is a few milliseconds.


async def _worst_lag(house: FolderHouse, folder: Path) -> float:
    """Seconds for which the event loop was held up while the folder was read."""
    worst = 0.0
    await house.watch(folder)
    reading = asyncio.create_task(house.sync())
    while not reading.done():
        before = time.monotonic()
        await asyncio.sleep(0.001)
        worst = max(worst, time.monotonic() - before - 0.001)
    await reading
    return worst


async def test_a_hostile_pdf_costs_itself_alone(folder_house: FolderHouse, papers: Path) -> None:
    note(papers / "a-bomb.pdf", bomb())
    note(papers / "an-endless.pdf", endless())
    note(papers / "z.pdf", pdf(["The last."]))
    await folder_house.watch(papers)
    folder = await folder_house.one()
    assert folder.state == "ok"
    assert await folder_house.said() == GOOD | {b"z.pdf": ["z, page 1: The last."]}
    problems = await folder_house.problems()
    assert problems[b"an-endless.pdf"] == "given up after 3 s"
    for path in papers.iterdir():
        aged(path)
    started = time.monotonic()
    woken = folder_house.woken
    folder_house.folders._kept[1].stamp = ""
    await folder_house.folders._look(folder_house.folders._kept[1], folder_house.folders._at_ease)
    assert time.monotonic() - started < 30
    assert folder_house.woken == woken


async def test_what_was_given_up_is_not_tried_until_it_changes(
    folder_house: FolderHouse, papers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(papers / "endless.pdf", endless())
    aged(papers / "endless.pdf")
    aged(papers / "good.md")
    await folder_house.watch(papers)
    assert (await folder_house.one()).unread == 1
    [kept] = folder_house.folders._kept.values()
    kept.stamp = ""
    tried, read = list[bytes](), folder_house.folders._reader.read

    async def noted(root: bytes, path: bytes) -> tuple[Any, list[str]]:
        tried.append(path)
        return await read(root, path)

    monkeypatch.setattr(folder_house.folders._reader, "read", noted)
    await folder_house.folders._look(kept, folder_house.folders._at_ease)
    assert tried == []
    note(papers / "endless.pdf", pdf(["It ends."]))
    await folder_house.folders._look(kept, folder_house.folders._at_ease)
    assert tried == [b"endless.pdf"]
    assert (kept.count.unread, kept.count.passages) == (0, 2)


async def test_memory_is_limited(home: Home, papers: Path) -> None:
    words = " ".join(str(number) for number in range(2_500_000))
    note(papers / "big.txt", words)
    async with folder_housed(home, bounds=Bounds(memory_mib=80)) as house:
        await house.watch(papers)
        await house.one()
        assert await house.said() == GOOD
        assert "memory" in (await house.problems())[b"big.txt"]


@pytest.mark.parametrize("squeezed", [False, True])
async def test_damaged_pdfs_harm_nobody(
    folder_house: FolderHouse, papers: Path, *, squeezed: bool
) -> None:
    whole = pdf(["One (two) three.", "Four\nfive."], squeezed=squeezed)
    chance = random.Random(7)
    for number in range(60):
        data = bytearray(whole)
        if number % 3 == 0:
            del data[chance.randrange(8, len(data)) :]
        else:
            for _ in range(chance.choice((1, 3, 20))):
                data[chance.randrange(8, len(data))] ^= 1 << chance.randrange(8)
        note(papers / f"{number:03}.pdf", bytes(data))
    note(papers / "zz.pdf", whole)
    await folder_house.watch(papers)
    folder = await folder_house.one()
    assert folder.state == "ok"
    said = await folder_house.said()
    assert said[b"good.md"] == GOOD[b"good.md"]
    assert said[b"zz.pdf"][1] == "zz, page 2: Four\nfive."
    for passages in said.values():
        for text in passages:
            assert text.replace("\n", "").replace("\t", "").isprintable() or "\x1b" not in text


# --- children that die --------------------------------------------------------------------------


async def test_a_child_that_is_killed_is_started_anew(
    folder_house: FolderHouse, papers: Path
) -> None:
    for number in range(300):
        note(papers / f"{number}.md", f"This is {number}.")
        aged(papers / f"{number}.md")
    await folder_house.watch(papers)
    looking = asyncio.create_task(folder_house.sync())

    async def begun() -> bool:
        return bool(await folder_house.rows())

    await until(begun, 15)
    for child in readers():
        child.send_signal(signal.SIGKILL)
    [folder] = await looking
    assert (folder.state, folder.files, folder.unread) == ("ok", 301, 0)
    await folder_house.agrees(papers)


async def test_an_engine_that_dies_between_loses_no_passage(home: Home, papers: Path) -> None:
    """What was not written is read again; nothing is there twice."""
    for number in range(50):
        note(papers / f"{number}.md", f"This is {number}.")
    async with folder_housed(home) as house:
        await house.watch(papers)
        looking = asyncio.create_task(house.sync())

        async def begun() -> bool:
            return bool(await house.rows())

        await until(begun, 15)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    async with folder_housed(home) as house:
        await house.one()
        await house.agrees(papers)
