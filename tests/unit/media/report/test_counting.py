"""A report's numbers: each division of a catalogue adds up to it, whatever it holds."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.contract.errors import NotFound
from engine.contract.report import MOST_ROWS, MediaReport
from engine.media.duplicates.snapshot import Snapshot
from engine.media.report.counting import Counting
from tests.fakes.stores import opened
from tests.unit.media.report.shelves import (
    DAY,
    NAMES,
    Gone,
    Row,
    counting,
    date,
    divided,
    divisions,
    fill,
    library,
    shares,
    summed,
)

NOW = time.time_ns()
WHEN = st.integers(-(2**62), 2**62) | st.integers(NOW - 400 * DAY, NOW + 400 * DAY)
SEEN = st.just(0) | st.integers(1, NOW + 40 * DAY) | st.integers(NOW - 900 * DAY, NOW)
ADDRESS = st.sampled_from(
    ["", "https://a.example/x", "https://A.example/y/z", "ftp://b.example:21", "magnet:abc", "x"]
)
ROWS = st.lists(
    st.builds(
        Row,
        library=st.sampled_from([*NAMES]),
        path=st.binary(min_size=1, max_size=6),
        ino=st.integers(1, 8),
        size=st.sampled_from([0, 1, 5, 10**6, 2**45]),
        modified=WHEN,
        first_seen=SEEN,
        checked=st.none() | SEEN,
        blake3=st.none() | st.sampled_from([b"a" * 32, b"b" * 32]),
        damage=st.sampled_from(["", "", "", "rotten", "unreadable", "unread"]),
        kind=st.sampled_from(["", "image", "video"]),
        type=st.sampled_from(["image/jpeg", "video/mp4"]),
        camera=st.sampled_from(["", "\x1b[31m Cam", "Other"]),
        sources=st.lists(
            st.tuples(st.sampled_from(["url", "appeared"]), ADDRESS, st.floats(0, 1)), max_size=3
        ).map(tuple),
        nlink=st.integers(1, 3),
        came_back=st.none() | st.integers(2, NOW),
    ),
    max_size=25,
    unique_by=lambda row: (row.library, row.path),
)
GONE = st.lists(
    st.builds(
        Gone,
        library=st.sampled_from([*NAMES]),
        at=SEEN,
        size=st.integers(0, 10**9),
        first_seen=st.none() | SEEN,
    ),
    max_size=12,
)


def counted(
    rows: list[Row], gone: list[Gone] | None = None, *libraries: str, most: int = 20
) -> MediaReport:
    """The report on a catalogue of these; also that the duplicates' own page says the same."""

    async def work(folder: Path) -> MediaReport:
        async with opened(folder / "catalogue.db", kind="catalogue") as database:
            await fill(database, rows, gone or [])
            found = await counting(database).count(libraries, most)
            shown = [id_ for id_, name in NAMES.items() if not libraries or name in libraries]
            same = Snapshot(database.path.as_uri(), shown)
            totals = found.duplicates.totals
            assert (totals.groups, totals.copies, totals.frees) == (
                *(same.groups, same.copies, same.frees),
            )
            same.close()
            return found

    with tempfile.TemporaryDirectory(prefix="arc-", dir="/tmp") as folder:
        return asyncio.run(work(Path(folder)))


def year(at: int) -> str:
    return "" if at > time.time_ns() + DAY else str(date(at).year)


