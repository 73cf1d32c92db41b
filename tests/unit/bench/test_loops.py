"""What of a loop's delay is its own, and what the machine's."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from array import array
from contextlib import suppress
from pathlib import Path

import pytest

from bench.loops import Beats, bare_loop


def beats(*pairs: tuple[float, float], queued: float = 0.0) -> Beats:
    due, late = (array("d", [pair[place] for pair in pairs]) for place in (0, 1))
    return Beats(due, late, array("d", [queued] * len(pairs)))


def test_a_pause_that_a_bare_loop_had_too_is_the_machines() -> None:
    ours = beats((1.0, 0.001), (2.0, 0.050), (3.0, 0.012))
    bare = beats((1.0, 0.001), (1.995, 0.052), (3.5, 0.080))

    assert round(ours.longest_beyond_ms(bare), 6) == 12  # Not the 50 of the same moment.


def test_only_what_goes_beyond_the_bare_loop_counts() -> None:
    assert round(beats((2.0, 0.050)).longest_beyond_ms(beats((2.001, 0.020))), 6) == 30


def test_of_several_bare_loops_the_one_that_was_stopped_too_tells() -> None:
    ours, calm = beats((2.0, 0.050)), beats((2.0, 0.001))
    assert round(ours.longest_beyond_ms(calm, beats((2.001, 0.045))), 6) == 5


def test_to_wait_for_a_processor_is_no_pause_of_ours() -> None:
    ours, calm = beats((2.0, 0.050), queued=0.045), beats((2.0, 0.001))
    assert round(ours.longest_beyond_ms(calm), 6) == 4


def test_a_bare_loop_that_waited_for_a_processor_excuses_nothing() -> None:
    ours, bare = beats((2.0, 0.050)), beats((2.0, 0.050), queued=0.049)
    assert round(ours.longest_beyond_ms(bare), 6) == 49


def test_a_loop_that_is_never_late_has_no_pause() -> None:
    assert beats().longest_beyond_ms(beats()) == 0


async def test_a_loop_that_is_held_is_late_while_the_bare_one_is_not() -> None:
    ours, bare = Beats(), Beats()
    with bare_loop(bare):
        keeping = asyncio.create_task(ours.keep())
        await asyncio.sleep(0)  # Its first beat is due.
        time.sleep(0.3)  # noqa: ASYNC251 - what must not happen
        await asyncio.sleep(0.01)  # The late beat is noticed.
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping

    assert len(bare.due) == len(bare.late) == len(bare.queued) > 10
    assert max(ours.late) >= 0.28
    assert ours.longest_beyond_ms(bare) > 100


@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").exists(), reason="Linux tells it")
async def test_a_loop_knows_how_long_it_was_queued() -> None:
    """Three other programs share its only processor with it."""
    allowed = os.sched_getaffinity(0)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    ours = Beats()
    try:
        for process in busy:
            os.sched_setaffinity(process.pid, {min(allowed)})
        os.sched_setaffinity(0, {min(allowed)})
        keeping = asyncio.create_task(ours.keep())
        async with asyncio.timeout(30):
            while sum(ours.queued) < 0.02:  # noqa: ASYNC110 - the system tells nobody
                await asyncio.sleep(0.01)
        keeping.cancel()
        await asyncio.wait({keeping})
    finally:
        os.sched_setaffinity(0, allowed)
        for process in busy:
            process.kill()
            process.wait()

    assert sum(ours.queued) >= 0.02
    assert all(0 <= queued <= late for queued, late in zip(ours.queued, ours.late, strict=True))
