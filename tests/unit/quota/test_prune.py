"""From a plan to the trash: nothing before the yes, and only what is exactly as planned."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.approvals.execution import Execution
from engine.contract import approvals
from engine.contract.approvals import ApprovalState, Mark
from engine.contract.errors import Busy, Refused, Unavailable, WorldMoved
from engine.contract.ports import TRASH_FOLDER, StoredPlan
from engine.quota import moves, trash
from tests.unit.quota.house import House, put, tree


async def test_nothing_moves_before_the_yes_and_then_exactly_the_plan(
    house: House, films: Path
) -> None:
    before = tree(films)
    number = await house.prune("films")
    card = (await house.shown(number)).card
    assert tree(films) == before
    assert (card.verb, card.subject, card.keepable, card.confirm_count) == (
        "prune",
        "films",
        True,
        None,
    )
    assert [item.text for item in card.items] == ["a.mkv", "b/b.mkv", "c.mkv"]
    rows = {row.label: row for row in card.rows}
    assert list(rows) == ["DO", "FREES", "WHY", "SAFE", "RISK", "UNDO"]
    assert rows["DO"].text == "move 3 files, 300 B, to trash"
    assert rows["FREES"].text.startswith("0 now · 300 B on purge")
    assert rows["RISK"].mark is Mark.WARN

    done = await house.approve(number)

    assert done.state is ApprovalState.DONE
    assert done.outcome is not None
    assert done.outcome.undo is not None
    assert sorted(tree(films)) == [b"d.mkv", b"e.mkv"]
    gauge = await house.gauge("films")
    assert (gauge.used, gauge.in_trash, gauge.state) == (200, 300, "ok")
    trash = await house.trash()
    assert (trash.files, trash.bytes, trash.frees_on_purge) == (3, 300, 300)
    assert {item.path.data for item in trash.plans[0].items} == {b"a.mkv", b"b/b.mkv", b"c.mkv"}
    assert "quota.pruned" in await house.kinds()

    undone = await house.undo(trash.plans[0].plan_id)
    assert (undone.restored, undone.bytes, undone.conflicts) == (3, 300, ())
    assert tree(films) == before
    assert (await house.shown(number)).undone
    assert not (films / os.fsdecode(TRASH_FOLDER)).exists()


async def test_plan_and_approval_have_the_same_digest(house: House) -> None:
    plan = await house.plan("films")
    number = await house.prune("films")
    assert (await house.shown(number)).digest == plan.digest
    assert await house.prune("films") == number
    assert await house.prune("films", plan_id=plan.id) == number


async def test_what_waits_in_the_trash_is_not_planned_again(house: House, films: Path) -> None:
    await house.approve(await house.prune("films"))
    with pytest.raises(Refused, match=r"films is within its limit.*300 B wait in the trash"):
        await house.plan("films")
    put(films, "new.mkv", 100, 9)
    house.catalogue.scan("films")
    plan = await house.plan("films")
    assert (plan.used, plan.target, len(plan.items)) == (300, 50, 1)


async def test_a_catalogue_that_missed_the_prune_makes_no_second_plan(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_library: str, _paths: object) -> None:
        raise Unavailable("The media room has failed.")

    with monkeypatch.context() as patch:
        patch.setattr(house.catalogue, "refresh", fail)
        await house.approve(await house.prune("films"))
        assert (await house.gauge("films")).used == 500
    with pytest.raises(Refused, match="films is within its limit"):
        await house.plan("films")
    assert (await house.gauge("films")).used == 200


async def test_while_a_prune_runs_no_plan_is_made(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems: list[str] = []
    progress = Execution.progress

    async def plan_meanwhile(run: Execution, done: int, total: int, note: str = "") -> None:
        await progress(run, done, total, note)
        with pytest.raises(Busy) as caught:
            await house.plan("films")
        problems.append(caught.value.message)

    monkeypatch.setattr(Execution, "progress", plan_meanwhile)
    await house.approve(await house.prune("films"))
    assert problems == ["films is being pruned (p1)."]


@pytest.mark.parametrize("change", ["append", "rewrite", "touch", "delete", "link", "folder"])
async def test_moved_early_is_refused_and_nothing_is_touched(
    house: House, films: Path, tmp_path: Path, change: str
) -> None:
    number = await house.prune("films")
    victim = films / "b" / "b.mkv"
    match change:
        case "append":
            with victim.open("ab") as file:
                file.write(b"more")
        case "rewrite":  # Other content, same size, modification time set back.
            status = victim.stat()
            victim.write_bytes(b"x" * 100)
            os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))
        case "touch":
            os.utime(victim)
        case "delete":
            victim.unlink()
        case "link":
            os.link(victim, tmp_path / "another name")
        case "folder":  # The same file, behind a link where the folder was.
            victim.parent.rename(tmp_path / "elsewhere")
            victim.parent.symlink_to(tmp_path / "elsewhere")
    before = tree(films)
    with pytest.raises(WorldMoved, match=r"b/b\.mkv"):
        await house.approve(number)
    assert tree(films) == before
    assert (await house.shown(number)).state is ApprovalState.FAILED
    assert (await house.trash()).files == 0


async def test_a_replaced_root_is_refused(house: House, films: Path, tmp_path: Path) -> None:
    number = await house.prune("films")
    films.rename(tmp_path / "unmounted")
    films.mkdir()
    with pytest.raises(WorldMoved, match="another folder"):
        await house.approve(number)


async def test_a_changed_limit_is_refused(house: House) -> None:
    number = await house.prune("films")
    await house.limit("films", 240)
    with pytest.raises(WorldMoved, match="the limit was 250 B and is 240 B"):
        await house.approve(number)


async def test_less_excess_than_planned_is_refused(house: House, films: Path) -> None:
    number = await house.prune("films")
    (films / "e.mkv").unlink()
    house.catalogue.scan("films")
    with pytest.raises(WorldMoved, match="less needs to move"):
        await house.approve(number)
    assert len(tree(films)) == 4


async def test_a_replaced_plan_cannot_be_executed(house: House, films: Path) -> None:
    first = await house.prune("films")
    put(films, "0.mkv", 200, 0)
    house.catalogue.scan("films")
    second = await house.prune("films")
    assert second != first
    with pytest.raises(WorldMoved, match="replaced by a newer plan"):
        await house.approve(first)
    assert (await house.approve(second)).state is ApprovalState.DONE


async def test_an_asked_plan_is_not_pulled_away_by_another_look(house: House, films: Path) -> None:
    number = await house.prune("films")
    put(films, "tiny.mkv", 10, 0)
    house.catalogue.scan("films")
    plan = await house.plan("films")
    assert plan.digest == (await house.shown(number)).digest
    assert (await house.approve(number)).state is ApprovalState.DONE


async def test_keep_some_is_a_new_plan(house: House, films: Path) -> None:
    number = await house.prune("films")
    card = (await house.shown(number)).card
    kept = await house.call(approvals.KEEP, approvals.Keep(id=number, keep=(card.items[0].key,)))
    shorter = await house.shown(kept.approval_id)
    assert [item.text for item in shorter.card.items] == ["b/b.mkv", "c.mkv"]
    assert (await house.plan("films")).digest == shorter.digest
    assert (await house.approve(kept.approval_id)).state is ApprovalState.DONE
    assert sorted(tree(films)) == [b"a.mkv", b"d.mkv", b"e.mkv"]


async def test_moved_later_is_skipped_and_named(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await house.prune("films")
    acts = await house.gate.acts("quota.prune")
    check = acts.check

    async def check_then_change(plan: StoredPlan) -> list[str]:
        problems = await check(plan)
        os.utime(films / "a.mkv")
        return problems

    monkeypatch.setattr(acts, "check", check_then_change)
    done = await house.approve(number)
    assert done.state is ApprovalState.PARTIAL
    assert done.outcome is not None
    assert (done.outcome.done, done.outcome.total) == (2, 3)
    assert done.outcome.problems == ("a.mkv was modified",)
    assert sorted(tree(films)) == [b"a.mkv", b"d.mkv", b"e.mkv"]


async def test_swapped_between_the_look_and_the_rename_is_put_back(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await house.prune("films")
    rename = moves.rename_new
    swapped: list[bytes] = []

    def swap_then_rename(source: int, name: bytes, target: int, new: bytes) -> None:
        if not swapped:
            swapped.append(name)
            put(films, "new", 7, 8)
            (films / "new").replace(films / os.fsdecode(name))
        rename(source, name, target, new)

    monkeypatch.setattr(moves, "rename_new", swap_then_rename)
    done = await house.approve(number)
    assert done.outcome is not None
    assert done.outcome.problems == ("a.mkv was replaced at the last moment",)
    assert len((films / "a.mkv").read_bytes()) == 7


async def test_a_file_that_another_program_holds_open_stays(house: House, films: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", "f = open('a.mkv'); print(1, flush=True); input()"],
        cwd=films,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        number = await house.prune("films")
        rows = {row.label: row.text for row in (await house.shown(number)).card.rows}
        assert rows["RISK"].startswith("1 file is open now")
        done = await house.approve(number)
        holder.communicate(b"\n")
    assert done.state is ApprovalState.PARTIAL
    assert done.outcome is not None
    assert done.outcome.problems == ("a.mkv is open in another program",)


async def test_without_an_exclusive_rename_it_links_and_unlinks(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "_exclusive", lambda: None)
    before = tree(films)
    assert (await house.approve(await house.prune("films"))).state is ApprovalState.DONE
    put(films, "a.mkv", 3, 3)
    undone = await house.undo("p1")
    assert [path.data for path in undone.conflicts] == [b"a.mkv"]
    (films / "a.mkv").unlink()
    assert (await house.undo("p1")).restored == 1
    assert tree(films) == before


async def test_a_trash_of_an_older_database_is_not_mixed_up(house: House, films: Path) -> None:
    old = put(films, ".arcanum-trash/p1/1", 5, 1)
    await house.approve(await house.prune("films"))
    assert old.read_bytes() == b"1|1|1"
    assert (await house.undo("p1")).restored == 3
    assert old.exists()


async def test_a_trash_that_is_a_link_is_refused(house: House, films: Path, tmp_path: Path) -> None:
    (tmp_path / "trap").mkdir()
    (films / ".arcanum-trash").symlink_to(tmp_path / "trap")
    before = sorted(films.iterdir())
    done = await house.approve(await house.prune("films"))
    assert done.state is ApprovalState.FAILED
    assert sorted(films.iterdir()) == before
    assert not any((tmp_path / "trap").iterdir())


async def test_names_of_every_kind_round_trip(house: House, films: Path) -> None:
    names = [
        b"\xff\xfe.mkv", b"new\nline", b"\x1b[31mred", b"-rf", "\u202egpj.exe".encode(),
        b"n" * 255, b"[bold]x[/]", b" ", b"deep/" * 40 + b"x", "e\u0301".encode(), b"\xc3\xa9",
    ]  # fmt: skip
    for name in names:
        put(films, name, 100, 0)
    house.catalogue.scan("films")
    before = tree(films)
    number = await house.prune("films")
    for item in (await house.shown(number)).card.items:
        assert item.text.isprintable()
    done = await house.approve(number)
    assert done.state is ApprovalState.DONE
    assert not set(names) & set(tree(films))
    await house.undo("p1")
    assert tree(films) == before


async def test_stopped_in_the_middle_is_interrupted_and_can_be_undone(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trash, "CHUNK", 1)
    before = tree(films)
    progress = Execution.progress

    async def stop_after_two(run: Execution, done: int, total: int, note: str = "") -> None:
        await progress(run, done, total, note)
        if done == 2:
            run.stop()

    monkeypatch.setattr(Execution, "progress", stop_after_two)
    done = await house.approve(await house.prune("films"))
    assert done.state is ApprovalState.INTERRUPTED
    assert done.outcome is not None
    assert (done.outcome.done, done.outcome.total) == (2, 3)
    assert sorted(tree(films)) == [b"c.mkv", b"d.mkv", b"e.mkv"]
    plan = await house.plan("films")
    assert (plan.target, [item.path.display for item in plan.items]) == (50, ["c.mkv"])
    await house.undo("p1")
    assert tree(films) == before
