"""Any OpenAI-compatible server, over TCP or a unix socket: llama-server, vLLM, LM Studio, a cloud.

The model is the server's: ``load`` only makes sure that it answers, ``unload`` forgets it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from backends.address import Address
from backends.connect import Trouble, connect
from backends.once import SingleFlight
from backends.tokens import estimate_prompt, too_long
from engine.contract.backend import BackendInfo, Generation, Message, ModelState, P, Piece
from engine.contract.base import visible
from engine.contract.errors import Failed, ModelFailed, Unavailable

if TYPE_CHECKING:
    from backends.chat import ChatServer

_ELSEWHERE = "Start that server, or use another model: arcanum model list"


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """A server to be used. ``model`` empty: the first that it lists.

    ``key_env`` names the environment variable that holds the key.
    """

    name: str
    url: str
    model: str = ""
    key_env: str = ""


class OpenAIHttp:
    """The ``Backend`` over such a server. Raises Invalid for an address that is none.

    ``silence_s`` bounds the time without a byte: long, because a server may load its model first.
    """

    kind: ClassVar[str] = "openai_http"
    cuts_silently: ClassVar[bool] = False

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
        self._model = endpoint.model
        self._context = 0
        self._counts = True
        self._ready = False
        self._reason = ""

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
        return BackendInfo(
            backend=self.kind,
            model=visible(self._model),
            state=state,
            reason=self._reason,
            context=self._context,
            endpoint=self._address.label,
            local=self.local,
        )

    async def load(self) -> None:
        if not self._ready:
            await self._loading.run(self._look)

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        server = await self._opened()
        if self._context:
            tokens, exact = await self._count(generation.messages)
            if tokens >= self._context and (exact or self.cuts_silently):
                about = "" if exact else "about "
                raise too_long(self._name, tokens, self._context, about)
        async with server.chat(generation, {"model": self._model}) as pieces:
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
        return None

    # --- below ---

    async def _look(self) -> None:
        """Makes sure that the server answers, and learns what it says of its model."""
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
            await self._learn(self._server)
        except Failed as error:
            self._reason = error.message
            raise
        self._counts, self._ready, self._reason = True, True, ""

    async def _learn(self, server: ChatServer) -> None:
        listed = await server.offered("GET", f"{self._address.api}/models")
        models = [each for each in _list(listed, "data") if isinstance(each.get("id"), str)]
        if not self._model:
            if not models:
                raise Unavailable(
                    f"{self._name} lists no models", "Name one as model in config.toml."
                )
            self._model = models[0]["id"]
        mine = next((each for each in models if each["id"] == self._model), {})
        context = mine.get("max_model_len") or mine.get("context_length")
        if mine.get("owned_by") == "llamacpp":
            props = await server.offered("GET", f"{self._address.root}/props")
            settings = props.get("default_generation_settings") if isinstance(props, dict) else None
            context = settings.get("n_ctx") if isinstance(settings, dict) else None
        self._context = context if isinstance(context, int) else 0

    async def _opened(self) -> ChatServer:
        await self.load()
        if self._server is None:
            raise Unavailable(f"{self._name} was unloaded while it was asked", "Ask again.")
        return self._server

    async def _count(self, messages: Sequence[Message]) -> tuple[int, bool]:
        """Tokens, and whether that is exact."""
        if self.local:
            server = await self._opened()
            if self._counts and (count := await server.count(messages)) is not None:
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
        else:
            error = ModelFailed(f"{name} broke off: {detail}", "Ask again.")
        self._ready, self._reason = False, error.message
        return error


class Ollama(OpenAIHttp):
    """Ollama, which cuts the beginning off a prompt over its context without a word.

    So its context is asked for, and a prompt that may not fit is refused before it is sent.
    """

    kind = "ollama"
    cuts_silently = True

    @property
    def local(self) -> bool:
        return super().local and not self._model.endswith(("-cloud", ":cloud"))

    async def _learn(self, server: ChatServer) -> None:
        root, model = self._address.root, self._model
        shown = await server.fetch("POST", f"{root}/api/show", {"model": model})
        if self.local and isinstance(shown, dict) and shown.get("remote_host"):
            raise Unavailable(
                f"{visible(model)} does not run on this machine: Ollama would send each prompt to "
                f"{visible(str(shown['remote_host']))[:200]}",
                "Use another model: arcanum model list",
            )
        if not self.local:
            return
        # A request without a prompt loads the model; only then is its context known.
        await server.fetch("POST", f"{root}/api/generate", {"model": model, "stream": False})
        running = _list(await server.fetch("GET", f"{root}/api/ps"), "models")
        mine = next(
            (each for each in running if model in {each.get("name"), each.get("model")}), {}
        )
        context = mine.get("context_length")
        # Versions that do not tell it have this one unless somebody changed it.
        self._context = context if isinstance(context, int) and context > 0 else 2048


def _list(value: Any, key: str) -> list[dict[str, Any]]:
    found = value.get(key) if isinstance(value, dict) else None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