@settings(max_examples=40, deadline=None)
@given(ROWS, GONE)
def test_every_section_adds_up_to_the_catalogue(rows: list[Row], gone: list[Gone]) -> None:
    found = counted(rows, gone)
    whole = (len(rows), sum(one.bytes for one in found.libraries))
    assert (found.total.files, found.total.bytes) == whole
    assert sum(one.files for one in found.libraries) == len(rows)
    assert {name: summed(part) for name, part in divisions(found).items()} == dict.fromkeys(
        divisions(found), whole
    )
    states = [
        amount
        for one in found.integrity
        for amount in (
            *(one.month, one.quarter, one.year, one.older),
            *(one.unchecked, one.pending, one.unread, one.rotten, one.unreadable),
        )
    ]
    assert (sum(a.files for a in states), sum(a.bytes for a in states)) == whole
    assert found.total.bytes_once == sum(
        {row.ino: max(r.size for r in rows if r.ino == row.ino) for row in rows}.values()
    )


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_each_row_is_counted_where_it_belongs(rows: list[Row]) -> None:
    found = counted(rows)

    def best(row: Row) -> tuple[str, str]:
        kind, origin, _ = max(row.sources, key=lambda source: source[2], default=("", "", 0))
        return kind, urlsplit(origin).netloc.lower() if "://" in origin else ""

    def seen(row: Row) -> str:
        return "" if row.first_seen == 0 else year(row.first_seen)

    def camera(row: Row) -> str:
        return row.camera.replace("\x1b", "\\x1b") if row.kind else ""

    assert shares(found.kinds) == divided(rows, lambda row: row.kind)
    assert shares(found.types) == divided(rows, lambda row: row.type if row.kind else "")
    assert shares(found.cameras) == divided(rows, camera)
    assert shares(found.first_seen) == divided(rows, seen)
    assert shares(found.sources.kinds) == divided(rows, lambda row: best(row)[0])
    assert shares(found.sources.hosts) == divided(rows, lambda row: best(row)[1])
    years = divided(rows, lambda row: year(row.modified))
    told = shares(found.modified)
    assert {name: told.get(name) for name in years if name in told} == {
        name: years[name] for name in told if name != "…"
    }
    _is_a_ledger(found)


def _is_a_ledger(found: MediaReport) -> None:
    """Growth: what came less what left, month by month, ends with what is there."""
    growth = found.growth
    files, size = growth.before.files, growth.before.bytes
    assert [month.month for month in growth.months] == sorted({m.month for m in growth.months})
    for month in growth.months:
        files += month.arrived.files - month.left.files
        size += month.arrived.bytes - month.left.bytes
        assert (month.held.files, month.held.bytes) == (files, size)
        assert sum(month.bytes) == size
        assert files >= 0
    assert (files, size) == (found.total.files, found.total.bytes)
    assert len(growth.series) == len(NAMES)


def test_hard_links_and_copies() -> None:
    """Two names of one inode weigh once; a copy is another inode with the same bytes."""
    seen = {"blake3": b"a" * 32, "checked": NOW}
    rows = [
        Row(1, b"film", 1, 1000, nlink=2, kind="video", type="video/mp4", **seen),  # type: ignore[arg-type]
        Row(1, b"film again", 1, 1000, nlink=2, kind="video", type="video/mp4", **seen),  # type: ignore[arg-type]
        Row(2, b"copy", 2, 1000, **seen),  # type: ignore[arg-type]
        Row(2, b"empty", 3, 0, blake3=b"e" * 32, checked=NOW),
        Row(2, b"empty too", 4, 0, blake3=b"e" * 32, checked=NOW),
        Row(3, b"film in another library", 1, 1000, nlink=3, **seen),  # type: ignore[arg-type]
    ]
    found = counted(rows)
    assert [(one.library, one.files, one.bytes) for one in found.libraries] == [
        ("films", 2, 1000),
        ("music", 3, 1000),
        ("photos", 1, 1000),
    ]
    assert (found.total.bytes, found.total.bytes_once) == (3000, 2000)
    assert shares(found.kinds) == {"video": (2, 1000), "": (4, 2000)}
    assert found.duplicates.totals.model_dump() == {"groups": 1, "copies": 2, "frees": 1000}
    [group] = found.duplicates.groups
    assert (group.copies, group.size, group.frees) == (2, 1000, 1000)
    assert [file.size for file in found.largest] == [1000, 1000, 0, 0]
    assert {one.verdict for one in found.integrity} == {"sound"}


def test_what_is_beyond_the_rows_is_summed_up() -> None:
    rows = [
        Row(1, b"%d" % n, n, n, kind="image", type=f"image/x-{n:03}", camera=f"Camera {n}")
        for n in range(1, MOST_ROWS + 11)
    ]
    found = counted(rows, most=5)
    assert [row.name for row in found.types.rows[:2]] == ["image/x-050", "image/x-049"]
    assert len(found.types.rows) == MOST_ROWS
    assert (found.types.others.files, found.types.others.bytes) == (10, sum(range(1, 11)))
    assert [file.size for file in found.largest] == [50, 49, 48, 47, 46]
    assert summed(found.cameras) == (50, sum(range(1, 51)))


