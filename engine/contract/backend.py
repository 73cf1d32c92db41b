"""Backends: what the engine asks of whoever runs a model, and what can be known of one.

One streaming method is what every backend has. What only some can do is an *extra*, a Protocol of
its own, which ``Backend.extra`` hands out where the backend, however wrapped, has it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Protocol, TypeVar

from engine.contract.base import Json

P = TypeVar("P")

# --- asking -------------------------------------------------------------------------------------


class Priority(IntEnum):
    """Who goes first where several want the same model."""

    INTERACTIVE = 0
    """A person waits for it."""
    COUNCIL = 1
    """Part of an answer that a person waits for."""
    BACKGROUND = 2
    """Nobody waits: it gives way, even half done."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt. ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Generation:
    """What is asked of a model. ``temperature`` 0 is greedy: the same prompt, the same answer.

    ``schema``: the answer must be JSON that fits it (``Feature.SCHEMA``, else ignored: the answer
    is validated by whoever asked). ``logprobs``: so many alternatives with each piece
    (``Feature.LOGPROBS``). ``session`` names the conversation that it continues: a backend that
    keeps state takes it up where that one ended, and fairness is among sessions.
    """

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    schema: Json | None = None
    logprobs: int = 0
    session: str = ""
    priority: Priority = Priority.INTERACTIVE


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token and the natural logarithm of its probability."""

    text: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer took, in tokens. ``cached_tokens`` of the prompt were not computed again."""

    prompt_tokens: int
    new_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer, usually one token.

    The last has a ``finish``: ``stop`` (the model ended) or ``length`` (``max_tokens`` reached),
    and the ``usage`` where the backend knows it.
    """

    text: str
    finish: str | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    usage: Usage | None = None


# --- a backend ----------------------------------------------------------------------------------


class ModelState(StrEnum):
    """Where a model is between absent and ready."""

    UNLOADED = "unloaded"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


class Feature(StrEnum):
    """What only some backends can do."""

    SCHEMA = "schema"
    LOGPROBS = "logprobs"
    STATE = "state"
    EMBEDDINGS = "embeddings"


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """What a backend says of itself. Sizes in bytes, context in tokens, both 0 where unknown.

    ``local`` is False where a prompt would leave this machine. ``simulated`` marks the scripted
    fallback, which every face must label. ``library`` is what runs the model, with its version;
    ``device`` where. ``parallel``: answers at the same time. ``load_s``: how long the last load
    took, None before the first.
    """

    backend: str
    model: str
    state: ModelState
    reason: str = ""
    context: int = 0
    size: int = 0
    pid: int | None = None
    endpoint: str = ""
    local: bool = True
    simulated: bool = False
    library: str = ""
    device: str = ""
    parallel: int = 1
    features: frozenset[Feature] = frozenset()
    load_s: float | None = None


class Backend(Protocol):
    """A model provider. Methods raise ModelFailed, Unavailable, Busy or PromptTooLong."""

    def info(self) -> BackendInfo: ...

    async def load(self) -> None:
        """Makes the model ready. Safe to call at any time; simultaneous calls load one copy."""
        ...

    def stream(self, generation: Generation) -> AbstractAsyncContextManager[AsyncIterator[Piece]]:
        """Opens an answer, loading the model where needed; leaving the context stops generation."""
        ...

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the whole prompt, with the model's own tokenizer and chat template."""
        ...

    async def unload(self) -> None:
        """Frees the model's memory. The next ``stream`` loads it again."""
        ...

    def extra(self, port: type[P]) -> P | None:
        """This backend as ``port`` (``KeepsState``, ``Embeds``), or None where it is none."""
        ...


class KeepsState(Protocol):
    """Keeps what a model has read, so that it need not read it again after a restart."""

    async def warm(self, messages: Sequence[Message]) -> None:
        """Reads this beginning of prompts now, or restores it from disk; loads where needed."""
        ...

    async def save(self) -> None:
        """Writes the state of every conversation that has changed to disk."""
        ...


class Embeds(Protocol):
    """Turns texts into vectors."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, all of one length."""
        ...


@dataclass(frozen=True, slots=True)
class Observation:
    """A request to a backend, when it has ended. ``what``: load, stream, count or embed.

    Or ``changed``, which nobody asked for: the model's process has ended by itself, or was started
    anew. What is the case now is in the backend's ``info``.

    ``outcome``: ok, left (whoever asked went away), or the code of the error. ``waited_s`` is
    the time before its turn came, ``first_s`` until the first piece (None where none came).
    """

    model: str
    backend: str
    what: str
    seconds: float
    outcome: str
    waited_s: float = 0.0
    first_s: float | None = None
    tokens: int = 0


