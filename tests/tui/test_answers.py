"""What is an answer to a card, and what never is."""

from __future__ import annotations

import asyncio
import time

from arcanum_tui.screens.approvals import ASKED_S
from arcanum_tui.widgets.card import CardView
from engine.contract import approvals, quota
from engine.contract.approvals import CardItem
from engine.contract.errors import WorldMoved
from tests.fakes.fake_world import World
from tests.fakes.sample import lived_in, prune_card
from tests.fakes.waiting import until
from tests.tui.desk import desk

APPROVE, DENY, KEEP = approvals.APPROVE, approvals.DENY, approvals.KEEP


async def test_y_on_the_painted_card_sends_its_digest_once() -> None:
    async with desk() as it:
        await it.card(3)
        await it.answer("y")
        await it.sees("✓ done", "moved 14 files to the trash", "u undo until")
        (request,) = it.engine.requests(APPROVE)
        assert (request.id, request.digest) == (3, it.world.approvals[3].digest)


async def test_a_second_y_while_the_first_runs_is_no_second_answer() -> None:
    world = lived_in()
    world.finish_execution = asyncio.Event()
    async with desk(world) as it:
        await it.card(3)
        await it.answer("y")
        await it.sees("RUNS", "1 of 14")
        await it.answer("y")
        await it.sees("already being answered")
        world.finish_execution.set()
        await it.sees("moved 14 files to the trash")
        assert len(it.engine.requests(APPROVE)) == 1


async def test_two_hundred_pasted_lines_of_y_approve_nothing() -> None:
    async with desk() as it:
        await it.card(3)
        await it.paste("y\n" * 200)
        await it.paste_keys("y\n" * 200)
        await it.press("escape", "escape")
        await it.card(3)
        await it.sees("▲ waits")
        assert it.engine.requests(APPROVE) == []


async def test_a_paste_that_begins_or_ends_with_y_approves_nothing() -> None:
    async with desk() as it:
        await it.card(3)
        await it.paste_keys("yes")
        await it.answer("escape")
        await it.card(3)
        await it.paste_keys("jjjy")
        await it.sees("no answer")
        await asyncio.wait_for(it.pilot.pause(0.3), 5)
        assert it.engine.requests(APPROVE) == []


async def test_pasted_letters_deny_keep_and_undo_nothing() -> None:
    async with desk() as it:
        await it.card(3)
        await it.paste_keys("no\nkeep\nundo\n")
        await it.pilot.pause(0.3)
        assert not {DENY.name, KEEP.name, quota.UNDO.name} & {name for name, _ in it.engine.calls}


async def test_a_y_typed_ahead_of_the_card_is_discarded() -> None:
    async with desk() as it:
        it.engine.held["approvals.show"] = asyncio.Event()
        await it.press("a")
        await it.sees("reading #4")
        await it.press("y")
        it.engine.held.pop("approvals.show").set()
        await it.sees("DO ")
        await it.pilot.pause(0.4)
        assert it.engine.requests(APPROVE) == []


async def test_a_y_right_after_the_paint_is_discarded_and_the_next_one_counts() -> None:
    async with desk() as it:
        await it.card(3)
        card = it.app.screen.query_one(CardView)
        await it.until(lambda: card.whole)
        card.painted_at = time.monotonic()
        await it.press("y")
        await it.sees("before the card was painted")
        assert it.engine.requests(APPROVE) == []
        await it.answer("y")
        await it.sees("moved 14 files to the trash")


async def test_the_card_of_another_approval_must_be_painted_itself() -> None:
    async with desk() as it:
        await it.card(4)
        it.engine.held["approvals.show"] = asyncio.Event()
        await it.answer("down")
        await it.sees("reading #3")
        await it.press("y")
        it.engine.held.pop("approvals.show").set()
        await it.card(3)
        await it.pilot.pause(0.3)
        assert it.engine.requests(APPROVE) == []


