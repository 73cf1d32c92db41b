"""A search in folders: what jdupes finds, and what it must leave out."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.base import PathRef
from engine.contract.copies import FindDuplicates
from engine.contract.errors import Cancelled, Invalid
from engine.media.duplicates.desk import _subject
from engine.media.duplicates.finding import Find
from engine.media.link import Link
from engine.store import Database
from engine.worker.frames import Frame, to_text
from tests.fakes.door import JobDouble
from tests.fakes.stores import opened
from tests.fakes.waiting import until
from tests.unit.media.duplicates.asking import find, inodes, jdupes, kept, last, named
from tests.unit.media.house import House, children, sparse, write

BLOCK = os.urandom(40_000)


def with_byte(at: int) -> bytes:
    """The block with one byte changed."""
    changed = bytearray(BLOCK)
    changed[at] ^= 1
    return bytes(changed)


CONTENTS = [
    *(b"", b"a", b"b", b"aa", BLOCK, BLOCK[:16_384], BLOCK[:16_385], BLOCK[:4096]),
    *(with_byte(0), with_byte(-1), with_byte(10_000), with_byte(20_000), with_byte(30_000)),
]
NAMES = st.binary(min_size=1, max_size=8).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in {b".", b".."}
)
ENTRIES = st.lists(
    st.tuples(
        st.sampled_from([b"", b"x", b"x/y", b"\xff\n"]),
        NAMES,
        st.sampled_from(["file", "file", "file", "link", "symlink"]),
        st.integers(0, len(CONTENTS) - 1),
    ),
    max_size=14,
)


class Heard(Link):
    """Keeps what a worker would have sent."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.batches = []
        self.where = ""

    def send(self, frame: Frame) -> None:
        self.frames.append(frame)

    def advance(self, files: int = 0, size: int = 0) -> None:
        """Nobody waits."""


def plant(root: Path, entries: list[tuple[bytes, bytes, str, int]]) -> None:
    made: list[bytes] = []
    for folder, name, kind, content in entries:
        path = b"/".join((os.fsencode(root), folder, b"f" + name))
        file = Path(os.fsdecode(path))
        file.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path):
            continue
        if kind == "symlink":
            file.symlink_to(os.fsdecode(made[0]) if made else "nowhere")
        elif kind == "link" and made:
            os.link(made[content % len(made)], path)
        else:
            write(path, CONTENTS[content])
            made.append(path)


def searched(root: Path, catalogue: Database, threads: int = 1) -> tuple[Any, Frame]:
    """The groups as inodes and the closing frame, as the worker tells them."""
    link = Heard()
    command = {
        "roots": [to_text(os.fsencode(root))],
        "catalogue": catalogue.path.absolute().as_uri(),
        "skip": ".arcanum-trash",
        "libraries": [],
        "keep": [],
        "most": 200,
        "threads": threads,
        "limit": 500,
    }
    closing = Find(command, link).run()
    groups = {
        frozenset((row["identity"][0], row["identity"][1]) for row in frame["copies"])
        for frame in link.frames
        if frame["k"] == "group"
    }
    return groups, closing


