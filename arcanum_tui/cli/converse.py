"""``arcanum chat`` on a terminal: a conversation, question by question."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from arcanum_tui.cli import attach
from arcanum_tui.cli.chat import answer, stopped
from arcanum_tui.cli.command import Invocation, value, waits
from arcanum_tui.cli.entries import Entries
from arcanum_tui.cli.terminal import OutputClosed
from engine.contract import memory, model
from engine.contract.agent0 import TurnAttachment
from engine.contract.errors import (
    EXIT_OK,
    ArcanumError,
    Disconnected,
    Invalid,
    NeedsApproval,
    NotFound,
)

if TYPE_CHECKING:
    from engine.contract.agent0 import AnswerStarted, Attachment
    from engine.contract.client import EngineClient
    from engine.contract.memory import Turn

_FREELY = 0.8
"""How freely a question is answered again: the first answer was not wanted."""

HELP = """\
/retry                ask the last question again; the first answer stays on its own branch
/edit [TEXT]          ask TEXT instead of the last question, likewise
/attach [FILE]        read a text file with the next question; alone: what is attached
/asset LIBRARY:PATH   read a catalogued file with the next question
/detach               attach nothing to the next question after all
/model [NAME]         use another model; alone: which one answers
/sessions [NAME]      go on with another conversation; alone: which there are
/help                 this text
A line that ends with \\ goes on in the next one; so does everything between two lines of \"\"\".
Lines that are pasted at once are one question, which Enter sends.
Ctrl-C stops an answer. Ctrl-D leaves."""


async def converse(run: Invocation) -> int:
    """An entry is a question or a command. Ctrl-C stops an answer; Ctrl-D, or Ctrl-C at the prompt,
    leaves."""
    session = run.request(text="?").session  # A wrong option is told before anything starts.
    pending = attach.attachments(run.options.attach, run.options.asset)
    talk = Conversation(run, session, list(pending))
    run.terminal.note(f"session {session} · Ctrl-C stops an answer, Ctrl-D leaves, /help")
    while await _with_an_engine(run, talk):
        pass  # It went away: the next question is for another.
    return EXIT_OK


async def _with_an_engine(run: Invocation, talk: Conversation) -> bool:
    """Talks as long as the engine is there; False where the person has left."""
    async with run.client() as client:
        try:
            while await talk.goes_on(client):
                pass
        except Disconnected as error:
            if not talk.waiting:
                run.terminal.fail(error)
            return True
    return False


class Conversation:
    """``pending`` goes with the next question.

    ``waiting``: an entry that found no engine there, and was not sent anywhere.
    """

    _client: EngineClient

    def __init__(self, run: Invocation, session: str, pending: list[attach.Named]) -> None:
        self._run = run
        self.waiting = ""
        self._session = session
        self._pending = pending
        self._entries = Entries(run)
        self._after: int | None = getattr(run.options, "after", None)
        self._commands = {
            "retry": self._retry,
            "edit": self._edit,
            "attach": self._attach,
            "asset": self._asset,
            "detach": self._detach,
            "model": self._model,
            "sessions": self._sessions,
            "help": self._help,
        }

    async def goes_on(self, client: EngineClient) -> bool:
        """Takes one entry; False at the end. What goes wrong with one does not end the others.

        Raises Disconnected.
        """
        self._client = client
        again, self.waiting = self.waiting, ""
        try:
            if (text := again or await self._entries.next()) is None:
                return False
            await self._knock(text, again=bool(again))
            await self._take(text)
        except asyncio.CancelledError:
            if self._run.interrupts.reason != "Ctrl-C":
                raise
            self._run.terminal.fail(stopped(self._run))
            self._run.interrupts.forgive()
        except NeedsApproval as needed:
            await waits(self._run, self._client, needed.approval_id)
        except (OutputClosed, Disconnected):
            raise
        except ArcanumError as error:
            self._run.terminal.fail(error)
        return True

    async def _knock(self, text: str, *, again: bool) -> None:
        """An engine may end while nobody asks: whoever ran it has left. The entry waits then."""
        try:
            await self._client.snapshot(())
        except Disconnected:
            self.waiting = "" if again else text
            raise

    async def _take(self, text: str) -> None:
        word, _, rest = text.removeprefix("/").partition(" ")
        if not text.startswith("/") or "/" in word:  # A path begins a question.
            if text:
                await self._ask(text, self._after, tuple(self._pending))
        elif word not in self._commands:
            raise Invalid(f"There is no command /{word}.", "/help tells which there are.")
        elif "\n" in rest and word != "edit":
            raise Invalid(f"/{word} takes one line.", "Nothing was done: type it by itself.")
        else:
            await self._commands[word](rest.strip())

    async def _ask(
        self,
        text: str,
        after: int | None,
        attached: tuple[Attachment, ...],
        temperature: float | None = None,
    ) -> None:
        more = {} if temperature is None else {"temperature": temperature}
        request = self._run.request(
            text=text, session=self._session, after=after, attachments=attached, **more
        )

        def begun(_started: AnswerStarted) -> None:
            self._pending.clear()
            self._after = None

        await answer(self._run, self._client, request, begun)

    async def _last(self) -> Turn:
        request = memory.ShowTurns(session=self._session, limit=1)
        turns = value(await self._client.call(memory.TURNS, request)).turns
        if not turns:
            raise NotFound("Nothing was asked yet.", "Type a question.")
        return turns[-1]

    async def _retry(self, _rest: str) -> None:
        await self._instead(await self._last(), None)

    async def _edit(self, rest: str) -> None:
        last = await self._last()
        if not rest:
            self._run.terminal.note(f"instead of: {last.question}")
            rest = await self._entries.next() or ""
        if rest:
            await self._instead(last, rest)

    async def _instead(self, last: Turn, text: str | None) -> None:
        """Asks in the place of the last question, with what was attached to it."""
        attached = (TurnAttachment(turn_id=last.id),) if last.attached else ()
        given = getattr(self._run.options, "temperature", None)
        freely = _FREELY if text is None and given is None else None
        await self._ask(text or last.question, last.parent_id or 0, attached, freely)

    async def _attach(self, rest: str) -> None:
        if rest:
            self._pending.append(attach.text_file(rest))
        names = [one.name if one.kind == "text" else one.path.display for one in self._pending]
        self._run.terminal.note(f"attached: {', '.join(names) or 'nothing'}")

    async def _asset(self, rest: str) -> None:
        self._pending.append(attach.asset(rest))
        await self._attach("")

    async def _detach(self, _rest: str) -> None:
        self._pending.clear()
        await self._attach("")

    async def _model(self, rest: str) -> None:
        if rest:
            answered = await self._client.call(model.USE, model.UseModel(name=rest))
        else:
            answered = await self._client.call(model.INFO, model.AnyModel())
        info = value(answered)
        self._run.terminal.note(f"{info.name} ({info.model}) answers: {info.chosen_because}")

    async def _sessions(self, rest: str) -> None:
        if rest:
            self._session = self._run.request(text="?", session=rest).session
            self._after = None
            self._run.terminal.note(f"session {self._session}")
            return
        found = value(await self._client.call(memory.SESSIONS, memory.ListSessions(limit=20)))
        for one in found.sessions:
            self._run.terminal.note(f"{one.name}  {one.title}")

    async def _help(self, _rest: str) -> None:
        for line in HELP.splitlines():
            self._run.terminal.note(line)
