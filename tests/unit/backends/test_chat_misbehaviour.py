"""A server that misbehaves costs one clear error, in the words of who uses it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from tempfile import TemporaryDirectory

import pytest

from backends.failures import Denied, NotAccepted, TryLater, retry_after
from backends.openai_http import EndpointSettings, OpenAIHttp
from engine.contract.backend import ModelState
from engine.contract.errors import ArcanumError, ModelFailed, PromptTooLong, Unavailable
from tests.fakes.asking import ask, says
from tests.fakes.openai_server import MODEL, Behaviour, OpenAIServer, Reply, Request
from tests.fakes.waiting import until


@pytest.fixture(params=["http", "unix"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[OpenAIServer]:
    with TemporaryDirectory(prefix="arcanum") as folder:  # A short path, as sockets need one.
        socket = f"{folder}/s" if request.param == "unix" else None
        async with OpenAIServer().running(socket) as running:
            yield running


@pytest.fixture
async def backend(server: OpenAIServer) -> AsyncIterator[OpenAIHttp]:
    made = OpenAIHttp(EndpointSettings("box", server.url, MODEL), connect_s=0.4, silence_s=0.4)
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


async def writes_ten_megabytes(reply: Reply, _: Request) -> None:
    await reply.start()
    await reply.chunk(b"data: " + b"x" * 10_000_000 + b"\n\n")
    await reply.end()


async def never_says_anything(reply: Reply, _: Request) -> None:
    empty = b'data: {"choices": [{"delta": {}}]}\n\n'
    await reply.start()
    while True:
        await reply.chunk(empty * 1000)


async def thinks_for_ever(reply: Reply, _: Request) -> None:
    await reply.start()
    thought = {"choices": [{"delta": {"reasoning_content": "hm " * 1000}}]}
    while True:
        await reply.event(thought)


async def drips_headers(reply: Reply, _: Request) -> None:
    await reply.raw(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        await reply.raw(b"a")
        await asyncio.sleep(0.02)


async def drips_an_event(reply: Reply, _: Request) -> None:
    await reply.start()
    while True:
        await reply.chunk(b"d")
        await asyncio.sleep(0.02)


async def only_comments(reply: Reply, _: Request) -> None:
    await reply.start()
    while True:
        await reply.chunk(b": still here\n\n")
        await asyncio.sleep(0.02)


async def drips_a_refusal(reply: Reply, _: Request) -> None:
    await reply.raw(b"HTTP/1.1 500 x\r\nContent-Length: 10000\r\n\r\n")
    while True:
        await reply.raw(b"a")
        await asyncio.sleep(0.02)


async def says_it_is_utf_16(reply: Reply, _: Request) -> None:
    data = 'data: {"choices": [{"delta": {"content": "hi"}}]}\n\n'.encode("utf-16")
    await reply.whole(200, data, "text/event-stream; charset=utf-16")


async def is_utf_16(reply: Reply, _: Request) -> None:
    data = 'data: {"choices": [{"delta": {"content": "hi"}}]}\n\n'.encode("utf-16")
    await reply.whole(200, data, "text/event-stream")


async def is_latin_1(reply: Reply, _: Request) -> None:
    data = 'data: {"choices": [{"delta": {"content": "é"}}]}\n\n'.encode("latin-1")
    await reply.whole(200, data, "text/event-stream; charset=UTF-8")


async def ends_without_a_word(reply: Reply, _: Request) -> None:
    await reply.start()
    await reply.end()


async def is_broken_http(reply: Reply, _: Request) -> None:
    await reply.raw(b"\x16\x03\x01 is TLS\r\n\r\n")


async def answers_503(reply: Reply, _: Request) -> None:
    await reply.json(503, {"error": {"message": "Loading model", "type": "unavailable_error"}})


async def answers_503_with_a_time(reply: Reply, _: Request) -> None:
    await reply.whole(503, b"", "text/plain", "Retry-After: 7\r\n")


async def answers_502(reply: Reply, _: Request) -> None:
    await reply.whole(502, b"<html>Bad Gateway</html>", "text/html")


async def answers_422(reply: Reply, _: Request) -> None:
    await reply.json(422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required"}]})


async def is_an_error_in_json(reply: Reply, _: Request) -> None:
    await reply.json(200, {"error": "Unexpected endpoint or method. (POST /v1/chat/completions)"})


async def fails_as_an_event(reply: Reply, _: Request) -> None:
    await reply.start()
    await reply.event({"object": "error", "message": "the engine is dead", "code": 500})
    await reply.end()


async def aborts(reply: Reply, _: Request) -> None:
    await reply.start()
    await reply.piece("half an ", "abort")


async def is_full_like_vllm(reply: Reply, _: Request) -> None:
    text = (
        "This model's maximum context length is 8192 tokens. However, you requested 8203 tokens "
        "(7691 in the messages, 512 in the completion)."
    )
    problem = {"object": "error", "message": text, "type": "BadRequestError", "code": 400}
    await reply.json(400, problem)


async def is_full_like_lm_studio(reply: Reply, _: Request) -> None:
    text = "The number of tokens to keep from the initial prompt is greater than the context length"
    await reply.start()
    data = json.dumps({"error": {"message": text}}).encode()
    await reply.chunk(b"event: error\ndata: " + data + b"\n\n")
    await reply.end()


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
        (says_nothing, ModelFailed, "nothing for 0.4 s"),
        (stops_saying_anything, ModelFailed, "nothing for 0.4 s"),
        (answers_500, ModelFailed, "CUDA error"),
        (answers_at_length, ModelFailed, "too long"),
        (answers_422, NotAccepted, "Field required"),
        (answers_429, TryLater, "slow down"),
        (answers_502, Unavailable, "a proxy that does not reach it"),
        (answers_503, Unavailable, "Loading model"),
        (answers_503_with_a_time, TryLater, "no capacity"),
        (answers_404, Denied, "not found"),
        (answers_302, Denied, "not followed"),
        (filters, NotAccepted, "content filter"),
        (aborts, ModelFailed, "ended with 'abort'"),
        (fails_as_an_event, ModelFailed, "the engine is dead"),
        (is_an_error_in_json, ModelFailed, "Unexpected endpoint"),
        (is_broken_http, ModelFailed, "does not speak HTTP"),
        (writes_ten_megabytes, ModelFailed, "longer than"),
        (never_says_anything, ModelFailed, "more than it was asked"),
        (thinks_for_ever, ModelFailed, "more than it was asked"),
        (ends_without_a_word, ModelFailed, "without a word"),
        (drips_headers, ModelFailed, "nothing for 0.4 s"),
        (drips_an_event, ModelFailed, "nothing for 0.4 s"),
        (drips_a_refusal, ModelFailed, "nothing for 0.4 s"),
        (only_comments, ModelFailed, "nothing for 0.4 s"),
        (says_it_is_utf_16, ModelFailed, "utf-16, not a stream"),
        (is_utf_16, ModelFailed, "not UTF-8"),
        (is_latin_1, ModelFailed, "not JSON"),
        (is_full, PromptTooLong, "5,031 tokens; box"),
        (is_full_like_openai, PromptTooLong, "8192"),
        (is_full_like_vllm, PromptTooLong, "7691 in the messages"),
        (is_full_like_lm_studio, PromptTooLong, "greater than the context length"),
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
    await server_is_idle(server)


async def server_is_idle(server: OpenAIServer) -> None:
    """Whatever it was at, its connection was closed."""
    await until(lambda: server.active == 0)


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


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("7", 7, 7),
        (" 1.5 ", 1.5, 1.5),
        ("-3", 0, 0),
        ("1e400", 3600, 3600),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0, 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600, 3600),
    ],
)
def test_how_long_to_wait_is_understood_within_bounds(
    header: str, least: float, most: float
) -> None:
    seconds = retry_after(header)
    assert seconds is not None
    assert least <= seconds <= most


def test_how_long_to_wait_may_be_a_date() -> None:
    later = datetime.now(UTC) + timedelta(seconds=60)
    seconds = retry_after(format_datetime(later, usegmt=True))
    assert seconds is not None
    assert 50 <= seconds <= 60


@pytest.mark.parametrize("header", ["", "soon", "nan", "99 bottles", "Fri, 99 Foo 1999"])
def test_what_is_no_time_to_wait_is_none(header: str) -> None:
    assert retry_after(header) is None


async def test_the_time_to_wait_travels_with_the_error(
    server: OpenAIServer, backend: OpenAIHttp
) -> None:
    server.misbehave = answers_429
    with pytest.raises(TryLater) as caught:
        await says(backend)
    assert caught.value.after_s == 7
    assert caught.value.retryable
