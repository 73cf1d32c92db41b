"""The remotes room: what rclone reaches is listed, compared, and sent to after a yes."""

from __future__ import annotations

import asyncio
import os

from engine.contract import remotes
from engine.contract.base import Empty, PathRef, visible
from engine.contract.call import Call
from engine.contract.errors import ArcanumError, NotFound
from engine.contract.ports import JobControl
from engine.ground import Ground
from engine.remotes import inventory, local, target
from engine.remotes.acts import SendActs
from engine.remotes.book import Listed
from engine.remotes.checking import Checking
from engine.remotes.rc import Rc
from engine.remotes.reach import Reach
from engine.remotes.transfers import Transfers
from engine.remotes.words import when
from engine.store import Transaction

_PROBE_S = 10.0
_PROBES = 8
_HOLDERS = 50


class RemotesRoom:
    """rclone is started with the first operation that needs it."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._reach = Reach(ground)
        self._book = self._reach.book
        self._transfers = Transfers(self._reach.rcd, int(ground.config.remotes.bandwidth))

    async def start(self) -> None:
        await self._book.drop_broken()
        door = self._ground.door
        door.unary(remotes.LIST, self._list)
        door.job(remotes.INVENTORY, self._inventory, lambda request: request.remote)
        door.job(remotes.CHECK, self._check, lambda request: f"{request.library} {request.remote}")
        door.high(remotes.COPY, SendActs(self._reach, self._transfers, deletes=False))
        door.high(remotes.SYNC, SendActs(self._reach, self._transfers, deletes=True))
        door.unary(remotes.TRANSFERS, self._list_transfers)
        door.unary(remotes.PAUSE, self._pause)
        door.unary(remotes.RESUME, self._resume)
        door.unary(remotes.CANCEL, self._cancel)
        door.unary(remotes.LIMIT, self._limit)
        door.unary(remotes.FIND, self._find)

    async def stop(self) -> None:
        await self._transfers.stop()
        await self._reach.rcd.stop()

    # --- what there is --------------------------------------------------------------------------

    async def _list(self, request: remotes.ListRemotes, _call: Call) -> remotes.RemoteList:
        listed = await self._book.listed()
        async with self._reach.rcd.use() as rc:
            names = await target.remotes(rc)
            paths = await rc.ask("config/paths", within_s=_PROBE_S)
            few = asyncio.Semaphore(_PROBES)
            found = await asyncio.gather(
                *(self._one(rc, name, listed, few if request.probe else None) for name in names)
            )
        return remotes.RemoteList(
            rclone=self._reach.rcd.version,
            config=PathRef.of(str(paths.get("config", ""))),
            remotes=tuple(found),
        )

    async def _one(
        self, rc: Rc, name: str, listed: list[Listed], few: asyncio.Semaphore | None
    ) -> remotes.Remote:
        type_, where = await target.about(rc, name)
        mine = [each for each in listed if each.remote == f"{name}:"]
        found = remotes.Remote(
            name=visible(name),
            type=type_,
            where=where,
            files=sum(each.files for each in mine) if mine else None,
            bytes=sum(each.bytes for each in mine) if mine else None,
            listed_at=when(min(each.at for each in mine)) if mine else None,
        )
        if few is None:
            return found
        async with few:
            problem = await _problem(rc, f"{name}:")
        return found.model_copy(update={"reachable": not problem, "problem": problem})

    async def _inventory(
        self, request: remotes.TakeInventory, control: JobControl
    ) -> remotes.Inventory:
        async with self._reach.rcd.use() as rc:
            found = await target.resolve(rc, request.remote)
            kind = self._reach.kind(found) if request.hashes else self._reach.cheap(found)
            result = await inventory.inventory(rc, self._book, found, control, kind=kind)
        event = remotes.InventoryTaken(
            remote=result.remote,
            files=result.files,
            bytes=result.bytes,
            machine=self._ground.machine,
        )

        async def work(tx: Transaction) -> None:
            await tx.emit(event)

        await self._ground.state.write(work)
        return result

    async def _check(
        self, request: remotes.CheckRemote, control: JobControl
    ) -> remotes.CheckResult:
        catalogue = await self._reach.catalogue()
        place = await local.place(catalogue, request.library, request.folder)
        async with self._reach.rcd.use() as rc:
            found = await target.resolve(rc, request.remote)
            checking = Checking(
                rc,
                self._book,
                catalogue,
                place=place,
                target=found,
                kind=self._reach.kind(found),
            )
            return await checking.run(control)

    async def _find(self, request: remotes.FindFile, _call: Call) -> remotes.Holders:
        catalogue = await self._reach.catalogue()
        library = await catalogue.library(request.library)
        path = local.below(library, request.path)
        file = await catalogue.file(library.name, path)
        if file is None:
            raise NotFound(
                f"There is no file {request.path.display} in the library {library.name}.",
                f"arcanum media list {library.name} names its files.",
            )
        hashes = [(kind, bytes.fromhex(value)) for kind, value in file.digests.items()]
        if file.blake3 is not None:
            hashes.append(("blake3", bytes.fromhex(file.blake3)))
        name = os.path.basename(path).decode("utf-8", "replace")
        held = await self._book.holders(hashes, file.size, name, _HOLDERS)
        return remotes.Holders(
            library=library.name,
            path=PathRef.of(path),
            size=file.size,
            holders=tuple(
                remotes.Holder(
                    remote=visible(f"{each.remote}{each.folder}"),
                    path=PathRef.of(each.path),
                    by=each.by,
                    at=when(each.at),
                )
                for each in held
            ),
        )

    # --- what runs ------------------------------------------------------------------------------

    async def _list_transfers(self, _request: Empty, _call: Call) -> remotes.TransferList:
        return self._transfers.told()

    async def _pause(self, request: remotes.ApprovalOf, _call: Call) -> remotes.TransferList:
        self._transfers.find(request.id).pause()
        return self._transfers.told()

    async def _resume(self, request: remotes.ApprovalOf, _call: Call) -> remotes.TransferList:
        self._transfers.find(request.id).resume()
        return self._transfers.told()

    async def _cancel(self, request: remotes.ApprovalOf, call: Call) -> remotes.TransferList:
        self._transfers.find(request.id).stop(f"cancelled by {call.actor}")
        return self._transfers.told()

    async def _limit(self, request: remotes.SetBandwidth, _call: Call) -> remotes.TransferList:
        await self._transfers.limit(int(request.bandwidth))
        return self._transfers.told()


async def _problem(rc: Rc, fs: str) -> str:
    """Why the remote does not answer; empty where it does."""
    try:
        await rc.ask(
            "operations/list",
            fs,
            within_s=_PROBE_S,
            fs=fs,
            remote="",
            opt={"dirsOnly": True, "noModTime": True, "noMimeType": True},
        )
    except ArcanumError as error:
        return error.message
    return ""
