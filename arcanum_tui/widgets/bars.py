"""Single lines: the title, the keys, and what else is one line with two ends."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.strip import Strip

from arcanum_tui.actions import Action, character, key_name
from arcanum_tui.state.grid import Piece
from arcanum_tui.widgets.paint import Painted

WRITTEN = frozenset({"prompt", "query"})
"""Places that are lines to write on: their keys hold there alone."""


class EndsLine(Painted):
    """Two groups of pieces, one at each end; the right one gives way first. ``ruled`` draws it
    as a heading."""

    def __init__(self, *, id: str, ruled: bool = False) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._ruled = ruled
        self._left: tuple[Piece, ...] = ()
        self._right: tuple[Piece, ...] = ()

    def show(self, left: Sequence[Piece], right: Sequence[Piece]) -> None:
        """Replaces both groups; repaints only if something changed."""
        if (tuple(left), tuple(right)) != (self._left, self._right):
            self._left, self._right = tuple(left), tuple(right)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        if y:
            return Strip.blank(self.size.width, self.rich_style)
        width = self.size.width
        if self._ruled:
            return (
                self.rule(self._left, self._right, width) if self._left else self.strip((), width)
            )
        used = sum(cell_len(p.text) for p in (*self._left, *self._right))
        if used + 2 > width:
            return self.strip((Piece(" "), *self._left), width)
        gap = Piece(" " * (width - used - 2))
        return self.strip((Piece(" "), *self._left, gap, *self._right, Piece(" ")), width)


class KeysLine(Painted):
    """What the keys do here and now, from the list of actions; the least important give way first.

    ``without``: actions that would lead to where one is. While text is typed only those keys
    are offered that would not become text.
    """

    def __init__(self, actions: Sequence[Action], without: Sequence[str]) -> None:
        super().__init__(id="keys")
        offered = (a for a in actions if a.footer and a.id not in without)
        self._actions = sorted(offered, key=lambda a: a.footer)

    def render_line(self, y: int) -> Strip:
        if y:
            return Strip.blank(self.size.width, self.rich_style)
        room = self.size.width - 1
        pieces: list[Piece] = [Piece(" ")]
        for action in self._actions:
            key = self._key(action)
            if not key:
                continue
            name = key_name(key)
            needed = cell_len(name) + cell_len(action.label) + 3
            if needed > room:
                break
            room -= needed
            pieces += [Piece(name, "key"), Piece(f" {action.label}  ", "muted")]
        return self.strip(pieces, self.size.width)

    def _key(self, action: Action) -> str:
        """The key to offer for an action; "" where none would reach it."""
        focused = self.screen.focused
        if focused is None or isinstance(focused, Painted):
            return "" if action.where in WRITTEN else action.keys[0]
        if action.where in {"list", "turns"}:
            return ""
        own = set() if action.where in WRITTEN else set(focused._bindings.key_to_bindings)  # noqa: SLF001
        free = (
            k
            for k in action.keys
            if k not in own and not focused.check_consume_key(k, character(k))
        )
        return next(free, "")
