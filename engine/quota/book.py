"""The quota room's rows: limits, plans, and the journal of their files."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.contract.approvals import Undo
from engine.contract.base import now
from engine.contract.errors import NotFound, WorldMoved
from engine.contract.holding import Trashing
from engine.contract.quota import LimitSet, Planned, Pruned, Purged, Undone
from engine.quota.disk import Identity, Item
from engine.quota.moves import SETTLED_ABSENT, Place
from engine.store import Database, Transaction

OPEN, EXECUTING, DONE, PARTIAL = "open", "executing", "done", "partial"
UNDONE, PURGED, SUPERSEDED = "undone", "purged", "superseded"

_INTENTS = tuple(SETTLED_ABSENT)


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A plan without its items. Sizes in bytes."""

    number: int
    library: str
    machine: str
    digest: str
    state: str
    created_at: datetime
    root: bytes
    root_dev: int
    root_ino: int
    max_bytes: int
    used: int
    target: int
    moves: int
    shortfall: int
    frees_on_purge: int
    asked_until: datetime | None = None
    folder: str | None = None
    trashed_at: datetime | None = None
    approval: int | None = None

    @property
    def id(self) -> str:
        return f"p{self.number}"

    @property
    def undo(self) -> Undo:
        """How a person takes a prune of this plan back."""
        return Undo(operation="quota.undo", request={"plan_id": self.id})

    @property
    def asked(self) -> bool:
        """A person was asked for this plan, and may still answer."""
        return self.state == OPEN and self.asked_until is not None and self.asked_until > now()


@dataclass(frozen=True, slots=True)
class Tally:
    """Files and bytes, each hardlinked file once."""

    files: int = 0
    bytes: int = 0


def weigh(items: Iterable[Item]) -> int:
    """The bytes of ``items``, each hardlinked file once."""
    return sum({item.inode: item.identity.size for item in items}.values())


def frees_of(items: Iterable[Item]) -> dict[int, int]:
    """What deleting all of ``items`` would give back, told at the first name of each file.

    0 for a file that keeps a name elsewhere.
    """
    names: dict[tuple[int, int], list[Item]] = {}
    for item in items:
        names.setdefault(item.inode, []).append(item)
    return {
        group[0].n: group[0].identity.size
        for group in names.values()
        if len(group) >= group[0].identity.nlink
    }


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _plan(row: Any) -> PlanRow:
    values = {name: row[name] for name in PlanRow.__dataclass_fields__}
    for name in ("created_at", "asked_until", "trashed_at"):
        values[name] = _time(values[name])
    return PlanRow(**values)


def _items(rows: Iterable[Any]) -> list[Item]:
    return [
        Item(
            row["n"],
            row["path"],
            Identity(*(row[name] for name in Identity.__dataclass_fields__)),
            row["frees"],
            row["blake3"],
        )
        for row in rows
    ]


