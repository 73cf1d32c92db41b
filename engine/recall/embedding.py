"""Vectors for memories and queries: a model of its own, asked beside everything else.

Memories get theirs behind the write: a few at a time, so that a query never waits long. While there
is no model, or it does not answer, memories are found by their words, and that is said.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress

from engine.contract.backend import Backend, Embeds
from engine.contract.errors import ArcanumError, Internal, ModelFailed, Refused
from engine.ground import Ground
from engine.recall.indexer import Index, IndexFailed
from engine.worker.failures import told

_log = logging.getLogger("arcanum.recall")
_AT_ONCE, _AT_ONCE_QUIET = 4, 16
"""Memories that are embedded at a time, while somebody searches and while nobody does."""
_SEARCHING_S = 10.0
_AGAIN_S = 30.0
_PATIENCE_S = 2.0
"""A first search waits so long for the model to load; then words must do."""
_IDLE_S = 600.0
_QUERIES = 512


class Embedding:
    """``name`` is the setting: bundled, none, or a model's."""

    def __init__(self, ground: Ground, index: Index) -> None:
        self._ground, self._index = ground, index
        self._name = ground.config.memory.embedding
        self._backend: Backend | None = None
        self._loading: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._queries: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._asked_at = 0.0
        self._failed_at: float | None = None
        self.model = ""
        if self._name == "none":
            index.lexical_because = "memory.embedding is none"

    def start(self) -> None:
        if self._name != "none":
            self._running = asyncio.create_task(self._run(), name="recall:embedding")

    async def stop(self) -> None:
        for task in (self._running, self._loading):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        if self._backend is not None:
            await self._backend.unload()

    # --- the model ------------------------------------------------------------------------------

    async def _loaded(self) -> Embeds | None:
        """The model, ready; None where it cannot be had now."""
        if self._backend is not None and self.model:
            return _embeds(self._backend)
        if self._failed_at is not None and time.monotonic() - self._failed_at < _AGAIN_S:
            return None
        if self._loading is None:
            self._loading = asyncio.create_task(self._load(), name="recall:model")
        await asyncio.shield(self._loading)
        return None if self._backend is None else _embeds(self._backend)

    async def _load(self) -> None:
        try:
            await self._ground.models.prepare()
            if self._backend is None:
                self._backend = self._ground.models.embedding(self._name)
            embeds = _embeds(self._backend)
            first = await embeds.embed(["a first text tells how long the vectors are"])
            model, dimensions = self._backend.info().model, len(first[0])
            self._index.model = (model, dimensions)
            with suppress(IndexFailed):  # It is told, too, when its process starts.
                await self._index.ask("model", 120.0, model=model, dimensions=dimensions)
            self.model = model
            self._failed_at, self._index.lexical_because = None, ""
        except ArcanumError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - words must do, and it is told
            self._fail(Internal(f"a defect: {told(error)}."))
        finally:
            self._loading = None

    def _fail(self, error: ArcanumError) -> None:
        if self._failed_at is None:
            _log.warning("memories are found by their words alone: %s", error.message)
        self._failed_at = time.monotonic()
        self._index.lexical_because = f"{error.message.removesuffix('.')}. {error.hint}".strip()
        self._backend, self.model = None, ""

    # --- queries --------------------------------------------------------------------------------

    async def query(self, text: str) -> tuple[str, str]:
        """A query's vector as the index takes it, and the model that made it; "" where none did."""
        if self._name == "none":
            return "", ""
        self._asked_at = time.monotonic()
        known = self._queries.get((self.model, text))
        if known is not None:
            self._queries.move_to_end((self.model, text))
            return known, self.model
        try:
            async with asyncio.timeout(_PATIENCE_S):
                embeds = await self._loaded()
                if embeds is None:
                    return "", ""
                vector = packed(await embeds.embed([text]))
        except TimeoutError:
            return "", ""
        except ArcanumError as error:
            self._fail(error)
            return "", ""
        self._queries[self.model, text] = vector
        while len(self._queries) > _QUERIES:
            self._queries.popitem(last=False)
        return vector, self.model

    # --- memories -------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_IDLE_S):
                    await self._index.moved.wait()
            except TimeoutError:
                await self._rest()
                continue
            self._index.moved.clear()
            try:
                if (embeds := await self._loaded()) is None:
                    await asyncio.sleep(_AGAIN_S)
                    self._index.moved.set()
                    continue
                while await self._some(embeds):
                    pass
            except IndexFailed:  # What is to be done is told when it goes on.
                continue
            except ArcanumError as error:
                self._fail(error)
                self._index.moved.set()
                await asyncio.sleep(_AGAIN_S)

    async def _rest(self) -> None:
        """A model that nobody needs gives its memory back."""
        if self._backend is not None and time.monotonic() - self._asked_at > _IDLE_S:
            await self._backend.unload()

    async def _some(self, embeds: Embeds) -> bool:
        """Embeds a few memories; False where none waits."""
        searching = time.monotonic() - self._asked_at < _SEARCHING_S
        most = _AT_ONCE if searching else _AT_ONCE_QUIET
        rows = (await self._index.ask("texts", most=most))["rows"]
        if not rows:
            return False
        vectors = await embeds.embed([text for _, text in rows])
        ids = [number for number, _ in rows]
        await self._index.ask("vectors", model=self.model, ids=ids, data=packed(vectors))
        return True


def _embeds(backend: Backend) -> Embeds:
    """Raises Refused, ModelFailed."""
    if not backend.info().local:
        raise Refused(
            f"{backend.info().model} is elsewhere: what is remembered would leave this machine.",
            "Name a model of this machine as memory.embedding in config.toml.",
        )
    found = backend.extra(Embeds)  # type: ignore[type-abstract]  # noqa: S610 - no Django
    if found is None:
        raise ModelFailed(f"{backend.info().model} makes no embeddings.", "Name another model.")
    return found


def packed(vectors: Sequence[Sequence[float]]) -> str:
    """32-bit floats, one vector after the other, in base64."""
    data = array("f")
    for vector in vectors:
        data.extend(vector)
    return base64.b64encode(data.tobytes()).decode("ascii")
