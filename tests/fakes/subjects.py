"""Every kind of backend, and what each declares of itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from backends.hosted.backend import Hosted
from backends.hosted.settings import Options
from backends.hosted.states import StateStore
from backends.llama_cpp.backend import LlamaCpp
from backends.llama_cpp.binding import LLAMA_CPP_PYTHON
from backends.mlx.backend import Mlx
from backends.openai_http import EndpointSettings, OpenAIHttp
from backends.scripted import Scripted
from backends.wrappers.compose import wrap
from engine.contract.backend import (
    Backend,
    Feature,
    Generation,
    Message,
    Piece,
    Usage,
)
from tests.fakes.llama_server import KEY, bundled, llama_server
from tests.fakes.openai_server import MODEL, OpenAIServer

LONG = "Count from 1 to 500, one number a line."
# A conversation that the small model answers well, and in which reading costs something.
SYSTEM = Message(
    "system", "You are a helpful assistant. " + "Answer briefly and to the point. " * 30
)
# So much that reading all of it takes half a minute.
ROOMY = Options(context=8192)


@dataclass(frozen=True)
class Seen:
    """A backend, and what can be seen of it from outside.

    ``busy``: how many answers it works on. ``loads``: how many copies are loaded, or how often
    its server was asked what it is; None where nothing is.
    """

    backend: Backend
    busy: Callable[[], int] = lambda: 0
    loads: Callable[[], int] | None = None


@dataclass(frozen=True)
class Kind:
    """A kind of backend, and what it declares: tests of what it cannot do are not its own.

    ``real``: a model is behind it. ``leaves``: who leaves while it reads a prompt is noticed;
    prompts of the tiny model are read at once. ``ends``: its answers end by themselves.
    ``features`` are those that it has once it is loaded.
    """

    made: Callable[[Path], AbstractAsyncContextManager[Seen]]
    features: frozenset[Feature] = frozenset()
    real: bool = True
    leaves: bool = True
    ends: bool = True
    marks: tuple[pytest.MarkDecorator, ...] = ()

    @property
    def name(self) -> str:
        return self.made.__name__


@dataclass(frozen=True)
class Subject:
    """One of a kind."""

    kind: Kind
    seen: Seen

    @property
    def backend(self) -> Backend:
        return self.seen.backend


def slots_in_use(url: str, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    socket = url.removeprefix("unix:")
    transport = httpx.HTTPTransport(uds=socket) if socket != url else None
    with httpx.Client(transport=transport, headers=headers, timeout=10) as http:
        reply = http.get(("http://x" if transport else url) + "/slots")
        return sum(each["is_processing"] for each in reply.json())


def of_hosted(backend: Hosted, outside: Backend | None = None) -> Seen:
    """A model in a child process, seen through its server."""

    def busy() -> int:
        assert backend._running is not None
        child = backend._running.child
        return slots_in_use(f"unix:{child.socket}", child.key)

    def loads() -> int:
        module = backend._setup.host.module
        children = psutil.Process().children(recursive=True)
        return sum(module in each.cmdline() for each in children)

    return Seen(outside or backend, busy, loads)


@asynccontextmanager
async def xllamacpp(folder: Path) -> AsyncIterator[Seen]:
    backend = LlamaCpp(bundled(), folder / "run", ROOMY, states=StateStore(folder / "states"))
    yield of_hosted(backend)
    await backend.unload()


@asynccontextmanager
async def llama_cpp_python(folder: Path) -> AsyncIterator[Seen]:
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
async def mlx(folder: Path) -> AsyncIterator[Seen]:
    from tests.fakes.mlx_model import tiny

    model = tiny(folder / "tiny")
    backend = Mlx(model, folder / "run", states=StateStore(folder / "states"))
    yield of_hosted(backend)
    await backend.unload()


@asynccontextmanager
async def wrapped(folder: Path) -> AsyncIterator[Seen]:
    backend = LlamaCpp(bundled(), folder / "run", replace(ROOMY, parallel=1))
    outside = wrap(backend, lambda _: None)
    yield of_hosted(backend, outside)
    await outside.unload()


@asynccontextmanager
async def llama_server_over_tcp(_: Path) -> AsyncIterator[Seen]:
    async with llama_server() as url:
        yield a_real_server(url)


@asynccontextmanager
async def llama_server_over_a_socket(folder: Path) -> AsyncIterator[Seen]:
    async with llama_server(str(folder / "m.sock")) as url:
        yield a_real_server(url)


def a_real_server(url: str) -> Seen:
    backend = OpenAIHttp(EndpointSettings("real", url, key_env="K"), environ={"K": KEY})
    return Seen(backend, lambda: slots_in_use(url, KEY))


@asynccontextmanager
async def a_fake_server_over_tcp(_: Path) -> AsyncIterator[Seen]:
    async with OpenAIServer(key="sesame").running() as server:
        yield a_fake(server)


@asynccontextmanager
async def a_fake_server_over_a_socket(folder: Path) -> AsyncIterator[Seen]:
    async with OpenAIServer(key="sesame").running(str(folder / "f.sock")) as server:
        yield a_fake(server)


def a_fake(server: OpenAIServer) -> Seen:
    endpoint = EndpointSettings("fake", server.url, MODEL, key_env="K")
    backend = OpenAIHttp(endpoint, environ={"K": "sesame"})
    return Seen(backend, lambda: server.active, lambda: len(server.asked("/v1/models")))


@asynccontextmanager
async def a_script(_: Path) -> AsyncIterator[Seen]:
    yield Seen(Scripted("xllamacpp is not installed", "pip install xllamacpp"))


_model = (pytest.mark.model,)
_SHAPED = frozenset({Feature.SCHEMA, Feature.LOGPROBS})
_KEEPS = _SHAPED | {Feature.STATE}
_SERVES = _SHAPED | {Feature.EMBEDDINGS}

KINDS = (
    Kind(xllamacpp, _KEEPS, marks=_model),
    Kind(
        llama_cpp_python,
        _KEEPS,
        marks=(*_model, pytest.mark.binding("llama_cpp", get="make llama")),
    ),
    Kind(
        mlx,
        _KEEPS,
        leaves=False,
        ends=False,
        marks=(pytest.mark.binding("mlx_lm", get="make mlx"),),
    ),
    Kind(wrapped, _SHAPED, marks=_model),
    Kind(llama_server_over_tcp, _SERVES, marks=_model),
    Kind(llama_server_over_a_socket, _SERVES, marks=_model),
    Kind(a_fake_server_over_tcp, _SERVES, real=False, leaves=False),
    Kind(a_fake_server_over_a_socket, _SERVES, real=False, leaves=False),
    Kind(a_script, real=False, leaves=False),
)


def real(kind: Kind) -> bool:
    return kind.real


def leaves(kind: Kind) -> bool:
    return kind.leaves


def claims(feature: Feature) -> Callable[[Kind], bool]:
    return lambda kind: feature in kind.features


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
