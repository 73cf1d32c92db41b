"""The archive files of this home: read, checked, and taken away when nothing names them.

A row names a file only once it is whole on the disk, and a file goes only once no row names it:
whatever moment the engine dies at, no memory is lost, and ``settle`` removes what is left over.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from engine.contract.base import visible
from engine.contract.memories import ArchiveFile
from engine.ground import Ground
from engine.recall import archived
from engine.recall.archived import Damaged, Written
from engine.recall.book import fetch, numbers
from engine.store import Transaction

_log = logging.getLogger("arcanum.recall")
_HELD = 4
"""Files whose texts are kept in memory."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Replacement:
    """What a file is to become: ``fresh`` None where nothing is left in it."""

    archive_id: int
    name: str
    fresh: Written | None


class Vault:
    """Whoever makes or removes files holds ``changing`` from its first look to its last act."""

    def __init__(self, ground: Ground) -> None:
        self._state = ground.state
        self.folder = ground.home.data / "archives"
        self._held: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._loading = asyncio.Lock()
        self.changing = asyncio.Lock()
        self.damaged: dict[str, str] = {}
        """Files that could not be read when that was last tried, and what is the matter: ``is
        missing``, or ``is damaged: …``."""

    async def settle(self) -> None:
        """Removes what a crash left over: drafts, and files that no row names.

        A file is left over only where this database knows each of its memories. Where it does not,
        another database was put in the place of the one that the file belongs to: it stays.
        """
        rows = await self._state.read("SELECT name FROM archive")
        named = frozenset(row["name"] for row in rows)
        drafts, names = await _reading(archived.leftovers, self.folder, named)
        for path in drafts:
            await _reading(path.unlink, True)
        for name in names:
            path = self.folder / name
            uids = await _reading(archived.uids_without_digest, path)
            if uids is None or await self._known(uids):
                await self.remove([name])
            else:
                _log.warning("%s holds memories that are not in this database; it stays", path)

    async def _known(self, uids: Sequence[str]) -> bool:
        for uid in uids:
            if not await fetch(
                self._state,
                "SELECT 1 FROM memory WHERE uid = ?1 UNION SELECT 1 FROM forgotten WHERE uid = ?1",
                bytes.fromhex(uid),
            ):
                return False
        return True

    # --- reading --------------------------------------------------------------------------------

    async def texts(self, ids: Iterable[int]) -> dict[int, str]:
        """The texts of those that are archived. One whose file is damaged or gone has none."""
        return (await self.read(ids))[0]

    async def read(self, ids: Iterable[int]) -> tuple[dict[int, str], dict[int, str]]:
        """The texts of those that are archived; and of the others why theirs cannot be read, and
        what to do."""
        wanted: dict[tuple[str, bytes], list[tuple[int, str]]] = {}
        for row in await fetch(
            self._state,
            "SELECT memory.id, memory.uid, archive.name, archive.digest FROM memory"
            " JOIN archive ON archive.id = memory.archive_id WHERE memory.state = 'archived'"
            " AND memory.id IN (SELECT value FROM json_each(?))",
            numbers(ids),
        ):
            wanted.setdefault((row["name"], row["digest"]), []).append(
                (row["id"], row["uid"].hex())
            )
        found: dict[int, str] = {}
        unread: dict[int, str] = {}
        for (name, digest), members in wanted.items():
            try:
                held = await self.load(name, digest)
            except Damaged:
                held, problem = {}, self.problem(name)
            else:
                problem = f"{self.folder / name} does not hold it"
            found |= {number: held[uid] for number, uid in members if uid in held}
            told = visible(f"Its text cannot be read: {problem}. Put a copy of that file back.")
            unread |= {number: told for number, uid in members if uid not in held}
        return found, unread

    def problem(self, name: str) -> str:
        """What is the matter with a file, in words."""
        return f"the archive {self.folder / name} {self.damaged.get(name, 'cannot be read')}"

    async def load(self, name: str, digest: bytes) -> dict[str, str]:
        """The texts of one file by uid. Raises Damaged."""
        async with self._loading:
            if name not in self._held:
                with self._noting(name):
                    self._held[name] = await _reading(_texts, self.folder / name, digest)
                if len(self._held) > _HELD:
                    self._held.popitem(last=False)
            self._held.move_to_end(name)
            return self._held[name]

    async def lines(self, name: str, digest: bytes) -> list[bytes]:
        """The lines of one file, from the disk. Raises Damaged."""
        with self._noting(name):
            return await _reading(archived.read_lines, self.folder / name, digest)

    @contextmanager
    def _noting(self, name: str) -> Iterator[None]:
        """Remembers, and logs once, that a file is damaged."""
        try:
            yield
        except Damaged as error:
            told = "is missing" if error.missing else f"is damaged: {error.problem}"
            if self.damaged.get(name) != told:
                _log.warning("archive %s %s", name, told)
            self.damaged[name] = told
            self._held.pop(name, None)
            raise

    async def verify(self) -> tuple[ArchiveFile, ...]:
        """Each file, read and checked."""
        found = []
        for row in await self._state.read(
            "SELECT archive.*, (SELECT count(*) FROM memory WHERE archive_id = archive.id"
            " AND state = 'archived') AS live FROM archive ORDER BY name"
        ):
            try:
                lines = await self.lines(row["name"], row["digest"])
                whole = len(lines) == row["memories"]
                found.append(told(row, row["live"], "ok" if whole else "damaged"))
            except Damaged as error:
                state = "missing" if error.missing else "damaged"
                found.append(told(row, row["live"], state))
        return tuple(found)

    # --- changing -------------------------------------------------------------------------------

    async def write(self, lines: Sequence[bytes]) -> Written:
        """A new file, whole on the disk, that no row names yet. Raises OSError or Damaged."""
        return await _reading(archived.write_archive, self.folder, lines)

    async def remove(self, names: Iterable[str]) -> list[str]:
        """Removes files that no row names any more; what is in the way, in words."""
        problems = []
        for name in names:
            self._held.pop(name, None)
            try:
                await _reading(archived.remove, self.folder, name)
            except OSError as error:
                _log.warning("archive %s could not be removed: %s", name, error)
                problems.append(
                    f"{self.folder / name} could not be removed:"
                    f" {visible(error.strerror or str(error))}"
                )
        return problems

    async def without(
        self, uids: Collection[str], ids: Iterable[int]
    ) -> tuple[list[Replacement], list[str]]:
        """Writes every file that holds some of ``uids`` anew, without them; what is in the way.

        Files are looked through, not only those that the memories are in now: one that was restored
        still stands in the file that it came from, while others are only there. Raises OSError.
        """
        found, problems = [], []
        wanted = frozenset(uids)
        try:
            for row in await fetch(
                self._state,
                "SELECT archive.*, EXISTS (SELECT 1 FROM memory WHERE archive_id = archive.id"
                " AND id NOT IN (SELECT value FROM json_each(?))) AS used FROM archive ORDER BY id",
                numbers(ids),
            ):
                path = self.folder / row["name"]
                try:
                    with self._noting(row["name"]):
                        rest = await _reading(_rest, path, row["digest"], wanted)
                except Damaged as error:
                    if row["used"]:
                        if not error.missing:
                            problems.append(
                                f"{path} cannot be looked through: {error.problem}. Put a copy of"
                                " that file back: then it is taken out of it by itself"
                            )
                        continue
                    rest = []
                if rest is not None:
                    fresh = await self.write(rest) if rest else None
                    found.append(Replacement(row["id"], row["name"], fresh))
        except BaseException:
            await self.remove([each.fresh.name for each in found if each.fresh is not None])
            raise
        return found, problems


