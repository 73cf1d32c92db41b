"""What is told of every request, and everything that is put around a backend together."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from backends.openai_http import EndpointSettings, OpenAIHttp
from backends.wrappers import wrap
from backends.wrappers.base import Wrapper
from backends.wrappers.breaker import Breaker
from backends.wrappers.fair import FairLimit
from backends.wrappers.retry import Retry
from backends.wrappers.traced import Traced
from engine.contract.backend import (
    Embeds,
    KeepsState,
    Observation,
    Piece,
    Priority,
)
from engine.contract.errors import (
    Busy,
    ModelFailed,
    NotFound,
    Unavailable,
)
from tests.fakes.asking import ask, background, pieces_of, says
from tests.fakes.openai_server import OpenAIServer, Reply, Request
from tests.fakes.stage import Clock, Stage
from tests.fakes.waiting import until

CRASH = ModelFailed("It crashed.")


@pytest.fixture
def clock() -> Clock:
    return Clock()


# --- what is told ---


class Notes(list[Observation]):
    def of(self, what: str) -> list[Observation]:
        return [each for each in self if each.what == what]


async def test_a_request_is_told_with_its_times_and_tokens(clock: Clock) -> None:
    notes = Notes()
    first, rest = asyncio.Event(), asyncio.Event()
    stage = Stage((first, "a", "", rest, "b"))
    traced = Traced(stage, notes.append, clock)
    asking = asyncio.create_task(says(traced))
    await until(lambda: stage.active == 1)
    clock.now += 2
    first.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    clock.now += 3
    rest.set()
    assert await asking == "ab"
    assert notes == [
        Observation("Hamlet", "stage", "load", 0.0, "ok"),
        Observation("Hamlet", "stage", "stream", 5.0, "ok", first_s=2.0, tokens=6),
    ]
    secret = "a secret question"
    await says(traced, ask(secret))
    assert secret not in repr(notes)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(CRASH, "model_failed"), (Busy("full"), "busy"), (KeyError("a bug"), "internal")],
)
async def test_how_it_failed_is_told(error: Exception, outcome: str) -> None:
    notes = Notes()
    for act in (error, (error,), ("half", error)):
        with pytest.raises(type(error)):
            await says(Traced(Stage(act), notes.append))
    streams = notes.of("stream")
    assert [each.outcome for each in streams] == [outcome] * 3
    assert [each.tokens for each in streams] == [0, 0, 1]
    assert [each.first_s is None for each in streams] == [True, True, False]


async def test_who_leaves_is_told_apart() -> None:
    notes = Notes()
    stage = Stage(("half", asyncio.Event()), (asyncio.Event(),), ("whole",), ("half", "and half"))
    traced = Traced(stage, notes.append)
    async with traced.stream(ask()) as pieces:
        await anext(pieces)
    asking = asyncio.create_task(says(traced))
    await until(lambda: len(stage.begun) == 2)
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    async with traced.stream(ask()) as pieces:
        async for piece in pieces:
            if piece.finish:
                break
    with pytest.raises(NotFound):
        async with traced.stream(ask()) as pieces:
            raise NotFound("the reader's own trouble")
    assert [each.outcome for each in notes.of("stream")] == ["left", "left", "ok", "left"]


async def test_ten_who_wait_for_one_load_make_one() -> None:
    notes = Notes()
    stage = Stage(parallel=10)
    backend = wrap(stage, notes.append)
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(says(backend))
    await backend.load()
    assert len(notes.of("load")) == 1
    assert len(notes.of("stream")) == 10


async def test_counts_and_vectors_are_told() -> None:
    notes = Notes()
    backend = wrap(Stage(), notes.append)
    tokens = await backend.count_tokens(ask("one two").messages)
    embeds = backend.extra(Embeds)  # type: ignore[type-abstract]
    assert embeds is not None
    assert await embeds.embed(["four"]) == [[4.0]]
    assert [(each.what, each.tokens) for each in notes] == [("count", tokens), ("embed", 0)]
    assert backend.extra(KeepsState) is None  # type: ignore[type-abstract]


async def test_the_wait_for_a_turn_is_told() -> None:
    notes = Notes()
    go = asyncio.Event()
    stage = Stage((go, "Yes."))
    clock = Clock()
    backend = Traced(FairLimit(stage, clock=clock), notes.append, clock)
    for generation in (ask(session="a"), ask(session="b"), background("c")):
        asyncio.create_task(says(backend, generation), name=generation.session)  # noqa: RUF006
    await until(lambda: stage.active == 1)
    clock.now += 4
    go.set()
    await until(lambda: len(notes.of("stream")) == 3)
    assert [each.waited_s for each in notes.of("stream")] == [0.0, 4.0, 4.0]
    assert [each.seconds for each in notes.of("stream")] == [4.0, 4.0, 4.0]


# --- all of them ---


async def test_the_order_is_as_it_says() -> None:
    backend = wrap(Stage(), lambda _: None)
    kinds = []
    while isinstance(backend, Wrapper):
        kinds.append(type(backend))
        backend = backend.inner
    assert kinds == [Traced, FairLimit, Breaker, Retry]
    assert isinstance(backend, Stage)


async def test_a_wrapped_answer_is_the_same_answer() -> None:
    for priority in Priority:
        stage = Stage(("a", "b", "c"), ("a", "b", "c"))
        plain = await pieces_of(stage, ask(priority=priority))
        assert await pieces_of(wrap(stage, lambda _: None), ask(priority=priority)) == plain
        assert plain[-1] == Piece("", "stop", usage=plain[-1].usage)


async def test_a_queue_behind_what_is_down_empties_at_once() -> None:
    """Fifty wait for a server that has just gone: none of them waits for its own failure."""
    server = OpenAIServer(hold=asyncio.Event())
    notes = Notes()
    async with server.running():
        endpoint = EndpointSettings("box", server.url, parallel=1)
        backend = wrap(OpenAIHttp(endpoint, connect_s=1), notes.append)
        await backend.load()
        asking = [asyncio.create_task(says(backend, ask(session=str(n)))) for n in range(50)]
        await until(lambda: server.active == 1)
    async with asyncio.timeout(10):
        results = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(each, Unavailable | ModelFailed) for each in results)
    assert "is left alone" in str(results[-1])
    assert "left alone" not in str(results[0])
    assert len(notes.of("stream")) == 50
    await backend.unload()


async def test_a_server_with_too_much_to_do_is_asked_again_when_it_says() -> None:
    async def full(reply: Reply, _: Request) -> None:
        server.misbehave = None
        await reply.json(429, {"error": {"message": "slow down"}}, "Retry-After: 0.2\r\n")

    server = OpenAIServer(misbehave=full)
    async with server.running():
        backend = wrap(OpenAIHttp(EndpointSettings("box", server.url)), lambda _: None)
        assert (await says(backend)).startswith("word1")
        assert len(server.asked("/v1/chat/completions")) == 2
        await backend.unload()
