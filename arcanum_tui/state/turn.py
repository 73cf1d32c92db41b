"""A turn as lines: the question, the answer as Markdown, and what is to be said of it. Pure.

A layout is kept while its answer grows: only what changed at its end is made again.
"""

from __future__ import annotations

from rich.cells import cell_len

from arcanum_tui.state.chat import WAITING, Exchange
from arcanum_tui.state.grid import Line, Piece, Tone, fit, muted, strong, wrap
from arcanum_tui.state.inline import flow
from arcanum_tui.state.markdown import Document
from arcanum_tui.state.text import clean, plural

MARGIN = 9
"""Cells for the mark of the selected turn, the time and the sign before a question."""

WIDEST = 120
"""A longer line of text is hard to read."""

_MARGIN = Piece(" " * (MARGIN - 1))

SLICE = 4_000
"""So many characters of an answer are laid out in one step."""

ENDS: dict[str, tuple[str, Tone]] = {
    "queued": ("○ waits for the engine; it is asked as soon as it answers", "info"),
    "asked": ("● asked", "info"),
    "writing": ("● writing", "info"),
    "done": ("✓", "ok"),
    "stopped": ("○ stopped by you", "warn"),
    "unasked": ("○ not asked", "warn"),
    "failed": ("✗ failed", "bad"),
    "interrupted": ("! interrupted: the engine ended before the answer did", "warn"),
    "needs": ("▲ nothing was sent yet", "warn"),
    "elsewhere": ("● being answered elsewhere", "info"),
}


class TurnLayout:
    """The lines of one exchange at one width; ``live`` is said under it while it runs."""

    def __init__(self, exchange: Exchange, width: int) -> None:
        self.exchange = exchange
        self.room = max(16, min(width, WIDEST + MARGIN) - MARGIN - 1)
        self._head = _head(exchange, self.room)
        self._end = _end(exchange, self.room)
        self._begin()
        self.step()

    def _begin(self) -> None:
        self._document = Document(self.room)
        self._tail: list[Line] = []
        self._fed = 0
        self._ended = False

    def __len__(self) -> int:
        return len(self._head) + len(self._document.done) + len(self._tail) + len(self._end)

    def line(self, index: int) -> Line:
        """A line, behind its margin."""
        if index < len(self._head):
            return self._head[index]
        index -= len(self._head)
        for part in (self._document.done, self._tail, self._end):
            if index < len(part):
                line = part[index]
                return Line((_MARGIN, *line.pieces), line.lead + MARGIN - 1, line.joint)
            index -= len(part)
        return Line()

    @property
    def whole(self) -> bool:
        """Whether all of the answer is laid out."""
        return self._fed >= len(self.exchange.answer)

    def step(self) -> None:
        """Lays out some more of the answer."""
        if not self.whole:
            self._document.feed(self.exchange.answer[self._fed : self._fed + SLICE])
            self._fed += SLICE
        if self.whole and self.exchange.status not in WAITING:
            if not self._ended:
                self._document.end()
            self._tail, self._ended = [], True
        else:
            self._tail = self._document.tail()
        self._fed = min(self._fed, len(self.exchange.answer))

    def update(self, exchange: Exchange, live: tuple[Piece, ...] = ()) -> int:
        """The exchange moved on. Returns the index of the first line that may have changed, the
        number of lines where none did."""
        old, old_end, self.exchange = self.exchange, self._end, exchange
        self._end = _end(exchange, self.room, live)
        first = len(self._head) + len(self._document.done)
        grew = exchange.answer != old.answer
        if grew and (self._ended or not exchange.answer.startswith(old.answer)):
            self._begin()
            first = len(self._head)
        if grew or exchange.status != old.status:
            self.step()
        else:
            first = len(self) - max(len(self._end), len(old_end))
            first = len(self) if self._end == old_end else max(0, first)
        if _named(exchange) != _named(old):
            self._head, first = _head(exchange, self.room), 0
        return first


def _named(exchange: Exchange) -> tuple[object, ...]:
    """What stands before an answer is made of."""
    return exchange.question, exchange.at, exchange.place, exchange.siblings, exchange.attached


def _head(exchange: Exchange, room: int) -> list[Line]:
    """A blank line, the question, and what was attached to it."""
    which, many = exchange.place
    place = f" ◂ {which}/{many} ▸" if exchange.siblings else ""
    made = [Line()]
    for line in flow([strong(exchange.question)], room - cell_len(place)):
        pieces = [_MARGIN, *line.pieces]
        if len(made) == 1:
            pieces[0] = muted(f"{exchange.at or '     '} ")
            pieces.insert(1, Piece("› ", "key"))
            if place:
                used = sum(cell_len(p.text) for p in line.pieces) + cell_len(place)
                pieces += [Piece(" " * (room - used)), Piece(place, "key")]
        made.append(Line(tuple(pieces), MARGIN - 1, line.joint))
    made += [
        Line((_MARGIN, Piece("⊕ ", "info"), muted(fit(name, room - 2).rstrip())), MARGIN - 1)
        for name in exchange.attached
    ]
    return made


def _end(exchange: Exchange, room: int, live: tuple[Piece, ...] = ()) -> list[Line]:
    """The lines under an answer: its state, its figures, what was recalled, what went wrong."""
    if exchange.status in WAITING and live:
        return [Line(live, len("".join(p.text for p in live)))]
    word, tone = ENDS[exchange.status]
    if exchange.status == "needs":
        said = f"{word}: #{exchange.approval_id} waits for you, F4 shows its card"
        return [Line((Piece(part, tone),)) for part in wrap(said, room)]
    if exchange.status in {"failed", "interrupted"}:
        said = f"{word}: {exchange.note}" if exchange.note else word
        return [
            *(Line((Piece(part, tone),)) for part in wrap(said, room)),
            Line((Piece("  Ctrl+R", "key"), muted(" asks again"))),
        ]
    told = f"! {exchange.lacking}" if exchange.lacking else ""
    lines = [Line((Piece(part, "warn"),)) for part in wrap(told, room)] if told else []
    return [*lines, Line(tuple(_facts(exchange, word, tone, room)))]


def _facts(exchange: Exchange, word: str, tone: Tone, room: int) -> list[Piece]:
    """State and figures on one line; the least important go first where room is short."""
    facts = [exchange.note] if exchange.note and not exchange.lacking else []
    facts += exchange.took.words() if exchange.took else []
    if exchange.took and exchange.took.cut:
        facts.insert(0, "cut at the bound on new tokens")
    if exchange.recalled:
        facts.append(f"{plural(len(exchange.recalled), 'memory', 'memories')} recalled")
    if exchange.model and not exchange.simulated:
        facts.append(exchange.model)
    pieces = [Piece(word, tone)]
    if exchange.simulated:
        pieces.append(Piece(" SCRIPTED – no model", "warn"))
    used = sum(cell_len(p.text) for p in pieces)
    said = ""
    for fact in facts:
        more = f"{' · ' if said or len(pieces) > 1 or len(word) > 1 else ' '}{clean(fact)}"
        if used + cell_len(said + more) > room:
            break
        said += more
    return [*pieces, muted(said)] if said else pieces
