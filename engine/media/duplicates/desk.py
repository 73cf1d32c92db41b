"""The operations on duplicates: pages of what the catalogue knows, and searches."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.call import Call
from engine.contract.copies import (
    MOST_COPIES,
    AskDuplicates,
    Copy,
    CopyName,
    DuplicateGroup,
    DuplicatePage,
    DuplicateTotals,
    FileIdentity,
    FindDuplicates,
    FoundDuplicates,
)
from engine.contract.errors import Invalid, NotFound, StoreFailed
from engine.contract.ports import TRASH_FOLDER, JobControl
from engine.ground import Ground
from engine.media.catalogue import Files, Stored
from engine.media.duplicates.snapshot import Key, Snapshot
from engine.media.integrity.record import damage_of
from engine.media.looking import Workers
from engine.media.pace import checkpoint
from engine.media.paging import when
from engine.media.process import Lost, Process, WorkerFailed
from engine.worker.frames import Frame, to_bytes, to_text
from engine.worker.numbers import unsigned

_SNAPSHOTS = 4
_AT_REST = 5
_MOST_TOLD = 5000
_LEAST_TOLD = 10


class Duplicates:
    """``stored``: the libraries, by id. ``keep``: those whose copies are kept first, in order."""

    def __init__(
        self,
        ground: Ground,
        files: Files,
        workers: Workers,
        stored: Callable[[], Mapping[int, Stored]],
        threads: int,
    ) -> None:
        self._ground, self._files, self._workers = ground, files, workers
        self._stored, self._threads = stored, threads
        self._snapshots: OrderedDict[tuple[int, ...], Snapshot] = OrderedDict()
        self._counting = asyncio.Lock()

    def start(self) -> None:
        """Binds the operations."""
        self._ground.door.unary(media.DUPLICATES, self.page)
        self._ground.door.job(media.FIND_DUPLICATES, self._find, _subject)

    async def stop(self) -> None:
        async with self._counting:
            while self._snapshots:
                _key, snapshot = self._snapshots.popitem()
                await asyncio.to_thread(snapshot.close)

    def chosen(self, names: Sequence[str]) -> list[Stored]:
        """The libraries of these names, or all. Raises NotFound."""
        by_name = {library.name: library for library in self._stored().values()}
        for name in names:
            if name not in by_name:
                known = ", ".join(sorted(by_name)) or "none yet: arcanum media add PATH"
                raise NotFound(f"There is no library {name}.", f"Libraries: {known}.")
        return [by_name[name] for name in sorted(set(names) or by_name)]

    def _command(self, do: str, libraries: Sequence[Stored], groups: int, **more: Any) -> Frame:
        return {
            "do": do,
            "catalogue": self._files.uri,
            "libraries": [[one.id, one.name, to_text(one.root)] for one in libraries],
            "keep": self._ground.config.media.keep,
            "most": max(_LEAST_TOLD, min(MOST_COPIES, _MOST_TOLD // groups)),
            **more,
        }

    # --- pages ----------------------------------------------------------------------------------

    async def page(self, request: AskDuplicates, _call: Call) -> DuplicatePage:
        libraries = self.chosen(request.libraries)
        try:
            snapshot, keys = await self._keys(libraries, request)
        except sqlite3.Error as error:
            raise StoreFailed(f"The catalogue cannot be read: {error}.", "Try again.") from error
        more = len(keys) > request.limit
        keys = keys[: request.limit]
        groups, left_out = await self._describe(libraries, snapshot, keys, request.limit)
        return DuplicatePage(
            groups=tuple(groups),
            totals=DuplicateTotals(
                groups=snapshot.groups, copies=snapshot.copies, frees=snapshot.frees
            ),
            not_duplicates=left_out,
            pending=snapshot.pending,
            candidates=snapshot.candidates,
            unread=snapshot.unread,
            as_of=when(snapshot.made_at),
            handle=snapshot.name,
            next=_cursor(request.sort, keys[-1]) if more else None,
        )

    async def _keys(
        self, libraries: Sequence[Stored], request: AskDuplicates
    ) -> tuple[Snapshot, list[Key]]:
        """What was counted, and the groups of a page and one more. Raises Invalid, sqlite3.Error.

        Who names what was counted before waits for nobody who counts anew meanwhile.
        """
        key = tuple(sorted(library.id for library in libraries))
        after = None if request.after is None else _position(request.sort, request.after)
        held = self._snapshots.get(key)
        if held is not None and held.name == request.handle:
            with suppress(sqlite3.ProgrammingError):  # It was closed: there is a newer one.
                return held, await _page(held, request, after)
        async with self._counting:  # Nobody closes it meanwhile.
            snapshot = await self._snapshot(key, first=after is None)
            return snapshot, await _page(snapshot, request, after)

    async def _snapshot(self, key: tuple[int, ...], *, first: bool) -> Snapshot:
        """What was counted of these libraries. A first page counts anew where the catalogue
        changed, but not all the time: while a library is scanned it always has."""
        known = self._snapshots.get(key)
        if known is not None:
            self._snapshots.move_to_end(key)
            rested = time.monotonic() - known.ended > _AT_REST * known.took
            if not (first and rested and await asyncio.to_thread(known.is_stale)):
                return known
        made = await asyncio.to_thread(Snapshot, self._files.uri, key)
        self._snapshots[key] = made
        self._snapshots.move_to_end(key)
        old = [known] if known is not None else []
        while len(self._snapshots) > _SNAPSHOTS:
            old.append(self._snapshots.popitem(last=False)[1])
        for one in old:
            await asyncio.to_thread(one.close)
        return made

    async def _describe(
        self, libraries: Sequence[Stored], snapshot: Snapshot, keys: Sequence[Key], limit: int
    ) -> tuple[list[DuplicateGroup], int]:
        """The groups as they are now. Where a disk does not answer: as the catalogue knows them."""
        if not keys:
            return [], 0
        hashes = [key.blake3.hex() for key in keys]
        command = self._command("duplicates", libraries, limit, hashes=hashes, touch=True)
        try:
            groups, left_out = await self._ask(command)
        except WorkerFailed:
            return await self._ask({**command, "touch": False})
        snapshot.learn(keys, {bytes.fromhex(group.blake3): group.frees for group in groups})
        return groups, left_out

    async def _ask(self, command: Frame) -> tuple[list[DuplicateGroup], int]:
        groups: list[DuplicateGroup] = []
        async with self._workers.lend() as process:
            async for frame in process.answers(command):
                if frame["k"] == "group":
                    groups.append(await _group(frame))
                elif frame["k"] == "done":
                    return groups, frame["left_out"]
        raise AssertionError("answers end with done")

    # --- searches -------------------------------------------------------------------------------

    async def _find(self, request: FindDuplicates, control: JobControl) -> FoundDuplicates:
        if request.paths and request.libraries:
            raise Invalid("Folders or libraries, not both.", "Name the one or the other.")
        began = time.monotonic()
        if request.paths:
            return await self._in_folders(request, control, began)
        return await self._in_libraries(request, control, began)

    async def _in_folders(
        self, request: FindDuplicates, control: JobControl, began: float
    ) -> FoundDuplicates:
        command = self._command(
            "find_duplicates",
            [*self._stored().values()],
            request.limit,
            roots=[to_text(path) for path in _roots(request.paths)],
            skip=to_text(TRASH_FOLDER),
            threads=self._threads,
            limit=request.limit,
        )
        try:
            groups, last = await self._follow(command, control)
        except Lost as lost:
            raise Invalid(
                f"{lost.message}.",
                "Name folders that exist and that you can read.",
            ) from lost
        totals = DuplicateTotals(groups=last["groups"], copies=last["copies"], frees=last["frees"])
        return _found(groups, totals, last, began)

    async def _in_libraries(
        self, request: FindDuplicates, control: JobControl, began: float
    ) -> FoundDuplicates:
        libraries = self.chosen(request.libraries)
        command = self._command(
            "sift",
            libraries,
            request.limit,
            threads=self._threads,
            hashes=self._files.hashes,
        )
        _groups, last = await self._follow(command, control)
        asked = AskDuplicates(libraries=request.libraries, limit=request.limit)
        page = await self.page(asked, control.call)
        last |= {"skipped": 0, "empty": 0}
        return _found(page.groups, page.totals, last, began)

    async def _follow(
        self, command: Frame, control: JobControl
    ) -> tuple[list[DuplicateGroup], Frame]:
        pace, groups = _Pace(control), list[DuplicateGroup]()
        async with self._workers.lend() as process:
            async for frame in process.answers(command):
                match frame["k"]:
                    case "group":
                        groups.append(await _group(frame))
                    case "hashed":
                        await self._put(frame["rows"])
                    case "done":
                        return groups, frame
                await pace(process, frame)
        raise AssertionError("answers end with done")

    async def _put(self, rows: Sequence[list[Any]]) -> None:
        by_library: dict[int, list[list[Any]]] = {}
        for library, *row in rows:
            by_library.setdefault(library, []).append(row)
        for library, put in by_library.items():
            if library in self._stored():  # It may have been removed meanwhile.
                await self._files.put_hashes(library, put)


@dataclass(slots=True)
class _Pace:
    """Tells the files that were met, then the bytes that were read of those that look alike."""

    control: JobControl
    size: int | None = field(default=None)

    def __post_init__(self) -> None:
        self.control.progress(0, None, "files")

    async def __call__(self, process: Process, frame: Frame) -> None:
        if frame["k"] == "stage":
            self.size = frame["bytes"]
        if frame["k"] == "beat":
            note = PathRef.of(to_bytes(frame["where"])).display[:200]
            if self.size is None:
                self.control.progress(frame["files"], None, "files", note)
            else:
                self.control.progress(min(frame["bytes"], self.size), self.size, "bytes", note)
        await checkpoint(self.control, process)


def _subject(request: FindDuplicates) -> str:
    named = [path.display for path in request.paths] or [*request.libraries]
    return ", ".join(named)[:200] or "all libraries"


def _roots(paths: Sequence[PathRef]) -> list[bytes]:
    """Raises Invalid."""
    roots = []
    for path in paths:
        try:
            data = path.data
        except ValueError as error:
            raise Invalid("The path's raw form is not base64.", "Encode its bytes.") from error
        if b"\0" in data or not data.startswith(b"/"):
            raise Invalid(f"Not an absolute path: {path.display}.", "Name a folder.")
        roots.append(data)
    return roots


def _found(
    groups: Sequence[DuplicateGroup], totals: DuplicateTotals, last: Frame, began: float
) -> FoundDuplicates:
    return FoundDuplicates(
        groups=tuple(groups),
        totals=totals,
        files=last["files"],
        read_bytes=last["read_bytes"],
        changed=last["changed"],
        unreadable=last["unreadable"],
        skipped=last["skipped"],
        empty=last["empty"],
        seconds=round(time.monotonic() - began, 3),
    )


# --- what a worker tells --------------------------------------------------------------------------


async def _group(frame: Frame) -> DuplicateGroup:
    copies = []
    for row in frame["copies"]:
        copies.append(_copy(row))
        if len(copies) % 20 == 0:  # The event loop is never held for long.
            await asyncio.sleep(0)
    return DuplicateGroup(
        blake3=frame["blake3"],
        size=frame["size"],
        count=frame["count"],
        frees=frame["frees"],
        copies=tuple(copies),
    )


def _copy(row: Mapping[str, Any]) -> Copy:
    first, *others = [
        CopyName(id=id_, library=library or None, path=PathRef.of(to_bytes(path)))
        for id_, library, path in row["names"]
    ]
    dev, ino, size, mtime_ns, ctime_ns, links = row["identity"]
    seen, checked = row["first_seen_at"], row["checked_at"]
    return Copy(
        id=first.id,
        library=first.library,
        path=first.path,
        names=tuple(others),
        identity=FileIdentity(
            dev=unsigned(dev),
            ino=unsigned(ino),
            size=size,
            mtime_ns=mtime_ns,
            ctime_ns=ctime_ns,
            links=links,
        ),
        modified_at=when(mtime_ns),
        first_seen_at=None if seen is None else when(seen),
        checked_at=None if checked is None else when(checked),
        damage=damage_of(row["damage"]),
        seeding=row["seeding"],
        role=row["role"],
        reasons=tuple(row["reasons"]),
        shares=row["shares"],
        frees=row["frees"],
    )


# --- where a page begins --------------------------------------------------------------------------


async def _page(snapshot: Snapshot, request: AskDuplicates, after: Key | None) -> list[Key]:
    """One more than are wanted tells that it is not the last."""
    if request.at is None:
        return await asyncio.to_thread(snapshot.page, request.sort, after, request.limit + 1)
    return await asyncio.to_thread(snapshot.page_at, request.sort, request.at, request.limit + 1)


def _cursor(sort: str, key: Key) -> str:
    value = key.value
    shown = base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value
    data = json.dumps([sort, shown, key.blake3.hex()])
    return base64.urlsafe_b64encode(data.encode()).decode("ascii")


def _position(sort: str, cursor: str) -> Key:
    """Raises Invalid."""
    try:
        of, value, blake3 = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
        beyond = base64.b64decode(value, validate=True) if sort == "path" else int(value)
        key = Key(beyond, bytes.fromhex(blake3))
    except (ValueError, TypeError) as error:
        raise Invalid("'after' is not the 'next' of a page.", "Start at the first page.") from error
    if of != sort:
        raise Invalid(f"'after' belongs to a list by {of!s:.20}.", "Start at the first page.")
    return key
