"""The server for libraries that bring none, over a model that is only a script."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.hosted import serving
from backends.hosted.runner import Ask, Progress, Steps, Token, common
from backends.hosted.serving import serve
from backends.hosted.stops import HeldBack
from tests.fakes.waiting import until

KEY = "sesame"
CONTEXT = 100


@dataclass
class Script:
    """A ``Runner`` whose tokens are words. It waits for ``go`` before the second."""

    words: list[str] = field(default_factory=lambda: ["one ", "two ", "three"])
    go: Event = field(default_factory=Event)
    error: Exception | None = None
    asked: list[Ask] = field(default_factory=list)
    closed: int = 0
    context = CONTEXT

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        return list(range(sum(len(each["content"].split()) for each in messages)))

    def generate(self, ask: Ask) -> Steps:
        self.asked.append(ask)
        if ask.schema == {}:
            raise ValueError("no such schema")
        try:
            yield Progress(1, len(ask.prompt))
            for number, word in enumerate(self.words[: ask.max_tokens]):
                if number == 1:
                    self.go.wait(10)
                    if self.error is not None:
                        raise self.error
                yield Token(word, -0.5, ((word, -0.5), ("x", -2.0)))
        finally:
            self.closed += 1

    def save(self, path: Path) -> int:
        path.write_bytes(b"state")
        return 7

    def restore(self, path: Path) -> int:
        if not path.exists():
            raise ValueError("there is no such state")
        return 7

    def erase(self) -> int:
        return 7


@dataclass
class Served:
    runner: Script
    folder: Path
    socket: str
    server: Any

    def client(self, key: str = KEY) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(uds=self.socket)
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.AsyncClient(transport=transport, headers=headers, base_url="http://x")

    @asynccontextmanager
    async def opened(self, **more: Any) -> AsyncIterator[httpx.Response]:
        messages = [{"role": "user", "content": "a b c"}]
        body = {"messages": messages, "stream": True, "max_tokens": 9, **more}
        async with (
            self.client() as http,
            http.stream("POST", "/v1/chat/completions", json=body) as response,
        ):
            yield response

    async def events(self, **more: Any) -> list[dict[str, Any]]:
        """The events of an answer, up to the mark of its end."""
        self.runner.go.set()
        async with self.opened(**more) as response:
            assert response.status_code == 200, await response.aread()
            lines = [line async for line in response.aiter_lines() if line]
        assert lines[-1] == "data: [DONE]"
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]

    async def post(self, path: str, body: Any) -> httpx.Response:
        async with self.client() as http:
            return await http.post(path, json=body)


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with tempfile.TemporaryDirectory(prefix="arc-", dir="/tmp") as name:
        runner = Script()
        task = {"socket": f"{name}/m.sock", "key": KEY, "states": name}
        running: Any = serve(task, lambda _: runner)
        yield Served(runner, Path(name), task["socket"], running)
        running.shutdown()
        running.server_close()


@pytest.fixture
def served(server: Served) -> Iterator[Served]:
    runner = server.runner
    runner.asked, runner.closed, runner.error = [], 0, None
    runner.go.clear()
    yield server
    runner.go.set()


def text_of(events: list[dict[str, Any]]) -> str:
    choices = [event["choices"][0] for event in events if event["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def finish_of(events: list[dict[str, Any]]) -> str:
    return next(
        found
        for event in events
        for choice in event["choices"]
        if (found := choice["finish_reason"])
    )


async def test_an_answer_with_its_finish_and_usage(served: Served) -> None:
    events = await served.events()
    assert text_of(events) == "one two three"
    assert finish_of(events) == "stop"
    assert events[-1]["usage"]["prompt_tokens"] == 3
    assert events[-1]["usage"]["completion_tokens"] == 3
    assert events[-1]["usage"]["prompt_tokens_details"] == {"cached_tokens": 1}
    assert not any("prompt_progress" in event or "logprobs" in event for event in events)


async def test_what_is_asked_for_is_what_is_generated(served: Served) -> None:
    schema = {"type": "string"}
    events = await served.events(
        max_tokens=2,
        temperature=0.5,
        response_format={"type": "json_schema", "json_schema": {"schema": schema}},
        logprobs=True,
        top_logprobs=2,
        return_progress=True,
    )
    assert served.runner.asked == [Ask([0, 1, 2], 2, 0.5, schema, 2)]
    assert finish_of(events) == "length"
    assert events[0]["prompt_progress"] == {"total": 3, "cache": 1, "processed": 3}
    told = events[1]["choices"][0]["logprobs"]["content"]
    assert told[0]["token"] == "one "
    assert [each["token"] for each in told[0]["top_logprobs"]] == ["one ", "x"]


async def test_an_answer_never_outgrows_the_context(served: Served) -> None:
    await served.events(max_tokens=1_000_000)
    assert served.runner.asked[0].max_tokens == CONTEXT - 3


async def test_a_stop_string_over_several_tokens(served: Served) -> None:
    events = await served.events(stop=["e tw"])
    assert text_of(events) == "on"
    assert finish_of(events) == "stop"
    assert served.runner.closed == 1


async def test_a_prompt_over_the_context_is_refused_with_the_numbers(served: Served) -> None:
    messages = [{"role": "user", "content": "word " * 200}]
    reply = await served.post("/v1/chat/completions", {"messages": messages, "stream": True})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["type"] == "exceed_context_size_error"
    assert (error["n_prompt_tokens"], error["n_ctx"]) == (200, CONTEXT)
    assert not served.runner.asked


async def test_only_who_holds_the_key_is_served(served: Served) -> None:
    for path in ("/health", "/props", "/nothing"):
        async with served.client("guess") as http:
            assert (await http.get(path)).status_code == 401
        async with served.client() as http:
            assert (await http.get(path)).status_code == (404 if path == "/nothing" else 200)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"[" * 100_000,
        b"{}",
        b'{"stream": true, "messages": []}',
        b'{"stream": true, "messages": [7]}',
        b'{"stream": true, "messages": [{"role": "user", "content": 7}]}',
        b'{"stream": true, "messages": [{"content": "a"}], "max_tokens": "many"}',
        b'{"messages": [{"role": "user", "content": "a"}]}',
    ],
    ids=lambda body: body[:40].decode(),
)
async def test_a_request_that_makes_no_sense_is_refused_and_the_next_is_served(
    served: Served, body: bytes
) -> None:
    async with served.client() as http:
        reply = await http.post("/v1/chat/completions", content=body)
    assert reply.status_code in {400, 500}
    assert reply.json()["error"]["message"]
    assert text_of(await served.events())


async def test_what_the_model_cannot_do_is_told_before_the_stream(served: Served) -> None:
    shape = {"type": "json_schema", "json_schema": {"schema": {}}}
    async with served.opened(response_format=shape) as response:
        await response.aread()
    assert response.status_code == 400
    assert "no such schema" in response.text


async def test_a_model_that_fails_mid_answer_says_so_and_goes_on(
    served: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    served.runner.error = RuntimeError("out of memory")
    served.runner.go.set()
    async with served.opened() as response:
        lines = [line async for line in response.aiter_lines() if line]
    assert "one" in lines[0]
    assert "out of memory" in json.loads(lines[-1].removeprefix("data: "))["error"]["message"]
    assert "out of memory" in capfd.readouterr().err
    served.runner.error = None
    assert text_of(await served.events()) == "one two three"


async def test_who_leaves_ends_what_was_asked(served: Served) -> None:
    async with served.opened() as response:
        await anext(response.aiter_lines())
        async with served.client() as http:
            assert (await http.get("/slots")).json() == [{"id": 0, "is_processing": True}]
    served.runner.go.set()
    await until(lambda: served.runner.closed == 1)
    assert text_of(await served.events())


async def test_who_leaves_the_queue_never_costs_the_model_anything(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[serving._Job] = []

    class Noted(serving._Job):
        def __init__(self, *fields: Any) -> None:
            super().__init__(*fields)
            jobs.append(self)

    monkeypatch.setattr(serving, "_Job", Noted)

    async def wait_for_an_answer() -> None:
        async with served.opened() as response:
            await response.aread()

    async with served.opened() as response:
        await anext(response.aiter_lines())
        waiting = asyncio.create_task(wait_for_an_answer())
        await until(lambda: len(jobs) == 2)
        waiting.cancel()
        await asyncio.wait({waiting})
    await until(lambda: all(job.left for job in jobs))  # The server has noticed.
    served.runner.go.set()
    await served.events()
    assert len(served.runner.asked) == 2


async def test_states_lie_in_their_folder_and_nowhere_else(served: Served) -> None:
    reply = await served.post("/slots/0?action=save", {"filename": "a.kv"})
    assert reply.json() == {"id_slot": 0, "n_saved": 7}
    assert (served.folder / "a.kv").exists()
    reply = await served.post("/slots/0?action=restore", {"filename": "a.kv"})
    assert reply.json()["n_restored"] == 7
    for name in ("", ".", "..", "../a.kv", "/etc/passwd", "a\0b", "none.kv"):
        reply = await served.post("/slots/0?action=restore", {"filename": name})
        assert reply.status_code == 400, name
    (served.folder / "taken").mkdir()
    reply = await served.post("/slots/0?action=save", {"filename": "taken"})
    assert reply.status_code == 500
    assert "Is a directory" in reply.json()["error"]["message"]


def test_a_model_that_cannot_be_loaded_is_the_caller_s_error(tmp_path: Path) -> None:
    def fails(_: object) -> Any:
        raise KeyError("hidden_size")

    task = {"socket": str(tmp_path / "m.sock"), "key": KEY, "states": ""}
    with pytest.raises(RuntimeError, match="KeyError: 'hidden_size'"):
        serve(task, fails)


# --- stop strings, and what two prompts share ---


@settings(deadline=None)
@given(
    st.lists(st.text("ab ", max_size=3), max_size=12),
    st.lists(st.text("ab ", min_size=1, max_size=4), max_size=3),
)
def test_stop_strings_cut_where_they_would_in_the_whole_text(
    words: list[str], stops: list[str]
) -> None:
    held, told = HeldBack(stops), ""
    for word in words:
        told += "".join(token.text for token in held.add(Token(word)))
        if held.stopped:
            break
    else:
        told += "".join(token.text for token in held.rest())
    whole = "".join(words)
    # The first that is complete ends the answer, whichever begins first.
    ends = [at + len(stop) for stop in stops if (at := whole.find(stop)) >= 0]
    assert held.stopped == bool(ends)
    assert whole.startswith(told)
    assert not any(stop in told for stop in stops)
    if not ends:
        assert told == whole


@settings(deadline=None)
@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2), min_size=1))
def test_the_last_token_of_a_prompt_is_always_read(read: list[int], prompt: list[int]) -> None:
    kept = common(read, prompt)
    assert 0 <= kept < len(prompt)
    assert read[:kept] == prompt[:kept]
    assert kept == len(prompt) - 1 or kept == len(read) or read[kept] != prompt[kept]
