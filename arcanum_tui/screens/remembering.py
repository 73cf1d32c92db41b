"""What can be done with memories: open, pin, edit, note, forget, bring back; and how they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arcanum_tui.screens.base import View
from arcanum_tui.state import memory as closely
from arcanum_tui.state.memories import one_line
from arcanum_tui.state.text import plural
from arcanum_tui.widgets.lines import Lines
from arcanum_tui.work import restart, start
from engine.contract import recall
from engine.contract.base import Empty
from engine.contract.client import Pending
from engine.contract.errors import ArcanumError
from engine.contract.memories import Forget, Note

if TYPE_CHECKING:
    from engine.contract.memories import Memory


class Remembering(View):
    """The part of the memory screen that acts on memories."""

    @property
    def namespace(self) -> str:
        """The namespace that is looked into."""
        raise NotImplementedError

    @property
    def selected(self) -> Memory | None:
        """The memory under the cursor."""
        raise NotImplementedError

    def reload(self, *, top: bool = False, after_s: float = 0.0) -> None:
        """Reads what is shown again; from its beginning where ``top``."""
        raise NotImplementedError

    def _one(self) -> Memory | None:
        """The memory that a key acts on; says so where there is none."""
        if self.selected is None:
            self.control_center.tell("There is no memory selected: n writes one down.")
        return self.selected

    # --- reading --------------------------------------------------------------------------------

    def on_lines_chosen(self, message: Lines.Chosen) -> None:
        if (memory := self._one()) is not None:
            from arcanum_tui.modals.memory import MemoryDialog

            self.app.push_screen(MemoryDialog(memory), self._converse)

    def _converse(self, conversation: str | None) -> None:
        """Goes to a conversation."""
        if conversation is not None:
            self.control_center.converse(conversation)
            self.control_center.go_to("agent")

    def action_stats(self) -> None:
        restart(self, "stats", self._stats)

    async def _stats(self) -> None:
        from arcanum_tui.modals.sheet import SheetDialog

        center = self.control_center
        try:
            found = await center.engine.ask(recall.STATS, Empty())
        except ArcanumError as error:
            center.tell_error(error)
            return
        lines = closely.stats(found, center.clock())
        self.app.push_screen(SheetDialog("What is remembered", lines))

    def action_folders(self) -> None:
        from arcanum_tui.modals.watched import WatchedDialog

        self.app.push_screen(WatchedDialog(self.namespace))

    # --- deeds ----------------------------------------------------------------------------------

    def action_pin(self) -> None:
        if (memory := self._one()) is not None:
            start(self, "deeds", self._pin, memory)

    async def _pin(self, memory: Memory) -> None:
        center = self.control_center
        try:
            await center.engine.ask(recall.PIN, recall.Pin(id=memory.id, off=memory.pinned))
        except ArcanumError as error:
            center.tell_error(error)
            return
        seen = f"in {memory.namespace} alone" if memory.pinned else "from every namespace"
        center.tell(f"#{memory.id} is seen {seen} from now on.")
        self.reload()

    def action_edit(self) -> None:
        from arcanum_tui.modals.write import WriteDialog

        if (memory := self._one()) is not None:
            said = "What is it to say? What it says now is kept as what was replaced."
            ask = WriteDialog(f"Edit #{memory.id}", said, value=memory.text)
            self.app.push_screen(ask, lambda text: self._edited(memory, text))

    def _edited(self, memory: Memory, text: str | None) -> None:
        if text is not None and text != memory.text:
            start(self, "deeds", self._edit, memory.id, text)

    async def _edit(self, number: int, text: str) -> None:
        try:
            await self.control_center.engine.ask(recall.EDIT, recall.Edit(id=number, text=text))
        except ArcanumError as error:
            self.control_center.tell_error(error)
        else:
            self.reload()

    def action_add_note(self) -> None:
        from arcanum_tui.modals.write import WriteDialog

        space = self.namespace
        said = f"What is to be remembered in {space}?"
        ask = WriteDialog(f"A note for {space}", said, placeholder="One fact a note is found best")
        self.app.push_screen(ask, lambda text: self._noted(space, text))

    def _noted(self, space: str, text: str | None) -> None:
        if text is not None:
            start(self, "deeds", self._add, space, text)

    async def _add(self, space: str, text: str) -> None:
        center = self.control_center
        request = recall.AddNotes(namespace=space, notes=(Note(text=text),))
        try:
            added = await center.engine.ask(recall.ADD, request)
        except ArcanumError as error:
            center.tell_error(error)
            return
        center.tell(f"Remembered in {added.namespace}, as #{added.ids[0]}.")
        self.reload(top=True)

    def action_forget(self) -> None:
        if (memory := self._one()) is not None:
            start(self, "deeds", self._forget, memory)

    async def _forget(self, memory: Memory) -> None:
        center = self.control_center
        try:
            done = await center.engine.call(recall.FORGET, Forget(ids=(memory.id,)))
        except ArcanumError as error:
            center.tell_error(error)
            return
        if isinstance(done, Pending):
            text = f"Nothing is touched yet: read the card, and answer it. {one_line(memory.text)}"
            title = f"▲ #{done.approval_id} forget memory #{memory.id} waits for you"
            center.tell(text if len(text) < 160 else f"{text[:159]}…", title)
            center.go_to("approvals", str(done.approval_id))

    def action_restore(self) -> None:
        memory = self._one()
        if memory is not None and memory.state == "live":
            self.control_center.tell(f"#{memory.id} is here: there is nothing to bring back.")
        elif memory is not None:
            start(self, "deeds", self._restore, memory)

    async def _restore(self, memory: Memory) -> None:
        center = self.control_center
        try:
            done = await center.engine.ask(recall.RESTORE, recall.Restore(ids=(memory.id,)))
        except ArcanumError as error:
            center.tell_error(error)
            return
        back = f"{plural(len(done.ids), 'memory', 'memories')} brought back."
        center.tell(" ".join((back, *done.problems)))
        self.reload()
