"""Memories as people look at them: page by page, one with what stood around it, and in numbers."""

from __future__ import annotations

import base64
import json
from typing import Any

from engine.contract import recall
from engine.contract.base import Empty
from engine.contract.call import Call
from engine.contract.errors import ArcanumError, Invalid
from engine.contract.memories import Folder, Memory, Stats
from engine.ground import Ground
from engine.recall import book
from engine.recall.indexer import Index
from engine.recall.vault import Vault

_AROUND = 3


class Showing:
    """The operations that read."""

    def __init__(self, ground: Ground, vault: Vault) -> None:
        self._state = ground.state
        self._vault = vault

    async def page(self, request: recall.ListMemories, _call: Call) -> recall.MemoryPage:
        conditions: list[str] = []
        values: list[Any] = []
        if request.namespace is None:
            conditions.append(book.NOT_DELETED)
        else:
            conditions.append("memory.namespace_id = ?")
            values.append(await book.known(self._state, request.namespace))
        if request.kind is not None:
            conditions.append("memory.kind = ?")
            values.append(request.kind)
        if request.state is not None:
            conditions.append("memory.state = ?")
            values.append(request.state)
        if request.pinned:
            conditions.append("memory.pinned")
        where = " AND ".join(conditions)
        counted = await self._state.read(
            "SELECT kind, state, sum(memories) AS memories FROM memory_count AS memory"  # noqa: S608
            f" WHERE {where} GROUP BY kind, state",
            values,
        )
        if request.before is not None:
            where += " AND (memory.at, memory.id) < (?, ?)"
            values += _position(request.before)
        rows = await self._first(
            [(row["kind"], row["state"]) for row in counted], where, values, request.limit + 1
        )
        shown = rows[: request.limit]
        return recall.MemoryPage(
            memories=tuple(await self._all(shown)),
            total=sum(row["memories"] for row in counted),
            next=_cursor(shown[-1]) if len(rows) > len(shown) else None,
        )

    async def _first(
        self, groups: list[tuple[str, str]], where: str, values: list[Any], most: int
    ) -> list[Any]:
        """The newest of these kinds and states. Each has an index of its own to begin with."""
        each = (
            f"SELECT * FROM (SELECT memory.id, memory.at FROM memory WHERE {where}"  # noqa: S608 - ours
            " AND memory.kind = ? AND memory.state = ?"
            " ORDER BY memory.at DESC, memory.id DESC LIMIT ?)"
        )
        if not groups:
            return []
        found = f"SELECT id FROM ({' UNION ALL '.join([each] * len(groups))})"  # noqa: S608 - ours
        return await self._state.read(
            f"{book.MEMORY} WHERE memory.id IN ({found} ORDER BY at DESC, id DESC LIMIT ?)"
            " ORDER BY memory.at DESC, memory.id DESC",
            [*(value for group in groups for value in (*values, *group, most)), most],
        )

    async def one(self, request: recall.OneMemory, _call: Call) -> recall.Shown:
        row = await book.row_of(self._state, request.id)
        around = await (self._passages(row) if row["document_id"] else self._beside(row))
        found = await self._all(around)
        shown = next(one for one in found if one.id == row["id"])
        return recall.Shown(memory=shown, around=tuple(found))

    async def _beside(self, row: Any) -> list[Any]:
        """What came right before and after it, from the same source."""
        sides = [
            await self._state.read(
                f"{book.MEMORY} WHERE memory.namespace_id = ? AND memory.source = ?"
                f" AND memory.state IN ('live', 'archived') AND memory.id {side} ?"
                f" ORDER BY memory.id {order} LIMIT ?",
                (row["namespace_id"], row["source"], row["id"], _AROUND),
            )
            for side, order in (("<", "DESC"), (">", "ASC"))
        ]
        return [*reversed(sides[0]), row, *sides[1]]

    async def _passages(self, row: Any) -> list[Any]:
        """The passages of its file beside it; their order stands in their refs."""
        every = await self._state.read(
            f"{book.MEMORY} WHERE memory.document_id = ?"
            " ORDER BY CAST(substr(memory.ref, instr(memory.ref, ':') + 1) AS INTEGER)",
            (row["document_id"],),
        )
        place = next(n for n, one in enumerate(every) if one["id"] == row["id"])
        return every[max(0, place - _AROUND) : place + _AROUND + 1]

    async def whole(self, row: Any) -> Memory:
        return (await self._all([row]))[0]

    async def _all(self, rows: list[Any]) -> list[Memory]:
        away = [row["id"] for row in rows if row["state"] == "archived"]
        texts, unread = await self._vault.read(away)
        told = await book.replaced(self._state, [row["id"] for row in rows])
        return [
            book.memory(
                row,
                told.get(row["id"], ()),
                row["text"] or texts.get(row["id"], ""),
                unread.get(row["id"], ""),
            )
            for row in rows
        ]

    async def namespaces(self, _request: Empty, _call: Call) -> recall.Namespaces:
        rows = await self._state.read(
            "SELECT namespace.name, namespace.session_id,"
            " coalesce(sum(counted.memories), 0) AS memories,"
            " coalesce(sum(counted.memories) FILTER (WHERE counted.pinned), 0) AS pinned,"
            " max((SELECT max(memory.at) FROM memory WHERE memory.namespace_id = namespace.id"
            " AND memory.kind = counted.kind AND memory.state = counted.state)) AS last"
            " FROM namespace LEFT JOIN memory_count AS counted"
            " ON counted.namespace_id = namespace.id"
            " LEFT JOIN session ON session.id = namespace.session_id"
            " WHERE session.deleted_at IS NULL GROUP BY namespace.id"
            " ORDER BY last DESC, namespace.name"
        )
        return recall.Namespaces(
            namespaces=tuple(
                recall.NamespaceInfo(
                    name=row["name"],
                    memories=row["memories"],
                    pinned=row["pinned"],
                    last_at=row["last"],
                    conversation=row["session_id"] is not None,
                )
                for row in rows
            )
        )

    async def stats(self, index: Index, folders: tuple[Folder, ...] = ()) -> Stats:
        """Counts of the truth, and how the index stands to it."""
        counted = await self._state.read(
            "SELECT coalesce(sum(memories), 0) AS memories,"
            " coalesce(sum(memories) FILTER (WHERE pinned), 0) AS pinned,"
            " coalesce(sum(memories) FILTER (WHERE state = 'live'), 0) AS live,"
            " coalesce(sum(memories) FILTER (WHERE state = 'merged'), 0) AS merged,"
            " coalesce(sum(memories) FILTER (WHERE state = 'replaced'), 0) AS replaced,"
            " coalesce(sum(memories) FILTER (WHERE state = 'archived'), 0) AS archived,"
            " (SELECT count(*) FROM forgotten) AS forgotten,"
            " (SELECT count(*) FROM namespace) AS namespaces FROM memory_count"
        )
        told = dict(counted[0]) | {
            "archive_files": await self._vault.verify(),
            "folders": folders,
        }
        try:
            found = await index.ask("stats", 60)
        except ArcanumError as error:
            return Stats(**told, waiting=0, to_embed=0, index="failed", note=error.message)
        index.waiting, index.to_embed = found["behind"], found["to_embed"]
        return Stats(
            **told,
            waiting=found["behind"],
            to_embed=found["to_embed"],
            index=index.state,
            note=index.why,
            embedding=found["model"],
            dimensions=found["dimensions"],
            vectors=found["vectors"],
            index_bytes=found["bytes"],
            resident_bytes=found["rss"] or found["resident"],
        )


def _cursor(row: Any) -> str:
    """Where a page ends: the next one begins behind it."""
    return base64.urlsafe_b64encode(json.dumps([row["at"], row["id"]]).encode()).decode("ascii")


def _position(cursor: str) -> tuple[str, int]:
    """Raises Invalid."""
    try:
        at, number = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
        return str(at), min(int(number), 2**62)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Invalid(
            "'before' is not the 'next' of a page.", "Start at the first page."
        ) from error
