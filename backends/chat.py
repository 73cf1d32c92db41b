"""The protocol of OpenAI-compatible servers, over TCP or a unix socket. Imports httpx.

Every reply is bounded in size and in silence. No connection is used twice: llama.cpp closes one
after each streamed answer without saying so, and the next request on it would fail.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx

from backends.address import Address
from backends.connect import Explain, Trouble
from backends.sse import MalformedStream, events
from backends.tokens import SHORTEN, too_long
from engine.contract.backend import Generation, Message, Piece
from engine.contract.base import visible
from engine.contract.errors import Failed, ModelFailed, PromptTooLong, Unavailable

MAX_REPLY = 4 * 1024 * 1024
MAX_TEXT_PER_TOKEN = 512


class ChatServer:
    """One server. ``name`` is how errors call it; ``explain`` words what goes wrong below it.

    ``silence_s`` bounds the time without a single byte. ``key`` never appears in an error. Raises
    ModelFailed, Unavailable or PromptTooLong, and what ``explain`` returns.
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
    ) -> None:
        self._name = name
        self.address = address
        self._explain = explain
        self._key = key
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
            if response.status_code != httpx.codes.OK:
                raise await self._refusal(response)
            return self._parse(await self._read(response))

    async def offered(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> Any:
        """Like ``fetch``; None where the server does not know such a request."""
        async with self._request(method, url, body) as response:
            if response.status_code in {404, 405, 501}:
                return None
            if response.status_code != httpx.codes.OK:
                raise await self._refusal(response)
            return self._parse(await self._read(response))

    async def count(self, messages: Sequence[Message]) -> int | None:
        """Tokens of the prompt by the server's own count; None where it offers none.

        Sends the messages: only to be asked of a server on this machine.
        """
        address = self.address
        body: dict[str, Any] = {"messages": _wire_messages(messages)}
        found = await self.offered("POST", f"{address.api}/chat/completions/input_tokens", body)
        if isinstance(count := _get(found, "input_tokens"), int):
            return count
        found = await self.offered("POST", f"{address.root}/apply-template", body)
        if not isinstance(prompt := _get(found, "prompt"), str):
            return None
        body = {"content": prompt, "add_special": True}
        found = await self.offered("POST", f"{address.root}/tokenize", body)
        return len(tokens) if isinstance(tokens := _get(found, "tokens"), list) else None

    # --- answers ---

    @asynccontextmanager
    async def chat(
        self, generation: Generation, extra: Mapping[str, Any]
    ) -> AsyncIterator[AsyncIterator[Piece]]:
        """Opens an answer; ``extra`` goes into the request. Leaving closes the connection."""
        body: dict[str, Any] = {
            "messages": _wire_messages(generation.messages),
            "stream": True,
            "max_tokens": generation.max_tokens,
            "temperature": generation.temperature,
            **extra,
        }
        if generation.stop:
            body["stop"] = list(generation.stop)
        url = f"{self.address.api}/chat/completions"
        async with self._request("POST", url, body) as response:
            if response.status_code != httpx.codes.OK:
                raise await self._refusal(response)
            kind = response.headers.get("content-type", "")
            if not kind.startswith("text/event-stream"):
                raise self._malformed(f"it answered {kind or 'something'} instead of a stream")
            async with aclosing(self._pieces(response, generation.max_tokens)) as pieces:
                yield pieces

    async def _pieces(self, response: httpx.Response, max_tokens: int) -> AsyncGenerator[Piece]:
        room = (max_tokens + 16) * MAX_TEXT_PER_TOKEN
        try:
            async with aclosing(events(response.aiter_raw())) as stream:
                async for data in stream:
                    if data == b"[DONE]":
                        yield Piece("", "stop")
                        return
                    piece = self._piece(data)
                    room -= len(piece.text)
                    if room < 0:
                        raise self._malformed("it wrote far more than it was asked for")
                    if piece.text or piece.finish:
                        yield piece
                    if piece.finish:
                        return
        except MalformedStream as error:
            raise self._malformed(str(error)) from error
        except httpx.HTTPError as error:
            raise await self._trouble(error) from error
        raise await self._explain(Trouble.BROKEN, "the answer has no end")

    def _piece(self, data: bytes) -> Piece:
        event = self._parse(data)
        if (problem := _get(event, "error")) is not None:
            raise ModelFailed(
                f"{self._name} broke off its answer: {self._say(problem)}", "Ask again."
            )
        choices = _get(event, "choices")
        if not isinstance(choices, list):
            raise self._malformed("an event without choices")
        choice = choices[0] if choices else {}
        text = _get(_get(choice, "delta"), "content")
        finish = _get(choice, "finish_reason")
        if finish == "content_filter":
            raise ModelFailed(f"{self._name}: its content filter ended the answer", "Reword it.")
        return Piece(
            _whole(text) if isinstance(text, str) else "",
            None if not finish else "length" if finish == "length" else "stop",
        )

    # --- below ---

    @asynccontextmanager
    async def _request(
        self, method: str, url: str, body: Mapping[str, Any] | None
    ) -> AsyncIterator[httpx.Response]:
        if self._client.is_closed:
            raise await self._explain(Trouble.BROKEN, "it was closed")
        try:
            request = self._client.build_request(method, url, json=body)
            response = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise await self._trouble(error) from error
        try:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise self._malformed("it compressed a reply that was asked for plain")
            yield response
        finally:
            await response.aclose()

    async def _read(self, response: httpx.Response) -> bytes:
        data = bytearray()
        try:
            async for chunk in response.aiter_raw():
                data += chunk
                if len(data) > MAX_REPLY:
                    raise self._malformed("its reply is too long")
        except httpx.HTTPError as error:
            raise await self._trouble(error) from error
        return bytes(data)

    def _parse(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise self._malformed("what it wrote is not JSON") from error

    async def _refusal(self, response: httpx.Response) -> Failed:
        """The error for a status that is not 200."""
        data = await self._read(response)
        try:
            problem = _get(json.loads(data), "error")
        except (ValueError, RecursionError):
            problem = None
        said = f": {self._say(problem)}" if problem else ""
        if _get(problem, "type") == "exceed_context_size_error":
            tokens, context = _get(problem, "n_prompt_tokens"), _get(problem, "n_ctx")
            if isinstance(tokens, int) and isinstance(context, int):
                return too_long(self._name, tokens, context)
        if _get(problem, "code") == "context_length_exceeded":
            return PromptTooLong(f"{self._name} has no room for this prompt{said}", SHORTEN)
        return self._by_status(response, said)

    def _by_status(self, response: httpx.Response, said: str) -> Failed:
        status = response.status_code
        if status in {401, 403}:
            what = f"refused the key, or wants one ({status}){said}"
            hint = "Check the variable that its key_env names in config.toml."
        elif status == httpx.codes.NOT_FOUND:
            what = f"does not know that model or address (404){said}"
            hint = "See what there is: arcanum model list"
        elif status == httpx.codes.TOO_MANY_REQUESTS:
            what = f"has too many requests at the moment (429){said}"
            hint = "Ask again in a minute, or use another model: arcanum model list"
        elif response.is_redirect:
            what = f"sends requests elsewhere ({status}), which is not followed"
            hint = "Configure the address that it means, if you trust it."
        else:
            return ModelFailed(
                f"{self._name} answered with an error ({status}){said}", "Ask again."
            )
        return Unavailable(f"{self._name} {what}", hint)

    async def _trouble(self, error: httpx.HTTPError) -> Failed:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            trouble = Trouble.REFUSED
        elif isinstance(error, httpx.TimeoutException):
            trouble = Trouble.SILENT
        else:
            trouble = Trouble.BROKEN
        return await self._explain(trouble, self._say(str(error)))

    def _malformed(self, what: str) -> ModelFailed:
        return ModelFailed(
            f"{self._name} does not speak the OpenAI protocol: {visible(what)[:200]}",
            "Check the address, or use another model: arcanum model list",
        )

    def _say(self, problem: Any) -> str:
        """What a server said, fit to be shown: a line without controls and without the key."""
        text = str(_get(problem, "message") or problem)
        if self._key:
            text = text.replace(self._key, "…")
        return visible(text.strip())[:300]


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _wire_messages(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": each.role, "content": _whole(each.content)} for each in messages]


def _whole(text: str) -> str:
    """``text`` with lone surrogates, which UTF-8 cannot hold, replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
