"""What each part of a memory's score weighs.

The numbers were chosen by cross-validation over conversations (``python -m bench.recall`` with
``--cross-validate``); docs/memory.md tells what each is worth.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weights:
    """In units of one word that a single memory holds.

    ``rarity``: the power of a word's idf. ``dense``: of the cosine. ``before`` and ``after``:
    shares of what the memories beside one score by themselves, nearest first; ``answers``: a
    further one of what was asked right before. ``sitting``: of the mean of the best of the same
    sitting. ``named``: what the one speaker whom a query names has said. ``asks``: what asks tells
    little; ``asked_here``: what its person asked of a model here tells nothing. ``in_time``: what
    was told within the time that is asked for; ``soon_after``: shortly after it.
    """

    rarity: float = 1.3
    dense: float = 1.7
    before: tuple[float, ...] = (0.4, 0.2)
    after: tuple[float, ...] = (0.2,)
    answers: float = 0.2
    sitting: float = 0.3
    named: float = 0.45
    asks: float = 0.25
    asked_here: float = 2.0
    in_time: float = 0.5
    soon_after: float = 0.25


SHIPPED = Weights()
