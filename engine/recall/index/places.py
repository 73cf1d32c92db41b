"""Which part of the vector index has which memory, and since which change: two tables of the
derived database, written in the same transaction as the vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.recall.index.shelf import Shelf, key_of, memory_of, span


class Places:
    """``change``: the number of the latest change to any part."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.change = int(shelf.get("change") or 0)
        self._numbers: dict[int, list[int]] = {}

    # --- memories -------------------------------------------------------------------------------

    def put(self, space: int, number: int, ids: Sequence[int]) -> None:
        """These stand in this part from the current change on."""
        if number not in self.numbers(space):
            self._numbers[space].append(number)
        self._shelf.db.executemany(
            "INSERT OR REPLACE INTO placed VALUES (?, ?, ?)",
            [(key_of(space, memory), number, self.change) for memory in ids],
        )

    def drop(self, key: int) -> None:
        """It stands nowhere."""
        self._shelf.db.execute("DELETE FROM placed WHERE key = ?", (key,))

    def of(self, keys: Iterable[int]) -> dict[int, int]:
        """The part of each that stands in one, by key."""
        numbers = ",".join(map(str, keys))
        return dict(
            self._shelf.db.execute(
                f"SELECT key, part FROM placed WHERE key IN ({numbers})"  # noqa: S608 - numbers
            )
        )

    def members(self, space: int, number: int) -> dict[int, int]:
        """The memories of a part, and the change that put each there."""
        rows = self._shelf.db.execute(
            "SELECT key, change FROM placed WHERE part = ? AND key BETWEEN ? AND ?",
            (number, *span(space)),
        )
        return {memory_of(key): change for key, change in rows}

    # --- parts ----------------------------------------------------------------------------------

    def numbers(self, space: int) -> list[int]:
        """The parts of a space, in order."""
        if space not in self._numbers:
            rows = self._shelf.db.execute(
                "SELECT number FROM part WHERE space = ? ORDER BY number", (space,)
            )
            self._numbers[space] = [row[0] for row in rows]
        return self._numbers[space]

    def noted(self, space: int, number: int) -> tuple[int, int] | None:
        """How many are alive in a part, and its last change; None where there is no such part."""
        found: tuple[int, int] | None = self._shelf.db.execute(
            "SELECT alive, change FROM part WHERE space = ? AND number = ?", (space, number)
        ).fetchone()
        return found

    def alive(self, space: int, number: int) -> int:
        return (self.noted(space, number) or (0, 0))[0]

    def note(self, space: int, number: int, alive: int, change: int) -> None:
        """What the part's file must say to be as it should be."""
        self._shelf.db.execute(
            "INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?)", (space, number, alive, change)
        )
        self._shelf.put("change", self.change)

    def clean(self) -> None:
        """Parts that have nothing are none."""
        self._shelf.db.execute("DELETE FROM part WHERE alive = 0")
        self._numbers.clear()
