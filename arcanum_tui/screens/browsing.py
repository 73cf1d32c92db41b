"""The files of a library, read where somebody looks: flat, or folder by folder, and narrowed."""

from __future__ import annotations

import asyncio
import base64
import time
from dataclasses import replace
from typing import Any

from arcanum_tui.screens.shelves import Shelves
from arcanum_tui.state import media as rows
from arcanum_tui.state import narrowing
from arcanum_tui.state.grid import Piece, muted
from arcanum_tui.state.level import Level
from arcanum_tui.state.narrowing import ALL, Narrowing
from arcanum_tui.widgets.lines import Lines
from arcanum_tui.work import restart
from engine.contract import media
from engine.contract.assets import AssetPage, ListAssets, ListedAsset
from engine.contract.base import PathRef
from engine.contract.errors import ArcanumError
from engine.contract.listing import AskFacets, AskTree, Facet, Folder

SETTLE_S = 1.0
"""While a library's numbers move, its list of files is read again this often at most."""
CALM = 10
"""And never more often than takes so many times what reading it takes."""
TYPED_S = 0.08
"""What is typed is looked for once no key came for so long."""


class Browsing(Shelves):
    """What is seen is a ``Level``; a new one replaces it as soon as its first rows are here."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = Narrowing()
        self._level = self._new_level()
        self._trail: list[int] = []
        self._took_s = 0.0
        self._facets: dict[str, Facet | None] = {}

    @property
    def library(self) -> str:  # type: ignore[override]
        return self._asked.library

    @property
    def _files(self) -> Lines:
        return self.query_one("#files", Lines)

    @property
    def _panel(self) -> Lines:
        return self.query_one("#facets", Lines)

    @property
    def settle_s(self) -> float:
        """How long changes are waited for before the list is read again."""
        return max(SETTLE_S, CALM * self._took_s)

    # --- reading --------------------------------------------------------------------------------

    def _new_level(self) -> Level:
        return Level(self._asked, self._want)

    def ask(self, asked: Narrowing, *, after_s: float = 0.0, goal: int | None = 0) -> None:
        """Lists something else. ``goal``: the row to go to, None: the one that the cursor is on."""
        self._asked = asked
        self.reload(goal=goal, after_s=after_s)

    def reload(self, *, goal: int | None = None, after_s: float = 0.0) -> None:
        """Reads the list again; the present rows stay until it is here."""
        self._level = level = self._new_level()
        level.goal = goal
        if not self.library:
            self._files.show((), note=(), empty=muted("n watches a folder as a library"))
            return
        at = self._files.top if goal is None else max(0, goal - self._files.room)
        level.files.wanted = max(0, at) // rows.PAGE if not level.by_folder else 0
        level.reading = True
        restart(self, "files", self._read, level, after_s)
        self._read_facets_again(after_s)

    def _want(self) -> None:
        """A row that is looked at is not here yet."""
        level = self._level
        if not level.reading:
            level.reading = True
            self.call_later(restart, self, "files", self._read, level, 0.0)

    async def _read(self, level: Level, after_s: float) -> None:
        """Whatever is wanted, the latest wish first; then the numbers, if they are not here yet."""
        try:
            await asyncio.sleep(after_s)
            while level is self._level:
                began = time.monotonic()
                if level.folders.wanted is not None:
                    await self._read_folders(level, level.folders.wanted)
                elif level.files.wanted is not None:
                    await self._read_files(level, level.files.wanted)
                elif not level.counted:
                    level.put_count(await self._page(level, limit=1, quick=False))
                elif level.uncounted:
                    await self._read_folders(level, min(level.uncounted), quick=False)
                else:
                    break
                self._took_s = time.monotonic() - began
                if level is self._level:
                    self._show_level(level)
        except ArcanumError as error:
            if level is self._level:
                level.folders.wanted = level.files.wanted = None
                trouble = f"✗ {error.title}: {error.message} {error.hint}".rstrip()
                self._files.show((), note=level.note(), empty=Piece(trouble, "bad"))
        finally:
            level.reading = False

    async def _read_folders(self, level: Level, at: int, *, quick: bool = True) -> None:
        _raw, shown = level.asked.folder or ("", "")
        request = AskTree(
            library=level.asked.library,
            under=PathRef(raw=_raw, display=shown),
            sort="size" if level.asked.sort == "size" else "path",
            limit=rows.PAGE,
            at=at * rows.PAGE,
            quick=quick,
        )
        level.put_folders(at, await self.control_center.engine.ask(media.TREE, request))

    async def _read_files(self, level: Level, at: int) -> None:
        page = await self._page(level, at=at * rows.PAGE, limit=rows.PAGE, quick=True)
        level.put_files(at, page)

    async def _page(self, level: Level, **how: Any) -> AssetPage:
        asked = level.asked
        fields = {"sort": asked.sort, "reverse": asked.reverse, "handle": level.handle, **how}
        request = ListAssets.model_validate({**asked.fields(), **fields})
        return await self.control_center.engine.ask(media.LIST, request)

    def _show_level(self, level: Level) -> None:
        if self._hidden:
            return
        files = self._files
        files.title, files.columns = "FILES", rows.FILES
        files.show(level.rows, note=level.note(), empty=self._nothing(level))
        if level.goal is not None and len(level.rows) > level.goal:
            goal, level.goal = level.goal, None
            files.go(goal)
        if not files.display:
            self._show_facets()  # How many it is stands there then.

    @property
    def _hidden(self) -> bool:
        """Whether something else stands in the place of the files."""
        return False

    def _nothing(self, level: Level) -> Piece:
        asked = level.asked
        if asked.chosen:
            return muted("nothing fits to all that: f changes what is chosen, Esc shows all")
        if asked.text:
            return muted("no name contains that: Esc shows all")
        if asked.folder and asked.folder[1]:
            return muted("nothing is left in this folder: h goes up")
        return muted("no files yet: S scans")

    def entry(self) -> Folder | ListedAsset | None:
        """What the cursor is on, as far as it is here."""
        if self._hidden or self._files.rows is not self._level.rows:
            return None
        return self._level.rows.item(self._files.cursor)

    # --- order, folders -------------------------------------------------------------------------

    def action_sort(self) -> None:
        sorts = narrowing.SORTS
        following = sorts[(sorts.index(self._asked.sort) + 1) % len(sorts)]
        self.ask(replace(self._asked, sort=following, reverse=False))

    def action_reverse(self) -> None:
        self.ask(replace(self._asked, reverse=not self._asked.reverse))

    def action_tree(self) -> None:
        """Folder by folder, or flat."""
        if self.library == ALL:
            self.control_center.tell("Choose one library: each has folders of its own.")
            return
        self._trail.clear()
        self.ask(replace(self._asked, folder=("", "") if self._asked.folder is None else None))

    def _enter(self, folder: Folder) -> None:
        self._trail.append(self._files.cursor)
        self.ask(replace(self._asked, folder=(folder.path.raw, folder.path.display)))

    def action_up_folder(self) -> None:
        self.go_up()

    def go_up(self) -> bool:
        """To the folder above, where one came from; False where there is none."""
        folder = self._asked.folder
        if folder is None or not folder[1]:
            return False
        above = base64.b64decode(folder[0]).rpartition(b"/")[0]
        path = PathRef.of(above)
        goal = self._trail.pop() if self._trail else 0
        self.ask(replace(self._asked, folder=(path.raw, path.display)), goal=goal)
        return True

    # --- facets ---------------------------------------------------------------------------------

    def _read_facets_again(self, after_s: float = 0.0) -> None:
        if self._panel.display:
            restart(self, "facets", self._read_facets, self._asked, after_s)

    async def _read_facets(self, asked: Narrowing, after_s: float) -> None:
        """One after the other, since each takes its time; those of before stay meanwhile."""
        await asyncio.sleep(after_s)
        many = asked.library == ALL and len(self.control_center.state.libraries) > 1
        names = [name for name in narrowing.FACETS if many or name != "library"]
        self._facets = {name: self._facets.get(name) for name in names}
        self._show_facets()
        try:
            for name in names:
                request = AskFacets.model_validate({**asked.fields(), "facets": [name]})
                found = await self.control_center.engine.ask(media.FACETS, request)
                self._facets[name] = found.facets[0] if found.facets else None
                self._show_facets()
        except ArcanumError as error:
            trouble = f"✗ {error.title}: {error.message} {error.hint}".rstrip()
            self._panel.show((), empty=Piece(trouble, "bad"))

    def _show_facets(self) -> None:
        listed = narrowing.facet_rows(self._facets, self._asked.chosen)
        alone = not self._files.display and len(self._level.rows) + self._level.counted > 0
        amount = [muted(", ".join(self._level.amount()))] if alone else []
        self._panel.show(listed, note=amount, empty=muted("nothing to narrow it by"))

    def toggle(self, key: str) -> None:
        """Takes a value of the panel, or leaves it."""
        facet, _, value = key.partition(":")
        if value:
            self.ask(self._asked.toggle(facet, value))
            self._show_facets()
