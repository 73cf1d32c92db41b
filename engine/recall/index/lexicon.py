"""Finding by words: which memories of a space hold the tokens of a query, and how telling they are.

FTS5 gives, for one token, the keys of a space in order; the space is a range of keys, so nothing of
another one is ever looked at. What is counted (how many hold a token, how long they are) is of that
space alone: what others remember changes no score here.

BM25 (Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009) with the
idf that is never negative, divided by the idf of a token that only one memory holds: a score of 1
is one such token, however many memories there are. A power of it makes several common words worth
less than one rare word.
"""

from __future__ import annotations

import math
import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.recall.index.shelf import Shelf

K1, B = 0.9, 0.6
FIRST = 2_048
"""Keys of a token that are read at first; more only where nothing rarer was asked for."""
MOST = 16_384
_ENOUGH = 256
_KEPT = 128
"""Answers that are kept, of 128 KiB at most."""
_LINE_BREAK = ord("\n")


@dataclass(slots=True)
class Term:
    """A token of the query in one space. ``keys``: who holds it, the newest first; all of them
    where ``whole``. ``held``: how many do, estimated where not."""

    token: str
    keys: np.ndarray
    whole: bool
    held: float
    idf: float = 0.0


@dataclass(frozen=True, slots=True)
class Space:
    """What is counted of a space."""

    id: int
    entries: int
    average: float

    @property
    def rarest(self) -> float:
        """The idf of what one memory alone holds."""
        return idf(1, self.entries)


def idf(held: float, entries: int) -> float:
    return math.log(1 + (entries - held + 0.5) / (held + 0.5))


def space_of(shelf: Shelf, number: int) -> Space | None:
    """None where nothing is in it."""
    row = shelf.db.execute("SELECT entries, words FROM space WHERE id = ?", (number,)).fetchone()
    if row is None or row[0] <= 0:
        return None
    return Space(number, row[0], max(1.0, row[1] / row[0]))


class Lexicon:
    """Who holds a token. What was read is kept until something changes: who types asks for the same
    words again with every letter."""

    def __init__(self, shelf: Shelf, rarity: float) -> None:
        self._shelf, self._rarity = shelf, rarity
        self._read: OrderedDict[tuple[str, int, int, int], np.ndarray] = OrderedDict()

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return sum(int(keys.nbytes) for keys in self._read.values())

    def forget(self) -> None:
        """Something changed."""
        self._read.clear()

    def terms(
        self, space: Space, tokens: list[str], keys: np.ndarray, *, typing: bool
    ) -> list[Term]:
        """``keys``: those of the space that are looked at, in order and without a gap. ``typing``:
        the last token may be the beginning of a word; where nobody holds it, it is taken for one.
        """
        found = []
        for number, token in enumerate(tokens):
            term = self._term(space, token, keys, FIRST)
            if not len(term.keys) and typing and number == len(tokens) - 1 and len(token) > 1:
                term = self._term(space, f"{token}*", keys, FIRST)
            found.append(term)
        known = sum(len(term.keys) for term in found if term.whole)
        if known < _ENOUGH:
            # Only common words were asked for: the rarer of them are read further.
            for term in sorted((t for t in found if not t.whole), key=lambda t: t.held)[:2]:
                found[found.index(term)] = self._term(space, term.token, keys, MOST)
        for term in found:
            term.idf = (idf(term.held, space.entries) / space.rarest) ** self._rarity
        return found

    def _term(self, space: Space, token: str, keys: np.ndarray, limit: int) -> Term:
        """``token`` may end with ``*``: whatever begins so."""
        if not len(keys):
            return Term(token, keys, True, 0.0)
        got = self._holders(token, int(keys[0]), int(keys[-1]), limit)
        whole = len(got) < limit
        # Of what was looked at as many hold it as of all.
        seen = len(keys) if whole else len(keys) - int(np.searchsorted(keys, got[-1]))
        return Term(token, got, whole, len(got) * max(1.0, space.entries / max(1, seen)))

    def _holders(self, token: str, low: int, high: int, limit: int) -> np.ndarray:
        asked = (token, low, high, limit)
        if asked in self._read:
            self._read.move_to_end(asked)
            return self._read[asked]
        query = f'"{token[:-1]}"*' if token.endswith("*") else f'"{token}"'
        try:
            # One text of numbers instead of thousands of rows: half the time.
            (text,) = self._shelf.db.execute(
                "SELECT group_concat(rowid - ?2) FROM (SELECT rowid FROM lexicon"
                " WHERE lexicon MATCH ?1 AND rowid BETWEEN ?2 AND ?3 ORDER BY rowid DESC LIMIT ?4)",
                (query, low, high, limit),
            ).fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            text = None  # No token for FTS5, whatever it is.
        got = (
            np.empty(0, np.int64) if text is None else np.fromstring(text, np.int64, sep=",") + low
        )
        self._read[asked] = got
        if len(self._read) > _KEPT:
            self._read.popitem(last=False)
        return got


def candidates(found: list[Term], most: int) -> np.ndarray:
    """The keys that hold the most telling tokens, at most so many; the newest of equals."""
    holding = [term for term in found if len(term.keys)]
    if not holding:
        return np.empty(0, np.int64)
    every = np.concatenate([term.keys for term in holding])
    worth = np.concatenate([np.full(len(term.keys), term.idf) for term in holding])
    keys, place = np.unique(every, return_inverse=True)
    sums = np.bincount(place, weights=worth)
    if len(keys) <= most:
        return keys
    return keys[np.lexsort((-keys, -sums))[:most]]


def scores(
    found: list[Term], texts: Sequence[str], words: Sequence[int], average: float
) -> np.ndarray:
    """BM25 of memories by their own texts (stems, and how many): exact, also for tokens that were
    not read to the end."""
    # All texts are one, and every token has two spaces around it that are its own: so a token, or
    # what begins so, is looked for once in all of them.
    whole = "\n".join([f" {text} " for text in texts]).replace(" ", "  ").encode()
    ends = np.flatnonzero(np.frombuffer(whole, np.uint8) == _LINE_BREAK)
    norm = K1 * (1 - B + B * np.asarray(words, np.float64) / average)
    result = np.zeros(len(texts))
    for term in found:
        begin = term.token.endswith("*")
        if places := _places(whole, f" {term.token[:-1]}" if begin else f" {term.token} "):
            held = np.bincount(np.searchsorted(ends, places), minlength=len(texts))
            result += term.idf * (K1 + 1) * held / (held + norm)
    return result


def _places(whole: bytes, token: str) -> list[int]:
    found, sought, at = [], token.encode(), -1
    while (at := whole.find(sought, at + 1)) >= 0:
        found.append(at)
    return found
