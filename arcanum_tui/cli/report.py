"""``arcanum report``: what there is, as a page to read, to keep or to hand on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from arcanum_tui.cli.command import Command, Group, Invocation, value
from arcanum_tui.reports import writing
from engine.contract import report
from engine.contract.errors import EXIT_OK, Invalid
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
        writing.check(options.output, replace=options.replace)
    request = run.request()
    run.terminal.progress("Counting the files of the libraries …")
    async with run.client() as client:
        found: MediaReport = value(await client.call(report.MEDIA, request))
    run.terminal.clear()
    if options.output is not None:
        writing.write(options.output, writing.text(found, options.format), replace=options.replace)
        run.terminal.note(f"✓ {options.output}", "ok")
        if run.terminal.json:
            run.terminal.result(found)
    elif options.format == "json":
        run.terminal.result(found)
    else:
        run.terminal.write(writing.text(found, options.format), encoding="utf-8")
    return EXIT_OK


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
