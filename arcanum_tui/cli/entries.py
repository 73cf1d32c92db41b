"""What a person types at a prompt: a line, several that belong together, a paste."""

from __future__ import annotations

import asyncio
import sys

from arcanum_tui.cli.chat import read
from arcanum_tui.cli.command import Invocation
from engine.contract.errors import Invalid

_LONGEST = 1024 if sys.platform == "darwin" else 4096
"""Bytes of a line that a terminal passes on, its end included; it drops the rest."""
_TOGETHER_S = 0.03
"""Nobody types a second line within it."""


class Entries:
    """Entry by entry. Several lines that come at once were pasted: they are one entry, which a
    person sends with Enter. So a paste never sends itself, and nothing in it is a command."""

    def __init__(self, run: Invocation) -> None:
        self._run = run
        self._ended = False

    async def next(self) -> str | None:
        """None at the end of what is typed, and where Ctrl-C came. Raises Invalid for a line that
        the terminal has cut."""
        try:
            return await self._entry()
        except asyncio.CancelledError:
            if self._run.interrupts.reason != "Ctrl-C":
                raise
            self._run.interrupts.forgive()
            self._run.terminal.prompt("\n")
            return None

    async def _entry(self) -> str | None:
        line = await self._line("> ")
        if line is None:
            return None
        if line.strip().startswith('"""'):
            return await self._block(line.strip().removeprefix('"""'))
        lines = [line]
        while lines[-1].endswith("\\"):
            lines[-1] = lines[-1][:-1]
            if (line := await self._line(". ")) is None:
                return ""
            lines.append(line)
        while pasted := await self._pasted():
            # Its last line may have no end: then the terminal keeps it until Enter.
            if (line := await self._line("\npasted, Enter sends it: ")) is None:
                return ""
            lines += [*pasted, line]
        return "\n".join(lines).strip()

    async def _block(self, first: str) -> str:
        lines = [first]
        while not lines[-1].endswith('"""'):
            if (line := await self._line(". ")) is None:
                return ""
            lines.append(line.rstrip())
        return "\n".join(lines).removesuffix('"""').strip()

    async def _line(self, prompt: str) -> str | None:
        """A line without its end; None at the end of what is typed."""
        self._run.terminal.prompt(prompt)
        if not self._ended and (line := await read(sys.stdin.fileno())):
            return await self._whole(line)
        self._run.terminal.prompt("\n")
        return None

    async def _pasted(self) -> list[str]:
        """The lines that came together with the last one."""
        lines: list[bytes] = []
        while not self._ended:
            try:
                async with asyncio.timeout(_TOGETHER_S):
                    lines.append(await read(sys.stdin.fileno()))
            except TimeoutError:
                break
            self._ended = not lines[-1]
        return [await self._whole(line) for line in lines if line]

    async def _whole(self, line: bytes) -> str:
        if len(line) >= _LONGEST:
            await self._pasted()  # What came with it is dropped too.
            raise Invalid(
                f"The terminal cut a line after {_LONGEST - 1:,} bytes: nothing was asked.",
                "Break it into lines, attach a file with /attach, or: arcanum chat < FILE",
            )
        return line.decode(errors="surrogateescape").removesuffix("\n")
