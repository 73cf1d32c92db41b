"""Turns and recall. A turn is committed before it is acknowledged; sessions are apart.

Recall is SQLite's FTS5 (BM25, Porter stemmer) over what the person said in the same session.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from engine.contract import memory
from engine.contract.base import now
from engine.contract.call import Call
from engine.contract.errors import NotFound
from engine.contract.memory import RecallHit, Turn
from engine.contract.ports import TurnLog
from engine.ground import Ground
from engine.store import Transaction

_WORD = re.compile(r"\w+")
_MOST_WORDS = 32
# Words that stand in nearly every sentence: they would recall whatever was said last.
_EMPTY_WORDS = frozenset(
    _WORD.findall("""
    a an and are as at be but by can did do does for from had has have how i if in is it its me my
    not of on or our please she so tell that the their them then there they this to us was we were
    what when where which who why will with would you your
    """)
)


RECALL = (
    "SELECT turn.*, bm25(turn_text) AS rank FROM turn_text JOIN turn ON turn.id = turn_text.rowid"
    " WHERE turn_text MATCH ? AND turn.session = ? AND turn.status != 'open'"
    " ORDER BY rank, turn.id DESC LIMIT ?"
)


class MemoryRoom:
    """Owns the tables ``turn`` and ``turn_text``; provides the port ``TurnLog``."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._state = ground.state

    async def start(self) -> None:
        await self._settle()
        door = self._ground.door
        door.unary(memory.SEARCH, self._search)
        door.unary(memory.SESSIONS, self._sessions)
        door.unary(memory.TURNS, self._turns)
        self._ground.provide(TurnLog, self)  # type: ignore[type-abstract]

    async def stop(self) -> None:
        """Nothing to end: what was acknowledged is committed."""

    async def _settle(self) -> None:
        """A turn that was open when the engine died got no whole answer; it says so."""

        async def work(tx: Transaction) -> None:
            for row in await tx.fetch("SELECT * FROM turn WHERE status = 'open'"):
                await self._finish(
                    tx,
                    _turn(row).model_copy(
                        update={"status": "interrupted", "note": "the engine ended"}
                    ),
                )

        await self._state.write(work)

    # --- the turn log ---------------------------------------------------------------------------

    async def open(self, session: str, question: str, call: Call) -> Turn:
        """Writes the question down. Returning means committed."""
        asked = now()

        async def work(tx: Transaction) -> int:
            number = await tx.insert(
                "INSERT INTO turn (session, question, status, asked_at) VALUES (?, ?, 'open', ?)",
                (session, question, asked.isoformat()),
            )
            await tx.emit(
                memory.TurnOpened(
                    session=session, turn_id=number, machine=call.machine or self._ground.machine
                )
            )
            return number

        number = await self._state.write(work)
        return Turn(id=number, session=session, question=question, status="open", asked_at=asked)

    async def close(
        self, turn: Turn, status: memory.TurnStatus, answer: str, note: str, model: str
    ) -> Turn:
        """Writes the answer down. Returning means committed."""

        closed = turn.model_copy(
            update={
                "status": status,
                "answer": answer,
                "note": note,
                "model": model,
                "answered_at": now(),
            }
        )
        await self._state.write(lambda tx: self._finish(tx, closed))
        return closed

    async def _finish(self, tx: Transaction, turn: Turn) -> None:
        await tx.execute(
            "UPDATE turn SET status = ?, answer = ?, note = ?, model = ?, answered_at = ?"
            " WHERE id = ? AND status = 'open'",
            (
                turn.status,
                turn.answer,
                turn.note,
                turn.model,
                (turn.answered_at or now()).isoformat(),
                turn.id,
            ),
        )
        await tx.emit(
            memory.TurnClosed(
                session=turn.session,
                turn_id=turn.id,
                status=turn.status,
                machine=self._ground.machine,
            )
        )

    async def recent(self, session: str, limit: int) -> list[Turn]:
        """The newest closed turns of the session that have an answer, oldest first."""
        rows = await self._state.read(
            "SELECT * FROM turn WHERE session = ? AND status != 'open' AND answer != ''"
            " ORDER BY id DESC LIMIT ?",
            (session, limit),
        )
        return [_turn(row) for row in reversed(rows)]

    async def recall(
        self, session: str, query: str, limit: int, exclude: Sequence[int] = ()
    ) -> list[RecallHit]:
        """Earlier turns of this session, and of no other, that bear on ``query``, best first."""
        match = _match(query)
        if not match:
            return []
        rows = await self._state.read(
            RECALL,
            (match, session, limit + len(exclude) + 32),
        )
        hits: dict[str, RecallHit] = {}
        for row in rows:
            same = " ".join(_WORD.findall(row["question"].lower()))
            if row["id"] not in exclude and same not in hits:
                hits[same] = _hit(row)
        return list(hits.values())[:limit]

    # --- operations -----------------------------------------------------------------------------

    async def _search(self, request: memory.Search, _call: Call) -> memory.SearchResult:
        hits = await self.recall(request.session, request.query, request.limit)
        return memory.SearchResult(hits=tuple(hits))

    async def _sessions(self, request: memory.ListSessions, _call: Call) -> memory.SessionList:
        rows = await self._state.read(
            "SELECT session, count(*) AS turns, max(asked_at) AS last_at, max(id) AS last"
            " FROM turn GROUP BY session ORDER BY last DESC LIMIT ?",
            (request.limit,),
        )
        return memory.SessionList(
            sessions=tuple(
                memory.SessionSummary(
                    name=row["session"],
                    turns=row["turns"],
                    last_at=datetime.fromisoformat(row["last_at"]),
                )
                for row in rows
            )
        )

    async def _turns(self, request: memory.ShowTurns, _call: Call) -> memory.TurnList:
        rows = await self._state.read(
            "SELECT * FROM turn WHERE session = ?1 AND (?2 IS NULL OR id < ?2)"
            " ORDER BY id DESC LIMIT ?3",
            (request.session, request.before, request.limit),
        )
        if not rows and request.before is None:
            raise NotFound(
                f"There is no conversation {request.session!r}.",
                "arcanum memory sessions lists them; arcanum chat starts one.",
            )
        return memory.TurnList(turns=tuple(_turn(row) for row in reversed(rows)))


def _match(query: str) -> str:
    """An FTS5 query: any of the telling words. Quoted, so that no word is an operator."""
    words = [word for word in _WORD.findall(query.lower()) if word not in _EMPTY_WORDS]
    return " OR ".join(f'"{word}"' for word in dict.fromkeys(words[:_MOST_WORDS]))


def _hit(row: Any) -> RecallHit:
    return RecallHit(
        turn_id=row["id"],
        session=row["session"],
        text=row["question"],
        asked_at=datetime.fromisoformat(row["asked_at"]),
        score=-row["rank"],
    )


def _turn(row: Any) -> Turn:
    answered = row["answered_at"]
    return Turn(
        id=row["id"],
        session=row["session"],
        question=row["question"],
        answer=row["answer"],
        status=row["status"],
        note=row["note"],
        model=row["model"],
        asked_at=datetime.fromisoformat(row["asked_at"]),
        answered_at=None if answered is None else datetime.fromisoformat(answered),
    )
