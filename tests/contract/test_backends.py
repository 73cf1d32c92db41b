"""What every model provider must do, over each of them: real libraries and servers included."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import pytest_asyncio

from backends.hosted.backend import Hosted
from backends.hosted.settings import Options
from backends.hosted.states import StateStore, session_name
from backends.llama_cpp.backend import LlamaCpp
from backends.llama_cpp.binding import LLAMA_CPP_PYTHON
from backends.mlx.backend import Mlx
from backends.openai_http import EndpointSettings, OpenAIHttp
from backends.scripted import Scripted
from backends.wrappers.compose import wrap
from engine.contract.backend import (
    Backend,
    Embeds,
    Feature,
    Generation,
    KeepsState,
    Message,
    ModelState,
    Piece,
    Usage,
)
from engine.contract.errors import ArcanumError, PromptTooLong
from tests.fakes.llama_server import KEY, bundled, llama_server
from tests.fakes.openai_server import MODEL, OpenAIServer
from tests.fakes.waiting import until

# One of each is made for all tests: a model is loaded once, not twenty times.
pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = "Count from 1 to 500, one number a line."
# A conversation that the small model answers well, and in which reading costs something.
SYSTEM = Message(
    "system", "You are a helpful assistant. " + "Answer briefly and to the point. " * 30
)
# So much that reading all of it takes half a minute.
ROOMY = Options(context=8192)


@dataclass
class Subject:
    """A backend, and what can be seen of it from outside.

    ``busy``: how many answers it works on. ``loads``: how many copies are loaded, or how often
    its server was asked what it is; None where nothing is. ``real``: a model is behind it.
    ``leaves``: who leaves while it reads a prompt is noticed; prompts of the tiny model are read
    at once. ``ends``: its answers end by themselves.
    """

    backend: Backend
    busy: Callable[[], int] = lambda: 0
    loads: Callable[[], int] | None = None
    real: bool = True
    leaves: bool = True
    ends: bool = True

    @property
    def features(self) -> frozenset[Feature]:
        return self.backend.info().features


def slots_in_use(url: str, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    socket = url.removeprefix("unix:")
    transport = httpx.HTTPTransport(uds=socket) if socket != url else None
    with httpx.Client(transport=transport, headers=headers, timeout=10) as http:
        reply = http.get(("http://x" if transport else url) + "/slots")
        return sum(each["is_processing"] for each in reply.json())


def of_hosted(backend: Hosted, outside: Backend | None = None, **more: Any) -> Subject:
    """A model in a child process, seen through its server."""

    def busy() -> int:
        assert backend._running is not None
        child = backend._running.child
        return slots_in_use(f"unix:{child.socket}", child.key)

    def loads() -> int:
        module = backend._setup.host.module
        children = psutil.Process().children(recursive=True)
        return sum(module in each.cmdline() for each in children)

    return Subject(outside or backend, busy, loads, **more)


@asynccontextmanager
async def xllamacpp(folder: Path) -> AsyncIterator[Subject]:
    backend = LlamaCpp(bundled(), folder / "run", ROOMY, states=StateStore(folder / "states"))
    yield of_hosted(backend)
    await backend.unload()


@asynccontextmanager
async def llama_cpp_python(folder: Path) -> AsyncIterator[Subject]:
    backend = LlamaCpp(
        bundled(),
        folder / "run",
        ROOMY,
        states=StateStore(folder / "states"),
        host=LLAMA_CPP_PYTHON,
    )
    yield of_hosted(backend)
    await backend.unload()


@asynccontextmanager
async def mlx(folder: Path) -> AsyncIterator[Subject]:
    from tests.fakes.mlx_model import tiny

    model = tiny(folder / "tiny")
    backend = Mlx(model, folder / "run", states=StateStore(folder / "states"))
    yield of_hosted(backend, leaves=False, ends=False)
    await backend.unload()


@asynccontextmanager
async def wrapped(folder: Path) -> AsyncIterator[Subject]:
    backend = LlamaCpp(bundled(), folder / "run", replace(ROOMY, parallel=1))
    outside = wrap(backend, lambda _: None)
    yield of_hosted(backend, outside)
    await outside.unload()


@asynccontextmanager
async def llama_server_over_tcp(_: Path) -> AsyncIterator[Subject]:
    async with llama_server() as url:
        yield a_real_server(url)


@asynccontextmanager
async def llama_server_over_a_socket(folder: Path) -> AsyncIterator[Subject]:
    async with llama_server(str(folder / "m.sock")) as url:
        yield a_real_server(url)


def a_real_server(url: str) -> Subject:
    backend = OpenAIHttp(EndpointSettings("real", url, key_env="K"), environ={"K": KEY})
    return Subject(backend, lambda: slots_in_use(url, KEY))


@asynccontextmanager
async def a_fake_server_over_tcp(_: Path) -> AsyncIterator[Subject]:
    async with OpenAIServer(key="sesame").running() as server:
        yield a_fake(server)


@asynccontextmanager
async def a_fake_server_over_a_socket(folder: Path) -> AsyncIterator[Subject]:
    async with OpenAIServer(key="sesame").running(str(folder / "f.sock")) as server:
        yield a_fake(server)


def a_fake(server: OpenAIServer) -> Subject:
    endpoint = EndpointSettings("fake", server.url, MODEL, key_env="K")
    backend = OpenAIHttp(endpoint, environ={"K": "sesame"})
    return Subject(
        backend, lambda: server.active, lambda: len(server.asked("/v1/models")), real=False
    )


@asynccontextmanager
async def a_script(_: Path) -> AsyncIterator[Subject]:
    yield Subject(Scripted("xllamacpp is not installed", "pip install xllamacpp"), real=False)


model = pytest.mark.model


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=[
        pytest.param(xllamacpp, marks=model),
        pytest.param(
            llama_cpp_python, marks=[model, pytest.mark.binding("llama_cpp", get="make llama")]
        ),
        pytest.param(mlx, marks=pytest.mark.binding("mlx_lm", get="make mlx")),
        pytest.param(wrapped, marks=model),
        pytest.param(llama_server_over_tcp, marks=model),
        pytest.param(llama_server_over_a_socket, marks=model),
        a_fake_server_over_tcp,
        a_fake_server_over_a_socket,
        a_script,
    ],
    ids=lambda make: make.__name__,
)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    # A socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="arc-", dir="/tmp") as folder:
        async with request.param(Path(folder)) as made:
            yield made


def ask(text: str, most: int = 24, **more: Any) -> Generation:
    return Generation((SYSTEM, Message("user", text)), most, **more)


async def pieces_of(backend: Backend, generation: Generation) -> list[Piece]:
    """All pieces of an answer: the last one, and no other, has a finish."""
    async with backend.stream(generation) as stream:
        pieces = [piece async for piece in stream]
    assert [bool(piece.finish) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    return pieces


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def usage_of(pieces: list[Piece]) -> Usage:
    found = pieces[-1].usage
    assert found is not None
    return found


# --- answers ---


async def test_an_answer_comes_in_pieces_to_its_end(subject: Subject) -> None:
    pieces = await pieces_of(subject.backend, ask("Say hello.", 120))
    assert text_of(pieces).strip()
    assert pieces[-1].finish == ("stop" if subject.ends else "length")
    assert sum(1 for piece in pieces if piece.text) > 1
    assert 0 < usage_of(pieces).new_tokens <= 120
    info = subject.backend.info()
    assert info.state is ModelState.READY
    assert info.library or not subject.real
    assert info.parallel >= 1


async def test_greedy_decoding_repeats_itself(subject: Subject) -> None:
    first = await pieces_of(subject.backend, ask("What is the capital of France?"))
    again = await pieces_of(subject.backend, ask("What is the capital of France?"))
    assert text_of(again) == text_of(first)
    if not subject.ends or not subject.real:
        return
    assert "Paris" in text_of(first)


async def test_no_more_than_max_tokens(subject: Subject) -> None:
    pieces = await pieces_of(subject.backend, ask(LONG, 5))
    assert text_of(pieces)
    assert pieces[-1].finish == "length"
    assert usage_of(pieces).new_tokens == 5


async def test_an_answer_ends_before_a_stop_string(subject: Subject) -> None:
    if not subject.real:
        pytest.skip("nobody is there who could stop")
    whole = text_of(await pieces_of(subject.backend, ask(LONG, 30)))
    middle = len(whole) // 2
    stop = whole[middle : middle + 4]
    cut = await pieces_of(subject.backend, ask(LONG, 30, stop=("never said", stop)))
    assert text_of(cut) == whole[: whole.index(stop)]
    assert cut[-1].finish == "stop"


async def test_temperature_is_no_obstacle(subject: Subject) -> None:
    pieces = await pieces_of(subject.backend, ask("Write a word.", 4, temperature=0.8))
    assert usage_of(pieces).new_tokens <= 4


# --- leaving ---


async def test_leaving_mid_answer_stops_the_generation(subject: Subject) -> None:
    async with subject.backend.stream(ask(LONG, 2000)) as pieces:
        async for _ in pieces:
            break
    # 2,000 tokens take many seconds: it is idle because it was stopped, not because it is done.
    await until(lambda: subject.busy() == 0, within_s=5)
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
    await until(lambda: subject.busy() == 0, within_s=5)


async def test_leaving_while_the_prompt_is_read_stops_the_reading(subject: Subject) -> None:
    if not subject.real or not subject.leaves:
        pytest.skip("it does not notice")
    await subject.backend.load()
    task = asyncio.create_task(pieces_of(subject.backend, ask("Once upon a time. " * 1500)))
    await until(lambda: subject.busy() == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: subject.busy() == 0, within_s=15)
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


# --- loading ---


async def test_ten_simultaneous_loads_load_once(subject: Subject) -> None:
    await subject.backend.unload()
    before = subject.loads() if subject.loads else 0
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(subject.backend.load())
    if subject.loads:
        assert subject.loads() == before + 1
    assert subject.backend.info().state is ModelState.READY


async def test_unloading_frees_it_and_the_next_question_loads_it(subject: Subject) -> None:
    await subject.backend.load()
    pid = subject.backend.info().pid
    await subject.backend.unload()
    assert subject.backend.info().state is ModelState.UNLOADED
    assert pid is None or not psutil.pid_exists(pid)
    await subject.backend.unload()
    assert text_of(await pieces_of(subject.backend, ask("Hello", 5)))


async def test_unloading_mid_answer_is_one_error_that_people_understand(subject: Subject) -> None:
    if not subject.real:
        pytest.skip("its answer is there at once")
    with pytest.raises(ArcanumError) as caught:
        async with subject.backend.stream(ask(LONG, 2000)) as pieces:
            await anext(pieces)
            await subject.backend.unload()
            async for _ in pieces:
                pass
    assert caught.value.message
    assert caught.value.hint
    assert text_of(await pieces_of(subject.backend, ask("Hello", 5)))


# --- prompts ---

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


@pytest.mark.parametrize("name", HOSTILE)
async def test_any_text_is_only_text(subject: Subject, name: str) -> None:
    text = HOSTILE[name]
    messages = (Message("system", text), Message("user", text))
    pieces = await pieces_of(subject.backend, Generation(messages, 4))
    assert pieces[-1].finish in {"stop", "length"}
    assert await subject.backend.count_tokens(messages) > 0


async def test_no_text_is_a_control_token(subject: Subject) -> None:
    if not subject.real:
        pytest.skip("it has no tokens")

    async def takes(text: str) -> int:
        return await subject.backend.count_tokens([SYSTEM, Message("user", f"a {text * 20} b")])

    # As control tokens they are one each.
    assert await takes("<|im_end|>") >= await takes("") + 3 * 20


async def test_a_prompt_without_messages_is_an_answer_or_an_error_of_ours(
    subject: Subject,
) -> None:
    with suppress(ArcanumError):
        await pieces_of(subject.backend, Generation((), 4))
    assert text_of(await pieces_of(subject.backend, ask("Hello", 5)))


async def test_tokens_of_the_whole_prompt_are_counted(subject: Subject) -> None:
    short = (Message("user", "My bike is turquoise."),)
    long = (Message("system", "You are brief."), *short * 20)
    assert await subject.backend.count_tokens(short) >= 6
    counted = await subject.backend.count_tokens(long)
    assert counted >= 6 * 20
    if subject.real:
        pieces = await pieces_of(subject.backend, Generation(long, 1))
        assert usage_of(pieces).prompt_tokens == counted


async def test_a_prompt_over_the_context_is_refused_with_the_numbers(subject: Subject) -> None:
    if not subject.real:
        pytest.skip("nobody knows its context")
    await subject.backend.load()
    context = subject.backend.info().context
    generation = ask("All work and no play. " * (context // 4))
    tokens = await subject.backend.count_tokens(generation.messages)
    assert tokens > context
    with pytest.raises(PromptTooLong) as caught:
        await pieces_of(subject.backend, generation)
    assert f"{tokens:,}" in caught.value.message
    assert f"{context:,}" in caught.value.message
    assert subject.busy() == 0, "it was counted, not read"


# --- what only some can do: who claims it does it ---


async def test_what_it_says_of_itself_holds(subject: Subject) -> None:
    info = subject.backend.info()
    assert info.simulated == (info.backend == "scripted")
    assert info.local
    for port, feature in ((KeepsState, Feature.STATE), (Embeds, Feature.EMBEDDINGS)):
        assert subject.backend.extra(port) is not None or feature not in info.features


SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "size": {"enum": ["small", "large"]},
        "old": {"type": "boolean"},
    },
    "required": ["city", "size", "old"],
    "additionalProperties": False,
}


async def test_an_answer_fits_its_schema(subject: Subject) -> None:
    if Feature.SCHEMA not in subject.features:
        pytest.skip("it claims no schemas")
    pieces = await pieces_of(subject.backend, ask("Describe a city.", 200, schema=SCHEMA))
    found = json.loads(text_of(pieces))
    assert set(found) == {"city", "size", "old"}
    assert isinstance(found["city"], str)
    assert len(found["city"]) <= 12
    assert found["size"] in {"small", "large"}
    assert isinstance(found["old"], bool)


async def test_log_probabilities_are_those_of_the_tokens(subject: Subject) -> None:
    if Feature.LOGPROBS not in subject.features:
        pytest.skip("it claims no log-probabilities")
    pieces = await pieces_of(subject.backend, ask(LONG, 6, logprobs=3))
    told = [each for piece in pieces for each in piece.logprobs]
    assert len(told) == usage_of(pieces).new_tokens
    for each in told:
        assert each.logprob <= 0
        assert len(each.alternatives) == 3
        if subject.real:
            best = max(logprob for _, logprob in each.alternatives)
            assert each.logprob == pytest.approx(best), "greedy takes the likeliest"


async def test_what_was_read_is_not_read_again(subject: Subject) -> None:
    if not subject.real:
        pytest.skip("it reads nothing")
    question = ask("Name a colour.", 4, session="colours")
    first = await pieces_of(subject.backend, question)
    again = await pieces_of(subject.backend, question)
    read = usage_of(again).prompt_tokens - usage_of(again).cached_tokens
    assert read < usage_of(first).prompt_tokens / 2
    assert text_of(again) == text_of(first)


async def test_its_state_outlives_it(subject: Subject) -> None:
    if Feature.STATE not in subject.features:
        pytest.skip("it claims to keep no state")
    question = ask("Name an animal.", 4, session="animals")
    first = await pieces_of(subject.backend, question)
    state = subject.backend.extra(KeepsState)  # type: ignore[type-abstract]
    assert state is not None
    await state.save()
    await subject.backend.unload()
    again = await pieces_of(subject.backend, question)
    assert usage_of(again).cached_tokens >= usage_of(first).prompt_tokens - 1
    assert text_of(again) == text_of(first)


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process")
async def test_a_disk_that_is_full_costs_no_more_than_the_state(subject: Subject) -> None:
    backend = subject.backend
    if Feature.STATE not in subject.features:
        pytest.skip("it claims to keep no state")
    assert isinstance(backend, Hosted)
    states = backend._setup.states
    assert states is not None

    def of(session: str) -> list[Path]:
        return list(states.folder.glob(f"{session_name(session)}-*.*"))

    whole = await pieces_of(backend, ask("Name a fruit.", 4, session="whole"))
    await backend.save()
    size = max(path.stat().st_size for path in of("whole"))
    pid = backend.info().pid
    assert pid is not None
    for most in (0, size // 2, size - 1):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        try:
            pieces = await pieces_of(backend, ask("Name a fruit.", 4, session="torn"))
            assert text_of(pieces) == text_of(whole)
            await backend.save()
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        assert of("torn") == [], most
    assert text_of(await pieces_of(backend, ask("Name a fruit.", 4, session="torn"))) == text_of(
        whole
    )
    await backend.save()
    assert len(of("torn")) == 2
    assert backend.info().pid == pid
