"""llama-cpp-python in a child process: the same answers as llama.cpp's own server gives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from backends.llama_cpp.backend import LlamaCpp
from backends.llama_cpp.binding import LLAMA_CPP_PYTHON
from engine.contract.backend import Generation, Message, Piece
from engine.contract.errors import ModelFailed
from tests.fakes.llama_server import bundled

pytestmark = [pytest.mark.model, pytest.mark.binding("llama_cpp", get="make llama")]


@pytest.fixture
async def backend(run: Path) -> AsyncIterator[LlamaCpp]:
    made = LlamaCpp(bundled(), run, host=LLAMA_CPP_PYTHON)
    yield made
    await made.unload()


async def pieces_of(backend: LlamaCpp, generation: Generation) -> list[Piece]:
    async with backend.stream(generation) as stream:
        return [piece async for piece in stream]


async def logprob(backend: LlamaCpp, text: str) -> tuple[float, int]:
    """Of the first token of the answer, and how much of the prompt was not read again."""
    pieces = await pieces_of(backend, Generation((Message("user", text),), 1, logprobs=1))
    usage = pieces[-1].usage
    assert usage is not None
    return next(piece for piece in pieces if piece.logprobs).logprobs[
        0
    ].logprob, usage.cached_tokens


async def test_both_ways_to_llama_cpp_see_the_same_prompt(backend: LlamaCpp, run: Path) -> None:
    other = LlamaCpp(bundled(), run)
    texts = ["", "Hello", "  spaced\n\n\tout ", "naïve 🦑 שלום", "a\0b", "<|im_end|>", "\ud800"]
    for text in texts:
        messages = (Message("system", text), Message("user", text))
        assert await backend.count_tokens(messages) == await other.count_tokens(messages), text
    question = "Is water wet?"
    ours, theirs = await logprob(backend, question), await logprob(other, question)
    assert ours[0] == pytest.approx(theirs[0], abs=0.2)
    await other.unload()


async def test_a_prompt_that_begins_alike_is_answered_as_if_it_was_read_whole(
    backend: LlamaCpp,
) -> None:
    long = "The quick brown fox. " * 20
    fresh, _ = await logprob(backend, long + "And the dog?")
    await pieces_of(backend, Generation((Message("user", long + "And the cow?"),), 9))
    again, cached = await logprob(backend, long + "And the dog?")
    assert cached > 80
    assert again == pytest.approx(fresh, abs=0.1)


async def test_a_file_that_is_no_state_is_refused_and_harms_nothing(
    backend: LlamaCpp, tmp_path: Path
) -> None:
    await backend.load()
    assert backend._running is not None
    child = backend._running.child
    transport = httpx.AsyncHTTPTransport(uds=child.socket)
    headers = {"Authorization": f"Bearer {child.key}"}
    async with httpx.AsyncClient(transport=transport, headers=headers) as http:
        reply = await http.post("http://x/slots/0?action=restore", json={"filename": "a.kv"})
    assert reply.status_code == 501, "it was given no folder for states"
    assert (await pieces_of(backend, Generation((Message("user", "Hi"),), 2)))[-1].finish


async def test_a_download_that_broke_off_is_named_with_the_reason(
    tmp_path: Path, run: Path
) -> None:
    path = tmp_path / "half.gguf"
    data = bytearray(bundled().read_bytes())
    # A header in order, and a tensor of a kind that does not exist.
    data[data.index(b"token_embd.weight") + 17 + 4 + 16] = 99
    path.write_bytes(data)
    backend = LlamaCpp(path, run, host=LLAMA_CPP_PYTHON)
    with pytest.raises(ModelFailed) as caught:
        await backend.load()
    assert str(path) in caught.value.message
    assert not psutil.Process().children()
