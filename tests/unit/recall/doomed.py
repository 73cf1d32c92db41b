"""A process that archives, restores or forgets, and dies on the way: by itself at a named point, or
killed from outside at any moment. Run as ``python -m tests.unit.recall.doomed``."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.contract import approvals
from engine.home import locate
from engine.recall import archive, archived, copies, forgetting, vault
from engine.store import Database, Transaction
from tests.unit.recall.life import Life, NotingIndex, opened

_OWNERS: dict[str, Any] = {
    "os": os,
    "Path": Path,
    "archived": archived,
    "archive": archive,
    "copies": copies,
    "forgetting": forgetting,
    "vault": vault,
    "Vault": vault.Vault,
    "Database": Database,
    "Transaction": Transaction,
    "Index": NotingIndex,
}


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


async def main(act: str, point: str) -> None:
    setattr(archive, "MOST", 4)  # noqa: B010 - many files; it is imported there
    async with opened(locate()) as life:
        if point != "-":
            die(point)
        sys.stdout.write("go\n")
        sys.stdout.flush()
        await _do(life, act)


async def _do(life: Life, act: str) -> None:
    if act == "archive":
        await life.archive(days=0)
    elif act == "restore":
        await life.restore(everything=True)
    else:
        found = await life.do(approvals.LIST, approvals.ListApprovals(state="open"))
        number = found.approvals[0].id
        count = (await life.shown(number)).card.confirm_count
        assert count is not None
        await life.approve(number, count)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
