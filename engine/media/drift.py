"""What the watcher told lately, to find out what it did not tell."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from engine.media.hints import ancestors

_KEPT = 20_000
_BEFORE_S = 30.0


class Recent:
    """The last 20,000 hints with their times (``time.monotonic``)."""

    def __init__(self) -> None:
        self._at: dict[bytes, float] = {}
        self._blind = 0.0

    def add(self, paths: Iterable[bytes]) -> None:
        present = time.monotonic()
        self._at.update(dict.fromkeys(paths, present))
        if len(self._at) > _KEPT:
            self.forget()

    def forget(self) -> None:
        """Hints were lost, and it is known: until now nothing can be said."""
        self._at.clear()
        self._blind = time.monotonic()

    def unexplained(self, paths: Sequence[bytes], since: float) -> int:
        """How many of the paths changed since ``since`` and neither they nor a folder above them
        was told of; 0 where that cannot be said.
        """
        if self._blind >= since - _BEFORE_S:
            return 0
        told = {path for path, at in self._at.items() if at >= since - _BEFORE_S}
        return sum(
            path not in told and not any(up in told for up in ancestors(path)) for path in paths
        )
