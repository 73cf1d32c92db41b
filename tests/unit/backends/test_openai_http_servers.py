"""Each kind of server is asked in its own way for what it serves, and how much room there is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from backends.openai_http import EndpointSettings, Ollama, OpenAIHttp
from engine.contract.backend import Embeds, Feature
from engine.contract.errors import PromptTooLong, Unavailable
from tests.fakes.asking import ask, pieces_of, says
from tests.fakes.openai_server import MODEL, WORDS, OpenAIServer, Reply, Request


@asynccontextmanager
async def of(server: OpenAIServer, model: str = MODEL) -> AsyncIterator[OpenAIHttp]:
    """A loaded endpoint of that server."""
    async with server.running():
        backend = OpenAIHttp(EndpointSettings("box", server.url, model), environ={})
        await backend.load()
        yield backend
        await backend.unload()


def lists(*names: str, owner: str | None = "tests", **more: Any) -> list[dict[str, Any]]:
    """A listing of models, as this owner's server makes it."""
    owned = {} if owner is None else {"owned_by": owner}
    return [{"id": name, "object": "model"} | owned | more for name in names]


# --- llama-server ---


async def test_a_llama_server_is_asked_for_its_slots_and_its_tokenizer() -> None:
    props = {
        "default_generation_settings": {"n_ctx": 64},
        "total_slots": 3,
        "build_info": "b7000-\x1babc",
    }
    tokens = {"/apply-template": {"prompt": "<user>hello"}, "/tokenize": {"tokens": [1] * 60}}
    server = OpenAIServer(models=lists(MODEL, owner="llamacpp"), extra={"/props": props} | tokens)
    server.takes.add("return_progress")
    async with of(server) as backend:
        info = backend.info()
        assert (info.context, info.parallel) == (64, 3)
        assert info.library == "llama.cpp b7000-\\x1babc"
        assert {Feature.SCHEMA, Feature.LOGPROBS} <= info.features
        assert info.load_s is not None
        assert await backend.count_tokens(ask().messages) == 60
        assert len(await pieces_of(backend)) == 5
        assert server.asked("/v1/chat/completions")[0].body["max_tokens"] == 4, "what fits behind"
        assert server.asked("/v1/chat/completions")[0].body["return_progress"] is True
        asked = len(server.requests)
        await backend.count_tokens(ask("another").messages)
        assert len(server.requests) == asked + 2, "it knows by now how this server counts"
        await says(backend, ask("another"))
        assert len(server.requests) == asked + 3, "what was just counted is not counted again"

        server.extra["/tokenize"] = {"tokens": [1] * 64}
        with pytest.raises(PromptTooLong, match="64 tokens; box has room for 64"):
            await says(backend)
        assert len(server.asked("/v1/chat/completions")) == 2


# --- vLLM ---


async def test_vllm_is_asked_for_its_longest_model_and_counts_messages() -> None:
    def tokenize(request: Request) -> Any:
        count = sum(len(each["content"].split()) for each in request.body["messages"]) + 5
        return {"count": count, "max_model_len": 32, "tokens": [0] * count}

    extra = {"/version": {"version": "0.11.0"}, "/tokenize": tokenize}
    server = OpenAIServer(models=lists(MODEL, owner="vllm", max_model_len=32), extra=extra)
    async with of(server) as backend:
        info = backend.info()
        assert (info.library, info.context) == ("vLLM 0.11.0", 32)
        assert await backend.count_tokens(ask("one two").messages) == 7
        await says(backend, ask("one two", 500))
        # It refuses a request whose longest answer would not fit.
        assert server.asked("/v1/chat/completions")[0].body["max_tokens"] == 32 - 7
        with pytest.raises(PromptTooLong, match="45 tokens; box has room for 32"):
            await says(backend, ask("word " * 40))


# --- LM Studio ---


def an_lm_studio(**mine: Any) -> OpenAIServer:
    other = {"id": "embedder", "type": "embeddings", "max_context_length": 2048}
    model = {"id": MODEL, "type": "llm", "state": "not-loaded", "max_context_length": 32768} | mine
    return OpenAIServer(
        models=lists("embedder", MODEL, owner="organization_owner"),
        extra={"/api/v0/models": {"data": [other, model]}},
    )


