"""Discovery: what is already here that Arcanum could use. Asked once, never done by itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.contract.base import Empty, PathRef, Wire
from engine.contract.call import ONLY_OPERATOR
from engine.contract.operation import Limits, Operation, Risk


class FoundFolder(Wire):
    """A folder that looks like a library. ``entries``: names directly in it."""

    path: PathRef
    name: str
    entries: int


class FoundModel(Wire):
    """A model server that answers on this machine, with one of its models."""

    name: str
    description: str
    endpoint: str


class Found(Wire):
    """``asked`` is True once the person has answered or skipped the first run."""

    asked: bool
    folders: tuple[FoundFolder, ...]
    models: tuple[FoundModel, ...]


class Answer(Wire):
    answer: Annotated[Literal["accepted", "skipped"], Field(description="what you decided")]
    accepted: Annotated[
        tuple[str, ...], Field(max_length=50, description="names of what you took")
    ] = ()


LOOK = Operation(
    "discovery.look",
    "Folders and model servers that could be used here",
    Empty,
    Found,
    limits=Limits(timeout_s=10),
)
ANSWER = Operation(
    "discovery.answer",
    "Remember that the first run was answered",
    Answer,
    Found,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    audit=("answer",),
    positional=("answer",),
)
