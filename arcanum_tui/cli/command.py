"""What a command is, and how most of them run: one call, one result."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from arcanum_tui.cli.arguments import Parser, parser_for, request_of
from arcanum_tui.cli.interrupt import Interrupts
from engine.contract.base import Wire
from engine.contract.client import Done, EngineClient, Pending
from engine.contract.errors import EXIT_OK, NeedsApproval

if TYPE_CHECKING:
    from arcanum_tui.cli.terminal import Terminal
    from engine.contract.operation import Operation

Res = TypeVar("Res", bound=Wire)


class Attach(Protocol):
    """How a command reaches the engine (``arcanum_tui.wiring.connect``)."""

    def __call__(self, *, host: str, start_all: bool = False) -> Awaitable[EngineClient]: ...


@dataclass(slots=True)
class Invocation:
    """One command as it was typed."""

    command: Command
    options: argparse.Namespace
    terminal: Terminal
    attach: Attach
    interrupts: Interrupts = field(default_factory=Interrupts)

    @property
    def operation(self) -> Operation[Any, Any]:
        if self.command.operation is None:
            raise ValueError(f"{self.command.word} is not made from an operation")
        return self.command.operation

    def request(self, **more: Any) -> Any:
        """The operation's request, checked. Raises Invalid."""
        return request_of(self.operation.request, self.options, **more)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[EngineClient]:
        """The engine: the one that runs, or one in this process for as long as it is needed."""
        client = await self.attach(host="command")
        try:
            yield client
        finally:
            await client.close()

    def tell(self, result: Any) -> int:
        """Shows the result; returns the exit code that it stands for."""
        if self.terminal.json:
            self.terminal.result(result)
        elif self.command.show:
            self.command.show(result, self.terminal)
        return self.command.verdict(result)


def value(answer: Done[Res] | Pending) -> Res:
    """The result of an operation that never waits for an answer: it is not of high risk."""
    if isinstance(answer, Pending):
        raise TypeError(f"approval {answer.approval_id} stands before an operation that needs none")
    return answer.result


async def call(run: Invocation) -> int:
    """Calls the operation once and tells its result, or what now waits for an answer."""
    request = run.request()
    async with run.client() as client:
        answer = await client.call(run.operation, request)
        if isinstance(answer, Pending):
            return await waits(run, client, answer.approval_id)
        return run.tell(answer.result)


async def waits(run: Invocation, client: EngineClient, approval_id: int) -> int:
    """Nothing was touched: says what waits, and how to answer."""
    if run.terminal.json:
        run.terminal.result({"pending": {"approval_id": approval_id}})
        return EXIT_OK
    from arcanum_tui.cli.approvals import show_approval
    from engine.contract import approvals

    found = await client.call(approvals.SHOW, approvals.ApprovalId(id=approval_id))
    show_approval(value(found), run.terminal)
    return EXIT_OK


async def items(run: Invocation) -> int:
    """Opens the stream and tells each item as it comes: with ``--json`` one object a line."""
    request = run.request()
    async with run.client() as client:
        try:
            async with client.stream(run.operation, request) as stream:
                async for item in stream:
                    if run.terminal.json:
                        run.terminal.result(item, line=True)
                    elif run.command.show:
                        run.command.show(item, run.terminal)
        except NeedsApproval as needed:
            return await waits(run, client, needed.approval_id)
    return EXIT_OK


def _fine(_result: Any) -> int:
    return EXIT_OK


def _nothing(_parser: Parser) -> None:
    """No flags beyond those of the operation."""


@dataclass(frozen=True, slots=True)
class Command:
    """One word of a group. What is not made from ``operation`` is written here by hand.

    ``skip``: request fields that ``add`` makes in another form. ``also``: what a flag of it calls
    instead. ``verdict``: the exit code that a result stands for.
    """

    word: str
    operation: Operation[Any, Any] | None
    show: Callable[[Any, Terminal], None] | None = None
    run: Callable[[Invocation], Awaitable[int]] = call
    verdict: Callable[[Any], int] = _fine
    summary: str = ""
    examples: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    also: tuple[Operation[Any, Any], ...] = ()
    add: Callable[[Parser], None] = _nothing

    def about(self) -> str:
        return self.summary or (self.operation.summary if self.operation else "")

    def parser(self, group: str) -> Parser:
        name = f"{group} {self.word}".rstrip()
        parser = parser_for(name, self.about(), self.operation, self.examples, skip=self.skip)
        self.add(parser)
        return parser


@dataclass(frozen=True, slots=True)
class Group:
    """The commands under one word. ``default``: the one that is meant where none is named.

    A group whose only command has an empty word is that command.
    """

    name: str
    commands: tuple[Command, ...]
    default: str | None = None

    def find(self, word: str) -> Command | None:
        return next((c for c in self.commands if c.word == word), None)
