"""Agent-0's screen: typing never waits, answers come as they are written, Esc stops them."""

from __future__ import annotations

import asyncio

from textual.events import Key

from arcanum_tui.state.chat import Chat
from arcanum_tui.state.grid import Piece
from arcanum_tui.widgets.transcript import Live, Transcript
from engine.contract import agent0
from engine.contract.errors import ModelFailed
from tests.fakes.fake_client import FakeEngine
from tests.fakes.fake_world import World
from tests.fakes.sample import lived_in
from tests.tui.desk import Desk, desk

ASK = agent0.ASK


async def _ask(it: Desk, text: str) -> None:
    await it.press("f2")
    await it.until(lambda: it.app.current_mode == "agent" and it.app.screen.query("#prompt"))
    await it.type(text)
    await it.answer("enter")


def _paced() -> World:
    world = lived_in()
    world.go_on = asyncio.Semaphore(0)
    return world


async def test_an_answer_appears_as_it_is_written() -> None:
    world = _paced()
    assert world.go_on is not None
    async with desk(world) as it:
        await _ask(it, "what colour is it")
        await it.sees("› what colour is it", "● answering")
        world.go_on.release()
        await it.sees("Your")
        assert "turquoise.\n" not in it.screen_text.split("what colour is it")[1]
        for _ in range(4):
            world.go_on.release()
        await it.sees("5 tok · 10 tok/s · first 0.12 s · cached 96 % · 2 memories recalled")
        (request,) = it.engine.requests(ASK)
        assert (request.text, request.session) == ("what colour is it", "main")


async def test_escape_stops_the_answer_and_keeps_what_was_said() -> None:
    world = _paced()
    assert world.go_on is not None
    async with desk(world) as it:
        await _ask(it, "go")
        world.go_on.release()
        await it.sees("Your", "● answering")
        await it.answer("escape")
        await it.sees("○ stopped by you")
        assert it.app.current_mode == "agent"
        await it.until(lambda: it.engine.open_streams[ASK.name] == 0)
        assert world.turns[-1].status == "stopped"
        await it.answer("escape")
        await it.until(lambda: it.app.current_mode == "overview")


async def test_an_answer_goes_on_while_another_screen_is_looked_at() -> None:
    world = _paced()
    assert world.go_on is not None
    async with desk(world) as it:
        await _ask(it, "go")
        world.go_on.release()
        await it.sees("Your", "● answering")
        await it.press("f1")
        await it.sees("NEEDS YOU")
        for _ in range(4):
            world.go_on.release()
        await it.until(lambda: world.turns[-1].status == "done")
        await it.press("c")
        await it.sees("Your bike is turquoise.", "5 tok ·")


async def test_a_question_sent_before_the_engine_answers_is_asked_when_it_does() -> None:
    engine = FakeEngine(lived_in())
    engine.up = False
    async with desk(engine=engine, live=False) as it:
        await it.sees("✗ lost")
        await _ask(it, "are you there")
        await it.sees("› are you there", "waits for the engine")
        assert engine.requests(ASK) == []
        engine.up = True
        it.app.engine.reconnect()
        await it.sees("Your bike is turquoise.", "5 tok ·")
        assert [r.text for r in engine.requests(ASK)] == ["are you there"]


async def test_questions_are_asked_in_order_one_at_a_time() -> None:
    world = _paced()
    assert world.go_on is not None
    async with desk(world) as it:
        await _ask(it, "one")
        await it.type("two")
        await it.answer("enter")
        await it.sees("› one", "› two", "waits: 1 ahead")
        assert len(it.engine.requests(ASK)) == 1
        for _ in range(10):
            world.go_on.release()
        await it.until(lambda: len(it.engine.requests(ASK)) == 2)
        assert [r.text for r in it.engine.requests(ASK)] == ["one", "two"]


async def test_a_failing_model_is_said_where_the_answer_would_be() -> None:
    async with desk() as it:
        it.engine.broken[ASK.name] = ModelFailed("The model crashed.", "Ask again: it is reloaded.")
        await _ask(it, "hello")
        await it.sees(
            "✗ failed: The model crashed. Ask again: it is reloaded.", "Ctrl+R asks again"
        )
        it.engine.broken.clear()
        await it.type("again")
        await it.answer("enter")
        await it.sees("5 tok ·")


