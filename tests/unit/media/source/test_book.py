"""Sources in the catalogue: taken at first sight, and kept whatever becomes of the file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.errors import Invalid, NotFound
from engine.contract.sources import AskSources, SourceReport, SourceSummary
from engine.contract.traits import Provenance
from engine.media.source.book import MOST_ROWS, Book
from engine.store import Transaction
from tests.unit.media.house import House, write
from tests.unit.media.survey.samples import CAMERA, picture

ORIGIN = "https://files.example/a.bin"


async def ask(house: House, **values: Any) -> SourceReport:
    return await house.door.call(media.SOURCES, AskSources(**values))


async def sources(house: House, path: str, library: str = "films") -> list[Provenance]:
    found = await ask(house, library=library, path=PathRef.of(path))
    assert [s.confidence for s in found.sources] == sorted(
        (s.confidence for s in found.sources), reverse=True
    )
    return list(found.sources)


async def kinds(house: House, path: str) -> list[str]:
    return [source.kind for source in await sources(house, path)]


async def stored(house: House) -> list[dict[str, Any]]:
    return [dict(row) for row in await house.ground.catalogue.read("SELECT * FROM source")]


def fetched(path: Path, origin: str = ORIGIN, content: bytes = b"") -> None:
    write(path, content or os.urandom(100))
    os.setxattr(path, "user.xdg.origin.url", f"{origin}?token=hunter2".encode())


async def unread(house: House) -> None:
    async def work(tx: Transaction) -> None:
        await tx.execute("UPDATE source SET blake3 = NULL")

    await house.ground.catalogue.write(work)


@pytest.fixture
async def library(house: House, films: Path) -> Path:
    fetched(films / "a.bin")
    await house.add(films)
    await house.scan()
    assert await kinds(house, "a.bin") == ["url", "appeared"]
    return films


async def test_it_is_told_with_its_evidence_and_without_secrets(
    house: House, library: Path
) -> None:
    url, appeared = await sources(house, "a.bin")
    assert (url.origin, url.confidence) == (ORIGIN, 0.9)
    assert url.evidence == {"told by": "user.xdg.origin.url"}
    assert appeared.confidence < 0.25
    known = await house.ground.catalogue.read("SELECT first_seen_at FROM file")
    assert appeared.at.timestamp() == pytest.approx(known[0][0] / 1e9, abs=0.001)
    assert "hunter2" not in str(await stored(house))


async def test_a_look_that_finds_nothing_erases_nothing(house: House, library: Path) -> None:
    before = await stored(house)
    os.removexattr(library / "a.bin", "user.xdg.origin.url")
    write(library / "a.bin", b"other bytes")
    await house.scan()
    url, _appeared = await sources(house, "a.bin")
    assert url.origin == ORIGIN
    assert url.evidence["since then"] == "its bytes were changed"
    assert await stored(house) == before


async def test_what_is_found_again_is_not_doubled_and_more_is_added(
    house: House, library: Path
) -> None:
    [row] = await stored(house)
    book = Book(house.ground.catalogue)
    same = {"kind": "url", "origin": ORIGIN, "referrer": "", "confidence": 0.9, "evidence": {}}
    await book.put({row["file"]: [same, same]})
    assert await stored(house) == [row]
    better = {**same, "confidence": 0.95, "evidence": {"program": "curl"}}
    other = {**same, "origin": "https://mirror.example/a.bin"}
    await book.put({row["file"]: [better, other], 4711: [same]})
    known = await stored(house)
    assert [(r["origin"], r["confidence"], r["at"] == row["at"]) for r in known] == [
        (ORIGIN, 0.95, True),
        ("https://mirror.example/a.bin", 0.9, False),
    ]
    for number in range(40):
        await book.put({row["file"]: [{**same, "origin": f"https://a.example/{number}"}]})
    assert len(await stored(house)) == MOST_ROWS


async def test_it_moves_with_the_file_even_to_another_library(
    house: House, library: Path, tmp_path: Path
) -> None:
    (library / "sub").mkdir()
    (library / "a.bin").rename(library / "sub" / "b.bin")
    await house.scan()
    assert await kinds(house, "sub/b.bin") == ["url", "appeared"]
    other = tmp_path / "other"
    other.mkdir()
    await house.add(other)
    (library / "sub" / "b.bin").rename(other / "c.bin")
    await house.scan("other")
    await house.scan()
    [url, _appeared] = await sources(house, "c.bin", "other")
    assert url.origin == ORIGIN


@pytest.mark.parametrize("hashed", [True, False])
async def test_a_file_that_went_and_came_back_has_its_source(
    house: House, library: Path, tmp_path: Path, *, hashed: bool
) -> None:
    """Also where the source was taken before its bytes had been read."""
    content = (library / "a.bin").read_bytes()
    if not hashed:
        await unread(house)
    (library / "a.bin").unlink()
    await house.scan()
    [row] = await stored(house)
    assert row["file"] is None
    assert row["blake3"] is not None
    write(library / "back.bin", content)
    await house.scan()
    [url, _appeared] = await sources(house, "back.bin")
    assert url.origin == ORIGIN


async def test_empty_files_are_not_taken_for_each_other(house: House, films: Path) -> None:
    write(films / "empty", b"")
    os.setxattr(films / "empty", "user.xdg.origin.url", b"https://a.example/")
    await house.add(films)
    await house.scan()
    assert await kinds(house, "empty") == ["url", "appeared"]
    (films / "empty").unlink()
    write(films / "other", b"")
    await house.scan()
    assert await kinds(house, "other") == ["appeared"]


async def test_a_plain_copy_is_told_of_by_its_bytes(house: House, library: Path) -> None:
    shutil.copyfile(library / "a.bin", library / "copy.bin")
    write(library / "unlike.bin", b"unlike")
    await house.scan()
    copy, _appeared = await sources(house, "copy.bin")
    assert (copy.kind, copy.origin, copy.confidence) == ("copy", ORIGIN, 0.81)
    assert copy.evidence["same bytes"] == "films: a.bin"
    assert await kinds(house, "unlike.bin") == ["appeared"]
    assert await kinds(house, "a.bin") == ["url", "appeared"]


async def test_what_waits_for_its_bytes_is_bounded(house: House, films: Path) -> None:
    for number in range(20):
        fetched(films / f"{number}")
    await house.add(films)
    await house.scan()
    for number in range(20):
        await sources(house, f"{number}")
        (films / f"{number}").unlink()
    write(films / "kept")
    await house.scan()
    await Book(house.ground.catalogue).forget_old(5)
    rows = await stored(house)
    assert len(rows) == 5
    assert min(row["id"] for row in rows) == 16


async def test_a_library_in_numbers(house: House, library: Path) -> None:
    for name in ("b", "c"):
        fetched(library / name, "https://other.example/x")
    write(library / "plain")
    await house.scan()
    for name in ("b", "c", "plain"):
        await sources(house, name)
    expected = SourceSummary.model_validate(
        {
            "files": 4,
            "known": 3,
            "kinds": [{"name": "url", "files": 3}],
            "hosts": [
                {"name": "other.example", "files": 2},
                {"name": "files.example", "files": 1},
            ],
            "trackers": [],
            "cameras": [],
        }
    )
    assert (await ask(house, library="films")).summary == expected
    assert (await ask(house)).summary == expected


async def test_asking_for_what_is_not_there_is_refused(house: House, library: Path) -> None:
    with pytest.raises(NotFound, match="no library tapes"):
        await ask(house, library="tapes")
    with pytest.raises(NotFound, match="no file gone"):
        await sources(house, "gone")
    with pytest.raises(Invalid, match="of a library"):
        await ask(house, path=PathRef.of("a.bin"))


async def test_a_picture_tells_its_camera(house: House, films: Path) -> None:
    write(films / "p.jpg", picture("JPEG"))
    await house.add(films)
    await house.scan()
    camera, _appeared = await sources(house, "p.jpg")
    assert camera.kind == "camera"
    assert camera.evidence["camera"] == CAMERA
    summary = (await ask(house, library="films")).summary
    assert summary is not None
    assert [count.name for count in summary.cameras] == [CAMERA]
