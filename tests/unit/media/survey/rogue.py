"""The process that looks into files, with a parser of PDF that does what the file says."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

from engine.media.survey import papers, reading, worker
from engine.media.survey.trait import Trait
from engine.media.survey.window import Window


def loop() -> None:
    while True:
        pass


def deep() -> None:
    deep()


def speak() -> None:
    os.write(1, b"\0\0\0\x05hello" * 1000)
    for stream in (sys.stdout, sys.stderr):
        stream.write("words" * 100_000)
        stream.flush()


def nonsense() -> None:
    for fd in range(3, 20):  # One of them is where frames go.
        with suppress(OSError):
            os.write(fd, b"\0\0\0\x02[]")


DEEDS = {
    b"loop": loop,
    b"sleep": lambda: time.sleep(3600),
    b"kill": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    b"abort": os.abort,
    b"memory": lambda: bytearray(8 * 1024**3),
    b"deep": deep,
    b"speak": speak,
    b"nonsense": nonsense,
}


def obey(trait: Trait, window: Window) -> None:
    """``%PDF- DEED``, or one of two that need more: talk, write PATH."""
    _mark, deed, *rest = window.whole(200).split()
    if deed == b"talk":
        trait.details |= {f"{number}" * 100: "\u2603" * 400 for number in range(1000)}
    elif deed == b"write":
        with open(rest[0], "wb") as file:  # noqa: PTH123
            file.write(b"x")
    else:
        DEEDS[deed]()


if __name__ == "__main__":
    for type_ in papers.TYPES:
        reading._OTHERS[type_] = obey
    worker.main()
