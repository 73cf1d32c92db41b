"""Remembered folders and what a test asks of them: real files, a real child, a real database."""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import psutil

from engine.bus import Bus
from engine.config import Config
from engine.contract import recall
from engine.contract.base import Empty, PathRef
from engine.contract.call import Call
from engine.contract.memories import Folder
from engine.ground import Ground
from engine.home import Home
from engine.metrics import Metrics
from engine.recall.extract import UnreadError, load
from engine.recall.folders import Folders
from engine.recall.reading_process import Bounds
from engine.recall.walking import Listing, open_root
from engine.store import StoredSettings
from tests.fakes.door import DoorDouble, JobDouble
from tests.fakes.stores import opened

NEVER = 3_600.0


class FolderHouse:
    """``woken`` counts how often the index was told to look."""

    def __init__(self, ground: Ground, bounds: Bounds | None, first_s: float) -> None:
        self.ground = ground
        self.woken = 0
        self.folders = Folders(ground, self._wake, bounds, first_s)

    def _wake(self) -> None:
        self.woken += 1

    async def rest(self) -> None:
        """From now on nothing is looked at but when a test asks for it."""
        task = self.folders._task
        assert task is not None
        task.cancel()
        await asyncio.wait([task])

    async def watch(self, path: Path | bytes, **values: Any) -> Folder:
        request = recall.WatchFolder(path=PathRef.of(path), **values)
        return await self.folders.watch(request, Call())

    async def unwatch(self, path: Path | bytes) -> tuple[Folder, ...]:
        request = recall.UnwatchFolder(path=PathRef.of(path))
        return (await self.folders.unwatch(request, Call())).folders

    async def sync(self, job: JobDouble | None = None) -> tuple[Folder, ...]:
        return (await self.folders.sync(Empty(), job or JobDouble())).folders

    async def one(self) -> Folder:
        """The only folder, as it is after a look."""
        [folder] = await self.sync()
        return folder

    async def rows(self) -> list[Any]:
        """Every passage, in the order of its file."""
        return await self.ground.state.read(
            "SELECT memory.*, document.path AS file FROM memory"
            " JOIN document ON document.id = memory.document_id"
            " ORDER BY document.path, CAST(substr(ref, instr(ref, ':') + 1) AS INTEGER)"
        )

    async def said(self) -> dict[bytes, list[str]]:
        """What is remembered of each file."""
        found: dict[bytes, list[str]] = {}
        for row in await self.rows():
            found.setdefault(row["file"], []).append(row["text"])
        return found

    async def ids(self) -> dict[str, int]:
        return {row["text"]: row["id"] for row in await self.rows()}

    async def problems(self) -> dict[bytes, str]:
        rows = await self.ground.state.read("SELECT path, problem FROM document ORDER BY path")
        return {row["path"]: row["problem"] for row in rows if row["problem"]}

    async def agrees(self, root: Path) -> None:
        """Asserts that what is remembered is what the reader makes of the folder now."""
        assert await self.said() == spoken(root)
        refs = [(row["document_id"], row["ref"]) for row in await self.rows()]
        numbers: dict[int, int] = {}
        for document, ref in refs:
            numbers[document] = numbers.get(document, 0) + 1
            assert ref == f"{document}:{numbers[document]}"


@asynccontextmanager
async def folder_housed(
    home: Home,
    *,
    bounds: Bounds | None = None,
    first_s: float = NEVER,
    every_s: float = NEVER,
) -> AsyncIterator[FolderHouse]:
    """Folders that were started on ``home``; by default nothing looks by itself."""
    home.prepare()
    bus = Bus()
    async with opened(home.state_file, publish=bus.publish) as state:
        config = Config()
        memory = config.memory.model_copy(update={"folder_seconds": every_s})
        ground = Ground(
            home=home,
            config=config.model_copy(update={"memory": memory}),
            machine="nas",
            state=state,
            catalogue=cast(Any, None),
            bus=bus,
            door=DoorDouble(),
            metrics=Metrics(),
            settings=StoredSettings(state),
            models=cast(Any, None),
        )
        house = FolderHouse(ground, bounds, first_s)
        await house.folders.start()
        if first_s == NEVER:
            await house.rest()
        try:
            yield house
        finally:
            await house.folders.stop()
            assert not readers()


def readers() -> list[psutil.Process]:
    """The processes of this one that read documents."""
    return [child for child in psutil.Process().children(recursive=True) if _reads(child)]


def _reads(child: psutil.Process) -> bool:
    try:
        return "engine.recall.reader" in child.cmdline()  # A zombie's is empty.
    except psutil.NoSuchProcess:
        return False


def spoken(root: Path) -> dict[bytes, list[str]]:
    """What the reader makes of a folder, in this process; files that say nothing left out."""
    fd, status = open_root(os.fsencode(root))
    found = {}
    try:
        for path in Listing(fd, status.st_dev, lambda _path: None).files:
            try:
                passages = load(fd, path).passages
            except UnreadError:
                continue
            if passages:
                found[path] = passages
    finally:
        os.close(fd)
    return found


def note(path: Path | bytes, text: str | bytes) -> None:
    """A file with this content, and the folders that it needs."""
    file = Path(os.fsdecode(path))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())


def aged(path: Path | bytes, seconds: int = 3_600) -> None:
    """Makes a file so old that it is known to hold still."""
    then = Path(os.fsdecode(path)).stat().st_mtime_ns - seconds * 10**9
    os.utime(path, ns=(then, then))


def pdf(pages: Sequence[str], *, squeezed: bool = False) -> bytes:
    """A small PDF: a page for each text, a line for each of its lines."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * at} 0 R" for at in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for at, text in enumerate(pages):
        lines = " T* ".join(f"({line}) Tj" for line in text.split("\n"))
        content = f"BT /F1 12 Tf 14 TL 72 720 Td {lines} ET".encode("latin-1")
        objects += (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * at),
            stream(content, squeezed=squeezed),
        )
    return assembled(objects)


def stream(content: bytes, *, squeezed: bool) -> bytes:
    data = zlib.compress(content, 9) if squeezed else content
    how = b" /Filter /FlateDecode" if squeezed else b""
    return b"<< /Length %d%s >>\nstream\n%s\nendstream" % (len(data), how, data)


def assembled(objects: Sequence[bytes]) -> bytes:
    """The objects as a file, numbered from 1; the first is the catalogue."""
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for place in places:
        out += b"%010d 00000 n \n" % place
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        start,
    )
    return bytes(out)


def bomb(inflated: int = 600 * 1024**2) -> bytes:
    """A PDF of a page whose content unpacks to so many bytes, in layers."""
    pump = zlib.compressobj(9)
    block = b"(" + b"a" * (1024**2 - 2) + b")"
    data = b"".join(pump.compress(block) for _ in range(inflated // len(block))) + pump.flush()
    body = b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(data), data)
    return assembled(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << >> >>",
            body,
        ]
    )


def endless(repeats: int = 400_000) -> bytes:
    """A PDF of one page that takes many seconds of work, and few bytes."""
    content = b"BT /F1 12 Tf " + b"(a) Tj T* " * repeats + b"ET"
    page = (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 5 0 R"
        b" /Resources << /Font << /F1 3 0 R >> >> >>"
    )
    return assembled(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            page,
            stream(content, squeezed=True),
        ]
    )
