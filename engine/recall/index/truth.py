"""The truth as the index's process reads it: its errors are told apart from those of the index."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from engine.recall.index.following import Truth
from engine.recall.index.harm import TruthError, sentence

P = ParamSpec("P")
T = TypeVar("T")


def _guarded(read: Callable[P, T]) -> Callable[P, T]:
    @wraps(read)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return read(*args, **kwargs)
        except sqlite3.Error as error:
            raise TruthError(f"the memories could not be read: {sentence(error)}") from error

    return guarded


class GuardedTruth(Truth):
    """Raises TruthError where the engine's database cannot be read."""

    __init__ = _guarded(Truth.__init__)
    behind = _guarded(Truth.behind)
    after = _guarded(Truth.after)
    archived = _guarded(Truth.archived)
    has_had = _guarded(Truth.has_had)
    uid = _guarded(Truth.uid)
    text = _guarded(Truth.text)

    @property
    def rev(self) -> int:
        return self._rev()

    @_guarded
    def _rev(self) -> int:
        return super().rev
