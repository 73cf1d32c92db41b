"""Which namespace: where memories are kept apart."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from arcanum_tui.modals.picker import Picker
from arcanum_tui.state import memories
from arcanum_tui.state.grid import Piece, Row, muted
from arcanum_tui.work import restart
from engine.contract import recall
from engine.contract.base import Empty, Name
from engine.contract.errors import ArcanumError

_NAME: TypeAdapter[str] = TypeAdapter(Name)


class NamespacesDialog(Picker[str]):
    """Dismissed with a name. What is typed filters, and names a new one."""

    def __init__(self, current: str) -> None:
        placeholder = "A name, or a new one"
        super().__init__("Look into which?", memories.NAMESPACES, placeholder, "go there")
        self._current = current
        self._known: tuple[recall.NamespaceInfo, ...] | None = None
        self._trouble = ""

    def rows(self, text: str) -> list[Row]:
        if self._known is None:
            return []
        words, now = text.lower().strip(), self.control_center.clock()
        found = [s for s in self._known if words in s.name.lower()]
        rows = [memories.namespace_row(s, self._current, now) for s in found]
        names = {s.name for s in self._known}
        if not words and self._current not in names:
            nothing = "nothing is remembered yet"
            rows.insert(0, memories.begun(self._current, self._current, nothing))
        if words and text.strip() not in names:
            rows.append(memories.begun(text.strip(), self._current, "begin a new one"))
        return rows

    def nothing(self, _text: str) -> Piece:
        if self._trouble:
            return Piece(f"✗ {self._trouble}", "bad")
        return muted("reading …")

    def on_mount(self) -> None:
        restart(self, "list", self._list)

    async def _list(self) -> None:
        try:
            found = await self.control_center.engine.ask(recall.NAMESPACES, Empty())
        except ArcanumError as error:
            self._trouble = f"{error.message} {error.hint}".strip()
        else:
            self._known = found.namespaces
        self._show(self._input.value)
        if not self._input.value:
            self._lines.follow(self._current)

    def pick(self, row: Row) -> None:
        try:
            self.close(_NAME.validate_python(row.key))
        except ValidationError:
            self.show_keys("That is no name: visible characters, no /, not beginning with -.")


def no_name(text: str) -> str:
    """What is wrong with a name that was typed; "" if nothing is."""
    try:
        _NAME.validate_python(text.strip())
    except ValidationError:
        return "That is no name: visible characters, no /, not beginning with -."
    return ""
