"""``arcanum media list``, ``facets``, ``tree``, ``export``, ``thumbnail``."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

from arcanum_tui.cli.arguments import Parser, path
from arcanum_tui.cli.command import Command, Invocation, value
from arcanum_tui.cli.follow import add_detach, job, job_result
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.grid import Column
from arcanum_tui.state.text import number, plural, size
from engine.contract import media
from engine.contract.assets import AssetPage, ListedAsset
from engine.contract.base import PathRef
from engine.contract.errors import EXIT_OK, Failed, Invalid
from engine.contract.listing import Exported, Facets, FolderPage, Thumbnail

_AT_ONCE = 1024 * 1024
"""Characters that are handed on together."""


def show_assets(found: AssetPage, terminal: Terminal) -> None:
    if found.assets:
        _table(found, terminal)
    terminal.note(f"{plural(found.total, 'file')}, {size(found.bytes)}")
    if found.next is not None:
        name = f" {found.library}" if found.library else ""
        terminal.note(f"More: arcanum media list{name} --after '{found.next}'")


def _table(found: AssetPage, terminal: Terminal) -> None:
    everywhere = found.library is None
    terminal.table(
        ("SIZE", "MODIFIED", "KIND", "LINKS", "BLAKE3", *(["LIBRARY"] * everywhere), "FILE"),
        (
            Column(right=True),
            Column(),
            Column(rank=3),
            Column(right=True, rank=2),
            Column(rank=1),
            *([Column(most=20)] * everywhere),
            Column(grow=True, least=20),
        ),
        (
            (
                size(asset.size),
                f"{asset.modified_at.astimezone():%Y-%m-%d %H:%M}",
                asset.kind or "unknown",
                str(asset.links),
                _state(asset),
                *([asset.library] * everywhere),
                asset.path.display,
            )
            for asset in found.assets
        ),
    )


def _state(asset: ListedAsset) -> str:
    if asset.unreachable and asset.damage != "rotten":
        return "? unreachable"
    if asset.damage:
        return f"! {asset.damage}"
    return asset.blake3[:12] if asset.blake3 else "not yet"


def show_facets(found: Facets, terminal: Terminal) -> None:
    for facet in found.facets:
        if not facet.counted:
            terminal.line(f"{facet.name}: not counted, it took too long", "warn")
        for told in facet.values:
            shown = size(int(told.value)) if facet.name == "larger" else told.value
            terminal.line(f"{facet.name:<8}{number(told.files):>12}  {shown}")
        if facet.more:
            terminal.note(f"{facet.name}: {number(facet.more)} more")


def show_tree(found: FolderPage, terminal: Terminal) -> None:
    terminal.table(
        ("FILES", "SIZE", "FOLDER"),
        (Column(right=True), Column(right=True), Column(grow=True, least=20)),
        (
            (
                "not yet" if f.files is None else number(f.files),
                "" if f.bytes is None else size(f.bytes),
                f"{f.path.display}/",
            )
            for f in found.folders
        ),
    )
    terminal.note(
        f"{plural(found.total, 'folder')};"
        f" {plural(found.files, 'file')}, {size(found.bytes)} beside them"
    )
    if found.below_bytes is not None:
        several = f"; {size(found.shared)} hardlinked in several of these" if found.shared else ""
        terminal.note(
            f"{size(found.below_bytes)} in all, each hardlinked file counted once{several}"
        )


def show_exported(found: Exported, terminal: Terminal) -> None:
    terminal.line(
        f"✓ {plural(found.files, 'file')} written to {found.path.display}, {size(found.size)}", "ok"
    )
    if found.gone:
        terminal.line(f"! {plural(found.gone, 'file')} left the catalogue meanwhile", "warn")


def show_thumbnail(found: Thumbnail, terminal: Terminal) -> None:
    if found.problem:
        terminal.line(f"No picture: {found.problem}.")
    elif not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        terminal.line(f"{found.width} × {found.height} pixels; --json holds them.")
    else:
        pixels = base64.b64decode(found.pixels)
        for y in range(0, found.height, 2):
            terminal.write(_half_blocks(pixels, found.width, found.height, y) + "\x1b[0m\n")


def _half_blocks(pixels: bytes, width: int, height: int, y: int) -> str:
    """Two rows of pixels as one line: the upper one as the colour of ▀, the lower one behind it."""
    parts = []
    for x in range(width):
        upper = pixels[3 * (y * width + x) :][:3]
        parts.append("\x1b[38;2;{};{};{}m".format(*upper))
        if y + 1 < height:
            lower = pixels[3 * ((y + 1) * width + x) :][:3]
            parts.append("\x1b[48;2;{};{};{}m".format(*lower))
        parts.append("▀")
    return "".join(parts)


def _add_under(parser: Parser) -> None:
    help_ = media.LIST.request.model_fields["under"].description
    parser.add_argument("--under", metavar="UNDER", help=help_)


def _add_export(parser: Parser) -> None:
    help_ = f"{media.EXPORT.request.model_fields['path'].description}; - is stdout"
    parser.add_argument("path", metavar="PATH", help=help_)
    _add_under(parser)
    add_detach(parser)


def _take_under(run: Invocation) -> None:
    """As it was typed: it lies below the library's root, wherever one stands."""
    typed: str | None = run.options.under
    run.options.under = None if typed is None else PathRef.of(os.fsencode(typed))


