"""What went wrong, told without what was being worked on: an error's own text may quote it. For
whoever handles what people have said. Standard library only."""

from __future__ import annotations

import sys
import threading
from types import TracebackType

_WORDS = ("engine.agent0.", "engine.memory.", "engine.recall.")


def told(error: BaseException) -> str:
    """What kind of error it is and where of our code it came up:
    ``ValueError in engine.recall.room:_add``. The system's own quote a path at most, and are told
    whole."""
    if isinstance(error, OSError):
        return str(error)
    place, at = "", error.__traceback__
    while at is not None:
        module = str(at.tb_frame.f_globals.get("__name__", ""))
        if module.startswith("engine."):
            place = f"{module}:{at.tb_frame.f_code.co_name}"
        at = at.tb_next
    return f"{type(error).__name__} in {place}" if place else type(error).__name__


def said(error: BaseException) -> str:
    """Its text; of one that came up where people's words are handled only what ``told`` tells."""
    return told(error) if _among_words(error) else str(error) or type(error).__name__


def _among_words(error: BaseException) -> bool:
    at = error.__traceback__
    while at is not None:
        if str(at.tb_frame.f_globals.get("__name__", "")).startswith(_WORDS):
            return True
        at = at.tb_next
    return False


def tell_no_data() -> None:
    """A process that dies of an error says on stderr which it was and where, and no more."""

    def last_words(
        _kind: type[BaseException], error: BaseException, _traceback: TracebackType | None
    ) -> None:
        sys.stderr.write(f"{told(error)}\n")

    def of_thread(died: threading.ExceptHookArgs) -> None:
        if died.exc_value is not None:
            sys.stderr.write(f"{told(died.exc_value)}\n")

    sys.excepthook, threading.excepthook = last_words, of_thread