def test_a_file_that_left_and_came_back_is_not_counted_twice() -> None:
    month, before = NOW - 31 * DAY, NOW - 400 * DAY
    rows = [Row(1, b"back", 1, 10, first_seen=before, came_back=NOW)]
    found = counted(rows, [Gone(1, month, 7, before)])
    months = {m.month: (m.arrived.files, m.left.files, m.held.files) for m in found.growth.months}
    assert months == {
        f"{date(before):%Y-%m}": (2, 0, 2),
        f"{date(month):%Y-%m}": (0, 1, 1),
        f"{date(NOW):%Y-%m}": (1, 1, 1),
    }
    assert found.growth.months[-1].held.bytes == 10


def test_only_the_libraries_that_were_asked_for() -> None:
    rows = [Row(1, b"film", 1, 10), Row(2, b"song", 2, 20)]
    found = counted(rows, [Gone(2, NOW, 5, NOW)], "films")
    assert [one.library for one in found.libraries] == ["films"]
    assert (found.total.files, found.total.bytes) == (1, 10)
    assert [file.path and file.path.display for file in found.largest] == ["film"]
    assert found.growth.since is None
    assert all(summed(part) == (1, 10) for part in divisions(found).values())


def test_nothing_at_all() -> None:
    found = counted([])
    assert (found.total.files, found.total.bytes) == (0, 0)
    assert found.growth.months == ()
    assert found.largest == ()
    assert found.duplicates.groups == ()


@pytest.mark.parametrize(
    ("row", "known", "verdict"),
    [
        (Row(1, b"a", 1, 1, blake3=b"a" * 32, checked=NOW - 400 * DAY), {}, "sound"),
        (Row(1, b"a", 1, 1), {}, "unknown"),
        (Row(1, b"a", 1, 1, blake3=b"a" * 32), {}, "unknown"),
        (Row(1, b"a", 1, 1, damage="unread"), {}, "unknown"),
        (Row(1, b"a", 1, 1, blake3=b"a" * 32, checked=NOW + 2 * DAY), {}, "unknown"),
        (Row(1, b"a", 1, 1, blake3=b"a" * 32, checked=NOW, damage="rotten"), {}, "damaged"),
        (Row(1, b"a", 1, 1, blake3=b"a" * 32, checked=NOW, damage="unreadable"), {}, "damaged"),
        (Row(1, b"a", 1, 1, blake3=b"a" * 32, checked=NOW), {"state": "missing"}, "unknown"),
        (Row(1, b"a", 1, 1, blake3=b"a" * 32, checked=NOW), {"last_scan_at": None}, "unknown"),
    ],
)
async def test_unknown_is_never_sound(
    tmp_path: Path, row: Row, known: dict[str, object], verdict: str
) -> None:
    async with opened(tmp_path / "catalogue.db", kind="catalogue") as database:
        await fill(database, [row])
        found = await counting(database, films=library("films", **known)).count((), 1)
        assert found.integrity[0].verdict == verdict


async def test_an_unreadable_name_is_unknown(tmp_path: Path) -> None:
    async with opened(tmp_path / "catalogue.db", kind="catalogue") as database:
        await fill(database, [])
        await database.write(
            lambda tx: tx.execute("UPDATE library SET unreadable = 2 WHERE id = 1")
        )
        found = await counting(database).count((), 1)
        assert (found.integrity[0].verdict, found.total.unreadable) == ("unknown", 2)


async def test_a_library_that_is_not_there(tmp_path: Path) -> None:
    async with opened(tmp_path / "catalogue.db", kind="catalogue") as database:
        await fill(database, [])
        with pytest.raises(NotFound, match="There is no library nope") as raised:
            await counting(database).count(("nope",), 1)
        assert "films, music, photos" in raised.value.hint


async def test_what_is_forgotten_of_a_library_is_in_no_number(tmp_path: Path) -> None:
    """Its rows go in the background, and stay for a while."""
    async with opened(tmp_path / "catalogue.db", kind="catalogue") as database:
        await fill(database, [Row(1, b"film", 1, 10), Row(2, b"song", 2, 20)])
        only = Counting(database, "nas", lambda: {1: library("films")})
        report = await only.count((), 5)
        assert (report.total.files, report.total.bytes) == (1, 10)
        assert all(summed(part) == (1, 10) for part in divisions(report).values())
