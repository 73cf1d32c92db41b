"""Any OpenAI-compatible server, over TCP or a unix socket: llama-server, vLLM, LM Studio, a cloud.

The model is the server's: ``load`` only makes sure that it answers, ``unload`` forgets it.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from backends.address import Address
from backends.connect import Trouble, connect
from backends.once import SingleFlight
from backends.servers import Served, describe, is_ollama_cloud, ollama
from backends.tokens import estimate_prompt, too_long
from backends.vectors import embed
from engine.contract.backend import (
    BackendInfo,
    Embeds,
    Feature,
    Generation,
    Message,
    ModelState,
    P,
    Piece,
)
from engine.contract.base import visible
from engine.contract.errors import Failed, ModelFailed, Unavailable

if TYPE_CHECKING:
    from backends.chat import ChatServer

_ELSEWHERE = "Start that server, or use another model: arcanum model list"
_ADDRESS = "Check its address and port, or use another model: arcanum model list"


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """A server to be used. ``model`` empty: the first that it lists.

    ``key_env`` names the environment variable that holds the key. ``parallel``: how many answers
    at a time; 0 for what the server says, or what its kind usually can.
    """

    name: str
    url: str
    model: str = ""
    key_env: str = ""
    parallel: int = 0


class OpenAIHttp:
    """The ``Backend`` over such a server. Raises Invalid for an address that is none.

    ``silence_s`` bounds the time without a byte: long, because a server may load its model first.
    """

    kind: ClassVar[str] = "openai_http"

    def __init__(
        self,
        endpoint: EndpointSettings,
        *,
        environ: Mapping[str, str] = os.environ,
        connect_s: float = 5.0,
        silence_s: float = 300.0,
    ) -> None:
        self._address = Address.parse(endpoint.url)
        self._endpoint = endpoint
        self._name = visible(endpoint.name)
        self._environ = environ
        self._connect_s = connect_s
        self._silence_s = silence_s
        self._loading = SingleFlight()
        self._server: ChatServer | None = None
        self._served = Served(endpoint.model)
        self._counts = True
        self._ready = False
        self._reason = ""
        self._load_s: float | None = None

    @property
    def local(self) -> bool:
        """False where a prompt would leave this machine."""
        return self._address.local

    def info(self) -> BackendInfo:
        if self._loading.busy:
            state = ModelState.LOADING
        elif self._ready:
            state = ModelState.READY
        else:
            state = ModelState.FAILED if self._reason else ModelState.UNLOADED
        served = self._served
        return BackendInfo(
            backend=self.kind,
            model=visible(served.model),
            state=state,
            reason=self._reason,
            context=served.context,
            endpoint=self._address.label,
            local=self.local,
            library=served.library,
            parallel=self._endpoint.parallel or served.parallel,
            features=served.features,
            load_s=self._load_s,
        )

    async def load(self) -> None:
        if not self._ready:
            await self._loading.run(self._look)

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        server = await self._opened()
        generation = await self._fitted(server, generation)
        extra: dict[str, Any] = {"model": self._served.model}
        if self._served.progress:
            extra["return_progress"] = True
        async with server.chat(generation, extra) as pieces:
            yield pieces

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """By the server's own tokenizer where one on this machine offers it, else an estimate.

        The estimate (``backends.tokens``) is rather too high. Nothing is ever sent off this
        machine only to be counted.
        """
        return (await self._count(messages))[0]

    async def unload(self) -> None:
        await self._loading.cancel()
        server, self._server = self._server, None
        self._ready, self._reason = False, ""
        if server is not None:
            await server.close()

    def extra(self, port: type[P]) -> P | None:
        offered = port is Embeds and Feature.EMBEDDINGS in self._served.features
        return self if offered else None  # type: ignore[return-value]

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """See ``Embeds``. Raises Unavailable where the server makes no vectors of this model."""
        server = await self._opened()
        vectors = await embed(server, self._served.model, texts)
        if vectors is None:
            able = self._served.features - {Feature.EMBEDDINGS}
            self._served = replace(self._served, features=able)
            raise Unavailable(
                f"{self._name} makes no vectors of texts with {visible(self._served.model)}",
                "Use a model that does, or start that server so that it does.",
            )
        return vectors

    # --- below ---

    async def _look(self) -> None:
        """Makes sure that the server answers, and learns what it says of its model."""
        began = time.monotonic()
        try:
            if self._server is None:
                self._server = await connect(
                    f"{self._name} ({self._address.label})",
                    self._address,
                    self._explain,
                    key=self._key(),
                    connect_s=self._connect_s,
                    silence_s=self._silence_s,
                )
            self._served = await self._describe(self._server)
        except Failed as error:
            self._reason = error.message
            raise
        self._load_s = time.monotonic() - began
        self._counts, self._ready, self._reason = True, True, ""

    async def _describe(self, server: ChatServer) -> Served:
        return await describe(server, self._name, self._served.model, self._environ)

    async def _opened(self) -> ChatServer:
        await self.load()
        if self._server is None:
            raise Unavailable(f"{self._name} was unloaded while it was asked", "Ask again.")
        return self._server

    async def _fitted(self, server: ChatServer, generation: Generation) -> Generation:
        """``generation`` as this server takes it. Raises PromptTooLong where it has no room."""
        if not self._served.settled:
            self._served = await self._describe(server)
        served = self._served
        if Feature.SCHEMA not in served.features:
            generation = replace(generation, schema=None)
        if Feature.LOGPROBS not in served.features:
            generation = replace(generation, logprobs=0)
        if not served.context:
            return generation
        tokens, exact = await self._count(generation.messages, again=False)
        room = served.context - tokens
        if room <= 0:
            if exact or served.cuts:
                raise too_long(self._name, tokens, served.context, "" if exact else "about ")
            return generation
        # Some servers refuse a request whose longest answer would not fit behind its prompt.
        return replace(generation, max_tokens=min(generation.max_tokens, room))

    async def _count(self, messages: Sequence[Message], *, again: bool = True) -> tuple[int, bool]:
        """Tokens, and whether that is exact. ``again`` as ``ChatServer.count`` has it."""
        if self.local:
            server = await self._opened()
            if self._counts and (count := await server.count(messages, again=again)) is not None:
                return count, True
            self._counts = False
        return estimate_prompt(messages), False

    def _key(self) -> str:
        if not (name := self._endpoint.key_env):
            return ""
        key = self._environ.get(name, "").strip()
        if not key.isascii() or not key.isprintable() or not key:
            problem = "holds no usable key" if key else "is not set"
            raise Unavailable(
                f"{self._name} wants its key in the environment variable {visible(name)}, "
                f"which {problem}",
                f"Set it where Arcanum is started: export {visible(name)}=…",
            )
        return key

    async def _explain(self, trouble: Trouble, detail: str) -> Failed:
        name = f"{self._name} ({self._address.label})"
        if self._server is None:
            return Unavailable(f"{name} was unloaded while it was asked", "Ask again.")
        error: Failed
        if trouble is Trouble.REFUSED:
            error = Unavailable(f"{name} does not answer: {detail}", _ELSEWHERE)
        elif trouble is Trouble.SILENT:
            error = ModelFailed(f"{name} sent nothing for {self._silence_s:g} s", _ELSEWHERE)
        elif trouble is Trouble.FOREIGN:
            error = ModelFailed(f"{name} does not speak HTTP: {detail}", _ADDRESS)
        else:
            error = ModelFailed(f"{name} broke off: {detail}", "Ask again.")
        self._ready, self._reason = False, error.message
        return error


class Ollama(OpenAIHttp):
    """Ollama by its own API, which knows more of its models than the one it shares with others."""

    kind = "ollama"

    @property
    def local(self) -> bool:
        return super().local and not is_ollama_cloud(self._served.model)

    async def _describe(self, server: ChatServer) -> Served:
        return await ollama(server, self._served.model, self._environ, local=self.local)
