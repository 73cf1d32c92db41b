"""Deleting a conversation: seen before, refused when it went on, taken back with one call."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine.contract import approvals, memory
from engine.contract.approvals import Approval, ApprovalChanged, ApprovalState
from engine.contract.errors import Failed, NotFound, Refused, WorldMoved
from engine.contract.events import Event
from engine.contract.memory import OneSession, RenameSession, SessionChanged
from engine.home import Home
from tests.fakes.house import pending, show
from tests.unit.memory.conftest import House, house_at


async def plan(house: House, session: str) -> int:
    return await pending(house.client, memory.DELETE, OneSession(session=session))


async def approve(house: House, number: int) -> Approval:
    found: Approval = await house.do(approvals.APPROVE, approvals.Approve(id=number))
    return found


async def restore(house: House, session: str) -> memory.RestoredSession:
    found: memory.RestoredSession = await house.do(memory.RESTORE, OneSession(session=session))
    return found


def rows(found: Approval) -> dict[str, str]:
    return {row.label: row.text for row in found.card.rows}


async def test_the_card_says_what_would_be_deleted_and_nothing_is_before(house: House) -> None:
    one = await house.say("a", "My \x1b[2Jbike\nis red.")
    await house.say("a", "It squeaks.")
    await house.say("a", "It is blue.", after=one.id)
    found = await show(house.client, await plan(house, "a"))
    assert (found.card.verb, found.card.subject) == ("delete", "a")
    assert rows(found)["DO"].startswith("delete the conversation: 3 turns in 2 branches · ")
    assert rows(found)["WHY"] == "asked for by operator:local"
    assert "restores" in rows(found)["UNDO"]
    assert found.card.confirm_count is None
    assert [item.text for item in found.card.items] == [
        r"My \x1b[2Jbike is red.", "It squeaks.", "It is blue.",
    ]  # fmt: skip
    assert await house.names() == ["a"]
    assert house.models.forgotten == []


async def test_a_deleted_conversation_is_out_of_sight_and_comes_back_whole(house: House) -> None:
    await house.say("a", "My bike is red.")
    await house.say("b", "Hello.")
    before = await house.exported("a")
    number = await plan(house, "a")
    async with house.client.events() as events:
        done = await approve(house, number)
        changes = [e async for e in _until_ended(events)]
    assert done.state is ApprovalState.DONE
    assert done.outcome is not None
    assert (done.outcome.done, done.outcome.total) == (1, 1)
    assert [(e.session, e.change) for e in changes] == [("a", "deleted")]
    assert house.models.forgotten == ["a"]  # Not even a model's saved state stays.

    assert await house.names() == ["b"]
    assert await house.names(containing="bike") == []
    assert await house.names(deleted=True, containing="bike") == ["a"]
    assert (await house.sessions(deleted=True))[0].deleted_at is not None
    assert await house.recall("a", "bike", 10) == []
    assert await house.log.untitled("a") is None
    for refused in (house.turns("a"), house.exported("a"), house.found("a", "x"), plan(house, "a")):
        with pytest.raises(NotFound, match="'a' was deleted") as caught:
            await refused
        assert caught.value.hint == "arcanum memory restore a brings it back."

    undo = done.outcome.undo
    assert undo is not None
    assert (undo.operation, undo.request) == ("memory.restore", {"session": "a"})
    assert (await restore(house, "a")).session.turns == 1
    assert await house.exported("a") == before
    assert await house.found("a", "bike") == ["My bike is red."]
    assert (await show(house.client, number)).undone
    with pytest.raises(Refused, match="is not deleted"):
        await restore(house, "a")


async def _until_ended(events: AsyncIterator[Event]) -> AsyncIterator[SessionChanged]:
    async for event in events:
        if isinstance(event, SessionChanged):
            yield event
        if isinstance(event, ApprovalChanged) and event.summary.state is ApprovalState.DONE:
            return


async def test_nothing_is_asked_in_a_deleted_conversation_or_called_like_it(house: House) -> None:
    await house.say("a", "One.")
    await house.say("b", "Two.")
    await approve(house, await plan(house, "a"))
    with pytest.raises(Refused, match="'a' was deleted") as caught:
        await house.ask("a", "Are you there?")
    assert "arcanum memory restore a" in caught.value.hint
    with pytest.raises(Refused, match="'a' was deleted"):
        await house.log.parent("a", None)
    with pytest.raises(Refused, match="A deleted conversation is called 'a'"):
        await house.do(memory.RENAME, RenameSession(session="b", to="a"))
    assert await house.questions("b") == ["Two."]


async def test_a_conversation_that_went_on_since_is_not_deleted(house: House) -> None:
    await house.say("a", "One.")
    number = await plan(house, "a")
    await house.say("a", "Two.")
    with pytest.raises(WorldMoved, match="it went on: 2 turns instead of 1 turn"):
        await approve(house, number)
    assert await house.questions("a") == ["One.", "Two."]
    assert (await show(house.client, number)).state is ApprovalState.FAILED


async def test_another_conversation_of_the_same_name_is_not_deleted(house: House) -> None:
    await house.say("a", "One.")
    number = await plan(house, "a")
    await house.do(memory.RENAME, RenameSession(session="a", to="b"))
    await house.say("a", "Another one.")
    with pytest.raises(WorldMoved, match="another conversation is called 'a' now"):
        await approve(house, number)
    assert await house.names() == ["a", "b"]


async def test_an_answer_that_is_being_written_is_not_cut_off(house: House) -> None:
    turn = await house.ask("a", "One.")
    with pytest.raises(Refused, match="an answer is being written in it"):
        await plan(house, "a")
    await house.log.close(turn, "done", "1", "", "m")
    number = await plan(house, "a")
    await house.ask("a", "Two.")
    with pytest.raises(WorldMoved, match="an answer is being written in it"):
        await approve(house, number)


@pytest.mark.parametrize("error", [Failed("the disk says no."), ValueError("the disk says no.")])
async def test_what_a_model_keeps_and_cannot_be_removed_is_told(
    house: House, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fails(_session: str) -> None:
        raise error

    await house.say("a", "One.")
    monkeypatch.setattr(house.models, "forget_session", fails)
    done = await approve(house, await plan(house, "a"))
    assert done.state is ApprovalState.PARTIAL
    assert done.outcome is not None
    assert "the disk says no." in done.outcome.problems[0]
    assert await house.names() == []
    await restore(house, "a")
    assert await house.names() == ["a"]


@pytest.mark.parametrize("deleted", [False, True])
async def test_after_a_crash_it_is_deleted_whole_or_not_at_all(home: Home, deleted: bool) -> None:
    async with house_at(home) as house:
        await house.say("a", "One.")
        number = await plan(house, "a")
        state = house.engine.ground.state
        # As a crash leaves it: begun, and the one transaction made or not made.
        await state.write(
            lambda tx: tx.execute("UPDATE approval SET state = 'executing' WHERE id = ?", (number,))
        )
        if deleted:
            await state.write(
                lambda tx: tx.execute("UPDATE session SET deleted_at = '2026-01-01T00:00:00+00:00'")
            )
    async with house_at(home) as house:
        found = await show(house.client, number)
        assert found.state is (ApprovalState.DONE if deleted else ApprovalState.INTERRUPTED)
        assert await house.names(deleted=deleted) == ["a"]
        assert house.models.forgotten == (["a"] if deleted else [])
        assert found.outcome is not None
        assert (found.outcome.undo is not None) is deleted
