"""A list of files as a file."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from engine.contract.assets import ListedAsset
from engine.contract.base import PathRef, visible
from engine.contract.listing import ExportAssets, Exported
from engine.contract.ports import JobControl
from engine.media.listing.matching import match
from engine.media.listing.orders import Ask
from engine.media.listing.pages import Pages, listed
from engine.media.sheet import Table, target, write
from engine.media.unseen import Place

_TOGETHER = 500
FILES = Table(
    (
        *("library", "path", "size", "modified_at", "taken_at", "first_seen_at", "kind", "type"),
        *("camera", "state", "links", "blake3", "source", "raw_path"),
    ),
    ("library", "path", "size", "modified_at", "taken_at", "kind", "camera", "state", "source"),
)

_SOURCES = """
SELECT file, kind, origin FROM source WHERE file IN (SELECT value FROM json_each(?))
ORDER BY file, confidence, id
"""


class Exporting:
    """``out_of_reach``: the place for which a library's file cannot be looked at now."""

    def __init__(self, pages: Pages, out_of_reach: Callable[[str, bytes], Place | None]) -> None:
        self._pages, self._out_of_reach = pages, out_of_reach

    async def export(
        self, libraries: Mapping[int, str], asked: ExportAssets, control: JobControl
    ) -> Exported:
        """Raises Invalid, Refused where there is something already, Failed, Cancelled."""
        began = time.monotonic()
        path, how = target(asked.path, asked.format)
        ask = Ask(match(tuple(libraries), asked), asked.sort, asked.reverse)
        ids = (await self._pages.orders.of(ask)).ids if libraries else ()
        written = 0

        async def batches() -> AsyncIterator[list[dict[str, Any]]]:
            nonlocal written
            for at in range(0, len(ids), _TOGETHER):
                await control.checkpoint()
                together = ids[at : at + _TOGETHER]
                rows = await self._rows(together, libraries)
                yield rows
                written += len(rows)
                control.progress(at + len(together), len(ids), "files")

        size = await write(path, how, FILES, batches())
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
        return [self._told(row, libraries[row["library"]], best.get(row["id"], "")) for row in rows]

    def _told(self, row: Any, library: str, source: str) -> dict[str, Any]:
        asset = listed(row, library)
        state = "sound" if asset.blake3 else "pending"
        if asset.damage == "rotten":
            state = "damaged"
        elif self._out_of_reach(library, row["path"]):
            state = "unreachable"
        elif asset.damage:
            state = "unreadable"
        return _columns(asset, library, state, source)


def _columns(asset: ListedAsset, library: str, state: str, source: str) -> dict[str, Any]:
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
