"""Folders that are remembered and kept in step: which, how they are, one more, one less."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from arcanum_tui.actions import bindings
from arcanum_tui.modals.ask import AskDialog
from arcanum_tui.modals.base import Dialog
from arcanum_tui.modals.folders import FolderSuggester
from arcanum_tui.modals.namespaces import no_name
from arcanum_tui.state import memories
from arcanum_tui.state.grid import Piece, muted
from arcanum_tui.state.text import plural
from arcanum_tui.widgets.lines import Lines
from arcanum_tui.work import restart, start
from engine.contract import recall
from engine.contract.base import Empty, PathRef
from engine.contract.client import Pending
from engine.contract.errors import ArcanumError
from engine.contract.memories import Folder, Forget

AGAIN_S = 1.0
"""While memories change, the folders are read again this often."""


class WatchedDialog(Dialog[None]):
    """``namespace`` is offered for what a new folder holds."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("watched")]

    def __init__(self, namespace: str) -> None:
        super().__init__(
            "Folders that are remembered",
            ("n", "watch one"),
            ("x", "no longer"),
            ("f", "forget what went"),
        )
        self._namespace = namespace
        self._folders: tuple[Folder, ...] = ()
        self._read_at = 0
        self._lines = Lines(id="box-lines", columns=memories.FOLDERS, title="FOLDERS")

    def body(self) -> Iterable[Widget]:
        yield self._lines

    def on_mount(self) -> None:
        self._lines.show((), empty=muted("reading …"))
        start(self, "folders", self._read)
        self.set_interval(AGAIN_S, self._look)

    def _look(self) -> None:
        """Reads again where memories changed: a folder that was read is one."""
        if self.control_center.state.remembered != self._read_at:
            restart(self, "look", self._read)

    async def _read(self) -> None:
        self._read_at = self.control_center.state.remembered
        try:
            found = await self.control_center.engine.ask(recall.STATS, Empty())
        except ArcanumError as error:
            self._lines.show((), empty=_told(error))
        else:
            self._show(found.folders)

    def _show(self, folders: tuple[Folder, ...]) -> None:
        self._folders = folders
        note = [muted(plural(len(folders), "folder"))] if folders else []
        empty = muted("No folder yet. n remembers one: its Markdown, text and PDF files.")
        rows = [row for folder in folders for row in memories.folder_rows(folder)]
        self._lines.show(rows, note=note, empty=empty)

    # --- deeds ----------------------------------------------------------------------------------

    def action_watch(self) -> None:
        self.app.push_screen(
            AskDialog(
                "Remember a folder",
                "Which folder? → completes a name. Its files are read, never changed.",
                value=os.path.expanduser("~/"),  # noqa: PTH111 - a string with its slash
                check=_not_absolute,
                suggester=FolderSuggester(),
            ),
            self._where,
        )

    def _where(self, path: str | None) -> None:
        if path is not None:
            ask = AskDialog(
                "Into which namespace?",
                "What the folder holds is found there, and nowhere else.",
                value=self._namespace,
                limit=64,
                check=no_name,
            )
            self.app.push_screen(ask, partial(self._watch, path))

    def _watch(self, path: str, namespace: str | None) -> None:
        if namespace is not None:
            start(self, "folders", self._watched, path, namespace.strip())

    async def _watched(self, text: str, namespace: str) -> None:
        path = os.path.expanduser(text.strip())  # noqa: PTH111, ASYNC240 - no disk is touched
        path = path.rstrip("/") or "/"
        request = recall.WatchFolder(path=PathRef.of(path), namespace=namespace)
        try:
            await self.control_center.engine.ask(recall.WATCH, request)
        except ArcanumError as error:
            self._say(error)
        else:
            await self._read()

    def action_unwatch(self) -> None:
        row = self._lines.current
        key = row.key.partition(" ")[0] if row else ""
        folder = next((f for f in self._folders if f.path.raw == key), None)
        if folder is None:
            self.show_keys("There is no folder yet: n remembers one.")
        elif self.answers():
            start(self, "folders", self._unwatched, folder)

    async def _unwatched(self, folder: Folder) -> None:
        request = recall.UnwatchFolder(path=folder.path)
        try:
            left = await self.control_center.engine.ask(recall.UNWATCH, request)
        except ArcanumError as error:
            self._say(error)
        else:
            self._show(left.folders)
            self.show_keys("It is found no more. f erases it from the copies in backups, too.")

    def action_forget_gone(self) -> None:
        if self.answers():
            start(self, "folders", self._forget_gone)

    async def _forget_gone(self) -> None:
        center = self.control_center
        try:
            done = await center.engine.call(recall.FORGET, Forget(gone=True))
        except ArcanumError as error:
            self._say(error)
            return
        if isinstance(done, Pending):
            self.close(None)
            title = f"▲ #{done.approval_id} forget what files no longer say waits for you"
            center.tell("Nothing is touched yet: read the card, and answer it.", title)
            center.go_to("approvals", str(done.approval_id))

    def _say(self, error: ArcanumError) -> None:
        self.show_keys(f"✗ {error.message} {error.hint}".strip())


def _told(error: ArcanumError) -> Piece:
    return Piece(f"✗ {error.title}: {error.message} {error.hint}".strip(), "bad")


def _not_absolute(text: str) -> str:
    return "" if text.strip().startswith(("/", "~")) else "Give the whole path, from / or ~."
