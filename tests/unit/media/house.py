"""A media room and what a test asks of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import psutil
from blake3 import blake3

from engine.bus import Bus, Subscription
from engine.config import Config
from engine.contract import assets, media
from engine.contract.assets import Asset, Library, ScanLibrary, ScanResult
from engine.contract.base import Empty, PathRef
from engine.contract.events import Event
from engine.contract.ports import Operations
from engine.ground import Ground
from engine.home import Home
from engine.media.process import STALL_S
from engine.media.room import MediaRoom
from engine.media.timing import Timing
from engine.metrics import Metrics
from engine.store import StoredSettings
from tests.fakes.door import DoorDouble, JobDouble, JobsDouble
from tests.fakes.stores import opened
from tests.fakes.waiting import until


class StrainDouble:
    """Strain that a test puts on the machine: by default there is none, whatever else runs.
    ``asked`` counts how often somebody wanted to know."""

    def __init__(self) -> None:
        self.why, self.asked = "", 0

    async def now(self) -> str:
        self.asked += 1
        return self.why


class House:
    def __init__(self, ground: Ground, door: DoorDouble, timing: Timing, stall_s: float) -> None:
        self.ground = ground
        self.door = door
        self.strain = StrainDouble()
        self.jobs = JobsDouble(door)
        ground.provide(Operations, self.jobs)  # type: ignore[type-abstract]
        self.room = MediaRoom(ground, timing, stall_s, self.strain)
        self._heard: list[Event] = []
        self._subscription: Subscription = ground.bus.subscribe(100_000)

    async def add(self, path: Path | bytes, name: str | None = None) -> Library:
        request = assets.AddLibrary(path=PathRef.of(path), name=name)
        return await self.door.call(media.ADD, request)

    async def scan(
        self, name: str = "films", job: JobDouble | None = None, *, as_it_is: bool = False
    ) -> ScanResult:
        """One that is asked for, when the first look has ended: a library is read by one job."""
        await self.jobs.idle()
        return await self.door.run(media.SCAN, ScanLibrary(library=name, as_it_is=as_it_is), job)

    async def reads(self) -> tuple[asyncio.Task[ScanResult], JobDouble]:
        """A scan that goes on, when bytes of a large file were hashed."""
        job = JobDouble()
        scan = asyncio.create_task(self.scan(job=job))
        await reading(job)
        return scan, job

    async def library(self, name: str = "films") -> Library:
        return await self.room.library(name)

    async def libraries(self) -> list[Library]:
        return list((await self.door.call(media.LIBRARIES, Empty())).libraries)

    async def assets(self, name: str = "films", **values: Any) -> list[Asset]:
        """All files, page by page."""
        found: list[Asset] = []
        after = None
        while True:
            request = assets.ListAssets(library=name, after=after, **values)
            page = await self.door.call(media.LIST, request)
            found += page.assets
            after = page.next
            if after is None:
                return found

    async def known(self, name: str = "films") -> dict[bytes, Asset]:
        return {asset.path.data: asset for asset in await self.assets(name)}

    async def events(self, kind: type[Event]) -> list[Any]:
        """Durable events of a kind, as they are stored."""
        rows = await self.ground.state.read(
            "SELECT data FROM event WHERE kind = ? ORDER BY seq",
            (kind.model_fields["kind"].default,),
        )
        return [kind.model_validate_json(row["data"]) for row in rows]

    async def agrees(self, root: Path, name: str = "films", *inner: Path) -> bool:
        """Whether the catalogue says what the disk holds, hashes and numbers included. ``inner``:
        other libraries within."""
        truth = on_disk(root, *inner)
        known = await self.known(name)
        library = await self.library(name)
        sizes = {(s.st_dev, s.st_ino): s.st_size for s, _ in truth.values()}
        return (
            {path: (asset.size, asset.blake3) for path, asset in known.items()}
            == {path: (status.st_size, value) for path, (status, value) in truth.items()}
            and (library.files, library.bytes) == (len(truth), sum(sizes.values()))
            and library.pending == 0
        )

    async def until_agrees(self, root: Path, within_s: float = 10) -> None:
        await until(lambda: self.agrees(root), within_s)

    async def until_live(self, name: str = "films") -> None:
        """Watched, and looked at since."""

        async def live() -> bool:
            library = await self.library(name)
            if library.last_scan_at is None or not all(task.done() for task in self.jobs.tasks):
                return False
            return library.watch == "live" and library.state == "ok" and library.pending == 0

        await until(live, 10)


def write(path: bytes | Path, content: bytes = b"x") -> None:
    """A file with this content, and the folders that it needs."""
    file = Path(os.fsdecode(path))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def sparse(path: Path, size: int = 400 * 1024**3) -> None:
    """A file that takes no space, and minutes to hash."""
    with path.open("wb") as file:
        file.truncate(size)


async def reading(job: JobDouble) -> None:
    """Waits until bytes of a large file were hashed."""
    await until(lambda: any(done > 0 for done, _, unit, _ in job.told if unit == "bytes"), 20)


def on_disk(root: Path, *inner: Path) -> dict[bytes, tuple[os.stat_result, str]]:
    """Regular files by relative path, with their BLAKE3; another way of walking than ours."""
    found = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if Path(folder, name) not in inner]
        for path in {Path(folder, name) for name in names}.difference(inner):
            relative = path.relative_to(root)
            if relative.parts[0] != ".arcanum-trash" and path.is_file() and not path.is_symlink():
                value = blake3(path.read_bytes()).hexdigest()
                found[os.fsencode(relative)] = (path.lstat(), value)
    return found


def children(module: str = "worker") -> list[psutil.Process]:
    """The worker (or watcher) processes of this one."""
    name = f"engine.media.{module}"
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE and name in child.cmdline()
    ]


@asynccontextmanager
async def housed(
    home: Home, timing: Timing, stall_s: float = STALL_S, config: Config | None = None
) -> AsyncIterator[House]:
    """A room that was started on ``home``; it is stopped at the end, and leaves no process."""
    home.prepare()
    bus = Bus()
    async with (
        opened(home.state_file, publish=bus.publish) as state,
        opened(home.catalogue_file, kind="catalogue") as catalogue,
    ):
        door = DoorDouble()
        ground = Ground(
            home=home,
            config=config or Config(),
            machine="nas",
            state=state,
            catalogue=catalogue,
            bus=bus,
            door=door,
            metrics=Metrics(),
            settings=StoredSettings(state),
            models=cast(Any, None),
        )
        house = House(ground, door, timing, stall_s)
        await house.room.start()
        try:
            yield house
        finally:
            await house.jobs.stop()
            await house.room.stop()
            assert not children("worker")
            assert not children("ahead")
            assert not children("survey.worker")
            assert not children("watcher")
