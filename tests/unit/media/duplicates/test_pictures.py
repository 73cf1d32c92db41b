"""Pictures that look alike: found, told apart from copies, and read where nothing can hurt."""

from __future__ import annotations

import io
import random
import zlib
from pathlib import Path
from typing import Any

import pytest

from engine.contract import media
from engine.contract.copies import AskNear, ComparedPictures, ComparePictures, NearPage
from engine.contract.errors import Busy, Cancelled, Invalid, Unavailable
from engine.media.duplicates import gallery
from tests.fakes.door import JobDouble
from tests.unit.media.duplicates.asking import page
from tests.unit.media.house import House, children, write

pytestmark = pytest.mark.binding("PIL", get="make setup")


def scene(seed: int, width: int = 480, height: int = 360) -> Any:
    """A picture like no other: soft light, and some things in it."""
    from PIL import Image

    chance = random.Random(seed)
    light = Image.new("L", (8, 6))
    light.putdata([chance.randrange(256) for _ in range(48)])
    picture = light.resize((width, height), Image.Resampling.BICUBIC).convert("RGB")
    for _ in range(12):
        x, y, side = chance.randrange(width), chance.randrange(height), chance.randrange(20, 120)
        picture.paste(tuple(chance.randrange(256) for _ in range(3)), (x, y, x + side, y + side))
    return picture


def encoded(picture: Any, form: str, **more: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, form, **more)
    return target.getvalue()


async def compare(house: House, job: JobDouble | None = None, **values: Any) -> ComparedPictures:
    return await house.door.run(media.COMPARE_PICTURES, ComparePictures(**values), job)


async def near(house: House, **values: Any) -> NearPage:
    return await house.door.call(media.NEAR, AskNear(**values))


def together(found: NearPage) -> set[frozenset[bytes]]:
    return {frozenset(one.path.data for one in group.pictures) for group in found.groups}


async def shown(house: House, films: Path, files: dict[str, bytes]) -> ComparedPictures:
    for path, content in files.items():
        write(films / path, content)
    await house.add(films, "films")
    await house.scan()
    return await compare(house)


def versions(seed: int) -> dict[str, bytes]:
    """One picture as people keep it."""
    from PIL import Image, ImageEnhance

    picture = scene(seed)
    exif = Image.Exif()
    exif[274] = 6  # Turned by the camera, and marked so.
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    glass = picture.convert("RGBA")
    return {
        f"{seed}.jpg": encoded(picture, "JPEG", quality=92),
        f"{seed}-low.jpg": encoded(picture, "JPEG", quality=35),
        f"{seed}-small.png": encoded(picture.resize((240, 180)), "PNG"),
        f"{seed}-bright.webp": encoded(ImageEnhance.Brightness(picture).enhance(1.15), "WEBP"),
        f"{seed}-turned.jpg": encoded(turned, "JPEG", exif=exif.tobytes()),
        f"{seed}-glass.png": encoded(glass, "PNG"),
    }


async def test_versions_of_a_picture_are_found_and_others_are_not(
    house: House, films: Path
) -> None:
    files = {name: data for seed in range(4) for name, data in versions(seed).items()}
    files |= {f"alone-{seed}.jpg": encoded(scene(seed), "JPEG") for seed in range(100, 140)}
    done = await shown(house, films, files)
    found = await near(house)
    assert together(found) == {frozenset(name.encode() for name in versions(n)) for n in range(4)}
    assert (done.looked_at, done.pictures, done.groups, done.near) == (64, 64, 4, 24)
    assert (found.total, found.compared, found.waiting, found.failed) == (4, 64, 0, 0)
    assert not found.problem
    for group in found.groups:
        assert group.pictures[0].distance == 0
        assert max(one.distance for one in group.pictures) <= 6
    # They are apart from duplicates, of which there are none.
    assert (await page(house)).groups == ()


async def test_without_libraries_there_are_no_pictures(house: House) -> None:
    assert (await compare(house)).pictures == 0
    assert (await near(house)).total == 0


async def test_pages_hold_every_group_once(house: House, films: Path) -> None:
    files = {}
    for seed in range(5):
        for number, (name, data) in enumerate(versions(seed).items()):
            if number < 2 + seed % 2:
                files[name] = data
    await shown(house, films, files)
    whole = await near(house, limit=500)
    assert [group.count for group in whole.groups] == [3, 3, 2, 2, 2]
    seen, after = [], None
    while True:
        one = await near(house, limit=2, after=after)
        seen += [group.pictures[0].id for group in one.groups]
        assert one.total == 5
        after = one.next
        if after is None:
            break
    assert seen == [group.pictures[0].id for group in whole.groups]
    for at in (1, 3, 5):
        one = await near(house, at=at, limit=2)
        assert [group.pictures[0].id for group in one.groups] == seen[at : at + 2]
        assert (one.total, one.next is not None) == (5, at + 2 < 5)
    with pytest.raises(Invalid):
        await near(house, after="nonsense")


