"""The protocol of OpenAI-compatible servers, over TCP or a unix socket. Imports httpx.

Every reply is bounded in size and in silence. No connection is used twice: llama.cpp closes one
after each streamed answer without saying so, and the next request on it would fail.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx

from backends.address import Address
from backends.answer import Answer, NoEnd, parse
from backends.connect import Explain, Trouble
from backends.failures import Wording, problem_in
from backends.plain import USUALLY, Plain
from backends.sse import MalformedStream, Stalled, events
from backends.wire import field, whole, whole_number
from engine.contract.backend import Generation, Message, Piece
from engine.contract.errors import Failed, PromptTooLong

MAX_REPLY = 4 * 1024 * 1024
_MAX_COUNTED = 8
# So short that a server which answered the count still lives, as far as anybody can know.
_MOMENT_S = 1.0

# What a request can do without, or say otherwise ("" is without), where a server refuses it.
_OTHERWISE = {
    "stream_options": "",
    "return_progress": "",
    "top_logprobs": "",
    "logprobs": "",
    "temperature": "",
    "max_tokens": "max_completion_tokens",
}
_UNKNOWN_REQUEST = {404, 405, 501}
# How httpx tells of a connection that ended early, or went wrong halfway: it did speak HTTP.
_ENDED = re.compile(r"disconnected|closed connection|chunk")
_QUOTED = re.compile(r"illegal .*?bytearray\(b(.*)\)", re.DOTALL)
_MAX_QUOTED = 80


class ChatServer:
    """One server. ``name`` is how errors call it; ``explain`` words what goes wrong below it.

    ``silence_s`` bounds the time without a single byte, and that for a whole line. ``key`` never
    appears in an error. What messages say is sent as ``plain`` makes it. Raises ModelFailed,
    Unavailable (``backends.failures``) or PromptTooLong, and what ``explain`` returns.
    """

    def __init__(
        self,
        name: str,
        address: Address,
        explain: Explain,
        *,
        key: str = "",
        connect_s: float = 5.0,
        silence_s: float = 300.0,
        plain: Plain = USUALLY,
    ) -> None:
        self.address = address
        self.words = Wording(name, key)
        self._explain = explain
        self._connect_s = connect_s
        self._silence_s = silence_s
        self._plain = plain
        self._refused: frozenset[str] = frozenset()
        self._counting: Callable[[Sequence[Message]], Awaitable[int | None]] | None = None
        self._counted: dict[tuple[Message, ...], tuple[int, float]] = {}
        headers = {"Accept-Encoding": "identity", "Connection": "close"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        timeout = httpx.Timeout(silence_s, connect=connect_s)
        limits = httpx.Limits(max_keepalive_connections=0)
        if address.local:
            # No proxy from the environment: what is local must not leave this machine.
            transport = httpx.AsyncHTTPTransport(
                verify=address.root.startswith("https:"), limits=limits, uds=address.socket
            )
            self._client = httpx.AsyncClient(headers=headers, timeout=timeout, transport=transport)
        else:
            self._client = httpx.AsyncClient(headers=headers, timeout=timeout, limits=limits)

    async def close(self) -> None:
        await self._client.aclose()

    # --- short questions ---

    async def fetch(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> Any:
        """The parsed reply to a short request. ``url`` is whole: ``address.api`` and a path."""
        async with self._request(method, url, body) as response:
            return await self._reply(response)

    async def offered(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> Any:
        """Like ``fetch``; None where the server does not know such a request, or says nothing.

        mlx_lm.server answers with nothing where it should list models and has downloaded none.
        """
        async with self._request(method, url, body) as response:
            if response.status_code in _UNKNOWN_REQUEST:
                return None
            return await self._reply(response, empty=True)

    async def count(self, messages: Sequence[Message], *, again: bool = True) -> int | None:
        """Tokens of the prompt by the server's own count; None where it offers none.

        Sends the messages: only to be asked of a server on this machine. Whoever is to answer them
        next need not have them counted ``again``: what was said a moment ago will do, once.
        """
        asked = tuple(messages)
        count, at = self._counted.pop(asked, (None, 0.0))
        if not again and count is not None and time.monotonic() - at < _MOMENT_S:
            return count
        count = await self._ask_count(messages)
        if again and count is not None:
            self._counted[asked] = count, time.monotonic()
            while len(self._counted) > _MAX_COUNTED:
                del self._counted[next(iter(self._counted))]
        return count

    # --- answers ---

    @asynccontextmanager
    async def chat(
        self, generation: Generation, extra: Mapping[str, Any]
    ) -> AsyncIterator[AsyncIterator[Piece]]:
        """Opens an answer; ``extra`` goes into the request. Leaving closes the connection."""
        messages = self._sent(generation.messages)
        body = {"messages": messages, **_request_body(generation), **extra}
        refused = self._refused
        while True:
            sent = _without(body, refused)
            async with self._chat_request(sent) as response:
                if response.status_code == httpx.codes.OK:
                    self._refused = refused
                    follows = "stream_options" in sent
                    answer = Answer(self.words, generation.max_tokens, usage_follows=follows)
                    async with aclosing(self._pieces(response, answer)) as pieces:
                        yield pieces
                    return
                data = await self._read(response)
                error = self.words.refusal(response.status_code, response.headers, data)
                names = _refused_in(response.status_code, data, sent)
            if not names or isinstance(error, PromptTooLong):
                raise error
            refused |= names

    async def _pieces(self, response: httpx.Response, answer: Answer) -> AsyncGenerator[Piece]:
        chunks = response.aiter_raw()
        try:
            async with (
                aclosing(events(chunks, self._silence_s)) as stream,
                aclosing(answer.pieces(stream)) as pieces,
            ):
                async for piece in pieces:
                    yield piece
        except MalformedStream as error:
            raise self.words.malformed(str(error)) from error
        except Stalled as error:
            raise await self._explain(Trouble.SILENT, "bytes, but no event") from error
        except NoEnd as error:
            raise await self._explain(Trouble.BROKEN, "the answer has no end") from error
        except httpx.HTTPError as error:
            raise await self._trouble(error) from error

    # --- ways to count ---

    async def _ask_count(self, messages: Sequence[Message]) -> int | None:
        if self._counting is not None:
            return await self._counting(messages)
        for way in (self._count_chat, self._count_template, self._count_messages):
            if (count := await way(messages)) is not None:
                self._counting = way
                return count
        return None

    async def _count_chat(self, messages: Sequence[Message]) -> int | None:
        url = f"{self.address.api}/chat/completions/input_tokens"
        found = await self.offered("POST", url, {"messages": self._sent(messages)})
        return whole_number(field(found, "input_tokens"))

    async def _count_template(self, messages: Sequence[Message]) -> int | None:
        """An older llama-server's: the template first, then the tokens of what it makes."""
        root = self.address.root
        body = {"messages": self._sent(messages)}
        found = await self.offered("POST", f"{root}/apply-template", body)
        if not isinstance(prompt := field(found, "prompt"), str):
            return None
        text = {"content": prompt, "add_special": True}
        tokens = field(await self.offered("POST", f"{root}/tokenize", text), "tokens")
        return len(tokens) if isinstance(tokens, list) else None

    async def _count_messages(self, messages: Sequence[Message]) -> int | None:
        """vLLM's."""
        body = {"messages": self._sent(messages), "add_generation_prompt": True}
        found = await self.offered("POST", f"{self.address.root}/tokenize", body)
        return whole_number(field(found, "count"))

    # --- below ---

    def _sent(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        plain = self._plain
        return [{"role": each.role, "content": plain(whole(each.content))} for each in messages]

    @asynccontextmanager
    async def _chat_request(self, body: Mapping[str, Any]) -> AsyncIterator[httpx.Response]:
        """A request for an answer; what claims to be one is a stream of events."""
        async with self._request("POST", f"{self.address.api}/chat/completions", body) as response:
            kind = response.headers.get("content-type", "").lower()
            if response.status_code == httpx.codes.OK and not _is_stream(kind):
                problem = problem_in(await self._read(response)) if "json" in kind else None
                if problem is not None:
                    raise self.words.broke_off(problem, begun=False)
                raise self.words.malformed(f"it answered {kind or 'something'}, not a stream")
            yield response

    @asynccontextmanager
    async def _request(
        self, method: str, url: str, body: Mapping[str, Any] | None
    ) -> AsyncIterator[httpx.Response]:
        if self._client.is_closed:
            raise await self._explain(Trouble.BROKEN, "it was closed")
        try:
            request = self._client.build_request(method, url, json=body)
            # Its own timeouts are for each byte: headers could come one letter at a time.
            async with asyncio.timeout(self._connect_s + self._silence_s):
                response = await self._client.send(request, stream=True)
        except (httpx.HTTPError, TimeoutError) as error:
            raise await self._trouble(error) from error
        try:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise self.words.malformed("it compressed a reply that was asked for plain")
            yield response
        finally:
            await response.aclose()

    async def _reply(self, response: httpx.Response, *, empty: bool = False) -> Any:
        data = await self._read(response)
        if empty and not data and response.status_code == httpx.codes.OK:
            return None
        if response.status_code != httpx.codes.OK:
            raise self.words.refusal(response.status_code, response.headers, data)
        return parse(data, self.words)

    async def _read(self, response: httpx.Response) -> bytes:
        data = bytearray()
        try:
            async with asyncio.timeout(self._silence_s):
                async for chunk in response.aiter_raw():
                    data += chunk
                    if len(data) > MAX_REPLY:
                        raise self.words.malformed("its reply is too long")
        except (httpx.HTTPError, TimeoutError) as error:
            raise await self._trouble(error) from error
        return bytes(data)

    async def _trouble(self, error: httpx.HTTPError | TimeoutError) -> Failed:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            trouble = Trouble.REFUSED
        elif isinstance(error, httpx.TimeoutException | TimeoutError):
            trouble = Trouble.SILENT
        elif isinstance(error, httpx.RemoteProtocolError) and not _ENDED.search(str(error)):
            quoted = _QUOTED.match(str(error))
            said = self.words.say(quoted[1] if quoted else str(error))
            said = said if len(said) <= _MAX_QUOTED else f"{said[:_MAX_QUOTED]}…"
            return await self._explain(Trouble.FOREIGN, said)
        else:
            trouble = Trouble.BROKEN
        return await self._explain(trouble, self.words.say(str(error)))


def _request_body(generation: Generation) -> dict[str, Any]:
    """All but the messages."""
    body: dict[str, Any] = {
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": generation.max_tokens,
        "temperature": generation.temperature,
    }
    if generation.stop:
        body["stop"] = [whole(each) for each in generation.stop]
    if generation.logprobs:
        body |= {"logprobs": True, "top_logprobs": generation.logprobs}
    if generation.schema is not None:
        schema = {"name": "answer", "strict": True, "schema": generation.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _without(body: dict[str, Any], refused: frozenset[str]) -> dict[str, Any]:
    """``body`` as a server takes it that has refused these fields."""
    called = {name: _OTHERWISE[name] if name in refused else name for name in body}
    return {called[name]: value for name, value in body.items() if called[name]}


def _refused_in(status: int, data: bytes, sent: Mapping[str, Any]) -> frozenset[str]:
    """The fields that a refusal is about and that the request can do without.

    One that names none may mean the newest of them, which some do not know.
    """
    if status not in {400, 422}:
        return frozenset()
    said = str(problem_in(data))[:500]
    named = {name for name in _OTHERWISE if name in sent and re.search(rf"\b{name}\b", said)}
    return frozenset(named or ({"stream_options"} & set(sent)))


def _is_stream(kind: str) -> bool:
    head, _, parameters = kind.partition(";")
    charset = re.search(r"charset=[\"']?([\w-]+)", parameters)
    plain = charset is None or charset[1] in {"utf-8", "utf8", "us-ascii"}
    return head.strip() == "text/event-stream" and plain
