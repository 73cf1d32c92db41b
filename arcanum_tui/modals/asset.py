"""One file, closely: what is known of it, and a small picture where it is one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from arcanum_tui.actions import bindings
from arcanum_tui.modals.base import BORDERS, WIDEST, Dialog
from arcanum_tui.state import asset as closely
from arcanum_tui.state.grid import Piece, Row, muted
from arcanum_tui.state.groups import Member, members
from arcanum_tui.state.text import clean
from arcanum_tui.widgets.lines import GUTTER, Lines
from arcanum_tui.widgets.picture import Picture
from arcanum_tui.work import restart, start
from engine.contract import media
from engine.contract.assets import ListedAsset
from engine.contract.copies import DuplicateGroup, NearGroup
from engine.contract.errors import ArcanumError
from engine.contract.traits import AssetDetail, ShowAsset


class AssetDialog(Dialog[str]):
    """Dismissed with what is to be done next: ``verify``, or ``ask``."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("asset")]
    CSS_PATH = ["dialog.tcss", "asset.tcss"]  # noqa: RUF012

    def __init__(self, asset: ListedAsset | Member) -> None:
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


class GroupDialog(Dialog[tuple[Member, str]]):
    """The files of a group; Enter reads one closely. Nothing is chosen here, and nothing goes.

    Beside pictures that look alike stand the first and the other that the cursor was on last.
    Dismissed with a file and what is to be done with it next, as ``AssetDialog`` is.
    """

    CSS_PATH = ["dialog.tcss", "asset.tcss"]  # noqa: RUF012

    def __init__(self, group: DuplicateGroup | NearGroup) -> None:
        same = isinstance(group, DuplicateGroup)
        title = "The same bytes" if same else "Pictures that look alike"
        super().__init__(title, ("↑ ↓", "scroll"), ("Enter", "open"))
        self.add_class("-tall")
        self._group = group
        self._members = members(group)
        self._lines = Lines(id="box-lines", columns=closely.COLUMNS)
        self._first, self._other = Picture(id="first"), Picture(id="other")
        self._shown_other = 0

    def body(self) -> Iterable[Widget]:
        yield Horizontal(self._lines, Vertical(self._first, self._other, id="pair"), id="sheet")

    def on_mount(self) -> None:
        self._draw()
        if isinstance(self._group, NearGroup) and self._first.shows("image"):
            start(self, "first", self._paint, self._first, self._group.pictures[0].id)

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        wide = max(
            (one.columns + 3 for one in (self._first, self._other) if one.display), default=0
        )
        room = self._box - BORDERS - GUTTER - wide
        if isinstance(self._group, DuplicateGroup):
            self._lines.show(closely.copies(self._group, room))
        else:
            self._lines.show(closely.alike(self._group, room))

    @property
    def _box(self) -> int:
        return min(WIDEST, self.app.size.width * 9 // 10)

    async def _paint(self, picture: Picture, file: int) -> None:
        """Half the height each."""
        asked = picture.ask(file, self._box // 3, self.app.size.height * 9 // 20 - 2)
        try:
            picture.show(await self.control_center.engine.ask(media.THUMBNAIL, asked))
        except ArcanumError:
            picture.show(None)  # What is known of the file says why, if it is the file's.
        self._draw()

    def on_lines_moved(self, message: Lines.Moved) -> None:
        member = self._members.get(message.row.key) if message.row else None
        if not isinstance(self._group, NearGroup) or not self._other.shows("image"):
            return
        if member is not None and member.id not in {self._shown_other, self._group.pictures[0].id}:
            self._shown_other = member.id
            restart(self, "other", self._paint, self._other, member.id)

    def on_lines_chosen(self, message: Lines.Chosen) -> None:
        member = self._members.get(message.row.key) if message.row else None
        if member is not None:
            self.app.push_screen(AssetDialog(member), partial(self._after, member))

    def _after(self, member: Member, what: str | None) -> None:
        if what is not None:
            self.close((member, what))
