"""When keys came: what tells an answer from a paste, from type-ahead and from a slip. Pure.

All times are on the clock of ``time.monotonic``, as Textual stamps its events where they are read
from the terminal: a busy screen does not make them look later than they were.
"""

from __future__ import annotations

from dataclasses import dataclass

SETTLED_S = 0.15
"""A card must have stood on the screen, unchanged, for so long before a key can answer it."""

ALONE_S = 0.06
"""No other key may come so shortly before or after an answer."""

COOL_S = 0.5
"""After a paste, or keys as close together as only a paste's, none is an answer for so long."""

EARLY = "That key came before the card was painted: read it, then press the key again."
CROWD = "Pasted keys and typed-ahead keys are no answer: press the key alone."


@dataclass(slots=True)
class KeyTimes:
    """The keys of one terminal. ``current`` is the time of the key that is being acted on."""

    current: float = float("-inf")
    last: float = float("-inf")
    _cool_until: float = float("-inf")

    def note(self, at: float) -> None:
        """A key came."""
        if at - self.last < ALONE_S:
            self._cool_until = at + COOL_S
        self.last = max(self.last, at)

    def note_paste(self, at: float) -> None:
        """A bracketed paste came."""
        self._cool_until = at + COOL_S

    def alone(self, at: float) -> bool:
        """Whether the key of that time stands alone, as far as is known by now."""
        return at >= self._cool_until and self.last <= at

    def objection(self, at: float, painted_at: float | None) -> str:
        """Why the key of that time is no answer to a card painted at ``painted_at``; "" if it is.

        Ask once more ``ALONE_S`` later: what follows a key tells, too.
        """
        if painted_at is None or at < painted_at + SETTLED_S:
            return EARLY
        return "" if self.alone(at) else CROWD
