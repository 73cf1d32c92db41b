"""What these tests ask of a media room, and how they make a disk go bad."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.integrity import (
    AskHistory,
    Damaged,
    History,
    ListDamaged,
    VerifyLibrary,
    VerifyResult,
)
from engine.store import Transaction
from tests.fakes.door import JobDouble
from tests.unit.media.house import House


async def verify(
    house: House, name: str = "films", job: JobDouble | None = None, **values: Any
) -> VerifyResult:
    request = VerifyLibrary(library=name, **values)
    return await house.door.run(media.VERIFY, request, job)


async def damaged(house: House, name: str | None = None) -> list[Damaged]:
    return list((await house.door.call(media.DAMAGED, ListDamaged(library=name))).damaged)


async def history(
    house: House, path: bytes | None = None, name: str = "films", **values: Any
) -> History:
    ref = None if path is None else PathRef.of(path)
    return await house.door.call(media.HISTORY, AskHistory(library=name, path=ref, **values))


async def told(house: House, path: bytes | None = None, name: str = "films") -> list[Any]:
    """What happened, oldest first, with the places where the file was."""
    happenings = (await history(house, path, name)).happenings
    return [(one.what, one.path.data) for one in reversed(happenings)]


async def rot(house: House, file: Path, content: bytes | None = None) -> None:
    """Other bytes under the same identity, as a disk that goes bad leaves them.

    A program cannot set a file's ctime back: the catalogue is told that it was like that before.
    """
    before = file.stat()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data if content is None else content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    await as_before(house, file, before)


async def as_before(house: House, file: Path, before: os.stat_result) -> None:
    after = file.stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)

    async def work(tx: Transaction) -> None:
        changed = await tx.execute(
            "UPDATE file SET ctime_ns = ? WHERE ino = ? AND ctime_ns = ?",
            (after.st_ctime_ns, before.st_ino, before.st_ctime_ns),
        )
        assert changed == before.st_nlink

    await house.ground.catalogue.write(work)


async def column(house: House, name: str, path: bytes) -> Any:
    """One value of a file's row."""
    rows = await house.ground.catalogue.read(
        f"SELECT {name} FROM file WHERE path = ?",
        (path,),
    )
    return rows[0][0]


async def put_checked(house: House, path: bytes | None, ago_s: float) -> None:
    """As if the file (None: every file) had been read so many seconds earlier."""

    async def work(tx: Transaction) -> None:
        await tx.execute(
            "UPDATE file SET checked_at = checked_at - ?1 WHERE path = coalesce(?2, path)",
            (int(ago_s * 1e9), path),
        )

    await house.ground.catalogue.write(work)
