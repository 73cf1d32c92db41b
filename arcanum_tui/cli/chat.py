"""``arcanum chat``: ask Agent-0. With no text: a conversation, or the question from a pipe."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from arcanum_tui.cli.command import Command, Group, Invocation, waits
from arcanum_tui.cli.terminal import OutputClosed, Terminal
from arcanum_tui.state.text import plural
from engine.contract import agent0
from engine.contract.agent0 import AnswerFinished, AnswerItem, AnswerPiece, AnswerStarted, Ask
from engine.contract.base import visible
from engine.contract.client import EngineClient
from engine.contract.errors import EXIT_OK, ArcanumError, Cancelled, Invalid, NeedsApproval
from engine.contract.memory import MAX_QUESTION

if TYPE_CHECKING:
    from arcanum_tui.cli.arguments import Parser

_PROMPT = "> "
_CHUNK = 64 * 1024


def add_text(parser: Parser) -> None:
    parser.add_argument(
        "text",
        nargs="*",
        metavar="TEXT",
        help="the question; without one it is read from a pipe, or a conversation opens",
    )


async def chat(run: Invocation) -> int:
    words = run.options.text
    if not words and sys.stdin is not None and sys.stdin.isatty():
        return await _converse(run)
    request = run.request(text=" ".join(words) if words else await _piped())
    async with run.client() as client:
        try:
            await _answer(run, client, request)
        except NeedsApproval as needed:
            return await waits(run, client, needed.approval_id)
        except asyncio.CancelledError:
            raise _stopped(run) from None
    return EXIT_OK


async def _answer(run: Invocation, client: EngineClient, request: Ask) -> None:
    """Prints the answer as it comes. However this ends, what came is durable."""
    async with client.stream(agent0.ASK, request) as items:
        async for item in items:
            if run.terminal.json:
                run.terminal.result(item, line=True)
            else:
                _show(item, run.terminal)


def _show(item: AnswerItem, terminal: Terminal) -> None:
    match item:
        case AnswerStarted():
            if item.simulated:
                terminal.note("SIMULATED: a scripted answer, no model", "warn")
            if item.recalled:
                terminal.note(f"recalled {plural(len(item.recalled), 'earlier turn')}")
        case AnswerPiece():
            terminal.write(visible(item.text, keep="\n\t"))
        case AnswerFinished():
            terminal.line()
            if item.finish == "length":
                terminal.note(f"cut at {plural(item.tokens, 'token')}: --max-tokens asks for more")


def _stopped(run: Invocation) -> Cancelled:
    return Cancelled(f"The answer was stopped by {run.interrupts.reason}.", "What came is saved.")


# --- a conversation ---------------------------------------------------------------------------


async def _converse(run: Invocation) -> int:
    """A line is a question. Ctrl-C stops an answer; Ctrl-D, or Ctrl-C at the prompt, leaves."""
    session = run.request(text="?").session  # A wrong option is told before anything starts.
    async with run.client() as client:
        run.terminal.note(f"session {session} · Ctrl-C stops an answer, Ctrl-D leaves")
        while (text := await _ask(run)) is not None:
            if text:
                await _exchange(run, client, text)
    return EXIT_OK


async def _exchange(run: Invocation, client: EngineClient, text: str) -> None:
    """One question of a conversation: what goes wrong with it does not end the conversation."""
    try:
        await _answer(run, client, run.request(text=text))
    except asyncio.CancelledError:
        if run.interrupts.reason != "Ctrl-C":
            raise
        run.terminal.fail(_stopped(run))
        run.interrupts.forgive()
    except NeedsApproval as needed:
        await waits(run, client, needed.approval_id)
    except OutputClosed:
        raise
    except ArcanumError as error:
        run.terminal.fail(error)


async def _ask(run: Invocation) -> str | None:
    """The next line that the person types; None at the end."""
    run.terminal.prompt(_PROMPT)
    try:
        line = await _read(sys.stdin.fileno())
    except asyncio.CancelledError:
        if run.interrupts.reason != "Ctrl-C":
            raise
        run.interrupts.forgive()
        line = b""
    if not line:
        run.terminal.prompt("\n")
        return None
    return line.decode(errors="replace").strip()


async def _read(descriptor: int) -> bytes:
    """What comes next: a whole line from a terminal, which edits it; b"" at the end.

    Unlike a thread that waits in ``input()``, this can be cancelled.
    """
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(descriptor, ready.set)
    except PermissionError:  # A regular file, which is always ready.
        return os.read(descriptor, _CHUNK)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
    return os.read(descriptor, _CHUNK)


async def _piped() -> str:
    """The question from a pipe or a file. Raises Invalid where there is none."""
    data = bytearray()
    while sys.stdin is not None and len(data) <= 4 * MAX_QUESTION:
        if not (chunk := await _read(sys.stdin.fileno())):
            break
        data += chunk
    text = data.decode(errors="replace").strip()
    if not text:
        raise Invalid("There is no question.", 'Try: arcanum chat "What can you do?"')
    return text


GROUP = Group(
    "chat",
    (
        Command(
            "",
            agent0.ASK,
            run=chat,
            skip=("text",),
            add=add_text,
            examples=(
                "arcanum chat",
                'arcanum chat --session a "My bike is turquoise."',
                "arcanum chat < question.txt",
            ),
        ),
    ),
)
