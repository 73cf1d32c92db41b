"""A library against an inventory: which file here is which file there, and whether they are alike.

Both sides come in the order of their names, so that neither is ever held as a whole. Only the few
files that are called otherwise there than here are kept until the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from engine.contract.base import Json
from engine.contract.ports import Catalogue
from engine.remotes.book import Book
from engine.remotes.local import File, Place
from engine.remotes.names import is_odd
from engine.remotes.rc import Rc
from engine.remotes.target import Target
from engine.remotes.walking import Object, object_of, options

_YIELD = 500
_SLACK_NS = 1_000_000
"""A clock that keeps seconds or milliseconds rounds; so much more is let pass."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What is called the same on both sides; None where a side has none."""

    here: File | None
    there: Object | None


async def pairs(
    place: Place, catalogue: Catalogue, book: Book, inventory: int, target: Target
) -> AsyncGenerator[Pair, None]:
    """Every file of either side, once."""
    odd: dict[str, File] = {}
    remote = _Remote(book.by_path(inventory))
    async for here in _here(place, catalogue, target):
        if here.name.encode() != _relative(place, here):
            odd[here.name] = here
            continue
        async for there in remote.before(here.name):
            yield Pair(None, there)
        yield Pair(here, await remote.called(here.name))
    async for there in remote.before(None):
        yield Pair(None, there)
    for here in odd.values():
        yield Pair(here, remote.odd.pop(here.name, None))
    for left in remote.odd.values():
        yield Pair(None, left)


class _Remote:
    """The list of the remote, read on as far as is asked. ``odd``: those passed that may be a file
    here of another name."""

    def __init__(self, listed: AsyncIterator[Object]) -> None:
        self._listed = listed
        self._next: Object | None = None
        self._begun = False
        self.odd: dict[str, Object] = {}

    async def before(self, name: str | None) -> AsyncIterator[Object]:
        """All up to ``name``, or to the end, that are no odd ones."""
        if not self._begun:
            self._begun = True
            self._next = await anext(self._listed, None)
        while self._next is not None and (name is None or self._next.path < name):
            if is_odd(self._next.path):
                self.odd[self._next.path] = self._next
            else:
                yield self._next
            self._next = await anext(self._listed, None)

    async def called(self, name: str) -> Object | None:
        """The next one, if it has this name."""
        found = self._next
        if found is None or found.path != name:
            return None
        self._next = await anext(self._listed, None)
        return found


async def _here(place: Place, catalogue: Catalogue, target: Target) -> AsyncIterator[File]:
    folded: set[str] = set()
    count = 0
    async for file in place.files(catalogue, bucket=target.bucket):
        count += 1
        if count % _YIELD == 0:
            await asyncio.sleep(0)
        yield _told_apart(file, folded) if target.folds_case else file


def _relative(place: Place, file: File) -> bytes:
    return file.path[len(place.folder) + 1 :] if place.folder else file.path


def _told_apart(file: File, seen: set[str]) -> File:
    """On a remote that folds case, two files of this machine may be one name there."""
    name = file.name.casefold()
    if name in seen:
        return File(
            file.path, file.name, file.identity, file.hashes, "differs from another in case alone"
        )
    seen.add(name)
    return file


async def stat(rc: Rc, target: Target, name: str, hash_kind: str = "") -> Object | None:
    """The file there as it is now, its time included; None where there is none."""
    asked: Json = options(target, hash_kind) | {"noModTime": False}
    found = await rc.ask(
        "operations/stat", f"{target.fs}/{name}", fs=target.fs, remote=name, opt=asked
    )
    item = found.get("item")
    if not isinstance(item, dict) or item.get("IsDir"):
        return None
    return object_of(item, hash_kind, timed=target.precision_ns is not None)


def same_time(target: Target, here_ns: int, there_ns: int | None) -> bool | None:
    """Whether the times are the same as far as the remote keeps them; None: it does not."""
    if target.precision_ns is None or there_ns is None:
        return None
    return abs(here_ns - there_ns) <= max(target.precision_ns, _SLACK_NS)
