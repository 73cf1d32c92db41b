"""Files and catalogued items that go with a question, as a shell names them."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.contract.agent0 import MAX_ATTACHED, AssetAttachment, TextAttachment
from engine.contract.base import PathRef, visible
from engine.contract.errors import Invalid

Named = TextAttachment | AssetAttachment
"""What a person can attach by naming it."""

_MAX_SCHEMA = 64 * 1024
_MAX_NAME = 200


def attachments(files: Sequence[str], assets: Sequence[str]) -> tuple[Named, ...]:
    """Raises Invalid, naming the one that cannot be attached."""
    return (*map(text_file, files), *map(asset, assets))


def text_file(name: str) -> TextAttachment:
    """A text file, whole. Raises Invalid."""
    text = _read(name, 4 * MAX_ATTACHED, "Attach a text file, or a part of it.")
    if not text:
        raise Invalid(f"{visible(name)} is empty.", "Attach a file that says something.")
    if "\0" in text:
        raise Invalid(f"{visible(name)} is no text: it holds NUL bytes.", "Attach a text file.")
    if len(text) > MAX_ATTACHED:
        raise Invalid(
            f"{visible(name)} is {len(text):,} characters long, at most {MAX_ATTACHED:,} are read.",
            "Attach a part of it.",
        )
    return TextAttachment(name=visible(Path(name).name)[:_MAX_NAME], text=text)


def asset(place: str) -> AssetAttachment:
    """``LIBRARY:PATH``, the path as the catalogue knows it. Raises Invalid."""
    library, colon, path = place.partition(":")
    if not (library and colon and path):
        raise Invalid(
            f"{visible(place)!r} names no item of a library.",
            "Write LIBRARY:PATH, as arcanum media list shows the path.",
        )
    return AssetAttachment(library=library, path=PathRef.of(path))


def schema(name: str) -> dict[str, Any]:
    """A JSON schema from a file. Raises Invalid."""
    try:
        found = json.loads(_read(name, _MAX_SCHEMA, "Give a file with a JSON schema."))
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{visible(name)} is not JSON: {error}.", "Give a JSON schema.") from error
    if not isinstance(found, dict):
        raise Invalid(f"{visible(name)} is no JSON schema.", "It must be a JSON object.")
    return found


def _read(name: str, most: int, instead: str) -> str:
    shown = visible(name)
    try:
        # A pipe or a device could keep us waiting for ever.
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - it is open already
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Invalid(f"{shown} is no file.", instead)
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Invalid(f"{shown} cannot be read: {reason}.", "Check the name.") from error
    if len(data) > most:
        raise Invalid(f"{shown} is larger than {most:,} bytes.", instead)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(
            f"{shown} is not UTF-8 text (byte {error.start}).", "Convert it, or attach its text."
        ) from error
