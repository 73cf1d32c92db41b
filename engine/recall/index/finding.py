"""One search: candidates by words and by meaning, then one score from exact parts.

    score = lexical + dense · cosine + neighbours + time + entities

``lexical`` is BM25 in units of one unique word (``lexicon``). ``neighbours`` are shares of what the
memories right before and after it score, since an answer stands behind its question, and of the
best of the same sitting (``pool``). ``entities``: who is named in the query is asked about; what
asks tells nothing. What each part weighs stands in ``weights``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from engine.recall.index import lexicon, moments, narrow, pool
from engine.recall.index.columns import Columns, among
from engine.recall.index.harm import RefusedError
from engine.recall.index.lexicon import Lexicon, Space, Term
from engine.recall.index.middle import Middle, Middles
from engine.recall.index.moments import Event, Window
from engine.recall.index.pool import Pool
from engine.recall.index.shelf import SHARED, Shelf, key_of
from engine.recall.index.vectors import Vectors, normal
from engine.recall.index.weights import SHIPPED, Weights
from engine.recall.index.words import asked, split, stem

SOON_S = 7 * 86_400.0
"""So shortly after the time that is asked for it is still told of."""

POOL = 800
"""A space of no more memories is scored whole."""
_BY_WORDS, NEAREST = 400, 150
"""Of a larger one these are scored exactly: so many by their words, so many by their meaning, and
who stands beside the best of them."""
_SEEDS = 100
_MOST = 2
"""A filter that leaves half of all, or more, mostly leaves enough of what is nearest of all."""
_BEARS = 0.3
"""The cosine from which on a memory bears on a query by its meaning alone; or what its neighbours
give it."""


@dataclass(frozen=True, slots=True)
class Query:
    """``space`` None: only what is shared. Times in seconds since 1970; ``vector`` None: words
    alone. ``typing``: the last word may not be whole yet."""

    text: str
    space: int | None
    limit: int
    now: float
    vector: np.ndarray | None = None
    since: float | None = None
    until: float | None = None
    speaker: str = ""
    kind: str = ""
    typing: bool = False
    words: str = ""
    """What of the text is looked for by its words, where that is not all of it."""

    @property
    def filtered(self) -> bool:
        return any((self.since is not None, self.until is not None, self.speaker, self.kind))


Hit = tuple[int, float, float, float, float, float]
"""Memory, lexical, dense, neighbours, time, entities."""


@dataclass(slots=True)
class Found:
    """Best first. ``window``: the time that the query was understood to ask for."""

    hits: list[Hit] = field(default_factory=list)
    window: Window | None = None


class Finder:
    """Holds what of the spaces that were searched is needed again (``columns``), and who holds the
    words that were asked for last."""

    def __init__(self, shelf: Shelf, weights: Weights = SHIPPED) -> None:
        self._shelf, self._weights = shelf, weights
        self._lexicon = Lexicon(shelf, weights.rarity)
        self._columns = Columns(shelf)
        self._middles = Middles()

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self._lexicon.size + self._columns.size + self._middles.size

    def _catch_up(self) -> None:
        added, self._shelf.added = self._shelf.added, []
        taken, self._shelf.taken = self._shelf.taken, []
        if added or taken:
            self._lexicon.forget()
            self._columns.follow(added, taken)
            self._middles.follow([*added, *taken])

    # --- one search -----------------------------------------------------------------------------

    def search(self, query: Query, vectors: Vectors | None) -> Found:
        self._catch_up()
        when = moments.asked_for(query.text, query.now)
        if isinstance(when, Event):
            event, when = when, self._around(query, when)
            if when is not None:  # What is asked for is not the event itself.
                query = replace(query, words=query.text.lower().replace(event.words, " "))
        best: dict[int, tuple[float, Hit]] = {}
        for found in self._scored_spaces(query, vectors):
            for score, hit in _weighed(found, query, when, self._weights):
                if hit[0] not in best or score > best[hit[0]][0]:
                    best[hit[0]] = (score, hit)
        order = sorted(best.values(), key=lambda one: (-one[0], -one[1][0]))
        return Found([hit for _, hit in order[: query.limit]], when)

    def _scored_spaces(self, query: Query, vectors: Vectors | None) -> list[Pool]:
        spaces = [SHARED] if query.space is None else [query.space, SHARED]
        found = (self._scored(space, query, vectors) for space in spaces)
        return [one for one in found if one is not None and len(one)]

    def _around(self, query: Query, event: Event) -> Window | None:
        """The time of what an event's words tell of: it is searched for by itself."""
        best: tuple[float, float] | None = None
        for found in self._scored_spaces(Query(event.words, query.space, 1, query.now), None):
            telling = np.where(found.asks == pool.TELLS, found.lexical, 0.0)
            at = int(np.argmax(telling))
            if telling[at] > 0 and (best is None or telling[at] > best[0]):
                best = (float(telling[at]), float(found.at[at]))
        if best is None:
            return None
        return Window(None, best[1]) if event.before else Window(best[1], None)

    def _scored(self, space: int, query: Query, vectors: Vectors | None) -> Pool | None:
        """The pool of one space, with everything but time and entities."""
        counted = lexicon.space_of(self._shelf, space)
        if counted is None:
            return None
        keys = self._columns.keys(space)
        allowed = self._allowed(space, query) if query.filtered else None
        if allowed is not None and len(allowed) == len(keys):
            allowed = None
        tokens = asked(query.words or query.text)
        near = self._begin(space, query, allowed, vectors)
        try:  # While other threads look for what is near in meaning.
            terms = self._lexicon.terms(counted, tokens, _reach(keys, allowed), typing=query.typing)
            worded = self._worded(keys, terms, allowed)
            found = self._pool(worded, terms, counted, query, vectors)
        finally:
            close = near()
        others = np.setdiff1d(close, worded, assume_unique=True)
        found = pool.merged(found, self._pool(others, terms, counted, query, vectors))
        if len(found) < len(keys):
            best = np.argsort(-found.own)[:_SEEDS]
            around = np.setdiff1d(_around(keys, found.keys[best], self._weights), found.keys)
            more = self._pool(around, terms, counted, query, vectors)
            found = pool.merged(found, more)
        if not len(found):
            return None
        found.share(keys, self._weights)
        return found if allowed is None else found.only(among(found.keys, allowed))

    def _worded(
        self, keys: np.ndarray, terms: list[Term], allowed: np.ndarray | None
    ) -> np.ndarray:
        """The keys of those that say it in the same words; all where they are few."""
        some = keys if allowed is None else allowed
        if len(some) <= POOL:
            return some
        if allowed is not None:
            for term in terms:
                term.keys = term.keys[among(term.keys, allowed)]
        return lexicon.candidates(terms, _BY_WORDS)

    def _begin(
        self, space: int, query: Query, allowed: np.ndarray | None, vectors: Vectors | None
    ) -> Callable[[], np.ndarray]:
        """Begins to look for what is near in meaning; the keys of that, in order, when called."""
        some = self._columns.keys(space) if allowed is None else allowed
        if query.vector is None or vectors is None or len(some) <= POOL:
            return lambda: np.empty(0, np.int64)
        first, vector = key_of(space, 0), query.vector
        if allowed is not None and _MOST * len(allowed) < len(self._columns.keys(space)):
            narrowed = narrow.begin(vectors, space, vector, allowed - first, NEAREST)
            return lambda: np.sort(narrowed()) + first
        begun = vectors.begin(space, vector, NEAREST if allowed is None else 4 * NEAREST)

        def keys() -> np.ndarray:
            found = np.sort(np.asarray([memory for memory, _ in begun()], np.int64)) + first
            if allowed is None:
                return found
            found = found[among(found, allowed)]
            if len(found) >= NEAREST:
                return found
            return np.sort(narrow.begin(vectors, space, vector, allowed - first, NEAREST)()) + first

        return keys

    def _allowed(self, space: int, query: Query) -> np.ndarray:
        """The keys that a filter leaves, in order."""
        columns = self._columns
        keys = columns.keys(space)
        wanted = np.ones(len(keys), np.bool_)
        if query.since is not None:
            wanted &= columns.times(space) >= query.since
        if query.until is not None:
            wanted &= columns.times(space) < query.until
        if query.speaker:
            wanted &= columns.having(space, "speaker", query.speaker)
        if query.kind:
            wanted &= columns.having(space, "kind", query.kind)
        return np.asarray(keys[wanted])

    def _pool(
        self,
        keys: np.ndarray,
        terms: list[Term],
        space: Space,
        query: Query,
        vectors: Vectors | None,
    ) -> Pool:
        rows = self._shelf.entries(keys.tolist())
        columns = zip(*rows, strict=True) if rows else [()] * 8
        numbers, at, words, asks, speakers, sources, texts, kinds = columns
        found = Pool(
            np.asarray(numbers, np.int64),
            np.asarray(at, np.float64),
            _asking(asks, kinds),
            list(speakers),
            list(sources),
            lexicon.scores(terms, texts, words, space.average),
            np.zeros(len(rows)),
        )
        if query.vector is not None and vectors is not None and len(rows):
            middle = self._middles.of(space.id, self._columns.keys(space.id), vectors)
            if middle is not None:
                close = _cosines(found.keys & 0xFFFF_FFFF, query.vector, vectors, middle)
                found.dense = self._weights.dense * close
        return found


