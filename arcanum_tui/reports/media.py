"""The media report in words and tables, whatever form it is given."""

from __future__ import annotations

from arcanum_tui.reports.document import (
    Bars,
    Column,
    Document,
    Section,
    Table,
    Tile,
    count,
    share,
    size,
)
from arcanum_tui.reports.lasting import age, growth, integrity, unknown
from arcanum_tui.reports.tables import AMOUNT, KINDS, bars, cells, divided, minute
from engine.contract.report import MediaReport

_SOURCES = {
    "url": "an address on the web",
    "torrent": "a torrent",
    "download": "a download",
    "remote": "a remote",
    "camera": "a camera",
    "appeared": "nothing but when it appeared here",
}
_HOW = (
    "Files are names in a library; in bytes, a file with several names in a library (hard links) is"
    " counted once. Times, months and years are in UTC, sizes in decimal units (1 kB is 1,000"
    " bytes). Every table that ends with a line “all” adds up to the whole catalogue."
)


def media(found: MediaReport) -> Document:
    """Everything that the report tells."""
    sections = (
        _libraries(found),
        _contents(found),
        age(found),
        growth(found),
        _largest(found),
        _duplicates(found),
        _sources(found),
        _cameras(found),
        integrity(found),
        _limits(found),
        _counted(found),
    )
    where = f" on {found.machine}" if found.machine else ""
    return Document(
        title=f"Media report{where}",
        about=f"As the catalogue knew it on {minute(found.at)}.",
        tiles=_tiles(found),
        sections=tuple(section for section in sections if section is not None),
    )


def _tiles(found: MediaReport) -> tuple[Tile, ...]:
    total, twice = found.total, found.duplicates.totals
    unsaid = sum(unknown(one) for one in found.integrity)
    unsure = sum(one.verdict == "unknown" for one in found.integrity)
    health = Tile("sound", "every file was read whole and was right", "ok")
    if not found.integrity:
        health = Tile("unknown", "no library yet", "warn")
    elif total.damaged:
        health = Tile(count(total.damaged), _many(total.damaged, "file") + " damaged", "bad")
    elif unsaid:
        health = Tile(count(unsaid), "not known to be right", "warn")
    elif unsure:
        health = Tile("unknown", "not every library could be read", "warn")
    return (
        Tile(size(total.bytes), f"in {count(total.files)} {_many(total.files, 'file')}"),
        Tile(count(len(found.libraries)), _many(len(found.libraries), "library", "libraries")),
        Tile(size(twice.frees), f"held more than once, in {count(twice.groups)} groups"),
        health,
    )


def _many(number: int, one: str, many: str = "") -> str:
    return one if number == 1 else many or f"{one}s"


# --- sections -------------------------------------------------------------------------------------


def _libraries(found: MediaReport) -> Section:
    total = found.total
    text = []
    if total.bytes_once < total.bytes:
        text.append(
            f"Some files lie in several libraries: on the disks all of them take"
            f" {size(total.bytes - total.bytes_once)} less than the sum, {size(total.bytes_once)}."
        )
    noted = any(one.note for one in found.libraries)
    rows = tuple(
        (
            one.library,
            *cells(one, total),
            one.state,
            f"{one.last_scan_at:%Y-%m-%d %H:%M}" if one.last_scan_at else "never",
            one.path.display if one.path else "",
            *((one.note,) if noted else ()),
        )
        for one in found.libraries
    )
    table = Table(
        columns=(
            Column("Library", "name"),
            *AMOUNT,
            Column("State"),
            Column("Scanned"),
            Column("Folder", "name"),
            *((Column("Note", "name"),) if noted else ()),
        ),
        rows=rows,
        bottom=(("all", *cells(total, total), *[""] * (4 if noted else 3)),),
    )
    largest = max(found.libraries, key=lambda one: one.bytes, default=None)
    picture = Bars(
        "Size of the libraries",
        f"The largest of {len(rows)} is {largest.library}, {size(largest.bytes)}."
        if largest
        else "Nothing.",
        tuple(one.library for one in found.libraries),
        tuple(one.bytes for one in found.libraries),
    )
    return Section("Libraries", tuple(text), (picture,) if len(rows) > 1 else (), (table,))


