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
    ScanResult,
)
from engine.contract.base import Empty
from engine.contract.call import ONLY_OPERATOR
from engine.contract.events import Event
from engine.contract.operation import Kind, Limits, Operation, Risk


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
    LibraryName,
    ScanResult,
    kind=Kind.JOB,
    risk=Risk.WRITE,
    limits=Limits(timeout_s=None),
    audit=("library",),
    positional=("library",),
)
LIST = Operation(
    "media.list", "The files of a library", ListAssets, AssetPage, positional=("library",)
)
