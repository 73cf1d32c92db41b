"""How the screen is to look: the table ``screen`` of ``config.toml``, read before the first paint.

The engine checks the whole file, and says what is wrong with it; it is not there yet. Until then
what cannot be read is as if it had not been said.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arcanum_tui import looks

PICTURES = ("auto", "blocks", "off")


@dataclass(frozen=True, slots=True)
class Wishes:
    """``theme`` names a file of ``themes/``; ``pictures`` is one of ``PICTURES``."""

    theme: str = looks.DEFAULT
    animations: bool = False
    pictures: str = PICTURES[0]


def read(path: Path) -> Wishes:
    """What a configuration wishes, as far as it can be had."""
    try:
        told: Any = tomllib.loads(path.read_text(encoding="utf-8")).get("screen", {})
    except (OSError, ValueError, RecursionError):
        return Wishes()
    if not isinstance(told, dict):
        return Wishes()
    theme, pictures = told.get("theme"), told.get("pictures")
    return Wishes(
        theme if theme in looks.names() else looks.DEFAULT,
        told.get("animations") == "basic",
        pictures if pictures in PICTURES else PICTURES[0],
    )
