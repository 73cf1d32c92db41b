"""A memory with what stood around it, and the memories that went into an answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from arcanum_tui.actions import bindings
from arcanum_tui.modals.base import BORDERS, WIDEST, Dialog
from arcanum_tui.state import memories, memory
from arcanum_tui.state.grid import Column
from arcanum_tui.widgets.lines import GUTTER, Lines
from arcanum_tui.work import start
from engine.contract import recall
from engine.contract.errors import ArcanumError
from engine.contract.memories import Memory, Recalled, RecallHit

MARGIN = 15
"""Cells before the text: the widest of the names and dates."""


class MemoryDialog(Dialog[str]):
    """Dismissed with the conversation to go to. What is known already is shown at once; what stood
    around it is read."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("remembered")]

    def __init__(self, remembered: Memory) -> None:
        keys = [("↑ ↓", "scroll")]
        if remembered.turn_id is not None:
            keys.append(("c", "go to the conversation"))
        super().__init__(memory.title(remembered), *keys)
        self.add_class("-tall")
        self._memory = remembered
        self._shown: recall.Shown | None = None
        self._trouble = ""
        self._lines = Lines(id="box-lines", columns=(Column(width=MARGIN - 2), Column(grow=True)))

    def body(self) -> Iterable[Widget]:
        yield self._lines

    def on_mount(self) -> None:
        self._draw()
        start(self, "around", self._read)

    async def _read(self) -> None:
        request = recall.OneMemory(id=self._memory.id)
        try:
            self._shown = await self.control_center.engine.ask(recall.SHOW, request)
        except ArcanumError as error:
            self._trouble = f"{error.title}: {error.message} {error.hint}".strip()
        self._draw()

    def _draw(self) -> None:
        box = min(WIDEST, self.app.size.width * 9 // 10)
        room = box - BORDERS - GUTTER - MARGIN
        now = self.control_center.clock()
        self._lines.show(memory.sheet(self._memory, self._shown, self._trouble, room, now))

    def on_resize(self) -> None:
        self._draw()

    def action_converse(self) -> None:
        if self._memory.turn_id is not None:
            self.close(self._memory.namespace)
        else:
            self.show_keys("It was never said in a conversation.")


class RecalledDialog(Dialog[str]):
    """Dismissed with the conversation to go to, where one of the memories led there. Each is read
    anew: what was forgotten since is not shown any more."""

    def __init__(self, recalled: Sequence[Recalled], namespace: str) -> None:
        super().__init__("What was recalled for this answer", ("↑ ↓", "choose"), ("Enter", "open"))
        self._recalled, self._namespace = tuple(recalled), namespace
        self._found: dict[int, RecallHit | str] = {}
        self._lines = Lines(id="box-lines", columns=memories.COLUMNS)

    def body(self) -> Iterable[Widget]:
        yield self._lines

    def on_mount(self) -> None:
        self._draw()
        start(self, "recalled", self._read)

    async def _read(self) -> None:
        engine = self.control_center.engine
        for one in self._recalled:
            try:
                shown = await engine.ask(recall.SHOW, recall.OneMemory(id=one.id))
            except ArcanumError as error:
                self._found[one.id] = error.message
            else:
                self._found[one.id] = RecallHit(
                    **dict(shown.memory), score=one.score, parts=one.parts
                )
            self._draw()

    def _draw(self) -> None:
        now = self.control_center.clock()
        self._lines.show(memories.told(self._recalled, self._found, self._namespace, now))

    def on_lines_chosen(self, message: Lines.Chosen) -> None:
        found = self._found.get(int(message.row.key)) if message.row else None
        if isinstance(found, RecallHit):
            self.app.push_screen(MemoryDialog(found), self._leads)

    def _leads(self, conversation: str | None) -> None:
        if conversation is not None:
            self.close(conversation)
