"""Saying yes, no, or keep some: once, to exactly what was shown."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from engine.approvals import records
from engine.clients.local import LocalClient
from engine.contract import approvals
from engine.contract.approvals import ApprovalState
from engine.contract.errors import (
    AlreadyAnswered,
    Invalid,
    NotFound,
    Refused,
    StoreFailed,
    WorldMoved,
)
from engine.core.engine import Engine
from engine.home import Home
from tests.fakes import room as example
from tests.fakes.desk import approve, asked, deny, keep, log, queue
from tests.fakes.house import done, opened, show
from tests.fakes.room import acts
from tests.fakes.waiting import until

DONE = ["begin a.mkv", "done a.mkv", "begin b.mkv", "done b.mkv", "begin c.mkv", "done c.mkv"]


def left(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.is_file())


# --- yes ------------------------------------------------------------------------------------------


async def test_a_yes_runs_the_plan_once_and_keeps_the_record(
    client: LocalClient, folder: Path, home: Home, engine: Engine
) -> None:
    number = await asked(client, folder)
    before = await show(client, number)
    assert before.state is ApprovalState.PENDING
    assert [item.key for item in before.card.items] == ["a.mkv", "b.mkv", "c.mkv"]
    assert left(folder) == ["a.mkv", "b.mkv", "c.mkv"]

    after = await approve(client, number, digest=before.digest)
    assert after.state is ApprovalState.DONE
    assert after.answered_by == "operator:local"
    assert after.answered_at is not None
    assert after.outcome is not None
    assert (after.outcome.done, after.outcome.total) == (3, 3)
    assert acts(folder) == DONE
    assert left(folder) == []
    await engine.stop()
    async with opened(home) as again:
        assert await show(LocalClient(again), number) == after


async def test_a_second_yes_is_refused_and_runs_nothing(client: LocalClient, folder: Path) -> None:
    number = await asked(client, folder)
    await approve(client, number)
    for answer in (approve(client, number), deny(client, number), keep(client, number, "a.mkv")):
        with pytest.raises(AlreadyAnswered, match=f"#{number} is done by operator:local"):
            await answer
    assert acts(folder) == DONE


async def test_of_many_who_say_yes_at_once_one_runs_it(client: LocalClient, folder: Path) -> None:
    number = await asked(client, folder)
    answers = await asyncio.gather(
        *(approve(client, number) for _ in range(8)), return_exceptions=True
    )
    ran = [answer for answer in answers if not isinstance(answer, BaseException)]
    refused = [answer for answer in answers if isinstance(answer, AlreadyAnswered)]
    assert (len(ran), len(refused)) == (1, 7)
    assert acts(folder) == DONE
    assert (await show(client, number)).state is ApprovalState.DONE


async def test_yes_and_no_at_once_is_one_of_them(client: LocalClient, folder: Path) -> None:
    number = await asked(client, folder)
    answers = await asyncio.gather(
        approve(client, number), deny(client, number), return_exceptions=True
    )
    assert sum(isinstance(answer, AlreadyAnswered) for answer in answers) == 1
    state = (await show(client, number)).state
    assert acts(folder) == (DONE if state is ApprovalState.DONE else [])


async def test_a_yes_to_another_digest_is_refused(client: LocalClient, folder: Path) -> None:
    number = await asked(client, folder)
    with pytest.raises(WorldMoved, match="another digest than the one you saw"):
        await approve(client, number, digest="0" * 64)
    assert (await show(client, number)).state is ApprovalState.PENDING
    assert acts(folder) == []


async def test_what_cannot_be_undone_asks_for_the_count(client: LocalClient, folder: Path) -> None:
    number = await asked(client, folder, final=True)
    for count in (None, 2, 0):
        with pytest.raises(Invalid, match="asks for the number of things") as caught:
            await approve(client, number, count=count)
        assert "--count 3" in caught.value.hint
    assert acts(folder) == []
    after = await approve(client, number, count=3)
    assert after.state is ApprovalState.DONE
    assert not (await queue(client))[0].undoable


async def test_nobody_answers_what_is_not_there(client: LocalClient) -> None:
    for answer in (approve(client, 77), deny(client, 77), keep(client, 77, "x"), show(client, 77)):
        with pytest.raises(NotFound, match="no approval #77"):
            await answer


# --- the world moves ------------------------------------------------------------------------------


async def test_moved_before_the_first_act_touches_nothing_and_is_over(
    client: LocalClient, folder: Path
) -> None:
    number = await asked(client, folder)
    (folder / "b.mkv").write_bytes(b"grown since")
    with pytest.raises(WorldMoved, match=r"b\.mkv changed\. Nothing was touched"):
        await approve(client, number)
    record = await show(client, number)
    assert record.state is ApprovalState.FAILED
    assert record.reason == "b.mkv changed"
    assert record.outcome is not None
    assert record.outcome.problems == ("b.mkv changed",)
    assert left(folder) == ["a.mkv", "b.mkv", "c.mkv"]
    assert acts(folder) == []
    with pytest.raises(AlreadyAnswered):
        await approve(client, number)
    assert await asked(client, folder) != number  # A new plan can be made.


async def test_moved_later_is_skipped_and_named(client: LocalClient, folder: Path) -> None:
    number = await asked(client, folder)
    (folder.parent / "hold a.mkv").touch()
    approving = asyncio.create_task(approve(client, number))
    await until(lambda: acts(folder) == ["begin a.mkv"])
    (folder / "b.mkv").write_bytes(b"grown since")
    (folder.parent / "hold a.mkv").unlink()
    record = await approving
    assert record.state is ApprovalState.PARTIAL
    assert record.outcome is not None
    assert (record.outcome.done, record.outcome.problems) == (2, ("b.mkv changed",))
    assert left(folder) == ["b.mkv"]


async def test_a_plan_that_is_not_the_one_of_its_digest_is_not_run(
    client: LocalClient, folder: Path, engine: Engine
) -> None:
    """Somebody, or the disk, changed what would be done after it was shown."""
    number = await asked(client, folder)
    await engine.ground.state.write(
        lambda tx: tx.execute(
            "UPDATE payload SET preconditions = ? WHERE approval_id = ?",
            (json.dumps([{"name": "c.mkv", "size": 3}]), number),
        )
    )
    with pytest.raises(WorldMoved, match="not the one that its digest names"):
        await approve(client, number)
    assert (await show(client, number)).state is ApprovalState.FAILED
    assert acts(folder) == []


async def test_a_defect_in_the_middle_ends_as_failed_and_says_so(
    client: LocalClient, folder: Path
) -> None:
    (folder / "bomb").write_text("!")
    number = await asked(client, folder)
    record = await approve(client, number)
    assert record.state is ApprovalState.FAILED
    assert record.outcome is not None
    assert "nobody foresaw this" in record.outcome.summary
    assert await log(client, "example.erase") == [
        ("intent", ""),
        ("outcome", "ok"),  # The plan was made.
        ("intent", ""),
        ("outcome", "failed"),
    ]


# --- no, keep, undo -------------------------------------------------------------------------------


async def test_a_no_is_kept_with_its_reason(client: LocalClient, folder: Path) -> None:
    number = await asked(client, folder)
    record = await deny(client, number, "I still want to see them")
    assert (record.state, record.reason) == (ApprovalState.DENIED, "I still want to see them")
    assert acts(folder) == []
    with pytest.raises(AlreadyAnswered):
        await approve(client, number)
    with pytest.raises(ValueError, match="500"):
        approvals.Deny(id=number, reason="x" * 501)


async def test_keeping_some_is_a_new_plan_with_a_new_digest_and_closes_the_old(
    client: LocalClient, folder: Path
) -> None:
    number = await asked(client, folder)
    old = await show(client, number)
    replacement = await keep(client, number, "b.mkv")
    new = await show(client, replacement)
    assert new.digest != old.digest
    assert [item.key for item in new.card.items] == ["a.mkv", "c.mkv"]
    closed = await show(client, number)
    assert closed.state is ApprovalState.DENIED
    assert closed.reason == f"replaced by #{replacement}"
    with pytest.raises(AlreadyAnswered):
        await approve(client, number)
    fewer = await keep(client, replacement, "a.mkv")  # What was kept before stays kept.
    await approve(client, fewer)
    assert left(folder) == ["a.mkv", "b.mkv"]


async def test_keeping_what_is_not_in_the_plan_is_refused(
    client: LocalClient, folder: Path
) -> None:
    number = await asked(client, folder)
    with pytest.raises(Invalid, match="2 of the items to keep are not in approval"):
        await keep(client, number, "a.mkv", "nonsense", "../etc")
    assert (await show(client, number)).state is ApprovalState.PENDING


async def test_keeping_all_leaves_the_plan_as_it_was(client: LocalClient, folder: Path) -> None:
    number = await asked(client, folder)
    with pytest.raises(Refused, match="Nothing is left to erase"):
        await keep(client, number, "a.mkv", "b.mkv", "c.mkv")
    assert (await show(client, number)).state is ApprovalState.PENDING


async def test_what_is_one_thing_has_nothing_to_keep(client: LocalClient, folder: Path) -> None:
    number = await asked(client, folder, final=True)
    with pytest.raises(Refused, match="nothing can be left out"):
        await keep(client, number, "a.mkv")


async def test_a_replacement_is_withdrawn_where_the_old_plan_was_answered_meanwhile(
    client: LocalClient, folder: Path
) -> None:
    number = await asked(client, folder)
    keeping = asyncio.create_task(keep(client, number, "b.mkv"))
    approving = asyncio.create_task(approve(client, number))
    answers = await asyncio.gather(keeping, approving, return_exceptions=True)
    assert sum(isinstance(answer, AlreadyAnswered) for answer in answers) == 1
    waiting = [line for line in await queue(client, "open") if line.id != number]
    if isinstance(answers[0], AlreadyAnswered):
        assert waiting == []  # Or the same files would be asked for again.
    else:
        assert len(waiting) == 1


async def test_undo_marks_the_approval_as_undone(client: LocalClient, folder: Path) -> None:
    number = await asked(client, folder)
    other = await asked(client, folder, ttl_ms=7_200_000)
    record = await approve(client, number)
    assert record.outcome is not None
    assert record.outcome.undo is not None
    assert (await queue(client, "closed"))[0].undoable
    undo = record.outcome.undo
    assert undo.operation == "example.restore"
    await done(client, example.RESTORE, example.Restore.model_validate(undo.request))
    assert left(folder) == ["a.mkv", "b.mkv", "c.mkv"]
    assert (await show(client, number)).undone
    assert not (await show(client, other)).undone
    line = (await queue(client, "closed"))[0]
    assert line.undone
    assert not line.undoable


async def test_an_undo_that_is_not_complete_marks_nothing(
    client: LocalClient, folder: Path
) -> None:
    number = await asked(client, folder)
    await approve(client, number)
    (folder / "a.mkv").write_text("a new one: never overwritten")
    restored = await done(client, example.RESTORE, example.Restore(folder=str(folder)))
    assert restored.left == 1
    assert not (await show(client, number)).undone


# --- the disk is full -----------------------------------------------------------------------------


async def test_an_end_that_could_not_be_recorded_is_recorded_when_it_can(
    client: LocalClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.approvals.room._RETRY_S", 0.02)

    async def full(*_args: object, **_columns: object) -> None:
        raise StoreFailed("The disk is full.", "Free some space.")

    number = await asked(client, folder)
    (folder.parent / "hold c.mkv").touch()
    approving = asyncio.create_task(approve(client, number))
    await until(lambda: "begin c.mkv" in acts(folder))
    with monkeypatch.context() as disk:
        disk.setattr(records, "change", full)
        (folder.parent / "hold c.mkv").unlink()
        with pytest.raises(StoreFailed):
            await approving
        assert (await show(client, number)).state is ApprovalState.EXECUTING
    assert acts(folder) == DONE

    async def recorded() -> bool:
        told = (await log(client, "example.erase"))[-1]
        return told == ("outcome", "done")

    await until(recorded)
    assert (await show(client, number)).state is ApprovalState.DONE
    assert acts(folder) == DONE
