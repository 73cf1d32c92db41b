"""What the watcher tells while everything is looked at, to find out what it did not tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.media.hints import ancestors

_KEPT = 20_000


class Hearing:
    """Hints from the beginning of a look on, and those that waited then: they explain what the look
    finds. Hints that an earlier look had followed explain nothing.
    """

    def __init__(self, waiting: Iterable[bytes]) -> None:
        self._paths: set[bytes] | None = set(waiting)

    def add(self, paths: Iterable[bytes]) -> None:
        if self._paths is not None:
            self._paths.update(paths)
            if len(self._paths) > _KEPT:
                self.forget()

    def forget(self) -> None:
        """Hints were lost, and it is known: nothing can be said."""
        self._paths = None

    def unexplained(self, paths: Sequence[bytes]) -> int:
        """How many paths were not told of, nor a folder above them; 0 where hints are lost."""
        told = self._paths
        if told is None:
            return 0
        return sum(
            path not in told and not any(up in told for up in ancestors(path)) for path in paths
        )
