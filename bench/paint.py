"""First paint: from the start of the program to the first frame that the terminal received."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.house import environment, hello, move_in
from bench.table import Aim, Plan, Row, versus
from bench.terminal import Terminal, cpu_seconds


@dataclass(slots=True)
class Starts:
    """What several starts of one program took. Milliseconds."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)

    def add(
        self, command: Sequence[str], env: Mapping[str, str], marker: str, ready: str = ""
    ) -> None:
        """Starts it once, until ``marker`` is on the terminal, and then until ``ready`` is."""
        with Terminal(command, env=env) as terminal:
            at = terminal.wait_for(marker)
            self.cpu.append(cpu_seconds(terminal.pid) * 1000)
            self.wall.append((at - terminal.started) * 1000)
            if ready:
                self.ready.append((terminal.wait_for(ready) - terminal.started) * 1000)
            # What follows the first frame belongs to nobody's first paint, but must be over.
            terminal.settle(quiet_s=0.2, within_s=3.0)


def measure(plan: Plan) -> list[Row]:
    house = move_in(plan.scratch / "paint")
    ours, peer, bare = Starts(), Starts(), environment()
    for turn in range(plan.rounds + 1):
        if turn == 1:  # The first turn only warmed the page cache.
            ours, peer = Starts(), Starts()
        ours.add(house.command(), house.env, "NEEDS YOU", "● live")
        peer.add(hello(), bare, "Hello, world!")
        time.sleep(0.05)
    aim = Aim(ratio=1.6)
    return [
        versus("first paint", "ms", ours.wall, peer.wall, peer_name="hello world", aim=aim),
        versus("first paint, CPU", "ms", ours.cpu, peer.cpu, peer_name="hello world"),
        versus("start until the engine is live", "ms", ours.ready, [], peer_name=""),
    ]
