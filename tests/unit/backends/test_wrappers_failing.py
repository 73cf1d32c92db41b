"""What fails for a moment is tried again; what fails again and again is left alone."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from backends.failures import Denied, NotAccepted, TryLater
from backends.wrappers.breaker import Breaker
from backends.wrappers.retry import Patience, Retry
from engine.contract.backend import Backend, ModelState
from engine.contract.errors import (
    ArcanumError,
    Busy,
    ModelFailed,
    NotFound,
    PromptTooLong,
    Unavailable,
)
from tests.fakes.asking import ask, pieces_of, says
from tests.fakes.stage import Clock, Stage
from tests.fakes.waiting import until

DOWN = Unavailable("It does not answer.")
CRASH = ModelFailed("It crashed.")


async def fails(backend: Backend) -> ArcanumError:
    with pytest.raises(ArcanumError) as caught:
        await says(backend)
    return caught.value


@pytest.fixture
def clock() -> Clock:
    return Clock()


# --- again ---


def tries(stage: Stage, clock: Clock, chance: float = 1.0) -> Retry:
    return Retry(stage, Patience(clock=clock, sleep=clock.sleep, chance=lambda: chance))


async def test_what_fails_for_a_moment_is_tried_again(clock: Clock) -> None:
    stage = Stage(DOWN, (CRASH,), ("Yes.",))
    assert await pieces_of(tries(stage, clock)) == await pieces_of(Stage())
    assert clock.slept == pytest.approx([0.1, 0.3])
    assert (len(stage.begun), stage.active, stage.most) == (3, 0, 1), "each was closed"


@pytest.mark.parametrize(("chance", "waits"), [(0.0, [0.05, 0.15]), (0.5, [0.075, 0.225])])
async def test_waits_are_somewhat_by_chance(
    clock: Clock, chance: float, waits: list[float]
) -> None:
    assert await fails(tries(Stage(DOWN, DOWN, DOWN), clock, chance)) is DOWN
    assert clock.slept == pytest.approx(waits)


@pytest.mark.parametrize(
    "error",
    [
        PromptTooLong("5,031 tokens"),
        Denied("wants a key"),
        NotAccepted("400"),
        NotFound("no such model"),
        Busy("its own queue is full"),
    ],
    ids=lambda each: type(each).__name__,
)
async def test_what_would_only_fail_again_is_not(clock: Clock, error: ArcanumError) -> None:
    stage = Stage(error)
    assert await fails(tries(stage, clock)) is error
    assert len(stage.begun) == 1


async def test_nothing_is_tried_again_of_which_anything_was_seen(clock: Clock) -> None:
    stage = Stage(("half", CRASH))
    heard = []
    with pytest.raises(ModelFailed):
        async with tries(stage, clock).stream(ask()) as pieces:
            async for piece in pieces:
                heard.append(piece.text)  # noqa: PERF401 - what was heard before it broke counts
    assert heard == ["half"]
    assert len(stage.begun) == 1


async def test_a_server_that_says_when_is_asked_then(clock: Clock) -> None:
    assert await says(tries(Stage(TryLater("429", "", 7.0)), clock)) == "Yes."
    assert clock.slept == [7.0]


async def test_a_server_that_wants_too_long_is_not_waited_for(clock: Clock) -> None:
    stage = Stage(TryLater("429", "", 30.0))
    assert isinstance(await fails(tries(stage, clock)), TryLater)
    assert clock.slept == []


async def test_what_took_long_to_fail_is_not_tried_again(clock: Clock) -> None:
    stage = Stage()

    def slowly(_: object) -> ArcanumError:
        clock.now += 19.95
        return CRASH

    stage.write = slowly
    assert await fails(tries(stage, clock)) is CRASH
    assert len(stage.begun) == 1


async def test_leaving_while_it_waits_ends_it() -> None:
    stage = Stage(DOWN)
    retry = Retry(stage, Patience(first_s=3600, within_s=9999))
    asking = asyncio.create_task(says(retry))
    await until(lambda: len(stage.begun) == 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert len(stage.begun) == 1


async def test_who_unloads_the_model_does_not_want_it_loaded_again(clock: Clock) -> None:
    stopped = asyncio.Event()
    stage = Stage((stopped, Unavailable("It was unloaded while it was asked.")))
    retry = tries(stage, clock)
    asking = asyncio.create_task(says(retry))
    await until(lambda: stage.active == 1)
    await retry.unload()
    stopped.set()
    with pytest.raises(Unavailable, match="unloaded"):
        await asking
    assert stage.info().state is ModelState.UNLOADED


async def test_loading_is_tried_again_unless_the_model_itself_failed(clock: Clock) -> None:
    stage = Stage(loading=[DOWN, DOWN])
    await tries(stage, clock).load()
    assert (stage.loads, stage.info().state) == (3, ModelState.READY)
    stage = Stage(loading=[ModelFailed("It is no GGUF file.")])
    assert "no GGUF" in (await fails(tries(stage, clock))).message
    assert stage.loads == 1


# --- left alone ---


async def test_after_some_failures_in_a_row_it_is_left_alone(clock: Clock) -> None:
    stage = Stage(DOWN, (CRASH,), ("half", CRASH))
    breaker = Breaker(stage, clock=clock)
    for _ in range(3):
        clock.now += 1
        await fails(breaker)
    error = await fails(breaker)
    assert len(stage.begun) == 3, "it was not asked"
    assert isinstance(error, TryLater)
    assert error.after_s == 15
    for words in ("Hamlet is left alone", "failed 3 times since", "again in 15 s", "It crashed."):
        assert words in error.message
    info = breaker.info()
    assert info.state is ModelState.FAILED
    assert info.reason in error.message
    with pytest.raises(TryLater):
        await breaker.load()
    with pytest.raises(TryLater):
        await breaker.count_tokens(ask().messages)


async def opened(stage: Stage, clock: Clock) -> Breaker:
    stage.acts = [CRASH] * 3
    breaker = Breaker(stage, clock=clock)
    for _ in range(3):
        clock.now += 1
        await fails(breaker)
    return breaker


@pytest.mark.parametrize(
    ("model", "called"),
    [("/srv/models/qwen-3b.gguf", "qwen-3b.gguf"), ("owner/name", "name"), ("", "staged")],
)
async def test_a_model_that_is_left_alone_is_called_by_its_name(
    clock: Clock, model: str, called: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(DOWN, DOWN, DOWN)
    info = replace(stage.info(), backend="staged", model=model)
    monkeypatch.setattr(stage, "info", lambda: info)
    breaker = Breaker(stage, clock=clock)
    for _ in range(3):
        clock.now += 1
        await fails(breaker)
    assert (await fails(breaker)).message.startswith(f"{called} is left alone")


async def test_then_one_request_tries_and_closes_it(clock: Clock) -> None:
    stage = Stage()
    breaker = await opened(stage, clock)
    clock.now += 15
    go = asyncio.Event()
    end = asyncio.Event()
    stage.acts = [(go, "Yes.", end)]
    trying = asyncio.create_task(says(breaker))
    await until(lambda: stage.active == 1)
    assert "being tried again now" in (await fails(breaker)).message, "one alone"
    go.set()
    await until(lambda: breaker.info().reason == "")
    assert await says(breaker) == "Yes.", "it speaks: nobody waits for its end"
    end.set()
    assert await trying == "Yes."
    assert breaker.info().reason == ""
    assert breaker.info().state is ModelState.READY
    assert await says(breaker) == "Yes."


async def test_a_try_that_fails_leaves_it_alone_again(clock: Clock) -> None:
    stage = Stage()
    breaker = await opened(stage, clock)
    clock.now += 100
    stage.acts = [DOWN]
    assert await fails(breaker) is DOWN
    assert isinstance(await fails(breaker), TryLater)
    clock.now += 15
    assert await says(breaker) == "Yes."


async def test_a_try_that_is_left_is_anothers(clock: Clock) -> None:
    stage = Stage()
    breaker = await opened(stage, clock)
    clock.now += 15
    stage.acts = [(asyncio.Event(),)]
    trying = asyncio.create_task(says(breaker))
    await until(lambda: stage.active == 1)
    trying.cancel()
    with suppress(asyncio.CancelledError):
        await trying
    assert await says(breaker) == "Yes."


async def test_only_failures_of_the_backend_count(clock: Clock) -> None:
    others = [PromptTooLong("x"), Denied("x"), NotAccepted("x"), TryLater("x"), Busy("x")]
    stage = Stage(*others)
    breaker = Breaker(stage, clock=clock)
    for error in others:
        clock.now += 1
        assert await fails(breaker) is error
    for _ in range(5):  # Nor does what goes wrong with whoever reads.
        clock.now += 1
        with pytest.raises(ModelFailed, match="reader"):
            async with breaker.stream(ask()) as pieces:
                async for _piece in pieces:
                    raise ModelFailed("the reader's own")
    assert await says(breaker) == "Yes."


async def test_failures_far_apart_are_not_in_a_row(clock: Clock) -> None:
    stage = Stage(*[CRASH] * 5)
    breaker = Breaker(stage, clock=clock)
    for wait in (0, 1, 61, 1):
        clock.now += wait
        assert await fails(breaker) is CRASH
    stage.acts = [("Well.",)]
    assert await says(breaker) == "Well."
    stage.acts = [CRASH, CRASH]
    for _ in range(2):
        clock.now += 1
        assert await fails(breaker) is CRASH, "an answer in between begins anew"


async def test_many_that_fail_in_one_crash_are_one_failure(clock: Clock) -> None:
    crash = asyncio.Event()
    stage = Stage(*[(crash, CRASH)] * 8, parallel=8)
    breaker = Breaker(stage, clock=clock)
    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            clock.now += 0.01
            group.create_task(fails(breaker))
        await until(lambda: stage.active == 8)
        clock.now += 1
        crash.set()
    assert await says(breaker) == "Yes."


async def test_unloading_begins_anew(clock: Clock) -> None:
    breaker = await opened(Stage(), clock)
    await breaker.unload()
    assert breaker.info().state is ModelState.UNLOADED
    assert await says(breaker) == "Yes."
