"""Pages of files: sorted, narrowed, jumped into, and true whatever the order of asking."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract import media
from engine.contract.assets import ListAssets, ListedAsset
from engine.contract.base import PathRef
from engine.contract.errors import Invalid, NotFound
from engine.media.listing import columns, orders, packing, pages, walking, ways
from tests.unit.media.house import House
from tests.unit.media.listing.shelf import (
    SECOND,
    YEAR,
    Film,
    begin_block,
    names,
    page,
    put,
    shelved,
    through,
)

SORTS = ("path", "size", "modified", "added", "taken")


def many(count: int = 60) -> list[Film]:
    chance = random.Random(5)
    kinds = ("image", "video", "archive")
    return [
        Film(
            f"{chance.randrange(4)}/{chance.randrange(3)}/film {number}".encode(),
            size=chance.randrange(9),
            mtime_ns=chance.randrange(40, 55) * YEAR + chance.randrange(5) * SECOND,
            first_seen_at=chance.randrange(5) * SECOND,
            kind=kinds[number % 3] if number % 7 else "",
            taken_at=chance.randrange(30, 50) * YEAR if number % 3 == 0 and number % 7 else None,
            camera=f"Camera {number % 4}" if number % 3 == 0 and number % 7 else "",
            blake3=None if number % 11 == 0 else b"\2" * 32,
            damage=("rotten", "unreadable")[number % 2] if number % 13 == 0 else "",
            sources=[("url", f"https://h{number % 3}.example.org/x")] if number % 5 == 0 else [],
        )
        for number in range(count)
    ]


def key_of(sort: str, asset: ListedAsset) -> Any:
    taken = asset.taken_at.timestamp() if asset.taken_at else None
    added, modified = asset.first_seen_at.timestamp(), asset.modified_at.timestamp()
    return {
        "path": (asset.path.data, asset.id),
        "size": (-asset.size, -asset.id),
        "modified": (-modified, -asset.id),
        "added": (-added, -asset.id),
        "taken": (taken is None, -taken if taken is not None else -modified, -asset.id),
    }[sort]


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("limit", [1, 7, 500])
async def test_every_order_holds_every_file_once(
    house: House, films: Path, sort: str, limit: int
) -> None:
    await shelved(house, films, many())
    found = await through(house, sort=sort, limit=limit)
    assert len({asset.id for asset in found}) == 60
    assert found == sorted(found, key=lambda asset: key_of(sort, asset))
    jumped: list[ListedAsset] = []
    for at in range(0, 60, limit):
        jumped += (await page(house, sort=sort, limit=limit, at=at)).assets
    assert jumped == found


@pytest.mark.parametrize("sort", ["path", "size", "modified", "added"])
async def test_the_other_way_round(house: House, films: Path, sort: str) -> None:
    await shelved(house, films, many())
    found = await through(house, sort=sort, reverse=True, limit=7)
    assert found == [*reversed(await through(house, sort=sort))]


async def test_what_was_taken_at_no_known_time_stays_last(house: House, films: Path) -> None:
    await shelved(house, films, many())
    for reverse in (False, True):
        found = await through(house, sort="taken", reverse=reverse, limit=7)
        dated = [asset.taken_at is not None for asset in found]
        assert dated == sorted(dated, reverse=True)
        assert len(found) == 60


async def test_all_libraries_are_one_list(house: House, films: Path, tmp_path: Path) -> None:
    await shelved(house, films, [Film(b"b", size=1), Film(b"d", size=4)])
    await shelved(house, tmp_path / "other", [Film(b"a", size=3), Film(b"c", size=2)], "other")
    for sort, order in (("path", "abcd"), ("size", "dacb")):
        found = await through(house, library=None, sort=sort, limit=1)
        assert "".join(asset.path.display for asset in found) == order
        assert {asset.library for asset in found} == {"films", "other"}
        jumped = await page(house, library=None, sort=sort, at=1)
        assert "".join(asset.path.display for asset in jumped.assets) == order[1:]


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "filter": st.sampled_from(["film", "1", "2/1", "/", "/2/FILM 1", "nothing", "FILM 3"]),
        "type": st.sampled_from([("image/x",), ("video/x", "no/such"), ("no/such",)]),
        "kind": st.sampled_from([("image",), ("video", "archive"), ("unknown",)]),
        "year": st.sampled_from([(2010,), (2012, 2015), (1999,)]),
        "camera": st.sampled_from([("Camera 0",), ("Camera 0", "Camera 3")]),
        "state": st.sampled_from(
            [("sound",), ("pending",), ("damaged",), ("damaged", "unreadable")]
        ),
        "source": st.sampled_from([("url",), ("torrent",)]),
        "host": st.sampled_from([("h0.example.org",), ("h1.example.org", "h2.example.org")]),
        "larger": st.integers(0, 9),
        "under": st.sampled_from([PathRef.of("1"), PathRef.of("2/1"), PathRef.of("none")]),
    },
)  # fmt: skip


def fits(film: Film, asked: dict[str, Any]) -> bool:
    date = (film.taken_at if film.taken_at is not None else film.mtime_ns) // SECOND
    year = datetime.fromtimestamp(date, UTC).year
    state = {"rotten": "damaged", "unreadable": "unreadable"}.get(film.damage)
    state = state or ("sound" if film.blake3 else "pending")
    hosts = {origin.split("/")[2] for _kind, origin in film.sources}
    under = asked.get("under")
    return (
        asked.get("filter", "").lower() in film.path.decode()
        and (film.kind or "unknown") in asked.get("kind", (film.kind or "unknown",))
        and ("type" not in asked or f"{film.kind}/x" in asked["type"])
        and year in asked.get("year", (year,))
        and film.camera in asked.get("camera", (film.camera,))
        and state in asked.get("state", (state,))
        and ("source" not in asked or bool({k for k, _ in film.sources} & set(asked["source"])))
        and ("host" not in asked or bool(hosts & set(asked["host"])))
        and film.size >= asked.get("larger", 0)
        and (under is None or film.path.startswith(under.data + b"/"))
    )


NEVER, EVER = -1.0, 1e9
Way = tuple[int, int, float, int]
"""Rows looked at first, few files, patience in seconds, blocks that are packed where they are not
made."""
WAYS: dict[str, Way] = {
    "frequent": (6000, 5, EVER, -1),
    "walked": (5, 0, EVER, -1),
    "given up": (5, 0, NEVER, -1),
    "few": (0, 1000, NEVER, -1),
    "some": (0, 5, NEVER, -1),
    "columns": (0, 0, NEVER, 2),
}


@pytest.mark.parametrize("several", [False, True], ids=["one library", "all libraries"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_narrowed_lists_hold_what_fits_and_nothing_else(
    house: House, tmp_path: Path, several: bool, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All ways to the rows: by a few of the order's index, by many, by what says which, by all; and
    by columns, of which the last are packed as they are asked for."""
    peek, few, patience, missing = way
    for module, name, value in (
        *((pages, "_PEEK", peek), (walking, "_STEP", 7), (walking, "_LEAST", 3)),
        *((pages, "_PATIENCE_S", patience), (pages, "_HURRY_S", patience)),
        *((ways, "FEW", few), (ways, "MANY", 3 * few), (ways, "FEW_BY_PATH", few)),
        *((columns, "_MOST_MISSING", missing), (packing, "WORTH", 0), (packing, "_DENSE", 1)),
    ):
        monkeypatch.setattr(module, name, value)
    if way == WAYS["columns"]:
        monkeypatch.delattr(walking, "walk")
    known = many()
    await shelved(house, tmp_path / "films", known[:20])
    for start in (20, 40):  # In several blocks of ids.
        await begin_block(house)
        await put(house, known[start : start + 20])
    if several:
        other = [replace(film, path=b"4/" + film.path, size=3) for film in known[::2]]
        await shelved(house, tmp_path / "other", other, "other")
        known += other
    await house.room._lists._blocks.make()

    async def look(asked: dict[str, Any], sort: str, reverse: bool, limit: int) -> None:
        if several:
            asked = {"library": None, **{n: v for n, v in asked.items() if n != "under"}}
        order: dict[str, Any] = {"sort": sort, "reverse": reverse}
        wanted = sorted(film.path for film in known if fits(film, asked))
        found = await through(house, limit=limit, **order, **asked)
        assert sorted(asset.path.data for asset in found) == wanted
        ordered = sorted(found, key=lambda asset: key_of(sort, asset), reverse=reverse)
        if sort == "taken" and reverse:
            ordered.sort(key=lambda asset: asset.taken_at is None)
        assert found == ordered
        first = await page(house, limit=limit, **order, **asked)
        assert first.total == len(wanted)
        assert first.bytes == sum(film.size for film in known if fits(film, asked))
        jumped = await page(house, limit=3, at=2, **order, **asked)
        assert list(jumped.assets) == found[2:5]

    tried: list[tuple[dict[str, Any], str, bool, int]] = []

    @settings(max_examples=60, suppress_health_check=list(HealthCheck), database=None)
    @given(FIELDS, st.sampled_from(SORTS), st.booleans(), st.sampled_from([1, 4, 500]))
    def choose(asked: dict[str, Any], sort: str, reverse: bool, limit: int) -> None:
        tried.append((asked, sort, reverse, limit))

    choose()
    for case in random.Random(peek).sample(tried, min(len(tried), 40)):
        await look(*case)


