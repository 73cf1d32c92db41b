"""Turns on Agent-0's screen: ask again, edit, branch, copy, walk through them, and read back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from arcanum_tui.widgets.transcript import Transcript
from engine.contract.agent0 import ASK
from engine.contract.errors import ModelFailed
from engine.contract.memory import SWITCH, TURNS
from tests.fakes.fake_world import World
from tests.fakes.sample import lived_in
from tests.tui.desk import Desk, desk

MARKDOWN = """\
## Largest files

Use `du` and **sort**, which is a sentence that is long enough to be broken in two on this screen, \
whatever its width may be in the end:

```sh
du -ah /srv | sort -rh
```
- then [read](http://example.com/manual) it
"""


def world(*turns: tuple[str, str]) -> World:
    made = World()
    for question, answer in turns:
        made.add_turn("main", question, answer)
    return made


async def open_chat(it: Desk, *texts: str) -> None:
    await it.press("2")
    await it.sees("AGENT-0", *texts)


async def ask(it: Desk, text: str, *, sees: str = "5 tok ·") -> None:
    await it.type(text)
    await it.answer("enter")
    await it.sees(f"› {text}", sees)


# --- Markdown -------------------------------------------------------------------------------------


async def test_an_answer_is_markdown_and_its_links_are_text() -> None:
    async with desk(world(("how?", MARKDOWN))) as it:
        await open_chat(it, "│ sh", "│ du -ah /srv | sort -rh", "• then read (http://example.com")
        for sign in ("##", "**", "```", "`du`", "]("):
            assert sign not in it.screen_text
        transcript = it.app.screen.query_one(Transcript)
        metas = [
            segment.style.link
            for y in range(transcript.size.height)
            for segment in transcript.render_line(y)
            if segment.style
        ]
        assert set(metas) == {None}


async def test_nothing_that_a_model_writes_reaches_the_terminal_as_it_is() -> None:
    nasty = (
        "# \x1b]8;;http://evil\x07link\x1b]8;;\x07\n```\x1b[2J\n\x1b]52;c;eA==\x07\n```\n"
        "|\x9b31m|b|\n|-|-|\n|\u202ea|[c](x\x07y)|\n\n&#27;[31m &#x202e; **\x00** \r end"
    )
    async with desk(world(("how?", nasty))) as it:
        await open_chat(it, "\\x1b]8;;http://evil\\x07link", "│ \\x1b]52;c;eA==\\x07", "\\x9b31m")
        await it.sees("\\u202ea", "[31m \\u202e \\x00 \\r end")
        assert all(c.isprintable() or c == "\n" for c in it.screen_text)
        await it.press("ctrl+t", "y")
        await it.until(lambda: it.app.clipboard == nasty)


async def test_blocks_appear_while_they_are_written() -> None:
    made = lived_in()
    made.go_on = asyncio.Semaphore(0)
    made.pieces = [
        "## Hea",
        "d\n\n- **bo",
        "ld** x\n",
        "```py\n",
        "a = 1\n",
        "```\n",
        "|a|b|\n|-|-",
        "|\n|1|2|",
    ]
    async with desk(made) as it:
        await open_chat(it, "My bike")
        await it.type("go")
        await it.answer("enter")
        for wanted in (["Hea"], ["• bo"], ["• bold x"], ["│ py"], ["│ a = 1"], [], [], ["1 │ 2"]):
            made.go_on.release()
            await it.sees(*wanted)
        await it.sees("8 tok")


# --- asking again, otherwise ----------------------------------------------------------------------


async def test_a_question_asked_again_is_a_branch_beside_the_first_answer() -> None:
    async with desk(world(("a?", "First."), ("b?", "Second."))) as it:
        await open_chat(it, "Second.")
        await it.press("ctrl+r")
        await it.sees("◂ 2/2 ▸", "Your bike is turquoise.")
        await it.loses("Second.")
        (request,) = it.engine.requests(ASK)
        assert (request.text, request.after, request.temperature) == ("b?", 1, 0.8)
        await it.press("ctrl+t", "h")
        await it.sees("◂ 1/2 ▸", "Second.")
        assert "turquoise" not in it.screen_text
        await it.press("right")
        await it.sees("◂ 2/2 ▸", "Your bike is turquoise.")
        assert [r.turn_id for r in it.engine.requests(SWITCH)] == [2, 3]


async def test_the_first_question_asked_again_follows_nothing() -> None:
    async with desk(world(("a?", "First."))) as it:
        await open_chat(it, "First.")
        await it.press("ctrl+r")
        await it.sees("◂ 2/2 ▸")
        (request,) = it.engine.requests(ASK)
        assert request.after == 0


async def test_an_earlier_question_is_edited_into_a_branch() -> None:
    async with desk(world(("a?", "First."), ("b?", "Second."), ("c?", "Third."))) as it:
        await open_chat(it, "Third.")
        await it.press("ctrl+t", "k", "e")
        await it.sees("another wording of the question")
        await it.type(" and d?")
        await it.answer("enter")
        await it.sees("› b? and d?", "◂ 2/2 ▸", "5 tok ·")
        assert "Third." not in it.screen_text
        (request,) = it.engine.requests(ASK)
        assert (request.text, request.after, request.temperature) == ("b? and d?", 1, None)
        await it.press("ctrl+t", "h")
        await it.sees("› c?", "Third.", "◂ 1/2 ▸")


async def test_escape_leaves_an_edit_as_it_was() -> None:
    async with desk(world(("a?", "First."))) as it:
        await open_chat(it, "First.")
        await it.press("ctrl+t", "e")
        await it.sees("another wording")
        await it.answer("escape")
        await it.loses("another wording")
        assert it.app.screen.query_one("#prompt").text == ""  # type: ignore[attr-defined]
        assert it.app.current_mode == "agent"
        await ask(it, "new")
        assert it.engine.requests(ASK)[-1].after is None


async def test_a_question_that_failed_is_asked_again_with_the_key_that_is_offered() -> None:
    async with desk(world(("a?", "First."))) as it:
        await open_chat(it, "First.")
        it.engine.broken[ASK.name] = ModelFailed("It crashed.", "Ask again.")
        await ask(it, "b?", sees="✗ failed: It crashed. Ask again.")
        it.engine.broken.clear()
        await it.press("ctrl+r")
        await it.sees("5 tok ·")
        await it.loses("✗ failed")
        assert it.screen_text.count("› b?") == 1


async def test_nothing_branches_while_an_answer_is_written() -> None:
    made = world(("a?", "First."))
    made.go_on = asyncio.Semaphore(0)
    async with desk(made) as it:
        await open_chat(it, "First.")
        await ask(it, "b?", sees="● reading the prompt, 300 tokens")
        await it.press("ctrl+r")
        await it.sees("Esc stops it first")
        assert len(it.engine.requests(ASK)) == 1
        await it.press("ctrl+x")
        await it.sees("○ stopped by you")


# --- the line -------------------------------------------------------------------------------------


async def test_up_on_an_empty_line_brings_earlier_questions_back() -> None:
    async with desk(world(("one", "1"), ("two\nlines", "2"), ("three", "3"))) as it:
        await open_chat(it, "three")
        prompt = it.app.screen.query_one("#prompt")
        for key, text in (
            ("up", "three"), ("up", "two\nlines"), ("up", "two\nlines"), ("up", "one"),
            ("up", "one"), ("down", "two\nlines"), ("down", "three"), ("down", ""),
        ):  # fmt: skip
            await it.press(key)
            assert prompt.text == text  # type: ignore[attr-defined]
        await it.type("x")
        await it.press("up")
        assert prompt.text == "x"  # type: ignore[attr-defined]


async def test_a_line_break_is_typed_and_the_line_grows() -> None:
    async with desk(world(("a?", "First."))) as it:
        await open_chat(it, "First.")
        prompt = it.app.screen.query_one("#prompt")
        await it.type("one")
        await it.press("ctrl+j")
        await it.type("two")
        await it.press("shift+enter")
        await it.type("three")
        await it.until(lambda: prompt.size.height == 3)
        await it.answer("enter")
        await it.sees("5 tok ·")
        assert it.engine.requests(ASK)[-1].text == "one\ntwo\nthree"
        await it.until(lambda: prompt.size.height == 1)


async def test_ctrl_x_cuts_what_is_selected_and_stops_where_nothing_is() -> None:
    made = world(("a?", "First."))
    made.go_on = asyncio.Semaphore(0)
    async with desk(made) as it:
        await open_chat(it, "First.")
        await ask(it, "b?", sees="● answering")
        await it.type("cut me")
        await it.press("shift+home", "ctrl+x")
        assert it.app.screen.query_one("#prompt").text == ""  # type: ignore[attr-defined]
        await it.sees("● answering")
        await it.press("ctrl+x")
        await it.sees("○ stopped by you")


# --- copying --------------------------------------------------------------------------------------


async def test_the_answer_is_copied_as_it_was_written() -> None:
    async with desk(world(("how?", MARKDOWN))) as it:
        await open_chat(it, "│ sh")
        await it.press("ctrl+t", "y")
        await it.sees("The answer is copied")
        assert it.app.clipboard == MARKDOWN


async def test_a_block_of_code_is_copied_and_chosen_where_there_are_more() -> None:
    async with desk(world(("how?", MARKDOWN), ("more?", f"{MARKDOWN}\n```py\nx = [1]\n```"))) as it:
        await open_chat(it, "│ py")
        await it.press("ctrl+t", "b")
        await it.sees("Copy which block?", "x = [1]")
        await it.type("py")
        await it.answer("enter")
        await it.until(lambda: it.app.clipboard == "x = [1]")
        await it.press("g", "b")
        await it.until(lambda: it.app.clipboard == "du -ah /srv | sort -rh")


async def test_what_the_mouse_selects_is_text_without_margins_and_breaks() -> None:
    async with desk(world(("how?", MARKDOWN)), size=(80, 30)) as it:
        await open_chat(it, "│ sh")
        rows = it.screen_text.split("\n")
        first = next(y for y, row in enumerate(rows) if "Use du" in row)
        last = next(y for y, row in enumerate(rows) if "│ du -ah" in row)
        await it.pilot.mouse_down(offset=(rows[first].index("Use"), first))
        await it.pilot.hover(offset=(78, last))
        await it.pilot.mouse_up(offset=(78, last))
        await it.answer("ctrl+c")
        await it.until(lambda: it.app.clipboard)
        assert it.app.clipboard == (
            "Use du and sort, which is a sentence that is long enough to be broken in two on"
            " this screen, whatever its width may be in the end:\n\nsh\ndu -ah /srv | sort -rh"
        )


async def test_what_is_copied_within_tmux_is_handed_to_tmux(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "tmux"
    fake.write_text(f'#!/bin/sh\nprintf "%s " "$@" > {tmp_path}/words\ncat > {tmp_path}/text.new\n'
                    f"mv {tmp_path}/text.new {tmp_path}/text\n")  # fmt: skip
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,1,0")
    async with desk(world(("how?", "So — “ü”."))) as it:
        await open_chat(it, "So —")
        await it.press("ctrl+t", "y")
        await it.until((tmp_path / "text").exists)
    assert (tmp_path / "text").read_text() == "So — “ü”."
    assert (tmp_path / "words").read_text().split() == ["load-buffer", "-w", "-"]


# --- walking --------------------------------------------------------------------------------------


def selected(it: Desk) -> int:
    return it.app.screen.query_one(Transcript).selected


async def test_turns_are_walked_through_with_the_keys() -> None:
    tall = "\n\n".join(f"Paragraph {n}." for n in range(40))
    async with desk(world(("one", "1"), ("two", tall), ("three", "3"))) as it:
        await open_chat(it, "› three")
        await it.press("ctrl+t")
        assert selected(it) == 2
        await it.press("k")
        assert selected(it) == 1
        await it.sees("Paragraph 39.")
        for _ in range(60):
            await it.press("k")
        assert selected(it) == 0
        await it.sees("› one", "Paragraph 0.")
        await it.press("j")
        assert selected(it) == 1
        for _ in range(60):
            await it.press("j")
        assert selected(it) == 2
        await it.sees("› three")
        await it.press("g")
        await it.sees("› one")
        await it.press("enter")
        assert it.app.focused is it.app.screen.query_one("#prompt")
        await it.press("pagedown", "pagedown", "pagedown", "pagedown")
        await it.sees("› three")


async def test_a_long_past_is_there_at_once_and_its_beginning_when_it_is_reached() -> None:
    made = world(*((f"question {n}", f"**answer** {n}\n\nmore") for n in range(260)))
    async with desk(made) as it:
        await open_chat(it, "› question 259", "over 100 turns")
        await it.press("ctrl+t", "g")
        await it.sees("200 turns")
        await it.press("g")
        await it.sees("260 turns")
        assert "over" not in it.screen_text.split("\n")[1]
        await it.press("g")
        await it.sees("› question 0 ", "answer 0")
        await it.press("G")
        await it.sees("› question 259", "answer 259")
        assert [r.before for r in it.engine.requests(TURNS)] == [None, 161, 61]


async def test_who_reads_back_is_not_carried_off_by_what_is_written() -> None:
    made = world(*((f"question {n}", "a\n\nb\n\nc") for n in range(30)))
    made.go_on = asyncio.Semaphore(0)
    made.pieces = ["line\n\n"] * 40
    async with desk(made) as it:
        await open_chat(it, "› question 29")
        await ask(it, "go", sees="● reading the prompt")
        await it.press("pageup", "pageup", "pageup")
        await it.sees("› question 18")
        before = [row[:100] for row in it.screen_text.split("\n")[2:25]]
        for _ in range(40):
            made.go_on.release()
        await it.until(lambda: made.turns[-1].status == "done")
        await it.loses("● answering")
        assert [row[:100] for row in it.screen_text.split("\n")[2:25]] == before
        await it.press("ctrl+t", "G")
        await it.sees("40 tok")


async def test_another_size_keeps_everything_in_its_place() -> None:
    made = world(*((f"question {n}", "word " * 60) for n in range(30)))
    async with desk(made) as it:
        await open_chat(it, "› question 29")
        await it.pilot.resize_terminal(70, 24)
        await it.sees("› question 29")
        rows = it.screen_text.split("\n")
        assert all(len(row) <= 70 for row in rows)
        assert "✓" in "".join(rows[-6:])
