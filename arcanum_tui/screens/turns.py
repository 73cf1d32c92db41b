"""What can be done with the turn that is selected: ask again, edit, copy, go to another branch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from arcanum_tui.screens.base import View
from arcanum_tui.state.chat import Exchange, attachments_of
from arcanum_tui.state.markdown import codes
from arcanum_tui.state.text import number, plural
from arcanum_tui.widgets.prompt import Prompt
from arcanum_tui.widgets.transcript import Transcript
from arcanum_tui.work import restart
from engine.contract.errors import ArcanumError

if TYPE_CHECKING:
    from arcanum_tui.conversation import Conversation
    from engine.contract.agent0 import Attachment

BUSY = "An answer is being written: Esc stops it first."


class Turns(View):
    """The part of Agent-0's screen that acts on turns. ``editing``: the question that the line
    holds another wording of; ``attached``: what goes along with the next question."""

    def __init__(self) -> None:
        super().__init__()
        self.editing: Exchange | None = None
        self.attached: tuple[Attachment, ...] = ()

    @property
    def transcript(self) -> Transcript:
        return self.query_one("#transcript", Transcript)

    @property
    def prompt(self) -> Prompt:
        return self.query_one("#prompt", Prompt)

    @property
    def conversation(self) -> Conversation:
        return self.control_center.conversation

    def show_chat(self) -> None:
        """The conversation, or what goes along with the next question, moved on."""
        raise NotImplementedError

    def _here(self) -> tuple[int, Exchange] | None:
        """The turn that keys act on: the selected one, or the last while a question is written."""
        exchanges = self.conversation.chat.exchanges
        index = self.transcript.selected if self.transcript.has_focus else len(exchanges) - 1
        if 0 <= index < len(exchanges):
            return index, exchanges[index]
        self.control_center.tell("Nothing was said yet.")
        return None

    def _at_rest(self) -> bool:
        """Whether no answer is written; says so where one is."""
        if self.conversation.busy:
            self.control_center.tell(BUSY)
        return not self.conversation.busy

    def on_prompt_turns(self) -> None:
        self.set_focus(self.transcript)

    # --- asking otherwise -----------------------------------------------------------------------

    def action_retry(self) -> None:
        here = self._here()
        if here is None or not self._at_rest():
            return
        self.conversation.again(here[0])
        self._to_the_end()

    def _to_the_end(self) -> None:
        self.transcript.scroll_end(animate=False)
        self.transcript.selected = len(self.conversation.chat.exchanges) - 1

    def action_edit(self) -> None:
        here = self._here()
        if here is None or not self._at_rest():
            return
        self.editing = here[1]
        self.attached = attachments_of(here[1])
        self.prompt.put(here[1].question)
        self.set_focus(self.prompt)
        self.show_chat()

    def leave_edit(self) -> bool:
        """The line is for a new question again. False where it was so before."""
        if self.editing is None:
            return False
        self.editing, self.attached = None, ()
        self.prompt.clear()
        self.show_chat()
        return True

    # --- branches -------------------------------------------------------------------------------

    def action_branch_before(self) -> None:
        self._branch(-1)

    def action_branch_after(self) -> None:
        self._branch(1)

    def _branch(self, step: int) -> None:
        here = self._here()
        if here is None or not self._at_rest():
            return
        siblings: Sequence[int] = here[1].siblings
        goal = here[1].place[0] - 1 + step
        if not siblings:
            self.control_center.tell(
                "There is one answer here: Ctrl+R asks again, e asks otherwise."
            )
        elif 0 <= goal < len(siblings):
            restart(self, "branch", self._switch, siblings[goal])

    async def _switch(self, turn_id: int) -> None:
        try:
            await self.conversation.switch(turn_id)
        except ArcanumError as error:
            self.control_center.tell_error(error)

    # --- what was recalled ----------------------------------------------------------------------

    def action_memories(self) -> None:
        here = self._here()
        if here is None:
            return
        if here[1].recalled:
            from arcanum_tui.modals.memory import RecalledDialog

            space = self.conversation.chat.session
            self.app.push_screen(RecalledDialog(here[1].recalled, space), self._led)
        elif here[1].lacking:
            self.control_center.tell(f"{here[1].lacking[0].upper()}{here[1].lacking[1:]}")
        elif here[1].recalled is None:
            self.control_center.tell("What was recalled for it is not known here.")
        else:
            self.control_center.tell("Nothing was recalled for this answer.")

    def _led(self, conversation: str | None) -> None:
        """A memory led to a conversation."""
        if conversation is not None:
            self.leave_edit()
            self.control_center.converse(conversation)
            self.show_chat()

    # --- copying --------------------------------------------------------------------------------

    def action_copy_answer(self) -> None:
        here = self._here()
        if here is not None and here[1].answer:
            self._copy(here[1].answer, "The answer")
        elif here is not None:
            self.control_center.tell("There is no answer to copy.")

    def action_copy_code(self) -> None:
        here = self._here()
        if here is None:
            return
        found = codes(here[1].answer)
        if len(found) == 1:
            self._copy(found[0].text, "The code")
        elif found:
            from arcanum_tui.modals.codes import CodesDialog

            self.app.push_screen(CodesDialog(found), self._copy_chosen)
        else:
            self.control_center.tell("There is no block of code in this answer.")

    def _copy_chosen(self, text: str | None) -> None:
        if text is not None:
            self._copy(text, "The code")

    def _copy(self, text: str, what: str) -> None:
        self.app.copy_to_clipboard(text)
        lines = plural(text.count("\n") + 1, "line")
        self.control_center.tell(f"{what} is copied: {lines}, {number(len(text))} characters.")
