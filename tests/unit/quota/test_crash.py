"""Killed at any moment: every file is in one place, and the journal knows which."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
from pathlib import Path

import pytest

from engine.contract import approvals
from engine.contract.approvals import ApprovalState, ApprovalSummary
from engine.contract.ports import TRASH_FOLDER
from tests.unit.quota.house import House, opened, put, tree

FILES = 200
ENDED = {ApprovalState.DONE, ApprovalState.INTERRUPTED}


@pytest.fixture
async def films(tmp_path: Path) -> Path:
    """200 files over 20 folders, some with two names; 30 of them may stay."""
    root = tmp_path / "films"
    for n in range(FILES):
        put(root, f"{n % 20:02}/{n}.mkv", 100 + n, n + 1)
    for n in range(0, FILES, 25):
        os.link(root / f"{n % 20:02}/{n}.mkv", root / f"other name of {n}")
    async with opened(tmp_path / "home", films=root) as house:
        await house.limit("films", 30 * 290)
    return root


def _start(films: Path, act: str, point: str = "-") -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.quota.doomed",
         str(films.parent / "home"), str(films), act, point],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 30)[0]
    assert process.stdout.readline() == b"go\n"
    return process


async def _newest(house: House) -> ApprovalSummary:
    found = await house.call(approvals.LIST, approvals.ListApprovals())
    return max(found.approvals, key=lambda line: line.id)


async def _journal_is_the_disk(house: House, films: Path) -> None:
    rows = await house.engine.ground.state.read(
        "SELECT prune_plan.number, folder, path, n, place FROM prune_item"
        " JOIN prune_plan ON plan = number WHERE number = (SELECT max(number) FROM prune_plan)"
    )
    for row in rows:
        assert row["place"] in {"library", "trash", "restored", "gone"}
        in_library = os.path.lexists(films / os.fsdecode(row["path"]))
        folder = films / os.fsdecode(TRASH_FOLDER) / (row["folder"] or "none")
        in_trash = (folder / str(row["n"])).exists()
        assert (in_library, in_trash) == (
            row["place"] in {"library", "restored"},
            row["place"] == "trash",
        ), row["path"]


async def _undo_all(house: House) -> None:
    for plan in (await house.trash()).plans:
        assert (await house.undo(plan.plan_id)).conflicts == ()


@pytest.mark.slow
async def test_killed_at_random_moments(films: Path) -> None:
    before = tree(films)
    luck = random.Random(7)
    states = set()
    for _round in range(12):
        for act in ("prune", "undo"):
            process = _start(films, act)
            with process:
                try:
                    process.wait(luck.uniform(0, 0.25))
                except subprocess.TimeoutExpired:
                    process.kill()
            async with opened(films.parent / "home", films=films) as house:
                await _journal_is_the_disk(house, films)
                line = await _newest(house)
                states.add(line.state)
                if act == "undo":
                    await _undo_all(house)
                    assert tree(films) == before
                elif not (await house.trash()).files:
                    await house.approve(await house.prune("films"))
    assert ApprovalState.INTERRUPTED in states


@pytest.mark.parametrize(
    "point",
    [
        "disk.make_bin:1:after",
        "book.begin:1:after",
        "book.place:3:after",
        "moves.rename_new:1:after",
        "moves.rename_new:20:before",
        "book.place:6:before",
        "os.link:13:after",
        "book.close:1:before",
        "book.close:1:after",
    ],
)
async def test_killed_at_this_step_of_a_prune(films: Path, point: str) -> None:
    before = tree(films)
    with _start(films, "prune", point) as process:
        assert process.wait(30) == 9
    async with opened(films.parent / "home", films=films) as house:
        await _journal_is_the_disk(house, films)
        line = await _newest(house)
        outcome = (await house.shown(line.id)).outcome
        assert line.state in ENDED
        assert outcome is not None
        assert outcome.done == (await house.trash()).files
        assert (outcome.undo is None) == (outcome.done == 0)
        assert (await house.kinds()).count("quota.pruned") == (outcome.done > 0)
        await _undo_all(house)
    assert tree(films) == before
    assert not (films / os.fsdecode(TRASH_FOLDER) / "p1").exists() or outcome.done == 0


@pytest.mark.parametrize("point", ["moves.rename_new:20:after", "os.link:13:after"])
async def test_killed_at_this_step_of_an_undo(films: Path, point: str) -> None:
    before = tree(films)
    async with opened(films.parent / "home", films=films) as house:
        await house.approve(await house.prune("films"))
    with _start(films, "undo", point) as process:
        assert process.wait(30) == 9
    async with opened(films.parent / "home", films=films) as house:
        await _journal_is_the_disk(house, films)
        await _undo_all(house)
        assert (await house.trash()).files == 0
    assert tree(films) == before


@pytest.mark.parametrize("point", ["book.place:3:before", "book.place:2:after"])
async def test_killed_at_this_step_of_a_purge(films: Path, point: str) -> None:
    async with opened(films.parent / "home", films=films) as house:
        await house.approve(await house.prune("films"))
        trashed = (await house.trash()).files
    left = tree(films)
    with _start(films, "purge", point) as process:
        assert process.wait(30) == 9
    async with opened(films.parent / "home", films=films) as house:
        await _journal_is_the_disk(house, films)
        line = await _newest(house)
        outcome = (await house.shown(line.id)).outcome
        assert line.state is ApprovalState.INTERRUPTED
        assert outcome is not None
        waiting = (await house.trash()).files
        assert 0 < outcome.done == trashed - waiting
        assert (await house.undo("p1")).restored == waiting
        assert len(tree(films)) == len(left) + waiting


async def test_a_crash_whose_disk_is_away_is_settled_when_it_is_back(films: Path) -> None:
    with _start(films, "prune", "moves.rename_new:20:after") as process:
        assert process.wait(30) == 9
    before = tree(films)
    away = films.rename(films.parent / "away")
    films.mkdir()
    async with opened(films.parent / "home", films=films) as house:
        status = await house.engine.status()
        texts = [line.text for line in status.concerns if line.severity == "unknown"]
        assert any("cannot be opened" in text for text in texts)
        with pytest.raises(Exception, match="cannot be opened"):
            await house.undo("p1")
    films.rmdir()
    away.rename(films)
    async with opened(films.parent / "home", films=films) as house:
        await _journal_is_the_disk(house, films)
        restored = (await house.undo("p1")).restored
        assert restored == 20
        assert len(tree(films)) == len(before) + restored
