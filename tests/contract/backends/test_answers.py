"""Answers of every backend: their pieces, their ends, and who leaves before that."""

from __future__ import annotations

import asyncio

import pytest

from engine.contract.backend import (
    ModelState,
)
from tests.fakes.subjects import (
    LONG,
    Subject,
    ask,
    leaves,
    pieces_of,
    real,
    text_of,
    usage_of,
)
from tests.fakes.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_answer_comes_in_pieces_to_its_end(subject: Subject) -> None:
    pieces = await pieces_of(subject.backend, ask("Say hello.", 120))
    assert text_of(pieces).strip()
    assert pieces[-1].finish == ("stop" if subject.kind.ends else "length")
    assert sum(1 for piece in pieces if piece.text) > 1
    assert 0 < usage_of(pieces).new_tokens <= 120
    info = subject.backend.info()
    assert info.state is ModelState.READY
    assert info.library or not subject.kind.real
    assert info.parallel >= 1


async def test_greedy_decoding_repeats_itself(subject: Subject) -> None:
    first = await pieces_of(subject.backend, ask("What is the capital of France?"))
    again = await pieces_of(subject.backend, ask("What is the capital of France?"))
    assert text_of(again) == text_of(first)
    if not subject.kind.ends or not subject.kind.real:
        return
    assert "Paris" in text_of(first)


async def test_no_more_than_max_tokens(subject: Subject) -> None:
    pieces = await pieces_of(subject.backend, ask(LONG, 5))
    assert text_of(pieces)
    assert pieces[-1].finish == "length"
    assert usage_of(pieces).new_tokens == 5


@pytest.mark.only(of=real)
async def test_an_answer_ends_before_a_stop_string(subject: Subject) -> None:
    whole = text_of(await pieces_of(subject.backend, ask(LONG, 30)))
    middle = len(whole) // 2
    stop = whole[middle : middle + 4]
    cut = await pieces_of(subject.backend, ask(LONG, 30, stop=("never said", stop)))
    assert text_of(cut) == whole[: whole.index(stop)]
    assert cut[-1].finish == "stop"


async def test_temperature_is_no_obstacle(subject: Subject) -> None:
    pieces = await pieces_of(subject.backend, ask("Write a word.", 4, temperature=0.8))
    assert usage_of(pieces).new_tokens <= 4


async def test_leaving_mid_answer_stops_the_generation(subject: Subject) -> None:
    async with subject.backend.stream(ask(LONG, 2000)) as pieces:
        async for _ in pieces:
            break
    # 2,000 tokens take many seconds: it is idle because it was stopped, not because it is done.
    await until(lambda: subject.seen.busy() == 0, within_s=5)
    assert text_of(await pieces_of(subject.backend, ask("Hello", 5)))


async def test_cancelling_the_asker_stops_the_generation(subject: Subject) -> None:
    begun = asyncio.Event()

    async def asking() -> None:
        async with subject.backend.stream(ask(LONG, 2000)) as pieces:
            async for _ in pieces:
                begun.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(asking())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: subject.seen.busy() == 0, within_s=5)


@pytest.mark.only(of=leaves)
async def test_leaving_while_the_prompt_is_read_stops_the_reading(subject: Subject) -> None:
    await subject.backend.load()
    task = asyncio.create_task(pieces_of(subject.backend, ask("Once upon a time. " * 1500)))
    await until(lambda: subject.seen.busy() == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: subject.seen.busy() == 0, within_s=15)
    assert text_of(await pieces_of(subject.backend, ask("Hello", 5)))


async def test_several_answers_at_a_time(subject: Subject) -> None:
    await subject.backend.load()
    together = subject.backend.info().parallel > 1
    arrivals: list[str] = []

    async def listen(name: str) -> None:
        async with subject.backend.stream(ask(LONG, 40)) as pieces:
            async for _ in pieces:
                arrivals.append(name)
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(listen("a"))
        group.create_task(listen("b"))
    first_end = min(len(arrivals) - arrivals[::-1].index(each) for each in "ab")
    both = set(arrivals[: first_end - 1]) == {"a", "b"}
    assert both == together, "both write before either is done, or one after the other"
