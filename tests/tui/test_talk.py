"""What belongs to a conversation: attachments, other conversations, models, what it waits for."""

from __future__ import annotations

import asyncio
import itertools
import os
from functools import partial
from pathlib import Path

import pytest

from arcanum_tui.app import ArcanumApp
from engine.contract import memory, model
from engine.contract.agent0 import (
    ASK,
    MAX_ATTACHED,
    AssetAttachment,
    TextAttachment,
    TurnAttachment,
)
from engine.contract.approvals import ApprovalState
from engine.contract.errors import Failed, ModelFailed, NeedsApproval
from tests.fakes.fake_client import FakeEngine
from tests.fakes.fake_world import NOW, World
from tests.fakes.sample import lived_in, prune_card
from tests.tui.desk import Desk, desk


async def open_chat(it: Desk) -> None:
    await it.press("2")
    await it.sees("AGENT-0", "My bike is turquoise.")


async def send(it: Desk, text: str, *sees: str) -> None:
    await it.type(text)
    await it.answer("enter")
    await it.sees(f"› {text}", *sees)


# --- attachments ----------------------------------------------------------------------------------


async def attach(it: Desk, text: str) -> None:
    await it.press("ctrl+g")
    await it.sees("Attach what?")
    await it.paste(text)


async def test_a_text_file_goes_along_with_the_next_question(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("﻿Größe: 7\n", encoding="utf-8")
    async with desk() as it:
        await open_chat(it)
        await attach(it, f"{tmp_path}/no")
        await it.sees("notes.txt", "file")
        await it.answer("enter")
        await it.sees("⊕ notes.txt, 9 characters ✕")
        await send(it, "what size?", "5 tok ·", "⊕ notes.txt")
        (request,) = it.engine.requests(ASK)
        assert request.attachments == (TextAttachment(name="notes.txt", text="Größe: 7\n"),)
        await it.loses("characters ✕")
        await send(it, "again", "5 tok ·")
        assert it.engine.requests(ASK)[-1].attachments == ()


async def test_folders_are_walked_into_with_the_keys(tmp_path: Path) -> None:
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "deep" / "deeper" / "[b]x.md").write_text("# hi")
    async with desk() as it:
        await open_chat(it)
        await attach(it, f"{tmp_path}/de")
        await it.sees("folder", "deep/")
        await it.press("tab")
        await it.sees("deeper/")
        await it.answer("enter")
        await it.sees("[b]x.md")
        await it.answer("enter")
        await it.sees("⊕ [b]x.md, 4 characters")
        await it.press("backspace")
        await it.loses("⊕")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.txt", None, "There is no file"),
        ("image.png", b"\x89PNG\r\n\x1a\n\0", "is not UTF-8 text: byte 0"),
        ("nul.txt", b"a\0b", "holds NUL bytes"),
        ("empty.txt", b" \n", "is empty"),
        ("long.txt", b"x" * (MAX_ATTACHED + 1), "is too long: 200,001 characters"),
        ("huge.txt", b"x" * (4 * MAX_ATTACHED + 1), "is too long: 800 kB"),
    ],
)
async def test_what_cannot_be_attached_is_said_where_it_was_chosen(
    name: str, content: bytes | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    async with desk() as it:
        await open_chat(it)
        await attach(it, str(path))
        await it.sees(name)
        await it.answer("enter")
        await it.until(lambda: said in " ".join(it.screen_text.replace("│", " ").split()))
        await it.answer("escape")
        await it.loses("Attach what?")
        assert "⊕" not in it.screen_text


async def test_a_pipe_is_no_file_and_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    async with desk() as it:
        await open_chat(it)
        await attach(it, f"{tmp_path}/pipe")
        await it.sees("pipe")
        await it.answer("enter")
        await it.sees("is no file")


async def test_a_catalogued_file_is_found_by_words_and_goes_along() -> None:
    async with desk() as it:
        await open_chat(it)
        await attach(it, "film-000012")
        await it.sees("films", "film-000012.mkv", "photos")
        await it.answer("enter")
        await it.sees("⊕ film-000012.mkv ✕")
        await send(it, "how long is it?", "5 tok ·")
        (attached,) = it.engine.requests(ASK)[-1].attachments
        assert isinstance(attached, AssetAttachment)
        assert (attached.library, attached.path.display) == (
            "films", "Film 000012 (1962)/film-000012.mkv",
        )  # fmt: skip


async def test_the_selected_file_of_a_library_is_asked_about() -> None:
    async with desk() as it:
        await it.press("3")
        await it.sees("film-000002.mkv")
        await it.press("tab", "down", "down")
        await it.answer("at")
        await it.sees("AGENT-0", "⊕ film-000002.mkv ✕")
        await send(it, "what is it?", "5 tok ·")
        (attached,) = it.engine.requests(ASK)[-1].attachments
        assert attached.path.data == b"Film 000002 (1952)/film-000002.mkv"


async def test_a_question_of_an_earlier_day_is_asked_again_with_what_was_attached() -> None:
    world = World()
    world.talk.add("main", "When is it?", "On Friday.", attached=("notes.txt",))
    async with desk(world) as it:
        await it.press("2")
        await it.sees("On Friday.")
        await it.press("ctrl+r")
        await it.until(lambda: bool(it.engine.requests(ASK)))
        assert it.engine.requests(ASK)[0].attachments == (TurnAttachment(turn_id=1),)
        await it.sees("2/2", "⊕ notes.txt")


async def test_no_more_than_can_be_taken_is_attached() -> None:
    async with desk() as it:
        await open_chat(it)
        screen = it.app.screen
        for number in range(3):
            screen.attach(TextAttachment(name=f"t{number}", text="x" * 90_000))  # type: ignore[attr-defined]
        await it.sees("⊕ t0", "⊕ t1", "at most 200,000")
        assert len(screen.attached) == 2  # type: ignore[attr-defined]
        rows = it.screen_text.split("\n")
        y = next(y for y, row in enumerate(rows) if "⊕ t0" in row)
        await it.pilot.click(offset=(rows[y].index("✕"), y))
        await it.loses("⊕ t0")
        assert [a.name for a in screen.attached] == ["t1"]  # type: ignore[attr-defined]


# --- conversations --------------------------------------------------------------------------------


async def windows(it: Desk, *texts: str) -> None:
    await it.press("ctrl+o")
    await it.sees("Which conversation?", *texts)


async def test_conversations_are_found_by_what_was_said_in_them() -> None:
    world = lived_in()
    world.talk.titles["garden"] = "Peas in March"
    async with desk(world) as it:
        await open_chat(it)
        await windows(it, "▸  main", "2 turns", "garden", "Peas in March")
        await it.type("soil can")
        await it.sees("garden", "+  soil can", "begin a new one")
        await it.answer("enter")
        await it.sees("AGENT-0  garden", "When do I sow peas?")


async def test_a_conversation_is_renamed_under_ones_feet() -> None:
    async with desk() as it:
        await open_chat(it)
        await windows(it, "garden")
        await it.press("f2")
        await it.sees("Rename main")
        await it.press("ctrl+u")
        await it.type("garden")
        await it.answer("enter")
        await it.sees("There is a conversation 'garden' already.")
        await it.press("f2")
        await it.sees("Rename main")
        await it.type("/x")
        await it.answer("enter")
        await it.sees("That is no name")
        await it.press("ctrl+u")
        await it.type("bikes")
        await it.answer("enter")
        await it.sees("▸  bikes")
        await it.answer("escape")
        await it.sees("AGENT-0  bikes", "My bike is turquoise.")
        await send(it, "and now?", "5 tok ·")
        assert it.engine.requests(ASK)[-1].session == "bikes"


async def test_a_deletion_waits_for_a_yes_and_is_undone() -> None:
    async with desk() as it:
        await open_chat(it)
        await windows(it, "garden")
        await it.type("garden")
        await it.press("f8")
        await it.sees("#5 DELETE · nas · garden", "delete the conversation garden")
        assert it.world.talk.gone == set()
        await it.answer("y")
        await it.until(lambda: it.world.talk.gone == {"garden"})
        await it.sees("✓ done")
        await it.answer("u")
        await it.sees("The conversation garden is back.")
        assert it.world.talk.gone == set()


async def test_a_conversation_that_is_deleted_while_it_is_open_says_so() -> None:
    async with desk() as it:
        await open_chat(it)
        it.world.talk.deleted(it.world.approvals[it.world.talk.request_deletion("main")])
        await it.sees("Nothing was said yet")
        await it.world.talk.restore(memory.OneSession(session="main"))
        await it.sees("My bike is turquoise.")


async def test_a_conversation_is_exported_and_nothing_is_overwritten(tmp_path: Path) -> None:
    world = lived_in()
    world.talk.titles["main"] = "A bike"
    world.add_turn(
        "main", "What colour\nis it?", "```\nteal\n```", parent_id=1, attached=("a.txt",)
    )
    there = tmp_path / "there.md"
    there.write_text("mine")
    async with desk(world) as it:
        await open_chat(it)
        await windows(it, "A bike")
        for path, said in ((there, "is there already"), (tmp_path / "new.md", "3 turns written")):
            await it.press("f5")
            await it.sees("Export main", "~/main.md")
            await it.press("ctrl+u")
            await it.paste(str(path))
            await it.answer("enter")
            await it.sees(said)
    assert there.read_text() == "mine"
    written = (tmp_path / "new.md").read_text()
    assert written.startswith("# Conversation ` main `\n\n## #1 · 2026-11-20 07:42:00 UTC · begins")
    assert (
        " · follows #1\n\n* attached: ` a.txt `\n\n```text\nWhat colour\nis it?\n```\n" in written
    )
    # What a model wrote is shown by a viewer, and never acted upon.
    assert written.endswith("````text\n```\nteal\n```\n````\n\n")
    assert (tmp_path / "new.md").stat().st_mode & 0o777 == 0o600


async def test_a_new_conversation_is_one_key_away() -> None:
    async with desk() as it:
        await open_chat(it)
        await it.press("ctrl+n")
        await it.sees("AGENT-0  20 Nov", "Nothing was said yet")
        await send(it, "hm", "5 tok ·")
        assert it.engine.requests(ASK)[-1].session == "20 Nov"
        await it.press("ctrl+n")
        await it.sees("AGENT-0  20 Nov 2")


async def test_what_another_face_says_in_it_appears() -> None:
    async with desk() as it:
        await open_chat(it)
        turn = it.world.add_turn("main", "from a shell", "", status="open", answered_at=None)
        it.world.emit(memory.TurnOpened(session="main", turn_id=turn.id, at=NOW))
        await it.sees("› from a shell", "being answered elsewhere")
        it.world.talk.closed(turn, "Answered there.", "done")
        await it.sees("Answered there.")
        assert it.screen_text.count("from a shell") == 1


# --- models ---------------------------------------------------------------------------------------


async def test_another_model_is_used_and_loaded_while_one_watches() -> None:
    world = lived_in()
    world.loading = asyncio.Event()
    async with desk(world) as it:
        await open_chat(it)
        await it.press("ctrl+l")
        await it.sees("▸  bundled", "98 MB", "qwen3-8b", "5.0 GB", "SCRIPTED – no model")
        await it.type("qwen")
        await it.answer("enter")
        await it.sees("● loading qwen3-8b … ")
        await it.sees("● loading ")
        world.loading.set()
        await it.loses("Which model?")
        await it.sees("Qwen3-8B-Q4_K_M ● ready in 0.42 s")
        assert [r.name for r in it.engine.requests(model.USE)] == ["qwen3-8b"]


async def test_a_model_that_cannot_be_used_says_why_and_another_can_be_chosen() -> None:
    async with desk() as it:
        await open_chat(it)
        refused = ModelFailed("It needs 6.1 GB, 2.0 GB are free.", "Choose a smaller one.")
        it.engine.broken[model.LOAD.name] = refused
        await it.press("ctrl+l")
        await it.sees("qwen3-8b")
        await it.type("qwen")
        await it.answer("enter")
        await it.sees("✗ The model failed: It needs 6.1 GB, 2.0 GB are free. Choose a smaller one.")
        it.engine.broken.clear()
        await it.press("ctrl+u")
        await it.type("bundled")
        await it.answer("enter")
        await it.loses("Which model?")


async def test_the_model_is_loaded_while_the_first_question_is_thought_of() -> None:
    world = lived_in()
    world.set_model(state="unloaded")
    async with desk(world) as it:
        assert it.engine.requests(model.LOAD) == []
        await open_chat(it)
        await it.sees("● ready in 0.42 s")
        assert len(it.engine.requests(model.LOAD)) == 1


async def test_a_model_that_cannot_be_loaded_ahead_is_told_in_the_heading_alone() -> None:
    world = lived_in()
    world.set_model(state="unloaded")
    async with desk(world) as it:
        it.engine.broken[model.LOAD.name] = ModelFailed("There is no room for it.", "x")
        await open_chat(it)
        await it.sees("✗ There is no room for it.")
        assert not list(it.app.screen.query("Toast"))


@pytest.mark.parametrize("change", [{"local": False}, {"simulated": True}])
async def test_only_a_model_on_this_machine_is_loaded_ahead(change: dict[str, bool]) -> None:
    world = lived_in()
    world.set_model(state="unloaded", **change)
    async with desk(world) as it:
        await open_chat(it)
        await it.pilot.pause()
        assert it.engine.requests(model.LOAD) == []


# --- waiting, and what goes wrong -----------------------------------------------------------------


async def test_what_an_answer_waits_for_is_said() -> None:
    world = lived_in()
    world.go_on = asyncio.Semaphore(0)
    async with desk(world) as it:
        await open_chat(it)
        it.engine.held[ASK.name] = asyncio.Event()
        await send(it, "one", "● asking … ")
        world.set_model(state="loading")
        await it.sees("● loading SmolLM2-135M-Instruct … 0.")
        await send(it, "two", "○ waits: 1 ahead")
        world.set_model(state="ready")
        it.engine.held.pop(ASK.name).set()
        await it.sees("● reading the prompt, 300 tokens … ")
        world.go_on.release()
        await it.sees("● writing · Esc stops", "first ", "1 tok", "301 of 2,048")
        await it.press("ctrl+x")
        await it.sees("○ not asked")


async def test_a_question_that_would_leave_the_machine_leads_to_its_card() -> None:
    async with desk() as it:
        await open_chat(it)
        number = it.world.add_approval(prune_card())
        it.engine.broken[ASK.name] = NeedsApproval("x", "y", number)
        await send(it, "far away", f"▲ nothing was sent yet: #{number} waits for you, F4")
        await it.press("ctrl+t", "enter")
        await it.sees(f"#{number} PRUNE")
        it.world.change_approval(number, state=ApprovalState.DENIED)
        await it.press("f2")
        await it.sees("○ not asked · you said no")
        # What a yes led to is the same question, once.
        it.world.add_turn("main", "far away", "From there.")
        it.world.emit(memory.TurnOpened(session="main", turn_id=4, at=NOW))
        await it.sees("From there.")


@pytest.mark.parametrize("heard", [True, False])
async def test_an_engine_that_goes_and_comes_back_doubles_and_loses_nothing(heard: bool) -> None:
    world = lived_in()
    world.go_on = asyncio.Semaphore(0)
    engine = FakeEngine(world)
    async with desk(engine=engine) as it:
        await open_chat(it)
        await it.type("still there?")
        await it.answer("enter")
        await it.sees("● reading the prompt")
        if heard:
            world.go_on.release()
            await it.sees("         Your")
        engine.go_down()
        await it.sees("✗ failed: The engine went away.", "✗ lost")
        engine.up = True
        it.app.engine.reconnect()
        await it.sees("● live")
        await it.sees("○ stopped by you" if not heard else "Your")
        await it.until(lambda: it.screen_text.count("still there?") == 1)
        turns = [t for t in world.turns if t.question == "still there?"]
        assert len(turns) == 1


async def test_a_question_that_never_reached_the_engine_is_kept_and_asked_again() -> None:
    engine = FakeEngine(lived_in())
    async with desk(engine=engine) as it:
        await open_chat(it)
        engine.broken[ASK.name] = Failed("The line was cut.", "Ask again.")
        await send(it, "hello?", "✗ failed: The line was cut.")
        engine.go_down()
        await it.sees("✗ lost")
        engine.up = True
        engine.broken.clear()
        it.app.engine.reconnect()
        await it.sees("● live", "› hello?", "✗ failed: The line was cut.")
        await it.press("ctrl+r")
        await it.sees("5 tok ·")
        assert it.screen_text.count("› hello?") == 1


def _uses(app: ArcanumApp, tokens: int) -> bool:
    return app.conversation.chat.context[0] == tokens


@pytest.mark.parametrize(
    ("width", "there", "missing"),
    [(120, ["tok/s · first", "· 17 %"], "xxx"), (60, ["tok/s", "context 17 %"], "of 2,048 ·")],
)
async def test_live_numbers_give_way_where_room_is_short(
    width: int, there: list[str], missing: str
) -> None:
    world = lived_in()
    world.go_on = go_on = asyncio.Semaphore(0)
    world.pieces = ["word "] * 50
    ticks = itertools.count()
    engine = FakeEngine(world)
    app = ArcanumApp(
        engine.connect,
        animations=False,
        clock=lambda: NOW,
        stopwatch=lambda: next(ticks) / 20,
    )
    async with app.run_test(size=(width, 24)) as pilot:
        it = Desk(app, engine, pilot)
        await it.sees("● live")
        await open_chat(it)
        await it.type("go")
        await it.answer("enter")
        await it.sees("● reading")
        for wanted in (310, 320, 330, 340):
            for _ in range(10):
                go_on.release()
            await it.until(partial(_uses, app, wanted))
        await it.sees(*there)
        assert missing not in it.screen_text


async def test_a_simulated_model_has_no_context_to_show() -> None:
    world = World()
    world.set_model(simulated=True, context=0)
    async with desk(world) as it:
        await it.press("2")
        await it.sees("Nothing was said yet")
        assert "context" not in it.screen_text
