"""What the first run offers, as rows. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arcanum_tui.state.grid import Column, Piece, Row
from arcanum_tui.state.text import plural

if TYPE_CHECKING:
    from engine.contract.discovery import Found

FOLDER = "folder:"
MODEL = "model:"
COLUMNS = (Column(), Column(most=30), Column(grow=True))


def rows(found: Found) -> tuple[Row, ...]:
    """Folders first, then models; the keys name them."""
    folders = [
        Row(
            (
                Piece("folder"),
                Piece(f.name, "strong"),
                Piece(f"{f.path.display} · {plural(f.entries, 'entry', 'entries')}", "muted"),
            ),
            FOLDER + f.path.raw,
        )
        for f in found.folders
    ]
    models = [
        Row(
            (
                Piece("model"),
                Piece(m.name, "strong"),
                Piece(f"{m.description} · {m.endpoint}", "muted"),
            ),
            MODEL + m.name,
        )
        for m in found.models
    ]
    return (*folders, *models)


def suggested(listed: tuple[Row, ...]) -> tuple[str, ...]:
    """What is ticked at first: the folders, and the first model, as only one is used at a time."""
    keys = [row.key for row in listed]
    models = [key for key in keys if key.startswith(MODEL)][:1]
    return (*(key for key in keys if key.startswith(FOLDER)), *models)
