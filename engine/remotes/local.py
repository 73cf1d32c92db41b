"""The library's side: what is catalogued, held against the disk, and handed to rclone.

A row of the catalogue is a hint. What counts is the identity that the disk tells now; a hash of
the catalogue holds only where that is the one it was made of.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from engine.contract.assets import Library
from engine.contract.base import PathRef, visible
from engine.contract.errors import Invalid, Refused
from engine.contract.ports import TRASH_FOLDER, Catalogue, CatalogueFile
from engine.remotes import names
from engine.remotes.rc import Rc
from engine.worker.files import open_below

_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_BATCH = 500
_SMALL = 1 << 20
_OURS = frozenset({"md5", "sha1", "sha256"})
_FIRST = {
    "missing": "Mount its disk, then: ",
    "unreadable": "Make its folder readable, then: ",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a file this file, and these bytes."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Identity:
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class File:
    """A regular file as the disk has it now. ``path`` is below the library's root, ``name`` what it
    is called on the remote. ``hashes``: those that the catalogue has of these very bytes.

    ``problem``: why nothing can be said of it, or done with it.
    """

    path: bytes
    name: str
    identity: Identity | None
    hashes: dict[str, str]
    problem: str = ""

    @property
    def size(self) -> int:
        return self.identity.size if self.identity else 0


class Changed(Exception):
    """A file is not what it was. Its text says how."""


@dataclass(frozen=True, slots=True)
class Place:
    """A library, or the ``folder`` of it that is looked at. ``path`` is its root's, and ``root``
    that folder's device and inode. ``total``: its files, where they are known. ``inner``: where in
    the folder other libraries begin, which have their own copies to compare with."""

    name: str
    path: bytes
    root: tuple[int, int]
    folder: bytes = b""
    total: int | None = None
    inner: frozenset[bytes] = frozenset()

    def is_anothers(self, name: str) -> bool:
        """Whether what has this name there would lie in another library here."""
        return bool(self.inner) and any(map(self._is_inner, names.candidates(name)))

    def _is_inner(self, path: bytes) -> bool:
        return any(path == place or path.startswith(place + b"/") for place in self.inner)

    async def files(self, catalogue: Catalogue, *, bucket: bool) -> AsyncIterator[File]:
        """Its catalogued files that are on the disk, by path. Those that went are left out.

        ``bucket``: they are named as in one.
        """
        async for batch in catalogue.by_path(self.name, self.folder):
            for start in range(0, len(batch), _BATCH):
                some = batch[start : start + _BATCH]
                for file in await asyncio.to_thread(self._look, some, bucket):
                    if file is not None:
                        yield file
                await asyncio.sleep(0)

    def _look(self, batch: Sequence[CatalogueFile], bucket: bool) -> list[File | None]:
        with opened(self.path, self.root) as root:
            return [self._file(root, row, bucket) for row in batch]

    def _file(self, root: int, row: CatalogueFile, bucket: bool) -> File | None:
        below_ = row.path[len(self.folder) + 1 :] if self.folder else row.path
        if self._is_inner(below_):
            return None  # It was added just now, and takes its files.
        name = names.to_remote(below_, bucket=bucket)
        try:
            found = os.stat(row.path, dir_fd=root, follow_symlinks=False)
            problem = "" if stat.S_ISREG(found.st_mode) else "is no regular file any more"
            if not problem and names.is_written(below_, bucket=bucket):
                problem = self._clash(root, name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return File(row.path, name, None, {}, f"cannot be read: {error.strerror}")
        identity = Identity.of(found)
        same = identity == Identity(row.dev, row.ino, row.size, row.mtime_ns, row.ctime_ns)
        known = dict(row.digests) | ({"blake3": row.blake3} if row.blake3 else {})
        return File(row.path, name, identity, known if same else {}, problem)

    def _clash(self, root: int, name: str) -> str:
        """Two files must not become one there."""
        other = self.folder + b"/" + names.plain(name) if self.folder else names.plain(name)
        try:
            os.stat(other, dir_fd=root, follow_symlinks=False)
        except OSError:
            return ""
        return f"would be called {visible(name)} there, as another file is"

    async def absent(self, remote_names: Sequence[str]) -> list[bool]:
        """Of each name whether no file here has it. Raises Refused where the root is away."""

        def look() -> list[bool]:
            with opened(self.path, self.root) as root:
                return [self.is_absent(root, name) for name in remote_names]

        return await asyncio.to_thread(look)

    def is_absent(self, root: int, name: str) -> bool:
        """No file here has this name there. What cannot be looked at may be one. Blocking."""
        for path in names.candidates(name):
            full = self.folder + b"/" + path if self.folder else path
            try:
                os.stat(full, dir_fd=root, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError):
                return False
            return False
        return True


async def place(catalogue: Catalogue, name: str, folder: PathRef | None) -> Place:
    """Raises NotFound, Invalid, or Refused where the library is not there or never was read."""
    library = await catalogue.library(name)
    if library.state in {"missing", "unreadable"} or library.last_scan_at is None:
        why = library.note or ("it was never scanned" if library.state == "ok" else library.state)
        raise Refused(
            f"What is in {name} is not known: {why.rstrip('.')}.",
            f"{_FIRST.get(library.state, 'Scan it: ')}arcanum media scan {name}",
        )
    inside = below(library, folder)
    inner = await _inner(catalogue, library, inside)
    root = await asyncio.to_thread(_identity_of, library.path.data)
    # As it is now: what an event has not told yet must be neither missing there nor deleted there.
    looked_at = [inside] if inside else await asyncio.to_thread(_entries, library.path.data)
    await catalogue.refresh(name, looked_at)
    total = None if inside else (await catalogue.library(name)).files
    return Place(name, library.path.data, root, inside, total, inner)


async def _inner(catalogue: Catalogue, library: Library, inside: bytes) -> frozenset[bytes]:
    """Where in a folder of the library others begin. Raises Invalid where it is another's itself:
    a file belongs to the innermost library."""
    root = library.path.data
    whole = os.path.join(root, inside) if inside else root
    others = [each for each in await catalogue.libraries() if each.name != library.name]
    for other in others:
        place = other.path.data
        if place.startswith(root + b"/") and (whole + b"/").startswith(place + b"/"):
            raise Invalid(
                f"{PathRef.of(inside).display} is in the library {other.name}, and not in"
                f" {library.name}.",
                f"Name {other.name}.",
            )
    return frozenset(
        each.path.data[len(whole) + 1 :]
        for each in others
        if each.path.data.startswith(whole + b"/")
    )


def moved(root: int, path: bytes, identity: Identity) -> str:
    """How the file differs from what it was, in words; empty where it does not. Blocking."""
    try:
        found = os.stat(path, dir_fd=root, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return "is gone"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if Identity.of(found) == identity else "was changed"


def is_free(root: int, path: bytes) -> bool:
    """Nothing has this path. What cannot be looked at may. Blocking."""
    try:
        os.stat(path, dir_fd=root, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def below(library: Library, folder: PathRef | None) -> bytes:
    """The path below the library's root. Raises Invalid."""
    if folder is None:
        return b""
    try:
        path = folder.data
    except ValueError as error:
        raise Invalid("The folder's raw form is not base64.", "Encode its bytes.") from error
    root = library.path.data
    path = os.path.relpath(path, root) if path.startswith(b"/") else os.path.normpath(path)
    if path == b".":
        return b""
    if b"\0" in path or path == b".." or path.startswith((b"../", b"/")):
        raise Invalid(f"{folder.display} is not in {library.name}.", "Name a folder of it.")
    return path