@pytest.mark.parametrize("named", [MODEL, ""])
async def test_lm_studio_gets_no_prompt_that_it_would_swallow(named: str) -> None:
    server = an_lm_studio(state="loaded", loaded_context_length=256)
    async with of(server, named) as backend:
        info = backend.info()
        assert (info.model, info.library, info.context) == (MODEL, "LM Studio", 256)
        assert info.parallel == 1
        assert Feature.SCHEMA in info.features
        assert Feature.LOGPROBS not in info.features
        assert backend.extra(Embeds) is None  # type: ignore[type-abstract]
        assert await says(backend, ask(logprobs=3))
        assert "logprobs" not in server.asked("/v1/chat/completions")[0].body
        with pytest.raises(PromptTooLong, match=r"about .* tokens; box has room for 256"):
            await says(backend, ask("word " * 256))


async def test_what_lm_studio_loads_later_is_known_later() -> None:
    server = an_lm_studio()
    async with of(server) as backend:
        assert backend.info().context == 4096, "what it gives a model unless it is told otherwise"
        await says(backend)
        (listed,) = [each for each in server.extra["/api/v0/models"]["data"] if each["id"] == MODEL]
        listed |= {"state": "loaded", "loaded_context_length": 9000}
        await says(backend)
        assert backend.info().context == 9000
        looks = len(server.asked("/api/v0/models"))
        await says(backend)
        assert len(server.asked("/api/v0/models")) == looks


async def test_an_lm_studio_of_old_is_any_server() -> None:
    server = OpenAIServer(models=lists(MODEL, owner="organization_owner"))
    async with of(server) as backend:
        assert await says(backend)
        assert backend.info().context == 0


# --- mlx_lm.server ---


async def test_mlx_lm_speaks_the_old_http_and_tells_nothing() -> None:
    """HTTP/1.0, no length, keep-alive comments; thoughts apart; an error is a 404 with a text."""

    async def answers(reply: Reply, request: Request) -> None:
        await reply.raw(b"HTTP/1.0 200 OK\r\nContent-type: text/event-stream\r\n\r\n")
        await reply.raw(b": keepalive 0/12\n\n")
        for event in (
            {"choices": [{"finish_reason": None, "delta": {"reasoning": "Hm."}}]},
            {"choices": [{"finish_reason": None, "delta": {"content": "Yes."}}]},
            {"choices": [{"finish_reason": "stop", "delta": {"role": "assistant"}}]},
            {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 2}},
        ):
            await reply.raw(b"data: " + reply.encoded(event) + b"\n\n")
        await reply.raw(b"data: [DONE]\n\n")

    async def knows_it_not(reply: Reply, _: Request) -> None:
        data = b'{"error": "Repository Not Found"}'
        await reply.raw(b"HTTP/1.0 404 Not Found\r\nContent-type: application/json\r\n\r\n" + data)

    server = OpenAIServer(models=lists("/models/mine", owner=None), misbehave=answers)
    async with of(server, "") as backend:
        info = backend.info()
        assert (info.model, info.library, info.context) == ("/models/mine", "mlx_lm.server", 0)
        assert info.features == frozenset()
        assert backend.extra(Embeds) is None  # type: ignore[type-abstract]
        *text, last = await pieces_of(backend, ask(schema={"type": "string"}, logprobs=1))
        assert [each.text for each in text] == ["Yes."]
        assert last.usage is not None
        body = server.asked("/v1/chat/completions")[0].body
        assert not {"response_format", "logprobs"} & set(body)
        server.misbehave = knows_it_not
        with pytest.raises(Unavailable, match="Repository Not Found"):
            await says(backend)


async def test_an_mlx_lm_that_has_downloaded_nothing_lists_nothing_and_answers() -> None:
    server = OpenAIServer(extra={"/v1/models": b""})
    async with of(server, "/models/mine") as backend:
        assert await says(backend)
    async with server.running():
        nameless = OpenAIHttp(EndpointSettings("box", server.url))
        with pytest.raises(Unavailable, match="lists no models"):
            await nameless.load()
        await nameless.unload()


# --- Ollama ---


