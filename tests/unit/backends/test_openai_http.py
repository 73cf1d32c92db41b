"""An endpoint: where it is, who may ask it, what leaves this machine, and its vectors."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from backends.adding import examine
from backends.openai_http import EndpointSettings, OpenAIHttp
from engine.contract.backend import Embeds, Feature, ModelState
from engine.contract.errors import Invalid, ModelFailed, Unavailable
from tests.fakes.asking import ask, says
from tests.fakes.openai_server import MODEL, OpenAIServer, Reply, Request

KEY = "sk-very-secret"


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer().running() as running:
        yield running


@pytest.fixture
async def backend(server: OpenAIServer) -> AsyncIterator[OpenAIHttp]:
    made = OpenAIHttp(EndpointSettings("box", server.url, MODEL), silence_s=0.3)
    yield made
    await made.unload()


async def test_nobody_there_is_said_at_once() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        backend = OpenAIHttp(EndpointSettings("box", url, MODEL))
        with pytest.raises(Unavailable, match="does not answer") as caught:
            await says(backend)
    assert url in caught.value.message
    assert "arcanum model list" in caught.value.hint
    assert backend.info().state is ModelState.FAILED
    await backend.unload()


async def test_a_server_that_went_away_is_said() -> None:
    server = OpenAIServer()
    async with server.running():
        backend = OpenAIHttp(EndpointSettings("box", server.url, MODEL))
        await backend.load()
    with pytest.raises(Unavailable):
        await says(backend)
    assert backend.info().state is ModelState.FAILED
    await backend.unload()
    assert backend.info().state is ModelState.UNLOADED


GARBAGE = {
    "another protocol": b"SSH-2.0-OpenSSH_9.6 \xff\x1b[31m" + b"x" * 500 + b"\r\n\r\n",
    "a strange version": b"HTTP/9.9 what\r\n\r\n",
    "a header that is none": b"HTTP/1.1 200 OK\r\nbad " + b"x" * 5000 + b"\r\n\r\n",
    "no end of a line": b"x" * 200_000,
}


@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE.keys())
async def test_what_speaks_another_protocol_is_said_in_short(said: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        backend = OpenAIHttp(EndpointSettings("box", url, MODEL))
        with pytest.raises(ModelFailed) as using:
            await says(backend)
        with pytest.raises(Unavailable) as adding:
            await examine(url, "", "", "", taken=(), environ={})
        await backend.unload()
    for error in (using.value, adding.value):
        assert url in error.message
        assert "does not speak HTTP" in error.message
        assert len(error.message) < 200
        assert error.message.isprintable()
        assert "bytearray" not in error.message
        assert "address and port" in error.hint
        assert "Start that server" not in error.hint


# --- keys ---


async def test_a_key_is_sent_and_told_to_nobody() -> None:
    async def blabs(reply: Reply, _: Request) -> None:
        await reply.json(400, {"error": {"message": f"Incorrect key {KEY}"}})

    async with OpenAIServer(key=KEY).running() as server:
        endpoint = EndpointSettings("box", server.url, MODEL, "BOX_KEY")
        backend = OpenAIHttp(endpoint, environ={"BOX_KEY": KEY + "\n"})
        assert await says(backend)
        server.misbehave = blabs
        with pytest.raises(ModelFailed) as caught:
            await says(backend)
        assert "Incorrect key" in caught.value.message
        assert KEY not in caught.value.message + repr(backend.info())
        await backend.unload()


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "is not set"),
        ({"BOX_KEY": "a\nb"}, "no usable key"),
        ({"BOX_KEY": "ключ"}, "no usable"),
    ],
)
async def test_a_key_that_is_not_there_is_named(environ: dict[str, str], words: str) -> None:
    backend = OpenAIHttp(
        EndpointSettings("box", "http://127.0.0.1:1", MODEL, "BOX_KEY"), environ=environ
    )
    with pytest.raises(Unavailable, match=words) as caught:
        await backend.load()
    assert "BOX_KEY" in caught.value.message
    assert environ.get("BOX_KEY", "\0") not in caught.value.message


async def test_a_wrong_key_is_said() -> None:
    async with OpenAIServer(key=KEY).running() as server:
        backend = OpenAIHttp(EndpointSettings("box", server.url, MODEL))
        with pytest.raises(Unavailable, match="refused the key") as caught:
            await says(backend)
        assert "key_env in config.toml" in caught.value.hint
        assert "--key-env NAME" in caught.value.hint
        await backend.unload()


# --- what is local ---


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://127.9.9.9:8080/v1", True),
        ("http://[::1]:8080", True),
        ("http://localhost:1234/v1", True),
        ("unix:/run/model.sock", True),
        ("http://192.168.1.5:8080", False),
        ("https://api.example.com/v1", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://0.0.0.0:8080", False),
    ],
)
def test_only_loopback_and_sockets_are_local(url: str, local: bool) -> None:
    assert OpenAIHttp(EndpointSettings("box", url)).info().local is local


@pytest.mark.parametrize(
    "url",
    ["", "nas:8080", "ftp://nas", "http://", "http://u:secret@nas", "http://nas:99999",
     "http://nas/v1?key=secret", "unix:", "http://na\x1bs"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        OpenAIHttp(EndpointSettings("box", url))
    assert "secret" not in caught.value.message
    assert "\x1b" not in caught.value.message


async def test_a_proxy_is_not_used_for_what_is_local(
    server: OpenAIServer, backend: OpenAIHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with OpenAIServer().running() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert await says(backend)
        assert proxy.requests == []


async def test_nothing_leaves_this_machine_to_be_counted(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenAIHttp, "local", False)
    backend = OpenAIHttp(EndpointSettings("box", server.url, MODEL))
    assert await backend.count_tokens(ask("a private thought").messages) > 4
    assert server.requests == []


# --- what the server is asked ---


async def test_the_first_model_is_used_where_none_is_named(server: OpenAIServer) -> None:
    backend = OpenAIHttp(EndpointSettings("box", server.url))
    assert await says(backend)
    assert backend.info().model == MODEL
    assert server.asked("/v1/chat/completions")[0].body["model"] == MODEL
    await backend.unload()


async def test_a_server_without_models_is_said(server: OpenAIServer) -> None:
    server.models = []
    with pytest.raises(Unavailable, match="lists no models"):
        await OpenAIHttp(EndpointSettings("box", server.url)).load()


# --- leaving ---


async def test_unloading_mid_answer_is_one_error(server: OpenAIServer, backend: OpenAIHttp) -> None:
    server.hold = asyncio.Event()
    with pytest.raises(Unavailable, match="unloaded"):
        async with backend.stream(ask()) as pieces:
            await anext(pieces)
            await backend.unload()
            async for _ in pieces:
                pass
    assert backend.info().state is ModelState.UNLOADED


# --- vectors ---


async def test_each_text_gets_its_vector(server: OpenAIServer, backend: OpenAIHttp) -> None:
    embeds = backend.extra(Embeds)  # type: ignore[type-abstract]
    assert embeds is not None
    texts = [f"text {n}" for n in range(19)] + ["a\ud800b", ""]
    vectors = await embeds.embed(texts)
    assert len(vectors) == len(texts)
    assert vectors[4] == (await embeds.embed(["text 4"]))[0]
    assert len({tuple(each) for each in vectors}) == len(texts)
    assert await embeds.embed([]) == []
    asked = server.asked("/v1/embeddings")
    assert all(len(each.body["input"]) <= 8 for each in asked), "never all at once"


def vectors(*found: object, indexes: tuple[object, ...] = (0, 1)) -> dict[str, object]:
    pairs = zip(indexes, found, strict=True)
    return {"data": [{"index": index, "embedding": each} for index, each in pairs]}


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ({}, "not 2 vectors"),
        ({"data": [{"index": 0, "embedding": [1.0]}]}, "not 2 vectors"),
        ({"data": ["x", "y"]}, "belong to no text"),
        (vectors([1.0, 2.0], [1.0]), "of 2 and of 1"),
        (vectors([1.0], [float("nan")]), "no number"),
        (vectors([1.0], [float("inf")]), "no number"),
        (vectors([1.0], ["1.0"]), "no number"),
        (vectors([1.0], [True]), "no number"),
        (vectors([1.0], []), "is none"),
        (vectors([1.0], "AACAPw=="), "is none"),
        (vectors([1.0], [0.5] * 20_000), "is none"),
        (vectors([1.0], [2.0], indexes=(0, 0)), "belong to no text"),
        (vectors([1.0], [2.0], indexes=(0, 2)), "belong to no text"),
        (vectors([1.0], [2.0], indexes=(0, None)), "belong to no text"),
    ],
)
async def test_what_is_no_vector_is_refused(
    server: OpenAIServer, backend: OpenAIHttp, reply: object, words: str
) -> None:
    server.extra["/v1/embeddings"] = reply
    with pytest.raises(ModelFailed, match=words):
        await backend.embed(["one", "two"])


async def test_all_vectors_are_of_one_length(server: OpenAIServer, backend: OpenAIHttp) -> None:
    def grows(request: Request) -> object:
        length = 3 if len(server.asked("/v1/embeddings")) == 1 else 4
        texts = request.body["input"]
        return vectors(*[[0.5] * length] * len(texts), indexes=tuple(range(len(texts))))

    server.extra["/v1/embeddings"] = grows
    with pytest.raises(ModelFailed, match="of 3 and of 4"):
        await backend.embed(["text"] * 9)


async def test_a_server_without_vectors_says_so_once(
    server: OpenAIServer, backend: OpenAIHttp
) -> None:
    server.extra["/v1/embeddings"] = None
    with pytest.raises(Unavailable, match="makes no vectors") as caught:
        await backend.embed(["text"])
    assert MODEL in caught.value.message
    assert backend.extra(Embeds) is None  # type: ignore[type-abstract]
    assert Feature.EMBEDDINGS not in backend.info().features
