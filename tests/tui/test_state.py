"""The pure parts: rows that fit, folds, pages, key times, places of panels."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from arcanum_tui.keys import ALONE_S, COOL_S, CROWD, EARLY, SETTLED_S, KeyTimes
from arcanum_tui.state import arrange, fold
from arcanum_tui.state.grid import Column, Piece, Row, draw, fit, widths, wrap
from arcanum_tui.state.media import library_row
from arcanum_tui.state.model import Link, State
from arcanum_tui.state.pages import KEPT, Pages
from arcanum_tui.state.text import ago, bar, clean, number, size, spark, until
from engine.contract import approvals, media
from engine.contract.base import visible
from engine.contract.events import Event
from tests.fakes.fake_world import NOW, World
from tests.fakes.sample import lived_in

# --- text ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (20_971_520, "21 MB"),
        (198_000_000_000, "198 GB"), (999_600_000, "1.0 GB"), (1_090_000_000_000, "1.1 TB"),
    ],
)  # fmt: skip
def test_sizes_are_short(count: int, text: str) -> None:
    assert size(count) == text


def test_times_are_told_in_their_largest_unit() -> None:
    assert [ago(NOW - timedelta(seconds=s), NOW) for s in (0, 61, 3600, 90_000, 700_000)] == [
        "0 s", "61 s", "60 m", "25 h", "8 d",
    ]  # fmt: skip
    assert until(NOW + timedelta(hours=22), NOW) == "22 h"
    assert until(NOW - timedelta(hours=1), NOW) == "now"


def test_bars_and_sparklines_have_their_width() -> None:
    assert bar(0.0, 4) == "░░░░"
    assert bar(0.001, 4) == "█░░░"
    assert bar(1.7, 4) == "████"
    assert spark([0, 50, 100, None], 6, 100.0) == "  ▁▅█·"


@given(st.text())
def test_clean_text_has_nothing_that_a_terminal_would_obey(text: str) -> None:
    made = clean(text)
    assert made == visible(text)
    assert clean(made) == made


@given(st.text(), st.integers(1, 60))
def test_fitted_text_is_as_wide_as_asked(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) == width


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"])), st.integers(2, 40))
def test_wrapped_lines_fit_and_lose_nothing_but_spaces(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == clean(text).replace(" ", "")


@given(st.lists(st.text(max_size=30), min_size=3, max_size=3), st.integers(10, 120))
def test_a_row_never_overflows_where_its_last_columns_may_go(texts: list[str], room: int) -> None:
    columns = (Column(most=8), Column(grow=True, least=2), Column(most=20, rank=1))
    row = Row(tuple(Piece(t) for t in texts))
    pieces = draw(row, columns, widths(columns, [row], room))
    assert sum(cell_len(p.text) for p in pieces) <= max(room, 12)


# --- panels -------------------------------------------------------------------------------------


@given(
    st.integers(60, 250),
    st.integers(18, 80),
    st.lists(st.integers(0, 40), min_size=6, max_size=6),
)
def test_panels_fit_and_do_not_overlap(width: int, height: int, counts: list[int]) -> None:
    rows = dict(
        zip(("needs", "broken", "since", "storage", "jobs", "machines"), counts, strict=False)
    )
    boxes = arrange.overview(width, height, rows)
    taken: set[tuple[int, int]] = set()
    for name, box in boxes.items():
        assert box.x >= 0
        assert box.x + box.width <= width, name
        assert box.y >= 0
        assert box.y + box.height <= height, name
        cells = {
            (x, y)
            for x in range(box.x, box.x + box.width)
            for y in range(box.y, box.y + box.height)
        }
        assert not taken & cells, name
        taken |= cells
    assert boxes["needs"].height >= 1 + min(counts[0], 3 if height > 24 else 1)


# --- folding ------------------------------------------------------------------------------------


def _events(world: World) -> list[Event]:
    return list(world.log)


def test_folding_the_log_gives_what_the_engine_lists() -> None:
    world = lived_in()
    state = State(link=Link("live"))
    for event in _events(world):
        state, _ = fold.fold(state, event)
    assert [(a.id, a.state) for a in state.approvals] == [
        (4, "pending"), (3, "pending"), (2, "denied"), (1, "done"),
    ]  # fmt: skip
    assert [(j.id, j.state) for j in state.jobs] == [(1, "running"), (2, "done")]
    assert state.seq == world.seq
    assert [a.id for a in state.pending] == [4, 3]
    undoable = state.undoable(NOW)
    assert undoable is not None
    assert undoable.id == 1
    assert state.undoable(NOW + timedelta(days=30)) is None


def test_an_event_that_the_snapshot_holds_is_remembered_and_not_folded_again() -> None:
    world = lived_in()
    after = State(seq=world.seq)
    for event in _events(world):
        after, stale = fold.fold(after, event)
        assert stale == frozenset()
    assert after.approvals == ()
    assert len(after.recent) == world.seq
    again, _ = fold.fold(after, _events(world)[0])
    assert again.recent == after.recent


def test_events_say_which_results_must_be_read_again() -> None:
    _, stale = fold.fold(State(), media.LibraryAdded(library="films", seq=1))
    assert stale == {"media.libraries", "quota.show", "engine.status"}


def test_a_library_that_no_list_has_shown_yet_appears_with_its_first_numbers() -> None:
    world = World()
    world.set_library("films", 1, 10)
    changed = media.LibraryChanged(library=world.libraries["films"])
    state, _ = fold.fold(State(), changed)
    assert [lib.name for lib in state.libraries] == ["films"]
    state, _ = fold.fold(state, media.LibraryRemoved(library="films", seq=1))
    assert state.libraries == ()


def test_what_cannot_be_read_does_not_wait_to_be_hashed() -> None:
    library = (
        lived_in()
        .libraries["films"]
        .model_copy(update={"pending": 3, "unread": 3, "unreadable": 4, "note": ""})
    )
    told = library_row(library, None, State(), NOW).cells[-1].text
    assert "! 4 unreadable" in told
    assert "to hash" not in told
    library = library.model_copy(update={"pending": 4})
    assert "1 to hash" in library_row(library, None, State(), NOW).cells[-1].text


def test_progress_is_forgotten_when_the_execution_ends() -> None:
    world = lived_in()
    running = world.change_approval(3, state="executing")
    state, _ = fold.fold(State(), world.log[-1])
    state, _ = fold.fold(state, approvals.ApprovalProgressed(id=3, done=2, total=14))
    assert state.progress[3].done == 2
    world.change_approval(running.id, state="done")
    state, _ = fold.fold(state, world.log[-1])
    assert 3 not in state.progress


# --- pages --------------------------------------------------------------------------------------


def test_pages_are_reached_one_after_the_other_and_only_some_are_kept() -> None:
    wanted: list[int] = []
    pages: Pages[int] = Pages(10, 1, wanted.append, lambda i: Row((Piece(str(i)),), str(i)))
    pages.total = 1000
    assert pages.row(777).cells[0].text == "…"
    assert wanted == [77]
    while not pages.has(77):
        at, after = pages.next_to_read(77)
        assert after == (None if at == 0 else str(at))
        pages.put(at, range(at * 10, at * 10 + 10), 1000, str(at + 1))
    assert pages.row(777).cells[0].text == "777"
    assert not pages.has(77 - KEPT)
    assert pages.next_to_read(3) == (3, "3")
    assert number(len(pages)) == "1,000"


# --- keys ---------------------------------------------------------------------------------------


def test_a_key_alone_on_a_settled_card_is_an_answer() -> None:
    keys = KeyTimes()
    keys.note(10.0)
    assert keys.objection(10.0, 10.0 - SETTLED_S) == ""


@pytest.mark.parametrize("painted", [None, 10.0, 10.0 - SETTLED_S + 0.01, 11.0])
def test_a_key_before_the_card_was_painted_or_settled_is_early(painted: float | None) -> None:
    keys = KeyTimes()
    keys.note(10.0)
    assert keys.objection(10.0, painted) == EARLY


def test_a_key_with_company_is_a_crowd_before_and_after() -> None:
    keys = KeyTimes()
    keys.note(10.0)
    assert keys.objection(10.0, 1.0) == ""
    keys.note(10.0 + ALONE_S / 2)
    assert keys.objection(10.0, 1.0) == CROWD
    assert keys.objection(10.0 + ALONE_S / 2, 1.0) == CROWD


def test_after_a_paste_no_key_answers_for_a_while() -> None:
    keys = KeyTimes()
    keys.note_paste(10.0)
    keys.note(10.0 + COOL_S - 0.01)
    assert keys.objection(10.0 + COOL_S - 0.01, 1.0) == CROWD
    keys.note(10.0 + COOL_S + 0.1)
    assert keys.objection(10.0 + COOL_S + 0.1, 1.0) == ""


@given(st.lists(st.floats(0.0, ALONE_S * 0.99), min_size=1, max_size=50))
def test_no_key_of_a_burst_is_ever_an_answer(gaps: list[float]) -> None:
    keys, at, times = KeyTimes(), 100.0, [100.0]
    for gap in gaps:
        at += gap
        times.append(at)
    for time in times:
        keys.note(time)
    assert all(keys.objection(time, 0.0) == CROWD for time in times)