async def _call(run: Invocation) -> int:
    _take_under(run)
    async with run.client() as client:
        return run.tell(value(await client.call(run.operation, run.request())))


async def _export(run: Invocation) -> int:
    _take_under(run)
    typed: str = run.options.path
    if typed == "-":
        return await _to_stdout(run)
    run.options.path = path(typed)
    return await job(run)


async def _to_stdout(run: Invocation) -> int:
    """The engine writes files: this one is handed on, and removed."""
    import tempfile  # Nothing else needs it.

    if run.terminal.json or run.options.detach:
        raise Invalid("The list itself goes to stdout.", "Leave out --json and --detach.")
    if not hasattr(run.options, "format"):
        raise Invalid("How is the list to be written?", "Add --format csv, jsonl or md.")
    with tempfile.TemporaryDirectory(prefix="arcanum-") as folder:
        file = Path(folder, "list")
        request = run.request(path=PathRef.of(file))
        async with run.client() as client:
            found = await job_result(run, client, media.EXPORT, request)
        _hand_on(file, run.terminal)
    if found.gone:
        run.terminal.note(f"{plural(found.gone, 'file')} left the catalogue meanwhile", "warn")
    return EXIT_OK


def _hand_on(file: Path, terminal: Terminal) -> None:
    """Raises Failed."""
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            while text := lines.read(_AT_ONCE):
                terminal.write(text, encoding="utf-8")
    except FileNotFoundError as error:
        raise Failed(
            "The list is on the machine of the engine, and not here.", "Export it to a file."
        ) from error


COMMANDS = (
    Command(
        "list",
        media.LIST,
        show_assets,
        run=_call,
        skip=("under",),
        add=_add_under,
        examples=(
            "arcanum media list films --sort size",
            "arcanum media list films --filter dune --json",
            "arcanum media list photos --kind image --year 2019 2020 --sort taken",
            "arcanum media list --state damaged unreadable",
        ),
    ),
    Command(
        "facets",
        media.FACETS,
        show_facets,
        run=_call,
        skip=("under",),
        add=_add_under,
        examples=("arcanum media facets photos --kind image --facets year camera",),
    ),
    Command(
        "tree",
        media.TREE,
        show_tree,
        run=_call,
        skip=("under",),
        add=_add_under,
        examples=("arcanum media tree films --under Series --sort size",),
    ),
    Command(
        "export",
        media.EXPORT,
        show_exported,
        run=_export,
        skip=("path", "under"),
        add=_add_export,
        examples=(
            "arcanum media export damaged.csv --state damaged --library photos",
            "arcanum media export - --format jsonl --library films",
        ),
    ),
    Command(
        "thumbnail",
        media.THUMBNAIL,
        show_thumbnail,
        examples=("arcanum media thumbnail 12 --width 80 --height 60",),
    ),
)
