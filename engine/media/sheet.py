"""A table as a file: CSV, JSON Lines or Markdown. It is there whole, or not at all.

What stands in a file's name is data: control characters are made visible, and in CSV nothing that a
spreadsheet would take for a formula begins a cell.
"""

from __future__ import annotations

import asyncio
import csv
import errno
import io
import json
import os
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import suppress
from typing import IO, Any, Literal, NamedTuple, cast

from engine.contract.base import PathRef
from engine.contract.errors import Failed, Invalid, Refused

Format = Literal["csv", "jsonl", "md"]
Row = Mapping[str, Any]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Table(NamedTuple):
    """``shown``: the columns that Markdown has room for."""

    columns: tuple[str, ...]
    shown: tuple[str, ...]


def target(named: PathRef, form: Format | None) -> tuple[bytes, Format]:
    """The file to write, and how: by default as its name ends. Raises Invalid."""
    try:
        path = named.data
    except ValueError as error:
        raise Invalid("The path's raw form is not base64.", "Encode its bytes.") from error
    if b"\0" in path or not path.startswith(b"/"):
        raise Invalid("A file to write has a whole path, without NUL.", "Begin it with /.")
    ending = path.rpartition(b".")[2].decode("ascii", "replace").lower()
    how = form or {"markdown": "md", "ndjson": "jsonl"}.get(ending, ending)
    if how not in {"csv", "jsonl", "md"}:
        raise Invalid(
            f"How is {named.display} to be written?",
            "End its name with .csv, .jsonl or .md, or give a format.",
        )
    return path, cast(Format, how)


async def write(
    path: bytes, how: Format, table: Table, batches: AsyncIterable[Iterable[Row]]
) -> int:
    """Writes the rows as they come; the file's size. Raises Refused where there is something
    already, Failed, and what the rows raise."""
    draft = await asyncio.to_thread(_Draft, path, how, table)
    try:
        async for rows in batches:
            await asyncio.to_thread(draft.write, rows)
        return await asyncio.to_thread(draft.finish)
    except BaseException:
        await asyncio.shield(asyncio.to_thread(draft.drop))
        raise


class _Draft:
    """The file while it is written: beside its place, under another name. Blocking."""

    def __init__(self, path: bytes, how: Format, table: Table) -> None:
        self._path, self._how, self._table = path, how, table
        self._part = path + b".part"
        self._file: IO[str] | None = None
        if os.path.lexists(path):
            raise _taken(path)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            number = os.open(self._part, flags, 0o600)
        except FileExistsError:
            raise _taken(self._part) from None
        except OSError as error:
            raise _failed(path, error) from error
        self._file = os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace", newline="")
        try:
            self._file.write(heading(how, table))
        except OSError as error:
            self.drop()
            raise _failed(path, error) from error

    def write(self, rows: Iterable[Row]) -> None:
        assert self._file is not None
        try:
            self._file.write(lines(self._how, self._table, rows))
        except OSError as error:
            raise _failed(self._path, error) from error

    def finish(self) -> int:
        """Puts it in its place, where nothing is overwritten; its size."""
        assert self._file is not None
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            size = os.fstat(self._file.fileno()).st_size
            self._file.close()
            try:
                os.link(self._part, self._path, follow_symlinks=False)
            except OSError as error:
                if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}:
                    raise
                # A file system without links: nothing was there a moment ago.
                if os.path.lexists(self._path):
                    raise FileExistsError from error
                os.rename(self._part, self._path)
        except FileExistsError:
            raise _taken(self._path) from None
        except OSError as error:
            raise _failed(self._path, error) from error
        self.drop()
        return size

    def drop(self) -> None:
        """The other name goes, with what was written under it alone."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            with suppress(OSError):
                os.unlink(self._part)
            self._file = None


def _taken(path: bytes) -> Refused:
    return Refused(f"{PathRef.of(path).display} is there already.", "Choose another name.")


def _failed(path: bytes, error: OSError) -> Failed:
    why = error.strerror or str(error)
    return Failed(f"{PathRef.of(path).display} cannot be written: {why}.", "Choose another path.")


def heading(how: Format, table: Table) -> str:
    """What stands before the rows."""
    if how == "csv":
        return ",".join(table.columns) + "\r\n"
    if how == "md":
        return f"| {' | '.join(table.shown)} |\n|{'---|' * len(table.shown)}\n"
    return ""


def lines(how: Format, table: Table, rows: Iterable[Row]) -> str:
    """The rows as text."""
    if how == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if how == "md":
        shown = table.shown
        return "".join(f"| {' | '.join(_marked(row[name]) for name in shown)} |\n" for row in rows)
    text = io.StringIO()
    csv.writer(text).writerows([_cell(row[name]) for name in table.columns] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would calculate begins with an apostrophe."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value


def _marked(value: Any) -> str:
    """Text in a cell of a table: nothing in it is Markdown or HTML."""
    text = "" if value is None else str(value)
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>()#+!|~&" else c for c in text)
