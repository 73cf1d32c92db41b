"""The table says what was measured, and never more."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bench.table import Aim, Row, missing, number, paired, percentile, render, versus


def test_medians_and_the_ratio_stand_beside_the_aim() -> None:
    row = versus("paint", "ms", [30.0, 10.0, 20.0], [10.0, 10.0], peer_name="p", aim=Aim(ratio=1.6))
    assert (row.ours, row.peer, row.ratio, row.verdict) == (20.0, 10.0, 2.0, "missed")
    assert "20.0  10.0 p" in render([row])
    assert "2.00×" in render([row])
    assert json.loads(json.dumps(row.to_json()))["samples"]["ours"] == [30.0, 10.0, 20.0]


@pytest.mark.parametrize(
    ("ours", "peer", "aim", "verdict"),
    [
        (9.0, None, Aim(10), "met"),
        (11.0, None, Aim(10), "missed"),
        (9.0, 5.0, Aim(10, ratio=2), "met"),
        (9.0, 4.0, Aim(10, ratio=2), "missed"),
        (9.0, None, Aim(10, ratio=2), "unknown"),
        (11.0, None, Aim(10, ratio=2), "missed"),
        (None, 4.0, Aim(10), "unknown"),
        (9.0, None, Aim(), ""),
    ],
)
def test_an_aim_is_met_only_where_all_of_it_is_known_and_met(
    ours: float | None, peer: float | None, aim: Aim, verdict: str
) -> None:
    assert Row("row", "ms", ours, peer, aim=aim).verdict == verdict


def test_what_could_not_be_measured_says_why_and_is_never_good() -> None:
    row = missing("scan", "s", "b3sum is not installed", aim=Aim(1))
    assert row.verdict == "unknown"
    assert "b3sum is not installed" in render([row])


def test_percentiles_lie_between_neighbours() -> None:
    values = [float(value) for value in range(101)]
    assert percentile(values, 0.95) == pytest.approx(95.0)
    assert percentile([4.0, 1.0], 0.75) == pytest.approx(3.25)
    assert percentile([7.0], 0.99) == 7.0


def test_numbers_keep_three_figures() -> None:
    assert [number(v) for v in (None, 0.123, 12.34, 1234.5)] == ["—", "0.12", "12.3", "1,234"]


def test_pairs_are_judged_by_the_median_and_not_by_the_better_end_of_the_interval() -> None:
    row = paired("walk", "s", [1.8, 2.15, 2.5], [1.0] * 3, peer_name="find", aim=Aim(ratio=2))
    assert row.interval == (1.8, 2.5)
    assert (row.ratio, row.verdict) == (2.15, "missed")
    assert "2.15× (1.80–2.50)" in render([row])


@pytest.mark.parametrize(
    ("aim", "verdict", "unclear"),
    [
        (Aim(ratio=1.7), "✗ missed", False),
        (Aim(ratio=1.8), "✗ missed", True),
        (Aim(ratio=2.4), "✓ met", True),
        (Aim(ratio=2.5), "✓ met", False),
        (Aim(5), "✓ met", False),
        (Aim(), "", False),
    ],
)
def test_a_verdict_that_another_run_might_turn_round_is_called_unclear(
    aim: Aim, verdict: str, unclear: bool
) -> None:
    row = paired("walk", "s", [1.8, 2.15, 2.5], [1.0] * 3, peer_name="find", aim=aim)
    assert row.unclear is row.to_json()["unclear"] is unclear
    assert ("unclear" in render([row])) is unclear
    assert verdict in render([row])
    assert not replace(row, interval=None).unclear


def test_two_pairs_are_too_few_for_an_interval() -> None:
    assert paired("load", "s", [1.0, 2.0], [1.0, 2.0], peer_name="bare").interval is None
