"""A server that misbehaves costs one clear error, in the words of who uses it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest

from backends.openai_http import EndpointSettings, Ollama, OpenAIHttp
from engine.contract.backend import Generation, Message, ModelState
from engine.contract.errors import ArcanumError, Invalid, ModelFailed, PromptTooLong, Unavailable
from tests.fakes.openai_server import MODEL, Behaviour, OpenAIServer, Reply, Request

KEY = "sk-very-secret"


def ask(text: str = "Hello", most: int = 50) -> Generation:
    return Generation((Message("user", text),), most)


async def says(backend: OpenAIHttp, generation: Generation | None = None) -> str:
    async with backend.stream(generation or ask()) as pieces:
        return "".join([piece.text async for piece in pieces])


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer().running() as running:
        yield running


@pytest.fixture
async def backend(server: OpenAIServer) -> AsyncIterator[OpenAIHttp]:
    made = OpenAIHttp(EndpointSettings("box", server.url, MODEL), silence_s=0.3)
    yield made
    await made.unload()


# --- ways to misbehave ---


async def drops(reply: Reply, _: Request) -> None:
    await reply.start()
    await reply.piece("half an ")
    await reply.raw(b"40\r\ndata: {")


async def never_ends_properly(reply: Reply, _: Request) -> None:
    await reply.start()
    await reply.piece("half an ")
    await reply.raw(b"0\r\n\r\n")


async def hangs_up(_: Reply, __: Request) -> None:
    return


async def writes_no_json(reply: Reply, _: Request) -> None:
    await reply.start()
    await reply.chunk(b'data: {"choices": [}\n\n')
    await reply.end()


async def writes_another_shape(reply: Reply, _: Request) -> None:
    await reply.start()
    await reply.event(["choices"])
    await reply.end()


async def nests_deeply(reply: Reply, _: Request) -> None:
    await reply.start()
    await reply.chunk(b"data: " + b"[" * 100_000 + b"\n\n")
    await reply.end()


async def writes_one_endless_line(reply: Reply, _: Request) -> None:
    await reply.start()
    await reply.chunk(b"data: ")
    while True:
        await reply.chunk(b"x" * 65_536)


async def never_stops(reply: Reply, _: Request) -> None:
    await reply.start()
    while True:
        await reply.piece("spam " * 1000)


async def fails_midway(reply: Reply, _: Request) -> None:
    await reply.start()
    await reply.piece("half an ")
    await reply.event({"error": {"message": "out of \x1b[31mmemory", "code": 500}})
    await reply.end()


async def is_no_model_server(reply: Reply, _: Request) -> None:
    await reply.whole(200, b"<html>Log in to the hotel</html>", "text/html")


async def compresses(reply: Reply, _: Request) -> None:
    await reply.start("Content-Encoding: gzip\r\n")
    await reply.chunk(b"\x1f\x8b\x08")


async def says_nothing(_: Reply, __: Request) -> None:
    await asyncio.Event().wait()


async def stops_saying_anything(reply: Reply, _: Request) -> None:
    await reply.start()
    await reply.piece("half an ")
    await asyncio.Event().wait()


async def answers_500(reply: Reply, _: Request) -> None:
    await reply.json(500, {"error": "CUDA error"})


async def answers_at_length(reply: Reply, _: Request) -> None:
    await reply.whole(500, b"x" * 5_000_000, "text/plain")


async def answers_429(reply: Reply, _: Request) -> None:
    await reply.json(429, {"error": {"message": "slow down"}}, "Retry-After: 7\r\n")


async def answers_404(reply: Reply, _: Request) -> None:
    await reply.json(404, {"error": {"message": "model 'x' not found"}})


async def answers_302(reply: Reply, _: Request) -> None:
    await reply.whole(302, b"", "text/plain", "Location: http://203.0.113.1/\r\n")


async def filters(reply: Reply, _: Request) -> None:
    await reply.start()
    await reply.piece("no ", "content_filter")


async def is_full(reply: Reply, _: Request) -> None:
    problem = {"type": "exceed_context_size_error", "n_prompt_tokens": 5031, "n_ctx": 4096}
    await reply.json(400, {"error": problem | {"message": "too long"}})


async def is_full_like_openai(reply: Reply, _: Request) -> None:
    text = "This model's maximum context length is 8192 tokens"
    await reply.json(400, {"error": {"code": "context_length_exceeded", "message": text}})


@pytest.mark.parametrize(
    ("misbehave", "kind", "words"),
    [
        (drops, ModelFailed, "broke off"),
        (never_ends_properly, ModelFailed, "no end"),
        (hangs_up, ModelFailed, "broke off"),
        (writes_no_json, ModelFailed, "not JSON"),
        (writes_another_shape, ModelFailed, "without choices"),
        (nests_deeply, ModelFailed, "not JSON"),
        (writes_one_endless_line, ModelFailed, "longer than"),
        (never_stops, ModelFailed, "more than it was asked"),
        (fails_midway, ModelFailed, "out of \\x1b[31mmemory"),
        (is_no_model_server, ModelFailed, "text/html"),
        (compresses, ModelFailed, "compressed"),
        (says_nothing, ModelFailed, "nothing for 0.3 s"),
        (stops_saying_anything, ModelFailed, "nothing for 0.3 s"),
        (answers_500, ModelFailed, "CUDA error"),
        (answers_at_length, ModelFailed, "too long"),
        (answers_429, Unavailable, "slow down"),
        (answers_404, Unavailable, "not found"),
        (answers_302, Unavailable, "not followed"),
        (filters, ModelFailed, "content filter"),
        (is_full, PromptTooLong, "5,031 tokens; box"),
        (is_full_like_openai, PromptTooLong, "8192"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
async def test_misbehaviour_is_one_clear_error(
    server: OpenAIServer,
    backend: OpenAIHttp,
    misbehave: Behaviour,
    kind: type[ArcanumError],
    words: str,
) -> None:
    server.misbehave = misbehave
    async with asyncio.timeout(5):
        with pytest.raises(ArcanumError) as caught:
            await says(backend)
    assert type(caught.value) is kind
    assert words in caught.value.message
    assert "box" in caught.value.message
    assert caught.value.hint
    assert len(caught.value.message) < 500
    server.misbehave = None
    assert (await says(backend)).startswith("word1 word2"), "the next question works"
    assert backend.info().state is ModelState.READY


async def test_what_came_before_the_break_was_read(
    server: OpenAIServer, backend: OpenAIHttp
) -> None:
    server.misbehave = drops
    heard = []
    with pytest.raises(ModelFailed):
        async with backend.stream(ask()) as pieces:
            async for piece in pieces:
                heard.append(piece.text)  # noqa: PERF401 - what was heard before it broke counts
    assert heard == ["half an "]
    assert backend.info().state is ModelState.FAILED
    assert "broke off" in backend.info().reason


async def test_events_may_be_cut_anywhere(server: OpenAIServer, backend: OpenAIHttp) -> None:
    async def byte_by_byte(reply: Reply, _: Request) -> None:
        await reply.start()
        event = {"choices": [{"delta": {"content": "caf\u00e9 \u2028 \U0001f991"}}]}
        data = json.dumps(event, ensure_ascii=False).encode()
        for byte in b": ping\r\n\r\nid: 1\r\ndata:" + data + b"\r\n\r\ndata: [DONE]\n\n":
            await reply.chunk(bytes([byte]))
        await reply.raw(b"0\r\n\r\n")

    server.misbehave = byte_by_byte
    assert await says(backend) == "caf\u00e9 \u2028 \U0001f991"


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
        assert "key_env" in caught.value.hint
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


async def test_a_local_tokenizer_is_used_and_the_context_respected(server: OpenAIServer) -> None:
    server.models = [{"id": MODEL, "owned_by": "llamacpp"}]
    server.extra = {
        "/props": {"default_generation_settings": {"n_ctx": 64}},
        "/apply-template": {"prompt": "<user>hello"},
        "/tokenize": {"tokens": list(range(70))},
    }
    backend = OpenAIHttp(EndpointSettings("box", server.url, MODEL))
    await backend.load()
    assert backend.info().context == 64
    assert await backend.count_tokens(ask().messages) == 70
    with pytest.raises(PromptTooLong, match="70 tokens; box has room for 64"):
        await says(backend)
    assert server.asked("/v1/chat/completions") == []
    await backend.unload()


# --- Ollama ---


def an_ollama(context: int | None = 256, **shown: object) -> OpenAIServer:
    running = {"name": MODEL, "model": MODEL} | ({"context_length": context} if context else {})
    return OpenAIServer(
        extra={
            "/api/show": {"details": {}} | shown,
            "/api/generate": {"done": True, "done_reason": "load"},
            "/api/ps": {"models": [running]},
        }
    )


@pytest.mark.parametrize(("told", "used"), [(256, 256), (None, 2048)])
async def test_ollama_gets_no_prompt_that_it_would_cut(told: int | None, used: int) -> None:
    async with an_ollama(told).running() as server:
        backend = Ollama(EndpointSettings("Ollama", server.url, MODEL))
        assert await says(backend)
        assert backend.info().context == used
        assert server.asked("/api/generate")[0].body["model"] == MODEL
        with pytest.raises(PromptTooLong, match=f"about .* tokens; Ollama has room for {used:,}"):
            await says(backend, ask("word " * used))
        assert len(server.asked("/v1/chat/completions")) == 1
        await backend.unload()


async def test_a_model_that_ollama_runs_elsewhere_is_not_local() -> None:
    async with an_ollama(remote_host="https://ollama.com:443").running() as server:
        backend = Ollama(EndpointSettings("Ollama", server.url, MODEL))
        with pytest.raises(Unavailable, match="does not run on this machine"):
            await says(backend)
        assert server.asked("/v1/chat/completions") == []
        await backend.unload()
    assert not Ollama(EndpointSettings("Ollama", server.url, "gpt-oss:120b-cloud")).info().local


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
