"""Groups as a file: of files with the same bytes, or of pictures that look alike."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any

from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.call import Call
from engine.contract.copies import (
    AskDuplicates,
    AskNear,
    Copy,
    DuplicateGroup,
    DuplicatePage,
    ExportDuplicates,
    ExportedDuplicates,
    NearGroup,
    NearPage,
    NearPicture,
)
from engine.contract.ports import Door, JobControl
from engine.media.sheet import Row, Table, target, write

_TOGETHER = 25
SAME = Table(
    (
        *("group", "role", "reasons", "size", "frees", "library", "path", "modified_at"),
        *("links", "blake3", "raw_path"),
    ),
    ("group", "role", "reasons", "size", "frees", "library", "path"),
)
ALIKE = Table(
    (
        *("group", "distance", "size", "width", "height", "taken_at", "library", "path"),
        *("copies", "blake3", "raw_path"),
    ),
    ("group", "distance", "size", "width", "height", "library", "path"),
)

Groups = Sequence[DuplicateGroup | NearGroup]


class Exporting:
    """``same`` and ``alike`` answer for a page of groups."""

    def __init__(
        self,
        same: Callable[[AskDuplicates, Call], Awaitable[DuplicatePage]],
        alike: Callable[[AskNear, Call], Awaitable[NearPage]],
    ) -> None:
        self._same, self._alike = same, alike

    def start(self, door: Door) -> None:
        """Binds the operation."""
        door.job(
            media.EXPORT_DUPLICATES,
            self._export,
            lambda request: ", ".join(request.libraries)[:200] or "all libraries",
        )

    async def _export(self, asked: ExportDuplicates, control: JobControl) -> ExportedDuplicates:
        """Raises Invalid, NotFound, Refused where there is something already, Failed, Cancelled."""
        began = time.monotonic()
        path, how = target(asked.path, asked.format)
        groups = files = untold = 0

        async def batches() -> AsyncIterator[list[Row]]:
            nonlocal groups, files, untold
            async for page in self._pages(asked, control):
                rows = await asyncio.to_thread(_rows, page, groups + 1)
                yield rows
                groups += len(page)
                files += len(rows)
                untold += sum(group.count - _told(group) for group in page)

        size = await write(path, how, ALIKE if asked.near else SAME, batches())
        return ExportedDuplicates(
            path=PathRef.of(path),
            format=how,
            groups=groups,
            files=files,
            untold=untold,
            size=size,
            seconds=time.monotonic() - began,
        )

    async def _pages(self, asked: ExportDuplicates, control: JobControl) -> AsyncIterator[Groups]:
        how: dict[str, Any] = {"libraries": asked.libraries, "limit": _TOGETHER}
        after, done = None, 0
        while True:
            await control.checkpoint()
            if asked.near:
                near = await self._alike(AskNear(**how, after=after), control.call)
                groups, total, after = near.groups, near.total, near.next
                yield groups
            else:
                request = AskDuplicates(**how, sort=asked.sort, after=after)
                page = await self._same(request, control.call)
                total, after = page.totals.groups, page.next
                yield page.groups
            done += _TOGETHER
            control.progress(min(done, total), total, "groups")
            if after is None:
                return


def _told(group: DuplicateGroup | NearGroup) -> int:
    return len(group.copies if isinstance(group, DuplicateGroup) else group.pictures)


def _rows(groups: Groups, first: int) -> list[Row]:
    """Groups are counted from ``first`` on."""
    rows: list[Row] = []
    for number, group in enumerate(groups, first):
        if isinstance(group, DuplicateGroup):
            rows += [row for copy in group.copies for row in _names(copy, number, group.blake3)]
        else:
            rows += [_picture(picture, number) for picture in group.pictures]
    return rows


def _names(copy: Copy, group: int, blake3: str) -> Iterable[Row]:
    """A row for each name: where one name stays, nothing comes free, so the first alone tells of
    bytes."""
    row = {
        "group": group,
        "role": copy.role,
        "reasons": "; ".join(copy.reasons),
        "size": copy.identity.size,
        "frees": copy.frees,
        "library": copy.library,
        "path": copy.path.display,
        "modified_at": copy.modified_at.isoformat(),
        "links": copy.identity.links,
        "blake3": blake3,
        "raw_path": copy.path.raw,
    }
    yield row
    for name in copy.names:
        path = {"library": name.library, "path": name.path.display, "raw_path": name.path.raw}
        yield {**row, **path, "reasons": f"another name of {copy.path.display}", "frees": 0}


def _picture(picture: NearPicture, group: int) -> Row:
    return {
        "group": group,
        "distance": picture.distance,
        "size": picture.size,
        "width": picture.width,
        "height": picture.height,
        "taken_at": picture.taken_at.isoformat() if picture.taken_at else None,
        "library": picture.library,
        "path": picture.path.display,
        "copies": picture.copies,
        "blake3": picture.blake3,
        "raw_path": picture.path.raw,
    }
