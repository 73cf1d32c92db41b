"""Media: the libraries with their numbers, and the files of the selected one, or of all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget

from arcanum_tui.actions import bindings
from arcanum_tui.screens.browsing import TYPED_S
from arcanum_tui.screens.grouping import Grouping
from arcanum_tui.state import media as rows
from arcanum_tui.state import narrowing
from arcanum_tui.state.groups import Member
from arcanum_tui.state.model import State
from arcanum_tui.state.narrowing import ALL, Narrowing
from arcanum_tui.state.overview import failed, waiting
from arcanum_tui.state.text import clean
from arcanum_tui.widgets.lines import Lines
from arcanum_tui.widgets.query import Query
from engine.contract import media
from engine.contract.assets import ListedAsset
from engine.contract.base import PathRef
from engine.contract.jobs import ENDED
from engine.contract.listing import Folder

WIDE = 100
"""From so many cells on the panel of facets stands beside the files, not in their place."""
LONGEST = 200
"""Characters that a name can be looked for by."""


class Media(Grouping):
    """What moves in the engine moves here; files are read page by page as they are looked at."""

    NAME = "media"
    WITHOUT = ("open_media",)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("media")]
    CSS_PATH = ["../widgets/query.tcss", "media.tcss"]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self._shown_as: tuple[object, ...] = ()
        self._moving = False

    def body(self) -> Iterable[Widget]:
        yield Lines(id="libraries", title="LIBRARIES", columns=rows.LIBRARIES, marked=True)
        yield Query(id="filter", placeholder="Only names that contain … (Esc: all)", limit=LONGEST)
        panel = Lines(
            id="facets", title="NARROW", hint="Space takes", columns=narrowing.COLUMNS, skips=True
        )
        files = Lines(id="files", title="FILES", columns=rows.FILES)
        yield Container(panel, files, *self.beside(), id="desk")

    # --- showing --------------------------------------------------------------------------------

    @property
    def _libraries(self) -> Lines:
        return self.query_one("#libraries", Lines)

    @property
    def _filter(self) -> Query:
        return self.query_one("#filter", Query)

    @property
    def places(self) -> tuple[str, ...]:
        return ("query", "media", "list", "app")

    def on_mount(self) -> None:
        self._arrange()
        self.set_focus(self._libraries)

    def on_resize(self) -> None:
        if self.composed:
            self._arrange()

    def _arrange(self) -> None:
        """Beside one another where there is room; else the panel in the place of the files."""
        narrow = self.app.size.width < WIDE
        self.query_one("#desk").set_class(narrow, "-narrow")
        self._files.display = not (narrow and self._panel.display)
        self.arrange_beside()

    def show(self, state: State) -> None:
        now = self.control_center.clock()
        gauges = {g.library: g for g in state.gauges}
        listed = [rows.library_row(x, gauges.get(x.name), state, now) for x in state.libraries]
        if len(listed) > 1:
            listed.append(rows.everything_row(state.libraries))
        trouble = failed(state, "media.libraries")
        empty = trouble or waiting(state, good="no library yet: n watches a folder")
        self._libraries.show(listed, note=[trouble] if trouble else [], empty=empty)
        self._libraries.styles.height = max(2, min(len(listed) + 1, self.size.height // 3))
        self._show_files(state)
        self.follow_jobs(state)

    def _show_files(self, state: State) -> None:
        """Reads the list again when the selected library's numbers moved, pictures were compared,
        or the engine is another one."""
        meant = [x for x in state.libraries if self.library in {x.name, ALL}]
        compared = [
            x.id
            for x in state.jobs
            if x.operation == media.COMPARE_PICTURES.name and x.state in ENDED
        ]
        numbers = [
            (x.name, x.files, x.bytes, x.pending, x.unread, x.damaged, x.unseen, x.since)
            for x in meant
        ]
        stamp = (state.snapshots, *numbers, *compared)
        if stamp != self._shown_as and not self._moving:
            self._moving = True
            self._shown_as = stamp
            self.set_timer(self.settle_s, self._moved)

    def _moved(self) -> None:
        self._moving = False
        self._reload_all()

    def _reload_all(self) -> None:
        if self._groups is None:
            self.reload()
        else:
            self.read_groups_again()

    def select(self, thing: str) -> None:
        """A library; ``films/damaged``: what is damaged, or cannot be read, of it."""
        name, _, part = thing.partition("/")
        if part == "damaged":
            self._list_damaged(name)
        self._libraries.follow(name)
        self.set_focus(self._files if part and self._files.display else self._libraries)

    def _list_damaged(self, name: str) -> None:
        self.leave_groups()
        self._filter.value, self._filter.display = "", False
        self._panel.display = False
        self._arrange()
        self._trail.clear()
        self.ask(Narrowing(library=name, chosen=narrowing.DAMAGED))

    def on_lines_moved(self, message: Lines.Moved) -> None:
        if message.lines.id == "libraries":
            name = message.row.key if message.row else ""
            if name != self.library:
                self._look_at(name)
        elif message.lines.id == "files":
            self.look_beside()

    def _look_at(self, name: str) -> None:
        """Another library: text and order stay, what is of one library alone does not."""
        tree = self._asked.folder is not None and name != ALL
        kept = tuple(pair for pair in self._asked.chosen if pair[0] != "library")
        self._trail.clear()
        folder = ("", "") if tree else None
        asked = replace(self._asked, library=name, folder=folder, chosen=kept)
        if self._groups is None:
            self.ask(asked)
        else:
            self._asked = asked
            self.read_groups_again()

    def on_lines_chosen(self, message: Lines.Chosen) -> None:
        if message.lines.id == "libraries":
            self.set_focus(self._files if self._files.display else self._panel)
        elif message.lines.id == "facets":
            self.action_narrow()
        elif self._groups is not None:
            self.open_group()
        else:
            self._open(self.entry())

    def _open(self, entry: Folder | ListedAsset | None) -> None:
        """A folder is gone into, a file read closely."""
        from arcanum_tui.modals.asset import AssetDialog

        if isinstance(entry, Folder):
            self._enter(entry)
        elif entry is not None:
            self.app.push_screen(AssetDialog(entry), lambda what: self.after(entry, what))

    def after(self, asset: ListedAsset | Member, what: str | None) -> None:
        if what == "verify":
            self.verify(asset.library, (asset.path,), clean(asset.path.display))
        elif what == "ask":
            self._talk_of(asset)

    # --- narrowing ------------------------------------------------------------------------------

    def action_filter(self) -> None:
        self.leave_groups()
        self._filter.display = True
        self.set_focus(self._filter)

    def on_input_changed(self) -> None:
        if self._filter.value != self._asked.text:
            self.ask(replace(self._asked, text=self._filter.value), after_s=TYPED_S)

    def on_query_left(self) -> None:
        self.set_focus(self._files if self._files.display else self._panel)

    def action_facets(self) -> None:
        """Opens the panel, or closes it."""
        if self._panel.display and (self._panel.has_focus or not self._files.display):
            self._close_panel()
            return
        self.leave_groups()
        self._panel.display = True
        self._arrange()
        self._read_facets_again()
        self.set_focus(self._panel)

    def _close_panel(self) -> None:
        self._panel.display = False
        self._arrange()
        self.set_focus(self._files)

    def action_narrow(self) -> None:
        row = self._panel.current
        if self._panel.has_focus and row is not None:
            self.toggle(row.key)

    def back(self) -> None:
        """The innermost first: what was typed, the panel, what was chosen, the folder; then the
        screen."""
        if self._filter.display:
            self._filter.value = ""
            self._filter.display = False
            self.set_focus(self._files if self._files.display else self._panel)
        elif self._panel.display:
            self._close_panel()
        elif self._groups is not None:
            self.leave_groups()
        elif self._asked.chosen:
            self.ask(replace(self._asked, chosen=()))
        elif not (self._files.has_focus and self.go_up()):
            super().back()

    # --- deeds ----------------------------------------------------------------------------------

    def action_verify(self) -> None:
        """What is selected: a file, a folder, or the library."""
        seen = self._files.has_focus or self._details.has_focus
        entry = self.entry() if seen else None
        if isinstance(entry, ListedAsset):
            self.verify(entry.library, (entry.path,), clean(entry.path.display))
        elif entry is not None:
            self.verify(self.library, (entry.path,), clean(entry.path.display))
        elif name := self._chosen():
            self.verify(name, (), name)

    def action_export(self) -> None:
        if not self.library:
            self._chosen()
            return
        name = "files" if self.library == ALL else self.library
        if self._groups is not None:
            chosen = {"libraries": self.grouped, "near": self._alike, "sort": self._by}
            what = "alike" if self._alike else "duplicates"
            self.ask_where(media.EXPORT_DUPLICATES, chosen, f"{name}-{what}")
            return
        asked: Narrowing = self._asked
        fields = {**asked.fields(), "sort": asked.sort, "reverse": asked.reverse}
        # A folder is written with all that is below it, as its line counts it.
        fields["direct"] = False
        self.ask_where(media.EXPORT, fields, name)

    def action_damaged(self) -> None:
        if self.library:
            self.select(f"{self.library}/damaged")
        else:
            self._chosen()

    def action_ask_about(self) -> None:
        """Goes to Agent-0 with the selected file."""
        entry = self.entry()
        if isinstance(entry, ListedAsset):
            self._talk_of(entry)
        else:
            self.control_center.tell("There is no file to ask about here.")

    def _talk_of(self, asset: ListedAsset | Member) -> None:
        from arcanum_tui.screens.agent import Agent
        from engine.contract.agent0 import AssetAttachment

        center = self.control_center
        path = PathRef(raw=asset.path.raw, display=asset.path.display)
        center.go_to("agent")
        if isinstance(center.screen, Agent):
            center.screen.attach(AssetAttachment(library=asset.library, path=path))
