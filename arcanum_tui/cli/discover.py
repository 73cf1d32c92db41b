"""``arcanum discover``: what is already here that could be used."""

from __future__ import annotations

from arcanum_tui.cli.command import Command, Group
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.text import plural
from engine.contract import discovery
from engine.contract.discovery import Found


def show_found(found: Found, terminal: Terminal) -> None:
    for folder in found.folders:
        terminal.line(f"folder  {folder.path.display}  ({plural(folder.entries, 'name')})")
        terminal.note(f"        arcanum media add {folder.path.display} --name {folder.name}")
    for server in found.models:
        terminal.line(f"model   {server.name}  {server.description}")
        terminal.note(f"        arcanum model use {server.name}")
    if not found.folders and not found.models:
        terminal.line("Nothing found: arcanum media add PATH watches any folder.")


GROUP = Group(
    "discover",
    (
        Command("look", discovery.LOOK, show_found, examples=("arcanum discover",)),
        Command(
            "answer", discovery.ANSWER, show_found, examples=("arcanum discover answer skipped",)
        ),
    ),
    default="look",
)
