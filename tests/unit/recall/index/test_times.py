"""Questions about a time prefer what was said then."""

from __future__ import annotations

import time

from tests.unit.recall.index_house import IndexHouse

DAY = 86_400.0


def test_a_question_about_a_time_prefers_what_was_said_then(truth: IndexHouse) -> None:
    now = time.time()
    old = truth.note("The river walk was lovely.", at=now - 400 * DAY)
    new = truth.note("The river walk was lovely again.", at=now - DAY)
    with truth.work() as work:
        truth.settle(work)
        assert truth.search(work, "the river walk yesterday")[0] == new
        assert truth.search(work, "the river walk last year")[0] == old


def test_before_and_after_an_event(truth: IndexHouse) -> None:
    now = time.time()
    early = truth.note("I work at the bakery.", at=now - 300 * DAY)
    truth.note("The move to Porto is done.", at=now - 200 * DAY)
    late = truth.note("I work at the harbour.", at=now - 100 * DAY)
    with truth.work() as work:
        truth.settle(work)
        assert truth.search(work, "where did I work before the move?")[0] == early
        assert truth.search(work, "where did I work after the move?")[0] == late
