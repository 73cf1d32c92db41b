"""How late an event loop is: ours, and beside it at the same time one that does nothing.

How long the system let a loop wait for a processor it tells itself (`/proc/thread-self/schedstat`,
nanoseconds in the run queue, see the kernel's sched-stats); what stops the machine is seen on the
bare loop, too. What is left is our own.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.house import ROOT, environment

BEAT_S = 0.001
_LONGEST_S = 1.0
_BARE = """
import asyncio, gc, sys
from bench.loops import Beats
async def main():
    over, beats = asyncio.Event(), Beats()
    asyncio.get_running_loop().add_reader(0, over.set)
    gc.disable()
    print("ready", flush=True)
    beating = asyncio.create_task(beats.keep())
    await over.wait()
    beating.cancel()
    await asyncio.wait({beating})
    for kept in (beats.due, beats.late, beats.queued):
        sys.stdout.buffer.write(kept)
asyncio.run(main())
"""


@dataclass(slots=True)
class Beats:
    """When each beat of a loop was due, on the system's monotonic clock, how late it came, and how
    long of that its thread could have gone on, but was ``queued`` for a processor.

    All in seconds, in the order of time; arrays, so that keeping them costs no collection.
    """

    due: array[float] = field(default_factory=lambda: array("d"))
    late: array[float] = field(default_factory=lambda: array("d"))
    queued: array[float] = field(default_factory=lambda: array("d"))

    @property
    def late_ms(self) -> list[float]:
        return [late * 1000 for late in self.late]

    async def keep(self) -> None:
        """Beats until it is cancelled."""
        loop = asyncio.get_running_loop()
        with _run_queue() as queued:
            while True:
                due, before = loop.time() + BEAT_S, queued()
                await asyncio.sleep(BEAT_S)
                late = loop.time() - due
                self.due.append(due)
                self.late.append(late)
                self.queued.append(min(queued() - before, late))

    def longest_beyond_ms(self, *bare: Beats) -> float:
        """The longest delay here for which no processor was lacking, less the most that so delayed
        one of ``bare`` in the same moment; 0 if none is. One sees what stops its own processor: of
        two processors it takes two."""
        longest = 0.0
        beats = zip(self.due, self.late, self.queued, strict=True)
        for due, late, queued in sorted(beats, key=lambda beat: beat[2] - beat[1]):
            if late - queued <= longest:
                break
            stopped = max(one.latest(due, due + late) for one in bare)
            longest = max(longest, late - queued - stopped)
        return longest * 1000

    def latest(self, since: float, until: float) -> float:
        """The longest delay, in seconds and but for what it was queued, of a beat that was waited
        for between these moments."""
        longest = 0.0
        at = bisect_right(self.due, until) - 1
        while at >= 0 and self.due[at] > since - _LONGEST_S:
            if self.due[at] + self.late[at] >= since:
                longest = max(longest, self.late[at] - self.queued[at])
            at -= 1
        return longest


@contextmanager
def _run_queue() -> Iterator[Callable[[], float]]:
    """Tells how many seconds this thread was ready to go on, and had no processor; 0 where the
    system does not say."""
    try:
        file = Path("/proc/thread-self/schedstat").open("rb", buffering=0)  # noqa: SIM115
    except OSError:
        yield lambda: 0.0
        return
    with file:
        yield lambda: int(os.pread(file.fileno(), 100, 0).split()[1]) / 1e9


@contextmanager
def bare_loop(beats: Beats) -> Iterator[None]:
    """Beats of a loop in a process of its own, which goes on when the context begins; they are
    there when it has ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", _BARE],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        said = array("d", process.communicate(timeout=30)[0])
        count = len(said) // 3
        beats.due.extend(said[:count])
        beats.late.extend(said[count : 2 * count])
        beats.queued.extend(said[2 * count :])