class Book:
    """What the room remembers. Every change is one durable transaction."""

    def __init__(self, state: Database, machine: str) -> None:
        self._state = state
        self._machine = machine

    # --- limits ---------------------------------------------------------------------------------

    async def limits(self) -> dict[str, int]:
        rows = await self._state.read("SELECT library, max_bytes FROM quota_limit")
        return {row["library"]: row["max_bytes"] for row in rows}

    async def set_limit(self, library: str, max_bytes: int) -> None:
        """0 takes the limit away."""

        async def work(tx: Transaction) -> None:
            if max_bytes:
                await tx.execute(
                    "INSERT INTO quota_limit VALUES (?, ?)"
                    " ON CONFLICT (library) DO UPDATE SET max_bytes = excluded.max_bytes",
                    (library, max_bytes),
                )
            else:
                await tx.execute("DELETE FROM quota_limit WHERE library = ?", (library,))
            await tx.emit(LimitSet(machine=self._machine, library=library, limit=max_bytes or None))

        await self._state.write(work)

    # --- plans ----------------------------------------------------------------------------------

    async def plan(self, plan_id: str) -> PlanRow:
        """Raises NotFound."""
        digits = plan_id.removeprefix("p")
        number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 18 else 0
        rows = await self._state.read("SELECT * FROM prune_plan WHERE number = ?", (number,))
        if not rows or f"p{number}" != plan_id:
            raise NotFound(
                f"There is no plan {plan_id}.", "arcanum quota trash lists those in the trash."
            )
        return _plan(rows[0])

    async def plans(self, *states: str, library: str | None = None) -> list[PlanRow]:
        """Newest first."""
        marks = ", ".join("?" * len(states))
        rows = await self._state.read(
            f"SELECT * FROM prune_plan WHERE state IN ({marks})"  # noqa: S608 - only marks
            " AND library = coalesce(?, library) ORDER BY number DESC",
            (*states, library),
        )
        return [_plan(row) for row in rows]

    async def next_number(self) -> int:
        rows = await self._state.read("SELECT coalesce(max(number), 0) + 1 AS n FROM prune_plan")
        return int(rows[0]["n"])

    async def save(self, plan: PlanRow, items: Sequence[Item]) -> None:
        """A new open plan takes the place of the library's older one."""
        columns = tuple(PlanRow.__dataclass_fields__)
        values = [getattr(plan, name) for name in columns]
        values[columns.index("created_at")] = plan.created_at.isoformat()

        async def work(tx: Transaction) -> None:
            await _supersede(tx, plan.library)
            await tx.execute(
                f"INSERT INTO prune_plan ({', '.join(columns)})"  # noqa: S608 - our own names
                f" VALUES ({', '.join('?' * len(columns))})",
                values,
            )
            await tx.executemany(
                "INSERT INTO prune_item VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'library', NULL)",
                (_values(plan.number, item) for item in items),
            )
            await tx.emit(Planned(machine=self._machine, library=plan.library, plan_id=plan.id))

        await self._state.write(work)

    async def renew(self, plan: PlanRow, used: int, target: int, shortfall: int) -> None:
        """The same files for slightly other numbers: the plan stays, its forecast moves."""

        async def work(tx: Transaction) -> None:
            await tx.execute(
                "UPDATE prune_plan SET used = ?, target = ?, shortfall = ? WHERE number = ?",
                (used, target, shortfall, plan.number),
            )

        await self._state.write(work)

    async def ask(self, plan: PlanRow, until: datetime) -> None:
        """A person is asked for this plan until then."""

        async def work(tx: Transaction) -> None:
            await tx.execute(
                "UPDATE prune_plan SET asked_until = ? WHERE number = ?",
                (until.isoformat(), plan.number),
            )

        await self._state.write(work)

    # --- the journal ----------------------------------------------------------------------------

    async def items(self, plan: PlanRow, *places: Place) -> list[Item]:
        """The plan's files, in order; only those at ``places``, where given."""
        return await asyncio.to_thread(_items, await self._state.read(*_where(plan, places)))

    async def intents(self, plan: PlanRow) -> tuple[list[Item], dict[int, Place]]:
        """The files that were in flight when something ended in the middle."""
        rows = await self._state.read(*_where(plan, _INTENTS))
        return _items(rows), {row["n"]: Place(row["place"]) for row in rows}

    async def begin(self, plan: PlanRow, folder: str, approval: int) -> None:
        """From here on the plan executes. Raises WorldMoved where it is not open any more."""

        async def work(tx: Transaction) -> None:
            changed = await tx.execute(
                "UPDATE prune_plan SET state = ?, folder = ?, trashed_at = ?, approval = ?"
                " WHERE number = ? AND state = ?",
                (EXECUTING, folder, now().isoformat(), approval, plan.number, OPEN),
            )
            if not changed:
                raise WorldMoved(f"Plan {plan.id} is not open any more.", "Make a new plan.")

        await self._state.write(work)

    async def place(self, plan: PlanRow, places: Mapping[int, Place]) -> None:
        """Journals where files are, or are about to go, and since when."""
        at = now().isoformat()

        async def work(tx: Transaction) -> None:
            await tx.executemany(
                "UPDATE prune_item SET place = ?, at = coalesce(?, at) WHERE plan = ? AND n = ?",
                [
                    (place, at if place in _INTENTS else None, plan.number, n)
                    for n, place in places.items()
                ],
            )

        await self._state.write(work)

    async def close(self, plan: PlanRow) -> str:
        """Draws the plan's state from its journal, and tells it; returns the state.

        An executing plan becomes done, partial, or open again where nothing moved. A plan whose
        trash is empty becomes undone or purged. The events tell all of the plan's files that
        are now in that place. A file whose place is not known keeps the plan as it was.
        """

        async def work(tx: Transaction) -> str:
            rows = await tx.fetch("SELECT state FROM prune_plan WHERE number = ?", (plan.number,))
            before = str(rows[0]["state"])
            tally = await _tally(tx, plan.number)
            after = _state_after(before, tally)
            await tx.execute(
                "UPDATE prune_plan SET state = ? WHERE number = ?", (after, plan.number)
            )
            told = _TOLD_AFTER_PRUNE if before == EXECUTING else _TOLD_LATER
            for place, event in told.items():
                if place in tally:
                    await tx.emit(
                        event(
                            machine=self._machine,
                            library=plan.library,
                            plan_id=plan.id,
                            files=tally[place].files,
                            bytes=tally[place].bytes,
                        )
                    )
            return after

        return await self._state.write(work)

    async def tally(self, plan: PlanRow) -> dict[Place, Tally]:
        """How many of the plan's files are where."""
        rows = await self._state.read(_TALLY, (plan.number,))
        return {Place(row["place"]): Tally(row["files"], row["bytes"]) for row in rows}

    async def trashed(self, library: str, path: bytes, size: int) -> list[Trashing]:
        """See ``TrashJournal``."""
        rows = await self._state.read(_TRASHED, (path, size, library))
        return [
            Trashing(
                row["approval"],
                datetime.fromisoformat(row["trashed_at"]),
                _time(row["at"]) if row["place"] in {Place.RETURNING, Place.RESTORED} else None,
            )
            for row in rows
        ]

    async def in_trash(self) -> dict[str, int]:
        """Bytes that wait in the trash, by library."""
        rows = await self._state.read(_IN_TRASH)
        return {row["library"]: row["bytes"] for row in rows}


