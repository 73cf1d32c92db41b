"""One file, closely: what is known of it, and a small picture where it is one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widget import Widget

from arcanum_tui.actions import bindings
from arcanum_tui.modals.base import BORDERS, WIDEST, Dialog
from arcanum_tui.state import asset as closely
from arcanum_tui.state.grid import Piece, Row, muted
from arcanum_tui.state.text import clean
from arcanum_tui.widgets.lines import GUTTER, Lines
from arcanum_tui.widgets.picture import Picture
from arcanum_tui.work import start
from engine.contract import media
from engine.contract.assets import ListedAsset
from engine.contract.copies import DuplicateGroup, NearGroup
from engine.contract.errors import ArcanumError
from engine.contract.traits import AssetDetail, ShowAsset


class AssetDialog(Dialog[str]):
    """Dismissed with what is to be done next: ``verify``, or ``ask``."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("asset")]
    CSS_PATH = ["dialog.tcss", "asset.tcss"]  # noqa: RUF012

    def __init__(self, asset: ListedAsset) -> None:
        name = asset.path.display.rpartition("/")[2]
        keys = (("↑ ↓", "scroll"), ("v", "verify"), ("@", "ask about"))
        super().__init__(clean(name), *keys)
        self.add_class("-tall")
        self._asset = asset
        self._found: AssetDetail | None = None
        self._trouble = ""
        self._lines = Lines(id="box-lines", columns=closely.COLUMNS)
        self._picture = Picture(id="picture")
        self._wide = 0

    def body(self) -> Iterable[Widget]:
        yield Horizontal(self._lines, self._picture, id="sheet")

    def on_mount(self) -> None:
        self._draw()
        start(self, "details", self._read)
        if self._picture.shows(self._asset.kind):
            start(self, "picture", self._paint)

    async def _read(self) -> None:
        try:
            request = ShowAsset(id=self._asset.id)
            self._found = await self.control_center.engine.ask(media.SHOW, request)
        except ArcanumError as error:
            self._trouble = f"✗ {error.title}: {error.message} {error.hint}".strip()
        self._draw()

    async def _paint(self) -> None:
        asked = self._picture.ask(self._asset.id, self._box // 3, self.app.size.height // 2)
        try:
            made = await self.control_center.engine.ask(media.THUMBNAIL, asked)
        except ArcanumError:
            return  # What is known of the file says why, if it is the file's.
        if made.width:
            self._picture.show(made)
            self._wide = self._picture.columns + 3
            self._draw()

    @property
    def _box(self) -> int:
        return min(WIDEST, self.app.size.width * 9 // 10)

    def _draw(self) -> None:
        room = self._box - BORDERS - GUTTER - self._wide
        rows: list[Row] = []
        if self._found is not None:
            rows = closely.details(self._found, room)
        empty = Piece(self._trouble, "bad") if self._trouble else muted("…")
        self._lines.show(rows, empty=empty)

    def on_resize(self) -> None:
        self._draw()

    def action_verify(self) -> None:
        self.close("verify")

    def action_ask_about(self) -> None:
        self.close("ask")


class GroupDialog(Dialog[None]):
    """The files of a group. Nothing is chosen here, and nothing goes."""

    def __init__(self, group: DuplicateGroup | NearGroup) -> None:
        same = isinstance(group, DuplicateGroup)
        super().__init__(
            "The same bytes" if same else "Pictures that look alike", ("↑ ↓", "scroll")
        )
        self.add_class("-tall")
        self._group = group
        self._lines = Lines(id="box-lines", columns=closely.COLUMNS)

    def body(self) -> Iterable[Widget]:
        yield self._lines

    def on_mount(self) -> None:
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        room = min(WIDEST, self.app.size.width * 9 // 10) - BORDERS - GUTTER
        if isinstance(self._group, DuplicateGroup):
            self._lines.show(closely.copies(self._group, room))
        else:
            self._lines.show(closely.alike(self._group, room))
