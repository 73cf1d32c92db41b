"""Files with the same bytes, which of them to keep, and pictures that look alike."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from engine.contract.base import Name, PathRef, Wire
from engine.contract.integrity import Damage

MOST_COPIES = 200
"""Copies that a group names; its numbers are of all."""

Role = Literal["keep", "stay", "spare"]
Sharing = Literal["none", "some", "all", "unknown"]

_Libraries = Annotated[tuple[Name, ...], Field(max_length=100)]
_Position = Annotated[str, Field(max_length=8192)]
_Row = Annotated[int, Field(ge=0, lt=2**63)]


class FileIdentity(Wire):
    """What a plan relies on: a file that is other than this is not the one that was compared."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int
    links: int


class CopyName(Wire):
    """``path`` is relative to the library; absolute, without an id, outside of the libraries."""

    id: int | None
    library: str | None
    path: PathRef


class Copy(Wire):
    """One file on the disk (an inode), under the first of its names; ``names`` are the others.

    ``role``: 'keep' is proposed to be kept, 'spare' could go, 'stay' is neither (it is ``seeding``,
    has names that are not known here, is damaged, or cannot be reached). ``reasons`` say why, in
    words. ``seeding``: a torrent client holds it, whether it runs or is paused.
    ``shares``: how much of its bytes lies where another copy's do (reflinks); 'unknown' where that
    cannot be told. ``frees``: bytes that come free where all its names go and the kept one stays;
    0 where the role is not 'spare'.
    """

    id: int | None
    library: str | None
    path: PathRef
    names: tuple[CopyName, ...]
    identity: FileIdentity
    modified_at: datetime
    first_seen_at: datetime | None
    checked_at: datetime | None
    damage: Damage | None
    seeding: bool
    role: Role
    reasons: tuple[str, ...]
    shares: Sharing
    frees: int


class DuplicateGroup(Wire):
    """Files of the same bytes, the one to keep first. ``size`` of each; ``count`` of all, of which
    ``copies`` are the first. ``frees``: bytes, if those that are spare go."""

    blake3: str
    size: int
    count: int
    frees: int
    copies: tuple[Copy, ...]


class AskDuplicates(Wire):
    """A page in the order asked for. ``after`` is the ``next`` of the page before; ``at`` jumps.

    ``handle`` is that of a page before: the groups are as they were counted then, in number and
    order, as long as the engine remembers them.
    """

    libraries: _Libraries = Field((), description="only copies in these libraries; none: in all")
    sort: Literal["frees", "count", "path"] = Field("frees", description="the order")
    limit: Annotated[int, Field(ge=1, le=500, description="groups on a page")] = 50
    after: _Position | None = Field(
        None, description="the page behind this one: what `next` of the page before says"
    )
    at: _Row | None = Field(None, description="the page from this group on, counted from 0")
    handle: Annotated[str, Field(max_length=64)] = Field(
        "", description="with --at: the count of the page that named this"
    )


class DuplicateTotals(Wire):
    """``groups``, and ``copies`` in them (each inode once). ``frees``: bytes, at most."""

    groups: int
    copies: int
    frees: int


class DuplicatePage(Wire):
    """``totals`` are of all pages, as the catalogue knew it at ``as_of``. The disk is asked for the
    groups of a page alone: some may turn out to free less, and ``not_duplicates`` are left out
    (copies that are gone, or reflinks of one another).

    ``pending`` files are not hashed yet; ``candidates`` of them are as large as another, so they
    may be duplicates. `media.find_duplicates` reads those alone. ``unread`` files could not be
    read, so that nobody knows whether they are. ``handle`` names what was counted.
    """

    groups: tuple[DuplicateGroup, ...]
    totals: DuplicateTotals
    not_duplicates: int
    pending: int
    candidates: int
    unread: int = 0
    as_of: datetime
    handle: str = ""
    next: str | None = None


class FindDuplicates(Wire):
    """In folders, whatever lies there, or among the files of libraries that are not hashed yet."""

    paths: Annotated[tuple[PathRef, ...], Field(max_length=100)] = Field(
        (), description="folders to look into; none: the libraries"
    )
    libraries: _Libraries = Field((), description="only these libraries; none: all")
    limit: Annotated[int, Field(ge=1, le=500, description="groups that the result names")] = 50


class FoundDuplicates(Wire):
    """The groups that free most, and the numbers of all. Sizes in bytes.

    ``files`` were met, ``read_bytes`` were read to tell. ``changed`` ones were written, or gone,
    meanwhile, ``unreadable`` ones could not be read: nothing is said of either. ``skipped``: links,
    devices, other file systems. ``empty`` files are no duplicates.
    """

    groups: tuple[DuplicateGroup, ...]
    totals: DuplicateTotals
    files: int
    read_bytes: int
    changed: int
    unreadable: int
    skipped: int
    empty: int
    seconds: float


class ExportDuplicates(Wire):
    """Every group, in that order, to a new file on the engine's machine."""

    path: PathRef = Field(description="the file to write; it must not be there yet")
    format: Literal["csv", "jsonl", "md"] | None = Field(
        None, description="how; by default what the file's name ends with"
    )
    libraries: _Libraries = Field((), description="only copies in these libraries; none: in all")
    sort: Literal["frees", "count", "path"] = Field("frees", description="the order")
    near: bool = Field(False, description="pictures that look alike, instead")


class ExportedDuplicates(Wire):
    """``groups`` and the ``files`` in them, a row each. ``untold``: files of large groups that a
    group does not name. ``size`` of the file in bytes."""

    path: PathRef
    format: Literal["csv", "jsonl", "md"]
    groups: int
    files: int
    untold: int
    size: int
    seconds: float


class AskNear(Wire):
    """A page of groups, the largest first. ``after`` is the ``next`` of the page before; ``at``
    jumps."""

    libraries: _Libraries = Field((), description="only pictures in these libraries; none: in all")
    limit: Annotated[int, Field(ge=1, le=500, description="groups on a page")] = 50
    after: _Position | None = Field(
        None, description="the page behind this one: what `next` of the page before says"
    )
    at: _Row | None = Field(None, description="the page from this group on, counted from 0")


class NearPicture(Wire):
    """``distance``: of 64 bits, those that differ from the first picture of the group. ``copies``:
    files with exactly these bytes, this one included."""

    id: int
    library: str
    path: PathRef
    size: int
    width: int | None
    height: int | None
    taken_at: datetime | None
    blake3: str | None
    distance: int
    copies: int


class NearGroup(Wire):
    """Pictures that look like the first of them; other bytes each. Which of them to keep is not for
    a program to say."""

    count: int
    pictures: tuple[NearPicture, ...]


class NearPage(Wire):
    """``total`` groups. ``compared`` pictures; ``plain`` ones (one colour, almost) look like too
    much, ``failed`` ones could not be read. ``waiting`` are new, or their type is not known yet.
    ``problem``: why pictures cannot be compared here, and what helps."""

    groups: tuple[NearGroup, ...]
    total: int
    compared: int
    waiting: int
    plain: int
    failed: int
    problem: str = ""
    next: str | None = None


class ComparePictures(Wire):
    libraries: _Libraries = Field((), description="only pictures in these libraries; none: in all")
    distance: Annotated[int, Field(ge=0, le=11, description="bits of 64 that may differ")] = 6


class ComparedPictures(Wire):
    """``looked_at`` pictures were new, ``pictures`` were compared, ``near`` are in ``groups``."""

    looked_at: int
    pictures: int
    plain: int
    failed: int
    groups: int
    near: int
    seconds: float
