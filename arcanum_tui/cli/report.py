"""``arcanum report``: what there is, as a page to read, to keep or to hand on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from arcanum_tui.cli.command import Command, Group, Invocation, value
from engine.contract import report
from engine.contract.errors import EXIT_OK, Failed, Invalid, Refused
from engine.contract.report import MediaReport

if TYPE_CHECKING:
    from arcanum_tui.cli.arguments import Parser


def _add_form(parser: Parser) -> None:
    parser.add_argument(
        "--format",
        choices=("html", "md", "json"),
        default="md",
        metavar="html|md|json",
        help="one page with pictures, Markdown, or JSON (md)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write it there; by default to stdout"
    )
    parser.add_argument(
        "--replace", action="store_true", help="FILE may be there already, and is replaced"
    )


async def media(run: Invocation) -> int:
    """Makes the report, and shows it or writes it."""
    options = run.options
    if options.replace and options.output is None:
        raise Invalid("--replace goes with --output.", "Name the file that is to be replaced.")
    if run.terminal.json and options.output is None:
        options.format = "json"
    if options.output is not None:
        _check(options.output, replace=options.replace)
    request = run.request()
    run.terminal.progress("Counting the files of the libraries …")
    async with run.client() as client:
        found: MediaReport = value(await client.call(report.MEDIA, request))
    run.terminal.clear()
    if options.output is not None:
        _write(options.output, _text(found, options.format), replace=options.replace)
        run.terminal.note(f"✓ {options.output}", "ok")
        if run.terminal.json:
            run.terminal.result(found)
    elif options.format == "json":
        run.terminal.result(found)
    else:
        run.terminal.write(_text(found, options.format), encoding="utf-8")
    return EXIT_OK


def _text(found: MediaReport, form: str) -> str:
    if form == "json":
        return found.model_dump_json(indent=2) + "\n"
    if form == "html":
        from arcanum_tui.reports.page import page

        return page(found)
    from arcanum_tui.reports.markdown import markdown

    return markdown(found)


def _check(file: Path, *, replace: bool) -> None:
    """Before anything is counted: nothing that is there is lost. Raises Refused."""
    if file.is_dir():
        raise Refused(f"{file} is a folder.", "Name a file in it.")
    if not replace and (file.exists() or file.is_symlink()):
        raise _taken(file)


def _write(file: Path, text: str, *, replace: bool) -> None:
    """Whole or not at all. Raises Refused, Failed."""
    made = file.with_name(f".{os.getpid()}.{file.name[-100:]}") if replace else file
    try:
        with made.open("x", encoding="utf-8") as out:
            try:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
                if replace:
                    made.replace(file)
            except BaseException:
                made.unlink()  # A part would look like the whole.
                raise
    except FileExistsError as error:
        raise _taken(file) from error
    except OSError as error:
        raise Failed(f"{file} could not be written: {error.strerror or error}.") from error


def _taken(file: Path) -> Refused:
    return Refused(f"{file} is there already.", "Choose another name, or add --replace.")


GROUP = Group(
    "report",
    (
        Command(
            "media",
            report.MEDIA,
            run=media,
            add=_add_form,
            examples=(
                "arcanum report media",
                "arcanum report media films --format html --output films.html",
                "arcanum report media --no-paths --format json",
            ),
        ),
    ),
)
