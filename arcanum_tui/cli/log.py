"""The log file: what a person need not see at once, and defects with their traceback.

Nothing is opened before the first record, so a command that has nothing to tell pays nothing.
"""

from __future__ import annotations

import copy
import logging
import os
import secrets
import traceback
from pathlib import Path
from typing import Any

from engine.contract.base import visible
from engine.contract.errors import Internal
from engine.home import locate

MAX_BYTES = 1024 * 1024
_MAX_RECORD = 64 * 1024
_WORDS = ("engine.agent0.", "engine.memory.", "engine.recall.")


class _Formatter(logging.Formatter):
    """Of an error that came up where people's words are handled the text stays out, which may quote
    them: a log is not written anew where they are forgotten."""

    def format(self, record: logging.LogRecord) -> str:
        record = copy.copy(record)
        record.exc_text = None  # Another handler may have made it.
        return super().format(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - as logging calls it
        kind, error, trace = ei
        if kind is None or error is None or not _among_words(error):
            return super().formatException(ei)
        frames = "".join(traceback.format_tb(trace))
        return f"Traceback (most recent call last):\n{frames}{kind.__name__}"


def _among_words(error: BaseException | None) -> bool:
    while error is not None:
        for frame, _line in traceback.walk_tb(error.__traceback__):
            if str(frame.f_globals.get("__name__", "")).startswith(_WORDS):
                return True
        error = error.__cause__ or error.__context__
    return False


class LogFile(logging.Handler):
    """Appends to ``path``, private to this user.

    Beyond 1 MiB the file becomes ``path.1`` in place of the one before. Each record opens the file
    anew, because several processes may write to it and any of them may move it away. ``problem``
    says why the last record could not be written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(logging.WARNING)
        self.path = path
        self.problem = ""
        self.setFormatter(_Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)[:_MAX_RECORD] + "\n"
        try:
            self._append(text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            self.problem = error.strerror or str(error)

    def _append(self, data: bytes) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path, flags, 0o600)
        try:
            os.write(descriptor, data)
            full = os.fstat(descriptor).st_size > MAX_BYTES
        finally:
            os.close(descriptor)
        if full:
            self.path.replace(self.path.with_name(self.path.name + ".1"))


def install() -> LogFile:
    """Sends warnings and errors of the whole process to the log, and none to the terminal."""
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, LogFile):
            return handler
    handler = LogFile(locate().log_file)
    root.addHandler(handler)
    logging.captureWarnings(capture=True)
    return handler


def defect(error: BaseException) -> Internal:
    """``error``, which nobody expected, as one line for a person; its traceback goes to the log."""
    log = install()
    reference = secrets.token_hex(3)
    logging.getLogger("arcanum").error("defect %s", reference, exc_info=error)
    where = f"Look for {reference} in {visible(str(log.path))}, and please report it."
    if log.problem:
        where = f"The log could not be written either: {log.problem}."
    detail = visible(str(error).partition("\n")[0])[:200]
    return Internal(f"{type(error).__name__}: {detail}" if detail else type(error).__name__, where)
