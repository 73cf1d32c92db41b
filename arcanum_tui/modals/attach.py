"""What goes along with a question: a text file of this machine, or a catalogued file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from arcanum_tui import attaching
from arcanum_tui.actions import bindings
from arcanum_tui.modals.picker import Picker
from arcanum_tui.state.grid import Column, Piece, Row, muted
from arcanum_tui.state.text import clean, size
from arcanum_tui.work import restart
from engine.contract import assets, media
from engine.contract.agent0 import AssetAttachment, Attachment
from engine.contract.errors import ArcanumError

COLUMNS = (Column(most=16), Column(grow=True), Column(right=True, rank=1))

SETTLE_S = 0.12
"""What fits is looked for once no key came for so long."""

FOUND = 30
"""So many files of each library are offered."""


class AttachDialog(Picker[Attachment]):
    """Dismissed with the attachment. A path is completed from the disk; anything else is looked
    for in the catalogue."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("attaching")]

    def __init__(self) -> None:
        placeholder = "~/notes.txt, or words of a catalogued file's path"
        keys = (("Tab", "complete"),)
        super().__init__("Attach what?", COLUMNS, placeholder, "attach", *keys, limit=4096)
        self.add_class("-tall")
        self._rows: list[Row] = []
        self._assets: dict[str, Attachment] = {}
        self._said = Static(id="box-text")

    def body(self) -> Iterable[Widget]:
        yield from super().body()
        yield self._said

    def rows(self, _text: str) -> list[Row]:
        return self._rows

    def nothing(self, text: str) -> Piece:
        if not text.strip():
            return muted("A path begins with / or ~; other words are looked for in the libraries.")
        return muted("nothing there" if _is_path(text) else "no catalogued file is called so")

    def on_mount(self) -> None:
        self._said.display = False

    # --- looking --------------------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        self._said.display = False
        restart(self, "look", self._look, event.value)

    async def _look(self, text: str) -> None:
        if text.strip() and not _is_path(text):
            await asyncio.sleep(SETTLE_S)
        try:
            self._rows = await (self._files(text) if _is_path(text) else self._catalogued(text))
        except ArcanumError as error:
            self._rows = []
            self._say(error)
        self._show(text)

    async def _files(self, text: str) -> list[Row]:
        entries = await asyncio.to_thread(attaching.look, text.lstrip())
        return [
            Row(
                (
                    muted("folder" if e.folder else "file"),
                    Piece(f"{e.name}/" if e.folder else e.name, "title" if e.folder else "plain"),
                    muted("" if e.folder else size(e.size)),
                ),
                e.path,
            )
            for e in entries
        ]

    async def _catalogued(self, text: str) -> list[Row]:
        words, rows = text.strip()[:200], []
        self._assets = {}
        if not words:
            return []
        for library in self.control_center.state.libraries:
            request = assets.ListAssets(library=library.name, filter=words, limit=FOUND)
            page = await self.control_center.engine.ask(media.LIST, request)
            for asset in page.assets:
                key = f"{library.name}\0{asset.path.raw}"
                self._assets[key] = AssetAttachment(library=library.name, path=asset.path)
                cells = (muted(library.name), Piece(asset.path.display), muted(size(asset.size)))
                rows.append(Row(cells, key))
        return rows

    # --- choosing -------------------------------------------------------------------------------

    def action_complete(self) -> None:
        row = self._lines.current
        if row is not None and row.key not in self._assets:
            self._take(row.key)

    def _take(self, path: str) -> None:
        self._input.value = path
        self._input.cursor_position = len(path)

    def on_input_submitted(self) -> None:
        if self._lines.current is None and _is_path(self._input.value):
            restart(self, "read", self._read, self._input.value.strip())
        else:
            super().on_input_submitted()

    def pick(self, row: Row) -> None:
        if row.key in self._assets:
            self.close(self._assets[row.key])
        elif row.key.endswith("/"):
            self._take(row.key)
        else:
            restart(self, "read", self._read, row.key)

    async def _read(self, path: str) -> None:
        try:
            attachment = await asyncio.to_thread(attaching.read, path)
        except ArcanumError as error:
            self._say(error)
        else:
            self.close(attachment)

    def _say(self, error: ArcanumError) -> None:
        self._said.display = True
        self._said.update(Content(clean(f"✗ {error.message} {error.hint}".strip())))


def _is_path(text: str) -> bool:
    return text.lstrip().startswith(("/", "~", "./", "../"))
