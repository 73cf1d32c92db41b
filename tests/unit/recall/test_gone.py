"""What files no longer say can be forgotten for good: real folders, a real index, real copies."""

from __future__ import annotations

import json
import shlex
import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from engine.contract import approvals, recall
from engine.contract.approvals import Approval, ApprovalState, Card
from engine.contract.base import Empty, PathRef
from engine.contract.call import Call
from engine.contract.client import Pending
from engine.contract.errors import Invalid, NotFound, Refused
from engine.contract.memories import Forget, Forgotten
from engine.contract.ports import ApprovalDesk, Draft
from engine.home import Home
from engine.recall.index.parts import BARE
from engine.recall.index.vectors import normal
from tests.fakes.waiting import until
from tests.unit.recall.folder_house import note
from tests.unit.recall.life import copied, holding
from tests.unit.recall.rooms import Rooms, rooms_at

SECRET = "The zylograph opens with quadruple seven."
REST = "The lamp in the hall is green."
TITLED = f"safe: {SECRET}"


@dataclass(frozen=True)
class Desk:
    """A room that keeps a folder in step, and what a test asks of both."""

    home: Home
    rooms: Rooms
    papers: Path

    async def read(self) -> None:
        """Until the folder was looked at, and its passages are indexed with their vectors."""
        wanted = {path.stem for path in self.papers.iterdir()} if self.papers.is_dir() else set()

        async def in_step() -> bool:
            rows = await self.rooms.engine.ground.state.read(
                "SELECT text FROM memory WHERE document_id IS NOT NULL"
            )
            return {row["text"].split(":")[0] for row in rows} == wanted

        await until(in_step, 20)
        await self.rooms.settled()

    async def watch(self, namespace: str = "papers") -> None:
        request = recall.WatchFolder(path=PathRef.of(self.papers), namespace=namespace)
        await self.rooms.do(recall.WATCH, request)
        await self.read()

    async def plan(self, *ids: int, gone: bool = True, namespace: str | None = None) -> int:
        request = Forget(ids=ids, gone=gone, namespace=namespace)
        answer = await self.rooms.client.call(recall.FORGET, request)
        assert isinstance(answer, Pending), answer
        return answer.approval_id

    async def shown(self, number: int) -> Approval:
        found: Approval = await self.rooms.do(approvals.SHOW, approvals.ApprovalId(id=number))
        return found

    async def approve(self, number: int) -> Approval:
        count = (await self.shown(number)).card.confirm_count
        request = approvals.Approve(id=number, count=count)
        found: Approval = await self.rooms.do(approvals.APPROVE, request)
        return found

    async def number_of(self, text: str) -> int:
        sql = "SELECT id FROM memory WHERE text = ?"
        return int((await self.rooms.engine.ground.state.read(sql, (text,)))[0]["id"])

    async def vector(self) -> Sequence[bytes]:
        """Of the secret, as it stands in the index's database and in its other files."""
        [found] = await self.rooms.embedder.embed([TITLED])
        unit = normal(np.asarray([found], np.float32))
        short = unit.astype(np.float16)
        return short.tobytes(), unit.tobytes(), short.astype(np.float32).tobytes()

    def telling(self, vector: Sequence[bytes]) -> list[str]:
        """The files that hold its words, its stems or its vector."""
        words = holding(self.home.data, SECRET, "zylograph", "quadrupl")
        return sorted({*words, *self.with_bytes(*vector)})

    def with_bytes(self, *wanted: bytes) -> list[str]:
        return [
            str(path.relative_to(self.home.data))
            for path in self.home.data.rglob("*")
            if path.is_file() and any(each in path.read_bytes() for each in wanted)
        ]


@asynccontextmanager
async def _desk(home: Home, papers: Path) -> AsyncIterator[Desk]:
    async with rooms_at(home, folder_seconds=1) as rooms:
        for name in ("jobs", "approvals"):
            await rooms.engine.lifecycle.ensure(name)
        yield Desk(home, rooms, papers)


@pytest.fixture
async def desk(home: Home, tmp_path: Path) -> AsyncIterator[Desk]:
    papers = tmp_path / "my papers"
    note(papers / "safe.txt", SECRET)
    note(papers / "hall.txt", REST)
    async with _desk(home, papers) as found:
        yield found


def _texts(copy: Path) -> list[str]:
    with closing(sqlite3.connect(copy)) as db:
        return [row[0] for row in db.execute("SELECT text FROM memory ORDER BY text")]


async def test_what_a_file_said_goes_from_every_place_once_somebody_says_yes(desk: Desk) -> None:
    await desk.watch()
    others = [f"Tile {n} of the hall." for n in range(BARE)]  # Enough for a graph.
    for start in range(0, BARE, 256):
        await desk.rooms.notes(others[start : start + 256], "papers")
    await desk.rooms.settled()
    number, vector = await desk.number_of(TITLED), await desk.vector()
    copy = copied(desk.home)
    await desk.rooms.index.ask("save")
    assert any(name.startswith("recall/recall.db") for name in desk.with_bytes(vector[0]))
    assert any(name.startswith("recall/vectors/") for name in desk.with_bytes(*vector[1:]))
    assert holding(copy.parent, SECRET) == [copy.name]
    (desk.papers / "safe.txt").unlink()
    await desk.read()
    before = copy.read_bytes()
    plan = await desk.plan()
    card = (await desk.shown(plan)).card
    assert (card.verb, card.subject) == ("forget", "what files no longer say")
    assert (card.headline, card.confirm_count) == ("1 memory, for good", 1)
    assert [(item.key, item.text) for item in card.items] == [(str(number), TITLED)]
    assert card.rows[0].text == "erase 1 memory, for good, from 1 copy in backups"
    assert card.rows[-1].text == "none: forgotten is forgotten"
    assert copy.read_bytes() == before

    done = await desk.approve(plan)
    assert done.outcome is not None
    assert (done.state, done.outcome.problems) == (ApprovalState.DONE, ())
    forgotten = Forgotten.model_validate(done.outcome.result)
    assert forgotten.ids == (number,)
    assert {"the database", "the index", "1 copy in backups"} <= set(forgotten.places)
    assert desk.telling(vector) == []
    assert _texts(copy) == sorted([*others, f"hall: {REST}"])
    assert (await desk.rooms.found("lamp hall", "papers"))[0] == f"hall: {REST}"


