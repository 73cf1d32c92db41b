"""Duplicates among the libraries, as the catalogue knows them and the disk is now."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.config import Config, MediaConfig
from engine.contract import assets, media
from engine.contract.copies import DuplicatePage, FindDuplicates
from engine.contract.errors import Invalid, NotFound
from engine.home import Home
from engine.media.duplicates import desk
from engine.media.duplicates.snapshot import Snapshot
from engine.store import Transaction
from tests.fakes.waiting import until
from tests.unit.media.conftest import NEVER
from tests.unit.media.duplicates.asking import inodes, kept, last, named, page, pages
from tests.unit.media.house import House, housed, sparse, write
from tests.unit.media.survey.test_survey import surveyed

# One that is called like its state.
TORRENT = """
INSERT INTO torrent (client, infohash, name, tracker, category, labels, ratio, seeding_s, state,
    files, missing, at)
VALUES ('qb', ?1, '', '', '', '', 0, 0, ?1, 1, 0, 0)
"""


@pytest.fixture
async def preferring(home: Home) -> AsyncIterator[House]:
    """A room that is told to keep what is in `photos`."""
    config = Config(media=MediaConfig(keep=("photos",)))
    async with housed(home, NEVER, config=config) as opened:
        yield opened


async def library(house: House, root: Path, name: str, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        write(root / path, content)
    await house.add(root, name)
    await house.scan(name)


async def run(house: House, sql: str, *values: object) -> None:
    async def work(tx: Transaction) -> None:
        await tx.execute(sql, values)
        await tx.execute("UPDATE library SET changed_at = ?", (os.urandom(8).hex(),))

    await house.ground.catalogue.write(work)


async def test_groups_come_with_what_a_plan_needs(house: House, films: Path) -> None:
    await library(
        house,
        films,
        "films",
        {"a": b"same", "sub/a (1)": b"same", "b": b"else", "c": b"", "d": b""},
    )
    one = await page(house)
    (group,) = one.groups
    known = await house.known()
    assert {path: copy.id for path, copy in named(group).items()} == {
        path: known[path].id for path in (b"a", b"sub/a (1)")
    }
    assert kept(group) == b"a"
    spare = named(group)[b"sub/a (1)"]
    status = (films / "sub" / "a (1)").lstat()
    identity = spare.identity
    assert (identity.dev, identity.ino, identity.size) == (status.st_dev, status.st_ino, 4)
    assert (identity.mtime_ns, identity.ctime_ns) == (status.st_mtime_ns, status.st_ctime_ns)
    assert (spare.role, spare.frees, spare.shares) == ("spare", 4, "none")
    assert spare.reasons == ("its name, or its folder, looks like that of a copy",)
    assert (group.size, group.count, group.frees) == (4, 2, 4)
    assert (one.totals.groups, one.totals.copies, one.totals.frees) == (1, 2, 4)
    assert (one.pending, one.candidates, one.not_duplicates, one.next) == (0, 0, 0, None)


async def test_copies_are_found_across_libraries_and_in_some_of_them(
    preferring: House, tmp_path: Path
) -> None:
    house = preferring
    await library(house, tmp_path / "f", "films", {"a": b"same", "b": b"twice", "c": b"twice"})
    await library(house, tmp_path / "p", "photos", {"deep/er/Downloads/a (1)": b"same"})
    groups = await pages(house)
    assert sorted(group.size for group in groups) == [4, 5]
    (across,) = (group for group in groups if group.size == 4)
    assert across.copies[0].library == "photos"
    assert across.copies[0].reasons == ("it is in photos, which goes before other libraries",)
    assert [group.size for group in await pages(house, libraries=("films",))] == [5]
    assert await pages(house, libraries=("photos",)) == []
    with pytest.raises(NotFound):
        await page(house, libraries=("nothing",))


@pytest.mark.parametrize("sort", ["frees", "count", "path"])
async def test_pages_hold_every_group_once_and_in_order(
    house: House, films: Path, sort: str
) -> None:
    files = {}
    for number in range(30):
        for copy in range(2 + number % 3):
            files[f"{number % 7}/{number}-{copy}"] = b"%d" % number * (1 + number // 10)
    await library(house, films, "films", files)
    whole = await pages(house, sort=sort, limit=500)
    assert len(whole) == 30
    orders: dict[str, list[Any]] = {
        "frees": [-group.frees for group in whole],
        "count": [-group.count for group in whole],
        "path": [min(named(group)) for group in whole],
    }
    assert orders[sort] == sorted(orders[sort])
    for limit in (1, 4, 30):
        assert [g.blake3 for g in await pages(house, sort=sort, limit=limit)] == [
            group.blake3 for group in whole
        ]


@pytest.mark.parametrize("sort", ["frees", "count", "path"])
async def test_a_page_begins_at_any_group(house: House, films: Path, sort: str) -> None:
    files = {f"{n % 7}/{n}-{c}": b"%d" % n * (1 + n // 10) for n in range(30) for c in "abc"}
    await library(house, films, "films", files)
    whole = [group.blake3 for group in await pages(house, sort=sort, limit=500)]
    for at in (0, 1, 14, 16, 29, 30, 31, 2**62):
        one = await page(house, sort=sort, at=at, limit=4)
        assert [group.blake3 for group in one.groups] == whole[at : at + 4]
        assert (one.next is not None, one.totals.groups) == (at + 4 < 30, 30)
        if one.next is not None:
            following = await page(house, sort=sort, after=one.next, limit=4)
            assert [group.blake3 for group in following.groups] == whole[at + 4 : at + 8]


async def test_whoever_scrolls_waits_for_nobody_who_counts_anew(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await library(house, films, "films", {f"{n}-{c}": b"%d" % n for n in range(4) for c in "ab"})
    first = await page(house, limit=2)
    for new in ("4-a", "4-b"):
        write(films / new, b"4")
    await house.scan()
    counting, counted = threading.Event(), threading.Event()

    class Slow(Snapshot):
        def __init__(self, uri: str, libraries: Sequence[int]) -> None:
            counting.set()
            counted.wait(20)
            super().__init__(uri, libraries)

    monkeypatch.setattr(desk, "Snapshot", Slow)

    async def anew() -> DuplicatePage:
        found = first
        while found.totals.groups == 4:
            found = await page(house)
        return found

    task = asyncio.create_task(anew())
    try:
        await until(counting.is_set)
        scrolled = await page(house, at=2, limit=2, handle=first.handle)
        assert (scrolled.totals.groups, scrolled.handle) == (4, first.handle)
        assert inodes(scrolled.groups).isdisjoint(inodes(first.groups))
    finally:
        counted.set()
        newer = await task
    assert newer.totals.groups == 5
    # What was counted before is forgotten then.
    assert (await page(house, at=2, handle=first.handle)).handle == newer.handle


async def test_a_page_of_another_order_is_refused(house: House, films: Path) -> None:
    await library(house, films, "films", {f"{n}-{c}": b"%d" % n for n in range(3) for c in "ab"})
    after = (await page(house, limit=1)).next
    assert after is not None
    for wrong in ("", "x", after[:-4]):
        with pytest.raises(Invalid):
            await page(house, after=wrong)
    for sort in ("count", "path"):
        with pytest.raises(Invalid):
            await page(house, sort=sort, after=after)


async def test_a_page_is_of_now(house: House, films: Path) -> None:
    await library(house, films, "films", {"a": b"same", "b": b"same"})
    assert len((await page(house)).groups) == 1
    write(films / "c", b"same")
    await house.scan()

    async def three() -> bool:
        found = await page(house)
        return bool(found.groups) and found.groups[0].count == 3

    await until(three)
    (films / "b").unlink()
    (films / "c").write_bytes(b"other")
    left = await page(house)  # The catalogue has not noticed yet.
    assert (left.groups, left.not_duplicates) == ((), 1)


async def test_hard_links_are_names_of_one_copy(house: House, films: Path, tmp_path: Path) -> None:
    await library(house, films, "films", {"a": b"same", "b": b"same", "other": b"12345"})
    os.link(films / "a", films / "a2")
    os.link(films / "b", tmp_path / "elsewhere")
    os.link(films / "other", films / "other2")  # Two names of one inode are no duplicates.
    await house.scan()
    one = await page(house)
    (group,) = one.groups
    copies = named(group)
    assert [name.path.data for name in copies[b"a"].names] == [b"a2"]
    assert copies[b"b"].role == "stay"
    assert "not known here" in copies[b"b"].reasons[0]
    assert kept(group) == b"a"
    assert (group.frees, one.totals.copies) == (0, 2)


async def test_what_is_damaged_is_neither_kept_nor_a_copy(house: House, films: Path) -> None:
    await library(house, films, "films", {"a": b"same", "b": b"same", "c": b"same"})
    await run(house, "UPDATE file SET damage = 'rotten' WHERE path = ?", b"a")
    (group,) = (await page(house)).groups
    assert kept(group) == b"b"
    assert (named(group)[b"a"].role, named(group)[b"a"].damage) == ("stay", "rotten")
    assert (group.frees, (await page(house)).totals.frees) == (4, 4)


async def test_totals_count_of_a_sparse_file_what_it_takes(house: House, films: Path) -> None:
    """Once it was looked into; before, once its group was shown."""
    sparse(films / "hole", 3_000_000)
    sparse(films / "hole2", 3_000_000)
    await library(house, films, "films", {"a": b"same", "b": b"same", "written": bytes(3_000_000)})
    await surveyed(house)
    # Two of the three may go, and that one of them was written, is the most.
    assert _counted(house) == 4 + 3_000_000
    (films / "written").unlink()
    await house.scan()
    assert _counted(house) == 4
    await run(house, "DELETE FROM sparse")
    assert _counted(house) == 4 + 3_000_000
    for _ in range(2):
        one = await page(house)
        assert [group.frees for group in one.groups] == [0, 4]
        assert one.totals.frees == 4


def _counted(house: House) -> int:
    snapshot = Snapshot(house.ground.catalogue.path.absolute().as_uri(), [1])
    snapshot.close()
    return snapshot.frees


async def test_what_a_sparse_file_takes_is_of_the_bytes_that_were_looked_at(
    house: House, films: Path
) -> None:
    sparse(films / "hole", 3_000_000)
    await house.add(films)
    await house.scan()
    await surveyed(house)
    rows = await house.ground.catalogue.read("SELECT size, taken FROM sparse")
    assert [(*row,) for row in rows] == [(3_000_000, 0)]
    write(films / "hole", bytes(3_000_000))
    await house.scan()
    await surveyed(house)
    assert await house.ground.catalogue.read("SELECT * FROM sparse") == []


async def test_what_is_seeded_is_never_proposed_to_go(house: House, films: Path) -> None:
    await library(house, films, "films", {"a": b"same", "b": b"same", "c (1)": b"same"})
    for path, state in ((b"c (1)", "seeding"), (b"b", "removed")):
        await run(
            house,
            TORRENT,
            state,
        )
        await run(
            house,
            "INSERT INTO claim SELECT 'qb', ?, id, 'inode' FROM file WHERE path = ?",
            state,
            path,
        )
    (group,) = (await page(house)).groups
    assert kept(group) == b"c (1)"
    assert {path: copy.seeding for path, copy in named(group).items()} == {
        b"a": False,
        b"b": False,
        b"c (1)": True,
    }


async def test_a_preferred_library_comes_before_seeding_and_both_are_kept(
    preferring: House, films: Path, tmp_path: Path
) -> None:
    await library(preferring, films, "films", {"a": b"same"})
    await library(preferring, tmp_path / "p", "photos", {"b": b"same"})
    await run(
        preferring,
        TORRENT,
        "paused",
    )
    await run(
        preferring,
        "INSERT INTO claim SELECT 'qb', 'paused', id, 'path' FROM file WHERE path = ?",
        b"a",
    )
    (group,) = (await page(preferring)).groups
    assert kept(group) == b"b"
    assert (named(group)[b"a"].role, group.frees) == ("stay", 0)


async def test_a_library_that_is_away_keeps_its_copies(
    house: House, films: Path, tmp_path: Path
) -> None:
    await library(house, films, "films", {"a": b"same"})
    await library(house, tmp_path / "away", "away", {"b": b"same"})
    (tmp_path / "away").rename(tmp_path / "gone")
    (group,) = (await page(house)).groups
    assert kept(group) == b"a"
    away = named(group)[b"b"]
    assert (away.role, away.frees, away.shares) == ("stay", 0, "unknown")
    assert "its disk is away" in away.reasons


async def test_what_is_not_hashed_yet_is_said_and_only_candidates_are_read(
    house: House, films: Path, tmp_path: Path
) -> None:
    block = os.urandom(100_000)
    await library(
        house,
        films,
        "films",
        {
            "known": block,
            "new": block,
            "head": b"x" + block[1:],
            "alone": b"alone!",
            "small": b"ab",
            "small2": b"ab",
            "other": b"12345",
        },
    )
    await library(house, tmp_path / "p", "photos", {"far": b"12345"})
    await run(house, "UPDATE file SET blake3 = NULL WHERE path NOT IN (?, ?)", b"known", b"far")
    before = await page(house)
    assert (before.groups, before.pending, before.candidates) == ((), 6, 5)
    found = await house.door.run(media.FIND_DUPLICATES, FindDuplicates())
    assert found.totals.groups == 3
    # `alone` was not read at all, `head` only in parts.
    assert found.read_bytes == 100_000 + 3 * 3 * 4096 + 2 * 2 + 5
    known = await house.known()
    assert known[b"alone"].blake3 is None
    assert known[b"head"].blake3 is None
    assert known[b"new"].blake3 == known[b"known"].blake3
    after = await page(house)
    assert {frozenset(map(last, named(group))) for group in after.groups} == {
        frozenset({b"known", b"new"}),
        frozenset({b"small", b"small2"}),
        frozenset({b"other", b"far"}),
    }
    assert inodes(after.groups) == inodes(found.groups)
    assert after.pending == 2


async def test_what_could_not_be_read_is_said_apart(house: House, films: Path) -> None:
    await library(house, films, "films", {"known": b"12", "new": b"12", "shut": b"12", "no": b"1"})
    await run(house, "UPDATE file SET blake3 = NULL WHERE path <> ?", b"known")
    await run(house, "UPDATE file SET damage = 'unread' WHERE path IN (?, ?)", b"shut", b"no")
    one = await page(house)
    assert (one.pending, one.candidates, one.unread) == (1, 1, 2)


async def test_without_libraries_there_are_no_duplicates(house: House) -> None:
    one = await page(house)
    assert (one.groups, one.totals.groups) == ((), 0)


async def test_a_library_that_was_removed_is_not_counted(house: House, films: Path) -> None:
    await library(house, films, "films", {"a": b"same", "b": b"same"})
    assert (await page(house)).totals.groups == 1
    await house.door.call(media.REMOVE, assets.LibraryName(library="films"))
    assert (await page(house)).totals.groups == 0


async def test_counting_leaves_nothing_behind(house: House, films: Path) -> None:
    await library(house, films, "films", {"a": b"same", "b": b"same"})
    snapshot = Snapshot(house.ground.catalogue.path.absolute().as_uri(), [1])
    assert (snapshot.groups, snapshot.copies, snapshot.frees) == (1, 2, 4)
    snapshot.close()
    assert not any(path.name.startswith("etilqs") for path in house.ground.home.data.iterdir())


async def test_a_large_library_is_not_read_once_for_every_group(house: House, films: Path) -> None:
    """SQLite would by itself: minutes for this one, and days for a million files."""
    await house.add(films, "films")
    rows: list[tuple[Any, ...]] = [
        (1, b"%d" % n, str(n), 1, n, 7, n, n, 1, (n // 2).to_bytes(32, "big"), 0)
        for n in range(60_000)
    ]
    rows += [(1, b"p%d" % n, str(n), 1, 10**6 + n, 7, n, n, 1, None, 0) for n in range(1000)]

    async def work(tx: Transaction) -> None:
        await tx.executemany(
            "INSERT INTO file (library, path, folded, dev, ino, size, mtime_ns, ctime_ns, nlink,"
            " blake3, seen_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    await house.ground.catalogue.write(work)
    async with asyncio.timeout(20):
        one = await page(house)
    assert (one.totals.groups, one.totals.copies, one.candidates) == (30_000, 60_000, 1000)
