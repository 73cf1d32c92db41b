"""One line of text, asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.events import Key, Paste
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input, Static
from textual.worker import Worker

from arcanum_tui.actions import bindings
from arcanum_tui.modals.base import Dialog
from arcanum_tui.state.text import clean
from arcanum_tui.work import start


class AskDialog(Dialog[str]):
    """Dismissed with the text. ``check`` says what is wrong with a text, "" if nothing is.

    ``act`` does what the text is for, and says why not where it is refused: then the window stays,
    with the text and the reason.
    """

    def __init__(
        self,
        title: str,
        text: str,
        *,
        value: str = "",
        placeholder: str = "",
        limit: int = 4096,
        check: Callable[[str], str] | None = None,
        act: Callable[[str], Awaitable[str]] | None = None,
        suggester: Suggester | None = None,
    ) -> None:
        super().__init__(title, ("Enter", "accept"))
        self._text, self._check, self._act = text, check, act
        self._acting: Worker[None] | None = None
        self._refusal = Static(id="box-refusal")
        self._input = Input(
            value, placeholder=placeholder, max_length=limit, suggester=suggester, id="box-input"
        )

    def body(self) -> Iterable[Widget]:
        yield Static(Content(self._text), id="box-text")
        yield self._input
        yield self._refusal

    def on_mount(self) -> None:
        # A cursor that blinks paints twice a second for nothing.
        self._input.cursor_blink = False
        self._refusal.display = False

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if self._acting is not None and not self._acting.is_finished:
            return
        wrong = self._check(event.value) if self._check else ""
        if wrong:
            self.show_keys(wrong)
        elif self.answers():
            self._accept(event.value)

    def _accept(self, text: str) -> None:
        if self._act is None:
            self.close(text)
        else:
            self._acting = start(self, "act", self._try, self._act, text)

    async def _try(self, act: Callable[[str], Awaitable[str]], text: str) -> None:
        self._refusal.display = False
        self.show_keys("…")
        refused = await act(text)
        if not refused:
            self.close(text)
            return
        self._refusal.update(Content(clean(refused)))
        self._refusal.display = True
        self.show_keys()


class CountInput(Input):
    """Digits, typed: a pasted count is no answer."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        return character is not None and character.isdigit()

    async def _on_key(self, event: Key) -> None:
        if event.is_printable and not (event.character or "").isdigit():
            event.prevent_default()

    def _on_paste(self, event: Paste) -> None:
        event.stop()
        event.prevent_default()


class CountDialog(Dialog[str]):
    """For what cannot be undone: the number of things is typed, then ``y``; Enter means nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("count")]

    def __init__(self, headline: str, count: int) -> None:
        super().__init__("This cannot be undone", (f"{count} then y", "do it"))
        self._text = f"{headline}.\nType how many it is ({count}), then y."
        self._count = count
        self._input = CountInput(type="integer", max_length=12, id="box-input")

    def body(self) -> Iterable[Widget]:
        yield Static(Content(self._text), id="box-text")
        yield self._input

    def on_mount(self) -> None:
        # A cursor that blinks paints twice a second for nothing.
        self._input.cursor_blink = False

    def action_sure(self) -> None:
        typed = self._input.value
        if not self.answers():
            self._input.value = ""
        elif typed != str(self._count):
            self.show_keys(f"{typed or 'Nothing'} is not {self._count}: type the count first.")
        else:
            self.close(typed)
