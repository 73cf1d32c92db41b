"""A truth that is written by hand, and the work of the index over it, in this process."""

from __future__ import annotations

import base64
import hashlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from engine.recall.index.words import tokens
from engine.recall.index.work import Work
from engine.store import schema

DIMENSIONS = 64
MODEL = "made up"


def vector(text: str, dimensions: int = DIMENSIONS) -> np.ndarray:
    """Texts that share words have near vectors."""
    found = np.zeros(dimensions, np.float32)
    for token in tokens(text):
        seed = int.from_bytes(hashlib.blake2b(token.encode(), digest_size=8).digest(), "big")
        found += np.random.default_rng(seed).standard_normal(dimensions).astype(np.float32)
    length = float(np.linalg.norm(found))
    return found / length if length else found


def packed(vectors: Sequence[np.ndarray]) -> str:
    return base64.b64encode(np.stack(vectors).astype(np.float32).tobytes()).decode()


class IndexHouse:
    """``folder`` holds ``arcanum.db`` (the truth) and ``recall`` (the index)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "arcanum.db"
        schema.prepare(self.path, "state")
        self.db = sqlite3.connect(self.path, isolation_level=None)
        self.db.execute("PRAGMA foreign_keys = ON")
        self.told: list[dict[str, Any]] = []

    # --- the truth ------------------------------------------------------------------------------

    def space(self, name: str) -> int:
        self.db.execute(
            "INSERT OR IGNORE INTO namespace (name, created_at) VALUES (?, 'now')", (name,)
        )
        found = self.db.execute("SELECT id FROM namespace WHERE name = ?", (name,)).fetchone()
        return int(found[0])

    def note(self, text: str, namespace: str = "a", at: float | None = None, **more: Any) -> int:
        when = datetime.fromtimestamp(time.time() if at is None else at, UTC).isoformat()
        row = {"kind": "note", "source": "note", "speaker": "", "pinned": 0, "ref": ""} | more
        return int(
            self.db.execute(
                "INSERT INTO memory (namespace_id, at, added_at, text, kind, source, speaker,"
                " pinned, ref) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self.space(namespace),
                    when,
                    when,
                    text,
                    row["kind"],
                    row["source"],
                    row["speaker"],
                    row["pinned"],
                    row["ref"],
                ),
            ).lastrowid
            or 0
        )

    def change(self, number: int, **values: Any) -> None:
        marks = ", ".join(f"{name} = ?" for name in values)
        self.db.execute(f"UPDATE memory SET {marks} WHERE id = ?", (*values.values(), number))

    def forget(self, number: int) -> None:
        self.db.execute("DELETE FROM memory WHERE id = ?", (number,))

    @property
    def rev(self) -> int:
        return int(self.db.execute("SELECT rev FROM memory_clock").fetchone()[0])

    # --- the index ------------------------------------------------------------------------------

    @property
    def opening(self) -> dict[str, Any]:
        return {
            "id": 0,
            "do": "open",
            "truth": str(self.path),
            "archives": str(self.folder / "archives"),
            "folder": str(self.folder / "recall"),
            "identity": "this one",
            "budget": 1 << 30,
        }

    @contextmanager
    def work(self, *, model: bool = True) -> Iterator[Work]:
        work = Work(self.opening, self.told.append)
        try:
            if model:
                work.model({"model": MODEL, "dimensions": DIMENSIONS})
            yield work
        finally:
            work.close()

    def settle(self, work: Work) -> None:
        """Until everything is in, with its vector."""
        while work.go_on():
            pass
        while rows := work.texts({"most": 64})["rows"]:
            found = [vector(text) for _, text in rows]
            ids = [number for number, _ in rows]
            work.vectors({"model": work._model, "ids": ids, "data": packed(found)})
        work.go_on()

    def search(self, work: Work, query: str, namespace: str = "a", **more: Any) -> list[int]:
        """The numbers of what is found, best first."""
        return [hit[0] for hit in self.found(work, query, namespace, **more)["hits"]]

    def found(self, work: Work, query: str, namespace: str = "a", **more: Any) -> dict[str, Any]:
        asked = {
            "id": 1,
            "do": "search",
            "query": query,
            "space": self.space(namespace),
            "limit": 25,
            "now": time.time(),
            "vector": packed([vector(query)]),
            "model": MODEL,
            "since": None,
            "until": None,
            "speaker": "",
            "kind": "",
            "typing": False,
            "rev": self.rev,
        }
        return work.search(asked | more)

    def close(self) -> None:
        self.db.close()


@contextmanager
def index_house(folder: Path) -> Iterator[IndexHouse]:
    folder.mkdir(parents=True, exist_ok=True)
    with closing(IndexHouse(folder)) as house:
        yield house
