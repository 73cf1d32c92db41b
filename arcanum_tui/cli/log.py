"""The log file: what a person need not see at once, and defects with their traceback.

Nothing is opened before the first record, so a command that has nothing to tell pays nothing.
"""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from engine.contract.base import visible
from engine.contract.errors import Internal
from engine.home import locate

MAX_BYTES = 1024 * 1024
_MAX_RECORD = 64 * 1024


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
        self.setFormatter(
            logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")
        )

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
