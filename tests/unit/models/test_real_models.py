"""Two copies of the real small model in the memory of one and a half."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from backends.registry import Catalog, ModelSettings
from engine.clients.local import LocalClient
from engine.config import Config, ModelConfig
from engine.contract import agent0, jobs, model
from engine.contract.base import Empty
from engine.contract.engine import STATUS
from engine.contract.errors import Unavailable
from engine.contract.jobs import Job, JobId, JobStarted
from engine.contract.model import ModelInfo
from engine.home import Home
from tests.fakes.house import done
from tests.fakes.llama_server import bundled
from tests.fakes.models import engine_with
from tests.fakes.waiting import until

pytestmark = pytest.mark.model
MIB = 1024 * 1024


def processes() -> set[int]:
    """The children of this process."""
    return {child.pid for child in psutil.Process().children()}


@pytest.fixture
async def client(home: Home, tmp_path: Path) -> AsyncIterator[LocalClient]:
    settings = ModelSettings(runtime_dir=home.runtime, context=512, parallel=1)
    place = await Catalog(settings).place("bundled")
    assert place is not None
    config = ModelConfig(memory_mib=place.needs * 3 // 2 // MIB, max_new_tokens=200)
    before = processes()
    async with engine_with(
        home, {}, catalog=Catalog(settings), config=Config(model=config)
    ) as client:
        for name in ("a", "b"):
            copy = tmp_path / f"{name}.gguf"
            copy.symlink_to(bundled())
            await done(client, model.ADD, model.AddModel(source=str(copy)))
        await done(client, model.USE, model.UseModel(name="a"))
        yield client
    assert processes() <= before  # No child outlives the engine.


async def load(client: LocalClient, name: str = "") -> ModelInfo:
    found: ModelInfo = await done(client, model.LOAD, model.AnyModel(name=name))
    return found


async def ask(client: LocalClient, text: str) -> str:
    async with client.stream(agent0.ASK, agent0.Ask(text=text)) as items:
        *_, last = [item async for item in items]
    answer: str = last.turn.answer
    return answer


async def test_one_copy_for_all_the_least_used_leaves_and_its_memory_is_returned(
    client: LocalClient,
) -> None:
    before = processes()
    infos = await asyncio.gather(*(load(client, "a") for _ in range(10)))
    assert len({each.pid for each in infos}) == 1
    first = infos[0]
    assert first.pid is not None
    assert processes() - before == {first.pid}
    assert first.memory > 50 * MIB
    assert first.placement is not None
    assert first.placement.fits

    second = await load(client, "b")
    assert second.state == "ready"
    assert not psutil.pid_exists(first.pid)
    assert (await done(client, model.INFO, model.AnyModel(name="a"))).state == "unloaded"

    assert await ask(client, "Say hello.")  # It is the other one's turn to leave.
    assert second.pid is not None
    assert not psutil.pid_exists(second.pid)


async def test_an_unload_ends_the_answer_and_whoever_asks_then_is_served(
    client: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.models.pool._WAIT_FOR_ANSWERS_S", 0.0)
    pid = (await load(client)).pid
    assert pid is not None
    pieces: list[str] = []

    async def talk() -> None:
        asked = agent0.Ask(text="Count from 1 to 100.", session="s")
        async with client.stream(agent0.ASK, asked) as items:
            async for item in items:
                if item.kind == "piece":
                    pieces.append(item.text)  # noqa: PERF401 - what came counts when it breaks off

    talking = asyncio.create_task(talk())
    await until(lambda: len(pieces) >= 3, 30)
    with pytest.raises(Unavailable, match=r"a .*is in use|does not fit"):
        await load(client, "b")  # Nobody who is answering is pushed out.
    unloading = asyncio.create_task(done(client, model.UNLOAD, model.AnyModel()))
    await until(lambda: not psutil.pid_exists(pid), 10)
    asking = asyncio.create_task(ask(client, "Say hello."))
    with pytest.raises(Unavailable, match="unloaded"):
        await talking
    await unloading
    assert await asking


async def test_a_bench_of_the_real_model_adds_up(client: LocalClient) -> None:
    before = processes()
    request = model.BenchModel(prompt_tokens=200, new_tokens=16, rounds=1)
    started: JobStarted = await done(client, model.BENCH, request)

    async def last() -> Job:
        found: Job = await done(client, jobs.SHOW, JobId(id=started.job_id))
        return found

    async def over() -> bool:
        return (await last()).state in jobs.ENDED

    await until(over, 60)
    found = model.BenchResult.model_validate((await last()).result)
    assert abs(found.prompt_tokens - 200) <= 10
    assert found.first_token_kept_s is not None
    assert found.first_token_kept_s < found.first_token_s / 2
    assert found.new_tokens_per_s > 1
    assert found.memory > 50 * MIB
    assert processes() <= before


async def test_the_death_of_an_idle_model_is_told_and_the_next_question_is_served(
    client: LocalClient,
) -> None:
    seen: list[ModelInfo] = []

    async def listen() -> None:
        async for event in events:
            if isinstance(event, model.ModelChanged):
                seen.append(event.info)  # noqa: PERF401 - it never ends

    async with client.events() as events:
        listening = asyncio.create_task(listen())
        pid = (await load(client)).pid
        assert pid is not None
        await until(lambda: [each.state for each in seen[-1:]] == ["ready"])
        os.kill(pid, signal.SIGKILL)
        await until(lambda: seen[-1].state == "failed")
        told = seen[-1]
        assert "SIGKILL" in told.reason
        assert told.pid is None
        status = await done(client, STATUS, Empty())
        assert any("SIGKILL" in each.text for each in status.concerns)
        assert await ask(client, "Say hello.")
        await until(lambda: seen[-1].state == "ready")
        told = seen[-1]
        assert told.pid not in {None, pid}
        assert told.reason == ""
        listening.cancel()
        await asyncio.wait({listening})


async def test_one_that_dies_while_nobody_looks_is_not_on_the_list_as_ready(
    client: LocalClient,
) -> None:
    async def state() -> str:
        found: model.ModelList = await done(client, model.LIST, Empty())
        return next(each.state for each in found.models if each.name == "b")

    async def is_gone() -> bool:
        return await state() == "unloaded"

    pid = (await load(client, "b")).pid
    assert pid is not None
    assert await state() == "ready"
    os.kill(pid, signal.SIGKILL)
    await until(is_gone)
    assert (await load(client, "b")).pid not in {None, pid}
