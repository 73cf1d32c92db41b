"""Media: libraries, their files, and what is known of each."""

from __future__ import annotations

from typing import ClassVar, Literal

from engine.contract.assets import (
    AddLibrary,
    AssetPage,
    Library,
    LibraryList,
    LibraryName,
    ListAssets,
    ScanLibrary,
    ScanResult,
)
from engine.contract.base import Empty, PathRef
from engine.contract.call import ONLY_OPERATOR
from engine.contract.copies import (
    AskDuplicates,
    AskNear,
    ComparedPictures,
    ComparePictures,
    DuplicatePage,
    ExportDuplicates,
    ExportedDuplicates,
    FindDuplicates,
    FoundDuplicates,
    NearPage,
)
from engine.contract.events import Event
from engine.contract.integrity import (
    AskHistory,
    Damage,
    DamagedPage,
    History,
    ListDamaged,
    VerifyLibrary,
    VerifyResult,
)
from engine.contract.listing import (
    AskFacets,
    AskThumbnail,
    AskTree,
    ExportAssets,
    Exported,
    Facets,
    FolderPage,
    Thumbnail,
)
from engine.contract.operation import Kind, Limits, Operation, Risk
from engine.contract.sources import AskSources, SourceReport, TorrentClients
from engine.contract.traits import AssetDetail, ShowAsset


class LibraryChanged(Event):
    """The numbers of a library moved, or its state. Latest wins."""

    durable: ClassVar[bool] = False
    kind: Literal["media.library_changed"] = "media.library_changed"
    library: Library

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.library.name}"


class LibraryAdded(Event):
    kind: Literal["media.library_added"] = "media.library_added"
    library: str


class LibraryRemoved(Event):
    kind: Literal["media.library_removed"] = "media.library_removed"
    library: str


class LibraryScanned(Event):
    kind: Literal["media.library_scanned"] = "media.library_scanned"
    result: ScanResult


class DriftFound(Event):
    """A rescan found changes that no event had told of."""

    kind: Literal["media.drift_found"] = "media.drift_found"
    library: str
    files: int


class DamageFound(Event):
    """Files were read again and were not what they were, or could not be read. ``paths`` are the
    first of them."""

    kind: Literal["media.damage_found"] = "media.damage_found"
    library: str
    damage: Damage
    files: int
    paths: tuple[PathRef, ...]


ADD = Operation(
    "media.add",
    "Watch a folder as a library",
    AddLibrary,
    Library,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    audit=("name",),
    positional=("path",),
)
REMOVE = Operation(
    "media.remove",
    "Stop watching a library; its files are not touched",
    LibraryName,
    LibraryList,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    audit=("library",),
    positional=("library",),
)
LIBRARIES = Operation("media.libraries", "The libraries and their numbers", Empty, LibraryList)
SCAN = Operation(
    "media.scan",
    "Read a library: new, changed and vanished files, with their BLAKE3",
    ScanLibrary,
    ScanResult,
    kind=Kind.JOB,
    risk=Risk.WRITE,
    limits=Limits(timeout_s=None),
    audit=("library", "as_it_is"),
    positional=("library",),
)
VERIFY = Operation(
    "media.verify",
    "Read files again: are they still what they were?",
    VerifyLibrary,
    VerifyResult,
    kind=Kind.JOB,
    risk=Risk.WRITE,
    limits=Limits(max_bytes=4 * 1024 * 1024, timeout_s=None),
    audit=("library", "days", "mib_s"),
    positional=("library", "paths"),
)
DAMAGED = Operation(
    "media.damaged",
    "Files that are damaged, and where good copies are",
    ListDamaged,
    DamagedPage,
    positional=("library",),
)
HISTORY = Operation(
    "media.history",
    "What happened to a file, or in a library",
    AskHistory,
    History,
    positional=("library", "path"),
)
LIST = Operation(
    "media.list",
    "The files of a library, or of all",
    ListAssets,
    AssetPage,
    limits=Limits(timeout_s=120.0),
    positional=("library",),
)
FACETS = Operation(
    "media.facets",
    "What files can be narrowed by, with how many there are of each",
    AskFacets,
    Facets,
    positional=("library",),
)
TREE = Operation(
    "media.tree",
    "The folders of a library, with what lies below each",
    AskTree,
    FolderPage,
    limits=Limits(timeout_s=120.0),
    positional=("library",),
)
EXPORT = Operation(
    "media.export",
    "Write a list of files to a new file",
    ExportAssets,
    Exported,
    kind=Kind.JOB,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    limits=Limits(timeout_s=None),
    audit=("library", "format"),
    positional=("path",),
)
THUMBNAIL = Operation(
    "media.thumbnail",
    "A small picture of a picture or a film",
    AskThumbnail,
    Thumbnail,
    positional=("id",),
)
SHOW = Operation(
    "media.show",
    "All that is known of one file",
    ShowAsset,
    AssetDetail,
    positional=("library", "path"),
)
SOURCES = Operation(
    "media.sources",
    "Where a file came from, or the files of a library in numbers",
    AskSources,
    SourceReport,
    positional=("library", "path"),
)
CLIENTS = Operation(
    "media.clients", "The torrent clients, and which files they hold", Empty, TorrentClients
)
ASK_CLIENTS = Operation(
    "media.ask_clients",
    "Ask the torrent clients now",
    Empty,
    TorrentClients,
    risk=Risk.WRITE,
    limits=Limits(concurrent=2, timeout_s=900.0),
)
DUPLICATES = Operation(
    "media.duplicates",
    "Files with the same bytes, and which of them to keep",
    AskDuplicates,
    DuplicatePage,
    limits=Limits(timeout_s=120.0),
)
FIND_DUPLICATES = Operation(
    "media.find_duplicates",
    "Look for duplicates: in folders, or among files that are not hashed yet",
    FindDuplicates,
    FoundDuplicates,
    kind=Kind.JOB,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    limits=Limits(timeout_s=None),
    audit=("libraries",),
    positional=("paths",),
)
EXPORT_DUPLICATES = Operation(
    "media.export_duplicates",
    "Write groups of duplicates, or of pictures that look alike, to a new file",
    ExportDuplicates,
    ExportedDuplicates,
    kind=Kind.JOB,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    limits=Limits(timeout_s=None),
    audit=("libraries", "format", "near"),
    positional=("path",),
)
NEAR = Operation(
    "media.near",
    "Pictures that look alike, as far as they were compared",
    AskNear,
    NearPage,
)
COMPARE_PICTURES = Operation(
    "media.compare_pictures",
    "Compare pictures by what they show",
    ComparePictures,
    ComparedPictures,
    kind=Kind.JOB,
    risk=Risk.WRITE,
    limits=Limits(timeout_s=None),
    audit=("libraries", "distance"),
)
