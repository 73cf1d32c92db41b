"""What inventories found, and how far transfers came, in SQLite. Raises StoreFailed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.remotes.target import Target
from engine.remotes.walking import Object
from engine.store import Database, Transaction

_BATCH = 1000
_PURGE = 5000
_STEP = 500
_COLUMNS = "path, size, mtime_ns, hash"


@dataclass(frozen=True, slots=True)
class Listed:
    """An inventory: of which folder, when (ns since 1970), and how much."""

    remote: str
    folder: str
    at: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Held:
    """A file that an inventory names. ``by``: what it was found by."""

    remote: str
    folder: str
    path: str
    by: str
    at: int


class Book:
    """The tables ``remote_inventory``, ``remote_file`` and ``remote_act`` of the catalogue."""

    def __init__(self, catalogue: Database) -> None:
        self._db = catalogue

    # --- inventories ----------------------------------------------------------------------------

    async def begin(self, target: Target, hash_kind: str) -> int:
        """A new inventory, which tells nothing until ``finish``."""

        async def work(tx: Transaction) -> int:
            return await tx.insert(
                "INSERT INTO remote_inventory (remote, folder, hash, at) VALUES (?, ?, ?, ?)",
                (target.remote, target.folder, hash_kind, time.time_ns()),
            )

        return await self._db.write(work)

    async def put(self, inventory: int, objects: Sequence[Object]) -> None:
        """Files of it. Where a remote has two of one name, the first is kept."""
        rows: list[tuple[Any, ...]] = []
        for each in objects:
            hash_ = None if each.hash is None else bytes.fromhex(each.hash)
            rows.append((inventory, each.path, each.size, each.mtime_ns, hash_))
            if len(rows) % _STEP == 0:
                await asyncio.sleep(0)

        async def work(tx: Transaction) -> None:
            await tx.executemany("INSERT OR IGNORE INTO remote_file VALUES (?, ?, ?, ?, ?)", rows)

        await self._db.write(work)

    async def finish(self, inventory: int, files: int, size: int) -> None:
        """It takes the place of the earlier ones of that folder."""

        async def work(tx: Transaction) -> list[int]:
            await tx.execute(
                "UPDATE remote_inventory SET whole = 1, files = ?, bytes = ? WHERE id = ?",
                (files, size, inventory),
            )
            older = await tx.fetch(
                "SELECT old.id FROM remote_inventory AS old, remote_inventory AS new"
                " WHERE new.id = ? AND old.id < new.id AND old.whole"
                " AND (old.remote, old.folder) = (new.remote, new.folder)",
                (inventory,),
            )
            for row in older:
                await tx.execute("UPDATE remote_inventory SET whole = 0 WHERE id = ?", (row["id"],))
            return [row["id"] for row in older]

        for old in await self._db.write(work):
            await self.drop(old)

    async def drop(self, inventory: int) -> None:
        """Forgets it, in steps, so that others may write in between."""

        async def some(tx: Transaction) -> int:
            return await tx.execute(
                "DELETE FROM remote_file WHERE inventory = ?1 AND path IN"
                " (SELECT path FROM remote_file WHERE inventory = ?1 LIMIT ?2)",
                (inventory, _PURGE),
            )

        async def last(tx: Transaction) -> None:
            await tx.execute("DELETE FROM remote_inventory WHERE id = ?", (inventory,))

        while await self._db.write(some):
            pass
        await self._db.write(last)

    async def drop_broken(self) -> None:
        """Those that were being taken when the engine ended."""
        for row in await self._db.read("SELECT id FROM remote_inventory WHERE NOT whole"):
            await self.drop(row["id"])

    async def listed(self) -> list[Listed]:
        rows = await self._db.read(
            "SELECT * FROM remote_inventory WHERE whole ORDER BY remote, folder"
        )
        return [
            Listed(row["remote"], row["folder"], row["at"], row["files"], row["bytes"])
            for row in rows
        ]

    async def by_path(self, inventory: int) -> AsyncIterator[Object]:
        """Its files, by path as its UTF-8 bytes."""
        after = ""
        while True:
            rows = await self._db.read(
                f"SELECT {_COLUMNS} FROM remote_file WHERE inventory = ? AND path > ?"  # noqa: S608
                " ORDER BY path LIMIT ?",
                (inventory, after, _BATCH),
            )
            for row in rows:
                yield _object(row)
            if len(rows) < _BATCH:
                return
            after = rows[-1]["path"]

    async def largest(self, inventory: int, count: int) -> list[Object]:
        rows = await self._db.read(
            f"SELECT {_COLUMNS} FROM remote_file WHERE inventory = ?"  # noqa: S608
            " ORDER BY size DESC, path LIMIT ?",
            (inventory, count),
        )
        return [_object(row) for row in rows]

    async def folders(self, inventory: int, count: int) -> list[tuple[str, int, int]]:
        """The folders directly in it: name, files, bytes. Files directly in it are under ""."""
        return [
            (row["name"], row["files"], row["bytes"])
            for row in await self._db.read(
                "SELECT substr(path, 1, max(0, instr(path, '/') - 1)) AS name, count(*) AS files,"
                " sum(max(size, 0)) AS bytes FROM remote_file WHERE inventory = ?"
                " GROUP BY name ORDER BY bytes DESC, name LIMIT ?",
                (inventory, count),
            )
        ]

    async def holders(
        self, hashes: Sequence[tuple[str, bytes]], size: int, name: str, count: int
    ) -> list[Held]:
        """Files with one of these hashes (kind, value), or else of that size and name."""
        found: list[Held] = []
        for kind, value in hashes:
            rows = await self._db.read(
                "SELECT i.remote, i.folder, f.path, i.at FROM remote_file AS f"
                " JOIN remote_inventory AS i ON i.id = f.inventory"
                " WHERE f.hash = ? AND i.hash = ? AND i.whole LIMIT ?",
                (value, kind, count),
            )
            found += [Held(row[0], row[1], row[2], kind, row[3]) for row in rows]
        known = [kind for kind, _ in hashes]
        rows = await self._db.read(
            "SELECT i.remote, i.folder, f.path, i.at, f.hash IS NOT NULL AS told, i.hash AS kind"
            " FROM remote_file AS f JOIN remote_inventory AS i ON i.id = f.inventory"
            " WHERE f.size = ?1 AND i.whole AND (f.path = ?2 OR f.path LIKE '%/' || ?3 ESCAPE '\\')"
            " LIMIT ?4",
            (size, name, _escaped(name), count),
        )
        # One with a hash that was compared is the same, or another file.
        found += [
            Held(row[0], row[1], row[2], "size", row[3])
            for row in rows
            if not (row["told"] and row["kind"] in known)
        ]
        return found[:count]

    # --- transfers ------------------------------------------------------------------------------

    async def act(self, approval: int, items: Sequence[tuple[int, str]]) -> None:
        """The states that these items of an approved plan have now."""
        rows = [(approval, item, state) for item, state in items]

        async def work(tx: Transaction) -> None:
            await tx.executemany("INSERT OR REPLACE INTO remote_act VALUES (?, ?, ?)", rows)

        await self._db.write(work)

    async def acts(self, approval: int) -> dict[int, str]:
        """How far it came: the state of every item that was begun."""
        rows = await self._db.read(
            "SELECT item, state FROM remote_act WHERE approval = ?", (approval,)
        )
        return {row["item"]: row["state"] for row in rows}

    async def forget_acts(self, approval: int) -> None:
        """Those of every other one: how they ended is recorded with their approvals."""

        async def work(tx: Transaction) -> None:
            await tx.execute("DELETE FROM remote_act WHERE approval <> ?", (approval,))

        await self._db.write(work)


def _object(row: Any) -> Object:
    return Object(
        row["path"],
        row["size"],
        row["mtime_ns"],
        None if row["hash"] is None else row["hash"].hex(),
    )


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
