"""No secret that stands in what files say of themselves is stored or shown."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.traits import ShowAsset
from engine.home import Home
from engine.media.survey.records import columns
from engine.media.survey.trait import TEXT, plain
from engine.store import schema
from tests.fakes.stores import opened
from tests.unit.media.house import House, write
from tests.unit.media.survey.test_survey import surveyed

TOLD = "from https://me:hunter2@h.example/x?token=hunter3#hunter4 at last"
KEPT = "from https://h.example/x at last"


def film(form: str) -> bytes:
    import av

    target = io.BytesIO()
    with av.open(target, "w", format=form) as container:
        container.metadata.update({"title": TOLD, "comment": TOLD, "description": TOLD})
        stream = container.add_stream("flac" if form == "flac" else "mpeg4", rate=8000)
        if form != "flac":
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        else:
            frame = av.AudioFrame("s16", "mono", 960)
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            frame.sample_rate = 8000
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return target.getvalue()


def picture() -> bytes:
    from PIL import Image

    exif = Image.Exif()
    exif[270] = exif[305] = exif[315] = exif[33432] = exif[272] = TOLD
    target = io.BytesIO()
    Image.new("RGB", (8, 8)).save(target, "JPEG", exif=exif.tobytes())
    return target.getvalue()


def paper() -> bytes:
    from pypdf import PdfWriter

    writer = PdfWriter()
    writer.add_blank_page(9, 9)
    writer.add_metadata({"/Title": TOLD, "/Author": TOLD, "/Subject": TOLD})
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


async def stored(house: House) -> str:
    """All that the catalogue has of what files hold."""
    rows: list[Any] = []
    for table in ("trait", "look", "file"):
        rows += await house.ground.catalogue.read(f"SELECT * FROM {table}")
    return repr([tuple(row) for row in rows])


async def shown(house: House, name: str) -> dict[str, str]:
    request = ShowAsset(library="films", path=PathRef.of(name))
    traits = (await house.door.call(media.SHOW, request)).traits
    assert traits is not None
    return {"camera": traits.camera, **traits.details}


async def test_no_secret_of_a_file_s_own_tags_is_stored_or_shown(house: House, films: Path) -> None:
    for form in ("mp4", "matroska", "flac"):
        write(films / form, film(form))
    write(films / "picture", picture())
    write(films / "paper", paper())
    await house.add(films)
    await house.scan()
    await surveyed(house)
    assert "hunter" not in await stored(house)
    for name, tag in [
        *(("mp4", "comment"), ("matroska", "comment"), ("flac", "title")),
        *(("picture", "artist"), ("picture", "camera"), ("paper", "title")),
    ]:
        assert (await shown(house, name))[tag] == KEPT


@pytest.mark.parametrize("before", range(TEXT - 90, TEXT + 10, 7))
def test_where_a_text_is_cut_no_part_of_a_secret_is_left(before: int) -> None:
    said = "." * (before - 1) + " https://me:hunter2hunter2@h.example/x?token=hunter3 " + "." * 9000
    assert "hunt" not in plain(said)
    assert "hunt" not in repr(columns({"details": {"comment": said}, "camera": said}))


async def test_what_an_older_one_stored_goes_and_is_read_anew(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = schema.migrations
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda kind: [m for m in every(kind) if m.version < 12])
        home.prepare()
        schema.prepare(home.catalogue_file, "catalogue")
    kept = json.dumps({"taken": "2024:05:06 07:08:09", "title": "Dune"})
    secret = json.dumps({"comment": TOLD})
    with closing(sqlite3.connect(home.catalogue_file)) as connection:
        for row in ((1, secret, TOLD), (2, secret, "Canon"), (3, kept, "Canon")):
            _put(connection, *row)
        connection.executemany(
            "INSERT INTO source (file, at, kind, origin, referrer, confidence)"
            " VALUES (1, 0, 'url', ?, ?, 0.9)",
            [("garbage", ""), ("magnet:", ""), ("", "https://h.example"), ("urn:btih:1", "")],
        )
        connection.commit()
    async with opened(home.catalogue_file, kind="catalogue") as catalogue:
        rows = await catalogue.read(
            "SELECT details, trait.camera, surveyed FROM trait JOIN file ON file.id = file"
        )
        assert [(*row,) for row in rows] == [
            ("{}", "", 0), ("{}", "Canon", 0), (kept, "Canon", 1)
        ]  # fmt: skip
        rows = await catalogue.read("SELECT origin FROM source ORDER BY id")
        assert [row["origin"] for row in rows] == ["", "urn:btih:1"]
        for table in ("file", "look"):
            rows = await catalogue.read(f"SELECT * FROM {table}")
            assert "hunter" not in repr([(*row,) for row in rows])
    assert b"hunter" not in home.catalogue_file.read_bytes()


def _put(connection: sqlite3.Connection, number: int, details: str, camera: str) -> None:
    connection.execute(
        "INSERT INTO file (id, library, path, folded, dev, ino, size, mtime_ns, ctime_ns, nlink,"
        " seen_at, surveyed) VALUES (?, 1, ?, '', 1, ?, 5, 7, 7, 1, 1, 1)",
        (number, b"%d" % number, number),
    )
    connection.execute(
        "INSERT INTO trait (file, size, mtime_ns, kind, type, camera, details)"
        " VALUES (?, 5, 7, 'video', 'video/mp4', ?, ?)",
        (number, camera, details),
    )
    connection.execute(
        "INSERT INTO look (id, kind, type, camera) VALUES (?, 'video', ?, ?)",
        (number, f"video/{number}", camera),
    )
