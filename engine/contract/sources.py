"""Where files came from: evidence, summaries, and the torrent clients that are asked."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from engine.contract.base import Name, PathRef, Wire
from engine.contract.traits import Provenance

SourceKind = Literal[
    "url", "torrent", "download", "remote", "credentials", "copy", "camera", "appeared"
]
"""Evidence of a file's origin.

``url``: the address that a program fetched it from, as that wrote it down. ``torrent``: a client
holds it. ``download``: a program's record of fetching it, beside it or without an address.
``remote``: it was copied from one. ``credentials``: what a C2PA manifest in it claims. ``copy``:
the same bytes are known elsewhere, and their source. ``camera``: which one took the picture.
``appeared``: nothing but when it was first met. The last three are told, and not stored.
"""

KINDS: frozenset[str] = frozenset({"url", "torrent", "download", "remote", "credentials"})
"""Those that are stored."""


def likelihood(confidence: float) -> str:
    """A confidence (0 to 1) in a word."""
    steps = ((0.95, "certain"), (0.8, "very likely"), (0.5, "likely"), (0.25, "possible"))
    return next((word for least, word in steps if confidence >= least), "doubtful")


class AskSources(Wire):
    """With ``path``: of one file. Without: what is known in a library, or in all, in numbers."""

    library: Name | None = Field(None, description="the library's name; by default all")
    path: PathRef | None = Field(None, description="one file: absolute, or below the library")


class SourceCount(Wire):
    """``files`` of which this is known; of a file with several sources each counts."""

    name: str
    files: int


class SourceSummary(Wire):
    """``known`` files have a source that says more than when they appeared. ``waiting`` ones were
    not looked into yet: nothing can be known of what they say themselves.

    ``kinds``, ``hosts`` (where files were fetched), ``trackers`` and ``cameras``: those with the
    most files, at most 100.
    """

    files: int
    known: int
    waiting: int = 0
    kinds: tuple[SourceCount, ...]
    hosts: tuple[SourceCount, ...]
    trackers: tuple[SourceCount, ...]
    cameras: tuple[SourceCount, ...]


class SourceReport(Wire):
    """Of a file its ``sources``, the most telling first; else the ``summary``."""

    library: str | None
    path: PathRef | None = None
    sources: tuple[Provenance, ...] = ()
    summary: SourceSummary | None = None


class TorrentClient(Wire):
    """A torrent client as it was found ``asked_at``. ``address`` holds no credentials.

    ``claimed``: catalogued files that it holds. ``unfound``: torrents none of whose files is where
    the client says; ``example``: the path of one, as this machine would have it.
    """

    name: str
    kind: Literal["qbittorrent", "transmission"]
    address: str
    state: Literal["ok", "failing", "not asked"]
    note: str = ""
    asked_at: datetime | None = None
    torrents: Annotated[int, Field(ge=0)] = 0
    seeding: Annotated[int, Field(ge=0)] = 0
    claimed: Annotated[int, Field(ge=0)] = 0
    unfound: Annotated[int, Field(ge=0)] = 0
    example: PathRef | None = None


class TorrentClients(Wire):
    clients: tuple[TorrentClient, ...]
