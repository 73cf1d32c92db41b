"""Groups in the place of the files: of the same bytes, or of pictures that look alike."""

from __future__ import annotations

from typing import Any

from arcanum_tui.screens.beside import Beside, Thing
from arcanum_tui.state import groups
from arcanum_tui.state.grid import Piece
from arcanum_tui.state.narrowing import ALL
from arcanum_tui.state.pages import Pages
from arcanum_tui.widgets.bars import KeysLine
from arcanum_tui.work import restart, start
from engine.contract import media
from engine.contract.copies import (
    AskDuplicates,
    AskNear,
    ComparePictures,
    DuplicateGroup,
    NearGroup,
)
from engine.contract.errors import ArcanumError

GROUPS = 50
"""Groups that are read at once."""

Group = DuplicateGroup | NearGroup

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
        self._groups: Pages[Any] | None = None
        self._alike = False
        self._by = next(iter(groups.SORTS))
        self._wanted: int | None = None

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
        """``top``: from the first one on."""
        if top:
            self._files.go(0)
        row = groups.alike_row if self._alike else groups.same_row
        self._groups = Pages(GROUPS, len(groups.COLUMNS), self._want_groups, row)
        self._wanted = None
        self._want_groups(0 if top else max(0, self._files.top // GROUPS))

    def _want_groups(self, at: int) -> None:
        reading = self._wanted is not None
        self._wanted = at
        if not reading and self._groups is not None:
            self.call_later(restart, self, "files", self._read_groups, self._groups)

    async def _read_groups(self, pages: Pages[Any]) -> None:
        try:
            while self._wanted is not None and pages is self._groups:
                if pages.has(self._wanted):
                    self._wanted = None
                    break
                at, after = pages.next_to_read(self._wanted)
                page = await self._groups_page(after)
                pages.put(at, page.groups, page.total, page.following)
                if page.following is None and at < (self._wanted or 0):
                    self._wanted = None
                if pages is self._groups:
                    self._show_groups(pages, page)
        except ArcanumError as error:
            self._wanted = None
            trouble = Piece(f"✗ {error.title}: {error.message} {error.hint}".rstrip(), "bad")
            self._files.title = "ALIKE" if self._alike else "DUPLICATES"
            self._files.show((), empty=trouble)

    async def _groups_page(self, after: str | None) -> groups.Listed:
        how: dict[str, Any] = {"libraries": self.grouped, "limit": GROUPS, "after": after}
        where, engine = ", ".join(self.grouped) or "all libraries", self.control_center.engine
        if self._alike:
            return groups.alike(await engine.ask(media.NEAR, AskNear(**how)), where)
        how["sort"] = by = self._by
        return groups.same(await engine.ask(media.DUPLICATES, AskDuplicates(**how)), where, by)

    @property
    def grouped(self) -> tuple[str, ...]:
        """The libraries that are looked into; none: all."""
        return () if self.library == ALL else (self.library,)

    def _show_groups(self, pages: Pages[Any], page: groups.Listed) -> None:
        files = self._files
        files.title, files.columns = page.title, groups.COLUMNS
        files.show(pages, note=page.note, empty=page.empty)
        self.look_beside()

    # --- one of them ----------------------------------------------------------------------------

    def thing(self) -> Thing | None:
        return self._groups.item(self._files.cursor) if self._groups else self.entry()

    def open_group(self) -> None:
        """Reads the one that the cursor is on closely."""
        from arcanum_tui.modals.asset import GroupDialog

        group = self._groups.item(self._files.cursor) if self._groups else None
        if group is not None:
            self.app.push_screen(GroupDialog(group))
