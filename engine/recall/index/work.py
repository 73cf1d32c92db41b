"""The work of the index's process: the commands that it answers, and what it does between them."""

from __future__ import annotations

import base64
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.recall.index import changing, harm
from engine.recall.index.finding import Finder, Query, query_vector, vectors_of
from engine.recall.index.following import Follower
from engine.recall.index.shelf import SHARED, Shelf
from engine.recall.index.truth import GuardedTruth
from engine.worker import failures
from engine.worker.frames import Frame

try:
    from engine.recall.index.vectors import Vectors
except ImportError:  # Without hnswlib memories are found by their words alone.
    Vectors = None  # type: ignore[assignment,misc]

STEP = 256
"""Changes that are taken in at a time: so long a search waits at most."""
AT_ONCE = 2_048
"""Changes that a search takes in before it looks, so that it finds what was just said."""
_TELL_S = 0.25
_SAVE_QUIET_S, _SAVE_S = 5.0, 60.0
_EMBEDDED_CHARS = 2_000
_VERDICTS = 100
_MENDED, _MENDED_S = 3, 300.0
"""An index that is damaged more often within this time is damaged by what keeps it."""


class Work:
    """The index of one engine's memories. A method without a leading underscore that takes a frame
    is a command."""

    def __init__(self, command: Frame, tell: Callable[[Frame], None]) -> None:
        self._tell = tell
        self._truth = GuardedTruth(Path(command["truth"]), Path(command["archives"]))
        self._shelf = Shelf(Path(command["folder"]), command["identity"])
        self._budget: int = command["budget"]
        self._model, self._dimensions = "", 0
        self._told: tuple[Any, ...] = ()
        self._told_at = self._saved_at = self._moved_at = 0.0
        self._mended: deque[float] = deque(maxlen=_MENDED)
        self._caught_up = False
        """Whether a search took changes in, of which nothing was told yet."""
        if self._shelf.damage:
            self._tell({"k": "damaged", "what": self._shelf.damage})
        try:
            self._begin()
        except Exception as error:
            if not self.mend(error):
                raise

    def _begin(self) -> None:
        """Reads what the index knows of itself."""
        self._vectors: Vectors | None = None
        self._model, self._dimensions = "", 0
        self._follower = Follower(self._truth, self._shelf)
        if self._follower.lost():
            self._shelf.clear()
        self._finder = Finder(self._shelf)
        self._to_embed = changing.waiting(self._shelf)
        self._behind = self._truth.behind(self._shelf.rev)
        if model := self._shelf.get("model"):
            self._use(model, int(self._shelf.get("dimensions") or 0))

    # --- what fails -----------------------------------------------------------------------------

    def mend(self, error: Exception) -> bool:
        """Where the index is damaged it is thrown away and begun anew, and that is told; True then.

        An error that may be a defect of ours as well costs the index once: where it comes up there
        again, the index is not to blame.
        """
        clock, places = time.monotonic(), ""
        if len(self._mended) == _MENDED and clock - self._mended[0] < _MENDED_S:
            return False
        if not harm.is_damage(error):
            place, places = failures.told(error), self._mended_for()
            if harm.is_in_the_way(error) or place in places.splitlines():
                return False
            places = f"{places}\n{place}".strip()
        self._mended.append(clock)
        self.rebuild({})
        self._shelf.put("mended", places)
        self._tell({"k": "damaged", "what": self.told(error)})
        self.tell_again()
        return True

    def _mended_for(self) -> str:
        try:
            return self._shelf.get("mended") or ""
        except sqlite3.Error:
            return ""

    def told(self, error: Exception) -> str:
        """What happened, without a word of what is remembered; nothing is left half done."""
        with suppress(sqlite3.Error):
            if self._shelf.db.in_transaction:
                self._shelf.db.execute("ROLLBACK")
        return harm.told(error, self._shelf.path)

    # --- the model of the vectors ---------------------------------------------------------------

    def model(self, command: Frame) -> Frame:
        """From now on vectors are of this model: those of another are thrown away."""
        model, dimensions = str(command["model"]), int(command["dimensions"])
        if (model, dimensions) != (self._model, self._dimensions):
            db = self._shelf.db
            db.execute("BEGIN IMMEDIATE")
            changing.begin(self._shelf)
            self._shelf.put("model", model)
            self._shelf.put("dimensions", dimensions)
            db.execute("COMMIT")
            self._to_embed = changing.waiting(self._shelf)
            self._use(model, dimensions)
        return {"vectors": self._vectors is not None}

    def _use(self, model: str, dimensions: int) -> None:
        self._model, self._dimensions = model, dimensions
        if Vectors is not None:
            self._vectors = Vectors(self._shelf, model, dimensions, self._budget)
            self._vectors.clean()

    def texts(self, command: Frame) -> Frame:
        """The newest memories that wait for their vector."""
        rows: list[list[Any]] = []
        waiting = self._shelf.db.execute(
            "SELECT memory FROM unembedded ORDER BY memory DESC LIMIT ?", (command["most"],)
        ).fetchall()
        for (memory,) in waiting:
            told = self._truth.text(memory)
            if told is None or not told[1]:
                self._shelf.db.execute("DELETE FROM unembedded WHERE memory = ?", (memory,))
                continue
            speaker, text = told
            rows.append(
                [
                    memory,
                    f"{speaker}: {text}"[:_EMBEDDED_CHARS] if speaker else text[:_EMBEDDED_CHARS],
                ]
            )
        if len(rows) != len(waiting):
            self._to_embed = changing.waiting(self._shelf)
        return {"rows": rows}

    def vectors(self, command: Frame) -> Frame:
        """Takes in vectors for memories; those that are gone meanwhile are passed over."""
        if self._vectors is None or command["model"] != self._model:
            return {"taken": 0}
        ids: list[int] = command["ids"]
        found = vectors_of(base64.b64decode(command["data"]), len(ids), self._dimensions)
        rows, spaces = [], []
        for row, memory in enumerate(ids):
            if (place := self._shelf.place(memory)) is not None:
                rows.append(row)
                spaces.append((place[0], SHARED) if place[1] else (place[0],))
        db = self._shelf.db
        db.execute("BEGIN IMMEDIATE")
        try:
            if rows:
                self._vectors.put(spaces, [ids[row] for row in rows], found[rows])
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
        self._to_embed = max(0, self._to_embed - len(rows))
        self._moved_at = time.monotonic()
        return {"taken": len(rows)}

    # --- searching ------------------------------------------------------------------------------

    def search(self, command: Frame) -> Frame:
        self._catch_up(int(command["rev"]))
        vector = None
        if command["vector"] and self._vectors is not None and command["model"] == self._model:
            vector = query_vector(base64.b64decode(command["vector"]), self._dimensions)
        query = Query(
            text=command["query"],
            space=command["space"],
            limit=command["limit"],
            now=command["now"],
            vector=vector,
            since=command["since"],
            until=command["until"],
            speaker=command["speaker"],
            kind=command["kind"],
            typing=command["typing"],
        )
        found = self._finder.search(query, self._vectors)
        window = found.window and [found.window.since, found.window.until]
        return {
            "hits": found.hits,
            "window": window,
            "behind": max(0, int(command["rev"]) - self._shelf.rev),
            "dense": vector is not None,
            "to_embed": self._to_embed,
        }

    def _catch_up(self, rev: int) -> None:
        """So that what was said a moment ago is found; a long way is gone in the background."""
        if self._shelf.rev >= rev or self._truth.behind(self._shelf.rev) > AT_ONCE:
            return
        while self._shelf.rev < rev and self._follower.step(self._vectors, STEP):
            pass
        self._caught_up = True

    # --- the rest -------------------------------------------------------------------------------

    def stats(self, _command: Frame) -> Frame:
        size = sum(path.stat().st_size for path in self._shelf.folder.rglob("*") if path.is_file())
        return {
            "behind": self._truth.behind(self._shelf.rev),
            "to_embed": changing.waiting(self._shelf),
            "model": self._model,
            "dimensions": self._dimensions,
            "vectors": self._shelf.count("vector"),
            "bytes": size,
            "resident": (self._vectors.size if self._vectors else 0) + self._finder.size,
            "rss": _resident(),
            "dense": self._vectors is not None,
        }

    def forget(self, _command: Frame) -> Frame:
        """Follows the truth to its end; then no file holds anything of what is gone there."""
        while self._follower.step(self._vectors, STEP) or self._tidy():
            pass
        db = self._shelf.db
        # FTS5 keeps what was deleted until it merges, SQLite copies of what it moved.
        db.execute("INSERT INTO lexicon (lexicon) VALUES ('optimize')")
        if self._vectors is not None:
            self._vectors.save()
        db.execute("VACUUM")
        self._to_embed = changing.waiting(self._shelf)
        busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return {"problem": "its log is still in use" if busy else ""}

    def rebuild(self, _command: Frame) -> Frame:
        """Throws the index away and begins anew."""
        model, dimensions = self._model, self._dimensions
        self._shelf.clear()
        self._begin()
        if model:
            self.model({"model": model, "dimensions": dimensions})
        return {}

    def settled(self, command: Frame) -> Frame:
        """These verdicts were refused: they are not told again."""
        self._shelf.db.executemany(
            "DELETE FROM verdict WHERE older = ?", [(number,) for number in command["older"]]
        )
        return {}

    def save(self, _command: Frame) -> Frame:
        if self._vectors is not None:
            self._vectors.save()
        return {}

    # --- between commands -----------------------------------------------------------------------

    def go_on(self) -> bool:
        """One step of what is to be done by itself; True where there is more."""
        more, before = self._truth.rev > self._shelf.rev, self._shelf.rev
        if more or self._caught_up:
            more = more and self._follower.step(self._vectors, STEP)
            if self._shelf.rev != before or self._caught_up:
                self._caught_up = False
                self._moved_at = time.monotonic()
                self._to_embed = changing.waiting(self._shelf)
        more = more or self._tidy()
        self._behind = self._truth.behind(self._shelf.rev) if more else 0
        self._report()
        self._save_now_and_then(quiet=not more)
        return more

    def _tidy(self) -> bool:
        """A step of clearing away what another model has left."""
        swept = self._vectors is not None and self._vectors.sweep()
        return changing.step(self._shelf) or swept

    @property
    def lacks_parts(self) -> bool:
        """Whether a search went by signs where a graph could be had."""
        return self._vectors is not None and self._vectors.lacks_parts

    def load_part(self) -> None:
        if self._vectors is not None:
            self._vectors.load_one()

    def tell_again(self) -> None:
        """When it goes on, that is told, whatever was told before."""
        self._told = ()

    def _report(self) -> None:
        if self._vectors is not None and self._vectors.remade:
            self._to_embed = changing.waiting(self._shelf)  # A damaged vector waits for another.
        state = (self._behind, self._to_embed)
        clock = time.monotonic()
        if state != self._told and (clock - self._told_at >= _TELL_S or not any(state)):
            self._told, self._told_at = state, clock
            self._tell({"k": "moved", "behind": self._behind, "to_embed": self._to_embed})
        if self._behind == 0:
            verdicts = self._shelf.db.execute(
                "SELECT older, newer, how FROM verdict ORDER BY older LIMIT ?", (_VERDICTS,)
            ).fetchall()
            if verdicts:
                self._tell({"k": "verdicts", "rows": verdicts})
        if self._vectors is not None and self._vectors.remade:
            self._tell({"k": "remade", "parts": self._vectors.remade[:20]})
            self._vectors.remade.clear()

    def _save_now_and_then(self, *, quiet: bool) -> None:
        clock = time.monotonic()
        if self._vectors is None or not self._vectors.dirty:
            self._saved_at = clock
        elif (quiet and clock - self._moved_at > _SAVE_QUIET_S) or clock - self._saved_at > _SAVE_S:
            self._vectors.save()
            self._saved_at = clock

    @property
    def at_rest(self) -> bool:
        """Whether there is nothing to do, and nothing to write down."""
        return not self._to_embed and (self._vectors is None or not self._vectors.dirty)

    def close(self) -> None:
        with suppress(OSError, sqlite3.Error):  # Then parts are made anew from the database.
            self.save({})
        self._shelf.close()
        self._truth.close()


def _resident() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
