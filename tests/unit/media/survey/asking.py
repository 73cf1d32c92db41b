"""Asking the process that looks into files, without a catalogue."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from engine.media.survey.process import Bounds, Examiner, Target
from engine.media.walk import Identity

BUSY = Bounds(processor_s=1)
"""A parser is given up after a second of work."""
QUICK = Bounds(processor_s=1, file_s=3.0)
"""And after three of silence."""


def targets(folder: Path) -> list[Target]:
    """All its files, as a catalogue would know them, by name."""
    found: list[Target] = []
    for number, file in enumerate(sorted(folder.iterdir()), 1):
        found.append((number, os.fsencode(file.name), list(Identity.of(file.lstat())[:5])))
    return found


@asynccontextmanager
async def examiner(bounds: Bounds | None = None) -> AsyncIterator[Examiner]:
    asked = Examiner(bounds or Bounds())
    try:
        yield asked
    finally:
        await asked.close()


async def rows(asked: Examiner, folder: Path, wanted: list[Target] | None = None) -> dict[str, Any]:
    """What is told of each file, by name."""
    wanted = targets(folder) if wanted is None else wanted
    names = {id_: os.fsdecode(path) for id_, path, _identity in wanted}
    found: dict[str, Any] = {}
    async for told in asked.examine(os.fsencode(folder), wanted):
        for row in told:
            assert names[row["id"]] not in found
            found[names[row["id"]]] = row
    assert set(found) == set(names.values())
    return found


async def traits(asked: Examiner, folder: Path) -> dict[str, Any]:
    return {name: row["trait"] for name, row in (await rows(asked, folder)).items()}
