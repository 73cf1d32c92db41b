"""The durable conversation as other rooms write and read it. Returning means committed."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from shlex import quote

from engine.contract import memory
from engine.contract.agent0 import MAX_ATTACHED
from engine.contract.base import now, visible
from engine.contract.call import Call
from engine.contract.errors import Invalid, NotFound, StoreFailed
from engine.contract.memory import Turn, TurnStatus
from engine.contract.ports import Attached
from engine.ground import Ground
from engine.memory import rows, tree
from engine.memory.unclosed import Unclosed
from engine.store import Database, Transaction

_log = logging.getLogger("arcanum.memory")
_MAX_NAME = 200


class Turns:
    """Implements the port ``TurnLog``."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._state = ground.state
        self._unclosed = Unclosed(self._finish_all)

    async def stop(self) -> None:
        await self._unclosed.stop()

    async def settle(self) -> None:
        """A turn that was open when the engine died got no whole answer; it says so."""

        ended = {"status": "interrupted", "note": "the engine ended"}
        left = await self._state.read(f"{rows.TURN} WHERE turn.status = 'open'")
        await self._finish_all([rows.turn(row).model_copy(update=ended) for row in left])

    # --- writing --------------------------------------------------------------------------------

    async def open(
        self,
        session: str,
        question: str,
        call: Call,
        *,
        after: int | None = None,
        attached: Sequence[Attached] = (),
    ) -> Turn:
        """Raises NotFound where ``after`` is no turn of the session, Refused where the session was
        deleted, and Invalid for attachments beyond the bound."""
        size = sum(len(text.text) for text in attached)
        if size > MAX_ATTACHED:
            raise Invalid(
                f"The attachments are {size:,} characters long, at most {MAX_ATTACHED:,} are read.",
                "Attach less.",
            )

        async def work(tx: Transaction) -> Turn:
            session_id = await _known(tx, session)
            parent = await _parent(tx, session_id, session, after)
            if session_id is None:
                session_id = await tx.insert(
                    "INSERT INTO session (name, created_at) VALUES (?, ?)",
                    (session, now().isoformat()),
                )
            number = await tx.insert(
                "INSERT INTO turn (session_id, parent_id, question, status, asked_at, asked_by)"
                " VALUES (?, ?, ?, 'open', ?, ?)",
                (session_id, parent, question, now().isoformat(), call.actor.speaker),
            )
            await tx.executemany(
                "INSERT INTO attachment (turn_id, n, name, text) VALUES (?, ?, ?, ?)",
                [
                    (number, n, rows.one_line(one.name, _MAX_NAME), one.text)
                    for n, one in enumerate(attached)
                ],
            )
            await tree.make_current(tx, session_id, number)
            await tx.emit(
                memory.TurnOpened(
                    session=session, turn_id=number, machine=call.machine or self._ground.machine
                )
            )
            return await _turn(tx, number)

        return await self._state.write(work)

    async def save(self, turn: Turn, answer: str, model: str) -> None:
        async def work(tx: Transaction) -> None:
            await tx.execute(
                "UPDATE turn SET answer = ?, model = ?, recalled = ?"
                " WHERE id = ? AND status = 'open'",
                (answer, model, rows.recalled(turn), turn.id),
            )

        await self._state.write(work)

    async def close(
        self, turn: Turn, status: TurnStatus, answer: str, note: str, model: str
    ) -> Turn:
        """The turn as it is now: its session may have another name than when it was opened.

        Raises StoreFailed, and closes it later, as soon as the disk takes it.
        """
        ended = turn.model_copy(
            update={"status": status, "answer": answer, "note": note, "model": model}
        )
        try:
            closed = await self._state.write(lambda tx: self._finish(tx, ended))
        except StoreFailed:
            self._unclosed.add(ended)
            raise
        if closed.session != turn.session:
            await self.forget(turn.session)
        return closed

    async def _finish_all(self, turns: Sequence[Turn]) -> None:
        async def work(tx: Transaction) -> None:
            for turn in turns:
                await self._finish(tx, turn)

        await self._state.write(work)

    async def _finish(self, tx: Transaction, turn: Turn) -> Turn:
        changed = await tx.execute(
            "UPDATE turn SET status = ?, answer = ?, answered = ?, note = ?, model = ?,"
            " recalled = ?, answered_at = ? WHERE id = ? AND status = 'open'",
            (
                turn.status,
                turn.answer,
                turn.answer != "",
                turn.note,
                turn.model,
                rows.recalled(turn),
                now().isoformat(),
                turn.id,
            ),
        )
        closed = await _turn(tx, turn.id)
        if changed:
            await tx.emit(
                memory.TurnClosed(
                    session=closed.session,
                    turn_id=closed.id,
                    status=closed.status,
                    machine=self._ground.machine,
                )
            )
        return closed

    async def entitle(self, session: str, title: str) -> None:
        """A conversation that was renamed or deleted meanwhile keeps what it has."""
        line = rows.one_line(title)

        async def work(tx: Transaction) -> None:
            if line and await tx.execute(
                "UPDATE session SET title = ?"
                " WHERE name = ? AND title IS NULL AND deleted_at IS NULL",
                (line, session),
            ):
                await tx.emit(
                    memory.SessionChanged(
                        session=session, change="titled", machine=self._ground.machine
                    )
                )

        await self._state.write(work)

    async def forget(self, session: str) -> str:
        """Models keep nothing on disk under this name any more. What is in the way, in words."""
        try:
            await self._ground.models.forget_session(session)
        except Exception as error:  # noqa: BLE001 - what was asked for is done, and this is told
            _log.exception("what models keep of %r could not be removed", session)
            return visible(str(error)) or type(error).__name__
        return ""

    # --- reading --------------------------------------------------------------------------------

    async def parent(self, session: str, after: int | None) -> int | None:
        return await _parent(self._state, await _known(self._state, session), session, after)

    async def path(self, turn: Turn, least: int, most: int) -> list[Turn]:
        if turn.parent_id is None:
            return []
        counted = await self._state.read(
            f"{tree.UP} SELECT count(*) AS n FROM up WHERE answered",  # noqa: S608 - ours
            (turn.parent_id, 0),
        )
        wanted = tree.window(counted[0]["n"], least, most)
        found = await self._state.read(
            f"{rows.TURN} WHERE turn.id IN ({tree.UP} SELECT id FROM up"  # noqa: S608 - ours
            " WHERE answered LIMIT ?) ORDER BY turn.id",
            (turn.parent_id, 0, wanted),
        )
        return [rows.turn(row) for row in found]

    async def attached(self, turn_ids: Sequence[int]) -> dict[int, list[Attached]]:
        found: dict[int, list[Attached]] = {}
        for row in await self._state.read(
            "SELECT turn_id, name, text FROM attachment"
            " WHERE turn_id IN (SELECT value FROM json_each(?)) ORDER BY turn_id, n",
            (json.dumps(list(turn_ids)),),
        ):
            found.setdefault(row["turn_id"], []).append(Attached(row["name"], row["text"]))
        return found

    async def untitled(self, session: str) -> Turn | None:
        found = await self._state.read(
            f"{rows.TURN} WHERE session.name = ? AND session.title IS NULL"
            " AND session.deleted_at IS NULL AND turn.answered ORDER BY turn.id LIMIT 1",
            (session,),
        )
        return rows.turn(found[0]) if found else None


