"""A model on this machine that makes vectors of texts, in a child process of ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from backends.failures import NotAccepted
from backends.hosted.backend import Hosted
from backends.hosted.running import Running
from backends.hosted.settings import Options, Setup
from backends.vectors import embed
from engine.contract.backend import BackendInfo, Embeds, Generation, Message, Observer, P
from engine.contract.errors import Failed, PromptTooLong

AT_ONCE = 4
AT_ONCE_CHARACTERS = 800
"""Of many texts so much is sent at a time: a question that comes meanwhile waits for no more, and
the model is as fast as with more (50 to 52 sentences a second, from 1 to 32 at a time)."""
_CHARACTERS_A_TOKEN = 4
"""Of text that has long words; where there are more tokens, the server says so."""

_ANOTHER = "Use another model to answer: arcanum model list"


class HostedEmbedding(Hosted):
    """The ``Backend`` over a child process, and its ``Embeds``. It answers nothing.

    ``identify`` looks at the model before a process is started: it returns its size in bytes, and
    what it is, down to its bytes; or raises ModelFailed. ``identified`` is that where it is known
    beforehand, else ``info().model`` is but the name until the model is loaded. ``decide`` and
    ``observer`` are those of ``Hosted``.

    A text is made a vector as far as the model can read; what comes after that counts for nothing.
    """

    def __init__(
        self,
        setup: Setup,
        identify: Callable[[Path], tuple[int, str]],
        decide: Callable[[], Awaitable[Options]] | None = None,
        observer: Observer | None = None,
        identified: str = "",
    ) -> None:
        super().__init__("llama_cpp", self._look_at, setup, decide, observer)
        self._identify = identify
        self._identified = identified or setup.name
        self._length = 0

    def info(self) -> BackendInfo:
        return replace(super().info(), model=self._identified)

    def stream(self, generation: Generation) -> NoReturn:
        raise self._answers_nothing()

    async def count_tokens(self, messages: Sequence[Message]) -> NoReturn:
        raise self._answers_nothing()

    def extra(self, port: type[P]) -> P | None:
        return self if port is Embeds else None  # type: ignore[return-value]

    # --- Embeds ---

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        vectors: list[list[float]] = []
        for some in _portions(texts):
            running = await self._ready()
            try:
                vectors += await self._ask(running, some)
            except Failed:
                if running.child.alive or running.child.unloaded:
                    raise
                # It ended, and nobody had noticed: no reason to fail these.
                vectors += await self._ask(await self._ready(), some)
        return vectors

    # --- below ---

    def _look_at(self, model: Path) -> int:
        size, self._identified = self._identify(model)
        self._length = 0
        return size

    async def _ask(self, running: Running, texts: list[str]) -> list[list[float]]:
        most = running.context * _CHARACTERS_A_TOKEN
        texts = [text[:most] for text in texts]
        try:
            async with running.pulse():
                vectors = await embed(running.server, self._name, texts)
        except PromptTooLong:
            if len(texts) == 1 and len(texts[0]) < 2:
                raise
            if len(texts) == 1:
                return await self._ask(running, [texts[0][: len(texts[0]) // 2]])
            # It does not say which of them.
            return [each for text in texts for each in await self._ask(running, [text])]
        if vectors is None:
            raise NotAccepted(f"{self._name} makes no vectors of texts", "Use another for that")
        self._length = self._length or len(vectors[0])
        if len(vectors[0]) != self._length:
            raise running.server.words.malformed(
                f"vectors of {self._length} and of {len(vectors[0])} numbers"
            )
        return vectors

    def _answers_nothing(self) -> NotAccepted:
        return NotAccepted(f"{self._identified} makes vectors of texts, and no answers", _ANOTHER)


def _portions(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in order, in portions of ``AT_ONCE`` and ``AT_ONCE_CHARACTERS`` at most."""
    portion: list[str] = []
    characters = 0
    for text in texts:
        characters += len(text)
        if portion and (len(portion) == AT_ONCE or characters > AT_ONCE_CHARACTERS):
            yield portion
            portion, characters = [], len(text)
        portion.append(text)
    if portion:
        yield portion
