"""Memory: what is remembered, found again while one types, and read closely."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from arcanum_tui.actions import bindings
from arcanum_tui.screens.remembering import Remembering
from arcanum_tui.state import memories as rows
from arcanum_tui.state import memory as closely
from arcanum_tui.state.grid import Piece, Row, muted, strong
from arcanum_tui.state.model import State
from arcanum_tui.state.overview import waiting
from arcanum_tui.state.pages import Pages
from arcanum_tui.state.text import clean, number, plural
from arcanum_tui.widgets.bars import EndsLine
from arcanum_tui.widgets.lines import Lines
from arcanum_tui.widgets.page import Page
from arcanum_tui.widgets.query import Query
from arcanum_tui.work import restart
from engine.contract import recall
from engine.contract.errors import ArcanumError, NotFound
from engine.contract.memories import Memory, RecallHit
from engine.contract.recall import MemoryPage, SearchResult

SETTLE_S = 0.12
"""What fits is looked for once no key came for so long."""

AGAIN_S = 1.0
"""While memories change, what is shown is read again at most this often."""

LONGEST = 2_000
"""Characters of a query."""

MOST = 50
"""So many hits are asked for."""

BEGIN = "Tell Agent-0 something (c), n writes a note, w follows a folder."
"""What to do where nothing is remembered yet."""

WIDE = 110
"""From so many cells on the details stand beside the list, not below it."""


class Memories(Remembering):
    """Without a query it is the timeline, read page by page; with one, what was found, best first.

    The namespace is that of the conversation that is being held, until another one is chosen.
    """

    NAME = "memory"
    WITHOUT = ("open_memory",)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("memory")]
    CSS_PATH = [  # noqa: RUF012
        "../widgets/query.tcss",
        "../widgets/page.tcss",
        "memory.tcss",
    ]

    def __init__(self) -> None:
        super().__init__()
        self._chosen_space = ""
        self._read_space = ""
        self._show_only = "all"
        self._pages = self._new_pages()
        self._wanted: int | None = None
        self._found: SearchResult | None = None
        self._hits: tuple[RecallHit, ...] = ()
        self._looked_for = ""
        self._at: int | None = None
        self._stamp: tuple[object, ...] = ()
        self._moving = False

    @property
    def places(self) -> tuple[str, ...]:
        return ("query", "memory", "list", "app")

    def body(self) -> Iterable[Widget]:
        placeholder = "/ finds it again: words, who said it, when"
        yield Query(id="query", placeholder=placeholder, limit=LONGEST)
        yield EndsLine(id="understood")
        yield Static(id="partial")
        hint = "Ctrl+O namespace · f filter"
        listed = Lines(
            id="memories", title="MEMORIES", hint=hint, columns=rows.COLUMNS, marked=True
        )
        yield Container(listed, Page(id="page"), id="desk")

    # --- what is where --------------------------------------------------------------------------

    @property
    def namespace(self) -> str:
        return self._chosen_space or self.control_center.conversation.chat.session

    @property
    def _lines(self) -> Lines:
        return self.query_one("#memories", Lines)

    @property
    def _query(self) -> Query:
        return self.query_one("#query", Query)

    @property
    def _text(self) -> str:
        return self._query.value.strip()

    @property
    def selected(self) -> Memory | None:
        index = self._lines.cursor
        if self._lines.rows is self._pages:
            return self._pages.item(index)
        return self._hits[index] if 0 <= index < len(self._hits) else None

    def on_mount(self) -> None:
        self._arrange()
        self.set_focus(self._lines)

    def on_resize(self) -> None:
        if self.composed:
            self._arrange()

    def _arrange(self) -> None:
        """The details beside the list where there is room, below it where there is not."""
        width, height = self.app.size
        wide = width >= WIDE
        self.query_one("#desk").set_class(wide, "-wide")
        self.query_one("#page").styles.height = "1fr" if wide else max(6, height * 2 // 5)

    # --- showing --------------------------------------------------------------------------------

    def show(self, state: State) -> None:
        other = self.namespace != self._read_space
        if not state.known:
            self._lines.show((), empty=waiting(state, good=""))
        elif other or not self._stamp:
            self._stamp = self._stamped(state)
            self.reload(top=True)
        elif state.link.state != "live":
            # What was read stays; what happened meanwhile is read when the engine is back.
            self._stamp = (state.link.state,)
        elif self._stamped(state) != self._stamp and not self._moving:
            self._moving = True
            self.set_timer(AGAIN_S, self._moved)
        self._show_note()

    def _moved(self) -> None:
        """What changed meanwhile is read now, all at once."""
        self._moving = False
        state = self.control_center.state
        if state.link.state == "live":
            self._stamp = self._stamped(state)
            self.reload()

    def _stamped(self, state: State) -> tuple[object, ...]:
        """What tells whether the memories are still as they were read; and as they were found,
        once the index has come to its end."""
        index = state.index
        ends = (index.index, index.waiting > 0, index.to_embed > 0) if index else ()
        return state.snapshots, state.remembered, state.talk.get(self.namespace), ends

    def select(self, thing: str) -> None:
        """Looks into the namespace that a link named."""
        self._look_into(thing)
        self.set_focus(self._lines)

    def _look_into(self, name: str | None) -> None:
        if name is not None:
            self._chosen_space = name
            self.reload(top=True)

    def reload(self, *, top: bool = False, after_s: float = 0.0) -> None:
        """Reads what is shown again; the present rows stay until it is here."""
        self._read_space = self.namespace
        held = self.selected
        self._at = None if top or held is None else held.id
        if self._text:
            restart(self, "memories", self._search, self._text, after_s)
            return
        self._pages = self._new_pages()
        self._wanted = None
        self._want(0 if top else max(0, self._lines.top // rows.PAGE))

    def _note(self, count: str) -> list[Piece]:
        note = [strong(self.namespace)]
        if count:
            note.append(muted(f"  {count}"))
        if self._show_only != "all":
            note.append(Piece(f" · only {self._show_only}", "info"))
        if index := rows.behind(self.control_center.state.index):
            note += [muted(" · "), *index]
        return note

    def _show_note(self) -> None:
        """The heading alone: the index moved, or another namespace is looked into."""
        lines = self._lines
        if self._found is not None:
            count = f"{number(len(self._hits))} found"
        else:
            count = plural(self._pages.total, "memory", "memories") if self._pages.total else ""
        lines.title = "FOUND" if self._found is not None else "MEMORIES"
        if (note := tuple(self._note(count))) != lines.note:
            lines.note = note
        lines.refresh()

    def _say(self, found: SearchResult | None) -> None:
        """What was understood of the query, and what could not be searched."""
        time = rows.understood(found.since, found.until) if found else ""
        line = self.query_one("#understood", EndsLine)
        line.display = bool(time)
        line.show([muted("understood: "), Piece(time, "info"), muted(" weighs more")], [])
        partial = self.query_one("#partial", Static)
        partial.display = found is not None and bool(found.partial)
        partial.update(Content(f"! {clean(found.partial)}" if found else ""))

    def _fail(self, error: ArcanumError) -> None:
        """The reason stands where the memories would. A namespace begins with its first memory:
        that there is none yet is no failure."""
        self._wanted, self._found, self._hits = None, None, ()
        self._pages = self._new_pages()
        trouble = Piece(f"✗ {error.title}: {error.message} {error.hint}".rstrip(), "bad")
        if isinstance(error, NotFound):
            trouble = muted(f"{error.message} {BEGIN}")
        self._lines.show((), note=self._note(""), empty=trouble)
        self._say(None)
        self._show_details()

    # --- the timeline ---------------------------------------------------------------------------

    def _new_pages(self) -> Pages[Memory]:
        return Pages(rows.PAGE, len(rows.COLUMNS), self._want, self._row)

    def _row(self, memory: Memory) -> Row:
        return rows.row(memory, self._read_space, self.control_center.clock())

    def _want(self, page: int) -> None:
        """A page that is looked at is not here yet: read it, the latest wish first."""
        reading = self._wanted is not None
        self._wanted = page
        if not reading:
            self.call_later(self._start_reading)

    def _start_reading(self) -> None:
        if not self._text:
            restart(self, "memories", self._read, self._pages)

    async def _read(self, pages: Pages[Memory]) -> None:
        try:
            while self._wanted is not None and pages is self._pages:
                if pages.has(self._wanted):
                    self._wanted = None
                    break
                at, before = pages.next_to_read(self._wanted)
                page = await self._page(before)
                found = page.memories
                total = page.total if at == 0 else pages.total
                pages.put(at, found, total, page.next)
                if page.next is None and at < (self._wanted or 0):
                    self._wanted = None
                if pages is self._pages:
                    self._show_page(pages, at, found)
        except ArcanumError as error:
            self._fail(error)

    async def _page(self, before: str | None) -> MemoryPage:
        wanted = rows.SHOWS[self._show_only]
        request = recall.ListMemories.model_validate(
            {
                # What is pinned is seen from everywhere.
                "namespace": None if wanted.get("pinned") else self._read_space,
                "limit": rows.PAGE,
                "before": before,
                **wanted,
            }
        )
        return await self.control_center.engine.ask(recall.LIST, request)

    def _show_page(self, pages: Pages[Memory], page: int, found: tuple[Memory, ...]) -> None:
        self._found, self._hits = None, ()
        self._say(None)
        lines = self._lines
        fresh = lines.rows is not pages
        lines.title = "MEMORIES"
        count = plural(pages.total, "memory", "memories")
        lines.show(pages, note=self._note(count), empty=self._nothing())
        # Newer ones came in above it: the cursor stays on its own.
        places = [m.id for m in found]
        if self._at in places:
            lines.go(page * rows.PAGE + places.index(self._at))
            self._at = None
        if fresh:
            self._show_details()

    def _nothing(self) -> Piece:
        if self._show_only != "all":
            return muted(f"Nothing here is only {self._show_only}: f shows others.")
        return muted(f"Nothing is remembered here yet. {BEGIN}")

    # --- searching ------------------------------------------------------------------------------

    def action_search(self) -> None:
        self.set_focus(self._query)

    def on_input_changed(self) -> None:
        if self._text == self._looked_for:
            return
        self._looked_for = self._text
        self._wanted = None
        self.reload(top=True, after_s=SETTLE_S)

    def on_query_left(self) -> None:
        self.set_focus(self._lines)

    async def _search(self, text: str, after_s: float) -> None:
        """The latest query wins: one that is still being answered is given up for it."""
        await asyncio.sleep(after_s)
        if self._show_only in rows.UNSEARCHED:
            self._show_found(SearchResult(hits=()))
            return
        request = recall.Search(
            query=text, namespace=self._read_space, limit=MOST, **rows.SHOWS[self._show_only]
        )
        try:
            found = await self.control_center.engine.ask(recall.SEARCH, request)
        except ArcanumError as error:
            if text == self._text:
                self._fail(error)
            return
        if text == self._text:
            self._show_found(found)

    def _show_found(self, found: SearchResult) -> None:
        lines = self._lines
        self._found, self._hits = found, found.hits
        lines.title = "FOUND"
        listed = rows.rows(self._hits, self._read_space, self.control_center.clock())
        note = self._note(f"{number(len(listed))} found")
        lines.show(listed, note=note, empty=rows.unfound(self._show_only))
        if self._at is None:
            lines.go(0)
        self._say(found)
        self._show_details()

    # --- moving ---------------------------------------------------------------------------------

    def on_lines_moved(self, message: Lines.Moved) -> None:
        self._show_details()

    def _show_details(self) -> None:
        page, memory = self.query_one("#page", Page), self.selected
        if memory is None:
            page.show_empty(muted(rows.LEGEND))
            return
        title = [Piece(closely.title(memory), "title")]
        now = self.control_center.clock()
        make = partial(closely.details, memory, now=now)
        page.show(str(memory.id), title, make)

    def action_read_on(self) -> None:
        self.query_one("#page", Page).move(3)

    def action_read_back(self) -> None:
        self.query_one("#page", Page).move(-3)

    def back(self) -> None:
        """First the query goes, then the screen."""
        typing = self._query.has_focus
        if self._query.value:
            self._query.value = ""
        elif not typing:
            super().back()
            return
        self.set_focus(self._lines)

    # --- what is looked at ----------------------------------------------------------------------

    def action_show_only(self) -> None:
        names = list(rows.SHOWS)
        self._show_only = names[(names.index(self._show_only) + 1) % len(names)]
        self.reload(top=True)

    def action_namespace(self) -> None:
        from arcanum_tui.modals.namespaces import NamespacesDialog

        self.app.push_screen(NamespacesDialog(self.namespace), self._look_into)
