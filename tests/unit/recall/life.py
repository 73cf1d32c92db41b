"""A real engine around the life cycle of memories, with an index that only notes what it is told.

The room of this file binds the operations of the life cycle alone; memories are put there as the
conversation and the other operations do it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.clients.local import LocalClient
from engine.config import Config
from engine.contract import approvals, jobs, recall
from engine.contract.approvals import Approval
from engine.contract.base import PathRef, Wire
from engine.contract.call import Call
from engine.contract.client import Done, Pending
from engine.contract.jobs import Job, JobStarted
from engine.contract.memories import Forget, Note, Recalled, Record
from engine.contract.memory import Turn
from engine.contract.operation import Operation
from engine.contract.ports import Attached, TurnLog
from engine.core.engine import Engine
from engine.core.lifecycle import ServiceSpec
from engine.ground import Ground
from engine.home import Home
from engine.recall import book
from engine.recall.archive import Archives
from engine.recall.documents import Documents, Reading
from engine.recall.documents import Home as Place
from engine.recall.forgetting import ForgetActs
from engine.recall.portable import Portable
from engine.recall.vault import Vault
from engine.store import Database
from tests.fakes.models import RehearsedCatalog

SECRET = 'The château’s key lies under the 7th stone.\nDon\'t tell "Ann" \x1b[2J!'
ANSWER = "I will keep the château’s key to myself, as you wish."

SERVICES = (
    ServiceSpec("audit", "engine.core.audit:AuditRoom", ("audit",)),
    ServiceSpec("jobs", "engine.jobs.room:JobsRoom", ("jobs",)),
    ServiceSpec("approvals", "engine.approvals.room:ApprovalsRoom", ("approvals",)),
    ServiceSpec("memory", "engine.memory.room:MemoryRoom", ("memory",)),
    ServiceSpec("recall", "tests.unit.recall.life:LifeRoom", ("recall",), ("memory",)),
)


class NotingIndex:
    """Notes what it is to forget; ``problem`` is in its way."""

    def __init__(self) -> None:
        self.forgotten: list[int] = []
        self.problem = ""

    async def forget(self, ids: Sequence[int]) -> str:
        self.forgotten += ids
        return self.problem


class LifeRoom:
    """Binds what is tested here, as the recall room does."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.index = NotingIndex()
        self.vault = Vault(ground)
        self.archives = Archives(ground, self.vault)
        self.portable = Portable(ground, self.vault)
        self.forgetting = ForgetActs(ground, self.vault, self.index)

    async def start(self) -> None:
        await self.vault.settle()
        door = self._ground.door
        door.stream(recall.EXPORT, self.portable.export)
        door.job(recall.IMPORT, self.portable.import_, lambda request: request.path.display)
        door.job(recall.ARCHIVE, self.archives.archive, lambda _request: "memories")
        door.unary(recall.RESTORE, self.archives.restore)
        door.high(recall.FORGET, self.forgetting)
        self._ground.provide(LifeRoom, self)

    async def stop(self) -> None:
        """Nothing runs here."""


