"""The whole room, spoken to as the faces and the other rooms do; vectors are of hashed stems."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from engine.clients.local import LocalClient
from engine.config import Config, MemoryConfig
from engine.contract import engine as status_words
from engine.contract import jobs, recall
from engine.contract.base import Empty, Wire
from engine.contract.call import Call
from engine.contract.errors import NotFound, Refused, Unavailable
from engine.contract.memories import Memory, Note, RecallHit, Stats
from engine.contract.operation import Operation
from engine.contract.ports import Recall, TurnLog
from engine.core.engine import Engine
from engine.home import Home
from engine.recall.indexer import Index
from tests.fakes.embedder import HashedEmbedder
from tests.fakes.house import done
from tests.fakes.models import RehearsedCatalog
from tests.fakes.waiting import until


@dataclass(frozen=True)
class Rooms:
    client: LocalClient
    engine: Engine
    embedder: HashedEmbedder

    async def do(self, operation: Operation[Any, Any], request: Wire) -> Any:
        return await done(self.client, operation, request)

    async def note(self, text: str, namespace: str = "a", **fields: Any) -> int:
        return (await self.notes([text], namespace, **fields))[0]

    async def notes(self, texts: Sequence[str], namespace: str = "a", **fields: Any) -> list[int]:
        notes = tuple(Note(text=text, **fields) for text in texts)
        added = await self.do(recall.ADD, recall.AddNotes(namespace=namespace, notes=notes))
        return list(added.ids)

    async def say(self, session: str, text: str, *, after: int | None = None) -> int:
        """A question that was answered; its turn."""
        await self.engine.lifecycle.ensure("memory")
        log = self.engine.ground.use(TurnLog)  # type: ignore[type-abstract]
        turn = await log.open(session, text, Call(), after=after)
        return (await log.close(turn, "done", "Noted.", "", "m")).id

    async def hits(self, query: str, namespace: str = "a", **more: Any) -> list[RecallHit]:
        request = recall.Search(query=query, namespace=namespace, **more)
        return list((await self.do(recall.SEARCH, request)).hits)

    async def found(self, query: str, namespace: str = "a", **more: Any) -> list[str]:
        return [hit.text for hit in await self.hits(query, namespace, **more)]

    async def show(self, number: int) -> Memory:
        shown: recall.Shown = await self.do(recall.SHOW, recall.OneMemory(id=number))
        return shown.memory

    async def stats(self) -> Stats:
        found: Stats = await self.do(recall.STATS, Empty())
        return found

    async def settled(self) -> Stats:
        """Once everything is indexed and embedded, and every verdict is written down."""

        async def is_settled() -> bool:
            stats = await self.stats()
            return not stats.waiting and not stats.to_embed

        await until(is_settled, 20)
        return await self.stats()

    async def state_of(self, number: int, state: str) -> Memory:
        async def is_so() -> bool:
            return (await self.show(number)).state == state

        await until(is_so, 10)
        return await self.show(number)

    @property
    def port(self) -> Recall:
        return self.engine.ground.use(Recall)  # type: ignore[type-abstract]

    @property
    def index(self) -> Index:
        searching: Any = self.port
        found: Index = searching._index
        return found

    async def worker(self) -> int:
        """The process of the index."""
        await self.stats()
        assert self.index._worker is not None
        return self.index._worker.pid


@asynccontextmanager
async def rooms_at(
    home: Home, embedder: HashedEmbedder | None = None, **memory: Any
) -> AsyncIterator[Rooms]:
    home.prepare()
    embedder = embedder or HashedEmbedder()
    config = Config(memory=MemoryConfig(**memory))
    engine = Engine(home, config, RehearsedCatalog({}, embedder=embedder), "command")
    await engine.open()
    try:
        await engine.lifecycle.ensure("recall")
        yield Rooms(LocalClient(engine), engine, embedder)
    finally:
        await engine.stop()


@pytest.fixture
async def rooms(home: Home) -> AsyncIterator[Rooms]:
    async with rooms_at(home) as opened:
        yield opened


# --- what is told is found ----------------------------------------------------------------------


async def test_a_note_is_found_with_what_its_score_is_made_of(rooms: Rooms) -> None:
    number = await rooms.note("My bike is turquoise.", speaker="Ann", source="diary", ref="7")
    (hit,) = await rooms.hits("which colour has the bike?")
    assert (hit.id, hit.speaker, hit.source, hit.ref) == (number, "Ann", "diary", "7")
    parts = hit.parts
    total = parts.lexical + parts.dense + parts.neighbours + parts.time + parts.entities
    assert hit.score == pytest.approx(total)
    assert parts.lexical > 0


async def test_the_same_note_with_a_ref_is_added_once(rooms: Rooms) -> None:
    first = await rooms.notes(["One.", "Two."], ref="r")
    assert first[0] == first[1]
    assert await rooms.notes(["One again."], ref="r") == first[:1]
    assert await rooms.found("one") == ["One."]


async def test_what_a_conversation_is_told_belongs_to_it(rooms: Rooms) -> None:
    await rooms.say("a", "My bike is turquoise.")
    await rooms.note("The bike shop opens at nine.", "a")
    await rooms.note("My boat is green.", "b")
    assert set(await rooms.found("bike")) == {
        "My bike is turquoise.",
        "The bike shop opens at nine.",
    }
    assert await rooms.found("bike", "b") == []
    names = (await rooms.do(recall.NAMESPACES, Empty())).namespaces
    told = {(one.name, one.memories, one.conversation) for one in names}
    assert told == {("a", 2, True), ("b", 1, False)}


async def test_nothing_was_remembered_yet(rooms: Rooms) -> None:
    assert await rooms.found("anything", "main") == []
    with pytest.raises(NotFound, match="'nowhere'"):
        await rooms.found("anything", "nowhere")


async def test_memories_come_in_pages_and_one_with_what_stood_around_it(rooms: Rooms) -> None:
    ids = await rooms.notes([f"Line {n}." for n in range(7)])
    page = await rooms.do(recall.LIST, recall.ListMemories(namespace="a", limit=3))
    assert ([one.id for one in page.memories], page.total) == (ids[:-4:-1], 7)
    request = recall.ListMemories(namespace="a", limit=3, before=page.memories[-1].id)
    assert [one.id for one in (await rooms.do(recall.LIST, request)).memories] == ids[3:0:-1]
    shown = await rooms.do(recall.SHOW, recall.OneMemory(id=ids[3]))
    assert [one.id for one in shown.around] == ids
    with pytest.raises(NotFound, match="no memory 999"):
        await rooms.show(999)


# --- pinned, edited -----------------------------------------------------------------------------


async def test_what_is_pinned_is_seen_from_every_namespace(rooms: Rooms) -> None:
    number = await rooms.note("The house key is under the blue stone.", "a")
    await rooms.say("b", "Hello.")
    key = "The house key is under the blue stone."
    assert key not in await rooms.found("house key", "b")
    assert (await rooms.do(recall.PIN, recall.Pin(id=number))).pinned
    assert (await rooms.found("house key", "b"))[0] == key
    (told,) = await rooms.port.recall("b", "Where is the house key?", 3)
    assert told.id == number
    await rooms.do(recall.PIN, recall.Pin(id=number, off=True))
    assert key not in await rooms.found("house key", "b")


async def test_an_edit_keeps_what_was_there(rooms: Rooms) -> None:
    number = await rooms.note("My bike is turqoise.")
    request = recall.Edit(id=number, text="My bike is turquoise.", importance=0.9)
    edited: Memory = await rooms.do(recall.EDIT, request)
    assert (edited.text, edited.importance) == ("My bike is turquoise.", 0.9)
    assert [(old.text, old.how) for old in edited.replaces] == [
        ("My bike is turqoise.", "replaced")
    ]
    assert await rooms.found("turquoise") == ["My bike is turquoise."]
    assert await rooms.found("turqoise") == []


# --- what takes whose place ---------------------------------------------------------------------


async def test_the_newer_statement_wins_and_says_what_it_replaced(rooms: Rooms) -> None:
    old = await rooms.say("a", "My bike is turquoise.")
    await rooms.say("a", "I live in Lisbon.")
    await rooms.say("a", "My bike is red now.")
    first = (await rooms.hits("Lisbon"))[0].id - 1
    assert (await rooms.state_of(first, "replaced")).turn_id == old
    hits = await rooms.hits("what colour is my bike")
    assert hits[0].text == "My bike is red now."
    assert [one.text for one in hits[0].replaces] == ["My bike is turquoise."]
    assert "My bike is turquoise." not in [hit.text for hit in hits]


async def test_what_a_person_brings_back_stays(rooms: Rooms) -> None:
    old = await rooms.note("My bike is turquoise.")
    new = await rooms.note("My bike is red now.")
    await rooms.state_of(old, "replaced")
    restored = await rooms.do(recall.RESTORE, recall.Restore(ids=(old,)))
    assert restored.ids == (old,)
    await rooms.note("Something else.")
    await rooms.settled()
    assert (await rooms.show(old)).state == (await rooms.show(new)).state == "live"
    assert len(await rooms.found("bike")) >= 2


async def test_the_same_said_again_is_one_memory(rooms: Rooms) -> None:
    old = await rooms.note("My sister Marta plays the cello.", pinned=True)
    new = await rooms.note("my sister marta plays the cello!")
    assert (await rooms.state_of(old, "merged")).replaced_by == new
    kept = await rooms.show(new)
    assert kept.pinned  # what the older one was worth goes over to it
    assert [one.how for one in kept.replaces] == ["merged"]


async def test_another_branch_knows_nothing_of_it(rooms: Rooms) -> None:
    one = await rooms.say("a", "Hello.")
    await rooms.say("a", "My bike is turquoise.")
    await rooms.say("a", "My bike is red now.", after=one)
    stats = await rooms.settled()
    assert (stats.replaced, stats.merged) == (0, 0)


# --- a chat -------------------------------------------------------------------------------------


async def test_a_chat_is_told_what_bears_on_its_question_alone(rooms: Rooms) -> None:
    for text in ("My bike is turquoise.", "I live in Lisbon.", "Good morning.", "Tell a joke."):
        await rooms.say("a", text)
    told = await rooms.port.recall("a", "What colour is my bike?", 3)
    assert [hit.text for hit in told] == ["My bike is turquoise."]
    await rooms.port.used([told[0].id])
    used = await rooms.show(told[0].id)
    assert used.uses == 1
    assert used.used_at is not None


async def test_an_archived_memory_is_recalled_and_lives_again(rooms: Rooms) -> None:
    number = await rooms.note("The red kite flies.", importance=0.1)
    await rooms.settled()
    started = await rooms.do(recall.ARCHIVE, recall.Archive(days=0))
    async with rooms.client.stream(jobs.FOLLOW, jobs.JobId(id=started.job_id)) as states:
        async for _ in states:
            pass
    assert (await rooms.show(number)).state == "archived"
    await rooms.say("a", "Hello there.")
    (told,) = await rooms.port.recall("a", "What flies, the kite?", 3)
    assert (told.id, told.text) == (number, "The red kite flies.")
    await rooms.port.used([number])
    assert (await rooms.show(number)).state == "live"


# --- it goes on ---------------------------------------------------------------------------------


async def test_the_same_is_found_after_a_restart(home: Home) -> None:
    texts = [f"{word} number {n} of the harbour" for n, word in enumerate("abcdefghij")]
    async with rooms_at(home) as rooms:
        await rooms.notes(texts)
        await rooms.settled()
        before = [(hit.id, hit.score) for hit in await rooms.hits("harbour number", limit=50)]
    async with rooms_at(home) as rooms:
        assert [(h.id, h.score) for h in await rooms.hits("harbour number", limit=50)] == before
        assert len(rooms.embedder.embedded) <= 2  # the first text and the query: nothing anew


async def test_a_killed_index_costs_nothing(rooms: Rooms) -> None:
    number = await rooms.note("My bike is turquoise.")
    await rooms.settled()
    for _ in range(2):
        os.kill(await rooms.worker(), signal.SIGKILL)
        assert [hit.id for hit in await rooms.hits("bike")] == [number]
    status = await rooms.do(status_words.STATUS, Empty())
    assert [line for line in status.concerns if line.subject == "memory"] == []


async def test_an_index_that_dies_of_its_files_loses_them_and_works(home: Home) -> None:
    async with rooms_at(home) as rooms:
        number = await rooms.note("My bike is turquoise.")
        await rooms.settled()
        for _ in range(5):  # as often as costs the parts, and then the database of the index
            os.kill(await rooms.worker(), signal.SIGKILL)
        await rooms.settled()
        assert [hit.id for hit in await rooms.hits("bike")] == [number]


async def test_an_index_that_cannot_run_is_told_and_costs_the_search_alone(rooms: Rooms) -> None:
    await rooms.note("My bike is turquoise.")
    for number in range(6):
        os.kill(await rooms.worker(), signal.SIGKILL)
        await until(lambda number=number: len(rooms.index._deaths) > number, 10)  # type: ignore[misc]
    with pytest.raises(Unavailable, match="index of memories"):
        await rooms.found("bike")
    status = await rooms.do(status_words.STATUS, Empty())
    (concern,) = [line for line in status.concerns if line.subject == "memory"]
    assert concern.severity == "broken"
    assert await rooms.note("Still written down.") > 0
    assert (await rooms.stats()).index == "failed"


async def test_without_a_model_words_must_do_and_it_is_said(home: Home) -> None:
    broken = HashedEmbedder(error=Unavailable("The model is not installed.", "make setup"))
    async with rooms_at(home, broken) as rooms:
        await rooms.note("My bike is turquoise.")
        request = recall.Search(query="bike", namespace="a")
        found: recall.SearchResult = await rooms.do(recall.SEARCH, request)
        assert [hit.text for hit in found.hits] == ["My bike is turquoise."]
        assert "words alone" in found.partial
        assert "not installed" in found.partial
        assert (await rooms.stats()).index == "lexical"


async def test_a_model_elsewhere_gets_nothing(home: Home) -> None:
    class Remote(HashedEmbedder):
        def info(self) -> Any:
            from dataclasses import replace

            return replace(super().info(), local=False)

    remote = Remote()
    async with rooms_at(home, remote) as rooms:
        await rooms.note("My bike is turquoise.")
        assert await rooms.found("bike") == ["My bike is turquoise."]
        assert remote.embedded == []
        assert "would leave this machine" in (await rooms.stats()).note


async def test_another_model_embeds_everything_anew_in_the_background(home: Home) -> None:
    async with rooms_at(home) as rooms:
        await rooms.notes([f"Fact {n} of the harbour." for n in range(20)])
        assert (await rooms.settled()).embedding == "hashed stems"
    async with rooms_at(home, HashedEmbedder("another model")) as rooms:
        assert len(await rooms.found("harbour", limit=50)) == 20
        stats = await rooms.settled()
        assert (stats.embedding, stats.vectors) == ("another model", 20)


async def test_a_rebuild_finds_the_same(rooms: Rooms) -> None:
    await rooms.notes([f"Fact {n} of the harbour." for n in range(20)])
    await rooms.settled()
    before = [hit.id for hit in await rooms.hits("harbour fact 7")]
    started = await rooms.do(recall.REBUILD, Empty())
    async with rooms.client.stream(jobs.FOLLOW, jobs.JobId(id=started.job_id)) as states:
        async for _ in states:
            pass
    await rooms.settled()
    assert [hit.id for hit in await rooms.hits("harbour fact 7")] == before


async def test_what_waits_is_a_metric_and_too_much_of_it_a_concern(rooms: Rooms) -> None:
    await rooms.note("One.")
    await rooms.settled()
    os.kill(await rooms.worker(), signal.SIGSTOP)
    try:
        await rooms.notes(["Something to index."] * 5)
        rooms.index.waiting = 1_001  # as the worker tells it
        rooms.index._tell()
        status = await rooms.do(status_words.STATUS, Empty())
        (concern,) = [line for line in status.concerns if line.subject == "memory"]
        assert "1,001 memories are not in the index yet" in concern.text
        text = rooms.engine.ground.metrics.text()
        assert "arcanum_memories_waiting 1001.0" in text
        assert rooms.engine.ground.queues["memories"]() == (1_001, 1_000)
    finally:
        assert rooms.index._worker is not None
        os.kill(rooms.index._worker.pid, signal.SIGCONT)


async def test_many_searches_and_writes_at_once(rooms: Rooms) -> None:
    async def write(number: int) -> None:
        await rooms.notes(
            [f"Fact {number}-{n} of the harbour." for n in range(10)], f"n{number % 3}"
        )

    async def search(number: int) -> list[RecallHit]:
        return await rooms.hits("harbour fact", f"n{number % 3}", limit=100)

    await asyncio.gather(*(write(number) for number in range(3)))
    found = await asyncio.gather(
        *(write(number) for number in range(12)), *(search(number) for number in range(20))
    )
    for number, hits in enumerate(found[12:]):
        assert hits
        assert {hit.namespace for hit in hits or ()} == {f"n{number % 3}"}


async def test_a_conversation_keeps_its_memories_under_another_name(rooms: Rooms) -> None:
    from engine.contract import memory

    await rooms.say("a", "My bike is turquoise.")
    await rooms.note("Only notes.", "notes")
    await rooms.do(memory.RENAME, memory.RenameSession(session="a", to="bikes"))
    assert await rooms.found("bike", "bikes") == ["My bike is turquoise."]
    with pytest.raises(Refused, match="mixed"):
        await rooms.do(memory.RENAME, memory.RenameSession(session="bikes", to="notes"))
    await rooms.say("notes", "Hello.")  # a conversation may begin where notes are
    assert set(await rooms.found("notes hello", "notes")) == {"Only notes.", "Hello."}
