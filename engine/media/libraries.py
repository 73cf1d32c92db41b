"""The folders that the user named: settings, in the state database."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from engine.contract.base import PathRef, now, visible
from engine.contract.errors import Refused
from engine.contract.media import LibraryAdded, LibraryRemoved
from engine.media.catalogue import Stored
from engine.store import Database, Transaction


class Libraries:
    def __init__(self, database: Database, machine: str) -> None:
        self._db, self._machine = database, machine

    async def every(self) -> list[Stored]:
        rows = await self._db.read("SELECT id, name, root FROM library ORDER BY name")
        return [Stored(row["id"], row["name"], row["root"]) for row in rows]

    async def add(self, name: str, root: bytes, own: Sequence[bytes]) -> Stored:
        """Adds one. ``own``: the folders that Arcanum lives in. Raises Refused."""

        async def work(tx: Transaction) -> Stored:
            rows = await tx.fetch("SELECT id, name, root FROM library")
            refuse(name, root, [Stored(row["id"], row["name"], row["root"]) for row in rows], own)
            id_ = await tx.insert(
                "INSERT INTO library (name, root, added_at) VALUES (?, ?, ?)",
                (name, root, now().isoformat()),
            )
            await tx.emit(LibraryAdded(library=name, machine=self._machine))
            return Stored(id_, name, root)

        return await self._db.write(work)

    async def remove(self, library: Stored) -> None:
        async def work(tx: Transaction) -> None:
            await tx.execute("DELETE FROM library WHERE id = ?", (library.id,))
            await tx.emit(LibraryRemoved(library=library.name, machine=self._machine))

        await self._db.write(work)


def refuse(name: str, root: bytes, known: Sequence[Stored], own: Sequence[bytes]) -> None:
    """Raises Refused where this folder, or this name, cannot be a library."""
    where = PathRef.of(root).display
    if root == b"/":
        raise Refused("/ cannot be a library.", "Name the folder that holds the media.")
    for folder in own:
        if _within(root, folder) or _within(folder, root):
            raise Refused(
                f"{where} holds, or is in, Arcanum's own data ({PathRef.of(folder).display}).",
                "Name another folder, or move Arcanum's data with ARCANUM_HOME.",
            )
    for library in known:
        if library.root == root:
            raise Refused(
                f"{where} is a library already: {library.name}.",
                f"arcanum media scan {library.name} reads it again.",
            )
        if library.name == name:
            theirs = PathRef.of(library.root).display
            raise Refused(
                f"There is a library {name} already ({theirs}).", "Give another name: --name."
            )


def _within(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def name_from(root: bytes) -> str:
    """A valid name made from the folder's own."""
    text = visible(os.fsdecode(root.rpartition(b"/")[2]))
    return re.sub(r"^[\s-]+", "", text)[:64].strip() or "library"
