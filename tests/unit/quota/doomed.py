"""A process that prunes, undoes or purges, and dies on the way: by itself at a named point, or
killed from outside at any moment. Run as ``python -m tests.unit.quota.doomed``."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.quota import disk, moves, trash
from engine.quota.book import Book
from tests.unit.quota.house import House, opened

_OWNERS: dict[str, Any] = {"moves": moves, "disk": disk, "book": Book, "os": os}


def die(point: str) -> None:
    """``owner.name:count:before|after``: the process ends there, as if it were killed."""
    target, count, when = point.split(":")
    owner, name = target.split(".")
    original: Callable[..., Any] = getattr(_OWNERS[owner], name)
    left = int(count)

    def reached() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    def act(*args: Any, **kwargs: Any) -> Any:
        last = reached()
        if last and when == "before":
            os._exit(9)
        result = original(*args, **kwargs)
        if last:
            os._exit(9)
        return result

    async def act_async(*args: Any, **kwargs: Any) -> Any:
        last = reached()
        if last and when == "before":
            os._exit(9)
        result = await original(*args, **kwargs)
        if last:
            os._exit(9)
        return result

    replacement = act_async if inspect.iscoroutinefunction(original) else act
    setattr(_OWNERS[owner], name, replacement)


async def main(home: str, films: str, act: str, point: str) -> None:
    trash.CHUNK = 8  # Many chunks in few files.
    if point.startswith("os."):
        moves._exclusive = lambda: None  # type: ignore[assignment]  # Link, then unlink.
    async with opened(Path(home), films=Path(films)) as house:
        work = await _prepared(house, act)
        if point != "-":
            die(point)
        sys.stdout.write("go\n")
        sys.stdout.flush()
        await work()


async def _prepared(house: House, act: str) -> Callable[[], Any]:
    if act == "prune":
        number = await house.prune("films")
        return lambda: house.approve(number)
    plan = (await house.trash()).plans[0]
    if act == "undo":
        return lambda: house.undo(plan.plan_id)
    number = await house.purge(plan.plan_id)
    return lambda: house.approve(number, count=plan.files)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