def _contents(found: MediaReport) -> Section:
    unknown = "not looked into yet"
    return Section(
        "What they hold",
        ("Told by what is in the files, not by their names.",),
        (bars(found.kinds, "Size by kind", KINDS),) if found.kinds.rows else (),
        (
            divided(found.kinds, found.total, "Kind", unknown=unknown, words=KINDS, metered=False),
            divided(found.types, found.total, "Type", unknown=unknown, title="By type"),
        ),
    )


def _largest(found: MediaReport) -> Section | None:
    if not found.largest:
        return None
    paths = any(file.path for file in found.largest)
    columns = (
        Column("Size", "bytes"),
        Column("Modified"),
        Column("Kind"),
        Column("Library", "name"),
    )
    rows = tuple(
        (
            file.size,
            f"{file.modified_at:%Y-%m-%d}",
            KINDS.get(file.kind or "", ""),
            file.library,
            *((file.path.display,) if file.path else ()),
        )
        for file in found.largest
    )
    table = Table((*columns, *((Column("File", "name"),) if paths else ())), rows)
    return Section("The largest files", (), (), (table,))


def _duplicates(found: MediaReport) -> Section:
    part, totals = found.duplicates, found.duplicates.totals
    text = [
        f"{count(totals.copies)} files are copies of one another, in {count(totals.groups)} groups;"
        f" one of each kept, at most {size(totals.frees)} would come free. Names of one file on the"
        " disk (hard links) are one copy; empty files are none."
        if totals.groups
        else "No file is held more than once."
    ]
    if part.pending:
        text.append(f"Of {count(part.pending)} files it is not known: they were not read yet.")
    if not part.groups:
        return Section("Held more than once", tuple(text))
    paths = any(group.path for group in part.groups)
    columns = (
        Column("Frees at most", "bytes"),
        Column("Copies", "number"),
        Column("Of", "bytes"),
        Column("Library", "name"),
    )
    rows = tuple(
        (
            group.frees,
            group.copies,
            group.size,
            group.library,
            *((group.path.display,) if group.path else ()),
        )
        for group in part.groups
    )
    table = Table((*columns, *((Column("One of them", "name"),) if paths else ())), rows)
    return Section("Held more than once", tuple(text), (), (table,))


def _sources(found: MediaReport) -> Section:
    kinds = divided(
        found.sources.kinds,
        found.total,
        "Best evidence",
        unknown="not looked for yet",
        words=_SOURCES,
    )
    hosts = divided(
        found.sources.hosts, found.total, "Server", unknown="none named", title="By server"
    )
    tables = (kinds, hosts) if found.sources.hosts.rows else (kinds,)
    return Section("Where it came from", (), (), tables)


def _cameras(found: MediaReport) -> Section | None:
    if not found.cameras.rows:
        return None
    table = divided(found.cameras, found.total, "Camera", unknown="none named")
    return Section("Cameras", (), (), (table,))


def _limits(found: MediaReport) -> Section | None:
    if found.limits is None:
        return Section("Limits", ("They could not be asked for: unknown.",))
    if not found.limits:
        return None
    table = Table(
        columns=(
            Column("Library", "name"),
            Column("State"),
            Column("Used", "bytes"),
            Column("Limit", "bytes"),
            Column("Used of it", "number"),
            Column("Over", "bytes"),
            Column("In the trash", "bytes"),
        ),
        rows=tuple(
            (
                one.library,
                one.state,
                one.used,
                one.limit,
                share(one.used, one.limit),
                one.over,
                one.in_trash,
            )
            for one in found.limits
        ),
    )
    return Section("Limits", (), (), (table,))


def _counted(found: MediaReport) -> Section:
    text = [_HOW]
    if found.total.unreadable:
        text.append(
            f"{count(found.total.unreadable)} names could not be looked at; they are in none of"
            " the numbers."
        )
    text.append(f"Counted in {found.seconds:.1f} s.")
    return Section("How it was counted", tuple(text))