async def test_copies_of_a_picture_are_one_picture(house: House, films: Path) -> None:
    same, other = [*versions(1).values()][:2]
    await shown(house, films, {"a.jpg": same, "b.jpg": same, "c.jpg": other})
    (group,) = (await near(house)).groups
    assert group.count == 2
    assert sorted(one.copies for one in group.pictures) == [1, 2]


async def test_what_is_plain_is_like_everything_and_left_out(house: House, films: Path) -> None:
    from PIL import Image

    files = {
        f"{number}.png": encoded(Image.new("RGB", (90 + number, 90), (number, 0, 0)), "PNG")
        for number in range(5)
    }
    done = await shown(house, films, files)
    found = await near(house)
    assert (found.groups, found.plain, done.plain, done.pictures) == ((), 5, 5, 0)


async def test_a_picture_that_changed_is_looked_at_anew(house: House, films: Path) -> None:
    first, second = [*versions(1).values()][:2]
    await shown(house, films, {"a.jpg": first, "b.jpg": second})
    assert len((await near(house)).groups) == 1
    assert (await compare(house)).looked_at == 0
    write(films / "b.jpg", encoded(scene(9), "JPEG"))
    write(films / "new.jpg", [*versions(1).values()][2])
    await house.scan()
    stale = await near(house)
    assert (stale.groups, stale.waiting) == ((), 2)
    assert (await compare(house)).looked_at == 2
    assert together(await near(house)) == {frozenset({b"a.jpg", b"new.jpg"})}


def bomb() -> bytes:
    """A PNG of 40,000 × 40,000 pixels in some kilobytes."""
    from struct import pack

    def chunk(kind: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))

    head = pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


async def test_hostile_pictures_cost_themselves_alone(house: House, films: Path) -> None:
    whole = encoded(scene(1), "JPEG")
    chance = random.Random(5)
    files = {"good.jpg": whole, "good.png": encoded(scene(1), "PNG"), "bomb.png": bomb()}
    for number in range(25):
        data = bytearray(whole)
        for _ in range(40):
            data[chance.randrange(20, len(data))] = chance.randrange(256)
        files[f"fuzzed-{number}.jpg"] = bytes(data)
    files["cut.jpg"] = whole[: len(whole) // 3]
    files["text.txt"] = b"no picture"
    done = await shown(house, films, files)
    found = await near(house)
    assert done.looked_at == len(files) - 1
    assert frozenset({b"good.jpg", b"good.png"}) <= max(together(found), key=len)
    problems = await house.ground.catalogue.read(
        "SELECT problem FROM picture JOIN file ON file.id = picture.file WHERE path = ?",
        (b"bomb.png",),
    )
    assert "1,600,000,000 pixels" in problems[0]["problem"]
    assert found.failed >= 2
    assert not children("duplicates.viewer")


async def test_without_pillow_it_says_what_to_install(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "find_spec", lambda _name: None)
    with pytest.raises(Unavailable, match="Pillow") as raised:
        await compare(house)
    assert "make setup" in raised.value.hint
    assert "Pillow" in (found := (await near(house)).problem)
    assert "pip install 'arcanum[media]'" in found


async def test_it_can_be_cancelled_and_is_done_once_at_a_time(house: House, films: Path) -> None:
    await shown(house, films, {"a.jpg": encoded(scene(1), "JPEG")})
    job = JobDouble()
    job.cancel()
    write(films / "b.jpg", encoded(scene(2), "JPEG"))
    await house.scan()
    with pytest.raises(Cancelled):
        await compare(house, job)
    house.room._gallery._job = 7
    with pytest.raises(Busy, match="job 7"):
        await compare(house)
    house.room._gallery._job = None
    assert (await compare(house)).looked_at == 1


def test_what_the_process_says_is_checked() -> None:
    """A picture may have taken it over."""
    good = {"shape": -5, "edges": 2**62, "plain": False}
    assert gallery._columns({"id": 1, "trait": good}) == (-5, 2**62, False, "")
    for wrong in ({"shape": "x"}, {"shape": 2**63}, {"edges": None}, {"shape": True}):
        found = gallery._columns({"trait": {**good, **wrong}})
        assert found is not None
        assert found[:2] == (None, None)
        assert found[3]
    told = gallery._columns({"trait": {"problem": "\x1b[31m" + "x" * 5000}})
    assert told is not None
    assert len(told[3]) <= 200
    assert told[3].isprintable()
    assert gallery._columns([]) is None
    assert gallery._key({"id": [1]}, {}) is None
