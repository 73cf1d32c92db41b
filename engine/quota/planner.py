"""Plans: what to move so that a library meets its limit.

How the trash counts. A library's limit is about the files that are in it, each inode once. What a
prune moved to the trash has left the library, though on the disk it still takes its room until the
purge. So the trash counts by not being counted as used: the excess is ``used - limit``, and before
a plan is made the catalogue has looked at every path whose file went to the trash. Were the excess
taken from the disk's free space, every plan would be followed by another one for the same bytes;
were the trash taken off the excess a second time, a library that grew again would pass for one
within its limit. While a prune runs, no plan is made. A library has at most one open plan: a newer
one takes its place, and the older cannot be executed any more. A plan that a person was asked
about is kept as long as it still holds and still fits the excess.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from engine.contract.assets import Library
from engine.contract.base import Json, PathRef, now
from engine.contract.digest import digest
from engine.contract.errors import Invalid, Refused, WorldMoved
from engine.contract.holding import Copies, Holders, Inode
from engine.contract.ports import Catalogue
from engine.ground import Ground
from engine.quota import gauges, words
from engine.quota.book import OPEN, SUPERSEDED, Book, PlanRow, weigh
from engine.quota.checks import moved
from engine.quota.disk import Item, Root
from engine.quota.selection import Selection, inode_of, numbered

_RETRIES = 2
_STALE_BOUND = 10_000
_STAY_TOLD = 100
_FIRST = {
    "missing": "Mount its disk, then: ",
    "unreadable": "Make its folder readable, then: ",
}


@dataclass(frozen=True, slots=True)
class World:
    """A library as a plan finds it. Sizes in bytes."""

    library: Library
    max_bytes: int

    @property
    def root(self) -> bytes:
        return self.library.path.data

    @property
    def used(self) -> int:
        return self.library.bytes

    @property
    def excess(self) -> int:
        return self.used - self.max_bytes


class Planner:
    """``catch_up`` settles the library's trash and tells the catalogue of it. It raises Busy while
    a prune runs, and Unreachable."""

    def __init__(
        self, ground: Ground, book: Book, catch_up: Callable[[str], Awaitable[None]]
    ) -> None:
        self._ground = ground
        self._book = book
        self._catch_up = catch_up
        self._planning = asyncio.Lock()

    @property
    def _catalogue(self) -> Catalogue:
        return self._ground.use(Catalogue)  # type: ignore[type-abstract]

    @property
    def _holders(self) -> Holders:
        return self._ground.use(Holders)  # type: ignore[type-abstract]

    # --- what there is --------------------------------------------------------------------------

    async def world(self, name: str) -> World:
        """Raises NotFound or Refused where nothing can be planned."""
        library = await self._catalogue.library(name)
        limit = (await self._book.limits()).get(name)
        if limit is None:
            raise Refused(
                f"{name} has no limit.", f"Set one: arcanum quota set {name} --max-bytes 500GB"
            )
        if problem := gauges.unknown(library):
            raise Refused(
                f"How much {name} uses is not known: {problem.rstrip('.')}.",
                f"{_FIRST.get(library.state, 'Scan it: ')}arcanum media scan {name}",
            )
        return World(library, limit)

    async def _over(self, name: str) -> World:
        """Raises what ``world`` raises, and Refused where there is no excess."""
        await self._catch_up(name)
        world = await self.world(name)
        if world.excess <= 0:
            waiting = (await self._book.in_trash()).get(name)
            raise Refused(
                f"{name} is within its limit: {words.size(world.used)}"
                f" of {words.size(world.max_bytes)}"
                + (f"; {words.size(waiting)} wait in the trash." if waiting else "."),
                "There is nothing to prune.",
            )
        return world

    # --- plans ----------------------------------------------------------------------------------

    async def make(self, name: str) -> tuple[PlanRow, list[Item]]:
        """The plan for the library's excess: the open one where the world is the same."""
        async with self._planning:
            world = await self._over(name)
            if asked := await self._asked(world):
                return asked
            selection, root = await self._select(world)
            for _ in range(_RETRIES):
                if not selection.stale:
                    break
                await self._catalogue.refresh(name, selection.stale[:_STALE_BOUND])
                world = await self._over(name)
                selection, root = await self._select(world)
            items = await asyncio.to_thread(selection.items)
            if not items:
                raise Refused(
                    f"{name} is {words.size(world.excess)} over its limit, but none of its files"
                    f" can be moved: {len(selection.stale)} changed since the last scan,"
                    f" {selection.out_of_reach} are on another file system or not readable,"
                    f" {selection.held} are held by a torrent client.",
                    f"arcanum media scan {name}"
                    if selection.stale or not selection.held
                    else "Remove torrents in their client: it is asked what it holds.",
                )
            return await self._store(world, root, items, selection.moves)

    async def less(
        self, name: str, plan_id: str, keep: Sequence[str]
    ) -> tuple[PlanRow, list[Item]]:
        """Exactly that plan's files, less the kept ones and their other names.

        Raises NotFound, Refused, Invalid, or WorldMoved where they are not as planned any more.
        """
        async with self._planning:
            plan = await self._book.plan(plan_id)
            if plan.library != name:
                raise Invalid(f"{plan_id} is a plan of {plan.library}, not of {name}.")
            if plan.state != OPEN:
                raise Refused(not_open(plan), f"Make a new one: arcanum quota plan {name}")
            world = await self._over(name)
            items = await self._book.items(plan)
            problems = await moved(world.root, items, plan.root_dev, plan.root_ino)
            problems += await self.held(items)
            if problems or world.root != plan.root:
                raise WorldMoved(
                    f"{problems[0] if problems else name + ' is another folder now'}.",
                    f"Make a new plan: arcanum quota prune {name}",
                )
            if not keep:
                return plan, items
            rest = await asyncio.to_thread(_without, plan, items, keep)
            return await self._store(world, (plan.root_dev, plan.root_ino), rest, weigh(rest))

    async def _select(self, world: World) -> tuple[Selection, tuple[int, int]]:
        root = await asyncio.to_thread(Root, world.root)
        with root:
            selection = Selection(root, world.excess)
            async for batch in self._catalogue.oldest_first(world.library.name):
                held = await self._holders.held({inode_of(file) for file in batch})
                await asyncio.to_thread(selection.add, batch, held)
                if selection.complete or len(selection.stale) >= _STALE_BOUND:
                    break
            return selection, (root.dev, root.ino)

    async def _asked(self, world: World) -> tuple[PlanRow, list[Item]] | None:
        """The plan that waits for a person, where it holds and still fits the excess."""
        for plan in await self._book.plans(OPEN, library=world.library.name):
            if not plan.asked or plan.max_bytes != world.max_bytes or plan.root != world.root:
                continue
            items = await self._book.items(plan)
            if world.excess - plan.moves > plan.shortfall:
                continue
            fits = await asyncio.to_thread(needed, items, world.excess)
            if (
                fits
                and not await self.held(items)
                and not await moved(plan.root, items, plan.root_dev, plan.root_ino)
            ):
                return plan, items
        return None

    # --- torrent clients ------------------------------------------------------------------------

    async def held(self, items: Sequence[Item]) -> list[str]:
        """Which of these a torrent client holds by now, in words."""
        held = await self._holders.held(await asyncio.to_thread(_inodes, items))
        if not held:
            return []
        return [f"{item.display} {words.HELD}" for item in items if item.inode in held]

    async def seeding(self, plan: PlanRow, items: Sequence[Item]) -> words.Seeding:
        """What torrent clients hold of the files as old as these: had they not, it would go."""
        newest = None if plan.shortfall else max(item.identity.mtime_ns for item in items)
        stay = await self._holders.held_in(plan.library, newest, _STAY_TOLD)
        return words.Seeding(stay, self._holders.clients())

    async def copied(self, items: Sequence[Item]) -> words.Copied:
        """Which of these have other copies, that stay."""
        hashes = {item.blake3 for item in items if item.blake3 is not None}
        copies = self._ground.use(Copies)  # type: ignore[type-abstract]
        return await copies.copied(hashes, await asyncio.to_thread(_inodes, items))

    async def _store(
        self, world: World, root: tuple[int, int], items: list[Item], moves: int
    ) -> tuple[PlanRow, list[Item]]:
        shortfall = max(0, world.excess - moves)
        fresh = PlanRow(
            number=await self._book.next_number(),
            library=world.library.name,
            machine=self._ground.machine,
            digest="",
            state=OPEN,
            created_at=now(),
            root=world.root,
            root_dev=root[0],
            root_ino=root[1],
            max_bytes=world.max_bytes,
            used=world.used,
            target=world.excess,
            moves=moves,
            shortfall=shortfall,
            frees_on_purge=sum(item.frees for item in items),
        )
        for plan in await self._book.plans(OPEN, library=fresh.library):
            same = replace(fresh, number=plan.number)
            if await asyncio.to_thread(plan_digest, same, items) == plan.digest:
                await self._book.renew(plan, world.used, world.excess, shortfall)
                return await self._book.plan(plan.id), items
        fresh = replace(fresh, digest=await asyncio.to_thread(plan_digest, fresh, items))
        await self._book.save(fresh, items)
        return fresh, items