def _asking(asks: Sequence[int], kinds: Sequence[str]) -> np.ndarray:
    found = np.asarray(asks, np.int64)
    for row in np.flatnonzero(found).tolist():
        found[row] = pool.ASKED_HERE if kinds[row] == "turn" else pool.ASKS
    return found


def _cosines(ids: np.ndarray, vector: np.ndarray, vectors: Vectors, middle: Middle) -> np.ndarray:
    """What has no vector yet is taken to be as near as the middle of the rest."""
    known, found = vectors.of(ids.tolist())
    if not len(known):
        return np.zeros(len(ids))
    close = middle.cosines(found, vector)
    result = np.full(len(ids), float(np.median(close)))
    # Both are in the order of the numbers.
    result[np.searchsorted(ids, known)] = close
    return result


def _weighed(
    found: Pool, query: Query, when: Window | None, weights: Weights
) -> list[tuple[float, Hit]]:
    """Those that bear on the query, with their scores, at most so many as are asked for."""
    words = {stem(word) for word in split(query.text)}
    named = {
        name for name in set(found.speakers) - {""} if words & {stem(word) for word in split(name)}
    }
    entities = 0.0 - np.asarray([0.0, weights.asks, weights.asked_here])[found.asks]
    if len(named) == 1:
        entities += weights.named * np.asarray([speaker in named for speaker in found.speakers])
    time = np.zeros(len(found)) if when is None else _in_time(when, found.at, weights)
    score = found.own + found.neighbours + time + entities
    enough = weights.dense * _BEARS
    bears = (found.lexical > 0) | (found.dense >= enough) | (found.neighbours >= enough)
    order = np.lexsort((-found.keys, -score))
    order = order[bears[order]][: query.limit]
    columns = (found.lexical, found.dense, found.neighbours, time, entities)
    parts = np.stack([column[order] for column in columns], axis=1).tolist()
    ids = (found.keys[order] & 0xFFFF_FFFF).tolist()
    return [
        (total, (memory, *row))
        for total, memory, row in zip(score[order].tolist(), ids, parts, strict=True)
    ]


