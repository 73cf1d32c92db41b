"""Rows on their way into the catalogue: in order, together where they wait, never lost silently."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.media.looking import MOST_ROWS, Write, Writes


class Ledger:
    """What was written, transaction by transaction; each waits until it is let go."""

    def __init__(self) -> None:
        self.written: list[list[Any]] = []
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def put(self, rows: list[Any]) -> None:
        self.written.append(rows)
        await self.go.wait()
        if self.error is not None:
            raise self.error

    def write(self, kind: str, *rows: Any) -> Write:
        return Write(kind, [*rows], self.put)


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_is_alone_is_written_at_once() -> None:
    ledger, writes = Ledger(), Writes()
    await writes.put(ledger.write("added", 1))
    await _turns()
    assert ledger.written == [[1]]
    ledger.go.set()
    await writes.finish()


async def test_what_comes_while_another_is_written_goes_together_and_in_order() -> None:
    ledger, writes = Ledger(), Writes()
    await writes.put(ledger.write("added", 1))
    await _turns()
    for row in (2, 3):
        await writes.put(ledger.write("added", row))
    last = asyncio.create_task(writes.put(ledger.write("gone", 4)))
    await _turns()
    assert ledger.written == [[1]]
    assert not last.done(), "two wait: who brings more waits too"
    ledger.go.set()
    await last
    await writes.finish()
    assert ledger.written == [[1], [2, 3], [4]]


async def test_no_transaction_takes_more_than_the_most() -> None:
    ledger, writes = Ledger(), Writes()
    await writes.put(ledger.write("added", 0))
    await _turns()
    await writes.put(Write("added", [1] * MOST_ROWS, ledger.put))
    more = asyncio.create_task(writes.put(ledger.write("added", 2)))
    ledger.go.set()
    await more
    await writes.finish()
    assert [len(rows) for rows in ledger.written] == [1, MOST_ROWS, 1]


async def test_what_fails_is_raised_by_the_next_and_at_the_end() -> None:
    ledger, writes = Ledger(), Writes()
    ledger.error = RuntimeError("the disk is full")
    await writes.put(ledger.write("added", 1))
    await writes.put(ledger.write("gone", 2))
    more = asyncio.create_task(writes.put(ledger.write("added", 3)))
    ledger.go.set()
    with pytest.raises(RuntimeError, match="full"):
        await more
    with pytest.raises(RuntimeError, match="full"):
        await writes.finish()
    await writes.abandon()
    assert ledger.written == [[1]], "nothing is written after what failed"
