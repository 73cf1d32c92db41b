"""Models: which one Agent-0 uses, where and why it runs there, and its state."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from engine.contract.base import Empty, Name, Wire
from engine.contract.call import ONLY_OPERATOR
from engine.contract.events import Event
from engine.contract.operation import Kind, Limits, Operation, Risk

State = Literal["unloaded", "loading", "ready", "failed"]

ModelName = Annotated[
    str, Field(min_length=1, max_length=300, description="as `arcanum model list` calls it")
]
OptionalName = Annotated[
    str,
    Field(
        max_length=300, description="as `arcanum model list` calls it; by default the one in use"
    ),
]


class PlacementInfo(Wire):
    """Where a model runs or would run, and what that takes. Sizes in bytes, 0 where unknown.

    ``weights``, ``cache`` (keys and values of the context) and ``compute`` add up to what it
    needs; ``on_device`` of that lies in the GPU's own memory. ``free`` is what the device has free,
    ``free_ram`` the machine; ``budget`` bounds all models together, 0 where nothing does.
    ``faster`` says what to install, or to set, to go faster.
    """

    library: str
    device: str
    because: str
    layers: int = 0
    gpu_layers: int = 0
    weights: int = 0
    cache: int = 0
    compute: int = 0
    on_device: int = 0
    free: int = 0
    free_ram: int = 0
    budget: int = 0
    fits: bool = True
    faster: tuple[str, ...] = ()


class ModelInfo(Wire):
    """A model. Sizes in bytes, context in tokens (0 where unknown).

    ``chosen_because`` explains the choice; ``reason`` says why it failed or why it is simulated.
    ``local`` is False where a prompt would leave this machine. ``memory`` is what its process
    takes now. ``load_s``: how long its last load took. ``placement`` is None where it runs
    elsewhere, or where nobody asked for it (events tell none).
    """

    name: str
    backend: str
    model: str
    state: State
    reason: str = ""
    chosen_because: str = ""
    context: int = 0
    size: int = 0
    pid: int | None = None
    endpoint: str = ""
    local: bool = True
    simulated: bool = False
    max_new_tokens: int = 0
    library: str = ""
    device: str = ""
    parallel: int = 1
    features: tuple[str, ...] = ()
    memory: int = 0
    load_s: float | None = None
    placement: PlacementInfo | None = None


class ModelLine(Wire):
    """A model that can be used. ``origin``: bundled, configured, added, downloaded, found (a
    server that answers on this machine), or scripted."""

    name: str
    backend: str
    description: str
    endpoint: str = ""
    size: int = 0
    in_use: bool = False
    origin: str = "configured"
    state: State = "unloaded"


class ModelList(Wire):
    models: tuple[ModelLine, ...]


class AnyModel(Wire):
    name: OptionalName = ""


class UseModel(Wire):
    name: ModelName


class AddModel(Wire):
    source: Annotated[
        str,
        Field(
            min_length=1,
            max_length=2_000,
            description="a GGUF file, an MLX folder, the URL of an OpenAI-compatible server, or"
            " hf:owner/repository, which is downloaded",
        ),
    ]
    name: Annotated[str, Field(max_length=64, description="what to call it")] = ""
    model: Annotated[str, Field(max_length=200, description="which model of the server")] = ""
    key_env: Annotated[
        str,
        Field(
            max_length=100,
            pattern=r"^([A-Z_][A-Z0-9_]*)?$",
            description="the environment variable that holds the server's key",
        ),
    ] = ""


class DownloadModel(Wire):
    source: Annotated[
        str,
        Field(
            min_length=4,
            max_length=500,
            pattern=r"^hf:[^\s]+$",
            description="hf:owner/repository, or hf:owner/repository/file",
        ),
    ]
    name: Annotated[Name, Field(description="what to call it")] | None = Field(
        None, description="what to call it"
    )


class BenchModel(Wire):
    name: OptionalName = ""
    prompt_tokens: Annotated[int, Field(ge=16, le=16_384, description="length of the prompt")] = 512
    new_tokens: Annotated[int, Field(ge=8, le=1_024, description="length of the answer")] = 64
    rounds: Annotated[int, Field(ge=1, le=20, description="how often each is measured")] = 3


class BenchResult(Wire):
    """Medians. ``load_s``: from nothing to ready. ``first_token_s``: with nothing of the prompt
    kept; ``first_token_kept_s`` with all of it kept, None where the backend keeps none."""

    name: str
    model: str
    library: str
    device: str
    load_s: float
    first_token_s: float
    first_token_kept_s: float | None
    prompt_tokens: int
    prompt_tokens_per_s: float
    new_tokens: int
    new_tokens_per_s: float
    memory: int


class ModelChanged(Event):
    durable: ClassVar[bool] = False
    kind: Literal["model.changed"] = "model.changed"
    info: ModelInfo


INFO = Operation(
    "model.info",
    "A model, where and why it runs there, and what would make it faster",
    AnyModel,
    ModelInfo,
    positional=("name",),
)
LIST = Operation(
    "model.list", "Models that can be used here, servers that answer included", Empty, ModelList
)
USE = Operation(
    "model.use",
    "Use another model from now on",
    UseModel,
    ModelInfo,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    limits=Limits(timeout_s=120),
    audit=("name",),
    positional=("name",),
)
ADD = Operation(
    "model.add",
    "Add a model: a file, a folder or a server",
    AddModel,
    ModelLine,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    limits=Limits(timeout_s=60),
    audit=("name",),
    positional=("source",),
)
DOWNLOAD = Operation(
    "model.download",
    "Download a model from the hub and add it",
    DownloadModel,
    ModelLine,
    kind=Kind.JOB,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    limits=Limits(timeout_s=None),
    audit=("source", "name"),
    positional=("source",),
)
REMOVE = Operation(
    "model.remove",
    "Take an added model off the list; its files stay",
    UseModel,
    ModelLine,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    audit=("name",),
    positional=("name",),
)
LOAD = Operation(
    "model.load",
    "Load the model now",
    AnyModel,
    ModelInfo,
    risk=Risk.WRITE,
    limits=Limits(timeout_s=600),
    audit=("name",),
    positional=("name",),
)
UNLOAD = Operation(
    "model.unload",
    "Free the model's memory",
    AnyModel,
    ModelInfo,
    risk=Risk.WRITE,
    audit=("name",),
    positional=("name",),
)
BENCH = Operation(
    "model.bench",
    "Measure how fast a model is here",
    BenchModel,
    BenchResult,
    kind=Kind.JOB,
    risk=Risk.WRITE,
    limits=Limits(timeout_s=None, concurrent=1),
    audit=("name",),
    positional=("name",),
)
