"""Conversations as people handle them: list, look through, rename, restore, export."""

from __future__ import annotations

import json
import shlex
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Literal

from engine.contract import memory
from engine.contract.base import now
from engine.contract.call import Call
from engine.contract.errors import Refused
from engine.contract.memory import SessionSummary, Turn
from engine.ground import Ground
from engine.memory import rows, tree
from engine.memory.turns import Turns, belongs
from engine.store import Transaction

_SCANNED = 2_000
"""Turns that are looked through at a time: others read in between, and whoever asked may leave."""
_EXPORTED = 100
"""Turns that an export holds at a time."""

Change = Literal["renamed", "deleted", "restored", "switched"]


class Sessions:
    """The operations on whole conversations, but for the deletion."""

    def __init__(self, ground: Ground, turns: Turns) -> None:
        self._ground = ground
        self._state = ground.state
        self._log = turns

    # --- reading --------------------------------------------------------------------------------

    async def summaries(self, request: memory.ListSessions, _call: Call) -> memory.SessionList:
        conditions = f"session.deleted_at IS {'NOT NULL' if request.deleted else 'NULL'}"
        values: tuple[Any, ...] = ()
        if text := request.containing.strip():
            conditions += " AND session.id IN (SELECT value FROM json_each(?))"
            values = (json.dumps(sorted(await self._containing(text))),)
        found = await self._state.read(
            f"{rows.SUMMARY} JOIN (SELECT session.id AS id, (SELECT max(id) FROM turn"  # noqa: S608
            f" WHERE session_id = session.id) AS newest FROM session WHERE {conditions}"
            " ORDER BY newest DESC LIMIT ?) AS wanted ON wanted.id = session.id"
            " ORDER BY wanted.newest DESC",
            (*values, request.limit),
        )
        return memory.SessionList(sessions=tuple(map(rows.summary, found)))

    async def _containing(self, text: str) -> set[int]:
        """The conversations that hold ``text`` somewhere, in any branch."""
        patterns = _patterns(text)
        named = await self._state.read(
            f"SELECT id FROM session WHERE {_like('name', patterns)}"  # noqa: S608 - ours
            f" OR {_like('title', patterns)}",
            patterns,
        )
        found = {row["id"] for row in named}
        newest = await self._state.read("SELECT max(id) AS id FROM turn")
        for first in range(1, (newest[0]["id"] or 0) + 1, _SCANNED):
            some = await self._state.read(
                "SELECT DISTINCT session_id AS id FROM turn"  # noqa: S608 - ours
                f" WHERE ({_like('question', patterns)} OR {_like('answer', patterns)})"
                " AND id BETWEEN ? AND ?",
                (*patterns, first, first + _SCANNED - 1),
            )
            found.update(row["id"] for row in some)
        return found

    async def turns(self, request: memory.ShowTurns, _call: Call) -> memory.TurnList:
        session_id = await rows.find(self._state, request.session)
        found = await self._state.read(
            f"{rows.TURN} JOIN branch ON branch.session_id = ?1 AND branch.turn_id = turn.id"
            " WHERE turn.session_id = ?1 AND (?2 IS NULL OR branch.turn_id < ?2)"
            " ORDER BY branch.turn_id DESC LIMIT ?3",
            (session_id, request.before, request.limit),
        )
        return memory.TurnList(turns=tuple(rows.turn(row) for row in reversed(found)))

    @asynccontextmanager
    async def export(
        self, request: memory.OneSession, _call: Call
    ) -> AsyncIterator[AsyncIterator[Turn]]:
        session_id = await rows.find(self._state, request.session)
        newest = await self._state.read(
            "SELECT max(id) AS id FROM turn WHERE session_id = ?", (session_id,)
        )
        async with aclosing(self._every(session_id, newest[0]["id"])) as found:
            yield found

    async def _every(self, session_id: int, newest: int) -> Any:
        """All turns up to ``newest``, so that it ends in a conversation that goes on."""
        last = 0
        while last < newest:
            for row in await self._state.read(
                f"{rows.TURN} WHERE turn.session_id = ? AND turn.id > ? AND turn.id <= ?"
                " ORDER BY turn.id LIMIT ?",
                (session_id, last, newest, _EXPORTED),
            ):
                last = row["id"]
                yield rows.turn(row)

    # --- changing -------------------------------------------------------------------------------

    async def switch(self, request: memory.SwitchBranch, call: Call) -> memory.TurnList:
        async def work(tx: Transaction) -> None:
            session_id = await rows.find(tx, request.session)
            await belongs(tx, session_id, request.session, request.turn_id)
            leaf = await tree.newest_leaf(tx, session_id, request.turn_id)
            if leaf != await tree.head(tx, session_id):
                await tree.make_current(tx, session_id, leaf)
                await self._tell(tx, request.session, "switched")

        await self._state.write(work)
        return await self.turns(memory.ShowTurns(session=request.session), call)

    async def rename(self, request: memory.RenameSession, _call: Call) -> SessionSummary:
        """Turns belong to the conversation, not to its name: one that is being answered, too."""

        async def work(tx: Transaction) -> SessionSummary:
            session_id = await rows.find(tx, request.session)
            await _free(tx, request.to)
            await tx.execute("UPDATE session SET name = ? WHERE id = ?", (request.to, session_id))
            await self._tell(tx, request.session, "renamed", request.to)
            return await rows.summary_of(tx, session_id)

        renamed = await self._state.write(work)
        # What models keep is found by the name; a later deletion would miss what the old one has.
        await self._log.forget(request.session)
        return renamed

    async def restore(self, request: memory.OneSession, _call: Call) -> memory.RestoredSession:
        async def work(tx: Transaction) -> SessionSummary:
            found = await tx.fetch(
                "SELECT id, deleted_at FROM session WHERE name = ?", (request.session,)
            )
            if not found:
                raise rows.missing(request.session)
            if found[0]["deleted_at"] is None:
                raise Refused(
                    f"The conversation {request.session!r} is not deleted.",
                    "arcanum memory sessions --deleted lists those that are.",
                )
            await tx.execute("UPDATE session SET deleted_at = NULL WHERE id = ?", (found[0]["id"],))
            await self._tell(tx, request.session, "restored")
            return await rows.summary_of(tx, found[0]["id"])

        return memory.RestoredSession(session=await self._state.write(work))

    async def delete(self, tx: Transaction, session_id: int) -> SessionSummary:
        """Marks it as deleted; nothing is taken out."""
        await tx.execute(
            "UPDATE session SET deleted_at = ? WHERE id = ?", (now().isoformat(), session_id)
        )
        gone = await rows.summary_of(tx, session_id)
        await self._tell(tx, gone.name, "deleted")
        return gone

    async def _tell(
        self, tx: Transaction, session: str, change: Change, now_called: str = ""
    ) -> None:
        await tx.emit(
            memory.SessionChanged(
                session=session,
                change=change,
                now_called=now_called,
                machine=self._ground.machine,
            )
        )


