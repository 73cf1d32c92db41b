"""One conversation as it is shown: turns, and the answer that is being written. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from arcanum_tui.state.grid import Piece, Tone, muted, strong, wrap
from arcanum_tui.state.text import clean, clock, plural

if TYPE_CHECKING:
    from engine.contract.agent0 import AnswerFinished, AnswerStarted
    from engine.contract.memory import Turn

Status = Literal["queued", "asked", "writing", "done", "stopped", "failed", "interrupted"]

MARGIN = 8
"""Cells for the time and the mark before a question."""

_ENDS: dict[str, tuple[str, Tone]] = {
    "queued": ("○ waits for the engine; it is asked as soon as it answers", "info"),
    "asked": ("● reading the question …", "info"),
    "writing": ("▌", "info"),
    "done": ("✓ done", "ok"),
    "stopped": ("○ stopped by you", "warn"),
    "failed": ("✗ failed", "bad"),
    "interrupted": ("! interrupted: the engine ended before the answer did", "warn"),
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer. ``note``: what to say of it, in words. ``recalled``: how many
    memories went into the prompt, None where that is not known."""

    question: str
    answer: str = ""
    status: Status = "queued"
    turn_id: int | None = None
    at: str = ""
    model: str = ""
    simulated: bool = False
    recalled: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Chat:
    """One session, oldest first. ``trouble``: why its past could not be read."""

    session: str = "main"
    exchanges: tuple[Exchange, ...] = ()
    trouble: str = ""
    loaded: bool = False

    @property
    def busy(self) -> bool:
        """Whether an answer is being asked for or written."""
        return any(e.status in {"asked", "writing"} for e in self.exchanges)

    @property
    def next_queued(self) -> int | None:
        """The first question that has not been asked yet."""
        waiting = (i for i, e in enumerate(self.exchanges) if e.status == "queued")
        return None if self.busy else next(waiting, None)


def past(chat: Chat, turns: Iterable[Turn]) -> Chat:
    """The conversation so far, before what was asked here."""
    known = {e.turn_id for e in chat.exchanges if e.turn_id is not None}
    old = tuple(_turn(t) for t in turns if t.id not in known)
    return replace(chat, exchanges=old + chat.exchanges, loaded=True, trouble="")


def _turn(turn: Turn) -> Exchange:
    status: Status = "interrupted" if turn.status == "open" else turn.status
    note = "answered elsewhere, or interrupted" if turn.status == "open" else turn.note
    return Exchange(
        turn.question, turn.answer, status, turn.id, clock(turn.asked_at), turn.model, note=note
    )


def ask(chat: Chat, question: str) -> Chat:
    """A question was sent off the line; it waits for its turn."""
    return replace(chat, exchanges=(*chat.exchanges, Exchange(question)))


def change(chat: Chat, index: int, exchange: Exchange) -> Chat:
    """``chat`` with another exchange at ``index``."""
    exchanges = list(chat.exchanges)
    exchanges[index] = exchange
    return replace(chat, exchanges=tuple(exchanges))


def started(exchange: Exchange, item: AnswerStarted) -> Exchange:
    """The question is durable and the model has it."""
    return replace(
        exchange,
        status="writing",
        turn_id=item.turn_id,
        model=item.model,
        simulated=item.simulated,
        recalled=len(item.recalled),
    )


def finished(exchange: Exchange, item: AnswerFinished) -> Exchange:
    """The answer is durable."""
    first = item.first_token_s or 0.0
    speed = (item.tokens - 1) / (item.seconds - first) if item.seconds > first else 0.0
    facts = [plural(item.tokens, "token")]
    if item.first_token_s is not None:
        facts.append(f"the first after {item.first_token_s:.1f} s")
    if speed > 0:
        facts.append(f"then {speed:.0f} a second")
    if item.finish == "length":
        facts.append("cut at the bound on new tokens")
    return replace(
        exchange,
        status="done" if item.turn.status == "done" else "stopped",
        answer=item.turn.answer,
        at=clock(item.turn.asked_at),
        note=", ".join(facts),
    )


def lines(exchange: Exchange, width: int) -> list[tuple[Piece, ...]]:
    """An exchange in lines of at most ``width`` cells: plain text, control characters visible."""
    made: list[tuple[Piece, ...]] = [()]
    first = (muted(f"{exchange.at or '     '} "), Piece("› ", "key"))
    for index, part in enumerate(wrap(exchange.question, width - MARGIN)):
        made.append((*(first if index == 0 else (Piece(" " * MARGIN),)), strong(part)))
    if exchange.answer:
        answer = wrap(exchange.answer, width - MARGIN)
        made += [(Piece(" " * MARGIN), Piece(part)) for part in answer]
    end = _end(exchange)
    if end:
        made.append((Piece(" " * MARGIN), *end))
    return made


def _end(exchange: Exchange) -> list[Piece]:
    """The line under an answer: its state, the model, what was recalled."""
    word, tone = _ENDS.get(exchange.status, ("", "muted"))
    pieces = [Piece(word, tone)] if word else []
    facts = []
    if exchange.simulated:
        facts.append("SCRIPTED – no model")
    elif exchange.model:
        facts.append(exchange.model)
    if exchange.recalled:
        facts.append(f"{plural(exchange.recalled, 'memory', 'memories')} recalled")
    if exchange.note:
        facts.append(exchange.note)
    if exchange.status not in {"queued", "asked", "writing"} and facts:
        pieces.append(
            Piece(
                f"{'  ' if pieces else ''}{' · '.join(facts)}",
                "warn" if exchange.simulated else "muted",
            )
        )
    return [Piece(clean(p.text), p.tone) for p in pieces]