@pytest.mark.system("jdupes")
async def test_its_groups_are_those_of_jdupes_on_any_tree(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    async with opened(tmp_path / "catalogue.db", kind="catalogue") as catalogue:

        @settings(max_examples=60, deadline=None, suppress_health_check=[*HealthCheck])
        @given(ENTRIES, st.sampled_from([1, 1, 1, 2]))
        def check(entries: list[tuple[bytes, bytes, str, int]], threads: int) -> None:
            root = tmp_path_factory.mktemp("tree")
            plant(root, entries)
            groups, end = searched(root, catalogue, threads)
            assert groups == jdupes(root)
            assert end["groups"] == len(groups)
            assert (end["changed"], end["unreadable"]) == (0, 0)

        check()


@pytest.mark.system("jdupes")
async def test_it_is_the_same_through_the_worker(house: House, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    for number in range(40):
        write(root / f"{number % 3}" / f"{number}", CONTENTS[1 + number % (len(CONTENTS) - 1)])
    found = await find(house, root)
    assert inodes(found.groups) == jdupes(root)
    assert found.totals.copies == sum(group.count for group in found.groups)
    assert found.totals.frees == sum(group.frees for group in found.groups)


async def test_one_middle_byte_makes_another_file(house: House, tmp_path: Path) -> None:
    block = os.urandom(3_000_000)
    for number, at in enumerate([None, None, 700_000, 1_400_000]):
        data = bytearray(block)
        if at is not None:
            data[at] ^= 0x80
        write(tmp_path / "tree" / f"{number}.mkv", bytes(data))
    found = await find(house, tmp_path / "tree")
    (group,) = found.groups
    assert {last(path) for path in named(group)} == {b"0.mkv", b"1.mkv"}


async def test_names_of_one_inode_are_one_copy(house: House, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("a", "b", "c"):
        write(tree / name, b"same")
    os.link(tree / "a", tree / "a2")
    os.link(tree / "b", tmp_path / "outside")  # A name that the search does not see.
    (group,) = (await find(house, tree)).groups
    copies = named(group)
    assert group.count == len(copies) == 3
    root = os.fsencode(tree)
    (other,) = copies[root + b"/a"].names
    assert other.path.data == root + b"/a2"
    away = copies[root + b"/b"]
    assert (away.role, away.frees) == ("stay", 0)
    assert "names that are not known" in away.reasons[0]
    assert group.frees == 4


async def test_two_names_of_one_inode_alone_are_no_duplicates(house: House, tmp_path: Path) -> None:
    write(tmp_path / "tree" / "a", b"same")
    os.link(tmp_path / "tree" / "a", tmp_path / "tree" / "b")
    found = await find(house, tmp_path / "tree")
    assert (found.groups, found.totals.groups) == ((), 0)


async def test_folders_that_overlap_count_a_file_once(house: House, tmp_path: Path) -> None:
    write(tmp_path / "tree" / "below" / "a", b"same")
    assert (await find(house, tmp_path / "tree", tmp_path / "tree" / "below")).groups == ()


async def test_a_sparse_file_frees_what_it_takes(house: House, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    sparse(tmp_path / "tree" / "hole", 3_000_000)
    write(tmp_path / "tree" / "written", bytes(3_000_000))
    os.utime(tmp_path / "tree" / "written", ns=(0, 0))  # The older is kept.
    (group,) = (await find(house, tmp_path / "tree")).groups
    assert last(kept(group)) == b"written"
    assert group.size == 3_000_000
    assert group.frees == (tmp_path / "tree" / "hole").stat().st_blocks * 512 == 0


async def test_any_name_is_told_as_it_is(house: House, tmp_path: Path) -> None:
    root = os.fsencode(tmp_path / "tree")
    names = [b"new\nline", b"\xff\xfe", b"\x1b[31m", b"-rf", "\u202egnp.exe".encode(), b"n" * 255]
    for name in names:
        write(root + b"/" + name, b"same")
    (group,) = (await find(house, tmp_path / "tree")).groups
    assert {*named(group)} == {root + b"/" + name for name in names}
    assert all(copy.path.display.isprintable() for copy in group.copies)


async def test_a_file_that_fails_to_read_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c", "d"):
        write(tmp_path / "tree" / name, BLOCK)
    real = os.open

    def failing(path: Any, flags: int, *args: Any, **more: Any) -> int:
        if path == b"c":
            raise PermissionError(13, "Permission denied")
        if path == b"d":
            raise OSError(5, "Input/output error")
        return real(path, flags, *args, **more)

    async with opened(tmp_path / "catalogue.db", kind="catalogue") as catalogue:
        monkeypatch.setattr(os, "open", failing)
        groups, end = searched(tmp_path / "tree", catalogue)
    assert end["unreadable"] == 2
    assert [len(group) for group in groups] == [2]


async def test_a_file_that_changes_or_goes_meanwhile_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    for name in ("a", "b", "c", "d"):
        write(tree / name, BLOCK)
    real = Find._walk

    def walk(self: Find) -> None:
        real(self)
        write(tree / "c", BLOCK)  # The same bytes, but written anew: who knows what comes next.
        (tree / "d").unlink()

    monkeypatch.setattr(Find, "_walk", walk)
    async with opened(tmp_path / "catalogue.db", kind="catalogue") as catalogue:
        groups, end = searched(tree, catalogue)
    assert end["changed"] == 2
    assert [len(group) for group in groups] == [2]


async def test_a_file_that_is_written_all_the_time_costs_nothing_else(
    house: House, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    for number in range(200):
        write(tree / f"{number}", BLOCK)
    stop = threading.Event()

    def scribble() -> None:
        while not stop.is_set():
            write(tree / "busy", BLOCK)

    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        found = await find(house, tree)
    finally:
        stop.set()
        writer.join()
    assert found.totals.groups == 1
    assert found.totals.copies in {200, 201}


@pytest.mark.slow
async def test_a_hundred_thousand_tiny_files(house: House, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for folder in range(100):
        (tree / f"{folder}").mkdir(parents=True)
        for number in range(1000):
            data = b"%d" % (number if folder % 2 else folder * 1000 + number)
            (tree / f"{folder}" / f"{number}").write_bytes(data)
    found = await find(house, tree, limit=500)
    assert found.files == 100_000
    assert found.totals.groups == 1000
    # Each number up to 1,000 is in 50 folders, and once among those that all differ.
    assert found.totals.copies == 51 * 1000
    assert len(found.groups) == 500
    assert all(group.count == 51 and len(group.copies) == 10 for group in found.groups)


async def test_it_can_be_cancelled_and_leaves_no_process(house: House, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    sparse(tree / "a")
    sparse(tree / "b")
    job = JobDouble()
    task = asyncio.create_task(find(house, tree, job=job))
    await until(lambda: any(unit == "bytes" for _, _, unit, _ in job.told), 20)
    job.cancel()
    with pytest.raises(Cancelled):
        await task
    await until(lambda: not children() and not children("duplicates.reader"))


async def test_folders_that_are_not_there_are_refused(house: House, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"/nowhere cannot be looked into: No such file"):
        await find(house, tmp_path, tmp_path / "nowhere")
    write(tmp_path / "file")
    with pytest.raises(Invalid, match="/file cannot be looked into: Not a directory"):
        await find(house, tmp_path / "file")
    with pytest.raises(Invalid, match=r"/n\\x1b\\xff cannot be looked into"):
        await find(house, Path(os.fsdecode(os.fsencode(tmp_path) + b"/n\x1b\xff")))
    with pytest.raises(Invalid, match="absolute"):
        await find(house, Path("relative"))
    with pytest.raises(Invalid, match="not both"):
        await find(house, tmp_path, libraries=("films",))


def test_a_search_names_what_it_works_on() -> None:
    assert _subject(FindDuplicates(paths=(PathRef.of("/a"), PathRef.of("/b")))) == "/a, /b"
    assert _subject(FindDuplicates()) == "all libraries"
