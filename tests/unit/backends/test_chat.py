"""What is asked of a server, and what of its answer is understood."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from backends.openai_http import EndpointSettings, OpenAIHttp
from engine.contract.backend import Generation, ModelState, Piece, TokenLogprob, Usage
from engine.contract.errors import NotFound, PromptTooLong
from tests.fakes.asking import ask, pieces_of, says
from tests.fakes.openai_server import MODEL, OpenAIServer, Reply, Request
from tests.fakes.waiting import until


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer().running() as running:
        yield running


@pytest.fixture
async def backend(server: OpenAIServer) -> AsyncIterator[OpenAIHttp]:
    made = OpenAIHttp(EndpointSettings("box", server.url, MODEL), silence_s=0.5)
    yield made
    await made.unload()


def sent(server: OpenAIServer) -> list[Any]:
    return [each.body for each in server.asked("/v1/chat/completions")]


def streams(*events: Any) -> Callable[[Reply, Request], Any]:
    """A behaviour: these events, and the usual end."""

    async def behave(reply: Reply, _: Request) -> None:
        await reply.start()
        for event in events:
            await reply.event(event)
        await reply.end()

    return behave


def choice(content: Any = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish} | more]
    }


# --- events ---


async def test_events_may_be_cut_anywhere(server: OpenAIServer, backend: OpenAIHttp) -> None:
    async def byte_by_byte(reply: Reply, _: Request) -> None:
        await reply.start()
        data = json.dumps(choice("caf\u00e9 \u2028 \U0001f991"), ensure_ascii=False).encode()
        start = b"\xef\xbb\xbf: ping\r\n\r\nid: 1\r\ndata:"
        for byte in start + data + b"\r\n\r\ndata: [DONE]\n\n":
            await reply.chunk(bytes([byte]))
        await reply.raw(b"0\r\n\r\n")

    server.misbehave = byte_by_byte
    assert await says(backend) == "caf\u00e9 \u2028 \U0001f991"


async def test_any_text_comes_and_goes_as_it_is(server: OpenAIServer, backend: OpenAIHttp) -> None:
    text = "NUL \0, \x1b[31m, \u202eRTL \u05e9\u05dc\u05d5\u05dd, \U0001f991, [b]{}"
    server.words = [text, " and \ud800 alone"]
    assert await says(backend, ask(text + "\udfff")) == text + " and ? alone"
    assert sent(server)[0]["messages"] == [{"role": "user", "content": text + "?"}]


async def test_content_in_parts_is_text(server: OpenAIServer, backend: OpenAIHttp) -> None:
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Yes."}, "x", None]
    server.misbehave = streams(choice(parts), choice(None, "stop"))
    assert await says(backend) == "Yes."


async def test_an_answer_of_no_words_is_an_answer(
    server: OpenAIServer, backend: OpenAIHttp
) -> None:
    server.misbehave = streams(choice(""), choice(None, "stop"))
    assert await pieces_of(backend) == [Piece("", "stop")]


async def test_thoughts_are_no_answer_and_no_silence(
    server: OpenAIServer, backend: OpenAIHttp
) -> None:
    async def thinks(reply: Reply, _: Request) -> None:
        await reply.start()
        for _each in range(6):  # Longer than the silence that is borne.
            await asyncio.sleep(0.15)
            await reply.event({"choices": [{"delta": {"reasoning_content": "hm "}}]})
        await reply.event({"choices": [{"delta": {"reasoning": "so"}}]})
        await reply.piece("Yes.", "stop")
        await reply.end()

    server.misbehave = thinks
    assert await says(backend) == "Yes."


# --- what it took ---

USAGE = {"prompt_tokens": 32, "completion_tokens": 4}
TIMINGS = {"cache_n": 31, "prompt_n": 1, "predicted_n": 4}


@pytest.mark.parametrize(
    ("ends", "usage"),
    [
        ([choice(None, "stop"), {"choices": [], "usage": USAGE}], Usage(32, 4)),
        ([choice(None, "stop") | {"usage": USAGE}], Usage(32, 4)),
        ([choice("", None) | {"usage": USAGE}, choice(None, "stop")], Usage(32, 4)),
        (
            [
                choice(None, "stop"),
                {"usage": USAGE | {"prompt_tokens_details": {"cached_tokens": 30}}},
            ],
            Usage(32, 4, 30),
        ),
        ([choice(None, "stop") | {"timings": TIMINGS}], Usage(32, 4, 31)),
        ([choice(None, "stop"), {"usage": USAGE, "timings": TIMINGS}], Usage(32, 4, 31)),
        ([choice(None, "stop")], None),
        ([choice(None, "stop"), {"usage": None}], None),
        ([choice(None, "stop"), {"usage": {"prompt_tokens": -1, "completion_tokens": 4}}], None),
        ([choice(None, "stop"), {"usage": {"prompt_tokens": "1", "completion_tokens": 4}}], None),
        ([choice(None, "stop"), {"usage": [1]}], None),
    ],
)
async def test_the_last_piece_says_what_it_took(
    server: OpenAIServer, backend: OpenAIHttp, ends: list[Any], usage: Usage | None
) -> None:
    server.misbehave = streams(choice("Yes."), *ends)
    assert await pieces_of(backend) == [Piece("Yes."), Piece("", "stop", usage=usage)]
    assert sent(server)[0]["stream_options"] == {"include_usage": True}


async def hangs(_: Reply) -> None:
    await asyncio.Event().wait()


async def hangs_up(_: Reply) -> None:
    return


async def writes_rubbish(reply: Reply) -> None:
    await reply.chunk(b"data: {{{\n\n")
    await hangs(reply)


async def writes_without_end(reply: Reply) -> None:
    while True:
        await reply.chunk(b"data: {}\n\n" * 100)


@pytest.mark.parametrize("then", [hangs, hangs_up, writes_rubbish, writes_without_end])
async def test_an_answer_that_is_whole_does_not_wait_for_its_bill(
    server: OpenAIServer, backend: OpenAIHttp, then: Callable[[Reply], Any]
) -> None:
    async def behave(reply: Reply, _: Request) -> None:
        await reply.start()
        await reply.piece("Yes.", "length")
        await then(reply)

    server.misbehave = behave
    async with asyncio.timeout(2):
        assert await pieces_of(backend) == [Piece("Yes."), Piece("", "length")]
    assert backend.info().state is ModelState.READY
    await until(lambda: server.active == 0)


# --- a schema, and log-probabilities ---

SCHEMA = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}


async def test_a_schema_is_asked_for_strictly(server: OpenAIServer, backend: OpenAIHttp) -> None:
    assert json.loads(await says(backend, ask(schema=SCHEMA))) == {"word": "word"}
    told = sent(server)[0]["response_format"]
    assert told["type"] == "json_schema"
    assert told["json_schema"] == {"name": "answer", "strict": True, "schema": SCHEMA}
    await says(backend)
    assert "response_format" not in sent(server)[1]


async def test_log_probabilities_come_with_their_pieces(
    server: OpenAIServer, backend: OpenAIHttp
) -> None:
    first, *_ = await pieces_of(backend, ask(logprobs=2))
    others = (("word1 0", -0.5), ("word1 1", -1.5))
    assert first == Piece("word1 ", logprobs=(TokenLogprob("word1 ", -0.5, others),))
    assert sent(server)[0]["top_logprobs"] == 2
    first, *_ = await pieces_of(backend)
    assert first.logprobs == ()
    assert "logprobs" not in sent(server)[1]


async def test_of_log_probabilities_only_numbers_are_taken(
    server: OpenAIServer, backend: OpenAIHttp
) -> None:
    told = [
        {"token": "a", "logprob": float("nan")},
        {"token": "b", "logprob": -1, "top_logprobs": [{"token": "c", "logprob": float("-inf")}]},
        {"id": 3, "logprob": -1.0},
        "d",
        {"token": "e", "logprob": 1e-9, "top_logprobs": [{"token": "f", "logprob": -2.0}] * 1000},
        *[{"token": "g", "logprob": -3.0}] * 1000,
    ]
    server.misbehave = streams(choice("Yes.", logprobs={"content": told}), choice(None, "stop"))
    (piece, _) = await pieces_of(backend)
    first, second, *rest = piece.logprobs
    assert first == TokenLogprob("b", -1.0)
    assert (second.logprob, len(second.alternatives)) == (0.0, 20)
    assert len(rest) < 64


# --- servers that do not know every field ---


async def test_a_field_that_is_refused_is_left_out_from_then_on(
    server: OpenAIServer, backend: OpenAIHttp
) -> None:
    server.takes = {"response_format"}
    assert await pieces_of(backend, ask(most=1)) == [Piece("word1 "), Piece("", "length")]
    assert ["stream_options" in body for body in sent(server)] == [True, False]
    await says(backend, ask(logprobs=2))
    assert ["logprobs" in body for body in sent(server)[2:]] == [True, False]
    await says(backend, ask(logprobs=2))
    assert len(sent(server)) == 5
    assert not {"stream_options", "logprobs", "top_logprobs"} & set(sent(server)[-1])


async def test_what_newer_models_call_otherwise_is_called_so(
    server: OpenAIServer, backend: OpenAIHttp
) -> None:
    """As OpenAI refuses: one field at a time, by name."""

    async def reasoning_model(reply: Reply, request: Request) -> None:
        body = request.body
        for name, message in (
            ("max_tokens", "Unsupported parameter: use 'max_completion_tokens' instead."),
            ("temperature", "Unsupported value: 'temperature' does not support 0.0."),
        ):
            if name in body:
                problem = {"message": message, "param": name, "code": "unsupported_parameter"}
                await reply.json(400, {"error": problem})
                return
        assert body["max_completion_tokens"] == 50
        await streams(choice("Yes.", "stop"))(reply, request)

    server.takes |= {"max_completion_tokens"}
    server.misbehave = reasoning_model
    assert await says(backend) == "Yes."
    assert await says(backend) == "Yes."
    assert len(sent(server)) == 4, "two refusals, and none for the second question"


async def test_a_refusal_for_another_reason_changes_nothing(
    server: OpenAIServer, backend: OpenAIHttp
) -> None:
    async def is_full(reply: Reply, _: Request) -> None:
        await reply.json(400, {"error": "the context length is too small"})

    server.misbehave = is_full
    with pytest.raises(PromptTooLong):
        await says(backend)
    assert len(sent(server)) == 1, "a long prompt is not sent twice"
    server.misbehave = None
    assert (await pieces_of(backend))[-1].usage is not None


# --- leaving ---


async def before_headers(_: Reply, __: Request) -> None:
    await asyncio.Event().wait()


async def before_the_first_piece(reply: Reply, _: Request) -> None:
    await reply.start()
    await asyncio.Event().wait()


async def mid_answer(reply: Reply, _: Request) -> None:
    await reply.start()
    await reply.piece("half an ")
    await asyncio.Event().wait()


async def before_the_bill(reply: Reply, _: Request) -> None:
    await reply.start()
    await reply.piece("Yes.", "stop")
    await asyncio.Event().wait()


@pytest.mark.parametrize("socket", ["http", "unix"])
@pytest.mark.parametrize(
    "stage", [before_headers, before_the_first_piece, mid_answer, before_the_bill]
)
async def test_cancelling_closes_the_connection_at_every_stage(socket: str, stage: Any) -> None:
    with TemporaryDirectory(prefix="arcanum") as folder:
        path = f"{folder}/s" if socket == "unix" else None
        async with OpenAIServer(misbehave=stage).running(path) as server:
            backend = OpenAIHttp(EndpointSettings("box", server.url, MODEL))
            asking = asyncio.create_task(says(backend, Generation(ask().messages, 5)))
            await until(lambda: server.active == 1)
            await asyncio.sleep(0)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await until(lambda: server.active == 0)
            await backend.unload()


async def test_what_goes_wrong_with_the_reader_closes_the_connection(
    server: OpenAIServer, backend: OpenAIHttp
) -> None:
    server.misbehave = mid_answer
    with pytest.raises(NotFound):
        async with backend.stream(ask()) as pieces:
            async for _ in pieces:
                raise NotFound("the reader's own trouble")
    await until(lambda: server.active == 0)
    assert backend.info().state is ModelState.READY
