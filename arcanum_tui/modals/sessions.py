"""The conversations: find one, begin one, rename, export or delete it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import TypeAdapter, ValidationError
from textual.binding import BindingType
from textual.widgets import Input

from arcanum_tui.actions import bindings
from arcanum_tui.modals.ask import AskDialog
from arcanum_tui.modals.picker import Picker
from arcanum_tui.state import sessions
from arcanum_tui.state.export import file_name
from arcanum_tui.state.grid import Row
from arcanum_tui.state.text import number, plural
from arcanum_tui.work import restart, start
from engine.contract import memory
from engine.contract.base import Name
from engine.contract.client import Pending
from engine.contract.errors import ArcanumError

if TYPE_CHECKING:
    from engine.contract.memory import SessionSummary

_NAME: TypeAdapter[str] = TypeAdapter(Name)
_BAD_NAME = "That is no name: visible characters, no /, not beginning with -."

SETTLE_S = 0.15
"""Conversations are looked through once no key came for so long."""


class SessionsDialog(Picker[str]):
    """Dismissed with a name. What is typed filters, by what was said too, and names a new one."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("sessions")]

    def __init__(self, known: Sequence[SessionSummary], current: str) -> None:
        keys = (("F2", "rename"), ("F5", "export"), ("F8", "delete"))
        placeholder = "Words of it, or a new name"
        super().__init__("Which conversation?", sessions.COLUMNS, placeholder, "go there", *keys)
        self._known, self._found, self._current = tuple(known), tuple(known), current

    # --- the list -------------------------------------------------------------------------------

    def rows(self, text: str) -> list[Row]:
        words = text.lower().strip()
        found = [s for s in self._known if words in f"{s.name} {s.title}".lower()]
        names = {s.name for s in found}
        # What was only said in it comes behind what is called so.
        found += [s for s in self._found if s.name not in names] if words else []
        now = self.control_center.clock()
        rows = [sessions.row(s, self._current, now) for s in found]
        if not words and self._current not in names:
            rows.insert(0, sessions.begun(self._current, self._current, "nothing was said yet"))
        if words and text.strip() not in {s.name for s in found}:
            rows.append(sessions.begun(text.strip(), self._current, "begin a new one"))
        return rows

    def on_mount(self) -> None:
        restart(self, "find", self._find, "")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._found = ()
        super().on_input_changed(event)
        restart(self, "find", self._find, event.value)

    async def _find(self, text: str) -> None:
        """Asks the engine which conversations hold these words."""
        await asyncio.sleep(SETTLE_S if text else 0)
        request = memory.ListSessions(containing=text.strip()[:200])
        try:
            found = await self.control_center.engine.ask(memory.SESSIONS, request)
        except ArcanumError as error:
            self.show_keys(error.message)
            return
        self._found = found.sessions
        if not text:
            self._known = found.sessions
        chosen = self._lines.cursor
        self._lines.show(self.rows(text), empty=self.nothing(text))
        if not text:
            self._lines.follow(self._current)
        elif chosen <= 0:
            # What was begun to be called so gives way to what is found.
            self._lines.go(0)

    def pick(self, row: Row) -> None:
        try:
            self.close(_NAME.validate_python(row.key))
        except ValidationError:
            self.show_keys(_BAD_NAME)

    # --- deeds ----------------------------------------------------------------------------------

    def _chosen(self) -> SessionSummary | None:
        """The conversation under the cursor; says so where there is none yet."""
        key = self._lines.current.key if self._lines.current else ""
        found = next((s for s in (*self._known, *self._found) if s.name == key), None)
        if found is None:
            self.show_keys("Nothing was said in it yet.")
        return found

    def action_rename(self) -> None:
        if (chosen := self._chosen()) is not None:
            ask = AskDialog(
                f"Rename {chosen.name}",
                "What is it to be called?",
                value=chosen.name,
                limit=64,
                check=_no_name,
            )
            self.app.push_screen(ask, partial(self._rename, chosen.name))

    def _rename(self, name: str, to: str | None) -> None:
        if to is not None and to != name:
            start(self, "deeds", self._renamed, name, to)

    async def _renamed(self, name: str, to: str) -> None:
        request = memory.RenameSession(session=name, to=to)
        try:
            await self.control_center.engine.ask(memory.RENAME, request)
        except ArcanumError as error:
            self.show_keys(f"{error.message} {error.hint}")
            return
        self._current = to if name == self._current else self._current
        await self._find(self._input.value)
        self._lines.follow(to)

    def action_export(self) -> None:
        if (chosen := self._chosen()) is not None:
            ask = AskDialog(
                f"Export {chosen.name}",
                f"All {number(chosen.turns)} turns, as Markdown, to a new file:",
                value=os.path.join("~", file_name(chosen.name)),  # noqa: PTH118 - as it is typed
                check=_no_path,
            )
            self.app.push_screen(ask, partial(self._export, chosen))

    def _export(self, chosen: SessionSummary, path: str | None) -> None:
        if path is not None:
            start(self, "deeds", self._exported, chosen, path.strip())

    async def _exported(self, chosen: SessionSummary, path: str) -> None:
        from arcanum_tui.attaching import whole
        from arcanum_tui.deeds import export

        center = self.control_center
        try:
            count = await export(center.engine, chosen.name, whole(path))
        except ArcanumError as error:
            self.show_keys(f"{error.message} {error.hint}")
        else:
            center.tell(f"{plural(count, 'turn')} written to {path}", "Exported")

    def action_delete(self) -> None:
        if (chosen := self._chosen()) is not None:
            start(self, "deeds", self._delete, chosen.name)

    async def _delete(self, name: str) -> None:
        center = self.control_center
        try:
            done = await center.engine.call(memory.DELETE, memory.OneSession(session=name))
        except ArcanumError as error:
            self.show_keys(f"{error.message} {error.hint}")
            return
        if isinstance(done, Pending):
            self.close(None)
            text = "Nothing is deleted yet: read the card, and answer it."
            center.tell(text, f"▲ #{done.approval_id} delete {name} waits for you")
            center.go_to("approvals", str(done.approval_id))


def _no_name(text: str) -> str:
    try:
        _NAME.validate_python(text)
    except ValidationError:
        return _BAD_NAME
    return ""


def _no_path(text: str) -> str:
    return "" if text.strip().startswith(("/", "~")) else "Give the whole path, from / or ~."


def new_name(taken: Iterable[str], day: str) -> str:
    """A name for a new conversation that nothing has: ``20 Nov``, ``20 Nov 2``."""
    names = set(taken)
    count = 1
    while (name := day if count == 1 else f"{day} {count}") in names:
        count += 1
    return name
