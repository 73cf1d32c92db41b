"""A file of records, read piece by piece. Blocking and CPU-bound: for threads.

The file is hostile until shown otherwise: a line may be endless, no JSON, no record, or a record
that no database can hold. Each such line is counted and told by its number, never by its words.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from engine.contract.base import visible
from engine.contract.memories import Record
from engine.recall.book import stamp

MAX_LINE = 1024 * 1024
"""Bytes of a line."""
_BOM = b"\xef\xbb\xbf"
_MOST_USES = 2**53


@dataclass(frozen=True, slots=True)
class Line:
    """A record as its row is to be. ``newer``: the uid of what it was replaced by, or None."""

    number: int
    namespace: str
    uid: bytes
    newer: bytes | None
    values: tuple[Any, ...]


@dataclass(slots=True)
class Piece:
    """Some lines. ``read``: bytes of the file so far; ``ended``: there is no more."""

    lines: int = 0
    found: list[Line] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    read: int = 0
    ended: bool = False


class RecordFile:
    """Raises OSError where it cannot be opened or read; ValueError where it is no plain file."""

    def __init__(self, path: bytes, namespace: str | None) -> None:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise ValueError("it is a folder" if stat.S_ISDIR(mode) else "it is no plain file")
        self._file = open(path, "rb")  # noqa: SIM115 - closed by whoever made it
        self.size = os.fstat(self._file.fileno()).st_size
        self._namespace = namespace
        self._number = 0
        self._read = 0

    def close(self) -> None:
        self._file.close()

    def piece(self, most: int, size: int) -> Piece:
        """The next lines: at most so many, and not many more bytes than ``size``."""
        piece, start = Piece(), self._read
        while piece.lines + len(piece.refused) < most and self._read - start < size:
            line = self._file.readline(MAX_LINE + 1)
            if not line:
                piece.ended = True
                break
            self._read += len(line)
            self._number += 1
            if len(line) > MAX_LINE and not line.endswith(b"\n"):
                self._skip()
                problem: Line | str = f"longer than {MAX_LINE:,} bytes"
            elif self._number == 1:
                problem = self._understood(line.removeprefix(_BOM))
            elif not line.strip():
                continue
            else:
                problem = self._understood(line)
            piece.lines += 1
            if isinstance(problem, str):
                piece.refused.append((self._number, problem))
            else:
                piece.found.append(problem)
        piece.read = self._read
        return piece

    def _skip(self) -> None:
        """To the end of a line, however long it is."""
        while rest := self._file.readline(MAX_LINE):
            self._read += len(rest)
            if rest.endswith(b"\n"):
                return

    def _understood(self, line: bytes) -> Line | str:
        """The row that the line describes, or why it is none."""
        try:
            record = Record.model_validate_json(line)
            return _line(self._number, record, self._namespace or record.namespace)
        except ValidationError as error:
            return _problem(error)
        except (OverflowError, ValueError) as error:  # A time that no calendar has, say.
            return visible(str(error))[:100]


def _line(number: int, record: Record, namespace: str) -> Line:
    """A turn or a passage of another home is a note here. Raises ValueError, OverflowError."""
    if record.uses > _MOST_USES:
        raise ValueError("uses: more than can be counted")
    newer = bytes.fromhex(record.replaced_by) if record.replaced_by else None
    uid = bytes.fromhex(record.uid)
    hidden = record.state in {"merged", "replaced"} and newer not in {None, uid}
    return Line(
        number,
        namespace,
        uid,
        newer if hidden else None,
        (
            uid,
            record.state if hidden else "live",
            record.pinned,
            record.importance,
            record.uses,
            stamp(record.used_at) if record.used_at else None,
            record.kept,
            stamp(record.at),
            stamp(record.added_at),
            record.speaker,
            record.source,
            record.ref,
            record.text,
        ),
    )


def _problem(error: ValidationError) -> str:
    """Which field, and what is wrong with it; nothing of what stands there."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "extra_forbidden":
        return "a field that no record has"
    place = ".".join(map(str, first["loc"]))
    why = first["msg"].removeprefix("Value error, ")
    return visible(f"{place}: {why}" if place else why)[:200]
