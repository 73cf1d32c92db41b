"""Key to screen: from a key that is pressed to its letter that the terminal received.

Measured idle, while an answer streams, and while 100,000 files are scanned for another process;
the peer is an input line in Textual, idle. All stay open, and take turns.
"""

from __future__ import annotations

import itertools
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.house import CannotMeasure, House, environment, hello, move_in
from bench.table import Aim, Plan, Row, missing, versus
from bench.terminal import ProgramEnded, Terminal
from bench.tree import plant

# Letters that no answer and no label contains; each is looked for once on its line.
LETTERS = "".join(map(chr, [*range(0x0561, 0x0587), *range(0x10D0, 0x10F1)]))
FILES = 100_000
QUESTION = "Write a very long story about a lighthouse keeper, his dog and the sea."
CONFIG = """\
[model]
max_new_tokens = 1500
"""
_CLEAR = "\x15"  # Ctrl-U empties the line.
_STOP = "\x1b"  # Esc stops the answer; where none is written, it would leave the screen.
_LOADED_WITHIN_S = 90.0


class Typist:
    """Types into one line that has the focus, at the pace of a person."""

    def __init__(self, terminal: Terminal, seed: int) -> None:
        self._terminal = terminal
        self._letters: Iterator[str] = iter(())
        self._random = random.Random(seed)

    def press(self) -> float:
        """One key; the milliseconds until its letter was painted."""
        terminal = self._terminal
        # No rhythm that could keep step with the clock of a screen.
        terminal.watch(self._random.uniform(0.06, 0.16))
        letter = next(self._letters, "")
        if not letter:
            self.clear()
            letter = next(self._letters)
        since = terminal.text.end
        sent = terminal.type(letter)
        return (terminal.wait_for(letter, since=since, within_s=10.0) - sent) * 1000

    def clear(self) -> None:
        """Empties the line and begins with the letters again."""
        self._terminal.type(_CLEAR)
        self._terminal.watch(0.3)
        self._letters = iter(LETTERS)


