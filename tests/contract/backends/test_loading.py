"""Loading and unloading every backend."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from engine.contract.backend import (
    ModelState,
)
from engine.contract.errors import ArcanumError
from tests.fakes.subjects import (
    LONG,
    Subject,
    ask,
    pieces_of,
    real,
    text_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_ten_simultaneous_loads_load_once(subject: Subject) -> None:
    await subject.backend.unload()
    before = subject.seen.loads() if subject.seen.loads else 0
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(subject.backend.load())
    if subject.seen.loads:
        assert subject.seen.loads() == before + 1
    assert subject.backend.info().state is ModelState.READY


async def test_unloading_frees_it_and_the_next_question_loads_it(subject: Subject) -> None:
    await subject.backend.load()
    pid = subject.backend.info().pid
    await subject.backend.unload()
    assert subject.backend.info().state is ModelState.UNLOADED
    assert pid is None or not psutil.pid_exists(pid)
    await subject.backend.unload()
    assert text_of(await pieces_of(subject.backend, ask("Hello", 5)))


@pytest.mark.only(of=real)
async def test_unloading_mid_answer_is_one_error_that_people_understand(subject: Subject) -> None:
    with pytest.raises(ArcanumError) as caught:
        async with subject.backend.stream(ask(LONG, 2000)) as pieces:
            await anext(pieces)
            await subject.backend.unload()
            async for _ in pieces:
                pass
    assert caught.value.message
    assert caught.value.hint
    assert text_of(await pieces_of(subject.backend, ask("Hello", 5)))