async def test_a_passage_of_a_file_that_is_there_is_refused_with_what_works(desk: Desk) -> None:
    await desk.watch("divorce-lawyer")
    number, vector = await desk.number_of(TITLED), await desk.vector()
    copied(desk.home)
    for request in (
        Forget(ids=(number,)),
        Forget(namespace="divorce-lawyer"),
    ):
        with pytest.raises(Refused, match="as long as that file says it") as caught:
            await desk.rooms.client.call(recall.FORGET, request)
        for command in ("sync", f"unwatch {shlex.quote(str(desk.papers))}", "forget --gone"):
            assert f"arcanum memory {command}" in caught.value.hint
    # A disk that is away is no reason to refuse that.
    shutil.rmtree(desk.papers)
    await desk.rooms.do(recall.UNWATCH, recall.UnwatchFolder(path=PathRef.of(desk.papers)))
    assert (await desk.approve(await desk.plan())).state is ApprovalState.DONE
    assert desk.telling(vector) == []
    # A name says something, too.
    assert (await desk.rooms.do(recall.NAMESPACES, Empty())).namespaces == ()
    with pytest.raises(NotFound):
        await desk.rooms.found("anything", "divorce-lawyer")


async def test_what_goes_after_the_card_was_made_stays_in_the_copies(desk: Desk) -> None:
    await desk.watch()
    copy = copied(desk.home)
    note(desk.papers / "safe.txt", "Nothing about that.")
    await desk.rooms.settled()

    async def followed() -> bool:
        return bool(await desk.rooms.found("nothing about", "papers"))

    await until(followed, 20)
    plan = await desk.plan()
    (desk.papers / "hall.txt").unlink()
    await desk.read()
    assert (await desk.approve(plan)).state is ApprovalState.DONE
    assert _texts(copy) == [f"hall: {REST}"]
    assert (await desk.approve(await desk.plan())).state is ApprovalState.DONE
    assert _texts(copy) == []


async def test_what_no_copy_remembers_is_cleaned_away_all_the_same(desk: Desk) -> None:
    with pytest.raises(Invalid, match="not clear"):
        await desk.plan(1)
    with pytest.raises(NotFound, match="Nothing is gone"):
        await desk.plan()
    await desk.watch()
    number, vector = await desk.number_of(TITLED), await desk.vector()
    approvals_desk = desk.rooms.engine.ground.use(ApprovalDesk)  # type: ignore[type-abstract]
    card = Card(verb="SEND", subject="there", headline="9 tokens", rows=())
    recalled = [json.dumps({"id": number})]
    payload = {"messages": [["user", f"Facts: {SECRET.upper()}"]], "recalled": recalled}
    sent = await approvals_desk.submit(
        "agent0.ask", Draft({"text": "?"}, payload, ({"model": "m"},), card), Call()
    )
    (desk.papers / "safe.txt").unlink()
    await desk.read()
    # It remembers the passage no more; its plans and its free space do.
    copy = copied(desk.home)
    assert holding(copy.parent, SECRET.upper()) == [copy.name]
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("INSERT INTO setting (name, value) VALUES ('x', ?)", (SECRET,))
        db.execute("DELETE FROM setting WHERE name = 'x'")
    assert holding(copy.parent, SECRET) == [copy.name]
    plan = await desk.plan()
    shown = (await desk.shown(plan)).card
    assert (shown.headline, shown.items, shown.confirm_count) == (
        "no copy remembers any of it", (), None,
    )  # fmt: skip
    done = await desk.approve(plan)
    assert (done.state, done.outcome and done.outcome.problems) == (ApprovalState.DONE, ())
    assert desk.telling(vector) == []
    assert holding(desk.home.data, SECRET.upper()) == []
    assert (await desk.shown(sent)).card.headline == "9 tokens"


async def test_a_copy_that_cannot_be_read_is_told_before_and_after(desk: Desk) -> None:
    await desk.watch()
    good, bad = copied(desk.home, "a.db"), copied(desk.home, "b.db")
    bad.write_bytes(b"no database " + SECRET.encode())
    (desk.papers / "safe.txt").unlink()
    await desk.read()
    plan = await desk.plan()
    rows = [row.text for row in (await desk.shown(plan)).card.rows if row.label == "RISK"]
    assert any(text.startswith(f"{bad} could not be looked through: ") for text in rows)
    done = await desk.approve(plan)
    assert done.state is ApprovalState.PARTIAL
    assert done.outcome is not None
    assert [problem.split(" (")[0] for problem in done.outcome.problems] == [
        f"{bad} could not be cleaned"
    ]
    assert _texts(good) == [f"hall: {REST}"]
