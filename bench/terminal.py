"""A program in a pseudo-terminal, seen from outside: what it wrote, and when it arrived.

Escape sequences are taken out, so that a text is found however it is coloured. Nothing is
emulated: what is looked for must be painted in one piece.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import psutil

_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC
    r"|[PX^_][^\x1b]*\x1b\\"  # DCS, SOS, PM, APC
    r"|[ -/]*[0-OQ-WYZ\\`-~])"  # the short ones
)
_KEPT = 1 << 18


class Text:
    """The text in a stream of terminal output. Positions count characters since the start."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._held = ""
        self._text = ""
        self._dropped = 0

    def feed(self, data: bytes) -> None:
        raw = self._held + self._decode(data)
        text = _ESCAPE.sub("", raw)
        # A sequence that is not at its end yet waits for the rest.
        start = text.find("\x1b")
        self._held = "" if start < 0 else text[start:]
        self._text += text if start < 0 else text[:start]
        if len(self._text) > 2 * _KEPT:
            self._dropped += len(self._text) - _KEPT
            self._text = self._text[-_KEPT:]

    @property
    def end(self) -> int:
        return self._dropped + len(self._text)

    def has(self, wanted: str, since: int = 0) -> bool:
        """Whether ``wanted`` came at or after ``since``."""
        return wanted in self.after(since)

    def after(self, since: int) -> str:
        """What came at or after ``since``, as far as it is kept."""
        return self._text[max(0, since - self._dropped) :]


class ProgramEnded(RuntimeError):
    """The program ended, or its terminal was closed, while something was expected of it."""


class Terminal:
    """Runs ``command`` in a terminal of its own; leaving the context ends it and its children.

    ``started`` is when it was executed, on the clock of ``time.perf_counter``.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        columns: int = 120,
        rows: int = 36,
        leave: bytes = b"\x11",  # Ctrl-Q
        term: str = "xterm-256color",
    ) -> None:
        self._command, self._leave = list(command), leave
        # What surrounds us may have a size of its own.
        size = {"COLUMNS": str(columns), "LINES": str(rows)}
        self._env = {**env, **size, "TERM": term, "COLORTERM": "truecolor"}
        self._size = struct.pack("HHHH", rows, columns, 0, 0)
        self.text = Text()
        self.started = 0.0
        self._master = -1
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._master, slave = pty.openpty()
        try:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, self._size)
            self.started = time.perf_counter()
            self._process = subprocess.Popen(
                self._command,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env=self._env,
                start_new_session=True,
                preexec_fn=_take_terminal,  # noqa: PLW1509 - this process has one thread
            )
        finally:
            os.close(slave)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._end()
        finally:
            os.close(self._master)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    # --- reading --------------------------------------------------------------------------------

    def read(self, until: float) -> float | None:
        """Takes in what comes next; when it came. None: nothing did until then."""
        ready, _, _ = select.select([self._master], [], [], max(0.0, until - time.perf_counter()))
        if not ready:
            return None
        try:
            data = os.read(self._master, 1 << 16)
        except OSError as error:  # On Linux, EIO: nobody has the other side open any more.
            raise ProgramEnded(f"{self._command[0]} ended: {self.tail()}") from error
        at = time.perf_counter()
        if not data:
            raise ProgramEnded(f"{self._command[0]} ended: {self.tail()}")
        self.text.feed(data)
        return at

    def wait_for(self, *wanted: str, since: int = 0, within_s: float = 20.0) -> float:
        """When the last of these texts arrived. Raises TimeoutError, ProgramEnded."""
        until = time.perf_counter() + within_s
        at: float | None = time.perf_counter()
        while not all(self.text.has(text, since) for text in wanted):
            at = self.read(until)
            if at is None:
                missing = [text for text in wanted if not self.text.has(text, since)]
                raise TimeoutError(f"no {missing} within {within_s:g} s: {self.tail()}")
        assert at is not None
        return at

    def settle(self, quiet_s: float = 0.3, within_s: float = 10.0) -> None:
        """Waits until nothing was written for a while, or until the time is over."""
        until = time.perf_counter() + within_s
        while time.perf_counter() < until:
            if self.read(time.perf_counter() + quiet_s) is None:
                return

    def watch(self, seconds: float) -> None:
        """Takes in all that is written for so long: a terminal that is not read blocks."""
        until = time.perf_counter() + seconds
        while self.read(until) is not None:
            pass

    def tail(self) -> str:
        """The last of what was written, to say what went wrong."""
        return " ".join(self.text.after(self.text.end - 300).split())[-200:] or "(nothing written)"

    # --- writing --------------------------------------------------------------------------------

    def type(self, text: str) -> float:
        """Sends keys; when they were sent."""
        at = time.perf_counter()
        os.write(self._master, text.encode())
        return at

    # --- the end --------------------------------------------------------------------------------

    def _end(self) -> None:
        """Asks it to leave, then tells it, then ends what is left of it and of its children."""
        assert self._process is not None
        children = descendants(self._process.pid)
        with suppress(OSError):
            os.write(self._master, self._leave)
        if not self._gone(3.0):
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)
            if not self._gone(3.0):
                self._process.kill()
                self._process.wait(5.0)
        for child in children:
            with suppress(psutil.Error):
                child.kill()

    def _gone(self, within_s: float) -> bool:
        assert self._process is not None
        until = time.perf_counter() + within_s
        while self._process.poll() is None and time.perf_counter() < until:
            with suppress(ProgramEnded):
                if self.read(min(until, time.perf_counter() + 0.05)) is not None:
                    continue
            time.sleep(0.005)
        return self._process.poll() is not None


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def descendants(pid: int) -> list[psutil.Process]:
    """The processes below this one, as far as they can be seen."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def cpu_seconds(pid: int) -> float:
    """CPU time that a running process used, without its children. Raises psutil.Error, OSError."""
    if hasattr(time, "clock_gettime") and psutil.LINUX:
        # The kernel's own clock of a process counts nanoseconds; /proc/PID/stat counts in 10 ms.
        return time.clock_gettime((~pid << 3) | 2)
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
