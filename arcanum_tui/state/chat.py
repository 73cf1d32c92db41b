"""One conversation as it is shown: turns, branches, and the answer that is being written. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from arcanum_tui.state.pace import Pace, Took
from arcanum_tui.state.text import clock

if TYPE_CHECKING:
    from engine.contract.agent0 import AnswerFinished, AnswerStarted, Attachment
    from engine.contract.memories import Recalled
    from engine.contract.memory import Turn

Status = Literal[
    "queued",
    "asked",
    "writing",
    "done",
    "stopped",
    "failed",
    "interrupted",
    "needs",
    "unasked",
    "elsewhere",
]

RUNNING = frozenset({"asked", "writing"})
WAITING = frozenset({"queued", "asked", "writing"})


@dataclass(frozen=True, slots=True)
class Wish:
    """What a question is asked with. ``after``: the turn that it follows (0: none), by default
    the last; ``known``: the newest turn that was known then."""

    attachments: tuple[Attachment, ...] = ()
    after: int | None = None
    temperature: float | None = None
    known: int = 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer. ``note``: what to say of it, in words. ``recalled``: the memories
    that went into the prompt, None where that is not known. ``wish`` is None for what was not asked
    here; ``sent``: the engine may have written it down, ``turn_id`` says under which number.
    ``siblings``: the turns in whose place it stands, as ``Turn.siblings``."""

    question: str
    answer: str = ""
    status: Status = "queued"
    turn_id: int | None = None
    parent_id: int | None = None
    siblings: tuple[int, ...] = ()
    at: str = ""
    model: str = ""
    simulated: bool = False
    recalled: tuple[Recalled, ...] | None = None
    attached: tuple[str, ...] = ()
    note: str = ""
    wish: Wish | None = None
    sent: bool = False
    approval_id: int | None = None
    pace: Pace | None = None
    took: Took | None = None

    @property
    def place(self) -> tuple[int, int]:
        """Which of how many siblings it is, counted from 1."""
        if self.turn_id in self.siblings:
            return self.siblings.index(self.turn_id) + 1, len(self.siblings)
        count = len(self.siblings) + 1
        return count, count

    @property
    def lacking(self) -> str:
        """Which memories the answer does without, and why; "" where it had what it needs."""
        if not self.note:
            return ""
        from engine.contract.memory import WITHOUT

        return self.note if self.note.startswith(WITHOUT) else ""

    @property
    def again(self) -> int | None:
        """The turn behind which this question would be asked again (0: none); None for the last."""
        if self.turn_id is not None:
            return self.parent_id or 0
        return self.wish.after if self.wish else None


@dataclass(frozen=True, slots=True)
class Chat:
    """One session, oldest first. ``trouble``: why its past could not be read; ``more``: there are
    turns before these."""

    session: str = "main"
    exchanges: tuple[Exchange, ...] = ()
    trouble: str = ""
    loaded: bool = False
    more: bool = False

    @property
    def busy(self) -> bool:
        """Whether an answer is being asked for or written."""
        return any(e.status in RUNNING for e in self.exchanges)

    @property
    def next_queued(self) -> int | None:
        """The first question that has not been asked yet."""
        waiting = (i for i, e in enumerate(self.exchanges) if e.status == "queued")
        return None if self.busy else next(waiting, None)

    @property
    def newest(self) -> int:
        """The highest number of a turn that is known; 0 for none."""
        return max((e.turn_id or 0 for e in self.exchanges), default=0)

    @property
    def questions(self) -> tuple[str, ...]:
        """What was asked, the latest last, each once."""
        asked = dict.fromkeys(e.question for e in reversed(self.exchanges))
        return tuple(reversed(asked))

    @property
    def context(self) -> tuple[int, int]:
        """Tokens that the latest prompt and answer take of the model's context; 0 if unknown."""
        for exchange in reversed(self.exchanges):
            for known in (exchange.pace, exchange.took):
                if known is not None and known.context:
                    return known.prompt_tokens + known.tokens, known.context
        return 0, 0


# --- what the engine holds ------------------------------------------------------------------------


def past(chat: Chat, turns: Iterable[Turn], *, more: bool = False) -> Chat:
    """The branch as the engine holds it, and behind it what it does not know of yet.

    A question that was sent off and whose number was never heard is recognised by its words: it
    is there once, whatever became of the connection.
    """
    mine = {e.turn_id: e for e in chat.exchanges if e.turn_id is not None}
    loose = [e for e in chat.exchanges if e.turn_id is None]
    merged = []
    for turn in turns:
        local = mine.pop(turn.id, None)
        if local is None and (local := _adopted(loose, turn)) is not None:
            loose.remove(local)
        merged.append(_merged(local, turn))
    running = [e for e in mine.values() if e.status in RUNNING]
    exchanges = (*merged, *running, *loose)
    return replace(chat, exchanges=exchanges, loaded=True, trouble="", more=more)


def before(chat: Chat, turns: Iterable[Turn], *, more: bool) -> Chat:
    """Older turns of the branch were read."""
    known = {e.turn_id for e in chat.exchanges}
    old = tuple(_merged(None, t) for t in turns if t.id not in known)
    return replace(chat, exchanges=old + chat.exchanges, more=more and bool(old))


