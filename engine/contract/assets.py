"""Libraries, and the files that are known of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from engine.contract.base import Name, PathRef, Wire

LibraryState = Literal["ok", "scanning", "missing", "unreadable"]
WatchState = Literal["live", "polling", "off", "failed"]


class AddLibrary(Wire):
    """``name`` defaults to the folder's own name."""

    path: Annotated[PathRef, Field(description="the folder")]
    name: Name | None = Field(None, description="what to call it; by default the folder's name")


class LibraryName(Wire):
    library: Annotated[Name, Field(description="the library's name")]


class Library(Wire):
    """A watched root folder. ``bytes`` counts each hardlinked file once.

    ``unreadable`` counts what could not be read at the last scan; it is never taken as deleted.
    ``pending`` files are known but not hashed yet.
    """

    name: str
    path: PathRef
    machine: str
    state: LibraryState
    watch: WatchState = "off"
    note: str = ""
    files: int = 0
    bytes: int = 0
    pending: int = 0
    unreadable: int = 0
    last_scan_at: datetime | None = None
    changed_at: datetime | None = None


class LibraryList(Wire):
    libraries: tuple[Library, ...]


class ScanResult(Wire):
    """What a scan found. Sizes in bytes. ``skipped`` are links, sockets and other non-files."""

    library: str
    files: int
    bytes: int
    added: int
    changed: int
    removed: int
    moved: int
    hashed: int
    hashed_bytes: int
    unreadable: int
    skipped: int
    seconds: float


class Asset(Wire):
    """A catalogued file. ``path`` is relative to its library; ``blake3`` is None until hashed."""

    id: int
    path: PathRef
    size: int
    modified_at: datetime
    links: int
    blake3: str | None
    seen_at: datetime


class ListAssets(Wire):
    """A page in the order asked for. ``after`` is the ``next`` of the page before."""

    library: Annotated[Name, Field(description="the library's name")]
    filter: Annotated[str, Field(max_length=200, description="only paths that contain this")] = ""
    sort: Literal["path", "size", "modified"] = Field("path", description="the order")
    limit: Annotated[int, Field(ge=1, le=5000, description="files on a page")] = 500
    after: Annotated[str, Field(max_length=8192)] | None = Field(
        None, description="the page behind this one: what `next` of the page before says"
    )


class AssetPage(Wire):
    """``total`` and ``bytes`` are of everything that matches, not of this page."""

    library: str
    assets: tuple[Asset, ...]
    total: int
    bytes: int
    next: str | None = None
