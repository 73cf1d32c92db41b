"""A model that makes vectors without being one: texts that share stems are close."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

import snowballstemmer

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
from engine.contract.errors import ArcanumError, Unavailable

DIMENSIONS = 64


class HashedEmbedder:
    """Implements ``Backend`` and ``Embeds``: each stem adds to two of ``DIMENSIONS`` places.

    ``name`` is its ``info().model``. ``error`` is raised by ``load`` and ``embed`` as long as it
    is set. ``embedded`` holds every text, in order.
    """

    def __init__(self, name: str = "hashed stems", error: ArcanumError | None = None) -> None:
        self.name = name
        self.error = error
        self.state = ModelState.UNLOADED
        self.embedded: list[str] = []
        self._stem = snowballstemmer.stemmer("english").stemWord

    def info(self) -> BackendInfo:
        features = frozenset({Feature.EMBEDDINGS})
        return BackendInfo("hashed", self.name, self.state, context=512, features=features)

    async def load(self) -> None:
        if self.error is not None:
            raise self.error
        self.state = ModelState.READY

    def stream(self, generation: Generation) -> AbstractAsyncContextManager[AsyncIterator[Piece]]:
        raise Unavailable("It makes vectors, and no answers.")

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        raise Unavailable("It makes vectors, and no answers.")

    async def unload(self) -> None:
        self.state = ModelState.UNLOADED

    def extra(self, port: type[P]) -> P | None:
        return self if port is Embeds else None  # type: ignore[return-value]

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        await self.load()
        self.embedded += texts
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * DIMENSIONS
        for word in re.findall(r"\w+", text.lower()) or [""]:
            digest = hashlib.sha256(self._stem(word).encode("utf-8", "replace")).digest()
            for at, sign in ((digest[0], digest[1]), (digest[2], digest[3])):
                vector[at % DIMENSIONS] += 1.0 if sign % 2 else -1.0
        length = math.sqrt(sum(value * value for value in vector))
        return [value / length for value in vector] if length else [1.0, *vector[1:]]
