"""Small pictures, made by a process that what it decodes may break."""

from __future__ import annotations

import asyncio
import base64
import io
import os
from pathlib import Path
from typing import Any

import pytest

from engine.contract import media
from engine.contract.errors import NotFound
from engine.contract.listing import AskThumbnail, Thumbnail
from engine.media.listing import thumbnails
from tests.unit.media.house import House, children, write
from tests.unit.media.listing.shelf import page
from tests.unit.media.survey.samples import film

pytestmark = pytest.mark.binding("PIL", "make setup")


def picture(kind: str = "JPEG", size: tuple[int, int] = (300, 100), **how: Any) -> bytes:
    """Red on its left half, blue on its right."""
    from PIL import Image

    made = Image.new("RGB", size, (200, 20, 20))
    made.paste((20, 20, 200), (size[0] // 2, 0, *size))
    out = io.BytesIO()
    made.save(out, kind, **how)
    return out.getvalue()


async def thumbnail(house: House, name: str, width: int = 30, height: int = 30) -> Thumbnail:
    found = await page(house, filter=name)
    request = AskThumbnail(id=found.assets[0].id, width=width, height=height)
    return await house.door.call(media.THUMBNAIL, request)


async def shelve(house: House, films: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        write(films / name, content)
    await house.add(films)
    await house.scan()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
async def test_a_picture_is_seen_in_small(house: House, films: Path, kind: str) -> None:
    await shelve(house, films, {"a.bin": picture(kind)})
    made = await thumbnail(house, "a.bin")
    assert (made.width, made.height, made.problem) == (30, 10, "")
    pixels = base64.b64decode(made.pixels)
    left, right = pixels[3 * 5 :][:3], pixels[3 * 25 :][:3]
    assert left[0] > 150 > left[2]
    assert right[2] > 150 > right[0]


async def test_one_that_lies_on_its_side_is_turned(house: House, films: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    await shelve(house, films, {"a.jpg": picture(exif=exif)})
    made = await thumbnail(house, "a.jpg")
    assert (made.width, made.height) == (10, 30)


async def test_what_can_be_seen_through_lies_on_grey(house: House, films: Path) -> None:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(out, "PNG")
    await shelve(house, films, {"a.png": out.getvalue()})
    made = await thumbnail(house, "a.png")
    assert set(base64.b64decode(made.pixels)) == {128}


@pytest.mark.binding("av", "make setup")
@pytest.mark.parametrize("form", ["mp4", "matroska"])
async def test_a_film_is_seen_by_a_still(house: House, films: Path, form: str) -> None:
    await shelve(house, films, {"a": film(form), "cut": film(form)[:400], "ok.jpg": picture()})
    await looked_into(house, {"a": f"video/{form}", "cut": f"video/{form}"})
    made = await thumbnail(house, "a")
    assert (made.width, made.height, made.problem) == (30, 17, "")
    assert all(110 < value < 150 for value in base64.b64decode(made.pixels))
    assert (await thumbnail(house, "cut")).problem
    assert (await thumbnail(house, "ok.jpg")).width == 30


@pytest.mark.binding("av", "make setup")
async def test_a_playlist_that_calls_itself_a_film_opens_nothing(house: House, films: Path) -> None:
    asked: list[bytes] = []

    async def answer(_reader: Any, writer: Any) -> None:
        asked.append(b"")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    text = f"#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n"
    await shelve(house, films, {"a": text.encode() * 30})
    await looked_into(house, {"a": "video/mp4"})
    assert (await thumbnail(house, "a")).problem
    assert not asked
    server.close()
    await server.wait_closed()


async def looked_into(house: House, types: dict[str, str]) -> None:
    """As if these films had been looked into."""

    async def work(tx: Any) -> None:
        for name, type_ in types.items():
            await tx.execute(
                "INSERT INTO trait (file, size, mtime_ns, kind, type)"
                " SELECT id, size, mtime_ns, 'video', ? FROM file WHERE path = ?",
                (type_, os.fsencode(name)),
            )

    await house.ground.catalogue.write(work)


async def test_what_is_broken_says_so_and_the_next_one_is_seen(house: House, films: Path) -> None:
    whole = picture()
    files = {"cut.jpg": whole[:300], "none.jpg": b"\xff\xd8\xff" + os.urandom(500), "ok.jpg": whole}
    await shelve(house, films, files)
    for name in ("cut.jpg", "none.jpg"):
        made = await thumbnail(house, name)
        assert made.width == 0
        assert made.problem
    assert (await thumbnail(house, "ok.jpg")).width == 30


async def test_one_with_too_many_pixels_is_not_unpacked(house: House, films: Path) -> None:
    bomb = picture("PNG", (12_000, 9_000))
    await shelve(house, films, {"bomb.png": bomb, "ok.jpg": picture()})
    assert "too many pixels" in (await thumbnail(house, "bomb.png")).problem
    assert (await thumbnail(house, "ok.jpg")).width == 30


async def test_a_process_that_ends_costs_one_picture(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shelve(house, films, {"ok.jpg": picture()})
    assert (await thumbnail(house, "ok.jpg")).width == 30
    [process] = children("listing.painter")
    process.kill()
    process.wait()
    assert (await thumbnail(house, "ok.jpg")).width == 30
    monkeypatch.setattr(thumbnails, "_WITHIN_S", 0.0)
    assert "too long" in (await thumbnail(house, "ok.jpg")).problem
    assert not children("listing.painter")


async def test_another_file_in_its_place_is_not_shown(house: House, films: Path) -> None:
    await shelve(house, films, {"a.jpg": picture()})
    [known] = (await page(house)).assets
    (films / "a.jpg").unlink()
    (films / "a.jpg").symlink_to("/etc/hostname")
    request = AskThumbnail(id=known.id)
    assert (await house.door.call(media.THUMBNAIL, request)).problem
    (films / "a.jpg").unlink()
    write(films / "a.jpg", picture("PNG"))
    assert "changed" in (await house.door.call(media.THUMBNAIL, request)).problem


async def test_what_it_says_is_checked() -> None:
    asked = AskThumbnail(id=1, width=4, height=4)
    four = base64.b64encode(bytes(48)).decode()
    assert thumbnails._checked(asked, {"width": 4, "height": 4, "pixels": four}).width == 4
    nonsense: tuple[Any, ...] = (
        {"width": 5, "height": 4, "pixels": four},
        {"width": 4, "height": 4, "pixels": four[:8]},
        {"width": 4, "height": 4, "pixels": "\x1b"},
        {"problem": 3},
        [],
    )
    for told in nonsense:
        made = thumbnails._checked(asked, told)
        assert (made.width, made.problem) == (0, "what decoded it answered nonsense")
    assert thumbnails._checked(asked, {"problem": "\x1b[2J"}).problem == "\\x1b[2J"


async def test_a_file_that_is_none(house: House) -> None:
    with pytest.raises(NotFound, match="number 77"):
        await house.door.call(media.THUMBNAIL, AskThumbnail(id=77))
