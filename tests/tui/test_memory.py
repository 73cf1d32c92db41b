"""Memory: found while one types, read page by page, corrected, forgotten only after a yes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from arcanum_tui.screens.memory import Memories
from arcanum_tui.state.memories import one_line, understood
from engine.contract import recall
from engine.contract.base import PathRef
from engine.contract.errors import Failed, NotFound
from engine.contract.memories import Forget
from tests.fakes.fake_client import FakeEngine
from tests.fakes.fake_memories import remembering
from tests.fakes.fake_world import NOW, World
from tests.fakes.sample import lived_in
from tests.tui.desk import Desk, desk


def _world() -> World:
    return remembering(lived_in())


async def _memory(it: Desk) -> Memories:
    await it.press("5")
    await it.sees("MEMORIES  main")
    screen = it.app.screen
    assert isinstance(screen, Memories)
    return screen


async def _put_away(it: Desk) -> None:
    """The cursor on what was archived."""
    await _memory(it)
    await it.press("G", "up")
    await it.sees("#9 · note of main")


async def _find(it: Desk, text: str) -> None:
    await _memory(it)
    await it.press("slash")
    await it.type(text)
    await it.sees("FOUND  main")


# --- looking --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_the_timeline_is_the_newest_first_and_the_selected_one_is_read(
    size: tuple[int, int],
) -> None:
    async with desk(_world(), size=size) as it:
        await _memory(it)
        await it.sees("8 memories", "□  note", "↻  you", "bike.md", "Caroline", "★  note", "✕  you")
        await it.press("down", "down")
        await it.sees("#8 · turn of main", "turn #2 of the conversation main")
        await it.sees("used 5 times, 2 h ago", "of: My bike is red. · 4 May (#4)")
        await it.press("G", "up")
        await it.sees("#9 · note of main", "□ archived: unused for long", "b brings it back")
        assert all(len(line) == size[0] for line in it.screen_text.split("\n"))


async def test_what_is_typed_is_found_while_it_is_typed() -> None:
    async with desk(_world()) as it:
        await _memory(it)
        await it.press("slash")
        await it.paste_keys("turquoise bike")  # As fast as they can be typed.
        await it.sees("FOUND  main")
        await it.sees("4 found", "2.40   8 Nov  ↻  you", "words", "1.20", "neighbours", "0.36")
        request = it.engine.requests(recall.SEARCH)[-1]
        assert (request.query, request.namespace) == ("turquoise bike", "main")
        # One request for a word that was typed in one go, not one for each letter.
        assert len(it.engine.requests(recall.SEARCH)) < 4


async def test_the_latest_query_wins_however_late_the_others_are_answered() -> None:
    engine = FakeEngine(_world())
    async with desk(engine=engine) as it:
        await _memory(it)
        engine.held[recall.SEARCH.name] = late = asyncio.Event()
        await it.press("slash")
        await it.type("shed")
        await it.until(lambda: engine.requests(recall.SEARCH))
        await it.press(*["backspace"] * 4)
        await it.type("peas")
        await it.until(lambda: engine.requests(recall.SEARCH)[-1].query == "peas")
        # Typing went on all the while.
        await it.sees("  peas")
        late.set()
        await it.sees("1 found", "The peas are sown in March.")
        await it.loses("The lock of the shed")


async def test_down_goes_to_the_hits_and_escape_clears_and_then_leaves() -> None:
    async with desk(_world()) as it:
        await _find(it, "bike")
        await it.press("down", "down")
        await it.sees("#7 · document of main")
        await it.answer("escape")
        await it.sees("MEMORIES  main  8 memories")
        assert it.app.current_mode == "memory"
        await it.answer("escape")
        await it.until(lambda: it.app.current_mode == "overview")


async def test_what_a_query_was_understood_to_ask_for_is_said_and_what_is_missing() -> None:
    world = _world()
    world.memories.since = datetime(2023, 5, 1, tzinfo=UTC)
    world.memories.until = datetime(2023, 5, 9, tzinfo=UTC)
    world.memories.partial = "found by words alone: the model that tells meanings is loading"
    async with desk(world, size=(80, 24)) as it:
        await _find(it, "Caroline in May 2023")
        await it.sees(
            "understood: 1 May – 8 May 2023 weighs more", "! found by words alone: the model"
        )
        await it.answer("escape")
        await it.loses("understood:")


async def test_nothing_found_and_nothing_remembered_say_what_to_do() -> None:
    async with desk(World()) as it:
        await _memory(it)
        await it.sees(
            "Nothing is remembered here yet. Tell Agent-0 something (c), n", "follows a folder."
        )
        await it.answer("p")
        await it.sees("There is no memory selected: n writes one down.")
        await it.press("slash")
        await it.type("unicorn")
        await it.sees("Nothing like that is remembered here: Esc shows all.")


async def test_a_room_that_is_down_costs_this_panel_alone_and_comes_back() -> None:
    engine = FakeEngine(_world())
    engine.broken[recall.LIST.name] = Failed("The index is damaged.", "It is made anew.")
    async with desk(engine=engine) as it:
        await _memory(it)
        await it.sees("✗ It did not work: The index is damaged. It is made anew.")
        del engine.broken[recall.LIST.name]
        engine.broken[recall.SEARCH.name] = Failed("No words today.")
        await it.press("slash")
        await it.type("bike")
        await it.sees("✗ It did not work: No words today.")
        await it.answer("escape")
        await it.sees("8 memories", "My bike is red.")


async def test_what_was_read_stays_while_the_engine_is_away_and_is_read_again_when_it_is_back() -> (
    None
):
    engine = FakeEngine(_world())
    async with desk(engine=engine) as it:
        await _memory(it)
        await it.sees("8 memories")
        engine.go_down()
        await it.sees("✗ lost", "My bike is red.")
        engine.world.memories.put("main", "Nobody told of this.")
        engine.up = True
        await it.press("r")
        await it.sees("● live", "Nobody told of this.")


async def test_a_namespace_that_there_is_none_of_yet_is_no_failure() -> None:
    engine = FakeEngine(World())
    engine.broken[recall.LIST.name] = NotFound("Nothing is remembered under 'main'.")
    async with desk(engine=engine) as it:
        await _memory(it)
        await it.sees("Nothing is remembered under 'main'. Tell Agent-0 something (c)")


async def test_many_are_read_by_page_each_after_the_one_before() -> None:
    world = World()
    for index in range(1_000):
        world.memories.put("main", f"fact {index:04d}")
    async with desk(world) as it:
        await _memory(it)
        await it.sees("1,000 memories", "fact 0999")
        assert len(it.engine.requests(recall.LIST)) == 1
        await it.press("G")
        await it.sees("fact 0000", "of 1,000")
        assert [r.before for r in it.engine.requests(recall.LIST)] == [
            None, *(str(100 * page) for page in range(1, 10)),
        ]  # fmt: skip
        await it.press("g")
        await it.sees("fact 0999", "#1000 · note")


async def test_what_comes_in_meanwhile_is_shown_and_the_cursor_stays_on_its_own() -> None:
    async with desk(_world()) as it:
        await _memory(it)
        await it.press("down", "down")
        await it.sees("#8 · turn of main")
        for index in range(3):
            made = it.world.memories.put("main", f"Another fact, {index}.")
            it.world.memories.tell("added", made.id, namespace="main")
        await it.sees("11 memories", "Another fact, 2.")
        await it.sees("#8 · turn of main")
        # However many changed, they were read again once or twice.
        assert len(it.engine.requests(recall.LIST)) <= 3


async def test_the_index_tells_how_far_it_is_behind() -> None:
    async with desk(_world()) as it:
        await _memory(it)
        moved = recall.IndexMoved(index="building", waiting=1_204, to_embed=0, at=NOW)
        it.world.emit(moved)
        await it.sees("index: 1,204 waiting")
        it.world.emit(moved.model_copy(update={"index": "ready", "waiting": 0}))
        await it.loses("index:")


# --- where and which ------------------------------------------------------------------------------


async def test_another_namespace_is_looked_into() -> None:
    async with desk(_world()) as it:
        await _memory(it)
        await it.answer("ctrl+o")
        await it.sees("Look into which?", "garden", "conversation", "★ 1 pinned", "2 memories")
        await it.type("gard")
        await it.answer("enter")
        await it.sees("MEMORIES  garden  2 memories", "When do I sow peas?")
        assert it.engine.requests(recall.LIST)[-1].namespace == "garden"


async def test_the_namespace_follows_the_conversation_until_one_is_chosen() -> None:
    async with desk(_world()) as it:
        await _memory(it)
        it.app.converse("garden")
        await it.press("1", "5")
        await it.sees("MEMORIES  garden", "When do I sow peas?")


async def test_f_shows_only_some() -> None:
    async with desk(_world()) as it:
        await _memory(it)
        for shown, seen in (
            ("pinned", "garden: note"), ("notes", "weather in Lyon"), ("documents", "3.5 bar"),
            ("turns", "What colour is my bike?"), ("archived", "weather in Lyon"),
            ("merged", "Nothing here is only merged"), ("replaced", "My bike is red."),
        ):  # fmt: skip
            await it.answer("f")
            await it.sees(f"only {shown}", seen)
        await it.answer("f")
        await it.loses("only")


async def test_only_some_of_what_was_found() -> None:
    async with desk(_world()) as it:
        await _find(it, "the")
        await it.press("enter")
        await it.answer("f")
        await it.sees("2 found · only pinned", "garden: note")
        for _ in range(4):
            await it.answer("f")
        await it.sees("1 found · only archived", "weather in Lyon")
        await it.answer("f")
        await it.sees("0 found · only merged", "What was merged is not searched")
        await it.answer("f")
        await it.sees("0 found · only replaced", "What was replaced is not searched")
        asked = [(r.pinned, r.kind, r.state, r.limit) for r in it.engine.requests(recall.SEARCH)]
        assert asked[-5:] == [
            (True, None, None, 50), (False, "note", None, 50), (False, "document", None, 50),
            (False, "turn", None, 50), (False, None, "archived", 50),
        ]  # fmt: skip


# --- one memory -----------------------------------------------------------------------------------


async def test_enter_opens_it_with_what_stood_around_it_and_leads_to_the_conversation() -> None:
    async with desk(_world()) as it:
        await _find(it, "painted")
        await it.press("enter")
        await it.answer("enter")
        await it.sees("› 8 Nov", "Caroline went to the support group", "the valve is a Presta")
        assert it.engine.requests(recall.SHOW)[-1].id == 8
        await it.answer("c")
        await it.until(lambda: it.app.current_mode == "agent")
        await it.sees("AGENT-0  main")


async def test_what_stood_around_it_may_be_unknown() -> None:
    async with desk(_world()) as it:
        it.engine.broken[recall.SHOW.name] = Failed("It cannot be read.", "Later, perhaps.")
        await _put_away(it)
        await it.answer("enter")
        await it.sees("We talked about the weather", "✗ It did not work: It cannot be read.")
        await it.answer("c")
        await it.sees("It was never said in a conversation.")


async def test_p_pins_and_unpins() -> None:
    async with desk(_world()) as it:
        await _put_away(it)
        await it.answer("p")
        await it.sees("#9 is seen from every namespace from now on.", "★ pinned: seen from every")
        await it.answer("p")
        await it.sees("#9 is seen in main alone from now on.")
        await it.loses("★ pinned: seen from every")
        assert [(r.id, r.off) for r in it.engine.requests(recall.PIN)] == [(9, False), (9, True)]


async def test_e_corrects_and_keeps_what_it_said() -> None:
    world = _world()
    world.memories.change(9, text="one\ntwo", state="live")
    async with desk(world) as it:
        await _put_away(it)
        await it.answer("e")
        await it.sees("Edit #9", "is kept as what was replaced")
        await it.type(", three")
        await it.answer("enter")
        await it.until(lambda: it.engine.requests(recall.EDIT))
        request = it.engine.requests(recall.EDIT)[0]
        assert (request.id, request.text) == (9, "one\ntwo, three")
        await it.sees("two, three", "of: one two")


async def test_n_writes_a_note_down_with_its_line_breaks() -> None:
    async with desk(_world()) as it:
        await _memory(it)
        await it.answer("n")
        await it.sees("A note for main")
        await it.paste("The boiler is bled\nin October.")
        await it.pilot.pause(0.7)
        await it.answer("enter")
        await it.until(lambda: it.engine.requests(recall.ADD))
        request = it.engine.requests(recall.ADD)[0]
        assert request.namespace == "main"
        assert [note.text for note in request.notes] == ["The boiler is bled\nin October."]
        await it.sees("Remembered in main, as #11.", "The boiler is bled in October.")


async def test_x_forgets_nothing_before_the_card_is_answered() -> None:
    async with desk(_world()) as it:
        await _put_away(it)
        await it.answer("x")
        await it.sees("▲ #5 forget memory #9 waits for you", "Nothing is touched yet")
        await it.sees("#5 FORGET")
        assert it.app.current_mode == "approvals"
        assert it.engine.requests(recall.FORGET)[0].ids == (9,)
        assert 9 in it.world.memories.all


async def test_b_brings_back_what_was_put_away() -> None:
    async with desk(_world()) as it:
        await _put_away(it)
        await it.answer("b")
        await it.sees("1 memory brought back.")
        await it.loses("□ archived")
        await it.answer("b")
        await it.sees("#9 is here: there is nothing to bring back.")
        assert [r.ids for r in it.engine.requests(recall.RESTORE)] == [(9,)]


async def test_an_error_says_what_happened_and_what_to_do() -> None:
    async with desk(_world()) as it:
        it.engine.broken[recall.PIN.name] = Failed("It cannot be pinned.", "Pin #8.")
        await _memory(it)
        await it.answer("p")
        await it.sees("✗ It did not work", "It cannot be pinned.", "Pin #8.")


# --- all of it ------------------------------------------------------------------------------------


async def test_s_tells_how_all_of_it_stands() -> None:
    async with desk(_world()) as it:
        await _memory(it)
        await it.answer("s")
        await it.sees("What is remembered", "10 · 8 live, 1 replaced, 1 archived, 2 pinned")
        await it.sees("✓ ready · 0 waiting", "minilm-l6-v2 · 384 numbers each", "none: w watches")


async def test_w_follows_a_folder_and_no_longer(tmp_path: Path) -> None:
    (tmp_path / "my notes").mkdir()
    async with desk(_world()) as it:
        await _memory(it)
        await it.answer("w")
        await it.sees("No folder yet. n remembers one")
        await it.answer("n")
        await it.sees("Remember a folder", "Which folder?")
        await it.press("home", "ctrl+k")
        await it.paste(f"{tmp_path}/my n")
        await it.until(lambda: it.app.screen.query_one("#box-input")._suggestion)  # type: ignore[attr-defined]
        await it.press("right")
        await it.answer("enter")
        await it.sees("Into which namespace?")
        await it.answer("enter")
        await it.until(lambda: it.engine.requests(recall.WATCH))
        request = it.engine.requests(recall.WATCH)[0]
        assert (request.path, request.namespace) == (PathRef.of(tmp_path / "my notes"), "main")
        await it.sees("1 folder", "● reading")
        it.world.memories.read_folder(3, 17)
        await it.sees("✓ ok", "3 files", "17 passages")
        bad = [(f"{n}.pdf", "it is encrypted") for n in range(3)]
        it.world.memories.read_folder(3, 17, *bad)
        await it.sees("! 3 files not read", "0.pdf", "2.pdf", "it is encrypted")
        await it.answer("end")  # On a file of the folder it is the folder that is meant.
        await it.answer("x")
        await it.sees("No folder yet. n remembers one")
        assert it.engine.requests(recall.UNWATCH)[0].path == request.path
        await it.sees("f erases it from the copies in backups, too")
        await it.answer("f")
        await it.sees("forget what files no longer say waits for you", "Nothing is touched yet")
        assert it.engine.requests(recall.FORGET) == [Forget(gone=True)]


async def test_what_became_of_memories_is_news_and_leads_there() -> None:
    async with desk(_world()) as it:
        it.world.memories.tell("added", 1, namespace="main")
        it.world.memories.tell("imported", *range(1, 5), namespace="garden")
        it.world.memories.tell("forgotten", 2)
        await it.sees("4 memories imported", "1 memory forgotten for good")
        assert sum(e.kind == "recall.memory_changed" for e in it.app.state.recent) == 2
        it.app.follow("memory/garden")
        await it.sees("MEMORIES  garden")


# --- hostile text ---------------------------------------------------------------------------------

NASTY = "[bold]fat[/] \x1b[2J\x1b]0;t\x07 abc\u202egpj.exe\u2066 映画 🎬 two\r\nlines\ttab "


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_hostile_text_is_shown_and_nothing_more(size: tuple[int, int]) -> None:
    world = World()
    long = NASTY + "x" * 10_000
    world.memories.put("main", long, speaker=NASTY[:30], source=NASTY, ref=NASTY, pinned=True)
    world.memories.partial = NASTY
    async with desk(world, size=size) as it:
        await _memory(it)
        await it.sees("[bold]fat[/] \\x1b[2J")
        await it.press("slash")
        await it.type("fat")
        await it.sees("1 found")
        for _ in range(20):
            await it.press("enter", "J")
        for key, mark in (("enter", "FROM"), ("G", "xxxx")):
            await it.answer(key)
            await it.sees(mark)
            text = it.screen_text
            assert all(c.isprintable() or c == "\n" for c in text)
            assert len(text.split("\n")) == size[1]
        await it.answer("escape")
        await it.answer("e")
        await it.sees("Edit #1")
        assert it.app.is_running


async def test_a_long_one_is_read_to_its_end() -> None:
    world = World()
    world.memories.put("main", " ".join(f"word{n}" for n in range(2_000)))
    async with desk(world, size=(80, 24)) as it:
        await _memory(it)
        await it.sees("NOTED", "word0", "J K", " of ")
        for _ in range(120):
            await it.press("J")
        await it.sees("word1999")


# --- words ----------------------------------------------------------------------------------------


def test_a_time_is_told_as_people_write_it() -> None:
    at = datetime(2023, 5, 1, tzinfo=UTC)
    days = timedelta(days=1)
    assert understood(None, None) == ""
    assert understood(at, at + 8 * days) == "1 May – 8 May 2023"
    assert understood(at, at + days) == "1 May 2023"
    assert understood(at - 200 * days, at) == "13 Oct 2022 – 30 Apr 2023"
    assert understood(at, None) == "from 1 May 2023 on"
    assert understood(None, at) == "before 1 May 2023"
    hour = timedelta(hours=6)
    assert understood(at + hour, at + 2 * hour) == "1 May 2023 06:00 – 12:00"


def test_a_row_holds_one_short_line_of_any_text() -> None:
    assert one_line("  two\r\n lines\t ") == "two lines"
    assert len(one_line("x" * 100_000)) == 401