async def test_enter_shows_all_items_and_is_never_yes() -> None:
    async with desk() as it:
        await it.card(3)
        await it.answer("enter")
        await it.sees("#3 PRUNE · films · 14 items", "Dune (2021)/film-000")
        await it.answer("enter")
        await it.sees("APPROVALS")
        await it.answer("enter")
        await it.answer("y")
        await it.pilot.pause(0.3)
        assert it.engine.requests(APPROVE) == []


async def test_deny_asks_for_a_reason_and_sends_it() -> None:
    async with desk() as it:
        await it.card(3)
        await it.answer("n")
        await it.sees("Why not?")
        await it.type("quite new, keep")
        await it.answer("enter")
        await it.sees("✗ denied")
        (request,) = it.engine.requests(DENY)
        assert (request.id, request.reason) == (3, "quite new, keep")


async def test_escape_leaves_the_reason_and_denies_nothing() -> None:
    async with desk() as it:
        await it.card(3)
        await it.answer("n")
        await it.sees("Why not?")
        await it.type("hm")
        await it.answer("escape")
        await it.sees("y do")
        assert it.engine.requests(DENY) == []


async def test_keep_some_leaves_the_ticked_out_and_shows_the_new_plan() -> None:
    async with desk() as it:
        await it.card(3)
        await it.answer("k")
        await it.sees("tick what must stay")
        await it.press("space", "down", "down", "space")
        await it.sees("2 of 14", "[x]")
        await it.answer("enter")
        await it.sees("#5 PRUNE · nas · films", "12 files")
        (request,) = it.engine.requests(KEEP)
        assert request.keep == ("k0", "k2")
        assert it.engine.requests(APPROVE) == []


async def test_keep_with_nothing_ticked_changes_nothing() -> None:
    async with desk() as it:
        await it.card(3)
        await it.answer("k")
        await it.sees("tick what must stay")
        await it.answer("enter")
        await it.sees("Nothing is ticked")
        assert it.engine.requests(KEEP) == []


async def test_only_what_can_be_left_out_is_offered_to_be_ticked() -> None:
    world = lived_in()
    items = [CardItem(key=f"k{n}", text=f"memory {n}", fixed=n != 1) for n in range(3)]
    card = prune_card().model_copy(update={"items": tuple(items)})
    number = world.add_approval(card)
    async with desk(world) as it:
        await it.card(number)
        await it.sees("k keep some")
        await it.answer("k")
        await it.sees("tick what must stay", "memory 1", "0 of 1")
        await it.press("space")
        await it.answer("enter")
        await until(lambda: bool(it.engine.requests(KEEP)))
        assert it.engine.requests(KEEP)[0].keep == ("k1",)


async def test_where_nothing_can_be_left_out_its_key_is_not_offered() -> None:
    async with desk() as it:
        await it.card(3)
        await it.sees("k keep some")
        await it.card(4)
        await it.sees("PURGE")
        await it.loses("keep some")
        await it.answer("k")
        await it.sees("Nothing can be left out of #4.")


async def test_what_cannot_be_undone_asks_for_its_count() -> None:
    async with desk() as it:
        await it.card(4)
        await it.answer("y")
        await it.sees("This cannot be undone")
        await it.answer("enter")
        await it.answer("y")
        await it.sees("is not 3")
        await it.answer("4")
        await it.answer("y")
        await it.sees("4 is not 3")
        await it.press("backspace")
        await it.paste("3")
        await it.answer("y")
        await it.sees("Nothing is not 3")
        assert it.engine.requests(APPROVE) == []
        await it.answer("3")
        await it.answer("y")
        await it.sees("moved 3 files to the trash")
        (request,) = it.engine.requests(APPROVE)
        assert (request.id, request.count) == (4, 3)


