"""The real engine with the media and the remotes room, a library, and real rclone behind it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from engine.config import Config, RemotesConfig
from engine.contract import approvals, assets, jobs, media, remotes
from engine.contract.approvals import Approval
from engine.contract.base import Empty, PathRef, Wire
from engine.contract.call import Call
from engine.contract.client import Done, Pending
from engine.contract.errors import from_wire
from engine.contract.jobs import ENDED, Job, JobId, JobState
from engine.contract.operation import Operation
from engine.contract.remotes import CheckResult, Inventory, RemoteList, TransferList
from engine.core.engine import Engine
from engine.home import Home
from engine.remotes.room import RemotesRoom
from tests.fakes.waiting import until


class House:
    """``films`` is the library's folder."""

    def __init__(self, engine: Engine, films: Path) -> None:
        self.engine = engine
        self.films = films
        self.gate = engine.gate

    async def call(self, operation: Operation[Any, Any], request: Wire | None = None) -> Any:
        done = await self.gate.call(operation, request or Empty(), Call())
        assert isinstance(done, Done), done
        return done.result

    async def start(self, operation: Operation[Any, Any], request: Wire) -> int:
        return int((await self.call(operation, request)).job_id)

    async def ended(self, number: int) -> Job:
        async def over() -> bool:
            return (await self.job(number)).state in ENDED

        await until(over, 90)  # Of S3 a server that is away is asked for half a minute.
        return await self.job(number)

    async def job(self, number: int) -> Job:
        return cast(Job, await self.call(jobs.SHOW, JobId(id=number)))

    async def run(self, operation: Operation[Any, Any], request: Wire) -> Any:
        """A job's result. Raises what it failed with."""
        last = await self.ended(await self.start(operation, request))
        if last.error is not None:
            raise from_wire(last.error.model_dump())
        assert last.state is JobState.DONE, last
        return operation.result.model_validate(last.result)

    async def scan(self) -> None:
        await self.run(media.SCAN, assets.ScanLibrary(library="films"))

    async def list(self, *, probe: bool = False) -> RemoteList:
        return cast(RemoteList, await self.call(remotes.LIST, remotes.ListRemotes(probe=probe)))

    async def inventory(self, remote: str, *, hashes: bool = False) -> Inventory:
        request = remotes.TakeInventory(remote=remote, hashes=hashes)
        return cast(Inventory, await self.run(remotes.INVENTORY, request))

    async def check(self, remote: str, folder: str | None = None) -> CheckResult:
        below = None if folder is None else PathRef.of(folder)
        request = remotes.CheckRemote(library="films", remote=remote, folder=below)
        return cast(CheckResult, await self.run(remotes.CHECK, request))

    async def ask(
        self, operation: Operation[Any, Any], remote: str, folder: str | None = None, **more: Any
    ) -> int:
        """The number of the approval that waits."""
        below = None if folder is None else PathRef.of(folder)
        request = remotes.Send.model_validate(
            {"library": "films", "remote": remote, "folder": below} | more
        )
        pending = await self.gate.call(operation, request, Call())
        assert isinstance(pending, Pending)
        return pending.approval_id

    async def shown(self, number: int) -> Approval:
        return cast(Approval, await self.call(approvals.SHOW, approvals.ApprovalId(id=number)))

    async def approve(self, number: int) -> Approval:
        """Says yes as its card asks for it, and waits for the end."""
        count = (await self.shown(number)).card.confirm_count
        request = approvals.Approve(id=number, count=count)
        return cast(Approval, await self.call(approvals.APPROVE, request))

    async def copy(self, remote: str, folder: str | None = None, **more: Any) -> Approval:
        return await self.approve(await self.ask(remotes.COPY, remote, folder, **more))

    async def transfers(self) -> TransferList:
        return cast(TransferList, await self.call(remotes.TRANSFERS))

    async def unlimited(self) -> None:
        """From now on as fast as it goes."""
        request = remotes.SetBandwidth.model_validate({"bandwidth": 0})
        await self.call(remotes.LIMIT, request)

    async def sending(self, number: int, least: int = 1) -> None:
        """Returns once some of it was sent."""

        async def on_its_way() -> bool:
            found = (await self.transfers()).transfers
            return any(one.id == number and one.bytes >= least for one in found)

        await until(on_its_way, 20)

    @property
    def rcd_pid(self) -> int | None:
        room = self.engine.lifecycle._slots["remotes"].room
        assert isinstance(room, RemotesRoom)
        return room._reach.rcd.pid


@asynccontextmanager
async def opened(base: Path, films: Path, config: Path, **settings: Any) -> AsyncIterator[House]:
    """A house whose rclone reads ``config``. Opened again, it is the same house."""
    place = Home(base / "config.toml", base / "data", base / "run")
    place.prepare()
    found = Config(remotes=RemotesConfig(config=config, **settings))
    engine = Engine(place, found, cast(Any, None), "command")
    await engine.open()
    try:
        await engine.start(["audit", "jobs", "approvals", "media", "remotes"])
        house = House(engine, films)
        if not (await house.call(media.LIBRARIES)).libraries:
            request = assets.AddLibrary(path=PathRef.of(films), name="films")
            await house.call(media.ADD, request)
        await house.scan()
        yield house
    finally:
        await engine.stop()


def content(name: str, size: int) -> bytes:
    return hashlib.shake_128(name.encode("utf-8", "surrogateescape")).digest(size)


def put(root: Path, name: str | bytes, size: int = 100) -> Path:
    """A file that nothing else is like; folders are made."""
    path = root / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(path.name, size))
    return path


def tree(root: Path) -> dict[bytes, bytes]:
    """Every file below, by its path's bytes."""
    return {
        os.fsencode(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def running(pid: int) -> bool:
    """Whether there is such a process that is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
