"""A small picture: of real pixels where the terminal draws them, else out of half blocks: two to a
cell, the upper one before the lower one. For those no terminal needs to know more than colours.
"""

from __future__ import annotations

from base64 import b64decode
from itertools import cycle
from typing import TYPE_CHECKING, cast

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip

from arcanum_tui.widgets import pixels
from arcanum_tui.widgets.paint import Painted
from engine.contract.listing import AskThumbnail, Thumbnail

if TYPE_CHECKING:
    from arcanum_tui.app import ArcanumApp

WIDEST, HIGHEST = 44, 18
"""Cells that a picture takes at most."""

_BLOCKS, _PIXELS = (1, 2), (6, 12)
"""Across and down: how many pixels of a picture there are to a cell."""
_tones = cycle(range(17, 59))
"""A colour for each picture, by its number among the 256: each is one of the 24 bits as well."""


class Picture(Painted):
    """``show`` gives it its size; it takes no room before."""

    DEFAULT_CSS = "Picture { width: auto; height: auto; display: none; margin: 0 1 0 2; }"

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.columns = self._rows = 0
        self._made: Thumbnail | None = None
        self._pixels = b""
        self._dots = self._asked = _BLOCKS
        self._tone = next(_tones)
        self._drawn = False

    @property
    def _app(self) -> ArcanumApp:
        return cast("ArcanumApp", self.app)

    def shows(self, kind: str | None) -> bool:
        """Whether there may be one of a file of this kind; None: it was not looked into."""
        # A half block says nothing without its two colours.
        wanted = self._app.pictures != "off" and not self._app.no_color
        return wanted and kind in {None, "image", "video"}

    def ask(self, file: int, columns: int, rows: int) -> AskThumbnail:
        """What is to be asked for, for so many cells at most."""
        self._asked = across, down = _PIXELS if self._number() else _BLOCKS
        columns, rows = min(WIDEST, columns), min(HIGHEST, rows)
        return AskThumbnail(id=file, width=max(1, columns) * across, height=max(1, rows) * down)

    def show(self, made: Thumbnail | None) -> None:
        """The picture that was asked for; None: none."""
        self._made = made if made and made.width else None
        self._drawn = False
        if self._made is not None:
            self._dots = across, down = self._asked
            self._pixels = b64decode(self._made.pixels)
            self.columns, self._rows = -(-self._made.width // across), -(-self._made.height // down)
            self._drawn = self._dots == _PIXELS and self._draw(self._made)
        self.display = self._made is not None
        self.refresh(layout=True)

    def _draw(self, made: Thumbnail) -> bool:
        """Whether the terminal has it now."""
        number, canvas = self._number(), self._app.canvas
        if number is None or canvas is None:
            return False
        size = made.width, made.height
        return canvas.offer(
            pixels.transmission(number, size, self._pixels, self.columns, self._rows)
        )

    def _number(self) -> int | None:
        """What the terminal calls it, which is how it is told the colour; None: it draws none."""
        if self._app.canvas is None:
            return None
        match self._app.console.color_system:
            case "truecolor":
                return int(Color.from_ansi(self._tone).get_truecolor().hex[1:], 16)
            case "256":
                return self._tone
        return None

    def on_unmount(self) -> None:
        number, canvas = self._number(), self._app.canvas
        if self._drawn and number is not None and canvas is not None:
            canvas.offer(pixels.deletion(number))

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return self.columns

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self._rows

    def render_line(self, y: int) -> Strip:
        if self._made is None or y >= self._rows:
            return self.strip((), self.size.width)
        under = self.tone("plain").bgcolor
        if self._drawn:
            style = Style(color=Color.from_ansi(self._tone), bgcolor=under)
            cells = [Segment(pixels.placeholder(x, y), style) for x in range(self.columns)]
            return Strip(cells, self.columns)
        segments = []
        for x in range(self.columns):
            below = self._color(self._made, x, 2 * y + 1) or under
            segments.append(
                Segment("▀", Style(color=self._color(self._made, x, 2 * y), bgcolor=below))
            )
        return Strip(segments)

    def _color(self, made: Thumbnail, column: int, half: int) -> Color | None:
        """Of one half of a cell; None below the picture."""
        across, down = self._dots
        x, y = column * across, half * down // 2
        if y >= made.height:
            return None
        start = 3 * (y * made.width + x)
        red, green, blue = self._pixels[start : start + 3]
        return Color.from_rgb(red, green, blue)
