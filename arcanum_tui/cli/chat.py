"""``arcanum chat``: ask Agent-0. With no text: a conversation, or the question from a pipe."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from arcanum_tui.cli import attach
from arcanum_tui.cli.command import Command, Group, Invocation, waits
from arcanum_tui.state.memories import recalled
from arcanum_tui.state.text import number, plural
from engine.contract import agent0
from engine.contract.agent0 import AnswerFinished, AnswerItem, AnswerPiece, AnswerStarted, Ask
from engine.contract.base import visible
from engine.contract.client import EngineClient, Pending
from engine.contract.errors import EXIT_OK, Cancelled, Invalid, NeedsApproval
from engine.contract.memory import MAX_QUESTION

if TYPE_CHECKING:
    from arcanum_tui.cli.arguments import Parser
    from arcanum_tui.cli.terminal import Terminal

_CHUNK = 64 * 1024
_NOT_WITH_SCHEMA = ("session", "after", "temperature", "attach", "asset")


def add_text(parser: Parser) -> None:
    parser.add_argument(
        "--attach",
        action="append",
        default=[],
        metavar="FILE",
        help="a text file to read with the question; may be given again",
    )
    parser.add_argument(
        "--asset",
        action="append",
        default=[],
        metavar="LIBRARY:PATH",
        help="a catalogued file to read with the question; may be given again",
    )
    parser.add_argument(
        "--schema",
        default="",
        metavar="FILE",
        help="answer with JSON that fits the JSON schema in this file",
    )
    parser.add_argument(
        "text",
        nargs="*",
        metavar="TEXT",
        help="the question; without one it is read from a pipe, or a conversation opens",
    )


async def chat(run: Invocation) -> int:
    words = run.options.text
    if run.options.schema:
        return await _structure(run)
    if not words and sys.stdin is not None and sys.stdin.isatty():
        from arcanum_tui.cli.converse import converse

        return await converse(run)
    request = run.request(
        text=await _given(run),
        attachments=attach.attachments(run.options.attach, run.options.asset),
    )
    async with run.client() as client:
        try:
            await answer(run, client, request)
        except NeedsApproval as needed:
            return await waits(run, client, needed.approval_id)
        except asyncio.CancelledError:
            raise stopped(run) from None
    return EXIT_OK


def _ignore(_item: AnswerStarted) -> None:
    """Nobody wants to know."""


async def answer(
    run: Invocation,
    client: EngineClient,
    request: Ask,
    begun: Callable[[AnswerStarted], None] = _ignore,
) -> None:
    """Prints the answer as it comes. However this ends, what came is durable."""
    async with client.stream(agent0.ASK, request) as items:
        async for item in items:
            if isinstance(item, AnswerStarted):
                begun(item)
            if run.terminal.json:
                run.terminal.result(item, line=True)
            else:
                _show(item, request, run.terminal)


def _show(item: AnswerItem, request: Ask, terminal: Terminal) -> None:
    match item:
        case AnswerStarted():
            if item.simulated:
                terminal.note("SIMULATED: a scripted answer, no model", "warn")
            if item.lacking:
                terminal.note(f"! {item.lacking}", "warn")
            if item.recalled:
                show = f"arcanum memory show {item.recalled[0].id}"
                terminal.note(f"{recalled(item.recalled)} · to open one: {show}")
        case AnswerPiece():
            terminal.write(visible(item.text, keep="\n\t"))
        case AnswerFinished():
            terminal.line()
            if item.finish == "length":
                terminal.note(f"cut at {plural(item.tokens, 'token')}: {_bound(item, request)}")
            if sys.stderr is not None and sys.stderr.isatty():
                terminal.note(speed(item))


def _bound(item: AnswerFinished, request: Ask) -> str:
    """Which of the limits of an answer ended it."""
    if request.max_tokens is not None and item.tokens >= request.max_tokens:
        return "--max-tokens asks for more"
    if item.context and item.prompt_tokens + item.tokens >= item.context:
        return "the model's context is full, model.context in config.toml is its size"
    return "model.max_new_tokens in config.toml allows more"


def speed(item: AnswerFinished) -> str:
    """``42 tokens · 81 tok/s · first after 0.12 s · context 512 of 4,096, 480 kept``."""
    parts = [plural(item.tokens, "token")]
    if item.first_token_s is not None:
        if item.tokens > 1 and item.seconds > item.first_token_s:
            parts.append(f"{item.tokens / (item.seconds - item.first_token_s):.0f} tok/s")
        parts.append(f"first after {item.first_token_s:.2f} s")
    if item.context:
        used = number(item.prompt_tokens + item.tokens)
        kept = f", {number(item.cached_tokens)} kept" if item.cached_tokens else ""
        parts.append(f"context {used} of {number(item.context)}{kept}")
    return " · ".join(parts)


def stopped(run: Invocation) -> Cancelled:
    return Cancelled(f"The answer was stopped by {run.interrupts.reason}.", "What came is saved.")


async def _structure(run: Invocation) -> int:
    """An answer as JSON: the value alone, or, with ``--json``, all that is known of it."""
    given = vars(run.options)
    if unfit := [name for name in _NOT_WITH_SCHEMA if given.get(name)]:
        raise Invalid(
            f"--schema cannot be combined with --{unfit[0]}.",
            "It asks a question of its own, in no conversation.",
        )
    request = agent0.Structure(
        text=run.request(text=await _given(run)).text,
        json_schema=attach.schema(run.options.schema),
        max_tokens=given.get("max_tokens"),
    )
    async with run.client() as client:
        found = await client.call(agent0.STRUCTURE, request)
        if isinstance(found, Pending):
            return await waits(run, client, found.approval_id)
        run.terminal.result(found.result if run.terminal.json else found.result.value)
    return EXIT_OK


# --- reading what a person says -------------------------------------------------------------------


async def read(descriptor: int) -> bytes:
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


async def _given(run: Invocation) -> str:
    """The question from the command line, else from a pipe or a file. Raises Invalid."""
    words = run.options.text
    return " ".join(words) if words else await _piped()


async def _piped() -> str:
    data = bytearray()
    there = sys.stdin is not None and not sys.stdin.isatty()
    while there and len(data) <= 4 * MAX_QUESTION:
        if not (chunk := await read(sys.stdin.fileno())):
            break
        data += chunk
    text = data.decode(errors="surrogateescape").strip()
    if len(data) > 4 * MAX_QUESTION or len(text) > MAX_QUESTION:
        raise Invalid(
            f"The question is longer than {MAX_QUESTION:,} characters: nothing was asked.",
            "Ask something shorter, and attach the rest: arcanum chat --attach FILE TEXT",
        )
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
            skip=("text", "attachments"),
            also=(agent0.STRUCTURE,),
            add=add_text,
            examples=(
                "arcanum chat",
                'arcanum chat --session a "My bike is turquoise."',
                "arcanum chat < question.txt",
                'arcanum chat --attach notes.txt "When is the meeting?"',
                'arcanum chat --schema colours.json "Which colours has a rainbow?"',
            ),
        ),
    ),
)
