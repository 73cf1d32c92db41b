"""The room after a restart, with an index that dies, and without a model; many at once."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from typing import Any

import psutil
import pytest

from engine.contract import engine as status_words
from engine.contract import jobs, recall
from engine.contract.base import Empty
from engine.contract.errors import Internal, Refused, StoreFailed, Unavailable
from engine.contract.memories import RecallHit
from engine.home import Home
from engine.recall.indexer import IndexWorker
from engine.worker.frames import Frame
from engine.worker.process import with_huge_pages
from tests.fakes.embedder import HashedEmbedder
from tests.fakes.waiting import until
from tests.unit.recall.damage import flip
from tests.unit.recall.rooms import Rooms, rooms_at


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


async def test_a_damaged_index_is_made_again_and_told_without_a_word_of_it(
    home: Home, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rooms_at(home, embedding="none") as rooms:
        await rooms.notes(["The kettle is in the pantry.", "My bicycle is turquoise."])
        await rooms.settled_words()
    flip(home.data / "recall" / "recall.db", b"kettl")
    async with rooms_at(home, embedding="none") as rooms:
        told: list[str] = []
        tell = rooms.index._tell

        def noted() -> None:
            tell()
            told.append(f"{rooms.index.state} {rooms.index.why}")

        monkeypatch.setattr(rooms.index, "_tell", noted)
        assert (await rooms.found("bicycle"))[0] == "My bicycle is turquoise."
        assert any(line.startswith("building it was damaged") for line in told)
        await until(lambda: not rooms.index.damaged)
        assert (await rooms.found("kettle"))[0] == "The kettle is in the pantry."
        assert (await rooms.stats()).note == "memory.embedding is none"
        rooms.index.damaged = "recall.db"  # As long as it lasts.
        status = await rooms.do(status_words.STATUS, Empty())
        (concern,) = [line for line in status.concerns if line.subject == "memory"]
        assert concern.severity == "unknown"
        assert "damaged, and is being made again" in concern.text
    assert "the index was damaged" in caplog.text
    assert not [line for line in (*told, *caplog.messages) if "kett" in line or "bicyc" in line]


async def test_what_is_in_the_way_of_the_index_is_named_until_it_is_gone(home: Home) -> None:
    folder = home.data / "recall"
    async with rooms_at(home, embedding="none") as rooms:
        number = await rooms.note("My bike is turquoise.")
    folder.write_text("A file.")
    async with rooms_at(home, embedding="none") as rooms:
        for _ in range(8):  # more often than an index may die
            with pytest.raises(Unavailable, match=re.escape(str(folder))):
                await rooms.found("bike")
        status = await rooms.do(status_words.STATUS, Empty())
        (concern,) = [line for line in status.concerns if line.subject == "memory"]
        assert (concern.severity, str(folder) in concern.text) == ("broken", True)
        folder.unlink()
        assert [hit.id for hit in await rooms.hits("bike")] == [number]
        status = await rooms.do(status_words.STATUS, Empty())
        assert [line for line in status.concerns if line.subject == "memory"] == []


async def test_a_disk_that_is_full_is_named_to_who_searches(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await rooms.note("My bike is turquoise.")
    await rooms.settled()
    answer = rooms.index._answer
    why = f"{rooms.engine.ground.home.data}/recall/recall.db: database or disk is full"

    async def full(do: str, within_s: float, fields: Frame) -> Frame:
        found = await answer(do, within_s, fields)
        failed = {"k": "failed", "message": why, "again": False, "disk": True}
        return failed if do == "search" else found

    with monkeypatch.context() as patch:
        patch.setattr(rooms.index, "_answer", full)
        with pytest.raises(Unavailable, match=re.escape(f"cannot be kept: {why}.")):
            await rooms.found("bike")
    assert [hit.id for hit in await rooms.hits("bike")] == [number]


async def test_meanings_find_at_once_where_the_index_was_in_the_way(home: Home) -> None:
    folder = home.data / "recall"
    home.prepare()
    folder.write_text("A file.")
    async with rooms_at(home) as rooms:
        await rooms.note("My bike is turquoise.")
        with pytest.raises(Unavailable, match="cannot be kept"):
            await rooms.found("bike")
        folder.unlink()
        await rooms.settled()
        request = recall.Search(query="bike", namespace="a")
        found: recall.SearchResult = await rooms.do(recall.SEARCH, request)
        assert found.hits[0].parts.dense > 0
        assert found.partial == ""


async def test_a_defect_quotes_no_memory(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    number = await rooms.note("The kettle is in the pantry.")

    def quoting(row: Any, *_more: Any) -> Any:
        raise ValueError(f"no such thing: {row['text']}")

    monkeypatch.setattr("engine.recall.book.memory", quoting)
    with pytest.raises(Internal) as caught:
        await rooms.show(number)
    assert caught.value.message == "recall.show: ValueError in engine.recall.showing:<listcomp>."


async def test_a_text_of_the_database_that_is_none_is_not_quoted(rooms: Rooms) -> None:
    number = await rooms.note("The kettle is in the pantry.")
    sql = "UPDATE memory SET text = CAST(x'6b6574746c65ff' AS TEXT) WHERE id = ?"
    await rooms.engine.ground.state.write(lambda tx: tx.execute(sql, (number,)))
    with pytest.raises(StoreFailed, match="a text in it is damaged") as caught:
        await rooms.show(number)
    assert "kettle" not in str(caught.value)


async def test_what_it_died_of_is_told_with_how_often(rooms: Rooms) -> None:
    await rooms.note("My bike is turquoise.")
    for number in range(6):
        os.kill(await rooms.worker(), signal.SIGKILL)
        await until(lambda number=number: len(rooms.index._deaths) > number, 10)  # type: ignore[misc]
    with pytest.raises(Unavailable, match=r"ended 6 times within 5 minutes.*signal 9"):
        await rooms.found("bike")


async def test_the_end_of_one_index_is_heard_before_the_next_one_starts(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rooms.note("My bike is turquoise.")
    await rooms.settled()
    first, take = await rooms.worker(), rooms.index._take
    told, heard = asyncio.Event(), asyncio.Event()

    async def late(frame: Frame) -> None:
        told.set()
        await heard.wait()
        await take(frame)

    known: list[int] = []
    start = IndexWorker.start

    async def started(module: str) -> IndexWorker:
        known.append(len(rooms.index._deaths))
        return await start(module)

    monkeypatch.setattr(rooms.index, "_take", late)
    monkeypatch.setattr(IndexWorker, "start", started)
    asked = [asyncio.create_task(rooms.stats())]
    await told.wait()
    os.kill(first, signal.SIGKILL)
    await until(lambda: rooms.index._worker is not None and not rooms.index._worker.alive)
    asked.append(asyncio.create_task(rooms.stats()))
    await asyncio.sleep(0.1)
    heard.set()
    await asyncio.gather(*asked)
    assert known == [1]
    assert await rooms.worker() != first


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
async def test_the_index_asks_for_large_pages_beside_what_its_user_set(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_for = psutil.Process(await rooms.worker()).environ()["GLIBC_TUNABLES"]
    assert set_for == "glibc.malloc.hugetlb=1"
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=1")
    assert with_huge_pages()["GLIBC_TUNABLES"] == f"{set_for}:glibc.malloc.arena_max=1"


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


@pytest.mark.parametrize("embedding", ["bundled", "none"])
async def test_many_without_vectors_are_a_concern_unless_none_are_wanted(
    home: Home, embedding: str
) -> None:
    broken = HashedEmbedder(error=Unavailable("The model is away", "Put it back."))
    async with rooms_at(home, broken, embedding=embedding) as rooms:
        for first in (0, 501):
            await rooms.notes([f"Berth {n} of the harbour." for n in range(first, first + 501)])

        async def is_indexed() -> bool:
            stats = await rooms.stats()
            return not stats.waiting and bool(rooms.index.lexical_because)

        await until(is_indexed)
        status = await rooms.do(status_words.STATUS, Empty())
        found = [line.text for line in status.concerns if line.subject == "memory"]
        told = "1,002 memories are found by their words alone yet: The model is away. Put it back."
        assert found == ([] if embedding == "none" else [told])


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
