"""Following the truth: what changed in the engine's database since the index looked last.

Every change to a memory has a number (``rev``) in the truth, and every one that is forgotten leaves
its number there. The index remembers how far it came in the same transaction in which it takes a
change in: it may be killed at any moment and goes on from there, and nothing is taken in twice.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.recall.archived import read_archive
from engine.recall.index import repeats, statements
from engine.recall.index.shelf import SHARED, Entry, Shelf, key_of
from engine.recall.index.vectors import Vectors
from engine.recall.index.words import dated, tokens

_MOST_TOKENS = 4_000
_CLOCKS_DIFFER_S = 86_400.0
_PLAIN = frozenset({"", "chat", "note"})
"""Sources that tell nothing: those of what was said or noted here."""
_SEEN = frozenset({"live", "archived"})


@dataclass(frozen=True, slots=True)
class Changed:
    """A memory as the truth has it now."""

    id: int
    space: int
    kind: str
    state: str
    pinned: bool
    at: float
    speaker: str
    source: str
    text: str
    archive: int | None

    @property
    def spaces(self) -> tuple[int, ...]:
        return (self.space, SHARED) if self.pinned else (self.space,)

    def entries(self) -> list[Entry]:
        words = f"{self.speaker} {dated(self.at)} {self.text}"
        if self.source not in _PLAIN:
            words = f"{self.source} {words}"
        stems = tuple(tokens(words)[:_MOST_TOKENS])
        asks = self.text.rstrip().endswith("?")
        return [
            Entry(
                key_of(space, self.id), self.kind, self.at, asks, self.speaker, self.source, stems
            )
            for space in self.spaces
        ]


class Truth:
    """The engine's database, read alone."""

    def __init__(self, path: Path, archives: Path) -> None:
        self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)
        self._db.isolation_level = None
        self._db.execute("PRAGMA query_only = ON")
        self._archives = archives

    def close(self) -> None:
        self._db.close()

    @property
    def rev(self) -> int:
        """The number of its latest change."""
        return int(self._db.execute("SELECT rev FROM memory_clock").fetchone()[0])

    def behind(self, rev: int) -> int:
        """How many memories changed after ``rev``."""
        return int(
            self._db.execute(
                "SELECT (SELECT count(*) FROM memory WHERE rev > ?1)"
                " + (SELECT count(*) FROM forgotten WHERE rev > ?1)",
                (rev,),
            ).fetchone()[0]
        )

    def after(self, rev: int, most: int) -> tuple[list[Changed], list[int], int]:
        """What changed after ``rev``, what was forgotten, and up to which change that is all."""
        self._db.execute("BEGIN")
        try:
            upto = self.rev
            rows = self._db.execute(
                "SELECT id, namespace_id, kind, state, pinned, at, speaker, source, text,"
                " archive_id, rev FROM memory WHERE rev > ? ORDER BY rev LIMIT ?",
                (rev, most),
            ).fetchall()
            gone = self._db.execute(
                "SELECT memory_id, rev FROM forgotten WHERE rev > ? ORDER BY rev LIMIT ?",
                (rev, most),
            ).fetchall()
        finally:
            self._db.execute("COMMIT")
        for found in (rows, gone):
            if len(found) == most:
                upto = min(upto, found[-1][-1])
        changed = [_changed(row) for row in rows if row[-1] <= upto]
        return changed, [number for number, at in gone if at <= upto], upto

    def archived(self, changed: Sequence[Changed]) -> dict[int, str]:
        """The texts of those that are archived, by number."""
        wanted = {row.archive for row in changed if row.archive is not None}
        uids = {
            uid.hex(): number
            for uid, number in self._db.execute(
                "SELECT uid, id FROM memory WHERE id IN"  # noqa: S608 - numbers
                f" ({','.join(str(row.id) for row in changed)})"
            )
        }
        return {
            uids[record["uid"]]: record["text"]
            for number in wanted
            for record in self._records(number)
            if record.get("uid") in uids
        }

    def _records(self, archive: int | None) -> Iterator[dict[str, Any]]:
        for name, digest in self._db.execute(
            "SELECT name, digest FROM archive WHERE id = ?", (archive,)
        ).fetchall():
            try:
                yield from read_archive(self._archives / name, digest)
            except (OSError, ValueError):  # What the file held is not found until it is mended.
                continue

    def has_had(self, uid: str) -> bool:
        """Whether a memory with this identity is, or was, here: else it is not the same truth."""
        raw = bytes.fromhex(uid)
        return (
            self._db.execute(
                "SELECT 1 FROM memory WHERE uid = ?1 UNION SELECT 1 FROM forgotten WHERE uid = ?1",
                (raw,),
            ).fetchone()
            is not None
        )

    def uid(self, memory: int) -> str:
        """The identity of a memory that is here, else ""."""
        found = self._db.execute("SELECT uid FROM memory WHERE id = ?", (memory,)).fetchone()
        return "" if found is None else bytes(found[0]).hex()

    def text(self, memory: int) -> tuple[str, str] | None:
        """(speaker, text) of a memory; None where it is gone."""
        found = self._db.execute(
            "SELECT id, namespace_id, kind, state, pinned, at, speaker, source, text, archive_id"
            " FROM memory WHERE id = ?",
            (memory,),
        ).fetchone()
        if found is None:
            return None
        row = _changed((*found, 0))
        said = row.text or self.archived([row]).get(memory, "")
        return row.speaker, said


