"""Memory: the durable conversation. What is recalled from it is declared in ``recall``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from engine.contract.approvals import TakenBack
from engine.contract.base import Empty, Name, Wire
from engine.contract.call import ONLY_OPERATOR
from engine.contract.events import Event
from engine.contract.memories import Recalled
from engine.contract.operation import Kind, Limits, Operation, Risk

MAX_QUESTION = 32_000
WITHOUT = "answered without"
"""How the note of a turn begins whose answer had to do without memories, or some of them."""

Question = Annotated[str, Field(min_length=1, max_length=MAX_QUESTION)]


TurnStatus = Literal["open", "done", "stopped", "failed", "interrupted"]


class Turn(Wire):
    """One question and its answer.

    ``status``: ``open`` (being answered), ``done``, ``stopped`` (by the person), ``failed``, or
    ``interrupted`` (the engine died before the answer ended). An answer may be partial in the last
    three. ``note`` says why, in words, or which memories it does without. ``parent_id`` is the turn
    that it follows, None where it begins the conversation. ``siblings``: the numbers of all turns
    that follow the same one, oldest first and itself included; empty where it is the only one.
    ``attached``: names of what was read with the question. ``recalled``: the memories that went
    into the prompt, best first; None where that is not known, or they could not be searched.
    """

    id: int
    session: str
    question: str
    answer: str = ""
    status: TurnStatus
    note: str = ""
    model: str = ""
    asked_at: datetime
    answered_at: datetime | None = None
    parent_id: int | None = None
    siblings: tuple[int, ...] = ()
    attached: tuple[str, ...] = ()
    recalled: tuple[Recalled, ...] | None = None


class SessionSummary(Wire):
    """A conversation. ``title`` tells what it is about; ``deleted_at``: it can be taken back."""

    name: str
    turns: int
    last_at: datetime
    title: str = ""
    deleted_at: datetime | None = None


class ListSessions(Wire):
    """``containing``: only those with these words in their name, title, questions or answers."""

    limit: Annotated[int, Field(ge=1, le=1000, description="at most so many")] = 200
    containing: Annotated[
        str, Field(max_length=200, description="only those that hold this text")
    ] = ""
    deleted: Annotated[bool, Field(description="those that were deleted instead")] = False


class SessionList(Wire):
    """Newest first."""

    sessions: tuple[SessionSummary, ...]


class OneSession(Wire):
    session: Annotated[Name, Field(description="the conversation")]


class RenameSession(Wire):
    session: Annotated[Name, Field(description="the conversation")]
    to: Annotated[Name, Field(description="its new name")]


class SwitchBranch(Wire):
    session: Annotated[Name, Field(description="the conversation")]
    turn_id: Annotated[int, Field(ge=1, description="a turn of the branch to go on with")]


class RestoredSession(TakenBack):
    """What a restore brought back."""

    session: SessionSummary


class ShowTurns(Wire):
    """Turns of the current branch, oldest first: the newest ``limit`` numbered below ``before``."""

    session: Annotated[Name, Field(description="the conversation")]
    limit: Annotated[int, Field(ge=1, le=500, description="at most so many, the newest")] = 50
    before: int | None = Field(None, description="only turns with a lower number")


class TurnList(Wire):
    turns: tuple[Turn, ...]


class TurnOpened(Event):
    """A question was written down. It holds no content: that is read from the session."""

    kind: Literal["memory.turn_opened"] = "memory.turn_opened"
    session: str
    turn_id: int


class SessionChanged(Event):
    """A conversation was renamed, deleted or restored, another branch of it is current, or words of
    it were forgotten."""

    kind: Literal["memory.session_changed"] = "memory.session_changed"
    session: str
    change: Literal["renamed", "deleted", "restored", "switched", "titled", "forgotten"]
    now_called: str = ""


class TurnClosed(Event):
    kind: Literal["memory.turn_closed"] = "memory.turn_closed"
    session: str
    turn_id: int
    status: str


SESSIONS = Operation("memory.sessions", "The conversations", ListSessions, SessionList)
TURNS = Operation(
    "memory.turns", "The turns of one conversation", ShowTurns, TurnList, positional=("session",)
)
RENAME = Operation(
    "memory.rename",
    "Give a conversation another name",
    RenameSession,
    SessionSummary,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    audit=("session", "to"),
    positional=("session", "to"),
)
DELETE = Operation(
    "memory.delete",
    "Delete a conversation; it can be taken back",
    OneSession,
    SessionSummary,
    risk=Risk.HIGH,
    audit=("session",),
    positional=("session",),
)
RESTORE = Operation(
    "memory.restore",
    "Take back the deletion of a conversation",
    OneSession,
    RestoredSession,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    audit=("session",),
    positional=("session",),
)
SWITCH = Operation(
    "memory.switch",
    "Go on with another branch of a conversation",
    SwitchBranch,
    TurnList,
    risk=Risk.WRITE,
    audit=("session", "turn_id"),
    positional=("session", "turn_id"),
)
EXPORT = Operation(
    "memory.export",
    "A whole conversation, every branch of it, turn by turn",
    OneSession,
    Empty,
    kind=Kind.STREAM,
    item=Turn,
    limits=Limits(timeout_s=None),
    positional=("session",),
)
