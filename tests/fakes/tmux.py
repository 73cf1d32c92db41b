"""A real terminal for end-to-end tests: tmux, with a server of its own."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self


class Terminal:
    """Runs one command in a terminal of ``columns`` x ``rows``. Leaving the context ends it."""

    def __init__(self, command: str, columns: int = 120, rows: int = 36) -> None:
        self._server = f"arcanum-test-{secrets.token_hex(4)}"
        # A size that the tests were started with is not this terminal's.
        self._command = f"env -u COLUMNS -u LINES {command}"
        self._size = f"{columns}x{rows}"

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._server, "-f", "/dev/null", *words],
            capture_output=True,
            check=True,
            timeout=20,
        )
        return done.stdout.decode(errors="replace")

    def __enter__(self) -> Self:
        # Before the window is made: nobody is attached whose size it could take.
        options = ["set-option", "-g", "default-size", self._size, ";"]
        options += ["set-option", "-g", "remain-on-exit", "on", ";"]
        self._tmux("start-server", ";", *options, "new-session", "-d", "-s", "t", self._command)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        subprocess.run(
            ["tmux", "-L", self._server, "kill-server"], capture_output=True, check=False
        )

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p", "-t", "t")

    def buffer(self) -> str:
        """What was copied last; "" where nothing was."""
        return self._tmux("show-buffer") if self._tmux("list-buffers") else ""

    def press(self, *keys: str) -> None:
        """Named keys as tmux knows them: ``Enter``, ``Escape``, ``Down``, ``a``."""
        self._tmux("send-keys", "-t", "t", *keys)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-t", "t", "-l", text)

    def paste(self, text: str, *, bracketed: bool) -> None:
        """As a terminal pastes: marked as a paste where the program asked for that, or bare."""
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            self._tmux("load-buffer", file.name)
            self._tmux("paste-buffer", *(["-p"] if bracketed else []), "-t", "t")

    def alive(self) -> bool:
        return self._tmux("display-message", "-p", "-t", "t", "#{pane_dead}").strip() == "0"

    def pid(self) -> int:
        return int(self._tmux("display-message", "-p", "-t", "t", "#{pane_pid}"))

    async def see(self, wanted: str | Callable[[str], bool], within_s: float = 30) -> str:
        """Waits until the screen shows it; the screen. Fails with what it showed instead."""
        test = (lambda screen: wanted in screen) if isinstance(wanted, str) else wanted
        screen = ""
        try:
            async with asyncio.timeout(within_s):
                # A terminal tells nobody when it has painted: it is looked at until it has.
                while not test(screen := await asyncio.to_thread(self.screen)):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(
                f"{wanted!r} was not seen within {within_s} s:\n{screen}"
            ) from None
        return screen


ARCANUM = Path(__file__).parents[2] / ".venv" / "bin" / "arcanum"