class Screen:
    """The Agent screen of one house, where a person types."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        terminal.type("c")
        terminal.wait_for("Ask Agent-0 …")
        terminal.watch(3.0)  # What is loaded behind the first screens is no one's key.
        self.typist = Typist(terminal, seed=1)

    def answering(self) -> bool:
        """Whether the last painted heading says that an answer is being written."""
        said = self._terminal.text.after(0)
        return "answering" in said[said.rfind("AGENT-0  ") :][:80]

    def ask(self) -> None:
        """Asks for a long answer, and waits until it is being written."""
        self.typist.clear()
        since = self._terminal.text.end
        self._terminal.type(QUESTION)
        self._terminal.watch(0.5)  # An Enter right behind other keys is taken for a paste.
        self._terminal.type("\r")
        self._terminal.wait_for("answering", since=since)
        self._terminal.watch(3.0)
        if not self.answering():
            raise CannotMeasure(f"no long answer: {self._terminal.tail()}")

    def stop(self) -> None:
        """Stops the answer, so that what is measured next is not measured beside it."""
        if self.answering():
            self._terminal.type(_STOP)
        until = time.perf_counter() + 10.0
        while self.answering() and time.perf_counter() < until:
            self._terminal.watch(0.1)
        self._terminal.watch(0.5)

    def watch(self, seconds: float) -> None:
        """Keeps the terminal read."""
        self._terminal.watch(seconds)


def measure(plan: Plan) -> list[Row]:
    house = move_in(plan.scratch / "keys", CONFIG)
    took: dict[str, list[float]] = {"hello": [], "idle": [], "tokens": [], "scan": []}
    problems: dict[str, str] = {}
    presses = 10 if plan.quick else 30
    files = FILES // 10 if plan.quick else FILES
    tree = plant(plan.scratch / "tree", files)
    with ExitStack() as stack:
        ours = stack.enter_context(house.screen())
        peer = stack.enter_context(Terminal(hello("input"), env=environment()))
        peer.wait_for("Hello, world!")
        screen, there = Screen(ours), Typist(peer, seed=2)
        loads: dict[str, Callable[[], list[float]]] = {
            "hello": lambda: [there.press() for _ in range(presses)],
            "idle": lambda: [screen.typist.press() for _ in range(presses)],
            "tokens": lambda: _while_answering(screen, presses),
            "scan": lambda: _while_scanning(house, screen, tree, presses),
        }
        for _ in range(plan.rounds):
            for name, load in loads.items():
                if name in problems:
                    continue
                try:
                    took[name] += load()
                except (CannotMeasure, ProgramEnded, TimeoutError) as error:
                    problems[name] = str(error)
                    ours.settle()
    return _rows(took, problems, files)


def _while_answering(screen: Screen, presses: int) -> list[float]:
    took: list[float] = []
    until = time.perf_counter() + _LOADED_WITHIN_S
    while len(took) < presses:
        if not screen.answering():
            screen.ask()
        each = screen.typist.press()
        if screen.answering():
            took.append(each)
        if time.perf_counter() > until:
            raise CannotMeasure(f"only {len(took)} keys within {_LOADED_WITHIN_S:g} s of answers")
    screen.stop()
    return took


_names = (f"bench{number}" for number in itertools.count())


def _while_scanning(house: House, screen: Screen, tree: Path, presses: int) -> list[float]:
    took: list[float] = []
    until = time.perf_counter() + _LOADED_WITHIN_S
    while len(took) < presses and time.perf_counter() < until:
        with scanning(house, tree, screen.watch) as scan:
            while scan.poll() is None and len(took) < presses and time.perf_counter() < until:
                took.append(screen.typist.press())
    return took


@contextmanager
def scanning(
    house: House, tree: Path, wait: Callable[[float], None] = time.sleep
) -> Iterator[subprocess.Popen[bytes]]:
    """A first scan of ``tree``, asked for by another process: it ends when the scan does.

    ``wait`` passes the seconds until then: whoever has a terminal open must go on reading it.
    Raises CannotMeasure where the scan has no end.
    """
    name = next(_names)
    with house.start("media", "add", str(tree), "--name", name) as added:
        _end_of(added, wait)
    with house.start("media", "scan", name, "--json") as scan:
        yield scan
        _end_of(scan, wait)
    with house.start("media", "remove", name) as removed:
        _end_of(removed, wait)


def _end_of(command: subprocess.Popen[bytes], wait: Callable[[float], None]) -> None:
    until = time.perf_counter() + _LOADED_WITHIN_S
    while command.poll() is None:
        if time.perf_counter() > until:
            raise CannotMeasure(f"{command.args!r}: no end in {_LOADED_WITHIN_S:g} s")
        wait(0.05)
    if command.returncode:
        raise CannotMeasure(f"{command.args!r}: exit code {command.returncode}")


def _rows(took: dict[str, list[float]], problems: dict[str, str], files: int) -> list[Row]:
    rows = []
    loads = {
        "idle": ("idle", Aim(ratio=2)),
        "tokens": ("while an answer streams", Aim(50)),
        "scan": (f"while {files:,} files are scanned", Aim(50)),
    }
    for load, (words, aim) in loads.items():
        for share, title in ((0.5, "p50"), (0.95, "p95")):
            name = f"key to screen {words}, {title}"
            here = aim if title == "p95" or load == "idle" else Aim()
            if load in problems or "hello" in problems:
                why = problems.get(load) or problems["hello"]
                rows.append(missing(name, "ms", why, aim=here))
                continue
            rows.append(
                versus(
                    name,
                    "ms",
                    took[load],
                    took["hello"],
                    peer_name="hello world, idle",
                    aim=here,
                    share=share,
                    note=f"{len(took[load])} keys",
                )
            )
    return rows