def an_ollama(context: int | None = 256, version: str = "0.13.0", **shown: object) -> OpenAIServer:
    running = {"name": MODEL, "model": MODEL} | ({"context_length": context} if context else {})
    return OpenAIServer(
        models=lists(MODEL, owner="library"),
        extra={
            "/api/version": {"version": version},
            "/api/show": {"capabilities": ["completion"]} | shown,
            "/api/generate": {"done": True, "done_reason": "load"},
            "/api/ps": {"models": [running]},
        },
    )


@pytest.mark.parametrize("kind", [Ollama, OpenAIHttp])
@pytest.mark.parametrize(("told", "used"), [(256, 256), (None, 2048)])
async def test_ollama_gets_no_prompt_that_it_would_cut(
    told: int | None, used: int, kind: type[OpenAIHttp]
) -> None:
    """Nor does one that was configured as any other server."""
    async with an_ollama(told).running() as server:
        backend = kind(EndpointSettings("Ollama", server.url, MODEL), environ={})
        assert await says(backend)
        info = backend.info()
        assert (info.context, info.library, info.parallel) == (used, "Ollama 0.13.0", 1)
        assert info.features == {Feature.SCHEMA, Feature.LOGPROBS}
        assert server.asked("/api/generate")[0].body["model"] == MODEL
        with pytest.raises(PromptTooLong, match=f"about .* tokens; Ollama has room for {used:,}"):
            await says(backend, ask("word " * used))
        assert len(server.asked("/v1/chat/completions")) == 1
        await backend.unload()


async def test_what_an_ollama_can_do_depends_on_it() -> None:
    server = an_ollama(version="0.9.1-rc0", capabilities=["completion", "embedding"])
    async with server.running():
        endpoint = EndpointSettings("Ollama", server.url, MODEL)
        backend = Ollama(endpoint, environ={"OLLAMA_NUM_PARALLEL": "3"})
        await backend.load()
        info = backend.info()
        assert info.features == {Feature.SCHEMA, Feature.EMBEDDINGS}
        assert info.parallel == 3
        await backend.unload()


@pytest.mark.parametrize("kind", [Ollama, OpenAIHttp])
async def test_a_model_that_ollama_runs_elsewhere_is_not_local(kind: type[OpenAIHttp]) -> None:
    async with an_ollama(remote_host="https://ollama.com:443").running() as server:
        backend = kind(EndpointSettings("Ollama", server.url, MODEL))
        with pytest.raises(Unavailable, match="does not run on this machine"):
            await says(backend)
        assert server.asked("/v1/chat/completions") == []
        await backend.unload()


@pytest.mark.parametrize("kind", [Ollama, OpenAIHttp])
async def test_a_model_of_ollamas_cloud_is_not_local(kind: type[OpenAIHttp]) -> None:
    name = "gpt-oss:120b-cloud"
    async with an_ollama(remote_host="https://ollama.com:443").running() as server:
        server.models = lists(name, owner="library")
        backend = kind(EndpointSettings("Ollama", server.url, name))
        if kind is Ollama:
            assert not backend.info().local, "by its name alone"
            assert await says(backend)
        else:
            with pytest.raises(Unavailable, match="does not run on this machine"):
                await says(backend)
        assert server.asked("/api/generate") == [], "nothing is loaded here"
        await backend.unload()


# --- any other ---


@pytest.mark.parametrize("name", ["max_model_len", "context_length", "context_window"])
async def test_a_context_is_taken_from_where_most_say_it(name: str) -> None:
    told: dict[str, Any] = {name: 64, "max_context_length": True}
    server = OpenAIServer(models=lists(MODEL, **told))
    async with of(server) as backend:
        assert backend.info().context == 64
        # Its own count is not known: what may not fit is for the server to refuse.
        assert (await says(backend, ask("word " * 100))).startswith(WORDS[0])


async def test_a_configured_number_of_answers_counts() -> None:
    async with OpenAIServer().running() as server:
        backend = OpenAIHttp(EndpointSettings("box", server.url, MODEL, parallel=7))
        assert backend.info().parallel == 7
        await backend.load()
        assert backend.info().parallel == 7
        await backend.unload()
