"""A report as Markdown, with tables as GitHub shows them.

What comes from outside stands in code spans that it cannot end, or with every sign written as a
reference: a viewer shows it, loads nothing that it names, and follows nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from arcanum_tui.reports.document import Column, Document, Section, Table, count, size
from arcanum_tui.reports.media import media
from engine.contract.base import visible

if TYPE_CHECKING:
    from engine.contract.report import MediaReport

_SIGN = re.compile(r"[!-/:-@\[-`{-~]")


def markdown(found: MediaReport) -> str:
    """The whole file."""
    return written(media(found))


def written(document: Document) -> str:
    blocks = [f"# {_escaped(document.title)}", _escaped(document.about)]
    blocks.append(
        "\n".join(f"* **{_escaped(t.value)}** {_escaped(t.label)}" for t in document.tiles)
    )
    for section in document.sections:
        blocks += _section(section)
    return "\n\n".join(blocks) + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f"## {_escaped(section.title)}"
    for text in section.text:
        yield _escaped(text)
    for table in section.tables:
        if table.title:
            yield f"### {_escaped(table.title)}"
        yield _table(table)


def _table(table: Table) -> str:
    heads = " | ".join(_escaped(column.head) for column in table.columns)
    rules = "|".join(" --- " if c.kind in {"text", "name"} else " ---: " for c in table.columns)
    lines = [f"| {heads} |", f"|{rules}|"]
    lines += [_line(table.columns, row) for row in table.rows]
    lines += [_line((Column(""), *table.columns[1:]), row) for row in table.bottom]
    return "\n".join(lines)


def _line(columns: tuple[Column, ...], row: tuple[str | int, ...]) -> str:
    cells = (_cell(column, value) for column, value in zip(columns, row, strict=True))
    return f"| {' | '.join(cells)} |"


def _cell(column: Column, value: str | int) -> str:
    if isinstance(value, int):
        return size(value) if column.kind == "bytes" else count(value)
    return name(value) if column.kind == "name" else _escaped(value)


def name(text: str) -> str:
    """``text`` as it is, in a cell of a table."""
    shown = visible(text)
    if not shown.strip():
        return _escaped(shown)
    if "|" in shown:  # A table ends its cell there, even within code.
        return _references(shown)
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    return f"{fence} {shown} {fence}" if "`" in shown else f"{fence}{shown}{fence}"


def _escaped(text: str) -> str:
    """Our own words, with what they quote: nothing in them is a sign, or becomes a link."""
    marked = re.sub(r"([\\`*_{}\[\]<>#|~&])", r"\\\1", visible(text))
    return re.sub(r"://|www\.|@", lambda found: _references(found[0]), marked)


def _references(text: str) -> str:
    return _SIGN.sub(lambda sign: f"&#{ord(sign[0])};", text)
