"""Records that lie beside a file: yt-dlp's ``.info.json``, and Windows' Zone.Identifier.

Beside means in the same folder, reached folder by folder and through no link. Standard library
only.
"""

from __future__ import annotations

import json
import os
import re
import stat
from json import JSONDecoder
from typing import Any

from engine.media.source.attributes import MOST_BYTES, Row, zone
from engine.media.source.redacting import place, text
from engine.worker.files import open_below

MOST_RECORD = 4 * 1024**2
"""Bytes of a record that are read. Comments may make one larger; they come late."""

_SUFFIX = b".info.json"
_STREAM = b":Zone.Identifier"
_TOLD = {
    "extractor_key": "site",
    "uploader": "uploader",
    "channel": "channel",
    "upload_date": "published",
    "title": "title",
    "id": "id",
}
_WANTED = {*_TOLD, "extractor", "webpage_url", "original_url", "ext", "_version"}
_BLANK = re.compile(r"[ \t\r\n]*")


def read(root_fd: int, path: bytes) -> list[Row]:
    """Rows of evidence for the file at this path. What cannot be read is not there."""
    rows = []
    suffix = os.path.splitext(path)[1]
    for beside in records_of(path):
        if data := _read(root_fd, beside, MOST_RECORD):
            row = _record(data, beside.rpartition(b"/")[2], os.fsdecode(suffix[1:]))
            if row is not None:
                rows.append(row)
                break
    if data := _read(root_fd, path + _STREAM, MOST_BYTES):
        row = zone(data, "Zone.Identifier beside it")
        rows += [row] if row else []
    return rows


def records_of(path: bytes) -> list[bytes]:
    """Where a downloader's record of the file at this path may lie, the most telling first."""
    folder, slash, name = path.rpartition(b"/")
    stem = os.path.splitext(name)[0]
    names = [name, stem, os.path.splitext(stem)[0]]
    if name.endswith(_SUFFIX):
        names.append(name.removesuffix(_SUFFIX))
    return [folder + slash + beside + _SUFFIX for beside in dict.fromkeys(filter(None, names))]


def owners(path: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Whose record lies at this path: the file at the first of these, and what lies from the
    second to before the third. None where it is no record."""
    for suffix in (_SUFFIX, _STREAM):
        owner = path.removesuffix(suffix)
        if owner != path and owner and not owner.endswith(b"/"):
            return owner, owner + b".", owner + (b"/" if suffix == _SUFFIX else b".")
    return None


def _read(root_fd: int, path: bytes, most: int) -> bytes:
    try:
        fd = open_below(root_fd, path)
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return b""
        parts, left = [], most
        while left and (part := os.read(fd, min(left, 256 * 1024))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(fd)


def _record(data: bytes, name: bytes, suffix: str) -> Row | None:
    told = {key: value for key, value in members(data).items() if isinstance(value, str) and value}
    page = place(told.get("webpage_url") or told.get("original_url") or "")
    if not page or not (told.get("extractor") or told.get("extractor_key")):
        return None
    evidence = {to: text(told[key]) for key, to in _TOLD.items() if key in told}
    evidence["told by"] = name.decode("utf-8", "backslashreplace")[:300]
    same = told.get("ext", "").lower() == suffix.lower() != ""
    return {
        "kind": "download",
        "origin": page,
        "referrer": "",
        "confidence": 0.95 if same else 0.85,
        "evidence": {**evidence, "program": "yt-dlp"},
    }


def members(data: bytes) -> dict[str, Any]:
    """Those members of a JSON object that are wanted, as far as it is whole."""
    words = data.decode("utf-8", "replace")
    decoder = JSONDecoder()
    found: dict[str, Any] = {}
    at = _skip(words, 0)
    if words[at : at + 1] != "{":
        return found
    try:
        while words[at : at + 1] in {"{", ","}:
            key, at = decoder.raw_decode(words, _skip(words, at + 1))
            at = _skip(words, at)
            if not isinstance(key, str) or words[at : at + 1] != ":":
                break
            value, at = decoder.raw_decode(words, _skip(words, at + 1))
            if key in _WANTED:
                found[key] = value
            at = _skip(words, at)
    except (json.JSONDecodeError, RecursionError, ValueError, MemoryError):
        pass
    return found


def _skip(words: str, at: int) -> int:
    found = _BLANK.match(words, at)
    return found.end() if found else at
