"""Groups in the place of the files: of the same bytes, or of pictures that look alike."""

from __future__ import annotations

import time
from typing import Any

from arcanum_tui.screens.beside import Beside, Thing
from arcanum_tui.state import groups
from arcanum_tui.state.grid import Piece
from arcanum_tui.state.groups import PAGE, Groups, Member
from arcanum_tui.state.jumps import Joined
from arcanum_tui.state.narrowing import ALL
from arcanum_tui.widgets.bars import KeysLine
from arcanum_tui.work import restart, start
from engine.contract import media
from engine.contract.assets import ListedAsset
from engine.contract.copies import (
    AskDuplicates,
    AskNear,
    ComparePictures,
    DuplicateGroup,
    NearGroup,
)
from engine.contract.errors import ArcanumError

_OF_FILES = frozenset(
    {
        *("filter", "facets", "tree", "sort", "verify", "ask_about"),
        *("scan", "add_library", "set_limit", "prune"),
    }
)
"""What the keys line leaves out where groups stand: it is of single files, or of the library."""


class Grouping(Beside):
    """Nothing is chosen here by itself, and nothing goes."""

    def __init__(self) -> None:
        super().__init__()
        self._groups: Groups | None = None
        self._alike = False
        self._by = next(iter(groups.SORTS))

    def after(self, asset: ListedAsset | Member, what: str | None) -> None:
        """Does what was chosen for a file that was read closely."""
        raise NotImplementedError

    @property
    def _hidden(self) -> bool:
        return self._groups is not None

    def action_duplicates(self) -> None:
        """Files with the same bytes in the place of all files, or all files again."""
        self._show_instead(alike=False)

    def action_alike(self) -> None:
        """Pictures that look alike in the place of all files, or all files again."""
        self._show_instead(alike=True)

    def _show_instead(self, *, alike: bool) -> None:
        if self._groups is not None and alike is self._alike:
            self.leave_groups()
        elif self.library:
            self._alike = alike
            self.query_one("#keys", KeysLine).leave_out(_OF_FILES)
            self.read_groups_again(top=True)
            self.set_focus(self._files)

    def leave_groups(self) -> None:
        """Shows the files again, where groups stood in their place."""
        if self._groups is not None:
            self._groups = None
            self.query_one("#keys", KeysLine).leave_out(frozenset())
            self.reload(goal=0)

    def action_sort(self) -> None:
        """Of files, or of the groups that stand in their place."""
        if self._groups is None:
            super().action_sort()
        elif self._alike:
            self.control_center.tell(
                "Pictures that look alike have one order: the largest groups first."
            )
        else:
            sorts = [*groups.SORTS]
            self._by = sorts[(sorts.index(self._by) + 1) % len(sorts)]
            self.read_groups_again(top=True)

    def action_reverse(self) -> None:
        if self._groups is None:
            super().action_reverse()
        else:
            self.control_center.tell(
                "Groups have no other way round; s puts them in another order."
            )

    def action_tree(self) -> None:
        self.leave_groups()
        super().action_tree()

    def action_compare_pictures(self) -> None:
        """Of all libraries: a comparison takes the place of the one before."""
        if not self.library:
            self._chosen()
            return
        request = ComparePictures()
        start(self, "deeds", self._start_job, media.COMPARE_PICTURES, request, "comparing pictures")

    # --- reading --------------------------------------------------------------------------------

    def read_groups_again(self, *, top: bool = False) -> None:
        """The present rows stay until those in sight are here. ``top``: from the first one on."""
        if top:
            self._files.go(0)
        first = max(0, self._files.top)
        last = first + max(0, self._files.room - 1)
        made = Groups(
            alike=self._alike,
            first=range(first // PAGE, last // PAGE + 1),
            want=self._want_groups,
        )
        self._groups, made.reading = made, True
        restart(self, "files", self._read_groups, made)

    def _want_groups(self) -> None:
        """A row that is looked at is not here yet."""
        if self._groups is not None and not self._groups.reading:
            self._groups.reading = True
            self.call_later(restart, self, "files", self._read_groups, self._groups)

    async def _read_groups(self, made: Groups) -> None:
        try:
            while made is self._groups and (at := made.wanted) is not None:
                began = time.monotonic()
                page = await self._groups_page(at, made.handle)
                self._took_s = time.monotonic() - began
                if made.handle not in {"", page.handle}:
                    self.call_later(self.read_groups_again)  # The engine counted anew meanwhile.
                    return
                made.put(at, page)
                if made is self._groups and made.ready:
                    self._show_groups(made, page)
        except ArcanumError as error:
            if made is not self._groups:
                return
            trouble = Piece(f"✗ {error.title}: {error.message} {error.hint}".rstrip(), "bad")
            self._files.title = "ALIKE" if self._alike else "DUPLICATES"
            self._files.show((), empty=trouble)
        finally:
            made.reading = False

    async def _groups_page(self, at: int, handle: str) -> groups.Listed:
        how: dict[str, Any] = {"libraries": self.grouped, "limit": PAGE, "at": at * PAGE}
        where, engine = ", ".join(self.grouped) or "all libraries", self.control_center.engine
        if self._alike:
            return groups.alike(await engine.ask(media.NEAR, AskNear(**how)), where)
        how |= {"sort": self._by, "handle": handle}
        found = await engine.ask(media.DUPLICATES, AskDuplicates(**how))
        return groups.same(found, where, self._by)

    @property
    def grouped(self) -> tuple[str, ...]:
        """The libraries that are looked into; none: all."""
        return () if self.library == ALL else (self.library,)

    def _show_groups(self, made: Groups, page: groups.Listed) -> None:
        files = self._files
        files.title, files.columns = page.title, groups.COLUMNS
        files.show(made.rows, note=page.note, giving=page.giving, empty=page.empty)
        self.look_beside()

    # --- one of them ----------------------------------------------------------------------------

    def thing(self) -> Thing | None:
        """What is shown: groups of before, while others are read."""
        if self._groups is None:
            return self.entry()
        shown = self._files.rows
        found = shown.item(self._files.cursor) if isinstance(shown, Joined) else None
        return found if isinstance(found, (DuplicateGroup, NearGroup)) else None

    def open_group(self) -> None:
        """Reads the one that the cursor is on closely."""
        from arcanum_tui.modals.asset import GroupDialog

        group = self.thing()
        if isinstance(group, (DuplicateGroup, NearGroup)):
            self.app.push_screen(GroupDialog(group), self._after_group)

    def _after_group(self, chosen: tuple[Member, str] | None) -> None:
        if chosen is not None:
            self.after(*chosen)