async def _free(tx: Transaction, name: str) -> None:
    """Raises Refused where a conversation has this name, also a deleted one, or other memories."""
    for row in await tx.fetch("SELECT deleted_at FROM session WHERE name = ?", (name,)):
        if row["deleted_at"] is None:
            raise Refused(
                f"There is a conversation {name!r} already.",
                "Choose another name, or rename that one first.",
            )
        raise Refused(
            f"A deleted conversation is called {name!r}.",
            f"Choose another name; arcanum memory restore {shlex.quote(name)} brings it back.",
        )
    if await tx.fetch("SELECT 1 FROM namespace WHERE name = ?", (name,)):
        raise Refused(
            f"Something is remembered under {name!r} already: it would be mixed with this.",
            "Choose another name; arcanum memory namespaces lists those that are taken.",
        )


def _patterns(text: str) -> tuple[str, ...]:
    """For LIKE, which takes a for A in ASCII alone: the usual ways to write all else."""
    ways = (text,) if text.isascii() else (text, text.lower(), text.upper(), text.capitalize())
    escaped = (way.replace("!", "!!").replace("%", "!%").replace("_", "!_") for way in ways)
    return tuple(f"%{way}%" for way in dict.fromkeys(escaped))


def _like(column: str, patterns: Sequence[str]) -> str:
    return " OR ".join(f"{column} LIKE ?{n} ESCAPE '!'" for n in range(1, len(patterns) + 1))
