"""States of a hosted model, and harm that comes at the wrong moment."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from backends.hosted.keeping import Keeper
from backends.hosted.running import Running
from backends.wrappers.compose import wrap
from engine.contract.backend import (
    Message,
    ModelState,
)
from engine.contract.errors import ModelFailed
from tests.fakes.hosted import hit
from tests.fakes.llama_server import bundled
from tests.fakes.runs import OTHER, Runs, kept, says
from tests.fakes.waiting import until

pytestmark = pytest.mark.model


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[Runs]:
    made = Runs(bundled(), tmp_path)
    yield made
    await made.end()


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_process_that_is_harmed_while_it_saves_costs_only_the_state(
    runs: Runs, harm: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = runs.start()
    answer, _ = await says(backend)
    act = Keeper._act

    async def harmed(self: Keeper, slot: Any, action: str, file: str = "") -> Any:
        if action == "save":
            pid = backend.info().pid
            assert pid is not None
            os.kill(pid, harm)
            monkeypatch.setattr(Keeper, "_act", act)
        return await act(self, slot, action, file)

    monkeypatch.setattr(Keeper, "_act", harmed)
    async with asyncio.timeout(10):
        await backend.unload()
    assert backend.info().state is not ModelState.READY
    assert (await says(backend))[0] == answer


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (signal.SIGSEGV, "SIGSEGV"),
        (signal.SIGKILL, "SIGKILL"),
        (signal.SIGSTOP, "no sign of life"),
    ],
)
async def test_a_restore_that_ends_the_process_is_not_tried_again(
    runs: Runs, harm: signal.Signals, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = runs.start()
    answer, _ = await says(backend)
    await backend.unload()
    act = Keeper._act

    async def harmed(self: Keeper, slot: Any, action: str, file: str = "") -> Any:
        if action == "restore":
            pid = backend.info().pid
            assert pid is not None
            os.kill(pid, harm)
        return await act(self, slot, action, file)

    monkeypatch.setattr(Keeper, "_act", harmed)
    with pytest.raises(ModelFailed, match=told):
        async with asyncio.timeout(10):
            await says(backend)
    again, usage = await says(backend)
    assert again == answer
    assert usage.cached_tokens == 0


async def test_leaving_at_any_stage_harms_nobody(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = runs.start(parallel=1)

    async def left(reached: Callable[[], bool]) -> None:
        task = asyncio.create_task(says(backend, most=500))
        await until(reached)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    await left(lambda: backend.info().state is ModelState.LOADING)
    answer, _ = await says(backend)
    await runs.rested("ana")
    stages: list[str] = []
    act = Keeper._act

    async def noted(self: Keeper, slot: Any, action: str, file: str = "") -> Any:
        stages.append(action)
        return await act(self, slot, action, file)

    monkeypatch.setattr(Keeper, "_act", noted)
    await says(backend, OTHER, "ben", 60)
    await left(lambda: "restore" in stages)
    assert (await says(backend))[0] == answer
    await says(backend, OTHER, "ben", 60)
    stages.clear()
    await left(lambda: "save" in stages)
    assert (await says(backend))[0] == answer
    await backend.save()
    assert len(runs.states()) == 2, "one for each of the two"


async def test_who_asks_while_it_is_unloaded_is_served(runs: Runs) -> None:
    backend = runs.start()
    answer, _ = await says(backend)
    pid = backend.info().pid
    leaving = asyncio.create_task(backend.unload())
    await asyncio.sleep(0)
    again, usage = await says(backend)
    await leaving
    assert again == answer
    assert kept(usage)
    assert backend.info().pid != pid


async def test_memory_is_given_back(runs: Runs) -> None:
    own = psutil.Process()
    backend = runs.start()
    await backend.load()
    before = own.memory_full_info().uss
    await says(backend)
    pid = backend.info().pid
    assert pid is not None
    assert psutil.Process(pid).memory_info().rss > 100_000_000
    await backend.unload()
    assert not psutil.pid_exists(pid)
    assert own.memory_full_info().uss - before < 20_000_000


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
async def test_harm_between_the_look_and_the_question_costs_no_question_either(
    runs: Runs, harm: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = runs.start()
    backend = wrap(inner, lambda _: None)
    answer, _ = await says(backend)
    await runs.rested("ana")
    pid = backend.info().pid
    count = Running.count

    async def harmed(self: Running, messages: Sequence[Message], *, again: bool = True) -> int:
        tokens = await count(self, messages, again=again)
        monkeypatch.undo()
        await hit(inner, harm)
        return tokens

    monkeypatch.setattr(Running, "count", harmed)
    again, usage = await says(backend)
    assert again == answer
    assert kept(usage)
    assert backend.info().pid != pid
