"""The way to the terminal: one that nobody reads costs frames, never the event loop; one that is
gone ends the program; and whether it draws pictures.

Textual waits for a terminal that is behind (a stalled SSH connection, a laptop that sleeps). The
engine runs on the same loop: jobs, schedules and every attached shell would wait with it.
"""

from __future__ import annotations

import asyncio
import os
import signal

from textual.drivers.linux_driver import LinuxDriver

_LOOK_AGAIN_S = 0.25
_THERE_S = 1.0
_DRAW = frozenset({"xterm-kitty", "xterm-ghostty"})


class PatientDriver(LinuxDriver):
    """Drops what a terminal that is behind cannot take; paints all of it anew once it can."""

    _behind = False
    _leaving = False
    _there: asyncio.TimerHandle | None = None

    def write(self, data: str) -> None:
        # What puts the terminal back in order at the end is worth waiting for.
        if self._leaving or self._writer_thread is None:
            super().write(data)
        elif not self._behind:
            # Textual has no public way to ask.
            self._behind = self._writer_thread._queue.full()  # noqa: SLF001
            if self._behind:
                self._catch_up()
            else:
                super().write(data)

    @property
    def draws(self) -> bool:
        """Whether it knows kitty's graphics protocol, with placeholders.

        It is not asked: what Textual does not expect of a terminal, it takes for keys. But Textual
        asks for reports of the window's size, and a kitty that has those has placeholders.
        """
        return self._in_band_window_resize and os.environ.get("TERM") in _DRAW

    def offer(self, data: str) -> bool:
        """Writes what is no part of a frame. False where the terminal is behind: it is dropped."""
        self.write(data)
        return not self._behind

    def _catch_up(self) -> None:
        """Looks again until all was taken; then the screen is painted whole."""
        if self._writer_thread is None or self._writer_thread._queue.empty():  # noqa: SLF001
            self._behind = False
            self._app.refresh()
        else:
            asyncio.get_running_loop().call_later(_LOOK_AGAIN_S, self._catch_up)

    def start_application_mode(self) -> None:
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if os.isatty(self.fileno):
            self._look_whether_it_is_there()

    def _look_whether_it_is_there(self) -> None:
        """The kernel tells only the leader of the terminal's session that it is gone, which may be
        another program that waits for this one (make): then Textual would read its end for ever."""
        if os.isatty(self.fileno):
            loop = asyncio.get_running_loop()
            self._there = loop.call_later(_THERE_S, self._look_whether_it_is_there)
        else:
            signal.raise_signal(signal.SIGHUP)

    def stop_application_mode(self) -> None:
        if self._there is not None:
            self._there.cancel()
        self._leaving = True
        super().stop_application_mode()
        self._leaving = False
