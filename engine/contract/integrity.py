"""Whether catalogued files still hold what they held, and what happened to each of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from engine.contract.base import Name, PathRef, Wire

HashKind = Literal["md5", "sha1", "sha256"]
Damage = Literal["rotten", "unreadable"]
What = Literal["moved", "changed", "gone", "returned", "rotten", "unreadable", "mended"]

MOST_SHOWN = 200
"""Files that a result names, of each kind; the numbers are of all."""


class VerifyLibrary(Wire):
    """``paths`` and ``against`` are absolute or relative to the library's root; no ``paths``: all
    of its files."""

    library: Annotated[Name, Field(description="the library's name")]
    paths: Annotated[tuple[PathRef, ...], Field(max_length=500)] = Field(
        (), description="only these files and folders"
    )
    days: Annotated[int, Field(ge=0, le=36_500)] | None = Field(
        None, description="only files that were not read for so many days"
    )
    against: PathRef | None = Field(
        None, description="a checksum list (of md5sum, sha256sum, b3sum, …) to compare with instead"
    )
    remote: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        None, description="also compare with a remote: REMOTE:FOLDER, by the hash that it has"
    )
    hashes: tuple[HashKind, ...] = Field(
        (), description="only files that have no such hash yet: it is made in the same reading"
    )
    mib_s: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        0, description="read at most so many MiB a second; 0: as fast as the disk can"
    )


class GoodCopy(Wire):
    """Another catalogued file with the bytes that a damaged one had. ``path`` is relative to its
    library; ``checked_at``: when it was last read and was right."""

    library: str
    path: PathRef
    checked_at: datetime | None


class RemoteCopy(Wire):
    """A file on a remote, as an inventory told ``at`` that time. ``by``: the hash by which it is
    the same; "size" where only size and name are, so that it is not sure."""

    remote: str
    path: PathRef
    by: str
    at: datetime


class Damaged(Wire):
    """A file that is not, or cannot be read as, what it was. ``blake3`` is of what it held.

    ``rotten``: other bytes, though size, times and inode are as they were. ``copies`` are a few of
    the good ones in libraries, ``remotes`` of those on remotes; nothing is put back by itself.
    """

    library: str
    id: int
    path: PathRef
    size: int
    damage: Damage
    blake3: str
    reason: str
    since: datetime | None
    copies: tuple[GoodCopy, ...]
    remotes: tuple[RemoteCopy, ...] = ()


class Trouble(Wire):
    """A file, or a line of a list (``line``, from 1), of which more is to be said than a number.

    ``edited``: it had changed since the last look. ``too_fresh``: other bytes, and times so young
    that it cannot be told from an edit. ``refused``: it may not be read. Against a list:
    ``differing``, ``missing``, ``unreadable``, ``extra`` and ``bad_line``; against a remote, too,
    ``unsure``: it could not be compared, or by its size alone.
    """

    kind: Literal[
        "edited",
        "too_fresh",
        "refused",
        "differing",
        "missing",
        "unreadable",
        "extra",
        "bad_line",
        "unsure",
    ]
    path: PathRef | None = None
    line: int | None = None
    why: str = ""


class Compared(Wire):
    """A library against a checksum list. ``bad_lines`` could not be understood; ``extra`` files lie
    where the list lies, or below, and are not in it.

    Against a ``remote``: ``entries`` are its files, ``extra`` ones are not there, ``missing`` ones
    not here; ``hash``: what was compared, "" where the remote has none.
    """

    entries: int
    matching: int
    differing: int
    missing: int
    extra: int
    unreadable: int
    bad_lines: int
    unsure: int = 0
    remote: str = ""
    hash: str = ""


class VerifyResult(Wire):
    """What was read, and what of it is damaged. Sizes in bytes.

    ``edited`` files had changed since the last look: they were taken in anew. ``fresh`` ones hold
    other bytes, and were touched so lately that nobody can tell rot from an edit. ``refused`` ones
    may not be read (their permissions). ``pending`` were never hashed, ``unread`` of them because
    they could not be read, so nothing can be said of them.
    ``damaged`` names the first files that were found damaged, ``troubles`` the first of each kind.
    """

    library: str
    checked: int
    checked_bytes: int
    intact: int
    rotten: int
    unreadable: int
    mended: int
    edited: int
    fresh: int = 0
    refused: int
    pending: int
    unread: int = 0
    damaged: tuple[Damaged, ...]
    troubles: tuple[Trouble, ...]
    compared: Compared | None = None
    seconds: float


class ListDamaged(Wire):
    library: Name | None = Field(None, description="only in this library")
    limit: Annotated[int, Field(ge=1, le=1000, description="files on a page")] = 100
    after: Annotated[int, Field(ge=0)] | None = Field(
        None, description="the page behind this one: what `next` of the page before says"
    )


class DamagedPage(Wire):
    """In the order in which they came into the catalogue. ``total`` is of all pages."""

    damaged: tuple[Damaged, ...]
    total: int
    next: int | None = None


class AskHistory(Wire):
    """Of one file (``path``, absolute or relative to the root, or ``id``), or of the library."""

    library: Annotated[Name, Field(description="the library's name")]
    path: PathRef | None = Field(
        None, description="the file, by where it is, or was before it went"
    )
    id: Annotated[int, Field(ge=1)] | None = Field(None, description="the file, by its number")
    limit: Annotated[int, Field(ge=1, le=1000, description="happenings on a page")] = 100
    before: Annotated[int, Field(ge=1)] | None = Field(
        None, description="the page behind this one: what `next` of the page before says"
    )


class Happening(Wire):
    """``library`` and ``path`` say where the file was before, ``size`` and ``blake3`` what it held.

    ``note``: of a rotten file the BLAKE3 that was found, of an unreadable one the reason, of a
    changed one 'unread' or, where only its change time moved, 'touched' until it was read.
    ``approval``: by the yes to which a file went to the trash, or by whose undo it came back.
    """

    id: int
    at: datetime
    what: What
    library: str
    path: PathRef
    file: int
    size: int
    blake3: str | None
    note: str
    approval: int | None = None


class FileNow(Wire):
    """How a file stands. ``checked_at``: when it was last read whole and held what it should."""

    id: int
    library: str
    path: PathRef
    size: int
    blake3: str | None
    hashes: dict[str, str]
    first_seen_at: datetime
    checked_at: datetime | None
    damage: Damage | None


class History(Wire):
    """Newest first. ``file`` is None where a library was asked for, or the file is gone."""

    library: str
    file: FileNow | None
    happenings: tuple[Happening, ...]
    next: int | None = None
