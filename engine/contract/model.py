"""Models: which one Agent-0 uses, and its state."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from engine.contract.base import Empty, Wire
from engine.contract.call import ONLY_OPERATOR
from engine.contract.events import Event
from engine.contract.operation import Limits, Operation, Risk

State = Literal["unloaded", "loading", "ready", "failed"]


class ModelInfo(Wire):
    """The model in use. Sizes in bytes, context in tokens (0 where unknown).

    ``chosen_because`` explains the choice; ``reason`` says why it failed or why it is simulated.
    ``local`` is False where a prompt would leave this machine.
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


class ModelLine(Wire):
    name: str
    backend: str
    description: str
    endpoint: str = ""
    size: int = 0
    in_use: bool = False


class ModelList(Wire):
    models: tuple[ModelLine, ...]


class UseModel(Wire):
    name: Annotated[
        str, Field(min_length=1, max_length=300, description="as `arcanum model list` calls it")
    ]


class ModelChanged(Event):
    durable: ClassVar[bool] = False
    kind: Literal["model.changed"] = "model.changed"
    info: ModelInfo


INFO = Operation("model.info", "The model in use, and why it was chosen", Empty, ModelInfo)
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
LOAD = Operation(
    "model.load",
    "Load the model now",
    Empty,
    ModelInfo,
    risk=Risk.WRITE,
    limits=Limits(timeout_s=120),
)
UNLOAD = Operation("model.unload", "Free the model's memory", Empty, ModelInfo, risk=Risk.WRITE)
