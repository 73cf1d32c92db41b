"""Archive files: memories as lines of JSON, compressed.

The standard library alone, and nothing that waits: the index's process reads them too.

A file is gzip. Its first line says what it is and how many memories follow, a line each, as
``Record`` is written: the uid comes first. Whoever wrote it keeps the SHA-256 of its bytes apart;
nothing is unpacked before that was compared. A file is never changed: it is written whole under
another name, or removed.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import secrets
import stat
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DRAFT = ".part"
NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}\.jsonl\.gz")
"""How archives are called. Names in order are archives in order."""
MOST = 10_000
"""Memories in a file."""
MOST_BYTES = 16 * 1024 * 1024
"""Of their lines, before they are compressed: one file is held in memory whole."""

_FORMAT, _VERSION = "arcanum-memories", 1
_LARGEST = 256 * 1024 * 1024
_UID = re.compile(rb'\{"uid":"([0-9a-f]{32})"')


class Damaged(ValueError):
    """A file that is not what was written. ``missing``: it is not there at all."""

    def __init__(self, problem: str, *, missing: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written, read back and found whole. ``size`` in bytes."""

    name: str
    memories: int
    size: int
    digest: bytes


def read_archive(path: Path, digest: bytes) -> Iterator[dict[str, Any]]:
    """The memories of a file, as ``Record`` has them. Raises Damaged."""
    for line in read_lines(path, digest):
        try:
            found = json.loads(line)
        except ValueError as error:
            raise Damaged("a line is not JSON") from error
        yield found


def read_lines(path: Path, digest: bytes) -> list[bytes]:
    """The same, unread. Raises Damaged."""
    try:
        if not stat.S_ISREG((status := path.lstat()).st_mode):
            raise Damaged("it is no plain file")
        if status.st_size > _LARGEST:
            raise Damaged("it is larger than any that was written")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise Damaged("it is not there", missing=True) from error
    except OSError as error:
        raise Damaged(error.strerror or str(error)) from error
    if hashlib.sha256(data).digest() != digest:
        raise Damaged("it is not what was written")
    return _unpacked(data)


def _unpacked(data: bytes) -> list[bytes]:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            head, *lines = (line.rstrip(b"\n") for line in file)
        told = json.loads(head)
        known = told["format"], told["version"], told["count"]
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise Damaged("it cannot be unpacked") from error
    if known != (_FORMAT, _VERSION, len(lines)):
        raise Damaged("it is not of the form that is known here")
    return lines


def uid_of(line: bytes) -> str:
    """Whose line it is. Raises Damaged."""
    if found := _UID.match(line):
        return found[1].decode("ascii")
    raise Damaged("a line names no memory")


def write_archive(folder: Path, lines: Sequence[bytes]) -> Written:
    """A new file, on the disk and read back when this returns. Raises OSError or Damaged."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}.jsonl.gz"
    target, draft = folder / name, folder / f"{name}{DRAFT}"
    packed = _packed(lines)
    digest = hashlib.sha256(packed).digest()
    try:
        with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(packed)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(target)
        _sync(folder)
        if read_lines(target, digest) != list(lines):
            raise Damaged("it does not hold what was put into it")  # noqa: TRY301 - removed below
    except BaseException:
        draft.unlink(missing_ok=True)
        target.unlink(missing_ok=True)
        raise
    return Written(name, len(lines), len(packed), digest)


def _packed(lines: Sequence[bytes]) -> bytes:
    """Line by line: one large copy would keep other threads waiting."""
    head = {"format": _FORMAT, "version": _VERSION, "count": len(lines)}
    found = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=found, compresslevel=6, mtime=0) as file:
        for line in (json.dumps(head).encode("ascii"), *lines):
            file.write(line + b"\n")
    return found.getvalue()


def remove(folder: Path, name: str) -> None:
    """Removes a file that no row names any more. Raises OSError."""
    (folder / name).unlink(missing_ok=True)
    _sync(folder)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def leftovers(folder: Path, named: frozenset[str]) -> tuple[list[Path], list[str]]:
    """What a crash may have left: drafts, and the names of files that are not in ``named``.

    What is not called as archives are is somebody else's, and no leftover.
    """
    drafts, names = [], []
    for path in folder.iterdir() if folder.is_dir() else ():
        if not NAME.fullmatch(path.name.removesuffix(DRAFT)):
            continue
        if path.name.endswith(DRAFT):
            drafts.append(path)
        elif path.name not in named:
            names.append(path.name)
    return drafts, names


def uids_without_digest(path: Path) -> list[str] | None:
    """Whose memories a file holds that nothing vouches for; None where it cannot be read."""
    try:
        if not stat.S_ISREG((status := path.lstat()).st_mode) or status.st_size > _LARGEST:
            return None
        return [uid_of(line) for line in _unpacked(path.read_bytes())]
    except (OSError, Damaged):
        return None
