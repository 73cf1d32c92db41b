"""Memory: the durable conversation, and what is recalled from it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from engine.contract.base import Name, Wire
from engine.contract.events import Event
from engine.contract.operation import Operation

MAX_QUESTION = 32_000

Question = Annotated[str, Field(min_length=1, max_length=MAX_QUESTION)]


TurnStatus = Literal["open", "done", "stopped", "failed", "interrupted"]


class Turn(Wire):
    """One question and its answer.

    ``status``: ``open`` (being answered), ``done``, ``stopped`` (by the person), ``failed``, or
    ``interrupted`` (the engine died before the answer ended). An answer may be partial in the last
    three. ``note`` says why, in words.
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


class RecallHit(Wire):
    """A memory with its source. ``score``: higher is better, comparable within one search only."""

    turn_id: int
    session: str
    text: str
    asked_at: datetime
    score: float


class Search(Wire):
    session: Annotated[Name, Field(description="the conversation to search")]
    query: Annotated[str, Field(min_length=1, max_length=2_000, description="what to look for")]
    limit: Annotated[int, Field(ge=1, le=100, description="at most so many")] = 10


class SearchResult(Wire):
    hits: tuple[RecallHit, ...]


class SessionSummary(Wire):
    name: str
    turns: int
    last_at: datetime


class ListSessions(Wire):
    limit: Annotated[int, Field(ge=1, le=1000, description="at most so many")] = 200


class SessionList(Wire):
    """Newest first."""

    sessions: tuple[SessionSummary, ...]


class ShowTurns(Wire):
    """Turns of one session, the newest ``limit`` with an id below ``before``, oldest first."""

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


class TurnClosed(Event):
    kind: Literal["memory.turn_closed"] = "memory.turn_closed"
    session: str
    turn_id: int
    status: str


SEARCH = Operation(
    "memory.search",
    "Find earlier turns of a session",
    Search,
    SearchResult,
    positional=("query",),
)
SESSIONS = Operation("memory.sessions", "The conversations", ListSessions, SessionList)
TURNS = Operation(
    "memory.turns", "The turns of one conversation", ShowTurns, TurnList, positional=("session",)
)
