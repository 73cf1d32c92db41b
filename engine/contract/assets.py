"""Libraries, and the files that are known of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ByteSize, Field

from engine.contract.base import Name, PathRef, Wire
from engine.contract.integrity import Damage

LibraryState = Literal["ok", "scanning", "missing", "unreadable"]
WatchState = Literal["live", "polling", "off", "failed"]


class AddLibrary(Wire):
    """``name`` defaults to the folder's own name."""

    path: Annotated[PathRef, Field(description="the folder")]
    name: Name | None = Field(None, description="what to call it; by default the folder's name")


class LibraryName(Wire):
    library: Annotated[Name, Field(description="the library's name")]


class ScanLibrary(LibraryName):
    """``as_it_is`` is an operator's to say."""

    as_it_is: bool = Field(
        False,
        description="what lies at its root now is the library, though another disk is there or"
        " nothing: what is missing there is taken out of the catalogue",
    )


class Library(Wire):
    """A watched root folder. ``bytes`` counts each hardlinked file once.

    ``unreadable`` counts what could not be read at the last scan; it is never taken as deleted.
    ``pending`` files are known but not hashed yet, or not since they were touched, ``unread`` of
    them because they could not be read. ``unseen`` folders and files could not be looked at: what
    is known there may be so, or not (at most 1,000 are told apart). ``since``: it is missing or
    unreadable since then. ``damaged`` ones are not what they were when they were read again.
    ``drift`` counts changes that the watcher had missed, until a look at everything finds none.
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
    unread: int = 0
    unseen: int = 0
    damaged: int = 0
    drift: int = 0
    since: datetime | None = None
    last_scan_at: datetime | None = None
    changed_at: datetime | None = None


class LibraryList(Wire):
    libraries: tuple[Library, ...]


class Unread(Wire):
    """A file or folder that could not be read, relative to its library, and why."""

    path: PathRef
    why: str


class ScanResult(Wire):
    """What a scan found. Sizes in bytes. ``skipped`` are links, sockets and other non-files;
    ``unread`` names the first of what is ``unreadable``."""

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
    unread: tuple[Unread, ...] = ()


class Asset(Wire):
    """A catalogued file. ``path`` is relative to its library; ``blake3`` is None until hashed."""

    id: int
    path: PathRef
    size: int
    modified_at: datetime
    links: int
    blake3: str | None
    seen_at: datetime


class ListedAsset(Asset):
    """A file in a list. ``kind`` and ``type`` are None until it was looked into, ``taken_at`` where
    its bytes say nothing of it. ``first_seen_at``: when it came into the catalogue. ``damage``:
    'unreadable' also where it could not be read since it is what it is. ``unreachable``: why it
    cannot be looked at now, "" where it can; then ``seen_at`` says when it last was."""

    library: str
    first_seen_at: datetime
    kind: str | None = None
    type: str | None = None
    taken_at: datetime | None = None
    camera: str = ""
    damage: Damage | None = None
    unreachable: str = ""


AssetState = Literal["sound", "pending", "damaged", "unreadable"]
Sort = Literal["path", "size", "modified", "added", "taken"]
_Values = Annotated[tuple[Annotated[str, Field(max_length=256)], ...], Field(max_length=64)]


class Matching(Wire):
    """Which files. Of several values of a field any will do; each field that is given must fit."""

    library: Name | None = Field(None, description="the library's name; none: all libraries")
    filter: Annotated[str, Field(max_length=200, description="only paths that contain this")] = ""
    under: PathRef | None = Field(None, description="only files below this folder of the library")
    direct: bool = Field(False, description="not those in folders below it")
    kind: _Values = Field(
        (), description="only these kinds: image, video, audio, document, archive, text, other;"
        " unknown: not looked into yet"
    )  # fmt: skip
    type: _Values = Field((), description="only these types of content, like image/jpeg")
    year: Annotated[tuple[Annotated[int, Field(ge=1600, le=2300)], ...], Field(max_length=64)] = (
        Field((), description="only files taken, or else changed, in these years (UTC)")
    )
    camera: _Values = Field((), description="only pictures of these cameras")
    source: _Values = Field(
        (), description="only from such a source: url, torrent, download, remote, credentials"
    )
    host: _Values = Field((), description="only from these hosts")
    state: tuple[AssetState, ...] = Field(
        (), description="only files in this state: sound, pending, damaged, unreadable"
    )
    larger: Annotated[ByteSize, Field(ge=0, le=2**62)] = Field(
        ByteSize(0), description="only files of at least so much: 20MiB, 1GB"
    )


class ListAssets(Matching):
    """A page in the order asked for. ``after`` is the ``next`` of the page before; ``at`` jumps.

    ``handle`` is that of a page before: the rows are as they were then, in number and order, as
    long as the engine remembers them.
    """

    sort: Sort = Field("path", description="the order")
    reverse: bool = Field(False, description="the other way round")
    limit: Annotated[int, Field(ge=1, le=5000, description="files on a page")] = 500
    after: Annotated[str, Field(max_length=8192)] | None = Field(
        None, description="the page behind this one: what `next` of the page before says"
    )
    at: Annotated[int, Field(ge=0)] | None = Field(
        None, description="the page from this row on, counted from 0"
    )
    handle: Annotated[str, Field(max_length=64)] = Field(
        "", description="with --at: the order of the page that named this"
    )
    quick: bool = Field(False, description="do not wait until all that matches is counted")


class AssetPage(Wire):
    """``total`` and ``bytes`` are of everything that matches, not of this page; each inode is
    weighed once. ``counted`` False: they are of what is known by now, and there is more.
    ``handle``: names this order of rows, "" where it was not made."""

    library: str | None
    assets: tuple[ListedAsset, ...]
    total: int
    bytes: int
    counted: bool = True
    at: int | None = None
    handle: str = ""
    next: str | None = None
