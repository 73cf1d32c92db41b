from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from arcanum_tui.cli.main import GROUPS, run
from engine.contract.client import EngineClient
from engine.contract.errors import ConfigInvalid, Forbidden
from engine.contract.operation import every
from engine.home import Home
from tests.unit.cli.answers import Answers

COMMANDS = [
    (group, command)
    for group in GROUPS
    for command in import_module(f"arcanum_tui.cli.{group}").GROUP.commands
]


def test_help_names_every_group(arcanum: Callable[..., Any]) -> None:
    for way in (("--help",), ("-h",), ("help",)):
        ran = arcanum(*way)
        assert ran.code == 0
        assert all(f"\n  {name} " in ran.out for name in GROUPS)
        assert "exit codes" in ran.out


@pytest.mark.parametrize("group", GROUPS)
def test_help_of_a_group_names_its_commands(arcanum: Callable[..., Any], group: str) -> None:
    found = import_module(f"arcanum_tui.cli.{group}").GROUP
    ran = arcanum(group, "--help")
    assert ran.code == 0
    for command in found.commands:
        assert command.word in ran.out
        assert " ".join(command.about().split()) in " ".join(ran.out.split())


@pytest.mark.parametrize(
    ("group", "command"), COMMANDS, ids=lambda value: getattr(value, "word", value)
)
def test_help_of_a_command_is_complete(
    arcanum: Callable[..., Any], group: str, command: Any
) -> None:
    ran = arcanum(*filter(None, (group, command.word, "--help")))
    assert ran.code == 0
    assert ran.out.startswith(f"usage: arcanum {group} {command.word}".rstrip())
    assert "examples:" in ran.out
    for flag in ("--json", "--quiet"):
        assert flag in ran.out
    for example in command.examples:
        assert example in ran.out


def test_every_operation_is_a_command() -> None:
    bound = {command.operation.name for _, command in COMMANDS if command.operation}
    bound |= {operation.name for _, command in COMMANDS for operation in command.also}
    assert bound == {operation.name for operation in every()}


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["medai"], "no command 'medai'", "Did you mean: arcanum media?"),
        (["media", "lst"], "no command 'lst'", "Did you mean: arcanum media list?"),
        (["media"], "needs a command: add, remove", "--help"),
        (["zzz"], "no command 'zzz'", "arcanum --help"),
        (["-q", "status"], "stands before any command", "after the command"),
        (["media", "add"], "required: PATH", "arcanum media add --help"),
        (["monitor", "nwo"], "no command 'nwo'", "arcanum monitor now"),
        (["status", "\x1b[2J"], "\\x1b[2J", "--help"),
    ],
)
def test_wrong_usage_says_what_is_right(
    arcanum: Callable[..., Any], arguments: list[str], message: str, hint: str
) -> None:
    ran = arcanum(*arguments)
    assert ran.code == 64
    assert ran.out == ""
    assert message in ran.err
    assert hint in ran.err
    assert "Traceback" not in ran.err
    told = arcanum(*arguments, "--json")
    assert told.code == 64
    assert message in told.json["error"]["message"]
    assert hint in told.json["error"]["hint"]
    assert told.json["error"]["code"] == "invalid"


def test_an_error_of_the_engine_has_its_exit_code(arcanum: Callable[..., Any]) -> None:
    answers = Answers({"jobs.list": Forbidden("Not you.")})
    assert arcanum("jobs", "list", answers=answers).code == 3
    assert answers.closed == 1


def test_an_error_while_attaching_is_told(arcanum: Callable[..., Any], capsys: Any) -> None:
    async def broken(*, host: str, start_all: bool = False) -> EngineClient:
        raise ConfigInvalid("config.toml, line 3: model.contxt: there is no such key.")

    assert run(["status", "--json"], broken) == 64
    assert '"code": "config_invalid"' in capsys.readouterr().out


def test_a_defect_is_one_line_with_a_reference(arcanum: Callable[..., Any], home: Home) -> None:
    ran = arcanum("jobs", "list", answers=Answers({}))  # KeyError: nobody expects it
    assert ran.code == 3
    assert "Traceback" not in ran.err
    assert ran.err.startswith("A defect in Arcanum: KeyError")
    assert "Traceback" in home.log_file.read_text()
    assert arcanum("jobs", "list", "--json").json["error"]["code"] == "internal"


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")]
)
def test_a_signal_ends_in_order(
    capsys: pytest.CaptureFixture[str], number: signal.Signals, name: str
) -> None:
    client = Answers({})

    async def waits_for_ever(operation: Any, request: Any, call: Any = None) -> Any:
        os.kill(os.getpid(), number)
        await asyncio.Event().wait()

    client.call = waits_for_ever  # type: ignore[method-assign]
    assert run(["jobs", "list"], client.attach) == 3
    assert client.closed == 1
    assert capsys.readouterr().err == f"Cancelled: Stopped by {name}.\n"
    assert signal.getsignal(number) is not None


def test_version(arcanum: Callable[..., Any]) -> None:
    ran = arcanum("--version")
    assert ran.code == 0
    assert ran.out.startswith("arcanum ")


def test_no_command_imports_the_screen() -> None:
    modules = [f"arcanum_tui.cli.{group}" for group in GROUPS]
    code = (
        f"import sys, importlib; [importlib.import_module(m) for m in {modules}]\n"
        "import arcanum_tui.__main__, arcanum_tui.wiring\n"
        "print([m for m in sys.modules if m.partition('.')[0] in {'textual', 'httpx', 'psutil'}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
