"""The time that a question asks for."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.recall.index.moments import Event, Window, asked_for

NOW = datetime(2026, 11, 25, 15, 0).astimezone().timestamp()  # a Wednesday


def days(query: str) -> tuple[str | None, str | None]:
    found = asked_for(query, NOW)
    assert isinstance(found, Window), found
    return tuple(  # type: ignore[return-value]
        None if at is None else f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d}"
        for at in (found.since, found.until)
    )


@pytest.mark.parametrize(
    ("query", "since", "until"),
    [
        ("What did I say yesterday?", "2026-11-24", "2026-11-25"),
        ("What happened last week?", "2026-11-16", "2026-11-23"),
        ("this week's plans", "2026-11-23", "2026-11-30"),
        ("last weekend", "2026-11-21", "2026-11-23"),
        ("last Tuesday", "2026-11-24", "2026-11-25"),
        ("last Wednesday", "2026-11-18", "2026-11-19"),
        ("last month", "2026-10-01", "2026-11-01"),
        ("last year", "2025-01-01", "2026-01-01"),
        ("two weeks ago", "2026-11-08", "2026-11-15"),
        ("in the past three days", "2026-11-22", "2026-11-26"),
        ("Who came on May 3, 2023?", "2023-05-03", "2023-05-04"),
        ("on 3rd of May 2023", "2023-05-03", "2023-05-04"),
        ("on 2023-05-03", "2023-05-03", "2023-05-04"),
        ("in June 2023", "2023-06-01", "2023-07-01"),
        ("in December", "2025-12-01", "2026-01-01"),
        ("in 2022", "2022-01-01", "2023-01-01"),
        ("before May 2023", None, "2023-05-01"),
        ("after May 2023", "2023-06-01", None),
        ("since June 2023", "2023-06-01", None),
        ("on 29 February 2024", "2024-02-29", "2024-03-01"),
    ],
)
def test_times_in_words(query: str, since: str | None, until: str | None) -> None:
    assert days(query) == (since, until)


def test_an_event_is_looked_up() -> None:
    assert asked_for("Where did I work before the move?", NOW) == Event(True, "the move")
    assert asked_for("What did she say after my wedding?", NOW) == Event(False, "my wedding")


@pytest.mark.parametrize(
    "query",
    ["What colour is my bike?", "May I ask?", "on 31 February 2024", "in 0000", "9999-99-99"],
)
def test_what_names_no_time(query: str) -> None:
    assert asked_for(query, NOW) is None


@given(st.text(max_size=200), st.floats(0, 4e9))
def test_any_query_is_read_without_harm(query: str, now: float) -> None:
    asked_for(query, now)


@given(
    st.sampled_from(["day", "week", "month", "year"]),
    st.integers(0, 999),
    st.floats(0, 4e9),
)
def test_any_count_is_a_time_or_none(unit: str, count: int, now: float) -> None:
    asked_for(f"{count} {unit}s ago", now)
    asked_for(f"in the last {count} {unit}s", now)
