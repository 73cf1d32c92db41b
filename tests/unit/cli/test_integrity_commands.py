"""What ``media verify``, ``damaged`` and ``history`` answer with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from arcanum_tui.cli.integrity import show_verified, sound, verified
from arcanum_tui.cli.terminal import Terminal
from engine.contract.base import PathRef
from engine.contract.integrity import Compared, Damaged, DamagedPage, GoodCopy, VerifyResult

AT = datetime(2026, 11, 29, tzinfo=UTC)
BAD = Damaged(
    library="films",
    id=1,
    path=PathRef.of(b"dune\x1b[1m"),
    size=5,
    damage="rotten",
    blake3="0b",
    reason="its BLAKE3 is now 0c",
    since=AT,
    copies=(GoodCopy(library="backup", path=PathRef.of(b"dune"), checked_at=AT),),
)


def result(**values: Any) -> VerifyResult:
    numbers = dict.fromkeys(
        ("checked", "checked_bytes", "intact", "rotten", "unreadable", "mended", "edited"), 0
    )
    plain: dict[str, Any] = {"library": "films", "refused": 0, "pending": 0, "seconds": 1.0}
    return VerifyResult(**{**numbers, **plain, "damaged": (), "troubles": (), **values})


def listed(**values: int) -> Compared:
    numbers = dict.fromkeys(("differing", "missing", "extra", "unreadable", "bad_lines"), 0)
    return Compared(**{**numbers, "entries": 3, "matching": 3, **values})


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({}, 0),
        ({"edited": 3, "mended": 1}, 0),
        ({"pending": 1}, 1),
        ({"rotten": 1}, 2),
        ({"unreadable": 1}, 2),
        ({"refused": 1, "pending": 1}, 2),
        ({"compared": listed()}, 0),
        ({"compared": listed(extra=1)}, 1),
        ({"compared": listed(matching=2, missing=1)}, 2),
        ({"compared": listed(bad_lines=1)}, 2),
        ({"compared": listed(), "rotten": 1}, 2),
    ],
)
def test_the_exit_code_says_how_it_stands(values: dict[str, Any], code: int) -> None:
    assert verified(result(**values)) == code


def test_damage_is_shown_with_its_good_copy(capsys: pytest.CaptureFixture[str]) -> None:
    show_verified(result(rotten=1, damaged=(BAD,)), Terminal())
    told = capsys.readouterr().out
    assert "✗ films: 1 damaged" in told
    assert "good copy  backup: dune" in told
    assert "\x1b" not in told
    assert sound(DamagedPage(damaged=(BAD,), total=1)) == 2
    assert sound(DamagedPage(damaged=(), total=0)) == 0
