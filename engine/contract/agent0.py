"""Agent-0: asking, the answer token by token, and answers as JSON."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from engine.contract.base import Empty, Json, Name, PathRef, Wire, visible
from engine.contract.memories import RecallHit
from engine.contract.memory import Question, Turn
from engine.contract.operation import Kind, Limits, Operation, Risk

MAX_ATTACHED = 200_000
"""Characters of all attachments of a question."""

_UNFIT = re.compile("[\0\ud800-\udfff]")


def _whole(value: Any) -> Any:
    """What a database cannot hold, or takes for a text's end, is made visible: half a character,
    which is no UTF-8 either, and NUL."""
    if not isinstance(value, str):
        return value
    return _UNFIT.sub(lambda unfit: visible(unfit[0]), value)


def _says_something(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


Text = Annotated[str, BeforeValidator(_whole)]
Asked = Annotated[Question, BeforeValidator(_whole), AfterValidator(_says_something)]


class TextAttachment(Wire):
    """A text that the person's face has read: the engine opens no file for it."""

    kind: Literal["text"] = "text"
    name: Annotated[Text, Field(min_length=1, max_length=200, description="what it is called")]
    text: Annotated[Text, Field(min_length=1, max_length=MAX_ATTACHED)]


class AssetAttachment(Wire):
    """A catalogued file: what the catalogue knows of it, and its words where it is a short text."""

    kind: Literal["asset"] = "asset"
    library: Name
    path: PathRef


class TurnAttachment(Wire):
    """What was attached to an earlier turn of the same conversation, read once more."""

    kind: Literal["turn"] = "turn"
    turn_id: Annotated[int, Field(ge=1)]


Attachment = Annotated[
    TextAttachment | AssetAttachment | TurnAttachment, Field(discriminator="kind")
]


class Ask(Wire):
    """``after`` branches the conversation: the question follows that turn, 0 none at all; by
    default it follows the last. ``temperature`` 0 is greedy, None the model's usual."""

    text: Annotated[Asked, Field(description="the question")]
    session: Annotated[Name, Field(description="the conversation it belongs to")] = "main"
    max_tokens: Annotated[int, Field(ge=1, le=32_768)] | None = Field(
        None, description="at most so many new tokens"
    )
    after: Annotated[int, Field(ge=0)] | None = Field(
        None, description="the turn that it follows, 0 for none; by default the last"
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="0 always answers the same, 1 freely"
    )
    attachments: Annotated[tuple[Attachment, ...], Field(max_length=8)] = Field(
        (), description="texts and catalogued files to read with it"
    )


class AnswerStarted(Wire):
    """The question is durable. ``recalled`` is what memory put into the prompt; ``lacking`` says,
    in words, which memories it does without because they could not be searched or read.

    ``prompt_tokens`` of ``context`` are used (0 where unknown).
    """

    kind: Literal["started"] = "started"
    turn_id: int
    session: str
    backend: str
    model: str
    simulated: bool
    recalled: tuple[RecallHit, ...] = ()
    lacking: str = ""
    prompt_tokens: int = 0
    context: int = 0


class AnswerPiece(Wire):
    kind: Literal["piece"] = "piece"
    text: str


class AnswerFinished(Wire):
    """The answer is durable. ``finish``: stop (the model ended) or length.

    An answer that a person stopped, or that failed, ends without one.
    ``cached_tokens`` of the prompt were not read again. ``seconds`` from question to end.
    """

    kind: Literal["finished"] = "finished"
    turn: Turn
    finish: str
    tokens: int
    first_token_s: float | None
    seconds: float
    prompt_tokens: int = 0
    cached_tokens: int = 0
    context: int = 0


AnswerItem = Annotated[AnswerStarted | AnswerPiece | AnswerFinished, Field(discriminator="kind")]


class Structure(Wire):
    """``json_schema``: a JSON schema (object at the root; every string gets a bound)."""

    text: Annotated[Asked, Field(description="what to answer")]
    json_schema: Annotated[Json, Field(description="the JSON schema that the answer fits")]
    max_tokens: Annotated[int, Field(ge=1, le=32_768)] | None = Field(
        None, description="at most so many new tokens"
    )


class Structured(Wire):
    """``value`` fits the schema. ``attempts``: how often the model was asked."""

    value: Any
    model: str
    attempts: int
    tokens: int
    seconds: float


ASK = Operation(
    "agent0.ask",
    "Ask Agent-0",
    Ask,
    Empty,
    kind=Kind.STREAM,
    risk=Risk.HIGH,
    item=AnswerItem,
    limits=Limits(max_bytes=1024 * 1024, concurrent=32, timeout_s=None),
    audit=("session",),
    positional=("text",),
)
STRUCTURE = Operation(
    "agent0.structure",
    "Ask for an answer as JSON that fits a schema",
    Structure,
    Structured,
    risk=Risk.HIGH,
    limits=Limits(max_bytes=256 * 1024, concurrent=8, timeout_s=600),
    audit=("max_tokens",),
    positional=("text",),
)
