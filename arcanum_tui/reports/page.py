"""A report as one HTML file that needs nothing else: no network, no script, no font.

What comes from outside is text wherever it stands. Should that ever fail, the page's own policy
lets nothing be loaded or run: it names the digest of its one style sheet, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib.resources import files
from typing import TYPE_CHECKING

from arcanum_tui.reports.charts import drawn, meter, text
from arcanum_tui.reports.document import Column, Document, Section, Table, count, size
from arcanum_tui.reports.media import media

if TYPE_CHECKING:
    from engine.contract.report import MediaReport


def page(found: MediaReport) -> str:
    """The whole file."""
    return written(media(found))


def written(document: Document) -> str:
    style = files("arcanum_tui.reports").joinpath("report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = "".join(
        _section(section, f"part{number}") for number, section in enumerate(document.sections)
    )
    tiles = "".join(
        f'<li class="{tile.tone}"><b>{text(tile.value)}</b><span>{text(tile.label)}</span></li>'
        for tile in document.tiles
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><meta name="robots" content="noindex">'
        f"<title>{text(document.title)}</title><style>{style}</style></head>\n"
        f"<body><header><h1>{text(document.title)}</h1><p>{text(document.about)}</p></header>\n"
        f'<main><ul class="tiles">{tiles}</ul>\n{body}</main></body></html>\n'
    )


def _section(section: Section, key: str) -> str:
    return "".join((f'<section aria-labelledby="{key}">', *_parts(section, key), "</section>\n"))


def _parts(section: Section, key: str) -> Iterator[str]:
    yield f'<h2 id="{key}">{text(section.title)}</h2>\n'
    for paragraph in section.text:
        yield f"<p>{text(paragraph)}</p>\n"
    for number, picture in enumerate(section.pictures):
        svg = drawn(picture, f"{key}-{number}")
        yield f"<figure><figcaption>{text(picture.title)}</figcaption>{svg}</figure>\n"
    for table in section.tables:
        if table.title:
            yield f"<h3>{text(table.title)}</h3>\n"
        yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    heads = "".join(
        f'<th scope="col"{_class(column)}>{text(column.head)}</th>' for column in table.columns
    )
    most = _most(table)
    yield f'<div class="scroll"><table><thead><tr>{heads}</tr></thead>\n<tbody>'
    for row in table.rows:
        yield _row(table.columns, row, most)
    yield "</tbody>\n"
    if table.bottom:
        columns = (Column(""), *table.columns[1:])
        yield f"<tfoot>{''.join(_row(columns, row, 0) for row in table.bottom)}</tfoot>"
    yield "</table></div>\n"


def _most(table: Table) -> int:
    """The largest size that is drawn, 0 where none is."""
    if not table.metered:
        return 0
    place = next(n for n, column in enumerate(table.columns) if column.kind == "bytes")
    return max((int(row[place]) for row in table.rows), default=0)


def _class(column: Column) -> str:
    return {"text": "", "name": ' class="name"'}.get(column.kind, ' class="num"')


def _row(columns: tuple[Column, ...], row: tuple[str | int, ...], most: int) -> str:
    cells = (_cell(column, value, most) for column, value in zip(columns, row, strict=True))
    return f"<tr>{''.join(cells)}</tr>\n"


def _cell(column: Column, value: str | int, most: int) -> str:
    mark = _class(column)
    if isinstance(value, str):
        return f"<td{mark}>{text(value)}</td>"
    if column.kind != "bytes":
        return f"<td{mark}>{count(value)}</td>"
    bar = meter(value, most) if most else ""
    return f'<td{mark} title="{count(value)} bytes">{size(value)}{bar}</td>'
