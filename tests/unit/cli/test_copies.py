"""What a page of duplicates says of files that nobody could compare."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from arcanum_tui.cli.copies import show
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.groups import same
from engine.contract.copies import DuplicatePage, DuplicateTotals
from tests.unit.cli.answers import Answers


def page(*, pending: int = 0, candidates: int = 0, unread: int = 0) -> DuplicatePage:
    return DuplicatePage(
        groups=(),
        totals=DuplicateTotals(groups=0, copies=0, frees=0),
        not_duplicates=0,
        pending=pending,
        candidates=candidates,
        unread=unread,
        as_of=datetime(2026, 11, 30, tzinfo=UTC),
    )


def test_what_could_not_be_read_is_said_apart(capsys: pytest.CaptureFixture[str]) -> None:
    show(page(pending=3, candidates=2, unread=1), Terminal())
    said = capsys.readouterr().err
    assert "2 files not hashed yet may be duplicates" in said
    assert "1 file could not be read, and may be duplicates" in said
    note = "".join(
        piece.text for piece in same(page(candidates=2, unread=1), "films", "frees").note
    )
    assert "2 files to compare · 1 unreadable" in note


def test_nothing_is_said_where_everything_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    show(page(), Terminal())
    said = capsys.readouterr()
    assert "read" not in said.out + said.err
    assert "unreadable" not in "".join(piece.text for piece in same(page(), "films", "frees").note)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--near", "--distance", "12"], "distance '12': it should be from 0 to 11"),
        (["--near", "--distance", "-1"], "distance '-1': it should be from 0 to 11"),
        (["--distance", "many"], "distance 'many': it should be a valid integer"),
        (["--limit", "0", "/srv"], "limit '0': it should be from 1 to 500"),
        (["--near", "--limit", "501"], "limit '501': it should be from 1 to 500"),
        (["--near", "--library=a/b"], "must hold no slash"),
    ],
)
def test_what_is_out_of_range_is_wrong_usage_and_says_the_range(
    typed: list[str], said: str, arcanum: Callable[..., Any]
) -> None:
    answers = Answers({})
    ran = arcanum("media", "duplicates", *typed, answers=answers)
    assert ran.code == 64
    assert said in ran.err
    assert not answers.requests