Observer = Callable[[Observation], None]


# --- which models there are ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that can be used here. ``name`` is what a person types after ``model use``.

    ``origin``: bundled, configured, added, downloaded, found, or scripted.
    """

    name: str
    backend: str
    description: str
    endpoint: str = ""
    size: int = 0
    origin: str = "configured"


@dataclass(frozen=True, slots=True)
class AddedModel:
    """A model that a person added. ``kind``: gguf, mlx or endpoint; ``place``: a path or a URL.

    ``model`` and ``key_env`` are an endpoint's; ``key_env`` names an environment variable.
    """

    name: str
    kind: str
    place: str
    model: str = ""
    key_env: str = ""
    downloaded: bool = False


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model would run, why, and what that takes. Sizes in bytes, 0 where unknown.

    ``weights``, ``cache`` (the context's keys and values) and ``compute`` (buffers) add up to
    what it needs; of that ``on_device`` lies in the GPU's own memory, and the rest in the
    machine's. ``free`` is what can be had of the device's memory now, ``free_ram`` of the
    machine's. ``faster`` says what to install, or to set, to go faster.
    """

    library: str
    device: str
    because: str
    layers: int = 0
    gpu_layers: int = 0
    context: int = 0
    weights: int = 0
    cache: int = 0
    compute: int = 0
    on_device: int = 0
    free: int = 0
    free_ram: int = 0
    faster: tuple[str, ...] = ()

    @property
    def needs(self) -> int:
        """All memory that the model takes, in bytes."""
        return self.weights + self.cache + self.compute


@dataclass(frozen=True, slots=True)
class Download:
    """Files of a model on a hub. ``digests``: SHA-256 in hex, "" where the hub tells none."""

    repository: str
    revision: str
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    digests: tuple[str, ...]
    kind: str = "gguf"
    extra: dict[str, str] = field(default_factory=dict)


class Hub(Protocol):
    """A server that models are downloaded from (Hugging Face, or one that speaks like it)."""

    async def look_up(self, source: str) -> Download:
        """What ``source`` (``hf:owner/repository[/file]``) is. Raises Invalid, NotFound,
        Unavailable; Invalid names the files where one must be picked."""
        ...

    async def fetch(
        self,
        download: Download,
        folder: Path,
        progress: Callable[[int, int], None],
    ) -> Path:
        """Brings the files into ``folder``; the path of the model there.

        ``progress`` is told bytes so far and altogether. What an earlier try left is carried on
        with. A file counts only once its checksum is right. Raises Unavailable, Failed.
        """
        ...


class BackendCatalog(Protocol):
    """Which models can be used on this machine, and how to reach one."""

    def choices(self) -> tuple[ModelChoice, ...]:
        """What is known without asking the network: bundled, configured, added, the fallback."""
        ...

    async def discover(self) -> tuple[ModelChoice, ...]:
        """Servers that answer on this machine now (Ollama, llama-server), each model a choice."""
        ...

    async def prepare(self) -> None:
        """Imports what ``create`` needs, without holding up the event loop."""
        ...

    def create(self, name: str) -> Backend:
        """A backend for the named choice, not yet loaded. Raises NotFound or Unavailable."""
        ...

    def embedding(self, name: str) -> Backend:
        """What turns texts into vectors; it has the extra ``Embeds``. Not yet loaded.

        ``bundled``, or a GGUF file's path, or the name of a choice that can make embeddings. Its
        ``info().model``, once it is loaded, is another for a model whose vectors are others, where
        that can be known. Raises NotFound, Invalid or Unavailable, which says what to install.
        """
        ...

    async def place(self, name: str) -> Placement | None:
        """Where and how the named model would run; None where it runs elsewhere.

        Looks at the model's file and at the hardware now. Raises what ``create`` raises, and
        ModelFailed for a file that is no model.
        """
        ...

    async def examine(self, source: str, name: str, model: str, key_env: str) -> AddedModel:
        """What a person wants to add, looked at: a GGUF file, an MLX folder, a server's URL.

        ``name`` "" is made from the source. Raises Invalid, NotFound or ModelFailed.
        """
        ...

    def check_name(self, name: str) -> None:
        """Raises Invalid for what no added model can be called."""
        ...

    def learn(self, added: Sequence[AddedModel]) -> None:
        """From now on these are the added models."""
        ...

    def watch(self, observer: Observer) -> None:
        """Each ``Observation`` of any backend is told to ``observer``, on the event loop."""
        ...

    async def forget_session(self, session: str) -> None:
        """Removes what any model keeps on disk of this conversation."""
        ...

    @property
    def hub(self) -> Hub: ...

    @property
    def default(self) -> str:
        """The name of the choice to start with."""
        ...
