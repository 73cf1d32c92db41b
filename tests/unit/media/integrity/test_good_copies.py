"""Of a damaged file its details name the copies that are good, and no others."""

from __future__ import annotations

from pathlib import Path

from blake3 import blake3

from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.traits import AssetDetail, Elsewhere, ShowAsset
from tests.unit.media.house import House, write
from tests.unit.media.integrity.asking import rot, verify


async def show(house: House, path: bytes) -> AssetDetail:
    request = ShowAsset(library="films", path=PathRef.of(path))
    return await house.door.call(media.SHOW, request)


def paths(copies: tuple[Elsewhere, ...]) -> list[bytes]:
    return [copy.path.data for copy in copies]


async def test_a_good_copy_is_one_that_has_the_bytes_it_should_have(
    house: House, films: Path
) -> None:
    good = b"what it held" * 100
    for name in ("film", "good", "rotten too"):
        write(films / name, good)
    await house.add(films)
    await house.scan()
    assert paths((await show(house, b"film")).copies) == [b"good", b"rotten too"]
    await rot(house, films / "film")
    await rot(house, films / "rotten too", b"x" * len(good))
    await verify(house)

    found = await show(house, b"film")
    assert (paths(found.copies), paths(found.damaged_copies)) == ([b"good"], [b"rotten too"])
    assert found.copies_total == 1
    assert found.copies[0].checked_at is not None
    assert found.held == blake3(good).hexdigest()
    assert found.found == blake3((films / "film").read_bytes()).hexdigest()
    sound = await show(house, b"good")
    assert (sound.damage, sound.held, sound.found, sound.copies) == (None, None, None, ())
    assert paths(sound.damaged_copies) == [b"film", b"rotten too"]


async def test_what_it_held_is_known_while_it_waits_to_be_read_again(
    house: House, films: Path
) -> None:
    write(films / "film", b"good" * 100)
    write(films / "good", b"good" * 100)
    await house.add(films)
    await house.scan()
    await rot(house, films / "film")
    await verify(house)
    library = house.room._indexer("films").shelf.stored.id
    status = (films / "film").stat()
    touched = [status.st_dev, status.st_ino, status.st_size, 1, 1, 1, None]
    await house.room._files.put(library, [["film", *touched]], changed=True)
    found = await show(house, b"film")
    assert (found.asset.blake3, found.held) == (None, blake3(b"good" * 100).hexdigest())
    assert paths(found.copies) == [b"good"]
