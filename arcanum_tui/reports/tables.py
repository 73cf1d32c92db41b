"""Words and tables that the sections of the media report have in common."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from arcanum_tui.reports.document import Bars, Column, Table, share, size
from engine.contract.report import Amount, Breakdown

KINDS = {
    "image": "pictures",
    "video": "films",
    "audio": "sound",
    "document": "documents",
    "archive": "archives",
    "text": "text",
    "other": "anything else",
}
AMOUNT = (Column("Files", "number"), Column("Size", "bytes"), Column("Share", "number"))


def cells(amount: Amount, whole: Amount) -> tuple[str | int, ...]:
    return (amount.files, amount.bytes, share(amount.bytes, whole.bytes))


def divided(
    part: Breakdown,
    whole: Amount,
    head: str,
    *,
    unknown: str,
    kind: Literal["text", "name"] = "name",
    words: Mapping[str, str] = MappingProxyType({}),
    title: str = "",
    others: str = "all others",
    metered: bool = True,
) -> Table:
    """Rows, what is beyond them, what is unknown, and the sum of all."""
    column = Column(head, "text" if words else kind)
    bottom = [
        (text, *cells(amount, whole))
        for text, amount in ((others, part.others), (unknown, part.unknown))
        if amount.files
    ]
    return Table(
        columns=(column, *AMOUNT),
        rows=tuple((words.get(row.name, row.name), *cells(row, whole)) for row in part.rows),
        bottom=(*bottom, ("all", *cells(whole, whole))),
        title=title,
        metered=metered,
    )


def bars(part: Breakdown, title: str, words: dict[str, str], *, upright: bool = False) -> Bars:
    labels = tuple(words.get(row.name, row.name) for row in part.rows)
    most = max(part.rows, key=lambda row: row.bytes, default=None)
    told = (
        f"{len(labels)} bars; the longest is {words.get(most.name, most.name)}, {size(most.bytes)}."
        if most
        else "Nothing."
    )
    return Bars(title, told, labels, tuple(row.bytes for row in part.rows), upright)


def minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