async def test_a_quick_page_does_not_wait_for_the_numbers(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_PEEK", 40)
    await shelved(house, films, many())
    quick = await page(house, filter="film", limit=5, quick=True)
    assert (len(quick.assets), quick.counted) == (5, False)
    whole = await page(house, filter="film", limit=5)
    assert (whole.assets, whole.counted, whole.total) == (quick.assets, True, 60)


async def test_an_order_stays_as_it_was_for_whoever_scrolls(house: House, films: Path) -> None:
    await shelved(house, films, [Film(f"{n:03}".encode()) for n in range(50)])
    first = await page(house, at=10, limit=10)
    await put(house, [Film(b"000 new", ino=7)])
    held = await page(house, at=20, limit=10, handle=first.handle)
    assert [asset.path.display for asset in held.assets] == [f"{n:03}" for n in range(20, 30)]
    fresh = await page(house, at=20, limit=10)
    assert fresh.assets[0].path.display == "019"
    assert fresh.handle != first.handle
    forgotten = await page(house, at=20, limit=10, handle="no such order")
    assert forgotten.assets == fresh.assets


@pytest.mark.parametrize("sort", SORTS)
async def test_who_is_in_a_hurry_jumps_without_an_order(
    house: House, films: Path, tmp_path: Path, sort: str
) -> None:
    await shelved(house, films, many())
    await shelved(house, tmp_path / "other", many(30), "other")
    orders_made = house.room._lists._pages.orders._kept
    for library in ("films", None):
        for reverse in (False, True):
            asked: dict[str, Any] = {"library": library, "sort": sort, "reverse": reverse}
            found = await through(house, limit=500, **asked)
            for at in (1, 20, len(found) // 2, len(found) - 7, len(found) - 1):
                jumped = await page(house, at=at, limit=7, quick=True, **asked)
                assert list(jumped.assets) == found[at : at + 7]
                assert jumped.total == len(found)
                rest = await page(house, after=jumped.next, **asked) if jumped.next else None
                assert (list(rest.assets) if rest else []) == found[at + 7 :]
            past = await page(house, at=len(found) + 3, quick=True, **asked)
            assert (past.assets, past.next) == ((), None)
    # By the time of taking, only a page of what was taken at a known time and of what was not.
    assert sort == "taken" or not orders_made


async def test_orders_in_memory_are_bounded(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "_KEPT_IDS", 100)
    await shelved(house, films, [Film(f"{n}".encode()) for n in range(40)])
    for sort in SORTS:
        await page(house, sort=sort, at=5)
    kept = house.room._lists._pages.orders._kept
    assert sum(len(order.ids) for order in kept.values()) <= 100


async def test_bytes_other_than_those_that_were_looked_into_say_nothing(
    house: House, films: Path
) -> None:
    await shelved(house, films, [Film(b"a", kind="image", taken_at=20 * YEAR)])
    assert (await page(house)).assets[0].kind == "image"

    async def edit(tx: Any) -> None:
        await tx.execute("UPDATE file SET size = 99")

    await house.ground.catalogue.write(edit)
    [asset] = (await page(house)).assets
    assert (asset.kind, asset.taken_at) == (None, None)
    assert (await page(house, kind=("image",))).total == 0


@pytest.mark.parametrize("folder", [b"/etc", b"../x", b"a/../b", b"a\0b", b"./a"], ids=repr)
async def test_a_folder_lies_below_the_root(house: House, films: Path, folder: bytes) -> None:
    await shelved(house, films, [Film(b"a")])
    with pytest.raises(Invalid):
        await page(house, under=PathRef.of(folder))


async def test_names_are_bytes(house: House, films: Path) -> None:
    odd = [b"caf\xe9", b"\x1b[31m", b"two\nlines", "a\u202eb".encode(), b"[bold]", b"'; --"]
    await shelved(house, films, [Film(b"x/" + name) for name in odd])
    found = await through(house, limit=2)
    assert sorted(asset.path.data for asset in found) == sorted(b"x/" + name for name in odd)
    assert await names(house, filter="[bold]") == ["x/[bold]"]
    assert len(await names(house, under=PathRef.of(b"x"), direct=True)) == 6


async def test_no_library_and_no_such_library(house: House) -> None:
    found = await house.door.call(media.LIST, ListAssets(library=None))
    assert (found.total, found.assets) == (0, ())
    with pytest.raises(NotFound, match="no library films"):
        await page(house)
