"""Without colours, where NO_COLOR says so: not in grey either, and on the terminal's own ground."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter


@lru_cache(maxsize=512)
def _bare(style: Style, ground: str, marked: str) -> Style:
    """What a ground alone would say (the line of the cursor, what is selected) is turned round."""
    bare = style.without_color
    if style.meta:
        bare += Style.from_meta(style.meta)
    if style.bgcolor is None or style.bgcolor.is_default:
        return bare
    own, around = Color.from_rich_color(style.bgcolor), Color.parse(ground)
    said = own == Color.parse(marked) or (own.brightness < 0.5) != (around.brightness < 0.5)
    return bare + Style(reverse=True) if said else bare


class Colourless(LineFilter):
    """``variables``: those of the present theme."""

    def __init__(self, variables: Callable[[], dict[str, str]]) -> None:
        super().__init__()
        self._variables = variables

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        theme = self._variables()
        ground, marked = theme["background"], theme["tone-cursor"]
        return [
            Segment(text, None if style is None else _bare(style, ground, marked), control)
            for text, style, control in segments
        ]
