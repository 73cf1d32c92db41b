"""From a question to memories: the index names them, the truth says whether they may be seen.

What the index finds is looked up in the database before anybody sees it: its namespace, whether its
conversation was deleted, whether its turn is on the branch. So a hit that should not be is none,
whatever the index says.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.contract import recall as words
from engine.contract.base import now
from engine.contract.call import Call
from engine.contract.errors import NotFound
from engine.contract.memories import DEFAULT, Parts, RecallHit, Recollection
from engine.ground import Ground
from engine.recall import book
from engine.recall.archive import Archives
from engine.recall.embedding import Embedding
from engine.recall.indexer import Index
from engine.recall.vault import Vault
from engine.store import Database

_WORD = re.compile(r"\w+")
_MARGIN = 24
_MOST = 400
_MEANT, _STRONG = 0.68, 0.55
"""What a chat is told shares a word with the question or is as near in meaning (a cosine of 0.4),
and scores so much of the best by that."""
_LONGEST_QUERY = 2_000


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen: a namespace (None: only what is pinned), and of the turns of its conversation
    ``session`` those up to ``last`` on its branch."""

    space: int | None
    session: int | None
    last: int | None


PINNED = Sight(None, None, None)


class Searching:
    """Implements the port ``Recall``, and the operation ``recall.search``."""

    def __init__(
        self, ground: Ground, index: Index, embedding: Embedding, vault: Vault, archives: Archives
    ) -> None:
        self._ground = ground
        self._state = ground.state
        self._index, self._embedding = index, embedding
        self._vault, self._archives = vault, archives

    # --- the operation --------------------------------------------------------------------------

    async def search(self, request: words.Search, _call: Call) -> words.SearchResult:
        started = time.perf_counter()
        sight = await self._whole_sight(request.namespace)
        hits, found = await self._find(request, PINNED if request.pinned else sight, ())
        seconds = time.perf_counter() - started
        self._ground.metrics.recall_seconds.observe(seconds)
        since, until = found["window"] or (None, None)
        return words.SearchResult(
            hits=tuple(hits),
            since=since,
            until=until,
            partial=self._partial(found, cut=len(hits) < request.limit),
            seconds=seconds,
        )

    def _partial(self, found: Any, *, cut: bool) -> str:
        """``cut``: fewer were found than were asked for."""
        parts = []
        if cut and len(found["hits"]) >= _MOST:
            parts.append(f"only the {_MOST} best were looked through")
        if found["behind"]:
            parts.append("the index is being made: not everything is found yet")
        if not found["dense"]:
            why = self._index.lexical_because or "the model that tells meanings is loading"
            parts.append(f"found by words alone: {why}")
        elif found["to_embed"]:
            parts.append(f"found by their words alone yet: {found['to_embed']:,}")
        return "; ".join(parts)

    # --- the port -------------------------------------------------------------------------------

    async def recall(
        self,
        session: str,
        query: str,
        limit: int,
        exclude: Sequence[int] = (),
        *,
        last: int | None = None,
    ) -> Recollection:
        try:
            space = await book.namespace_of(self._state, session)
        except NotFound:  # Its conversation was deleted.
            return Recollection([])
        if space is None or not await self._anything(space):
            return Recollection([])
        sight = await self._sight(space, last)
        request = words.Search(
            query=query[:_LONGEST_QUERY], namespace=session, limit=min(100, limit * 4)
        )
        hits, found = await self._find(request, sight, exclude)
        telling = [hit for hit in hits if hit.parts.lexical > 0 or hit.parts.dense >= _MEANT]
        best = max(map(_own, telling), default=0.0)
        strong = [hit for hit in telling if _own(hit) >= _STRONG * best]
        lacking = [hit.unread for hit in strong if hit.unread][:1]
        if found["behind"]:
            lacking.append("The index of memories is being made: not everything is found yet.")
        return Recollection([hit for hit in strong if hit.text][:limit], " ".join(lacking))

    async def _anything(self, space: int) -> bool:
        """Whether more is remembered than what is being asked: else nothing need be started."""
        found = await self._state.read(
            "SELECT EXISTS (SELECT 1 FROM memory LEFT JOIN turn ON turn.id = memory.turn_id"
            " WHERE memory.namespace_id = ? AND turn.status IS NOT 'open')"
            " OR EXISTS (SELECT 1 FROM memory WHERE pinned) AS some",
            (space,),
        )
        return bool(found[0]["some"])

    async def used(self, memories: Sequence[int]) -> None:
        if not memories:
            return

        async def work(tx: Any) -> None:
            await tx.execute(
                "UPDATE memory SET uses = uses + 1, used_at = ?"
                " WHERE id IN (SELECT value FROM json_each(?))",
                (book.stamp(now()), book.numbers(memories)),
            )

        await self._state.write(work)
        await self._archives.revive(memories)

    # --- finding --------------------------------------------------------------------------------

    async def _find(
        self, request: words.Search, sight: Sight, exclude: Sequence[int]
    ) -> tuple[list[RecallHit], Any]:
        (vector, model), clock = await asyncio.gather(
            self._embedding.query(request.query),
            self._state.read("SELECT rev FROM memory_clock"),
        )
        wanted = request.limit + len(exclude) + _MARGIN
        while True:
            found = await self._index.ask(
                "search",
                query=request.query,
                space=sight.space,
                limit=wanted,
                now=time.time(),
                vector=vector,
                model=model,
                since=request.since and request.since.timestamp(),
                until=request.until and request.until.timestamp(),
                speaker=request.speaker,
                kind=request.kind or "",
                typing=True,
                rev=clock[0]["rev"],
            )
            hits = await self._seen(found["hits"], sight, set(exclude), request)
            if len(hits) == request.limit or len(found["hits"]) < wanted or wanted >= _MOST:
                return hits, found
            wanted = min(_MOST, wanted * 4)

    async def _seen(
        self, found: Sequence[Any], sight: Sight, exclude: set[int], request: words.Search
    ) -> list[RecallHit]:
        """The first of those that may be seen and are asked for, whole; a text that stands twice is
        seen once."""
        ids = [row[0] for row in found]
        rows, branch = await asyncio.gather(self._rows(ids), _branch(self._state, sight, ids))
        texts, unread = await self._vault.read(
            [number for number, row in rows.items() if row["state"] == "archived"]
        )
        told = await book.replaced(self._state, rows)
        hits: dict[str, RecallHit] = {}
        for number, *parts in found:
            row = rows.get(number)
            if row is None or not _may_be_seen(row, sight, branch) or row["turn_id"] in exclude:
                continue
            if request.state not in {None, row["state"]}:
                continue
            said, why = row["text"] or texts.get(number, ""), unread.get(number, "")
            same = " ".join(_WORD.findall(said.lower())) or said or (why and str(number))
            if same and same not in hits:
                hits[same] = _hit(row, said, parts, told.get(number, ()), why)
                if len(hits) == request.limit:
                    break
        return list(hits.values())

    async def _rows(self, ids: Sequence[int]) -> dict[int, Any]:
        found = await self._state.read(
            f"SELECT memory.*, {book.NEWER}, namespace.name AS namespace, namespace.session_id,"  # noqa: S608
            " session.deleted_at, turn.status FROM memory"
            " JOIN namespace ON namespace.id = memory.namespace_id"
            " LEFT JOIN session ON session.id = namespace.session_id"
            " LEFT JOIN turn ON turn.id = memory.turn_id"
            " WHERE memory.id IN (SELECT value FROM json_each(?))",
            (book.numbers(ids),),
        )
        return {row["id"]: row for row in found}

    async def _whole_sight(self, namespace: str) -> Sight:
        """All of a namespace. Raises NotFound where there is none of that name; the one that is
        meant where none is named may be empty."""
        space = await book.namespace_of(self._state, namespace)
        if space is None and namespace != DEFAULT:
            space = await book.known(self._state, namespace)
        return PINNED if space is None else await self._sight(space, None)

    async def _sight(self, space: int, last: int | None) -> Sight:
        found = await self._state.read(
            "SELECT session_id, (SELECT max(turn_id) FROM branch"
            " WHERE branch.session_id = namespace.session_id) AS head"
            " FROM namespace WHERE id = ?",
            (space,),
        )
        session = found[0]["session_id"]
        return Sight(space, session, found[0]["head"] if last is None else last)


