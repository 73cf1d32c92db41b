"""Libraries come and go, and lie in one another: who is told of it, and what becomes of the files.

A library that is added takes over what the one around it knows of its files; one that is removed
leaves them to the one around it, and what none covers is forgotten.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Iterator, Mapping, Sequence
from typing import Any

from engine.contract.base import PathRef
from engine.contract.errors import ArcanumError, Refused
from engine.media.catalogue import Files, Stored
from engine.media.handover import Handover
from engine.media.indexer import Indexer
from engine.media.looking import Workers
from engine.media.nesting import Nesting
from engine.media.process import Lost
from engine.media.root import Root
from engine.media.watch import Watchers
from engine.worker.frames import to_bytes, to_text

_log = logging.getLogger(__name__)
_PATIENCE_S = 2.0

Folder = tuple[bytes, Root]
"""A folder's path without links, and which one it is."""


class Places:
    """``indexers``: those of the libraries that there are, by name."""

    def __init__(
        self,
        nesting: Nesting,
        handover: Handover,
        files: Files,
        *,
        workers: Workers,
        watchers: Watchers,
        indexers: Mapping[str, Indexer],
    ) -> None:
        self._nesting, self._handover, self._files = nesting, handover, files
        self._workers, self._watchers, self._indexers = workers, watchers, indexers
        self._leaving: dict[int, asyncio.Task[None]] = {}
        self._coming: set[asyncio.Task[None]] = set()

    async def start(self, stored: Sequence[Stored]) -> None:
        """These libraries there are. What was begun with others goes on."""
        strangers = await self._files.adopt(stored)
        for library in stored:
            if library.id not in strangers:
                self._nesting.add(library.id, library.root)
        for id_, root in strangers.items():
            self.leave(Stored(id_, PathRef.of(root).display, root))

    async def stop(self) -> None:
        """What is not done yet is done at the next start."""
        tasks = [*self._leaving.values(), *self._coming]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def busy(self) -> bool:
        """Whether files still change hands, or are forgotten."""
        return bool(self._leaving or self._coming)

    # --- coming ---------------------------------------------------------------------------------

    async def resolve(self, path: bytes) -> Folder:
        """What is at a path. A worker asks the disk: one that hangs must not hang us. Raises
        Refused."""
        try:
            async with self._workers.lend() as process:
                async for frame in process.answers({"do": "probe", "path": to_text(path)}):
                    if frame["k"] == "done":
                        return to_bytes(frame["path"]), Root(*frame["root"])
        except Lost as lost:
            raise Refused(
                f"{PathRef.of(path).display} cannot be a library: {lost.message}.",
                "Name a folder that exists and that you can read.",
            ) from lost
        raise AssertionError("answers end with done")

    async def refuse_twin(self, folder: Folder) -> None:
        """Raises Refused where a library's root is the same folder, mounted somewhere else too."""
        root, identity = folder
        for indexer in tuple(self._indexers.values()):
            known = indexer.shelf.stored
            numbers = indexer.shelf.numbers.root
            if known.root == root or numbers is None or numbers[:2] != identity[:2]:
                continue
            try:
                there = await self.resolve(known.root)
            except Refused:  # It is away, and its numbers are another disk's by now.
                continue
            if there == (known.root, identity):
                raise Refused(
                    f"{PathRef.of(root).display} is a library already: {known.name}, under another"
                    f" path ({PathRef.of(known.root).display}).",
                    f"arcanum media scan {known.name} reads it again.",
                )

    async def make_room(self, library: Stored, root: Root | None) -> None:
        """In the catalogue, where its id may still be another's. From then on what lies below its
        root is that library's, and of none around it. ``root``: which folder that is, if known."""
        if (old := self._leaving.get(library.id)) is not None:
            await asyncio.wait({old})
        await self._files.adopt([library])
        if root is not None and (await self._files.numbers(library.id)).root is None:
            await self._files.put_root(library.id, None, root)
        self._nesting.add(library.id, library.root)
        outer = self._nesting.around(library.id)
        if outer is not None:
            await self._watchers.renest(outer, again=False)
            if any(indexer.busy for indexer in self._of(outer)):
                self.look_at(outer, None)  # That look did not know.

    async def take_over(self, library: Stored) -> None:
        """What others know of its files becomes its own. Where that takes longer than a moment, it
        goes on in the background."""
        task = asyncio.create_task(self._quietly(library, self._handover.settle(library)))
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)
        await asyncio.wait({task}, timeout=_PATIENCE_S)

    # --- going ----------------------------------------------------------------------------------

    def leave(self, library: Stored, first: Awaitable[None] | None = None) -> None:
        """Hands over and forgets, in the background; ``first`` is waited for."""
        self._nesting.leave(library.id, library.root)

        async def work() -> None:
            if first is not None:
                await first
            await self._handover.leave(library.id)
            await self._files.purge(library.id)
            outer = self._nesting.around(library.id)
            self._nesting.drop(library.id)
            if outer is not None and not await self._watchers.renest(outer, again=True):
                self.look_at(outer, None)

        async def whole() -> None:
            try:
                await self._quietly(library, work())
            finally:
                del self._leaving[library.id]

        self._leaving[library.id] = asyncio.create_task(whole(), name="media:leave")

    @staticmethod
    async def _quietly(library: Stored, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ArcanumError as error:  # It goes on with the next look, or at the next start.
            _log.warning("files of %s: %s", library.name, error.message)

    # --- telling --------------------------------------------------------------------------------

    def _of(self, library: int) -> list[Indexer]:
        return [one for one in self._indexers.values() if one.shelf.stored.id == library]

    def look_at(self, library: int, paths: Sequence[bytes] | None) -> None:
        """There something may have changed; None: anywhere."""
        for indexer in self._of(library):
            indexer.hint(paths)

    def owners(self, library: int, paths: Sequence[bytes]) -> Iterator[tuple[Indexer, list[bytes]]]:
        """Whose these paths of a library are, and what they are called there."""
        places: dict[int, list[bytes]] = {}
        for path in paths:
            owner, place = self._nesting.owner(library, path)
            places.setdefault(owner, []).append(place)
        for owner, own in places.items():
            for indexer in self._of(owner):
                yield indexer, own
