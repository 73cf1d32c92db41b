"""The first question of a conversation that never was finds its beginning read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backends.registry import Catalog, ModelSettings
from engine.clients.local import LocalClient
from engine.contract import agent0, model
from engine.contract.agent0 import AnswerFinished
from engine.contract.errors import ModelFailed
from engine.home import Home
from tests.fakes.house import done
from tests.fakes.models import engine_with
from tests.fakes.rehearsed import RehearsedBackend
from tests.fakes.waiting import until


async def cached(client: LocalClient, session: str) -> int:
    """Tokens of the first question's prompt that the model had read already."""
    request = agent0.Ask(text="Which colour has the sky?", session=session, max_tokens=4)
    async with client.stream(agent0.ASK, request) as items:
        *_, last = [item async for item in items]
    assert isinstance(last, AnswerFinished)
    return last.cached_tokens


@pytest.mark.model
async def test_a_loaded_model_has_read_how_prompts_begin_and_keeps_it_over_a_restart(
    home: Home,
) -> None:
    settings = ModelSettings(runtime_dir=home.runtime, context=512, parallel=1)
    kept = replace(settings, states=home.data / "states", state_bytes=64 * 1024**2)
    for _start in range(2):
        async with engine_with(home, {}, catalog=Catalog(kept)) as client:
            await client._open().start(["agent0"])  # As a terminal and a server do.
            await done(client, model.LOAD, model.AnyModel())
            # With one place in the model the question comes after the reading.
            assert await cached(client, f"new {_start}") >= 5
    async with engine_with(home, {}, catalog=Catalog(settings)) as client:
        assert await cached(client, "not loaded ahead") == 0


async def test_a_model_that_cannot_be_warmed_up_answers_all_the_same(home: Home) -> None:
    class Cold(RehearsedBackend):
        async def warm(self, messages: object) -> None:
            self.deeds.append("tried to warm")
            raise ModelFailed("It has no places.")

    cold = Cold(keeps=True)
    async with engine_with(home, {"cold": cold}) as client:
        await client._open().start(["agent0"])
        info = await done(client, model.LOAD, model.AnyModel())
        assert info.state == "ready"
        await until(lambda: "tried to warm" in cold.deeds)
        assert await cached(client, "main") == 0