def _may_be_seen(row: Any, sight: Sight, branch: set[int]) -> bool:
    if row["state"] not in {"live", "archived"} or row["deleted_at"] is not None:
        return False
    if row["pinned"]:
        return bool(row["status"] != "open")
    if row["namespace_id"] != sight.space:
        return False
    return row["turn_id"] is None or bool(row["status"] != "open" and row["id"] in branch)


async def _branch(state: Database, sight: Sight, ids: Sequence[int]) -> set[int]:
    """Which of these memories are turns on the branch that is seen.

    The branch that ends with ``last``: what leads from there to the current branch, and of that
    what is older than where they meet.
    """
    if sight.session is None or sight.last is None:
        return set()
    found = await state.read(
        "WITH RECURSIVE off (id, parent_id) AS ("
        " SELECT id, parent_id FROM turn WHERE id = ?1"
        " UNION ALL SELECT above.id, above.parent_id FROM off JOIN turn AS above"
        " ON above.id = off.parent_id WHERE NOT EXISTS"
        " (SELECT 1 FROM branch WHERE session_id = ?2 AND turn_id = off.id)),"
        " meet (id) AS (SELECT max(turn_id) FROM branch"
        " WHERE session_id = ?2 AND turn_id IN (SELECT id FROM off))"
        " SELECT memory.id FROM memory WHERE memory.id IN (SELECT value FROM json_each(?3))"
        " AND (memory.turn_id IN (SELECT id FROM off) OR EXISTS (SELECT 1 FROM branch"
        " WHERE branch.session_id = ?2 AND branch.turn_id = memory.turn_id"
        " AND branch.turn_id <= (SELECT id FROM meet)))",
        (sight.last, sight.session, book.numbers(ids)),
    )
    return {row["id"] for row in found}


def _hit(
    row: Any, said: str, parts: Sequence[float], replaces: Sequence[Any], unread: str
) -> RecallHit:
    lexical, dense, neighbours, when, entities = parts
    made = Parts(lexical=lexical, dense=dense, neighbours=neighbours, time=when, entities=entities)
    told = book.fields(row, replaces, said, unread)
    return RecallHit(**told, score=sum(parts), parts=made)


def _own(hit: RecallHit) -> float:
    return hit.parts.lexical + hit.parts.dense