async def switch(tx: Transaction, replacements: Iterable[Replacement]) -> None:
    """The rows name the new files from now on; the memories that are gone were deleted before."""
    for each in replacements:
        if each.fresh is None:
            await drop_unused(tx, each.archive_id)
            continue
        await tx.execute(
            "UPDATE archive SET name = ?, memories = ?, bytes = ?, digest = ? WHERE id = ?",
            (
                each.fresh.name,
                each.fresh.memories,
                each.fresh.size,
                each.fresh.digest,
                each.archive_id,
            ),
        )


async def drop_unused(tx: Transaction, archive_id: int) -> bool:
    """Forgets the file where no memory is in it any more; True where it may be removed."""
    gone = await tx.execute(
        "DELETE FROM archive WHERE id = ?1"
        " AND NOT EXISTS (SELECT 1 FROM memory WHERE archive_id = ?1)",
        (archive_id,),
    )
    return bool(gone)


def told(row: Any, live: int, state: Any) -> ArchiveFile:
    """A file as it is shown. ``live``: how many memories are only there."""
    return ArchiveFile(
        name=row["name"],
        at=row["created_at"],
        memories=row["memories"],
        live=live,
        bytes=row["bytes"],
        state=state,
    )


def _texts(path: Path, digest: bytes) -> dict[str, str]:
    found = {}
    for line in archived.read_lines(path, digest):
        try:
            found[archived.uid_of(line)] = str(json.loads(line)["text"])
        except (ValueError, KeyError, TypeError) as error:
            raise Damaged("a line is no memory") from error
    return found


def _rest(path: Path, digest: bytes, uids: frozenset[str]) -> list[bytes] | None:
    """The lines of a file without those of ``uids``; None where none of them is in it."""
    lines = archived.read_lines(path, digest)
    rest = [line for line in lines if archived.uid_of(line) not in uids]
    return None if len(rest) == len(lines) else rest


async def _reading(work: Callable[..., T], *values: Any) -> T:
    """Disks may hang: never on the event loop."""
    return await asyncio.to_thread(work, *values)


async def unbroken(work: Coroutine[Any, Any, T]) -> T:
    """Whoever is cancelled leaves only once ``work`` has ended: a file and its row go together."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
