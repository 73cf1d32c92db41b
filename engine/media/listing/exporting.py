"""A list as a file: CSV, JSON Lines or Markdown. It is there whole, or not at all.

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
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, Literal, cast

from engine.contract.base import PathRef, visible
from engine.contract.errors import Failed, Invalid, Refused
from engine.contract.listing import ExportAssets, Exported
from engine.contract.ports import JobControl
from engine.media.listing.matching import match
from engine.media.listing.orders import Ask
from engine.media.listing.pages import Pages, listed

Format = Literal["csv", "jsonl", "md"]

_TOGETHER = 500
COLUMNS = (
    *("library", "path", "size", "modified_at", "taken_at", "first_seen_at", "kind", "type"),
    *("camera", "state", "links", "blake3", "source", "raw_path"),
)
_SHOWN = ("library", "path", "size", "modified_at", "taken_at", "kind", "camera", "state", "source")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_SOURCES = """
SELECT file, kind, origin FROM source WHERE file IN (SELECT value FROM json_each(?))
ORDER BY file, confidence, id
"""


class Exporting:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def export(
        self, libraries: Mapping[int, str], asked: ExportAssets, control: JobControl
    ) -> Exported:
        """Raises Invalid, Refused where there is something already, Failed, Cancelled."""
        began = time.monotonic()
        path, how = _target(asked)
        ask = Ask(match(tuple(libraries), asked), asked.sort, asked.reverse)
        ids = (await self._pages.orders.of(ask)).ids if libraries else ()
        draft = await asyncio.to_thread(_Draft, path, how)
        written = 0
        try:
            for at in range(0, len(ids), _TOGETHER):
                await control.checkpoint()
                rows = await self._rows(ids[at : at + _TOGETHER], libraries)
                await asyncio.to_thread(draft.write, rows)
                written += len(rows)
                control.progress(at + len(ids[at : at + _TOGETHER]), len(ids), "files")
            size = await asyncio.to_thread(draft.finish)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(draft.drop))
            raise
        return Exported(
            path=PathRef.of(path),
            format=how,
            files=written,
            gone=len(ids) - written,
            size=size,
            seconds=time.monotonic() - began,
        )

    async def _rows(self, ids: Sequence[int], libraries: Mapping[int, str]) -> list[dict[str, Any]]:
        rows = [row for row in await self._pages.rows(ids) if row["library"] in libraries]
        sources = await self._pages.read(_SOURCES, (json.dumps(list(ids)),))
        best = {row["file"]: f"{row['kind']} {row['origin']}".rstrip() for row in sources}
        await asyncio.sleep(0)
        return [_told(row, libraries[row["library"]], best.get(row["id"], "")) for row in rows]


def _target(asked: ExportAssets) -> tuple[bytes, Format]:
    """Raises Invalid."""
    try:
        path = asked.path.data
    except ValueError as error:
        raise Invalid("The path's raw form is not base64.", "Encode its bytes.") from error
    if b"\0" in path or not path.startswith(b"/"):
        raise Invalid("A file to write has a whole path, without NUL.", "Begin it with /.")
    ending = path.rpartition(b".")[2].decode("ascii", "replace").lower()
    how = asked.format or {"markdown": "md", "ndjson": "jsonl"}.get(ending, ending)
    if how not in {"csv", "jsonl", "md"}:
        raise Invalid(
            f"How is {asked.path.display} to be written?",
            "End its name with .csv, .jsonl or .md, or give a format.",
        )
    return path, cast(Format, how)


def _told(row: Any, library: str, source: str) -> dict[str, Any]:
    asset = listed(row, library)
    state = "sound" if asset.blake3 else "pending"
    if asset.damage:
        state = "damaged" if asset.damage == "rotten" else "unreadable"
    return {
        "library": library,
        "path": asset.path.display,
        "size": asset.size,
        "modified_at": asset.modified_at.isoformat(),
        "taken_at": asset.taken_at.isoformat() if asset.taken_at else None,
        "first_seen_at": asset.first_seen_at.isoformat(),
        "kind": asset.kind,
        "type": asset.type,
        "camera": visible(asset.camera),
        "state": state,
        "links": asset.links,
        "blake3": asset.blake3,
        "source": visible(source),
        "raw_path": asset.path.raw,
    }


class _Draft:
    """The file while it is written: beside its place, under another name. Blocking."""

    def __init__(self, path: bytes, how: Format) -> None:
        self._path, self._how = path, how
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
            self._file.write(heading(how))
        except OSError as error:
            self.drop()
            raise _failed(path, error) from error

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        assert self._file is not None
        try:
            self._file.write(lines(self._how, rows))
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


def heading(how: Format) -> str:
    """What stands before the rows."""
    if how == "csv":
        return ",".join(COLUMNS) + "\r\n"
    if how == "md":
        return f"| {' | '.join(_SHOWN)} |\n|{'---|' * len(_SHOWN)}\n"
    return ""


def lines(how: Format, rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows as text."""
    if how == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if how == "md":
        return "".join(f"| {' | '.join(_marked(row[name]) for name in _SHOWN)} |\n" for row in rows)
    text = io.StringIO()
    csv.writer(text).writerows([_cell(row[name]) for name in COLUMNS] for row in rows)
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


__all__ = ["COLUMNS", "Exporting", "heading", "lines"]
