"""One file, closely: what is said of its copies, its hashes and its past."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from arcanum_tui.state.asset import details
from arcanum_tui.state.grid import Piece
from arcanum_tui.state.media import asset_row, library_row
from arcanum_tui.state.model import State
from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.engine import ConcernLine
from engine.contract.integrity import Happening, RemoteCopy
from engine.contract.traits import AssetDetail, Elsewhere, OutOfReach, ShowAsset
from tests.fakes.fake_world import NOW, World
from tests.fakes.sample import GB, lived_in
from tests.tui.desk import desk


async def detail(**changes: Any) -> AssetDetail:
    found = await lived_in().shelves.show(ShowAsset(id=1))
    return found.model_copy(update=changes)


def lines(found: AssetDetail, width: int = 140) -> list[str]:
    """The cells of each row that are not empty."""
    rows = details(found, width)
    return [" | ".join(piece.text for piece in row.cells if piece.text) for row in rows]


def copy(path: str) -> Elsewhere:
    return Elsewhere(id=9, library="attic", path=PathRef.of(path), checked_at=NOW)


async def test_copies_of_a_sound_file_have_the_same_bytes_and_a_damaged_one_is_said() -> None:
    told = lines(await detail(copies=(copy("old.mkv"),), damaged_copies=(copy("bad.mkv"),)))
    assert "same bytes | attic: old.mkv" in told
    assert "damaged | attic: bad.mkv" in told
    assert "HASHES" in told


async def test_of_a_damaged_file_the_good_copies_are_called_so_and_the_rotten_hash_is_marked() -> (
    None
):
    remote = RemoteCopy(remote="nas:", path=PathRef.of("b/x"), by="md5", at=NOW)
    found = await detail(
        damage="rotten", reason="its BLAKE3 is now bad", held="ab" * 32, found="cd" * 32,
        copies=(copy("old.mkv"),), damaged_copies=(copy("bad.mkv"),), remotes=(remote,),
    )  # fmt: skip
    told = lines(found)
    at = f"{NOW.astimezone():%Y-%m-%d %H:%M}"
    assert f"good copy | attic: old.mkv (read whole {at})" in told
    assert f"good copy | nas:b/x (by md5, listed {at})" in told
    assert "damaged too | attic: bad.mkv" in told
    assert not [line for line in told if "same" in line]
    hashes = told[told.index("HASHES that it should have") :]
    assert hashes[1] == f"BLAKE3 | {'ab' * 32}"
    assert hashes[-1] == f"✗ BLAKE3 | {'cd' * 32} was read instead"
    [marked] = [row for row in details(found, 140) if row.cells[0].text == "✗ BLAKE3"]
    assert {piece.tone for piece in marked.cells} == {"bad"}


async def test_no_good_copy_is_said_to_be_none() -> None:
    told = lines(await detail(damage="rotten", held="ab" * 32, found="cd" * 32, copies=()))
    assert "no other file with the bytes that it should have is known" in told


def test_a_library_with_damaged_or_unread_files_is_not_simply_well() -> None:
    world = World()
    world.set_library("films", 9, 9)
    films = world.libraries["films"]
    row = library_row(films, None, State(), NOW)
    assert (row.cells[1].text, row.cells[1].tone) == ("✓ ok", "ok")
    row = library_row(films.model_copy(update={"damaged": 2}), None, State(), NOW)
    assert (row.cells[1].text, row.cells[1].tone) == ("✗ damaged", "bad")
    assert "✗ 2 damaged" in row.cells[-1].text
    row = library_row(films.model_copy(update={"unreadable": 2}), None, State(), NOW)
    assert (row.cells[1].text, row.cells[1].tone) == ("! in part", "warn")


async def test_enter_on_damage_in_the_overview_lists_what_is_damaged() -> None:
    world = lived_in()
    concern = ConcernLine(
        severity="broken", subject="series", text="1 file is damaged", machine="nas",
        since=NOW - timedelta(hours=1), link="media/series/damaged",
    )  # fmt: skip
    world.concerns = [concern]
    async with desk(world) as it:
        await it.sees("1 file is damaged")
        it.app.screen.query_one("#broken").focus()
        await it.press("enter")
        await it.sees("FILES  series", "damaged", "film-000007.mkv", "✗ damaged")
        request = it.engine.requests(media.LIST)[-1]
        assert (request.library, request.state) == ("series", ("damaged", "unreadable"))
        assert it.app.screen.focused is it.app.screen.query_one("#files")
        await it.answer("escape")
        await it.sees("film-000001.mkv")


async def test_what_cannot_be_reached_is_never_shown_as_sound() -> None:
    seen = NOW - timedelta(days=3)
    at, last = f"{NOW.astimezone():%Y-%m-%d %H:%M}", f"{seen.astimezone():%Y-%m-%d %H:%M}"
    asset = lived_in().shelves.asset("films", 1)
    row = asset_row(asset, everywhere=False, sort="path", below="")
    assert row.cells[3] == Piece("✓", "ok")
    away = asset.model_copy(update={"unreachable": "Permission denied", "seen_at": seen})
    row = asset_row(away, everywhere=False, sort="path", below="")
    assert row.cells[3] == Piece("? unreachable", "unknown")
    assert row.cells[5].text.endswith(f" (last seen {last})")
    rotten = away.model_copy(update={"damage": "rotten"})
    assert asset_row(rotten, everywhere=False, sort="path", below="").cells[3].tone == "bad"

    place = OutOfReach(place=PathRef.of("/srv/films"), why="gone", since=NOW, seen_at=seen)
    found = await detail(unreachable=place)
    told = lines(found)
    assert f"state | ? unreachable since {at}: /srv/films (gone)" in told
    assert f"last seen | {last}" in told
    assert not [row for row in details(found, 140) if {"ok"} & {cell.tone for cell in row.cells}]
    told = lines(await detail(copies=(copy("a").model_copy(update={"unreachable": True}),)))
    assert "same bytes | attic: a, unreachable now" in told


def test_a_library_that_is_away_says_since_when_and_one_in_part_is_not_well() -> None:
    world = World()
    world.set_library("films", 9, 9, state="missing", since=NOW)
    row = library_row(world.libraries["films"], None, State(), NOW)
    assert row.cells[1].tone == "bad"
    assert f"since {NOW.astimezone():%Y-%m-%d %H:%M}" in row.cells[-1].text
    world.set_library("films", 9, 9, state="ok", since=None, unseen=1)
    row = library_row(world.libraries["films"], None, State(), NOW)
    assert (row.cells[1].text, row.cells[1].tone) == ("! in part", "warn")


async def test_the_list_is_read_again_when_what_can_be_reached_is_other() -> None:
    async with desk() as it:
        await it.press("3")
        await it.sees("FILES  films")
        read = len(it.engine.requests(media.LIST))
        it.world.set_library("films", 1_412, 1_090 * GB, unseen=1)
        await it.until(lambda: len(it.engine.requests(media.LIST)) > read)


async def test_what_happened_says_when_what_changed_and_by_whose_yes() -> None:
    found = await detail()
    path = found.asset.path

    def happened(what: str, hours: int, **values: Any) -> Happening:
        fields: dict[str, Any] = {
            "id": 1, "at": NOW - timedelta(hours=hours), "what": what, "library": found.library,
            "path": path, "file": 1, "size": 10, "blake3": "aa" * 32, "note": "",
        }  # fmt: skip
        return Happening(**fields | values)

    asset = found.asset.model_copy(update={"size": 2_000_000, "blake3": "ee" * 32})
    told = lines(
        found.model_copy(
            update={
                "asset": asset,
                "history": (
                    happened("changed", 1, blake3="dd" * 32, size=1_000_000),
                    happened("changed", 2, blake3="cc" * 32, size=1_000_001),
                    happened("returned", 3, blake3="cc" * 32, approval=44),
                    happened("gone", 4, blake3="cc" * 32, approval=43),
                    happened("moved", 5, path=PathRef.of("old.mkv"), library="attic"),
                    happened("rotten", 6, note="bb" * 32),
                    happened("unreadable", 7, note="Input/output error"),
                    happened("changed", 8, note="unread"),
                ),
            }
        ),
        200,
    )
    at = [f"{NOW.astimezone() - timedelta(hours=h):%Y-%m-%d %H:%M}" for h in range(9)]
    shown = path.display
    start = told.index("HISTORY")
    assert told[start + 1 : start + 9] == [
        f"changed | {at[1]} · {shown} · 1.0 MB → 2.0 MB · dddddddd → eeeeeeee",
        f"changed | {at[2]} · {shown} · 1,000,001 → 1,000,000 bytes · cccccccc → dddddddd",
        f"returned | {at[3]} · {shown} · 10 B · cccccccc · #44 was undone",
        f"gone | {at[4]} · {shown} · 10 B · cccccccc · by #43",
        f"moved | {at[5]} · attic: old.mkv → {shown}",
        f"rotten | {at[6]} · {shown} · bbbbbbbb was read instead of aaaaaaaa",
        f"unreadable | {at[7]} · {shown} · Input/output error",
        f"changed | {at[8]} · {shown} · 10 B · aaaaaaaa → not read yet",
    ]
