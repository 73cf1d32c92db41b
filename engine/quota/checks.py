"""Looking at the disk for what moved since a plan was made."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from itertools import islice

from engine.contract.base import visible
from engine.quota.disk import Item, Obstacle, Root, Unreachable, explain

_BATCH = 1000


async def moved(
    root: bytes, items: Sequence[Item], dev: int | None = None, ino: int | None = None
) -> list[str]:
    """What differs from the plan, in words. ``dev`` and ``ino`` are the root's own identity."""
    try:
        opened = await asyncio.to_thread(Root, root)
    except Unreachable as error:
        return [error.message.rstrip(".")]
    found: list[str] = []
    with opened:
        if dev is not None and (opened.dev, opened.ino) != (dev, ino):
            shown = visible(os.fsdecode(root))
            return [f"{shown} is another folder than when the plan was made"]
        rest = iter(items)
        while batch := list(islice(rest, _BATCH)):
            found += await asyncio.to_thread(_look, opened, batch)
    return found


def _look(root: Root, items: Sequence[Item]) -> list[str]:
    found = []
    for item in items:
        try:
            problem = item.identity.problem(root.look(item.path))
        except Obstacle as obstacle:
            problem = str(obstacle)
        except OSError as error:
            problem = explain(error)
        if problem:
            found.append(f"{item.display} {problem}")
    return found
