"""The real engine for tests of the quota room: real gate, approvals, SQLite and files.

Only the catalogue is a stand-in: it knows the files as they were at its last ``scan``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, cast
from unittest.mock import patch

from engine.config import Config
from engine.contract import approvals, quota
from engine.contract.approvals import Approval
from engine.contract.assets import Library, LibraryName
from engine.contract.base import Empty, PathRef, Wire, machine_name, now
from engine.contract.call import Call
from engine.contract.client import Done, Pending
from engine.contract.errors import NotFound
from engine.contract.holding import Copies, GoneFile, HeldFile, HeldFiles, Holders, Inode, Wanted
from engine.contract.operation import Operation
from engine.contract.ports import TRASH_FOLDER, Catalogue, CatalogueFile
from engine.contract.sources import TorrentClient
from engine.core import engine as core
from engine.core.lifecycle import ServiceSpec
from engine.ground import Ground
from engine.home import Home

_BATCH = 7


class DiskCatalogue:
    """The catalogue of ``roots`` as the disk was at the last scan; scanned when made."""

    roots: ClassVar[dict[str, Path]] = {}

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.files: dict[str, dict[bytes, CatalogueFile]] = {}
        self.refreshed: list[bytes] = []
        self.torrents: set[Inode] = set()
        self.torrent_clients: tuple[TorrentClient, ...] = ()
        self.unreadable: dict[str, Any] = {}

    async def start(self) -> None:
        for name in self.roots:
            self.scan(name)
        self._ground.provide(Catalogue, self)
        self._ground.provide(Holders, self)  # type: ignore[type-abstract]
        self._ground.provide(Copies, self)  # type: ignore[type-abstract]

    async def stop(self) -> None:
        """Nothing runs."""

    def scan(self, name: str) -> None:
        self.files[name] = {}
        for path in outside_trash(self.roots[name]):
            self._look(name, path)

    def _look(self, name: str, path: bytes) -> None:
        full = self.roots[name] / os.fsdecode(path)
        self.files[name].pop(path, None)
        try:
            found = full.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return
        if stat.S_ISREG(found.st_mode) and full.resolve() == full:
            self.files[name][path] = CatalogueFile(
                len(self.files[name]),
                path,
                found.st_dev,
                found.st_ino,
                found.st_size,
                found.st_mtime_ns,
                found.st_ctime_ns,
                found.st_nlink,
                None,
            )

    async def libraries(self) -> list[Library]:
        return [await self.library(name) for name in self.roots]

    async def library(self, name: str) -> Library:
        if name not in self.roots:
            raise NotFound(f"There is no library {name!r}.", f"There are: {', '.join(self.roots)}")
        files = self.files.get(name)
        sizes = {(file.dev, file.ino): file.size for file in (files or {}).values()}
        return Library(
            name=name,
            path=PathRef.of(self.roots[name]),
            machine=machine_name(),
            state="ok" if self.roots[name].is_dir() else "missing",
            files=len(files or {}),
            bytes=sum(sizes.values()),
            last_scan_at=None if files is None else now(),
            **self.unreadable,
        )

    async def oldest_first(self, library: str) -> AsyncIterator[list[CatalogueFile]]:
        files = sorted(self.files[library].values(), key=lambda file: (file.mtime_ns, file.path))
        for start in range(0, len(files), _BATCH):
            yield files[start : start + _BATCH]

    def seed(self, path: Path) -> None:
        """A torrent client holds the file from now on."""
        status = path.stat()
        self.torrents.add((status.st_dev, status.st_ino))

    async def held(self, inodes: Collection[Inode]) -> set[Inode]:
        return self.torrents & set(inodes)

    async def held_in(self, library: str, until_ns: int | None, most: int) -> HeldFiles:
        found = [
            HeldFile(file.path, file.size)
            async for batch in self.oldest_first(library)
            for file in batch
            if (file.dev, file.ino) in self.torrents
            and (until_ns is None or file.mtime_ns <= until_ns)
        ]
        return HeldFiles(len(found), sum(file.size for file in found), tuple(found[:most]))

    async def wanted(self, files: Iterable[GoneFile]) -> Wanted:
        return Wanted()

    async def copied(self, hashes: Collection[str], without: Collection[Inode]) -> set[str]:
        """Nothing is hashed here."""
        return set()

    def clients(self) -> tuple[TorrentClient, ...]:
        return self.torrent_clients

    async def refresh(self, library: str, paths: Sequence[bytes]) -> None:
        self.refreshed += paths
        for path in paths:
            self._look(library, path)


class House:
    def __init__(self, engine: core.Engine) -> None:
        self.engine = engine
        self.gate = engine.gate

    @property
    def catalogue(self) -> DiskCatalogue:
        return cast(DiskCatalogue, self.engine.ground.use(Catalogue))  # type: ignore[type-abstract]

    async def call(self, operation: Operation[Any, Any], request: Wire | None = None) -> Any:
        done = await self.gate.call(operation, request or Empty(), Call())
        assert isinstance(done, Done)
        return done.result

    async def limit(self, library: str, max_bytes: int) -> quota.Gauge:
        request = quota.SetLimit.model_validate({"library": library, "max_bytes": max_bytes})
        return cast(quota.Gauge, await self.call(quota.SET, request))

    async def gauge(self, library: str) -> quota.Gauge:
        found = await self.call(quota.SHOW)
        return next(gauge for gauge in found.gauges if gauge.library == library)

    async def plan(self, library: str) -> quota.Plan:
        return cast(quota.Plan, await self.call(quota.PLAN, LibraryName(library=library)))

    async def prune(self, library: str, **given: Any) -> int:
        return await self.ask(quota.PRUNE, quota.Prune(library=library, **given))

    async def purge(self, plan_id: str) -> int:
        return await self.ask(quota.PURGE, quota.PlanId(plan_id=plan_id))

    async def ask(self, operation: Operation[Any, Any], request: Wire) -> int:
        pending = await self.gate.call(operation, request, Call())
        assert isinstance(pending, Pending)
        return pending.approval_id

    async def shown(self, number: int) -> Approval:
        request = approvals.ApprovalId(id=number)
        return cast(Approval, await self.call(approvals.SHOW, request))

    async def approve(self, number: int, count: int | None = None) -> Approval:
        request = approvals.Approve(id=number, count=count)
        return cast(Approval, await self.call(approvals.APPROVE, request))

    async def undo(self, plan_id: str) -> quota.UndoResult:
        return cast(quota.UndoResult, await self.call(quota.UNDO, quota.PlanId(plan_id=plan_id)))

    async def trash(self) -> quota.Trash:
        return cast(quota.Trash, await self.call(quota.TRASH))

    async def kinds(self, prefix: str = "quota.") -> list[str]:
        """The durable facts told so far."""
        rows = await self.engine.ground.state.read("SELECT kind FROM event ORDER BY seq")
        return [row["kind"] for row in rows if row["kind"].startswith(prefix)]


def _with_this_catalogue(spec: ServiceSpec) -> ServiceSpec:
    if spec.name != "media":
        return spec
    return ServiceSpec("media", f"{__name__}:DiskCatalogue", ("media",))


@asynccontextmanager
async def opened(home: Path, **libraries: Path) -> AsyncIterator[House]:
    """A house with these libraries, each scanned once. Opened again, it is the same house."""
    DiskCatalogue.roots = dict(libraries)
    place = Home(home / "config.toml", home / "data", home / "run")
    place.prepare()
    with patch.object(core, "SERVICES", tuple(map(_with_this_catalogue, core.SERVICES))):
        engine = core.Engine(place, Config(), cast(Any, None), "command")
    await engine.open()
    try:
        await engine.start(["audit", "media", "approvals", "quota"])
        yield House(engine)
    finally:
        await engine.stop()


def put(root: Path, name: str | bytes, size: int, day: int) -> Path:
    """A file of ``size`` bytes, last modified on that day since 1970-01-01; folders are made."""
    path = root / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((f"{path.name}|".encode("utf-8", "surrogateescape") * size)[:size])
    os.utime(path, (day * 86_400, day * 86_400))
    return path


def tree(root: Path) -> dict[bytes, tuple[bytes, int]]:
    """Every file outside the trash: its content and modification time."""
    files = {path: root / os.fsdecode(path) for path in outside_trash(root)}
    return {path: (file.read_bytes(), file.stat().st_mtime_ns) for path, file in files.items()}


def outside_trash(root: Path) -> Iterator[bytes]:
    """The relative paths of all files, links included, that are not in the trash."""
    for folder, folders, names in os.walk(root):
        folders[:] = [each for each in folders if os.fsencode(each) != TRASH_FOLDER]
        for name in names:
            yield os.fsencode((Path(folder) / name).relative_to(root))
