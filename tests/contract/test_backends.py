"""What every model provider must do, over each of them: the real model included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from backends.hosted.child import Child
from backends.llama_cpp.backend import LlamaCpp
from backends.openai_http import EndpointSettings, OpenAIHttp
from backends.registry import Catalog, ModelSettings
from backends.scripted import Scripted
from engine.contract.backend import Backend, Generation, Message, ModelState
from tests.fakes.openai_server import MODEL, OpenAIServer
from tests.fakes.waiting import until

LONG = "Count from 1 to 500, one number a line."


@dataclass
class Subject:
    """A backend, how many answers it works on now, and how many loads it really made."""

    backend: Backend
    busy: Callable[[], int]
    loads: Callable[[], int]


def ask(text: str, max_tokens: int = 24) -> Generation:
    return Generation((Message("user", text),), max_tokens)


async def answer(backend: Backend, generation: Generation) -> tuple[str, str | None, int]:
    """The text, the finish of the last piece, and the number of pieces with text."""
    texts, finish = [], None
    async with backend.stream(generation) as pieces:
        async for piece in pieces:
            assert finish is None, "nothing comes after the finish"
            texts.append(piece.text)
            finish = piece.finish
    return "".join(texts), finish, sum(1 for each in texts if each)


def hosts() -> list[psutil.Process]:
    """The child processes that hold a model for this process."""
    return [
        each
        for each in psutil.Process().children(recursive=True)
        if any("llama_cpp" in part for part in each.cmdline())
    ]


def slots_in_use(child: Child) -> int:
    transport = httpx.HTTPTransport(uds=child.socket)
    with httpx.Client(
        transport=transport, headers={"Authorization": f"Bearer {child.key}"}
    ) as http:
        return sum(each["is_processing"] for each in http.get("http://x/slots").json())


def child_of(backend: LlamaCpp) -> Child:
    assert backend._running is not None
    return backend._running.child


@asynccontextmanager
async def a_llama_cpp(tmp_path: Path) -> AsyncIterator[Subject]:
    backend = Catalog(ModelSettings(runtime_dir=tmp_path / "run")).create("bundled")
    assert isinstance(backend, LlamaCpp)
    yield Subject(backend, lambda: slots_in_use(child_of(backend)), lambda: len(hosts()))
    await backend.unload()


@asynccontextmanager
async def a_child_over_http(tmp_path: Path) -> AsyncIterator[Subject]:
    async with a_llama_cpp(tmp_path) as llama:
        await llama.backend.load()
        assert isinstance(llama.backend, LlamaCpp)
        child = child_of(llama.backend)
        endpoint = EndpointSettings("child", f"unix:{child.socket}", key_env="CHILD_KEY")
        backend = OpenAIHttp(endpoint, environ={"CHILD_KEY": child.key})
        yield Subject(backend, lambda: slots_in_use(child), lambda: 1)
        await backend.unload()


@asynccontextmanager
async def a_fake_server(_: Path) -> AsyncIterator[Subject]:
    async with OpenAIServer(key="sesame").running() as server:
        endpoint = EndpointSettings("fake", server.url, MODEL, key_env="FAKE_KEY")
        backend = OpenAIHttp(endpoint, environ={"FAKE_KEY": "sesame"})
        loads = lambda: len(server.asked("/v1/models"))  # noqa: E731
        yield Subject(backend, lambda: server.active, loads)
        await backend.unload()


@asynccontextmanager
async def a_script(_: Path) -> AsyncIterator[Subject]:
    backend = Scripted("xllamacpp is not installed", "pip install xllamacpp")
    yield Subject(backend, lambda: 0, lambda: 1)


@pytest.fixture(
    params=[
        pytest.param(a_llama_cpp, marks=pytest.mark.model),
        pytest.param(a_child_over_http, marks=pytest.mark.model),
        a_fake_server,
        a_script,
    ],
    ids=lambda make: make.__name__,
)
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    async with request.param(tmp_path) as made:
        yield made


async def test_an_answer_comes_in_pieces_to_its_end(subject: Subject) -> None:
    text, finish, pieces = await answer(subject.backend, ask("Say hello.", 120))
    assert text.strip()
    assert finish == "stop"
    assert pieces > 1
    assert subject.backend.info().state is ModelState.READY


async def test_greedy_decoding_repeats_itself(subject: Subject) -> None:
    first = await answer(subject.backend, ask("What is the capital of France?"))
    assert await answer(subject.backend, ask("What is the capital of France?")) == first


async def test_no_more_than_max_tokens(subject: Subject) -> None:
    text, finish, pieces = await answer(subject.backend, ask(LONG, 5))
    assert text
    assert finish == "length"
    assert pieces <= 5


async def test_leaving_mid_answer_stops_the_generation(subject: Subject) -> None:
    async with subject.backend.stream(ask(LONG, 2000)) as pieces:
        async for _ in pieces:
            break
    # 2,000 tokens take many seconds: it is idle because it was stopped, not because it is done.
    await until(lambda: subject.busy() == 0, within_s=5)
    assert (await answer(subject.backend, ask("Hello", 5)))[0]


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
    await until(lambda: subject.busy() == 0, within_s=5)


async def test_two_answers_at_a_time(subject: Subject) -> None:
    arrivals: list[str] = []

    async def listen(name: str) -> None:
        async with subject.backend.stream(ask(LONG, 40)) as pieces:
            async for _ in pieces:
                arrivals.append(name)
                await asyncio.sleep(0)

    await subject.backend.load()
    async with asyncio.TaskGroup() as group:
        group.create_task(listen("a"))
        group.create_task(listen("b"))
    first_end = min(len(arrivals) - arrivals[::-1].index(each) for each in "ab")
    assert set(arrivals[: first_end - 1]) == {"a", "b"}, "both write before either is done"


async def test_ten_simultaneous_loads_load_once(subject: Subject) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(subject.backend.load())
    assert subject.loads() == 1
    assert subject.backend.info().state is ModelState.READY


async def test_unloading_frees_it_and_the_next_question_loads_it(subject: Subject) -> None:
    await subject.backend.load()
    pid = subject.backend.info().pid
    await subject.backend.unload()
    assert subject.backend.info().state is ModelState.UNLOADED
    assert pid is None or not psutil.pid_exists(pid)
    await subject.backend.unload()
    assert (await answer(subject.backend, ask("Hello", 5)))[0]


HOSTILE = {
    "nothing": "",
    "NUL": "\0",
    "controls": "a\0b\x1b[31m",
    "emoji": "🦑" * 20,
    "right to left": "שלום \u202eabc",
    "a lone surrogate": "\ud800",
    "markup": "<|im_end|>\n[b]{}",
    "one long word": "x" * 500,
}


async def test_any_text_is_only_text(subject: Subject) -> None:
    for name, text in HOSTILE.items():
        messages = (Message("system", text), Message("user", text))
        _, finish, _ = await answer(subject.backend, Generation(messages, 4))
        assert finish in {"stop", "length"}, name
        assert await subject.backend.count_tokens(messages) > 0, name


async def test_tokens_of_the_whole_prompt_are_counted(subject: Subject) -> None:
    short = (Message("user", "My bike is turquoise."),)
    long = (Message("system", "You are brief."), *short * 20)
    assert await subject.backend.count_tokens(short) >= 6
    assert await subject.backend.count_tokens(long) >= 6 * 20


async def test_it_says_what_it_is(subject: Subject) -> None:
    info = subject.backend.info()
    assert info.simulated == (info.backend == "scripted")
    assert info.local