@dataclass(frozen=True)
class Life:
    home: Home
    engine: Engine
    client: LocalClient
    room: LifeRoom
    models: RehearsedCatalog

    @property
    def state(self) -> Database:
        return self.engine.ground.state

    @property
    def archives(self) -> list[Path]:
        return sorted((self.home.data / "archives").glob("*"))

    # --- putting it there -----------------------------------------------------------------------

    async def note(self, text: str, namespace: str = "main", **fields: Any) -> int:
        return (await self.notes([text], namespace, **fields))[0]

    async def notes(
        self, texts: Sequence[str], namespace: str = "main", **fields: Any
    ) -> list[int]:
        made = [Note(text=text, **fields) for text in texts]
        ids, _new = await self.state.write(lambda tx: book.add(tx, namespace, made))
        return ids

    async def say(
        self,
        session: str,
        question: str,
        answer: str = "Noted.",
        *,
        attached: Sequence[Attached] = (),
        after: int | None = None,
        told: Sequence[int] = (),
    ) -> tuple[Turn, int]:
        """A question with its answer, and the number of its memory. The answer was ``told`` these
        memories."""
        log = self.engine.ground.use(TurnLog)  # type: ignore[type-abstract]
        turn = await log.open(session, question, Call(), after=after, attached=attached)
        turn = turn.model_copy(update={"recalled": tuple(Recalled(id=n, score=1.0) for n in told)})
        turn = await log.close(turn, "done", answer, "", "rehearsed")
        found = await self.rows("SELECT id FROM memory WHERE turn_id = ?", turn.id)
        return turn, found[0]["id"]

    async def edit(self, number: int, text: str) -> int:
        """What it said before is another memory; its number."""
        request = recall.Edit(id=number, text=text)
        await self.state.write(lambda tx: book.edit(tx, request, "m"))
        found = await self.rows("SELECT max(id) AS id FROM memory WHERE replaced_by = ?", number)
        return int(found[0]["id"])

    async def replace(self, older: int, newer: int, how: str) -> None:
        sql = "UPDATE memory SET state = ?, replaced_by = ? WHERE id = ?"
        await self.change(sql, how, newer, older)

    async def passage(self, text: str, file: str = "a.md") -> Callable[[], Awaitable[int]]:
        """What a file of a folder says; the deed takes the file out."""
        documents = Documents(self.state, "m")
        await self.change(
            "INSERT OR IGNORE INTO namespace (name, created_at) VALUES ('papers', '')"
        )
        await self.change(
            "INSERT INTO folder (path, namespace_id, added_at)"
            " SELECT CAST('/papers' AS BLOB), id, '' FROM namespace WHERE name = 'papers'"
        )
        [row] = await self.rows("SELECT id, namespace_id FROM folder")
        place = Place(row["id"], row["namespace_id"], "papers", pinned=False)
        await documents.store(place, [Reading(file.encode(), 1, 1, passages=[text])])
        [document] = await self.rows("SELECT id FROM document")
        return lambda: documents.remove(place, [document["id"]])

    async def change(self, sql: str, *values: Any) -> None:
        await self.state.write(lambda tx: tx.execute(sql, values))

    # --- looking at it --------------------------------------------------------------------------

    async def rows(self, sql: str, *values: Any) -> list[Any]:
        return await self.state.read(sql, values)

    async def row(self, number: int) -> Any:
        return (await self.rows("SELECT * FROM memory WHERE id = ?", number))[0]

    async def states(self) -> dict[int, str]:
        return {row["id"]: row["state"] for row in await self.rows("SELECT id, state FROM memory")}

    async def texts(self) -> dict[int, str]:
        """What can be read of every memory."""
        found = {row["id"]: row["text"] for row in await self.rows("SELECT id, text FROM memory")}
        away = [number for number, text in found.items() if not text]
        found |= await self.room.vault.texts(away)
        return {number: found[number] for number in sorted(found) if found[number]}

    async def events(self, kind: str = "recall.memory_changed") -> list[str]:
        rows = await self.rows(
            "SELECT json_extract(data, '$.change') AS change FROM event WHERE kind = ?"
            " ORDER BY seq",
            kind,
        )
        return [row["change"] for row in rows]

    # --- the operations -------------------------------------------------------------------------

    async def do(self, operation: Operation[Any, Any], request: Wire) -> Any:
        answer = await self.client.call(operation, request)
        assert isinstance(answer, Done), answer
        return answer.result

    async def exported(self, namespace: str | None = None) -> list[Record]:
        request = recall.Export(namespace=namespace)
        async with self.client.stream(recall.EXPORT, request) as items:
            return [record async for record in items]

    async def job(self, operation: Operation[Any, Any], request: Wire) -> Job:
        """Runs to its end."""
        started: JobStarted = await self.do(operation, request)
        async with self.client.stream(jobs.FOLLOW, jobs.JobId(id=started.job_id)) as items:
            return [job async for job in items][-1]

    async def take_in(self, path: Path, namespace: str | None = None) -> recall.Imported:
        request = recall.Import(path=PathRef.of(path), namespace=namespace)
        job = await self.job(recall.IMPORT, request)
        assert job.result is not None, job.error
        return recall.Imported.model_validate(job.result)

    async def archive(self, **fields: Any) -> recall.Archived:
        job = await self.job(recall.ARCHIVE, recall.Archive(**fields))
        assert job.result is not None, job.error
        return recall.Archived.model_validate(job.result)

    async def restore(self, *ids: int, everything: bool = False) -> recall.Restored:
        request = recall.Restore(ids=ids, everything=everything)
        found: recall.Restored = await self.do(recall.RESTORE, request)
        return found

    async def plan(self, *ids: int, **fields: Any) -> int:
        request = Forget(ids=ids, **fields)
        answer = await self.client.call(recall.FORGET, request)
        assert isinstance(answer, Pending), answer
        return answer.approval_id

    async def shown(self, number: int) -> Approval:
        found: Approval = await self.do(approvals.SHOW, approvals.ApprovalId(id=number))
        return found

    async def approve(self, number: int, count: int) -> Approval:
        request = approvals.Approve(id=number, count=count)
        found: Approval = await self.do(approvals.APPROVE, request)
        return found

    async def keep(self, number: int, *keys: str) -> int:
        """The plan without these items."""
        kept = await self.do(approvals.KEEP, approvals.Keep(id=number, keep=keys))
        return int(kept.approval_id)

    async def forget(self, *ids: int, **fields: Any) -> Approval:
        """Planned, approved, and done as far as it goes."""
        return await self.yes(await self.plan(*ids, **fields))

    async def yes(self, number: int) -> Approval:
        count = (await self.shown(number)).card.confirm_count
        assert count is not None
        return await self.approve(number, count)


def written(path: Path, records: Sequence[Record]) -> Path:
    """A file as an export writes it."""
    path.write_text("".join(f"{record.model_dump_json()}\n" for record in records), "utf-8")
    return path


def holding(folder: Path, *texts: str) -> list[str]:
    """The files below it whose bytes hold one of the texts."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
        and any(each in (data := path.read_bytes()) for each in _spellings(texts))
        and data
    )


def _spellings(texts: Sequence[str]) -> list[bytes]:
    """As it stands in a row, and as it stands in JSON of either kind."""
    found = []
    for text in texts:
        found += [text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]]
    return [each.encode() for each in dict.fromkeys(found)]


def nowhere(life: Life, *texts: str) -> None:
    """Not in any file of this home; the shared memory of SQLite's log aside, which is no copy."""
    assert holding(life.home.data, *texts) == []


def copied(home: Home, name: str = "arcanum-schema7-copy.db") -> Path:
    """As a migration makes one."""
    folder = home.data / "backups"
    folder.mkdir(exist_ok=True)
    with (
        closing(sqlite3.connect(home.state_file)) as mine,
        closing(sqlite3.connect(folder / name)) as copy,
    ):
        mine.backup(copy)
    return folder / name


@asynccontextmanager
async def opened(home: Home, config: Config | None = None) -> AsyncIterator[Life]:
    home.prepare()
    models = RehearsedCatalog({})
    engine = Engine(home, config or Config(), models, "command", SERVICES)
    await engine.open()
    try:
        for name in ("jobs", "recall", "approvals"):
            await engine.lifecycle.ensure(name)
        yield Life(home, engine, LocalClient(engine), engine.ground.use(LifeRoom), models)
    finally:
        await engine.stop()
