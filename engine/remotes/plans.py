"""What a copy or a sync would do: the items, their preconditions, and the plan read back."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal

from engine.contract.base import Json, PathRef, visible
from engine.contract.errors import Refused
from engine.contract.ports import Catalogue, StoredPlan
from engine.remotes import comparing, names
from engine.remotes.book import Book
from engine.remotes.comparing import Pair
from engine.remotes.inventory import Pace, Tally
from engine.remotes.local import File, Identity, Place
from engine.remotes.rc import Rc
from engine.remotes.target import Target
from engine.remotes.walking import Object

MOST_ITEMS = 100_000
"""Of one plan. What is left is for the next one, and the card says so."""

Act = Literal["send", "overwrite", "delete", "fetch"]


@dataclass(frozen=True, slots=True)
class There:
    """A file on the remote as a plan relies on it."""

    size: int
    mtime_ns: int | None
    hash: str | None

    @classmethod
    def of(cls, found: Object) -> There:
        return cls(found.size, found.mtime_ns, found.hash)

    def differs(self, now: Object | None) -> str:
        """What is different about it now, in words; empty where nothing is."""
        if now is None:
            return "is not there any more"
        if now.size != self.size:
            return "has another size there now"
        if None not in {self.mtime_ns, now.mtime_ns} and now.mtime_ns != self.mtime_ns:
            return "has another time there now"
        if None not in {self.hash, now.hash} and now.hash != self.hash:
            return "holds something else there now"
        return ""


@dataclass(frozen=True, slots=True)
class Item:
    """One file. ``path`` is below the library's root, empty for a delete, new for a fetch; ``name``
    below the remote folder. ``here`` and ``there`` are what it relies on; None: nothing is there.
    ``hash``: of the plan's kind, where the catalogue has it of these very bytes. ``key``: of its
    card's item, where there is one."""

    n: int
    act: Act
    name: str
    path: bytes = b""
    here: Identity | None = None
    there: There | None = None
    hash: str | None = None
    key: str = ""

    @property
    def size(self) -> int:
        """Bytes that are sent, or deleted there."""
        if self.here is not None:
            return self.here.size
        return max(0, self.there.size) if self.there else 0

    @property
    def shown(self) -> str:
        return PathRef.of(self.path).display if self.path else visible(self.name)


def key_of(act: Act, name: str) -> str:
    """What an item is called in ``approvals.keep``: the same in each plan that holds it."""
    return hashlib.sha256(f"{act}\0{name}".encode()).hexdigest()[:12]


@dataclass(slots=True)
class Findings:
    """What was found when the plan was made. ``there``: files that need not be sent, by how that is
    known (hash, time, size). ``left``: files that are not touched, and why. ``beyond``: those that
    are left to a next plan. ``only_there``: files that are not here.

    ``only`` (where it holds any) and ``keep`` are keys of items: what a person chose of an earlier
    plan. ``unsent``: files that would be sent and were left out by it, ``kept`` counts all."""

    only: frozenset[str] = frozenset()
    keep: frozenset[str] = frozenset()
    kept: int = 0
    unsent: int = 0
    items: list[Item] = field(default_factory=list)
    there: Counter[str] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)
    left_count: int = 0
    beyond: int = 0
    only_there: int = 0

    def leave(self, name: str, why: str) -> None:
        self.left_count += 1
        if len(self.left) < MOST_ITEMS:
            self.left.append(f"{name} {why}")

    def add(
        self,
        act: Act,
        name: str,
        here: File | None,
        there: Object | None,
        kind: str = "",
        *,
        path: bytes = b"",
    ) -> None:
        key = key_of(act, name)
        if key in self.keep:
            self.kept += 1
            self.unsent += act != "delete"
            return
        if self.only and key not in self.only:
            return  # Nobody has seen it: it is for a plan of its own.
        if len(self.items) >= MOST_ITEMS:
            self.beyond += 1
            return
        self.items.append(
            Item(
                len(self.items),
                act,
                name,
                here.path if here else path,
                here.identity if here else None,
                There.of(there) if there else None,
                here.hashes.get(kind) if here else None,
                key,
            )
        )