def _adopted(loose: Iterable[Exchange], turn: Turn) -> Exchange | None:
    return next(
        (
            e
            for e in loose
            if e.sent and e.wish and turn.id > e.wish.known and turn.question == e.question
        ),
        None,
    )


def _merged(local: Exchange | None, turn: Turn) -> Exchange:
    """What is known here of a turn, and what the engine holds of it."""
    known = local or Exchange(turn.question, at=clock(turn.asked_at), model=turn.model)
    known = replace(
        known,
        turn_id=turn.id,
        parent_id=turn.parent_id,
        siblings=turn.siblings if len(turn.siblings) > 1 else (),
        at=clock(turn.asked_at),
        attached=turn.attached or known.attached,
        recalled=known.recalled if turn.recalled is None else turn.recalled,
    )
    if known.status in RUNNING:
        return known
    status: Status = "elsewhere" if turn.status == "open" else turn.status
    theirs = "" if turn.note == turn.status else turn.note
    note = known.note if local and status == known.status and known.note else theirs
    return replace(
        known,
        status=status,
        answer=turn.answer,
        model=turn.model or known.model,
        note=note,
        approval_id=None,
    )


def answered(chat: Chat, approvals: Mapping[int, str]) -> Chat:
    """What became of the approvals that questions wait for, by their states."""
    ends = {"denied": "you said no", "expired": "nobody answered in time"}
    exchanges = tuple(
        replace(e, status="unasked", approval_id=None, note=ends[state])
        if e.status == "needs" and (state := approvals.get(e.approval_id or 0, "")) in ends
        else e
        for e in chat.exchanges
    )
    return chat if exchanges == chat.exchanges else replace(chat, exchanges=exchanges)


# --- asking ---------------------------------------------------------------------------------------


def ask(chat: Chat, question: str, wish: Wish | None = None, at: str = "") -> Chat:
    """A question was sent off the line. Where it branches, what followed that turn goes."""
    wish = replace(wish or Wish(), known=chat.newest)
    names = tuple(name for a in wish.attachments for name in names_of(chat, a))
    asked = Exchange(question, wish=wish, attached=names, at=at)
    kept = chat.exchanges
    if wish.after is not None:
        ids = [e.turn_id for e in kept]
        end = ids.index(wish.after) + 1 if wish.after in ids else 0
        twin = kept[end] if end < len(kept) else None
        kept = kept[:end]
        if twin is not None and twin.turn_id is not None:
            asked = replace(asked, siblings=twin.siblings or (twin.turn_id,))
    return replace(chat, exchanges=(*kept, asked))


def attachments_of(exchange: Exchange) -> tuple[Attachment, ...]:
    """What goes along where the question is asked once more."""
    if exchange.turn_id is not None and exchange.attached:
        from engine.contract.agent0 import TurnAttachment

        return (TurnAttachment(turn_id=exchange.turn_id),)
    return exchange.wish.attachments if exchange.wish else ()


def names_of(chat: Chat, attachment: Attachment) -> tuple[str, ...]:
    """What it is called, a name for each text."""
    if attachment.kind == "turn":
        return next((e.attached for e in chat.exchanges if e.turn_id == attachment.turn_id), ())
    return (attachment.name if attachment.kind == "text" else attachment.path.display,)


def again(chat: Chat, index: int) -> Chat:
    """What was never written down goes when it is asked again."""
    if chat.exchanges[index].turn_id is not None:
        return chat
    return replace(chat, exchanges=chat.exchanges[:index] + chat.exchanges[index + 1 :])


def change(chat: Chat, index: int, exchange: Exchange) -> Chat:
    """``chat`` with another exchange at ``index``."""
    exchanges = list(chat.exchanges)
    exchanges[index] = exchange
    return replace(chat, exchanges=tuple(exchanges))


def asked(exchange: Exchange, now: float) -> Exchange:
    """It goes to the engine."""
    return replace(exchange, status="asked", sent=True, pace=Pace(now))


def started(exchange: Exchange, item: AnswerStarted, now: float) -> Exchange:
    """The question is durable and the model has it."""
    known = item.turn_id in exchange.siblings or not exchange.siblings
    return replace(
        exchange,
        status="writing",
        turn_id=item.turn_id,
        siblings=exchange.siblings if known else (*exchange.siblings, item.turn_id),
        model=item.model,
        simulated=item.simulated,
        recalled=tuple(hit.recalled for hit in item.recalled)
        if item.recalled or not item.lacking
        else None,
        pace=(exchange.pace or Pace(now)).started(item, now),
    )


def came(exchange: Exchange, text: str, tokens: int, now: float) -> Exchange:
    """More of the answer came, in so many pieces."""
    pace = (exchange.pace or Pace(now)).came(tokens, now)
    return replace(exchange, answer=exchange.answer + text, pace=pace)


def finished(exchange: Exchange, item: AnswerFinished) -> Exchange:
    """The answer is durable."""
    done = replace(exchange, status="stopped", pace=None, took=Took.of(item), note="")
    return _merged(done, item.turn)


def ended(exchange: Exchange, status: Status, note: str = "") -> Exchange:
    """The answer ended otherwise."""
    return replace(exchange, status=status, note=note, pace=None)
