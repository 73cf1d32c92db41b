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


def test_pairs_have_an_interval_around_their_ratio_and_its_lower_end_meets_the_aim() -> None:
    ours, peer = [1.0, 1.1, 1.2, 0.9, 1.0], [1.0, 1.0, 1.1, 1.0, 0.9]
    row = paired("load", "s", ours, peer, peer_name="bare", aim=Aim(ratio=0.99))
    assert row.ratio == 1.0
    assert row.interval is not None
    assert row.interval[0] < 1.0 < row.interval[1]
    assert row.verdict == "met"
    assert replace(row, interval=None).verdict == "missed"
    assert f"({row.interval[0]:.2f}–" in render([row])


def test_two_pairs_are_too_few_for_an_interval() -> None:
    assert paired("load", "s", [1.0, 2.0], [1.0, 2.0], peer_name="bare").interval is None
