"""A torrent as a client tells of it, and how its answers are taken apart."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from engine.media.source import redacting

MOST_FILES = 200_000
MOST_TORRENTS = 200_000
_MOST_TEXT = 300
_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class ClientError(Exception):
    """What went wrong, in words without secrets. ``hint``: what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Held(NamedTuple):
    """A file of a torrent: its path below the torrent's folder, its size when it is whole."""

    path: str
    size: int
    whole: bool


@dataclass(slots=True)
class Torrent:
    """``folders``: where its files may be. ``asked``: how the client calls it. ``version``: other
    when its files may be others."""

    infohash: str
    name: str
    state: str
    folders: list[str]
    asked: Any
    version: str
    tracker: str = ""
    category: str = ""
    labels: str = ""
    ratio: float = 0.0
    seeding_s: int = 0
    private: bool | None = None
    added_s: int = 0

    def frame(self) -> dict[str, Any]:
        names = ("infohash", "name", "state", "tracker", "category", "labels", "ratio")
        more = ("seeding_s", "private", "added_s", "version")
        return {name: getattr(self, name) for name in (*names, *more)}


class Client(Protocol):
    """Raises ClientError."""

    def torrents(self) -> Iterator[Torrent]: ...

    def files(self, torrent: Torrent) -> list[Held]:
        """Its files; completes what the list of torrents leaves open."""
        ...


def parsed(body: bytes) -> Any:
    """Raises ClientError where it is no JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError, MemoryError) as error:
        raise ClientError("it did not answer in JSON", "Is a torrent client there?") from error


def version(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).hexdigest()[:12]


def infohash(row: Any, name: str) -> str:
    """Raises ClientError: without it nothing can be told of a torrent."""
    value = row.get(name) if isinstance(row, dict) else None
    if not isinstance(value, str) or not _HASH.fullmatch(value.lower()):
        raise ClientError("it told of a torrent without an info hash", "Is a torrent client there?")
    return value.lower()


def text(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    return redacting.text(value[:4096])[:_MOST_TEXT] if isinstance(value, str) else ""


def path(row: dict[str, Any], name: str) -> str:
    """A path as it is; "" where it cannot be one."""
    value = row.get(name)
    right = isinstance(value, str) and len(value) <= 4096 and "\0" not in value
    return str(value) if right else ""


def number(row: dict[str, Any], name: str) -> int:
    value = row.get(name)
    right = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
    return int(value) if right and value is not None else 0


def ratio(row: dict[str, Any], name: str) -> float:
    value = row.get(name)
    right = isinstance(value, (int, float)) and not isinstance(value, bool)
    told = float(value) if right and value is not None else 0.0
    return min(told, 1e9) if math.isfinite(told) and told > 0 else 0.0


def tracker(announce: Any) -> str:
    """The host alone: whoever knows the address of a private tracker may pass for its user."""
    return redacting.host(redacting.url(announce)) if isinstance(announce, str) else ""


def rows(value: Any, most: int) -> list[dict[str, Any]]:
    """Raises ClientError where it is no list of objects."""
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ClientError(
            "it answered something else than a torrent client does", "Is its address right?"
        )
    if len(value) > most:
        raise ClientError(f"it told of more than {most:,} at once")
    return value
