"""Which model answers: those that can be used here, and what becomes of the choice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from arcanum_tui.modals.picker import Picker
from arcanum_tui.state.frame import MODEL_STATES, UNKNOWN_STATE
from arcanum_tui.state.grid import Column, Piece, Row, muted
from arcanum_tui.state.pace import seconds
from arcanum_tui.state.text import clean, size
from arcanum_tui.work import restart
from engine.contract import model
from engine.contract.base import Empty
from engine.contract.errors import ArcanumError

if TYPE_CHECKING:
    from textual.timer import Timer

    from engine.contract.model import ModelLine

COLUMNS = (
    Column(),
    Column(most=34, grow=True, least=16),
    Column(most=12),
    Column(right=True, rank=1),
    Column(rank=0),
    Column(most=40, rank=2),
)


def row(line: ModelLine) -> Row:
    """A model as a line of the list."""
    word, tone = MODEL_STATES.get(line.state, UNKNOWN_STATE)
    simulated = line.origin == "scripted"
    what = line.description if not line.endpoint else f"{line.origin} · {line.endpoint}"
    return Row(
        (
            Piece("▸" if line.in_use else " ", "key"),
            Piece(line.name, "strong" if line.in_use else "plain"),
            muted(line.backend),
            muted(size(line.size) if line.size else ""),
            Piece("SCRIPTED – no model", "warn") if simulated else Piece(word, tone),
            muted(what),
        ),
        line.name,
    )


class ModelsDialog(Picker[str]):
    """Dismissed with the name of the model that is in use and loaded now. What goes wrong is said
    here, and another one can be chosen."""

    def __init__(self) -> None:
        super().__init__("Which model?", COLUMNS, "Type a name", "use it")
        self._models: tuple[ModelLine, ...] | None = None
        self._said = Static(id="box-text")
        self._ticking: Timer | None = None

    def body(self) -> Iterable[Widget]:
        yield from super().body()
        yield self._said

    def rows(self, text: str) -> list[Row]:
        words = text.lower().split()
        return [
            row(line)
            for line in self._models or ()
            if all(w in f"{line.name} {line.backend} {line.description}".lower() for w in words)
        ]

    def nothing(self, text: str) -> Piece:
        return super().nothing(text) if self._models is not None else muted("looking for models …")

    def on_mount(self) -> None:
        self._said.display = False
        restart(self, "list", self._list)

    async def _list(self) -> None:
        try:
            found = await self.control_center.engine.ask(model.LIST, Empty())
        except ArcanumError as error:
            self._models = ()
            self._say(error)
            return
        self._models = found.models
        used = next((line.name for line in found.models if line.in_use), "")
        self._show(self._input.value)
        if not self._input.value:
            self._lines.follow(used)

    def _say(self, error: ArcanumError) -> None:
        self._said.display = True
        text = f"✗ {error.title}: {error.message} {error.hint}".strip()
        self._said.update(Content(clean(text)))

    def pick(self, row: Row) -> None:
        restart(self, "use", self._use, row.key)

    async def _use(self, name: str) -> None:
        """Uses the model and loads it; counts the seconds meanwhile."""
        center = self.control_center
        since = center.stopwatch()

        def tick() -> None:
            self.show_keys(f"● loading {name} … {center.stopwatch() - since:.1f} s")

        self._said.display = False
        tick()
        ticking = self.set_interval(0.1, tick)
        try:
            await center.engine.ask(model.USE, model.UseModel(name=name))
            info = await center.engine.ask(model.LOAD, model.AnyModel(name=name))
        except ArcanumError as error:
            self.show_keys()
            self._say(error)
            await self._list()
        else:
            took = f", loaded in {seconds(info.load_s)}" if info.load_s else ""
            center.tell(f"{info.model} answers from now on{took}.", "Model")
            self.close(name)
        finally:
            ticking.stop()
