"""A small picture out of half blocks: two pixels to a cell, the upper one before the lower one.

No terminal needs to know more than colours for it.
"""

from __future__ import annotations

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip

from arcanum_tui.widgets.paint import Painted

WIDEST, HIGHEST = 44, 18
"""Cells that a picture takes at most."""


def shows(kind: str | None) -> bool:
    """Whether there may be a picture of a file of this kind; None: it was not looked into."""
    return kind in {None, "image", "video"}


class Picture(Painted):
    """``show`` gives it its size; it takes no room before."""

    DEFAULT_CSS = "Picture { width: auto; height: auto; display: none; margin: 0 1 0 2; }"

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._width = self._height = 0
        self._pixels = b""

    def show(self, width: int, height: int, pixels: bytes) -> None:
        """``pixels``: red, green and blue, row by row."""
        self._width, self._height, self._pixels = width, height, pixels
        self.display = bool(width and height)
        self.refresh(layout=True)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return self._width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return (self._height + 1) // 2

    def render_line(self, y: int) -> Strip:
        upper, lower = 2 * y, 2 * y + 1
        if upper >= self._height:
            return self.strip((), self.size.width)
        under = self.tone("plain").bgcolor
        segments = []
        for x in range(self._width):
            below = self._color(x, lower) if lower < self._height else under
            segments.append(Segment("▀", Style(color=self._color(x, upper), bgcolor=below)))
        return Strip(segments)

    def _color(self, x: int, y: int) -> Color:
        start = 3 * (y * self._width + x)
        red, green, blue = self._pixels[start : start + 3]
        return Color.from_rgb(red, green, blue)
