"""Where a command's words go: results to stdout, progress and diagnosis to stderr."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any

from engine.contract.base import visible
from engine.contract.errors import ArcanumError, Cancelled, Failed

if TYPE_CHECKING:
    from pydantic import BaseModel

    from arcanum_tui.state.grid import Column, Tone

_OBEYED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_ANSI = {"strong": "1", "muted": "2", "title": "1", "ok": "32", "warn": "33", "bad": "31"}


class OutputClosed(Cancelled):
    """Nobody reads stdout any more (``| head``): no reason to complain, and none to go on."""

    code = "output_closed"


class Terminal:
    """``json``: results are JSON objects; ``quiet``: no progress and no remarks.

    What comes from files, models and networks goes through ``visible`` here; only ``write`` takes
    text as it is. Colour is for terminals, and never the only carrier of a meaning.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.json = as_json
        self.quiet = quiet
        self._drawn = False
        self._mid_line = False
        for stream in (sys.stdout, sys.stderr):
            # What the terminal's encoding lacks is written as an escape instead of failing.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")

    # --- results ---------------------------------------------------------------------------------

    def result(self, value: BaseModel | dict[str, Any], *, line: bool = False) -> None:
        """One JSON object; indented for a person's eyes, on one line in pipes and in streams."""
        indent = 2 if not line and _is_terminal(sys.stdout) else None
        if isinstance(value, dict):
            text = json.dumps(value, ensure_ascii=False, indent=indent)
        else:
            text = value.model_dump_json(indent=indent)
        # What JSON lets stand and a terminal obeys; as an escape it is the same JSON.
        text = _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
        self.write(text + "\n", encoding="utf-8")  # JSON is UTF-8 whatever the terminal speaks

    def line(self, text: str = "", tone: Tone = "plain") -> None:
        """One line of a result for people."""
        self.write(self._paint(visible(text), tone, sys.stdout) + "\n")

    def fields(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Names and values, one pair a line; pairs without a value are left out."""
        shown = [(name, value) for name, value in pairs if value]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            label = self._paint(name.ljust(width), "muted", sys.stdout)
            self.write(f"{label}  {visible(value)}\n")

    def table(
        self, head: Sequence[str], columns: Sequence[Column], rows: Iterable[Sequence[str]]
    ) -> None:
        """Aligned rows under ``head``; cut to the terminal's width, and never cut in a pipe."""
        from dataclasses import replace

        from arcanum_tui.state.grid import Piece, Row, draw, widths

        cells = [Row(tuple(Piece(text) for text in row)) for row in (head, *rows)]
        whole = [replace(c, grow=False, rank=0, most=100_000) for c in columns]
        sizes = widths(whole, cells, 1_000_000)
        room = _width()
        if _is_terminal(sys.stdout) and sum(sizes) + 2 * (len(sizes) - 1) > room:
            whole = list(columns)
            sizes = widths(columns, cells, room)
        lines = ["".join(p.text for p in draw(row, whole, sizes)).rstrip() for row in cells]
        lines[0] = self._paint(lines[0], "muted", sys.stdout)
        self.write("\n".join(lines) + "\n")

    def write(self, text: str, *, encoding: str | None = None) -> None:
        """``text`` as it is, at once. Raises OutputClosed, or Failed where the disk is full."""
        self.clear()
        if sys.stdout is None:  # The shell closed it (>&-).
            return
        try:
            if encoding and hasattr(sys.stdout, "buffer"):
                sys.stdout.buffer.write(text.encode(encoding))
            else:
                sys.stdout.write(text)
            sys.stdout.flush()
            self._mid_line = not text.endswith("\n")
        except BrokenPipeError as error:
            raise OutputClosed("Nobody reads the output any more.") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise Failed(f"The output could not be written: {reason}.") from error

    # --- remarks ---------------------------------------------------------------------------------

    def note(self, text: str, tone: Tone = "muted") -> None:
        """A remark beside the result."""
        if not self.quiet:
            self._say(self._paint(visible(text), tone, sys.stderr) + "\n")

    def prompt(self, text: str) -> None:
        """Asks the person who sits before the terminal; never part of a result."""
        self._say(text)

    def progress(self, text: str) -> None:
        """Replaces the line before it; on a terminal only."""
        if not self.quiet and _is_terminal(sys.stderr):
            room = _width() - 1
            self._say("\r\x1b[K" + visible(text)[:room])
            self._drawn = True

    def clear(self) -> None:
        """Takes the progress line away."""
        if self._drawn:
            self._drawn = False
            self._say("\r\x1b[K")

    def fail(self, error: ArcanumError) -> int:
        """Tells of ``error``; returns its exit code."""
        if self.json:
            wire = error.to_wire()
            told = {name: wire[name] for name in ("title", "message", "hint", "code")}
            self.result({"error": told}, line=True)
            return error.exit_code
        if self._mid_line:
            self.line()
        title = self._paint(error.title, "bad", sys.stderr)
        hint = f"\n  {visible(error.hint)}" if error.hint else ""
        self.clear()
        self._say(f"{title}: {visible(error.message)}{hint}\n")
        return error.exit_code

    def _say(self, text: str) -> None:
        if sys.stderr is not None:
            sys.stderr.write(text)
            sys.stderr.flush()

    def _paint(self, text: str, tone: Tone, stream: IO[str]) -> str:
        code = _ANSI.get(tone)
        if not code or not text or os.environ.get("NO_COLOR") or not _is_terminal(stream):
            return text
        return f"\x1b[{code}m{text}\x1b[0m"


def _is_terminal(stream: IO[str] | None) -> bool:
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def _width() -> int:
    """Cells of the terminal's line."""
    from shutil import get_terminal_size

    return get_terminal_size().columns