async def test_a_refused_yes_says_why_on_the_card() -> None:
    async with desk() as it:
        it.engine.broken["approvals.approve"] = WorldMoved(
            "2 of the files changed.", "p plans again."
        )
        await it.card(3)
        await it.answer("y")
        await it.sees("Things changed since the plan was made", "2 of the files changed.")


async def test_a_card_never_opens_by_itself() -> None:
    async with desk(World()) as it:
        await it.press("a")
        await it.sees("nothing waits for you")
        await it.pilot.pause(ASKED_S)
        it.world.add_approval(prune_card())
        await it.sees("#1", "select an approval")
        assert "DO " not in it.screen_text
        await it.answer("y")
        await it.pilot.pause(0.3)
        assert it.engine.requests(APPROVE) == []
        await it.answer("down")
        await it.sees("DO ", "y do")


async def test_a_card_that_comes_right_after_its_queue_was_asked_for_is_shown() -> None:
    async with desk(World()) as it:
        await it.press("a")
        await it.sees("nothing waits for you")
        it.world.add_approval(prune_card())
        await it.sees("#1", "DO ", "y do")


async def test_a_new_approval_does_not_move_the_cursor_to_another_card() -> None:
    async with desk() as it:
        await it.card(3)
        it.world.add_approval(prune_card("series"))
        await it.sees("#5")
        await it.answer("y")
        await it.sees("moved 14 files to the trash")
        (request,) = it.engine.requests(APPROVE)
        assert request.id == 3


async def test_a_card_that_does_not_fit_is_answered_only_when_it_was_read_to_its_end() -> None:
    world = World()
    card = prune_card()
    long = card.rows[4].model_copy(update={"text": "no other copy is known. " * 60})
    world.add_approval(card.model_copy(update={"rows": (*card.rows[:4], long, card.rows[5])}))
    async with desk(world, size=(80, 24)) as it:
        await it.press("a")
        await it.sees("more lines: J")
        await it.answer("y")
        await it.sees("not on the screen")
        assert it.engine.requests(APPROVE) == []
        for _ in range(4):
            await it.answer("J")
        await until(lambda: it.app.screen.query_one(CardView).painted_at is not None)
        await it.answer("y")
        await until(lambda: len(it.engine.requests(APPROVE)) == 1)


async def test_u_takes_the_selected_act_back() -> None:
    async with desk() as it:
        await it.card(1)
        await it.answer("u")
        await it.sees("was taken back", "3 files brought back")
        (request,) = it.engine.requests(quota.UNDO)
        assert request.plan_id == "p1"


async def test_u_on_the_overview_takes_the_latest_act_back() -> None:
    async with desk() as it:
        await it.sees("UNDO", "#1 prune series")
        await it.answer("u")
        await it.sees("3 files brought back")
        await it.loses("UNDO  #1")


async def test_choosing_an_answer_in_the_palette_only_says_which_key_it_is() -> None:
    async with desk() as it:
        await it.card(3)
        await it.answer("colon")
        await it.sees("Do what?")
        await it.type("do it")
        await it.answer("enter")
        await it.sees("then press y")
        assert it.engine.requests(APPROVE) == []


async def test_a_hundred_thousand_items_open_at_once() -> None:
    world = World()
    world.add_approval(prune_card(count=100_000))
    async with desk(world) as it:
        await it.card(1)
        await it.answer("enter")
        await it.sees("of 100,000")
        await it.press("end")
        await it.sees("film-99999")


async def test_a_card_that_only_moves_on_the_screen_stays_the_card_that_was_read() -> None:
    async with desk() as it:
        await it.card(3)
        card = it.app.screen.query_one(CardView)
        painted_at = card.painted_at
        it.world.add_approval(prune_card("series"))
        await it.sees("#5")
        await it.pilot.resize_terminal(110, 40)
        await it.sees("#3 PRUNE · nas · films")
        assert card.painted_at == painted_at
        await it.answer("y")
        await it.sees("moved 14 files to the trash")
