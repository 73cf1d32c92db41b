"""``arcanum model``: which model answers, and its state."""

from __future__ import annotations

from arcanum_tui.cli.command import Command, Group
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.grid import Column
from arcanum_tui.state.text import number, size
from engine.contract import model
from engine.contract.model import ModelInfo, ModelList


def show_info(found: ModelInfo, terminal: Terminal) -> None:
    if found.simulated:
        terminal.line("SIMULATED: scripted answers, no model", "warn")
    terminal.fields(
        (
            ("name", found.name),
            ("model", found.model),
            ("backend", found.backend),
            ("state", f"{found.state}{f': {found.reason}' if found.reason else ''}"),
            ("chosen", found.chosen_because),
            ("where", "this machine" if found.local else "NOT this machine: prompts leave it"),
            ("endpoint", found.endpoint),
            ("size", size(found.size) if found.size else ""),
            ("context", f"{number(found.context)} tokens" if found.context else ""),
            ("answers", f"at most {number(found.max_new_tokens)} tokens"),
            ("process", str(found.pid) if found.pid else ""),
        )
    )


def show_list(found: ModelList, terminal: Terminal) -> None:
    terminal.table(
        ("", "NAME", "BACKEND", "SIZE", "DESCRIPTION"),
        (Column(), Column(most=48), Column(), Column(right=True), Column(grow=True)),
        (
            (
                "●" if line.in_use else "",
                line.name,
                line.backend,
                size(line.size) if line.size else "",
                line.description,
            )
            for line in found.models
        ),
    )


GROUP = Group(
    "model",
    (
        Command("info", model.INFO, show_info, examples=("arcanum model info --json",)),
        Command("list", model.LIST, show_list, examples=("arcanum model list",)),
        Command("use", model.USE, show_info, examples=("arcanum model use scripted",)),
        Command("load", model.LOAD, show_info, examples=("arcanum model load",)),
        Command("unload", model.UNLOAD, show_info, examples=("arcanum model unload",)),
    ),
)
