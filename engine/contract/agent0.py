"""Agent-0: asking, and the answer token by token."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.contract.base import Empty, Name, Wire
from engine.contract.memory import Question, RecallHit, Turn
from engine.contract.operation import Kind, Limits, Operation, Risk


class Ask(Wire):
    """``max_tokens``: at most so many new tokens; None means the configured bound."""

    text: Annotated[Question, Field(description="the question")]
    session: Annotated[Name, Field(description="the conversation it belongs to")] = "main"
    max_tokens: Annotated[int, Field(ge=1, le=32_768)] | None = Field(
        None, description="at most so many new tokens"
    )


class AnswerStarted(Wire):
    """The question is durable. ``recalled`` is what memory put into the prompt."""

    kind: Literal["started"] = "started"
    turn_id: int
    session: str
    backend: str
    model: str
    simulated: bool
    recalled: tuple[RecallHit, ...] = ()


class AnswerPiece(Wire):
    kind: Literal["piece"] = "piece"
    text: str


class AnswerFinished(Wire):
    """The answer is durable. ``finish``: stop, length, or stopped (cancelled by the person)."""

    kind: Literal["finished"] = "finished"
    turn: Turn
    finish: str
    tokens: int
    first_token_s: float | None
    seconds: float


AnswerItem = Annotated[AnswerStarted | AnswerPiece | AnswerFinished, Field(discriminator="kind")]

ASK = Operation(
    "agent0.ask",
    "Ask Agent-0",
    Ask,
    Empty,
    kind=Kind.STREAM,
    risk=Risk.HIGH,
    item=AnswerItem,
    limits=Limits(max_bytes=256 * 1024, concurrent=8, timeout_s=None),
    audit=("session",),
    positional=("text",),
)
