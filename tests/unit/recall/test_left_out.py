"""What stays when something is forgotten: older statements that it had taken the place of."""

from __future__ import annotations

import pytest

from engine.contract.approvals import ApprovalState
from engine.contract.errors import Invalid, Refused, WorldMoved
from engine.home import Home
from tests.unit.recall.life import Life, copied, nowhere

LISBON = "I live in Lisbon."
PORTO = "I live in Porto now."
NOWHERE = "I live nowhere any more."


async def _moved(life: Life) -> tuple[int, int, int]:
    """A statement, the same said again before, and the newer one that replaced it."""
    older, newer = await life.notes([LISBON, PORTO])
    same = await life.note(LISBON.upper())
    await life.replace(older, newer, "replaced")
    await life.replace(same, older, "merged")
    return older, newer, same


async def test_an_older_statement_is_named_and_k_leaves_it_out(life: Life) -> None:
    older, newer, same = await _moved(life)
    number = await life.plan(newer)
    before = await life.shown(number)
    texts = [row.text for row in before.card.rows if row.label == "DO"]
    assert texts == [
        "erase 3 memories, for good, 2 of them older versions",
        f"memory {older} too: an older statement that memory {newer} replaced; k keeps it",
    ]
    notes = {item.key: item.note for item in before.card.items}
    assert notes[str(older)].startswith(f"older, replaced by {newer}; k keeps it · ")
    assert {item.key for item in before.card.items if not item.fixed} == {str(older)}
    assert before.card.keepable

    fewer = await life.keep(number, str(older))
    after = await life.shown(fewer)
    assert after.digest != before.digest
    assert [item.key for item in after.card.items] == [str(newer)]
    assert (after.card.headline, after.card.confirm_count) == ("1 memory, for good", 1)
    assert not after.card.keepable
    stays = f"memory {older} stays: what replaced it goes, so it is live again"
    assert stays in [row.text for row in after.card.rows if row.label == "SAFE"]
    assert (await life.shown(number)).state is ApprovalState.DENIED

    done = await life.yes(fewer)
    assert done.state is ApprovalState.DONE
    nowhere(life, PORTO)
    assert await life.texts() == {older: LISBON, same: LISBON.upper()}
    back = await life.row(older)
    assert (back["state"], back["replaced_by"], back["kept"]) == ("live", None, 1)
    assert back["used_at"] is not None
    assert (await life.states())[same] == "merged"
    assert (await life.events())[-2:] == ["restored", "forgotten"]


async def test_all_older_statements_can_be_left_out_at_once(life: Life, home: Home) -> None:
    older, newer, same = await _moved(life)
    newest, twin = await life.notes([NOWHERE, NOWHERE.upper()])
    await life.replace(newer, newest, "replaced")
    await life.replace(twin, newest, "merged")
    copied(home)
    done = await life.forget(newest, keep_older=True)
    assert (done.state, done.outcome and done.outcome.done) == (ApprovalState.DONE, 2)
    nowhere(life, NOWHERE, NOWHERE.upper())
    # What the one that stays replaced is still replaced by it.
    assert await life.states() == {older: "replaced", newer: "live", same: "merged"}


async def test_of_a_chain_one_in_the_middle_goes(life: Life) -> None:
    older, newer, same = await _moved(life)
    newest = await life.note(NOWHERE)
    await life.replace(newer, newest, "replaced")
    await life.yes(await life.keep(await life.plan(newest), str(older)))
    nowhere(life, PORTO, NOWHERE)
    assert await life.states() == {older: "live", same: "merged"}


async def test_what_was_asked_for_or_says_the_same_cannot_be_left_out(life: Life) -> None:
    older, newer, same = await _moved(life)
    number = await life.plan(newer)
    for key in (newer, same):
        with pytest.raises(Refused, match=f"{key} cannot be left out of approval #{number}"):
            await life.keep(number, str(key))
        with pytest.raises(Invalid, match=f"{key} cannot be left out: it is no older"):
            await life.plan(newer, keep=(str(key),))
    # Who names it asks for it.
    both = await life.shown(await life.plan(older, newer))
    assert not both.card.keepable
    assert all(item.fixed for item in both.card.items)
    with pytest.raises(Invalid, match="named by number"):
        await life.plan(namespace="main", keep_older=True)
    with pytest.raises(Invalid, match="Nothing is left out"):
        await life.plan(gone=True, keep=("1",))
    assert set((await life.states()).values()) == {"live", "merged", "replaced"}


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE memory SET text = 'I live in Rome.' WHERE id = 1",
        "UPDATE memory SET state = 'live', replaced_by = NULL WHERE id = 1",
        "DELETE FROM memory WHERE id IN (1, 3)",
    ],
)
async def test_what_stays_must_be_as_it_was_shown(life: Life, sql: str) -> None:
    older, newer, _same = await _moved(life)
    number = await life.plan(newer, keep_older=True)
    await life.change(sql)
    with pytest.raises(WorldMoved, match=f"memory {older}, which stays, changed"):
        await life.approve(number, 1)
    assert newer in await life.texts()


async def test_many_older_statements_are_counted_on_the_card(life: Life) -> None:
    *older, newest = await life.notes([f"I live in {n}." for n in range(9)])
    for number in older:
        await life.replace(number, newest, "replaced")
    card = (await life.shown(await life.plan(newest))).card
    texts = [row.text for row in card.rows if row.label == "DO"]
    assert len(texts) == 7
    assert texts[-1] == "and 3 more older statements that were replaced; k keeps any of them"
    kept = (await life.shown(await life.plan(newest, keep_older=True))).card
    text = "8 memories stay: what replaced them goes, so they live again"
    assert text in [row.text for row in kept.rows]