_Told = dict[Place, type[Pruned] | type[Undone] | type[Purged]]
_TOLD_AFTER_PRUNE: _Told = {Place.TRASH: Pruned}
_TOLD_LATER: _Told = {Place.RESTORED: Undone, Place.GONE: Purged}

_TALLY = """
SELECT place, sum(names) AS files, sum(size) AS bytes FROM (
    SELECT place, count(*) AS names, max(size) AS size FROM prune_item
    WHERE plan = ? GROUP BY place, dev, ino
) GROUP BY place
"""


_TRASHED = """
SELECT approval, trashed_at, at, place FROM prune_item INDEXED BY prune_item_by_path
JOIN prune_plan ON number = plan
WHERE path = ? AND size = ? AND library = ? AND place <> 'library' AND approval IS NOT NULL
ORDER BY number DESC LIMIT 50
"""

_IN_TRASH = """
SELECT library, sum(size) AS bytes FROM (
    SELECT DISTINCT library, dev, ino, size FROM prune_plan JOIN prune_item ON plan = number
    WHERE state IN ('executing', 'done', 'partial')
    AND place IN ('trash', 'moving', 'returning', 'deleting')
) GROUP BY library
"""


async def _tally(tx: Transaction, number: int) -> dict[Place, Tally]:
    rows = await tx.fetch(_TALLY, (number,))
    return {Place(row["place"]): Tally(row["files"], row["bytes"]) for row in rows}


def _state_after(before: str, tally: Mapping[Place, Tally]) -> str:
    unknown = any(intent in tally for intent in _INTENTS)
    if unknown or before not in {EXECUTING, DONE, PARTIAL}:
        return before
    if Place.TRASH in tally:
        return DONE if len(tally) == 1 else PARTIAL
    if before == EXECUTING:
        return OPEN
    return PURGED if Place.GONE in tally else UNDONE


async def _supersede(tx: Transaction, library: str) -> None:
    # Its files are not needed again: what was shown to a person is kept with the approval.
    await tx.execute(
        "DELETE FROM prune_item WHERE plan IN"
        " (SELECT number FROM prune_plan WHERE library = ? AND state = ?)",
        (library, OPEN),
    )
    await tx.execute(
        "UPDATE prune_plan SET state = ? WHERE library = ? AND state = ?",
        (SUPERSEDED, library, OPEN),
    )


def _values(number: int, item: Item) -> tuple[object, ...]:
    i = item.identity
    return (
        number, item.n, item.path,
        i.dev, i.ino, i.size, i.mtime_ns, i.ctime_ns, i.nlink,
        item.frees, item.blake3,
    )  # fmt: skip


def _where(plan: PlanRow, places: Sequence[Place]) -> tuple[str, tuple[object, ...]]:
    sql = "SELECT * FROM prune_item WHERE plan = ?"
    if places:
        sql += f" AND place IN ({', '.join('?' * len(places))})"
    return sql + " ORDER BY n", (plan.number, *places)
