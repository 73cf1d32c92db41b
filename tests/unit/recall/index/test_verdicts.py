"""Which memory is to take the place of which: told until the truth says so, or it was refused."""

from __future__ import annotations

import time

from tests.unit.recall.index_house import IndexHouse

DAY = 86_400.0


def verdicts(truth: IndexHouse) -> list[tuple[int, int, str]]:
    rows = [frame["rows"] for frame in truth.told if frame["k"] == "verdicts"]
    return [tuple(row) for row in rows[-1]] if rows else []


def test_what_takes_whose_place_is_told(truth: IndexHouse) -> None:
    first = truth.note("My bike is turquoise.", at=0.0)
    again = truth.note("my bikes are turquoise!", at=DAY)
    red = truth.note("My bike is red now.", at=2 * DAY)
    truth.note("My bike is red now.", "b", at=3 * DAY)
    with truth.work() as work:
        truth.settle(work)
        found = verdicts(truth)
        assert {(older, newer) for older, newer, _ in found} >= {(again, red)}
        assert all(newer in {again, red} for _, newer, _ in found)
        assert {older for older, _, _ in found} == {first, again}
        for older, newer, how in found:
            truth.change(older, state=how, replaced_by=newer)
        truth.told.clear()
        truth.settle(work)
        assert verdicts(truth) == []  # what the truth says is not told again
        assert truth.search(work, "bike") == [red]


def test_what_a_person_says_and_notes_is_one_persons_and_nobody_elses(truth: IndexHouse) -> None:
    said = truth.note("My bike is turquoise.", at=0.0, kind="turn", source="chat")
    noted = truth.note("My bike is red now.", at=DAY)
    truth.note("My bike is black now.", at=2 * DAY, speaker="Ann")
    truth.note("My bike is blue now.", at=2 * DAY, kind="document", source="bikes.md")
    truth.note("My bike is green now.", "b", at=2 * DAY)
    tea = truth.note("We drink green tea.", at=0.0)
    truth.note("We drink green tea.", at=DAY, speaker="Ann")
    again = truth.note("We drink green tea!", at=2 * DAY, kind="turn", source="chat")
    with truth.work() as work:
        truth.settle(work)
        assert verdicts(truth) == [(said, noted, "replaced"), (tea, again, "merged")]


def test_the_newer_wins_in_whichever_order_they_came(truth: IndexHouse) -> None:
    red = truth.note("My bike is red now.", at=2 * DAY)
    turquoise = truth.note("My bike is turquoise.", at=0.0)
    with truth.work() as work:
        truth.settle(work)
        assert verdicts(truth) == [(turquoise, red, "replaced")]


def test_a_refused_verdict_is_not_told_again(truth: IndexHouse) -> None:
    first = truth.note("My bike is turquoise.", at=0.0)
    truth.note("My bike is red now.", at=DAY)
    with truth.work() as work:
        truth.settle(work)
        assert verdicts(truth)
        work.settled({"older": [first]})
        truth.told.clear()
        truth.note("Something else.")
        truth.settle(work)
        assert verdicts(truth) == []


def test_a_time_to_come_wins_nothing(truth: IndexHouse) -> None:
    never = truth.note("My bike is red.", at=time.time() + 365 * DAY)
    said = truth.note("My bike is turquoise.", at=time.time())
    with truth.work() as work:
        truth.settle(work)
        assert verdicts(truth) == [(never, said, "replaced")]
