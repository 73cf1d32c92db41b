"""A library whose files are rows alone: lists, facets and trees are of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.contract import media
from engine.contract.assets import AssetPage, ListAssets, ListedAsset
from engine.media.catalogue import fold
from engine.media.listing.packing import BITS
from tests.unit.media.house import House

SECOND = 10**9
YEAR = 31_556_952 * SECOND


@dataclass
class Film:
    """A file as a test wants it; times in nanoseconds since 1970."""

    path: bytes
    size: int = 1
    mtime_ns: int = 50 * YEAR
    first_seen_at: int = 0
    kind: str = ""
    type: str = ""
    taken_at: int | None = None
    camera: str = ""
    blake3: bytes | None = b"\1" * 32
    damage: str = ""
    ino: int = 0
    sources: list[tuple[str, str]] = field(default_factory=list)


async def shelved(house: House, folder: Path, films: list[Film], name: str = "films") -> None:
    """An empty folder becomes a library that is said to hold these."""
    folder.mkdir(exist_ok=True)
    await house.add(folder, name)
    await put(house, films, name)


async def put(house: House, films: list[Film], name: str = "films") -> None:
    id_ = next(one.id for one in await house.room._libraries.every() if one.name == name)

    async def work(tx: Any) -> None:
        [(known,)] = await tx.fetch("SELECT coalesce(max(id), 0) FROM file")
        for number, film in enumerate(films, 1000 + known):
            file = await tx.insert(
                "INSERT INTO file (library, path, folded, dev, ino, size, mtime_ns, ctime_ns,"
                " nlink, blake3, seen_at, first_seen_at, damage, surveyed)"
                " VALUES (?, ?, ?, 1, ?, ?, ?, 0, ?, ?, 1, ?, ?, 1)",
                (
                    id_, film.path, fold(film.path), film.ino or number, film.size,
                    film.mtime_ns, 2 if film.ino else 1, film.blake3, film.first_seen_at,
                    film.damage,
                ),
            )  # fmt: skip
            if film.kind:
                await tx.execute(
                    "INSERT INTO trait (file, size, mtime_ns, kind, type, taken_at, camera)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        file, film.size, film.mtime_ns, film.kind, film.type or f"{film.kind}/x",
                        film.taken_at, film.camera,
                    ),
                )  # fmt: skip
            for kind, origin in film.sources:
                await tx.execute(
                    "INSERT INTO source (file, at, kind, origin, host, confidence)"
                    " VALUES (?, 1, ?, ?, ?, 1)",
                    (file, kind, origin, origin.partition("://")[2].partition("/")[0]),
                )

    await house.ground.catalogue.write(work)


async def begin_block(house: House) -> None:
    """What comes next has ids of the next block, and the one before is complete."""

    async def work(tx: Any) -> None:
        await tx.execute(
            "UPDATE sqlite_sequence SET seq = ((seq >> ?1) + 1 << ?1) - 1 WHERE name = 'file'",
            (BITS,),
        )

    await house.ground.catalogue.write(work)


async def page(house: House, **asked: Any) -> AssetPage:
    return await house.door.call(media.LIST, ListAssets(**{"library": "films", **asked}))


async def names(house: House, **asked: Any) -> list[str]:
    """The paths on a page, as they are shown."""
    return [asset.path.display for asset in (await page(house, **asked)).assets]


async def through(house: House, **asked: Any) -> list[ListedAsset]:
    """All pages, one behind the other."""
    found: list[ListedAsset] = []
    after = None
    while True:
        got = await page(house, after=after, **asked)
        found += got.assets
        after = got.next
        if after is None:
            return found
