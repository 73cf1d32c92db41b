"""A report as text, and as a file: whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine.contract.errors import Failed, Refused

if TYPE_CHECKING:
    from engine.contract.report import MediaReport

ENDINGS = (".html", ".md", ".json")


def text(found: MediaReport, form: str) -> str:
    """``form``: html, md or json."""
    if form == "json":
        return found.model_dump_json(indent=2) + "\n"
    if form == "html":
        from arcanum_tui.reports.page import page

        return page(found)
    from arcanum_tui.reports.markdown import markdown

    return markdown(found)


def check(file: Path, *, replace: bool) -> None:
    """Before anything is counted: nothing that is there is lost. Raises Refused."""
    if file.is_dir():
        raise Refused(f"{file} is a folder.", "Name a file in it.")
    if not replace and (file.exists() or file.is_symlink()):
        raise _taken(file)


def write(file: Path, content: str, *, replace: bool) -> None:
    """Whole or not at all. Raises Refused, Failed."""
    made = file.with_name(f".{os.getpid()}.{file.name[-100:]}") if replace else file
    try:
        with made.open("x", encoding="utf-8") as out:
            try:
                out.write(content)
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
    return Refused(
        f"{file} is there already.", "Choose another name, or add --replace to the command."
    )
