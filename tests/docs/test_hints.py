"""What the engine tells people to type is what the command line takes."""

from __future__ import annotations

import argparse
import ast
import re
from importlib import import_module
from itertools import takewhile
from pathlib import Path

import pytest

from arcanum_tui.cli.main import GROUPS

ENGINE = Path(__file__).parents[2] / "engine"
FILLED_IN = "7"
"""Stands for what is only known when it is told: a name or a number."""


class Texts(ast.NodeVisitor):
    """Every text of a module."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.found.append(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        parts = (p.value if isinstance(p, ast.Constant) else FILLED_IN for p in node.values)
        self.found.append("".join(map(str, parts)))


def texts(folder: Path) -> list[str]:
    visitor = Texts()
    for path in folder.rglob("*.py"):
        visitor.visit(ast.parse(path.read_text("utf-8")))
    return visitor.found


def commands() -> list[str]:
    """A command's words, and what looks like its arguments: a sentence may go on after them."""
    found = set()
    for text in texts(ENGINE):
        for said in re.findall(r"\barcanum ([a-z].*)", text):
            words = [word.strip(".,;:`()") for word in said.split()]
            named = list(takewhile(str.islower, words[:2]))
            rest = words[len(named) :]
            given = takewhile(lambda w: w.startswith("--") or re.fullmatch("[A-Z0-9:]+", w), rest)
            found.add(" ".join([*named, *given]))
    return sorted(found)


@pytest.mark.parametrize("line", commands())
def test_every_command_that_the_engine_names_is_one(line: str) -> None:
    group, *rest = line.split()
    assert group in GROUPS
    found = import_module(f"arcanum_tui.cli.{group}").GROUP
    command = found.find(rest[0]) if rest else None
    # Of a group with a command of its own the second word goes on with the sentence.
    command, rest = (command, rest[1:]) if command else (found.find(found.default or ""), [])
    assert command is not None
    assert isinstance(command.parser(group).parse_args(rest), argparse.Namespace)


def test_every_option_that_the_memories_name_is_one_of_theirs() -> None:
    commands = import_module("arcanum_tui.cli.memory").GROUP.commands
    known = {option for c in commands for option in c.parser("memory")._option_string_actions}
    option = re.compile(r"(?<!\S)--[a-z][a-z-]+")
    named = {o for text in texts(ENGINE / "recall") for o in option.findall(text)}
    assert named
    assert named <= known