async def _turn(tx: Transaction, number: int) -> Turn:
    return rows.turn((await tx.fetch(f"{rows.TURN} WHERE turn.id = ?", (number,)))[0])


async def _known(source: Database | Transaction, name: str) -> int | None:
    """The conversation's identity, None where there is none yet. Raises Refused."""
    found = await rows.fetch(source, "SELECT id, deleted_at FROM session WHERE name = ?", name)
    if found and found[0]["deleted_at"] is not None:
        raise rows.deleted(name)
    return int(found[0]["id"]) if found else None


async def _parent(
    source: Database | Transaction, session_id: int | None, name: str, after: int | None
) -> int | None:
    """The turn that a question follows."""
    if after is None:
        return None if session_id is None else await tree.head(source, session_id)
    if after == 0:
        return None
    await belongs(source, session_id, name, after)
    return after


async def belongs(
    source: Database | Transaction, session_id: int | None, name: str, turn_id: int
) -> None:
    """Raises NotFound where it is no turn of the session."""
    same = await rows.fetch(
        source, "SELECT 1 FROM turn WHERE id = ? AND session_id = ?", turn_id, session_id
    )
    if not same:
        raise NotFound(
            f"There is no turn #{turn_id} in the conversation {name!r}.",
            f"arcanum memory turns {quote(name)} lists the current branch's.",
        )