async def test_model_text_is_plain_text_with_its_controls_visible() -> None:
    world = lived_in()
    world.pieces = [
        "[bold]no[/bold] ",
        "\x1b[31mred\x1b[0m ",
        "[link=x]y[/link]\nsecond line",
        "\u202e",
    ]
    async with desk(world) as it:
        await _ask(it, "markup [red]?")
        await it.sees(
            "markup [red]?",
            "[bold]no[/bold] \\x1b[31mred\\x1b[0m [link=x]y[/link]",
            "second line\\u202e",
        )
        assert "\x1b" not in it.screen_text


async def test_a_scripted_answer_says_that_no_model_made_it() -> None:
    world = lived_in()
    world.model = world.model.model_copy(update={"simulated": True, "model": "scripted"})
    async with desk(world) as it:
        await _ask(it, "hello")
        await it.sees("5 tok ·")
        assert it.screen_text.count("SCRIPTED – no model") == 2


async def test_sessions_are_switched_begun_and_kept_apart() -> None:
    async with desk() as it:
        await it.press("2")
        await it.sees("My bike is turquoise.")
        await it.answer("ctrl+o")
        await it.sees("Which conversation?", "garden")
        await it.type("gard")
        await it.answer("enter")
        await it.sees("AGENT-0  garden", "When do I sow peas?")
        assert "turquoise" not in it.screen_text
        await it.answer("ctrl+o")
        await it.sees("Which conversation?")
        await it.type("boat")
        await it.answer("enter")
        await it.sees("AGENT-0  boat", "Nothing was said yet")
        await it.type("hm")
        await it.answer("enter")
        await it.sees("5 tok ·")
        assert it.engine.requests(ASK)[-1].session == "boat"


async def test_a_pasted_text_of_many_lines_stays_one_question() -> None:
    async with desk() as it:
        await it.press("2")
        await it.sees("My bike")
        await it.paste("first line\nsecond line\n")
        assert it.engine.requests(ASK) == []
        await it.paste_keys("y\n" * 5)
        await it.until(lambda: it.engine.requests(ASK))
        (request,) = it.engine.requests(ASK)
        assert request.text == "first line\nsecond line\n" + "\n".join("y" * 5)


async def test_a_flood_of_tokens_is_painted_at_a_steady_pace() -> None:
    world = lived_in()
    world.pieces = [f"word{i} " for i in range(4000)]
    async with desk(world) as it:
        painted = 0
        await it.press("2")
        await it.sees("My bike")
        transcript = it.app.screen.query_one(Transcript)
        shown = transcript.show

        def count(chat: Chat, empty: tuple[Piece, ...], live: Live) -> None:
            nonlocal painted
            painted += 1
            shown(chat, empty, live)

        transcript.show = count  # type: ignore[method-assign]
        await it.type("flood")
        await it.answer("enter")
        await it.sees("word3999", "4,000 tok ·")
        assert painted < 60


async def test_leaving_in_the_middle_of_an_answer_stops_it_and_leaves() -> None:
    world = _paced()
    assert world.go_on is not None
    async with desk(world) as it:
        await _ask(it, "go")
        world.go_on.release()
        await it.sees("● answering")
        engine = it.engine
    assert engine.open_streams[ASK.name] == 0
    assert world.turns[-1].status == "stopped"


async def test_what_is_typed_right_after_the_key_that_opens_the_chat_is_text() -> None:
    async with desk() as it:
        await it.paste_keys("cMy bike is turquoise, not moss?")
        await it.sees("AGENT-0", "My bike is turquoise, not moss?")
        assert it.app.current_mode == "agent"


async def test_a_filter_typed_at_once_is_all_in_the_filter() -> None:
    async with desk() as it:
        await it.paste_keys("m/spam")
        await it.sees("contains “spam”")


async def test_what_is_pasted_right_after_the_key_that_opens_the_chat_is_text() -> None:
    async with desk() as it:
        it.app.post_message(Key("c", "c"))
        await it.paste("a log line\nand another")
        await it.sees("AGENT-0", "a log line", "and another")


async def test_text_of_an_answer_is_selected_with_the_mouse_and_copied() -> None:
    async with desk() as it:
        await it.press("2")
        await it.sees("Noted: your bike is turquoise.")
        lines = it.screen_text.split("\n")
        y = next(i for i, line in enumerate(lines) if "Noted:" in line)
        x = lines[y].index("Noted:")
        await it.pilot.mouse_down(offset=(x, y))
        await it.pilot.hover(offset=(x + 10, y))
        await it.pilot.mouse_up(offset=(x + 10, y))
        await it.answer("ctrl+c")
        await it.until(lambda: it.app.clipboard)
        assert it.app.clipboard.startswith("Noted: you")
        assert it.app.is_running
