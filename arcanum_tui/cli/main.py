"""The shell's way in: finds the command, runs it, and turns every end into an exit code."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from arcanum_tui.cli.command import Attach, Command, Group, Invocation
from arcanum_tui.cli.log import defect, install
from arcanum_tui.cli.terminal import OutputClosed, Terminal
from engine.contract.client import EngineClient
from engine.contract.errors import EXIT_OK, ArcanumError, Cancelled, Invalid

GROUPS = {
    "chat": "Ask Agent-0; without a text, a conversation",
    "model": "Which model answers, and its state",
    "memory": "The conversations, and all that is remembered",
    "media": "Libraries and their files",
    "remotes": "Where else the files are: list, compare, send",
    "quota": "Limits, plans, pruning, the trash, undo",
    "approvals": "What waits for your answer",
    "audit": "Who did what, and whether the log is whole",
    "jobs": "Long work: follow, pause, cancel",
    "status": "What needs you, what is broken, what is unknown",
    "report": "What there is, as a page with pictures, Markdown or JSON",
    "monitor": "This machine's gauges, the engine's metrics",
    "discover": "What is already here that could be used",
    "serve": "Run the engine without a screen",
    "config": "The configuration: where it is, what it says",
}
"""Every first word, with what it is about. The module beside this file has the same name."""

_EXIT_CODES = """\
exit codes: 0 ok · 1 no, or a warning · 2 degraded, or a check failed · 3 refused or failed ·
64 wrong usage"""


async def _attach(*, host: str, start_all: bool = False) -> EngineClient:
    from arcanum_tui.wiring import connect

    return await connect(host=host, start_all=start_all)


def run(arguments: Sequence[str], attach: Attach = _attach) -> int:
    """Runs one command line (without the program's name). Returns the exit code."""
    options = _before_text(arguments)
    terminal = Terminal(as_json="--json" in options, quiet={"-q", "--quiet"} & options != set())
    try:
        return _run(arguments, attach, terminal)
    except OutputClosed:
        _drop_output()
        return EXIT_OK
    except ArcanumError as error:
        return _tell(terminal, error)
    except KeyboardInterrupt:
        return _tell(terminal, Cancelled("Stopped by Ctrl-C."))
    except Exception as error:  # noqa: BLE001 - recorded with its traceback, told in one line
        return _tell(terminal, defect(error))


def _run(arguments: Sequence[str], attach: Attach, terminal: Terminal) -> int:
    word, *rest = arguments
    if word == "help":
        word, *rest = [*rest, "--help"]
    if word in {"-h", "--help"}:
        terminal.write(overview())
        return EXIT_OK
    if word == "--version":
        from importlib.metadata import version

        terminal.write(f"arcanum {version('arcanum')}\n")
        return EXIT_OK
    if word not in GROUPS:
        raise _unknown(word, GROUPS, "arcanum")
    group: Group = import_module(f"arcanum_tui.cli.{word}").GROUP
    command, given = _choose(group, rest)
    wants_help = {"-h", "--help"} & _before_text(given)
    if command is None or wants_help:
        terminal.write(command.parser(word).format_help() if command else group_help(group))
        return EXIT_OK
    invocation = Invocation(command, command.parser(word).parse_args(given), terminal, attach)
    return asyncio.run(_guarded(invocation))


async def _guarded(invocation: Invocation) -> int:
    """Runs the command; a signal ends it in order."""
    install()
    gc.freeze()  # What was loaded so far is here to stay; see __main__.
    gc.enable()
    with invocation.interrupts as interrupts:
        try:
            return await invocation.command.run(invocation)
        except asyncio.CancelledError:
            raise Cancelled(f"Stopped by {interrupts.reason or 'the engine'}.") from None


def _choose(group: Group, rest: Sequence[str]) -> tuple[Command | None, Sequence[str]]:
    """The command that is meant, and what is left; None: the group's help is asked for."""
    if len(group.commands) == 1 and not group.commands[0].word:
        return group.commands[0], rest
    word = rest[0] if rest else ""
    if found := group.find(word):
        return found, rest[1:]
    if word in {"-h", "--help"}:
        return None, rest
    words = [command.word for command in group.commands]
    if word and not word.startswith("-"):
        raise _unknown(word, words, f"arcanum {group.name}")
    if group.default is None:
        raise Invalid(
            f"arcanum {group.name} needs a command: {', '.join(words)}.",
            f"arcanum {group.name} --help tells what each does.",
        )
    return group.find(group.default), rest


def _unknown(word: str, known: Sequence[str] | dict[str, str], prefix: str) -> Invalid:
    from difflib import get_close_matches

    if word.startswith("-"):
        return Invalid(f"{word!r} stands before any command.", "Options go after the command.")
    near = get_close_matches(word, list(known), n=1, cutoff=0.5)
    hint = f"Did you mean: {prefix} {near[0]}?" if near else f"{prefix} --help lists the commands."
    return Invalid(f"{prefix} has no command {word!r}.", hint)


def overview() -> str:
    """The text of ``arcanum --help``."""
    return (
        "usage: arcanum [COMMAND ...]\n\n"
        "Without a command: opens the control center.\n\n"
        f"{_listed(GROUPS)}\n\n"
        "arcanum COMMAND --help tells more. Every command takes --json and -q.\n"
        f"{_EXIT_CODES}\n"
    )


def group_help(group: Group) -> str:
    """The text of ``arcanum GROUP --help``."""
    default = f" Without a command: {group.default}." if group.default else ""
    return (
        f"usage: arcanum {group.name} COMMAND ...\n\n{GROUPS[group.name]}.{default}\n\n"
        f"{_listed({command.word: command.about() for command in group.commands})}\n\n"
        f"arcanum {group.name} COMMAND --help tells more.\n"
    )


def _listed(entries: dict[str, str]) -> str:
    width = max(map(len, entries))
    return "\n".join(f"  {word.ljust(width)}  {about}" for word, about in entries.items())


def _before_text(arguments: Sequence[str]) -> set[str]:
    """What may be an option: all that stands before ``--``."""
    return set(arguments[: arguments.index("--")] if "--" in arguments else arguments)


def _tell(terminal: Terminal, error: ArcanumError) -> int:
    try:
        return terminal.fail(error)
    except ArcanumError:  # It cannot be written either.
        _drop_output()
        return Terminal().fail(error)


def _drop_output() -> None:
    """Nobody reads stdout any more: the interpreter must not fail over it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