def _in_time(when: Window, at: np.ndarray, weights: Weights) -> np.ndarray:
    since = float("-inf") if when.since is None else when.since
    until = float("inf") if when.until is None else when.until
    found = np.where((at >= since) & (at < until), weights.in_time, 0.0)
    if when.since is None or when.until is None:
        return found
    return np.where((at >= until) & (at < until + SOON_S), weights.soon_after, found)


def _reach(keys: np.ndarray, allowed: np.ndarray | None) -> np.ndarray:
    """The keys from the first that is allowed to the last."""
    if allowed is None or not len(allowed):
        return keys
    first, last = np.searchsorted(keys, allowed[[0, -1]])
    return keys[first : last + 1]


def _around(keys: np.ndarray, seeds: np.ndarray, weights: Weights) -> np.ndarray:
    """The keys right before and after these: those that they have of, and that have of them."""
    reach = max(len(weights.before), len(weights.after))
    steps = np.asarray([step for step in range(-reach, reach + 1) if step])
    places = np.unique((np.searchsorted(keys, seeds)[:, None] + steps[None, :]).ravel())
    return keys[places[(places >= 0) & (places < len(keys))]]


def query_vector(data: bytes, dimensions: int) -> np.ndarray | None:
    """A query's vector of unit length; None for what is no vector of this index."""
    if len(data) != 4 * dimensions:
        return None
    found = np.frombuffer(data, np.float32)
    if not np.isfinite(found).all():
        return None
    return np.asarray(normal(found[None, :])[0])


def vectors_of(data: bytes, count: int, dimensions: int) -> np.ndarray:
    """So many vectors for memories. Raises RefusedError for what is none of this index."""
    if len(data) == 4 * count * dimensions:
        found = np.frombuffer(data, np.float32).reshape(count, dimensions)
        if np.isfinite(found).all():
            return found
    raise RefusedError("a model made what are no vectors of this index")
