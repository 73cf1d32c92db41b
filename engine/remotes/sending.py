"""Carrying out an approved copy or sync: file by file, each looked at again just before its act.

Files are sent a few at a time; then all that was sent is verified; deletes come last, and only
where everything else is right: the last copy of something must not go before the new one is there.
What rclone was in the middle of when it died is looked at again, and sent once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing, nullcontext, suppress
from dataclasses import dataclass, field

from engine.contract.errors import ArcanumError, NotFound
from engine.remotes import comparing, local
from engine.remotes.errors import RcloneGone
from engine.remotes.local import Changed, Source
from engine.remotes.names import apart, folded
from engine.remotes.plans import Item
from engine.remotes.rc import Rc
from engine.remotes.running import (
    DELETED,
    DELETING,
    SENDING,
    SENT,
    VERIFIED,
    WRONG,
    GivenUp,
    Running,
)
from engine.remotes.target import Target
from engine.remotes.walking import Object, object_of, options

_CROWDED = 4
"""Where so many files of one folder are to be verified, it is listed instead."""
_SPARSE = 50
"""A list is given up where it holds so many times as many files as are looked for."""


class Sending(Running):
    """One execution of a copy or a sync.

    Some remotes take names for one that are two here. Nobody knows which: so such files go there
    one after the other, and the second is left out where it would be the first.
    """

    _twins: Mapping[str, Twins] = {}

    async def _work(self, target: Target) -> None:
        sends, deletes = await asyncio.to_thread(_parted, self.plan.items)
        self._twins = await asyncio.to_thread(_twins, sends)
        self.state = "sending"
        with suppress(GivenUp):  # What came there is verified all the same.
            await self._each(sends, lambda item: self._send(target, item))
        self.state = "verifying"
        states = self.report.states
        sent = await asyncio.to_thread(lambda: [i for i in sends if states.get(i.n) == SENT])
        listed = await self._listed(target, sent)
        await self._each(sent, lambda item: self._verify(target, item, listed.pop(item.name, None)))
        await self._write_down()
        if deletes and self._verified < len(sends):
            self.report.problems.append(
                f"nothing was deleted there: not all of the {len(sends):,} files were sent"
            )
            return
        self.state = "deleting"
        await self._each(deletes, lambda item: self._delete(target, item))
        await self._write_down()

    # --- one file -------------------------------------------------------------------------------

    async def _send(self, target: Target, item: Item) -> None:
        assert item.here is not None
        place = self.plan.place
        twins = self._twins.get(folded(item.name))
        async with twins.turn if twins else nullcontext():
            held = await asyncio.to_thread(
                local.source, place.path, place.root, item.path, item.here
            )
            try:
                async with self._rcd.use() as rc:
                    await self._send_held(rc, target, item, held)
            finally:
                held.close()

    async def _send_held(self, rc: Rc, target: Target, item: Item, held: Source) -> None:
        again = self.report.states.get(item.n) == SENDING
        there = await comparing.stat(rc, target, item.name, self._cheap_hash(target))
        if again and there is not None and there.size <= held.identity.size:
            pass  # Ours, from before rclone died: whole or in part, it is sent once more.
        elif item.there is None and there is not None:
            other = await self._other(rc, target, item)
            why = "is there by now, and was not when the plan was made"
            raise Changed(apart(item.name, other) if other else why)
        elif item.there is not None and (moved := item.there.differs(there)):
            raise Changed(moved)
        await self._begin(item, SENDING)
        try:
            await rc.ask(
                "operations/copyfile",
                target.fs,
                srcFs=held.fs,
                srcRemote=held.remote,
                dstFs=target.fs,
                dstRemote=item.name,
                _group=self._group,
                # What is there was just looked at: once is enough.
                _config={"NoCheckDest": there is None},
            )
            held.still()
        except RcloneGone:
            raise
        except (ArcanumError, Changed):
            self.report.states.pop(item.n, None)
            raise
        self._bytes += item.size
        await self._end(item, SENT)

    async def _other(self, rc: Rc, target: Target, item: Item) -> str:
        """The file there, of another name, that the remote takes for this one; "" for none."""
        name, sent = folded(item.name), self.report.states
        twins = self._twins.get(name)
        for other in twins.items if twins else ():
            if other.n != item.n and sent.get(other.n) in {SENT, VERIFIED}:
                return other.name
        other_name = ""
        folder = item.name.rpartition("/")[0]
        entries = rc.entries(target.fs, target.fs, folder, options(target, ""))
        async with aclosing(entries) as batches:
            async for batch in batches:
                for path in (str(entry.get("Path", "")) for entry in batch):
                    if path == item.name:
                        return ""
                    if folded(path) == name:
                        other_name = path
        return other_name

    def _cheap_hash(self, target: Target) -> str:
        return "" if target.slow_hash else self.plan.hash

    async def _listed(self, target: Target, sent: Sequence[Item]) -> dict[str, Object]:
        """What folders that got many files tell of them: to ask for each takes as long as to send
        it. What could not be listed is asked for one by one."""
        if target.slow_hash and self.plan.hash:
            return {}  # It would read every other file there as well.
        found: dict[str, Object] = {}
        folders = await asyncio.to_thread(_crowded, sent)
        asked = options(target, self.plan.hash) | {"noModTime": True}

        async def one(folder: tuple[str, set[str]]) -> None:
            path, wanted = folder
            left = _SPARSE * len(wanted)
            async with (
                self._rcd.use() as rc,
                aclosing(rc.entries(target.fs, target.fs, path, asked)) as batches,
            ):
                async for entries in batches:
                    for entry in entries:
                        if str(entry.get("Path", "")) in wanted and not entry.get("IsDir"):
                            there = object_of(entry, self.plan.hash, timed=False)
                            found[there.path] = there
                    left -= len(entries)
                    if left < 0:
                        return

        with suppress(ArcanumError):
            await self._spread(folders, one)
        return found

    async def _verify(self, target: Target, item: Item, listed: Object | None) -> None:
        """What is there now is what is here now, as far as the remote can tell."""
        async with self._rcd.use() as rc:
            wrong = "not listed" if listed is None else await self._wrong(rc, item, listed)
            if wrong:  # A list may be older than what was sent.
                there = await comparing.stat(rc, target, item.name, self.plan.hash)
                wrong = await self._wrong(rc, item, there)
        await self._end(item, WRONG if wrong else VERIFIED)
        if wrong:
            raise Changed(wrong)
        self._verified += 1

    async def _wrong(self, rc: Rc, item: Item, there: Object | None) -> str:
        """How the file there differs from the one here; empty where it does not."""
        assert item.here is not None
        plan = self.plan
        if there is None or there.size not in {-1, item.here.size}:
            return "is not there as it was sent"
        if plan.hash and there.hash is not None:
            ours = item.hash or await local.hash_of(rc, plan.place, item.path, item.here, plan.hash)
            if ours != there.hash:
                return f"has another {plan.hash} there than here"
            self.report.by_hash += 1
        return ""

    async def _delete(self, target: Target, item: Item) -> None:
        assert item.there is not None
        if not (await self.plan.place.absent([item.name]))[0]:
            raise Changed("is here again: it was not deleted there")
        async with self._rcd.use() as rc:
            there = await comparing.stat(rc, target, item.name, self._cheap_hash(target))
            if there is None and self.report.states.get(item.n) == DELETING:
                await self._end(item, DELETED)  # Before rclone died.
                return
            if moved := item.there.differs(there):
                raise Changed(moved)
            await self._begin(item, DELETING)
            with suppress(NotFound):
                await rc.ask("operations/deletefile", target.fs, fs=target.fs, remote=item.name)
        await self._end(item, DELETED)


def _parted(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Those that are sent, and those that are deleted there."""
    sends = [item for item in items if item.act != "delete"]
    return sends, [item for item in items if item.act == "delete"]


@dataclass(frozen=True, slots=True)
class Twins:
    """Files whose names are one where names are folded."""

    items: tuple[Item, ...]
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


def _twins(items: Sequence[Item]) -> dict[str, Twins]:
    by_name: dict[str, list[Item]] = {}
    for item in items:
        by_name.setdefault(folded(item.name), []).append(item)
    return {name: Twins(tuple(same)) for name, same in by_name.items() if len(same) > 1}


def _crowded(items: Sequence[Item]) -> list[tuple[str, set[str]]]:
    """The remote folders that hold many of these, with their names."""
    folders: dict[str, set[str]] = {}
    for item in items:
        folders.setdefault(item.name.rpartition("/")[0], set()).add(item.name)
    return [(path, names) for path, names in folders.items() if len(names) >= _CROWDED]
