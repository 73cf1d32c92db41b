"""The child process that holds a model: how it ends, and what whoever asks meets then."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from backends.llama_cpp.backend import LlamaCpp
from engine.contract.backend import ModelState
from engine.contract.errors import ModelFailed, Unavailable
from tests.fakes.hosted import LONG, ask, child_of, hit, is_processing, says
from tests.fakes.waiting import until

pytestmark = pytest.mark.model


async def fails_after_two_pieces(backend: LlamaCpp, harm: signal.Signals) -> ModelFailed:
    """The one error that a reader meets when the child is harmed mid-answer."""
    seen = 0
    with pytest.raises(ModelFailed) as caught:
        async with backend.stream(ask()) as pieces:
            async for _ in pieces:
                seen += 1
                if seen == 2:
                    os.kill(child_of(backend).pid, harm)
    return caught.value


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV])
async def test_a_crash_mid_answer_is_one_error_and_the_next_question_works(
    backend: LlamaCpp, harm: signal.Signals
) -> None:
    await backend.load()
    pid = child_of(backend).pid
    error = await fails_after_two_pieces(backend, harm)
    assert harm.name in error.message
    assert error.hint
    await until(lambda: backend.info().state is ModelState.FAILED)
    assert harm.name in backend.info().reason
    assert await says(backend, ask("Hello", 3))
    assert backend.info().pid != pid
    assert backend.info().reason == ""


async def test_a_hang_mid_answer_is_one_error_and_the_next_question_works(
    backend: LlamaCpp,
) -> None:
    await backend.load()
    pid = child_of(backend).pid
    async with asyncio.timeout(10):
        error = await fails_after_two_pieces(backend, signal.SIGSTOP)
    assert "no sign of life for 1 s" in error.message
    await until(lambda: not psutil.pid_exists(pid))
    assert await says(backend, ask("Hello", 3))


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
async def test_harm_while_the_prompt_is_read_is_one_error_and_the_next_question_works(
    backend: LlamaCpp, harm: signal.Signals
) -> None:
    await backend.load()
    asking = asyncio.create_task(says(backend, ask(LONG, 3)))
    await until(lambda: is_processing(backend))
    os.kill(child_of(backend).pid, harm)
    async with asyncio.timeout(10):
        with pytest.raises(ModelFailed) as caught:
            await asking
    told = {signal.SIGKILL: "SIGKILL", signal.SIGSTOP: "no sign of life"}
    assert told[harm] in caught.value.message
    assert await says(backend, ask("Hello", 3))


async def test_both_of_two_answers_get_one_error_each(backend: LlamaCpp) -> None:
    begun = asyncio.Barrier(3)

    async def listen() -> str:
        async with backend.stream(ask()) as pieces:
            await anext(pieces)
            await begun.wait()
            async for _ in pieces:
                pass
        return "ended"

    tasks = [asyncio.create_task(listen()) for _ in range(2)]
    await begun.wait()
    os.kill(child_of(backend).pid, signal.SIGKILL)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in outcomes] == [ModelFailed, ModelFailed]


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_child_that_ended_unnoticed_costs_no_question(
    backend: LlamaCpp, harm: signal.Signals
) -> None:
    await backend.load()
    await hit(backend, harm)
    assert await says(backend, ask("Hello", 3))


async def test_unloading_mid_answer_is_one_error(backend: LlamaCpp) -> None:
    with pytest.raises(Unavailable, match="unloaded"):
        async with backend.stream(ask()) as pieces:
            await anext(pieces)
            await backend.unload()
            async for _ in pieces:
                pass
    assert backend.info().state is ModelState.UNLOADED


async def test_unloading_while_it_loads_leaves_nothing_behind(backend: LlamaCpp, run: Path) -> None:
    loading = asyncio.create_task(backend.load())
    await until(lambda: any(run.glob("model-*")))
    assert backend.info().state is ModelState.LOADING
    await backend.unload()
    with pytest.raises(Unavailable, match="unloaded"):
        await loading
    assert not list(run.iterdir())
    assert not psutil.Process().children()


async def test_a_child_that_the_system_ends_while_it_loads_has_taken_too_much(
    backend: LlamaCpp,
) -> None:
    loading = asyncio.create_task(backend.load())
    await until(lambda: bool(psutil.Process().children()))
    psutil.Process().children()[0].kill()
    with pytest.raises(ModelFailed, match="SIGKILL") as caught:
        await loading
    assert "Memory may have run out" in caught.value.hint
    assert await says(backend, ask("Hello", 3))


async def test_cancelling_one_who_waits_does_not_stop_the_load(backend: LlamaCpp) -> None:
    first = asyncio.create_task(backend.load())
    second = asyncio.create_task(backend.load())
    await until(lambda: backend.info().state is ModelState.LOADING)
    first.cancel()
    await second
    assert first.cancelled()
    assert backend.info().state is ModelState.READY


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_child_dies_with_its_parent(gguf: Path, run: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from backends.llama_cpp.backend import LlamaCpp\n"
        "async def main():\n"
        "    backend = LlamaCpp(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "    await backend.load()\n"
        "    print(backend.info().pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, gguf, run], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid = int(await asyncio.to_thread(parent.stdout.readline))
        assert psutil.pid_exists(pid)
        parent.kill()
    await until(lambda: not psutil.pid_exists(pid) or _is_zombie(pid), within_s=2)
    assert len(list(run.iterdir())) == 1, "who is killed cannot clean up"
    again = LlamaCpp(gguf, run)
    await again.load()
    assert len(list(run.iterdir())) == 1, "the next one does"
    await again.unload()
    assert not list(run.iterdir())


def _is_zombie(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_the_child_carries_nothing_of_the_engine() -> None:
    program = (
        "import sys, backends.llama_cpp.xllamacpp_host\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'engine', 'pydantic'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"