def _inodes(items: Sequence[Item]) -> set[Inode]:
    return {item.inode for item in items}


def needed(items: Sequence[Item], excess: int) -> bool:
    """Each file is needed: without the last one, the excess would not be met."""
    last = items[-1].inode
    return weigh(item for item in items if item.inode != last) < excess


def not_open(plan: PlanRow) -> str:
    """Why a plan cannot be executed."""
    if plan.state == SUPERSEDED:
        return f"Plan {plan.id} was replaced by a newer plan of {plan.library}."
    return f"Plan {plan.id} is {plan.state}, not open."


def _without(plan: PlanRow, items: Sequence[Item], keep: Sequence[str]) -> list[Item]:
    by_key = {item.key: item for item in items}
    if missing := [key for key in keep if key not in by_key]:
        raise Invalid(f"Plan {plan.id} has no item {missing[0]!r}.", "Use the keys of its items.")
    kept = {by_key[key].inode for key in keep}
    rest = [item for item in items if item.inode not in kept]
    if not rest:
        raise Refused("All files would be kept: nothing is left to move.", "Deny the plan instead.")
    return numbered(rest)


# --- what is approved ---------------------------------------------------------------------------


def request_of(plan: PlanRow) -> Json:
    return {"library": plan.library, "plan_id": plan.id, "keep": []}


