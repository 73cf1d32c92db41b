"""The job that lists a remote: what is there, how much, and of what hash."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from engine.contract.base import PathRef
from engine.contract.ports import JobControl
from engine.contract.remotes import MOST_SHOWN, FolderSize, Inventory, RemoteFile
from engine.remotes.book import Book
from engine.remotes.rc import Rc
from engine.remotes.target import Target
from engine.remotes.walking import Object, walk
from engine.remotes.words import when

_LARGEST = 20
_TROUBLES = 20


@dataclass(slots=True)
class Tally:
    """How much was listed. ``unread`` folders could not be."""

    number: int = 0
    files: int = 0
    bytes: int = 0
    hashed: int = 0
    unread: int = 0
    troubles: list[str] = field(default_factory=list)


async def take(
    rc: Rc, book: Book, target: Target, hash_kind: str, control: JobControl | None
) -> Tally:
    """Lists everything into the book, under a number that tells nothing yet.

    Whoever asked finishes it, or drops it. What breaks off, or is cancelled, leaves nothing.
    """
    tally = Tally(number=await book.begin(target, hash_kind))
    try:
        async for batch in walk(rc, target, hash_kind):
            if control is not None:
                await control.checkpoint()
                control.progress(tally.files, None, "files")
            if batch.unread is not None:
                tally.unread += 1
                if len(tally.troubles) < _TROUBLES:
                    tally.troubles.append(f"{batch.unread[0]}: {batch.unread[1]}")
            if batch.objects:
                await book.put(tally.number, batch.objects)
                tally.files += len(batch.objects)
                tally.bytes += sum(max(0, each.size) for each in batch.objects)
                tally.hashed += sum(each.hash is not None for each in batch.objects)
    except BaseException:
        await book.drop(tally.number)
        raise
    return tally


async def inventory(
    rc: Rc, book: Book, target: Target, control: JobControl, *, kind: str
) -> Inventory:
    """Takes it and keeps it in place of the one before."""
    started = time.monotonic()
    tally = await take(rc, book, target, kind, control)
    await book.finish(tally.number, tally.files, tally.bytes)
    folders = await book.folders(tally.number, MOST_SHOWN)
    largest = await book.largest(tally.number, _LARGEST)
    return Inventory(
        remote=target.fs,
        hash=kind,
        files=tally.files,
        bytes=tally.bytes,
        hashed=tally.hashed,
        folders=tuple(FolderSize(name=n, files=f, bytes=b) for n, f, b in folders),
        largest=tuple(map(_told, largest)),
        unread=tally.unread,
        troubles=tuple(tally.troubles),
        seconds=time.monotonic() - started,
    )


def _told(file: Object) -> RemoteFile:
    return RemoteFile(
        path=PathRef.of(file.path),
        size=max(0, file.size),
        modified_at=None if file.mtime_ns is None else when(file.mtime_ns),
        hash=file.hash,
    )
