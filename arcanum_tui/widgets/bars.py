"""Single lines: the title, the keys, and what else is one line with two ends."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.strip import Strip

from arcanum_tui.actions import WRITTEN, Action, character, key_name
from arcanum_tui.state.grid import Piece
from arcanum_tui.widgets.paint import Painted


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
    """What the keys do here and now, from the list of actions; the least important give way first,
    and the way to all of them never.

    ``without``: actions that would lead to where one is. While text is typed only those keys
    are offered that would not become text.
    """

    def __init__(self, actions: Sequence[Action], without: Sequence[str]) -> None:
        super().__init__(id="keys")
        offered = (a for a in actions if a.footer and a.keys and a.id not in without)
        self._actions = sorted(offered, key=lambda a: a.footer)
        self._left_out: frozenset[str] = frozenset()

    def leave_out(self, actions: frozenset[str]) -> None:
        """These are of something else than what is shown now."""
        if actions != self._left_out:
            self._left_out = actions
            self.refresh()

    def render_line(self, y: int) -> Strip:
        if y:
            return Strip.blank(self.size.width, self.rich_style)
        pieces: list[Piece] = [Piece(" ")]
        for name, label in self._fitting(self.size.width - 1):
            pieces += [Piece(name, "key"), Piece(f" {label}  ", "muted")]
        return self.strip(pieces, self.size.width)

    def _fitting(self, room: int) -> list[tuple[str, str]]:
        """Keys and labels, as far as there is room beside the one that leads to the rest."""
        offered = [
            (action.id == "help", (keys, action.label))
            for action in self._actions
            if action.id not in self._left_out and (keys := self._keys(action))
        ]
        room -= sum(_cells(one) for to_all, one in offered if to_all)
        fitting: list[tuple[str, str]] = []
        full = False
        for to_all, one in offered:
            if not to_all:
                full = full or _cells(one) > room
                room -= _cells(one)
            if to_all or not full:
                fitting.append(one)
        return fitting

    def _keys(self, action: Action) -> str:
        """The key to offer for an action, of a search's line each; "" where none would reach it."""
        focused = self.screen.focused
        if focused is None or isinstance(focused, Painted):
            return "" if action.where in WRITTEN else key_name(action.keys[0])
        if action.where in {"list", "turns"}:
            return ""
        own = set() if action.where in WRITTEN else set(focused._bindings.key_to_bindings)  # noqa: SLF001
        free = [
            key_name(k)
            for k in action.keys
            if k not in own and not focused.check_consume_key(k, character(k))
        ]
        return " ".join(free if action.where == "query" else free[:1])


def _cells(offered: tuple[str, str]) -> int:
    name, label = offered
    return cell_len(name) + cell_len(label) + 3
