"""Beside the list, where there is room: what is known of what the cursor is on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from textual.containers import Vertical
from textual.widget import Widget

from arcanum_tui.screens.browsing import Browsing
from arcanum_tui.state import asset as closely
from arcanum_tui.state.grid import Piece, Row, muted
from arcanum_tui.state.level import Level
from arcanum_tui.widgets.lines import GUTTER, Lines
from arcanum_tui.widgets.picture import Picture
from arcanum_tui.work import restart
from engine.contract import media
from engine.contract.assets import ListedAsset
from engine.contract.copies import DuplicateGroup, NearGroup
from engine.contract.errors import ArcanumError
from engine.contract.listing import Folder
from engine.contract.traits import ShowAsset

BROAD = 160
"""From so many cells on what is known of a file stands beside the list."""
FOLLOW_S = 0.12
"""The cursor must rest for so long before a file is read closely."""

Thing = ListedAsset | Folder | DuplicateGroup | NearGroup


class Beside(Browsing):
    """Nothing waits for it: a cursor that moves on takes back what was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: Thing | None = None

    def beside(self) -> Iterable[Widget]:
        details = Lines(id="details", title="DETAILS", columns=closely.COLUMNS)
        yield Vertical(details, Picture(id="thumb"), id="beside")

    @property
    def _details(self) -> Lines:
        return self.query_one("#details", Lines)

    @property
    def _thumb(self) -> Picture:
        return self.query_one("#thumb", Picture)

    def arrange_beside(self) -> None:
        """Shows it where there is room."""
        broad = self.app.size.width >= BROAD
        self.query_one("#beside").display = broad
        self._files.marked = broad
        if not broad and self._details.has_focus:
            self.set_focus(self._files)
        self._seen = None
        self.call_after_refresh(self.look_beside)

    def thing(self) -> Thing | None:
        """What the cursor is on, as far as it is here."""
        return self.entry()

    def look_beside(self) -> None:
        """The cursor is on something else, or what it is on is another now."""
        if not self.query_one("#beside").display:
            return
        thing = self.thing()
        if thing is None:
            self._seen = None
            self._tell((), muted("what the cursor is on is told here"))
        elif thing != self._seen:
            self._seen = thing
            restart(self, "beside", self._look_closely, thing)

    def _show_level(self, level: Level) -> None:
        super()._show_level(level)
        self.look_beside()

    async def _look_closely(self, thing: Thing) -> None:
        room = self._details.size.width - GUTTER
        if isinstance(thing, Folder):
            self._tell(closely.folder(thing, self.library, room))
        elif isinstance(thing, DuplicateGroup):
            self._tell(closely.copies(thing, room))
        elif isinstance(thing, NearGroup):
            self._tell(closely.alike(thing, room))
        else:
            await asyncio.sleep(FOLLOW_S)
            await self._read_closely(thing, room)

    async def _read_closely(self, asset: ListedAsset, room: int) -> None:
        try:
            found = await self.control_center.engine.ask(media.SHOW, ShowAsset(id=asset.id))
        except ArcanumError as error:
            trouble = f"✗ {error.title}: {error.message} {error.hint}".strip()
            self._tell((), Piece(trouble, "bad"))
            return
        seen = self._thumb.shows(asset.kind)
        self._tell(closely.details(found, room), keep=seen)
        if seen:
            await self._paint(asset)

    async def _paint(self, asset: ListedAsset) -> None:
        room = self._details.size.width - GUTTER, self._files.size.height // 2
        asked = self._thumb.ask(asset.id, *room)
        try:
            self._thumb.show(await self.control_center.engine.ask(media.THUMBNAIL, asked))
        except ArcanumError:
            self._thumb.show(None)

    def _tell(self, rows: Iterable[Row], empty: Piece | None = None, *, keep: bool = False) -> None:
        """``keep``: the picture of before stays until the next one is here."""
        self._details.go(0)
        self._details.show((*rows,), empty=empty)
        if not keep:
            self._thumb.show(None)