def _changed(row: tuple[Any, ...]) -> Changed:
    number, space, kind, state, pinned, at, speaker, source, text, archive, _rev = row
    return Changed(
        number, space, kind, state, bool(pinned), _seconds(at), speaker, source, text, archive
    )


def _believed(at: float) -> float:
    """A time that is still to come is a wrong one: it makes nothing the newest for good."""
    return at if at < time.time() + _CLOCKS_DIFFER_S else 0.0


def _seconds(at: str) -> float:
    try:
        return datetime.fromisoformat(at).timestamp()
    except (ValueError, OverflowError):
        return 0.0


class Follower:
    """Takes changes of the truth into the index."""

    def __init__(self, truth: Truth, shelf: Shelf) -> None:
        self._truth, self._shelf = truth, shelf

    def lost(self) -> bool:
        """Whether the index follows another history than the truth has: an older copy of the
        database was put back, say."""
        last = self._shelf.get("last")
        return self._shelf.rev > self._truth.rev or (
            bool(last) and not self._truth.has_had(str(last))
        )

    def step(self, vectors: Vectors | None, most: int) -> bool:
        """Takes in at most so many changes, in one transaction; True where there may be more."""
        rev = self._shelf.rev
        changed, gone, upto = self._truth.after(rev, most)
        if upto == rev:
            return False
        db = self._shelf.db
        db.execute("BEGIN IMMEDIATE")
        try:
            for number in gone:
                self._take_out(number, vectors)
            self._take_in(changed, vectors)
            self._shelf.put("rev", upto)
            if changed and (uid := self._truth.uid(changed[-1].id)):
                self._shelf.put("last", uid)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return len(changed) + len(gone) >= most

    # --- in -------------------------------------------------------------------------------------

    def _take_in(self, changed: Sequence[Changed], vectors: Vectors | None) -> None:
        lost = [
            row for row in changed
            if row.state == "archived" and not row.text and self._shelf.place(row.id) is None
        ]  # fmt: skip
        texts = self._truth.archived(lost) if lost else {}
        entries: list[Entry] = []
        for row in changed:
            if row.state not in _SEEN:
                self._take_out(row.id, vectors)
            elif row.text or row.id in texts:
                told = row if row.text else _with_text(row, texts[row.id])
                entries += self._renew(told, vectors)
            elif self._shelf.place(row.id) is not None:
                entries += self._move(row, vectors)
        self._shelf.put_entries(entries)

    def _renew(self, row: Changed, vectors: Vectors | None) -> list[Entry]:
        """The entries of a memory whose text is at hand."""
        place, entries, db = self._shelf.place(row.id), row.entries(), self._shelf.db
        same = False
        if place is not None:
            old = db.execute(
                "SELECT stems FROM entry WHERE key = ?", (key_of(place[0], row.id),)
            ).fetchone()
            same = old is not None and old[0] == " ".join(entries[0].stems)
            self._shelf.take_entries(_keys(row.id, place))
        if not same:
            self._unembed(row.id, place, vectors)
        elif vectors is not None and place is not None:
            self._stand(row, place, vectors)
        digest, slot = _said(row)
        db.execute(
            "INSERT OR REPLACE INTO place VALUES (?, ?, ?, ?, ?, ?)",
            (row.id, row.space, row.pinned, row.at, digest, slot),
        )
        if not same and row.state == "live":
            self._judge(row, digest, slot)
        return entries

    def _move(self, row: Changed, vectors: Vectors | None) -> list[Entry]:
        """An archived memory was pinned, or no longer: its words are those that stand here."""
        place = self._shelf.place(row.id)
        assert place is not None
        if place[1] == row.pinned:
            return []
        found = self._shelf.entries([key_of(place[0], row.id)])
        if vectors is not None:
            self._stand(row, place, vectors)
        self._shelf.db.execute("UPDATE place SET pinned = ? WHERE memory = ?", (row.pinned, row.id))
        shared = key_of(SHARED, row.id)
        if not row.pinned:
            self._shelf.take_entries([shared])
            return []
        _key, at, _words, asks, speaker, source, stems, _kind = found[0]
        return [Entry(shared, row.kind, at, bool(asks), speaker, source, tuple(stems.split(" ")))]

    def _stand(self, row: Changed, place: tuple[int, bool], vectors: Vectors) -> None:
        if row.pinned and not place[1]:
            vectors.stand(SHARED, row.id)
        elif place[1] and not row.pinned:
            vectors.drop([key_of(SHARED, row.id)])

    def _unembed(
        self, memory: int, place: tuple[int, bool] | None, vectors: Vectors | None
    ) -> None:
        db = self._shelf.db
        if place is not None:
            if vectors is not None:
                vectors.drop(_keys(memory, place), erase=True)
            db.execute("DELETE FROM vector WHERE memory = ?", (memory,))
        db.execute("INSERT OR IGNORE INTO unembedded VALUES (?)", (memory,))

    # --- out ------------------------------------------------------------------------------------

    def _take_out(self, memory: int, vectors: Vectors | None) -> None:
        place, db = self._shelf.place(memory), self._shelf.db
        if place is not None:
            self._shelf.take_entries(_keys(memory, place))
            if vectors is not None:
                vectors.drop(_keys(memory, place), erase=True)
        for table in ("place", "vector", "unembedded"):
            db.execute(f"DELETE FROM {table} WHERE memory = ?", (memory,))  # noqa: S608 - ours
        db.execute("DELETE FROM verdict WHERE older = ?1 OR newer = ?1", (memory,))

    # --- what takes whose place -----------------------------------------------------------------

    def _judge(self, row: Changed, digest: bytes | None, slot: str | None) -> None:
        """Finds what says the same, or what it contradicts, and notes which of them is to go."""
        if row.kind == "document":
            return
        db = self._shelf.db
        alike = db.execute(
            "SELECT memory FROM place WHERE space = ? AND digest = ? AND memory != ? LIMIT 8",
            (row.space, digest, row.id),
        ).fetchall()
        for (other,) in alike:
            self._note(row, other, "merged")
        stated = statements.statement(row.text) if slot is not None else None
        if stated is None:
            return
        for (other,) in db.execute(
            "SELECT memory FROM place WHERE space = ? AND slot = ? AND memory != ?"
            " ORDER BY memory DESC LIMIT 8",
            (row.space, slot, row.id),
        ).fetchall():
            told = self._truth.text(other)
            before = None if told is None else statements.statement(told[1])
            if before is None:
                continue
            newer, older = (stated, before) if self._is_newer(row, other) else (before, stated)
            if statements.contradicts(newer, older):
                self._note(row, other, "replaced")

    def _is_newer(self, row: Changed, other: int) -> bool:
        (at,) = self._shelf.db.execute("SELECT at FROM place WHERE memory = ?", (other,)).fetchone()
        return (_believed(row.at), row.id) >= (_believed(at), other)

    def _note(self, row: Changed, other: int, how: str) -> None:
        older, newer = (other, row.id) if self._is_newer(row, other) else (row.id, other)
        self._shelf.db.execute(
            "INSERT OR REPLACE INTO verdict VALUES (?, ?, ?)", (older, newer, how)
        )


def _keys(memory: int, place: tuple[int, bool]) -> list[int]:
    space, pinned = place
    return [key_of(space, memory), *([key_of(SHARED, memory)] if pinned else [])]


def _with_text(row: Changed, text: str) -> Changed:
    return Changed(
        row.id, row.space, row.kind, row.state, row.pinned, row.at, row.speaker, row.source, text,
        row.archive,
    )  # fmt: skip


def _said(row: Changed) -> tuple[bytes | None, str | None]:
    """What it says and what it gives a value, apart by who says it: a turn and a note without a
    speaker are both the person's own words."""
    if row.kind == "document":
        return None, None
    digest = repeats.same(row.text, row.at)
    stated = statements.statement(row.text)
    whose = f"{row.speaker}|"
    return (
        None if digest is None else digest + whose.encode(),
        None if stated is None else whose + stated.slot,
    )