class Planner:
    """``deletes``: what is not here is deleted there. ``kind``: the hash that both may know."""

    def __init__(
        self, rc: Rc, book: Book, place: Place, target: Target, *, kind: str, deletes: bool
    ) -> None:
        self._rc, self._book, self._place, self._target = rc, book, place, target
        self._kind, self._deletes = kind, deletes
        self._taken: set[str] = set()

    async def find(
        self, catalogue: Catalogue, tally: Tally | None, found: Findings, pace: Pace
    ) -> Findings:
        """Compares with what was listed; None: the folder is not there yet."""
        doomed: list[Object] = []
        here = 0
        number = tally.number if tally else 0
        async for pair in comparing.pairs(self._place, catalogue, self._book, number, self._target):
            here += pair.here is not None
            pace.progress(here, self._place.total, "files", "comparing")
            if pair.here is None:
                assert pair.there is not None
                found.only_there += 1
                if self._deletes and len(doomed) < MOST_ITEMS:
                    doomed.append(pair.there)
            elif pair.here.problem:
                found.leave(PathRef.of(pair.here.path).display, pair.here.problem)
            else:
                await self._here(found, pair.here, pair)
        if self._deletes and found.only_there and not here:
            raise Refused(
                f"{self._place.name} holds no files here: a sync would delete all"
                f" {found.only_there:,} that are on {visible(self._target.fs)}.",
                "Is the disk mounted? What is there may be deleted with rclone itself.",
            )
        if self._deletes and tally and tally.unread:
            raise Refused(
                f"{tally.unread:,} folders of {self._target.fs} could not be read, so that what is"
                f" there is not known: {tally.troubles[0]}",
                "Make them readable, or copy instead of sync: it deletes nothing.",
            )
        await self._fold(found, number)
        if not found.beyond:  # The last copy of what was renamed here must not go before it.
            await self._doom(found, doomed)
        return found

    async def _here(self, found: Findings, here: File, pair: Pair) -> None:
        there = pair.there
        if there is None:
            found.add("send", here.name, here, None, self._kind)
            return
        assert here.identity is not None
        how = await self._same(here, there) if there.size in {-1, here.size} else ""
        if how:
            found.there[how] += 1
        else:
            found.add("overwrite", here.name, here, there, self._kind)

    async def _same(self, here: File, there: Object) -> str:
        """How it is known that a file of the same size need not be sent; empty: it does."""
        assert here.identity is not None
        if self._kind in here.hashes and there.hash is not None:
            return "hash" if here.hashes[self._kind] == there.hash else ""
        time_ns = there.mtime_ns
        if self._target.slow_time:
            now = await comparing.stat(self._rc, self._target, there.path)
            time_ns = now.mtime_ns if now else None
        same = comparing.same_time(self._target, here.identity.mtime_ns, time_ns)
        if same is None:
            return "size"
        return "time" if same else ""

    async def _fold(self, found: Findings, inventory: int) -> None:
        """Leaves out what would be another file there, where the remote takes two names for one.
        Only the remote can say whether it does."""
        sends: dict[str, list[Item]] = {}
        for item in found.items:
            if item.act == "send":
                sends.setdefault(names.folded(item.name), []).append(item)
        if not sends:
            return
        left: set[int] = set()
        async for there in self._book.by_path(inventory):
            for item in sends.get(names.folded(there.path), ()):
                if item.n in left or not await comparing.stat(self._rc, self._target, item.name):
                    continue
                left.add(item.n)
                self._taken.add(there.path)
                found.leave(item.shown, names.apart(item.name, there.path))
        if left:
            kept = [item for item in found.items if item.n not in left]
            found.items = [replace(item, n=n) for n, item in enumerate(kept)]

    async def _doom(self, found: Findings, doomed: list[Object]) -> None:
        """What nothing here is called is deleted there. A file that is on the disk, but not in the
        catalogue, keeps its copy."""
        for start in range(0, len(doomed), 500):
            some = doomed[start : start + 500]
            absent = await self._place.absent([each.path for each in some])
            for each, gone in zip(some, absent, strict=True):
                if names.LOST in each.path:
                    found.leave(visible(each.path), "is not UTF-8 there, and cannot be named")
                elif each.path in self._taken:
                    found.leave(visible(each.path), "is there for a file of another name here")
                elif not gone:
                    found.leave(visible(each.path), "is here, and not catalogued yet")
                else:
                    found.add("delete", each.path, None, each)


# --- the plan as it is stored -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Approved:
    """A plan as it was approved. CPU-bound to read back where it is large."""

    place: Place
    remote: str
    kind: Json
    hash: str
    bandwidth: int
    items: tuple[Item, ...]

    @property
    def total_bytes(self) -> int:
        return sum(item.size for item in self.items if item.act != "delete")


def payload_of(place: Place, target: Target, found: Findings, hash_: str, bandwidth: int) -> Json:
    """What is done: which files go where under which name, and which are deleted there."""
    return {
        "library": place.name,
        "root": PathRef.of(place.path).raw,
        "folder": PathRef.of(place.folder).raw,
        "remote": target.fs,
        "hash": hash_,
        "bandwidth": bandwidth,
        "items": [
            {
                "act": item.act,
                "name": item.name,
                "path": PathRef.of(item.path).raw,
                "hash": item.hash,
            }
            for item in found.items
        ],
    }


def preconditions_of(place: Place, target: Target, found: Findings) -> tuple[Json, ...]:
    """What the plan relies on: the library's root, what the remote's name means, then each file
    on either side."""
    whole: Json = {"root_dev": place.root[0], "root_ino": place.root[1], "remote": target.kind}
    return whole, *(
        {"here": _fields(item.here), "there": _fields(item.there)} for item in found.items
    )


def _fields(side: Identity | There | None) -> Json | None:
    if side is None:
        return None
    return {name: getattr(side, name) for name in type(side).__dataclass_fields__}


def approved(plan: StoredPlan) -> Approved:
    """Reads it back. Call it in a thread."""
    payload = plan.payload
    whole, *sides = plan.preconditions
    return Approved(
        place=Place(
            payload["library"],
            PathRef(display="", raw=payload["root"]).data,
            (whole["root_dev"], whole["root_ino"]),
            PathRef(display="", raw=payload["folder"]).data,
        ),
        remote=payload["remote"],
        kind=whole["remote"],
        hash=payload["hash"],
        bandwidth=payload["bandwidth"],
        items=tuple(
            Item(
                n,
                item["act"],
                item["name"],
                PathRef(display="", raw=item["path"]).data,
                Identity(**side["here"]) if side["here"] else None,
                There(**side["there"]) if side["there"] else None,
                item["hash"],
            )
            for n, (item, side) in enumerate(zip(payload["items"], sides, strict=True))
        ),
    )