def payload_of(plan: PlanRow, items: Sequence[Item]) -> Json:
    """What is done: in which folder, to which files."""
    return {
        "act": "prune",
        "plan_id": plan.id,
        "root": PathRef.of(plan.root).raw,
        "items": [{"key": item.key, "path": PathRef.of(item.path).raw} for item in items],
    }


def preconditions_of(plan: PlanRow, items: Sequence[Item]) -> tuple[Json, ...]:
    """What the plan relies on: first the library, then each file.

    A file's content is vouched for by its identity. Its BLAKE3 is kept with the plan, but not
    here: that a hash became known in the meantime is no change of the world.
    """
    library: Json = {
        "library": plan.library,
        "limit": plan.max_bytes,
        "root_dev": plan.root_dev,
        "root_ino": plan.root_ino,
    }
    return library, *(
        {
            "key": item.key,
            "dev": item.identity.dev,
            "ino": item.identity.ino,
            "size": item.identity.size,
            "mtime_ns": item.identity.mtime_ns,
            "ctime_ns": item.identity.ctime_ns,
            "nlink": item.identity.nlink,
        }
        for item in items
    )


def plan_digest(plan: PlanRow, items: Sequence[Item]) -> str:
    """The digest that an approval of this plan has. CPU-bound."""
    return digest(request_of(plan), payload_of(plan, items), preconditions_of(plan, items))


def index_of(items: Sequence[Item]) -> bytes:
    """The list that lies beside the trashed files: number, path, and the path's raw bytes."""
    lines = (
        {"file": item.key, "path": item.display, "raw": PathRef.of(item.path).raw} for item in items
    )
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)
