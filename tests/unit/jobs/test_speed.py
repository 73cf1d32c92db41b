"""How long a job still takes, told of work whose true end is known."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest

from engine.jobs.speed import WINDOW_S, Speed

KB, MB, GB = 1_000, 1_000_000, 1_000_000_000


def told(sizes: Sequence[int], file_s: float, byte_s: float) -> list[tuple[float, float]]:
    """What was told at each of a hundred moments, and what was true, in seconds left."""
    ends = list(itertools.accumulate(file_s + size * byte_s for size in sizes))
    speed, found, done = Speed(), [], 0
    total, step = sum(sizes), max(1, len(sizes) // 500)
    speed.note(0.0, 0, "bytes", 0)
    for number, size in enumerate(sizes, 1):
        done += size
        if number % step == 0:
            speed.note(ends[number - 1], done, "bytes", number)
            left = speed.left_s(total, len(sizes))
            found.append((left or 0.0, ends[-1] - ends[number - 1]))
    return found


@pytest.mark.parametrize("file_s", [0.0003, 0.002, 0.008], ids=["fast", "usual", "slow"])
@pytest.mark.parametrize("order", ["small first", "large first", "mixed"])
def test_many_small_files_and_a_few_large_ones(order: str, file_s: float) -> None:
    """60,000 of 6 kB and 40 of 70 MB: by bytes alone 7 % of the files said two hours."""
    sizes = [6 * KB] * 60_000 + [70 * MB] * 40
    if order == "large first":
        sizes.reverse()
    elif order == "mixed":
        random.Random(3).shuffle(sizes)
    byte_s = 1 / (150 * MB if file_s > 0.005 else 500 * MB)
    for left, true in told(sizes, file_s, byte_s)[15:400]:
        if true > 10:
            assert true / 4 < left < 4 * true


def test_files_of_one_size_are_told_exactly() -> None:
    for size in (0, 10 * KB, GB):
        for left, true in told([size] * 1000, 0.01, 1 / GB)[20:]:
            assert left == pytest.approx(true, rel=0.01, abs=0.1)


def test_what_was_long_ago_says_nothing() -> None:
    speed = Speed()
    for second in range(0, 600, 2):
        speed.note(second, 10 * second, "files", None)
    for second in range(600, 700, 2):
        speed.note(second, 6000 + 100 * (second - 600), "files", None)
    assert speed.rate == pytest.approx(100)
    assert speed.left_s(16_000, None) == pytest.approx(2, rel=0.2)
    assert WINDOW_S < 100


def test_what_is_counted_anew_begins_anew() -> None:
    speed = Speed()
    speed.note(0, 0, "files", None)
    assert (speed.rate, speed.left_s(10, None)) == (None, None)
    speed.note(10, 100, "files", None)
    assert [speed.rate, speed.left_s(None, None), speed.left_s(200, None)] == [10, None, 10]
    speed.note(11, 500, "bytes", None)
    assert [speed.rate, speed.left_s(600, None)] == [None, None]
    speed.note(12, 600, "bytes", None)
    speed.note(13, 0, "bytes", None)
    assert [speed.rate, speed.left_s(600, None)] == [None, None]
