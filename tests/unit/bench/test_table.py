"""The table says what was measured, and never more."""

from __future__ import annotations

import json

import pytest

from bench.table import Aim, Row, missing, number, percentile, render, versus


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
