"""How late an event loop is: ours, and beside it at the same time one that does nothing.

What the machine does to every process is seen on the bare loop too; what is left is our own.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.house import environment

BEAT_S = 0.001
_LONGEST_S = 1.0
_BARE = """
import asyncio, sys
from array import array
async def main():
    loop, beats, over = asyncio.get_running_loop(), array("d"), asyncio.Event()
    loop.add_reader(0, over.set)
    print("ready", flush=True)
    while not over.is_set():
        due = loop.time() + float(sys.argv[1])
        await asyncio.sleep(float(sys.argv[1]))
        beats.extend((due, loop.time() - due))
    sys.stdout.buffer.write(beats)
asyncio.run(main())
"""


@dataclass(slots=True)
class Beats:
    """When each beat of a loop was due, on the system's monotonic clock, and how late it came.

    Both in seconds, in the order of time; arrays, so that keeping them costs no collection.
    """

    due: array[float] = field(default_factory=lambda: array("d"))
    late: array[float] = field(default_factory=lambda: array("d"))

    @property
    def late_ms(self) -> list[float]:
        return [late * 1000 for late in self.late]

    async def keep(self) -> None:
        """Beats until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + BEAT_S
            await asyncio.sleep(BEAT_S)
            self.due.append(due)
            self.late.append(loop.time() - due)

    def longest_beyond_ms(self, *bare: Beats) -> float:
        """The longest delay here, less the most that delayed one of ``bare`` in the same moment; 0
        if none is. One sees what stops its own processor: of two processors it takes two."""
        longest = 0.0
        for due, late in sorted(zip(self.due, self.late, strict=True), key=lambda beat: -beat[1]):
            if late <= longest:
                break
            stopped = max(one.latest(due, due + late) for one in bare)
            longest = max(longest, late - stopped)
        return longest * 1000

    def latest(self, since: float, until: float) -> float:
        """The longest delay, in seconds, of a beat that was waited for between these moments."""
        longest = 0.0
        at = bisect_right(self.due, until) - 1
        while at >= 0 and self.due[at] > since - _LONGEST_S:
            if self.due[at] + self.late[at] >= since:
                longest = max(longest, self.late[at])
            at -= 1
        return longest


@contextmanager
def bare_loop(beats: Beats) -> Iterator[None]:
    """Beats of a loop in a process of its own, which goes on when the context begins; they are
    there when it has ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", _BARE, str(BEAT_S)],
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
        beats.due.extend(said[::2])
        beats.late.extend(said[1::2])
