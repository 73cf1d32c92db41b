"""Media: the libraries with their numbers, and the files of the selected one."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from typing import ClassVar

from pydantic import ByteSize, TypeAdapter, ValidationError
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Input

from arcanum_tui.actions import bindings
from arcanum_tui.modals.ask import AskDialog
from arcanum_tui.modals.folders import FolderSuggester
from arcanum_tui.screens.base import View
from arcanum_tui.state import media as rows
from arcanum_tui.state.grid import Piece
from arcanum_tui.state.model import State
from arcanum_tui.state.overview import failed, waiting
from arcanum_tui.state.pages import Pages
from arcanum_tui.state.text import plural, size
from arcanum_tui.widgets.lines import Lines
from arcanum_tui.work import restart, start
from engine.contract import assets, media, quota
from engine.contract.assets import Asset, AssetPage, ListAssets
from engine.contract.base import PathRef
from engine.contract.client import Pending
from engine.contract.errors import ArcanumError

SETTLE_S = 1.0
"""While a library's numbers move, its list of files is read again this often."""

_BYTES = TypeAdapter(ByteSize)


class Media(View):
    """What moves in the engine moves here; files are read page by page as they are looked at."""

    NAME = "media"
    WITHOUT = ("open_media",)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("media")]
    CSS_PATH = ["media.tcss"]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self._library = ""
        self._sort = rows.SORTS[0]
        self._pages = self._new_pages()
        self._wanted: int | None = None
        self._shown_as: tuple[object, ...] = ()
        self._moving = False

    def body(self) -> Iterable[Widget]:
        yield Lines(id="libraries", title="LIBRARIES", columns=rows.LIBRARIES)
        yield Input(placeholder="Only names that contain … (Esc: all)", id="filter")
        yield Lines(id="files", title="FILES", columns=rows.FILES)

    # --- showing --------------------------------------------------------------------------------

    @property
    def _libraries(self) -> Lines:
        return self.query_one("#libraries", Lines)

    @property
    def _files(self) -> Lines:
        return self.query_one("#files", Lines)

    @property
    def _filter(self) -> Input:
        return self.query_one("#filter", Input)

    def on_mount(self) -> None:
        self.set_focus(self._libraries)

    def show(self, state: State) -> None:
        now = self.control_center.clock()
        gauges = {g.library: g for g in state.gauges}
        listed = [rows.library_row(x, gauges.get(x.name), state, now) for x in state.libraries]
        trouble = failed(state, "media.libraries")
        empty = trouble or waiting(state, good="no library yet: n watches a folder")
        self._libraries.show(listed, note=[trouble] if trouble else [], empty=empty)
        self._libraries.styles.height = max(2, min(len(listed) + 1, self.size.height // 3))
        self._show_files(state)

    def _show_files(self, state: State) -> None:
        """Reads the files again when the selected library's numbers moved."""
        library = next((x for x in state.libraries if x.name == self._library), None)
        stamp = (library.files, library.bytes, library.pending) if library else ()
        if stamp != self._shown_as and not self._moving:
            self._moving = True
            self._shown_as = stamp
            self.set_timer(SETTLE_S, self._moved)

    def _moved(self) -> None:
        self._moving = False
        self._reload()

    def select(self, thing: str) -> None:
        self._libraries.follow(thing)
        self.set_focus(self._libraries)

    def on_lines_moved(self, message: Lines.Moved) -> None:
        if message.lines.id == "libraries":
            name = message.row.key if message.row else ""
            if name != self._library:
                self._library = name
                self._reload(top=True)

    def on_lines_chosen(self, message: Lines.Chosen) -> None:
        if message.lines.id == "libraries":
            self.set_focus(self._files)

    # --- files ----------------------------------------------------------------------------------

    def _new_pages(self) -> Pages[Asset]:
        return Pages(rows.PAGE, len(rows.FILES), self._want, rows.asset_row)

    def _want(self, number: int) -> None:
        """A page that is looked at is not here yet: read it, the latest wish first."""
        reading = self._wanted is not None
        self._wanted = number
        if not reading:
            self.call_later(self._start_reading)

    def _start_reading(self) -> None:
        restart(self, "files", self._read, self._pages, self._library)

    def _reload(self, *, top: bool = False) -> None:
        """Reads the file list from its beginning; the present rows stay until it is here."""
        if top:
            self._files.go(0)
        self._pages = self._new_pages()
        self._wanted = None
        if self._library:
            self._want(0 if top else max(0, self._files.top // rows.PAGE))
        else:
            self._files.show(())

    async def _read(self, pages: Pages[Asset], library: str) -> None:
        try:
            while self._wanted is not None and pages is self._pages:
                if pages.has(self._wanted):
                    self._wanted = None
                    break
                number, after = pages.next_to_read(self._wanted)
                page = await self._page(library, after)
                pages.put(number, page.assets, page.total, page.next)
                if page.next is None and number < (self._wanted or 0):
                    self._wanted = None
                if pages is self._pages:
                    self._show_page(pages, page)
        except ArcanumError as error:
            self._wanted = None
            trouble = Piece(f"✗ {error.title}: {error.message} {error.hint}", "bad")
            self._files.show((), empty=trouble)

    async def _page(self, library: str, after: str | None) -> AssetPage:
        request = ListAssets.model_validate(
            {
                "library": library,
                "filter": self._filter.value,
                "sort": self._sort,
                "limit": rows.PAGE,
                "after": after,
            }
        )
        return await self.control_center.engine.ask(media.LIST, request)

    def _show_page(self, pages: Pages[Asset], page: AssetPage) -> None:
        what = f"{plural(page.total, 'file')}, {size(page.bytes)}"
        note = [Piece(page.library, "strong"), Piece(f"  {what} · by {self._sort}", "muted")]
        if self._filter.value:
            note.append(Piece(f" · contains “{self._filter.value}”", "info"))
        empty = "no name contains that" if self._filter.value else "no files yet: S scans"
        self._files.show(pages, note=note, empty=Piece(empty, "muted"))

    def action_sort(self) -> None:
        self._sort = rows.SORTS[(rows.SORTS.index(self._sort) + 1) % len(rows.SORTS)]
        self._reload(top=True)

    def action_filter(self) -> None:
        self._filter.display = True
        self.set_focus(self._filter)

    def on_input_changed(self) -> None:
        self._reload(top=True)

    def on_input_submitted(self) -> None:
        self.set_focus(self._files)

    def back(self) -> None:
        """First the filter goes, then the screen."""
        if self._filter.display:
            self._filter.value = ""
            self._filter.display = False
            self.set_focus(self._files)
        else:
            super().back()

    def action_ask_about(self) -> None:
        """Goes to Agent-0 with the selected file."""
        from arcanum_tui.screens.agent import Agent
        from engine.contract.agent0 import AssetAttachment

        row, center = self._files.current, self.control_center
        if row is None or not row.link:
            center.tell("There is no file to ask about yet.")
            return
        path = PathRef.of(base64.b64decode(row.link))
        center.go_to("agent")
        if isinstance(center.screen, Agent):
            center.screen.attach(AssetAttachment(library=self._library, path=path))

    # --- deeds ----------------------------------------------------------------------------------

    def _chosen(self) -> str:
        if not self._library:
            self.control_center.tell("There is no library yet: n watches a folder.")
        return self._library

    def action_scan(self) -> None:
        if name := self._chosen():
            start(self, "deeds", self._scan, name)

    async def _scan(self, name: str) -> None:
        try:
            await self.control_center.engine.call(media.SCAN, assets.LibraryName(library=name))
        except ArcanumError as error:
            self.control_center.tell_error(error)

    def action_prune(self) -> None:
        if name := self._chosen():
            start(self, "deeds", self._prune, name)

    async def _prune(self, name: str) -> None:
        try:
            done = await self.control_center.engine.call(quota.PRUNE, quota.Prune(library=name))
        except ArcanumError as error:
            self.control_center.tell_error(error)
            return
        if isinstance(done, Pending):
            text = f"Nothing is touched yet: press a to read #{done.approval_id} and answer."
            self.control_center.tell(text, f"▲ #{done.approval_id} prune {name} waits for you")

    def action_set_limit(self) -> None:
        if name := self._chosen():
            gauge = next((g for g in self.control_center.state.gauges if g.library == name), None)
            used = f" It holds {size(gauge.used)} now." if gauge else ""
            self.app.push_screen(
                AskDialog(
                    f"Limit of {name}",
                    f"How much may it hold? 500GB, 2TB, 20MiB; 0 takes the limit away.{used}",
                    value=str(gauge.limit) if gauge and gauge.limit else "",
                    limit=32,
                    check=_not_bytes,
                ),
                lambda text: self._set_limit(name, text),
            )

    def _set_limit(self, name: str, text: str | None) -> None:
        if text is not None:
            start(self, "deeds", self._limit, name, _BYTES.validate_python(text.strip()))

    async def _limit(self, name: str, limit: ByteSize) -> None:
        try:
            request = quota.SetLimit(library=name, max_bytes=limit)
            await self.control_center.engine.ask(quota.SET, request)
        except ArcanumError as error:
            self.control_center.tell_error(error)

    def action_add_library(self) -> None:
        self.app.push_screen(
            AskDialog(
                "Watch a folder as a library",
                "Which folder? → completes a name. Its files are read, never changed.",
                value=os.path.expanduser("~/"),  # noqa: PTH111 - a string with its slash
                check=_not_absolute,
                suggester=FolderSuggester(),
            ),
            self._add_library,
        )

    def _add_library(self, text: str | None) -> None:
        if text is not None:
            start(self, "deeds", self._add, text)

    async def _add(self, text: str) -> None:
        path = os.path.expanduser(text.strip())  # noqa: PTH111, ASYNC240 - no disk is touched
        path = path.rstrip("/") or "/"
        try:
            library = await self.control_center.engine.ask(
                media.ADD, assets.AddLibrary(path=PathRef.of(path))
            )
        except ArcanumError as error:
            self.control_center.tell_error(error)
        else:
            self.select(library.name)


def _not_bytes(text: str) -> str:
    try:
        return "" if _BYTES.validate_python(text.strip()) >= 0 else "A limit is not below 0."
    except ValidationError:
        return "That is no size: write it like 500GB, 20MiB or 0."


def _not_absolute(text: str) -> str:
    return "" if text.strip().startswith(("/", "~")) else "Give the whole path, from / or ~."
