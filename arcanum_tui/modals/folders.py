"""Completes the path of a folder while it is typed."""

from __future__ import annotations

import asyncio
import os

from textual.suggester import Suggester

LOOKED_AT = 2000
"""At most so many names of a folder are looked at."""


class FolderSuggester(Suggester):
    """Names on this machine; read in a thread, so that a slow disk does not hold up typing."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        return await asyncio.to_thread(complete, value)


def complete(value: str) -> str | None:
    """``value`` completed to the first folder that begins so; None where there is none."""
    head, slash, tail = value.rpartition("/")
    if not slash or not tail:
        return None
    names = []
    try:
        with os.scandir(os.path.expanduser(head) or "/") as entries:  # noqa: PTH111
            for _, entry in zip(range(LOOKED_AT), entries, strict=False):
                if entry.name.startswith(tail) and entry.name.isprintable() and entry.is_dir():
                    names.append(entry.name)
    except OSError:
        return None
    return f"{head}/{min(names)}/" if names else None