def _entries(path: bytes) -> list[bytes]:
    with opened(path, None) as root:
        return [os.fsencode(name) for name in os.listdir(root) if os.fsencode(name) != TRASH_FOLDER]


def _identity_of(path: bytes) -> tuple[int, int]:
    with opened(path, None) as root:
        found = os.fstat(root)
        return found.st_dev, found.st_ino


@contextmanager
def opened(path: bytes, identity: tuple[int, int] | None) -> Iterator[int]:
    """The root as a descriptor. Raises Refused where it is away, or another folder. Blocking."""
    shown = PathRef.of(path).display
    try:
        root = os.open(path, _ROOT)
    except OSError as error:
        raise Refused(
            f"{shown} cannot be read: {error.strerror}.", "Is the disk mounted?"
        ) from error
    try:
        found = os.fstat(root)
        if identity is not None and (found.st_dev, found.st_ino) != identity:
            raise Refused(f"{shown} is another folder than before.", "Look at it, and plan anew.")
        yield root
    finally:
        os.close(root)


class Source:
    """A file that is held open, so that what rclone reads is what was checked.

    On Linux rclone reads it through our descriptor: neither a link that takes a folder's place nor
    a name that it cannot be told comes in between.
    """

    def __init__(self, fd: int, path: bytes, identity: Identity) -> None:
        self.fd = fd
        self.identity = identity
        ours = f"/proc/{os.getpid()}/fd"
        if os.path.isdir(ours):
            self.fs, self.remote = f":local,copy_links:{ours}", str(fd)
        else:
            folder, _, name = path.rpartition(b"/")
            self.fs, self.remote = os.fsdecode(folder) or "/", names.to_remote(name)

    def close(self) -> None:
        os.close(self.fd)

    def still(self) -> None:
        """Raises Changed where its bytes may be others by now."""
        if Identity.of(os.fstat(self.fd)) != self.identity:
            raise Changed("was changed meanwhile")


def source(path: bytes, root: tuple[int, int], below: bytes, identity: Identity) -> Source:
    """The file, if it is the one that ``identity`` names. Raises Changed, Refused. Blocking."""
    with opened(path, root) as folder:
        try:
            fd = open_below(folder, below)
        except FileNotFoundError:
            raise Changed("is gone") from None
        except OSError as error:
            raise Changed(f"cannot be read: {error.strerror}") from error
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or Identity.of(found) != identity:
        os.close(fd)
        raise Changed("is not the file that was planned: it was changed")
    return Source(fd, os.path.join(path, below), identity)


async def hash_of(rc: Rc, place_: Place, path: bytes, identity: Identity, kind: str) -> str:
    """A hash of the file, which is read for it. Raises Changed, or what rclone says."""
    held = await asyncio.to_thread(source, place_.path, place_.root, path, identity)
    try:
        if identity.size <= _SMALL and kind in _OURS:  # Sooner read than asked for.
            made = await asyncio.to_thread(_digest, held.fd, kind)
            held.still()
            return made
        found = await rc.ask(
            "operations/stat",
            PathRef.of(path).display,
            fs=held.fs,
            remote=held.remote,
            opt={"showHash": True, "hashTypes": [kind], "noMimeType": True},
        )
        held.still()
    finally:
        held.close()
    theirs = ((found.get("item") or {}).get("Hashes") or {}).get(kind)
    if not theirs:
        raise Changed(f"gave no {kind}")
    return str(theirs)


def _digest(fd: int, kind: str) -> str:
    """Of a small file. Raises Changed. Blocking."""
    try:
        return hashlib.new(kind, os.pread(fd, _SMALL, 0), usedforsecurity=False).hexdigest()
    except OSError as error:
        raise Changed(f"cannot be read: {error.strerror}") from error
