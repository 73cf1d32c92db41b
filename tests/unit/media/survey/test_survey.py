"""From a library to what its files hold: the room, its process and its catalogue."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.errors import Invalid, NotFound
from engine.contract.traits import AssetDetail, ShowAsset
from engine.media.survey import process, records
from engine.media.survey.surveyor import Manner
from tests.fakes.waiting import until
from tests.unit.media.house import House, children, write
from tests.unit.media.survey import samples
from tests.unit.media.survey.samples import CAMERA, picture
from tests.unit.media.test_hazards import mortal


async def show(house: House, path: str | None = None, **values: Any) -> AssetDetail:
    where = None if path is None else PathRef.of(path)
    request = ShowAsset(library=values.pop("library", "films"), path=where, **values)
    return await house.door.call(media.SHOW, request)


async def left(house: House) -> int:
    rows = await house.ground.catalogue.read("SELECT count(*) FROM file WHERE surveyed = 0")
    return int(rows[0][0])


async def surveyed(house: House) -> None:
    async def all_of_it() -> bool:
        return await left(house) == 0

    await until(all_of_it, 20)


async def types(house: House) -> dict[bytes, str]:
    """As they are stored: nothing is looked into by asking."""
    rows = await house.ground.catalogue.read(
        "SELECT path, trait.type FROM file JOIN trait ON trait.file = file.id"
    )
    return {row["path"]: row["type"] for row in rows}


async def test_after_a_scan_it_is_known_what_the_files_hold(house: House, films: Path) -> None:
    samples.write_all(films)
    write(films / b"\xff".decode("utf-8", "surrogateescape"), b"words")
    await house.add(films)
    await house.scan()
    await surveyed(house)
    expected = {f"{n}.txt".encode(): type_ for n, (_m, type_, _k) in samples.MADE.items()}
    assert await types(house) == {**expected, b"\xff": "text/plain"}
    shown = await show(house, "jpeg.txt")
    assert shown.traits is not None
    assert shown.traits.camera == CAMERA
    assert shown.traits.details["artist"].startswith("A\\x1b[31m")
    assert shown.traits.problem == ""


async def test_what_changes_is_looked_into_again_and_nothing_else(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(films / "same", b"words")
    write(films / "moves", picture("PNG"))
    write(films / "changes", b"words")
    write(films / "hidden", b"words")
    await house.add(films)
    await house.scan()
    await surveyed(house)
    told: list[Any] = []
    real = records.columns

    def columns(trait: Any) -> Any:
        told.append(trait)
        return real(trait)

    monkeypatch.setattr(records, "columns", columns)
    (films / "moves").rename(films / "moved")
    write(films / "changes", picture("JPEG"))
    status = (films / "hidden").stat()
    write(films / "hidden", b"\x89PNG\r")  # As large as before, and as old.
    write(films / "hidden", b"%PDF-")
    os.utime(films / "hidden", ns=(status.st_atime_ns, status.st_mtime_ns))
    write(films / "new", b"words")
    await house.scan()
    await surveyed(house)
    assert await types(house) == {
        b"same": "text/plain",
        b"moved": "image/png",
        b"changes": "image/jpeg",
        b"hidden": "application/pdf",
        b"new": "text/plain",
    }
    assert len(told) == 3


async def test_the_newest_come_first(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(600):
        write(films / f"{number:03}", b"words")
    await house.add(films)
    seen: list[int] = []
    real = house.room._surveyor._records.put

    async def put(targets: Any, rows: Any) -> None:
        seen.extend(row["id"] for row in rows)
        await real(targets, rows)

    monkeypatch.setattr(house.room._surveyor._records, "put", put)
    await house.scan()
    await surveyed(house)
    rows = await house.ground.catalogue.read("SELECT id FROM file ORDER BY id DESC")
    assert seen == [row["id"] for row in rows]


async def test_a_file_that_breaks_the_process_is_said_to(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MODULE", "tests.unit.media.survey.rogue")
    write(films / "bad.pdf", b"%PDF- kill ")
    write(films / "good.jpg", picture("JPEG"))
    await house.add(films)
    await house.scan()
    await surveyed(house)
    bad = (await show(house, "bad.pdf")).traits
    assert bad is not None
    assert (bad.kind, bad.type) == ("document", "application/pdf")
    assert bad.problem.startswith("nothing can read it")
    good = (await show(house, "good.jpg")).traits
    assert good is not None
    assert good.width == 48


async def test_without_the_libraries_types_are_known_and_it_is_said_what_is_missing(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MODULE", "tests.unit.media.survey.without")
    names = {"jpeg": "Pillow", "heic": "Pillow", "mp4": "PyAV", "pdf": "pypdf"}
    for name in names:
        write(films / name, samples.MADE[name][0]())
    await house.add(films)
    await house.scan()
    await surveyed(house)
    for name, library in names.items():
        traits = (await show(house, name)).traits
        assert traits is not None
        assert traits.type == samples.MADE[name][1]
        assert traits.problem.startswith(f"{library} is not installed")
        assert traits.problem.endswith("make setup")
    monkeypatch.undo()
    await house.room._surveyor.stop()  # As at the next start of the engine.
    await house.scan()
    await surveyed(house)
    heic = (await show(house, "heic")).traits
    assert heic is not None
    assert (heic.problem, heic.width) == ("", 48)


async def test_one_that_is_killed_is_started_again(house: House, films: Path) -> None:
    write(films / "one", b"words")
    await house.add(films)
    await house.scan()
    await surveyed(house)
    (child,) = children("survey.worker")
    child.send_signal(signal.SIGKILL)
    write(films / "two", picture("JPEG"))
    await house.scan()
    await surveyed(house)
    assert (await types(house))[b"two"] == "image/jpeg"


async def test_it_gives_way_to_a_scan(house: House, films: Path) -> None:
    write(films / "one", b"words")
    await house.add(films)
    indexer = house.room._indexers["films"]
    async with indexer._hashing:
        await indexer.refresh([b"one"])
        await until(lambda: house.room._surveyor._busy_since is not None)
        assert await types(house) == {}
        assert not children("survey.worker")
    await surveyed(house)


async def test_it_gives_way_under_strain(house: House, films: Path) -> None:
    write(films / "one", b"words")
    await house.add(films)
    house.strain.why = "on battery"
    await house.scan()
    asked = house.strain.asked
    await until(lambda: house.strain.asked > asked + 1)
    assert await types(house) == {}
    assert not children("survey.worker")
    house.strain.why = ""
    await surveyed(house)


async def test_a_strain_that_does_not_end_leaves_it_a_share(house: House, films: Path) -> None:
    write(films / "one", b"words")
    await house.add(films)
    house.room._surveyor._manner = Manner(gives_way=0)
    house.strain.why = "on battery"
    await house.scan()
    await surveyed(house)


async def test_a_file_that_may_not_be_read_is_tried_again_when_it_may(
    house: House, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(films / "closed", picture("JPEG"))
    write(films / "open", b"words")
    await house.add(films)
    (films / "closed").chmod(0)
    with mortal(tmp_path, monkeypatch):
        await house.scan()

        async def met_both() -> bool:
            return bool(house.room._surveyor._passed) and await left(house) == 1

        await until(met_both, 20)
    assert await types(house) == {b"open": "text/plain"}
    (films / "closed").chmod(0o644)
    await house.scan()
    await surveyed(house)
    assert (await types(house))[b"closed"] == "image/jpeg"


async def test_a_root_that_is_away_changes_nothing(house: House, films: Path) -> None:
    write(films / "one", b"words")
    await house.add(films)
    await house.scan()
    await surveyed(house)
    await house.ground.catalogue.write(
        lambda tx: tx.execute("UPDATE file SET surveyed = 0")  # As if it were new.
    )
    films.rename(films.with_name("away"))
    assert (await show(house, "one")).traits is not None
    assert await left(house) == 1
    films.with_name("away").rename(films)
    assert (await show(house, "one")).traits is not None
    assert await left(house) == 0


# --- media.show ----------------------------------------------------------------------------------


async def test_what_nobody_looked_into_is_looked_into_when_asked_for(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.room._surveyor, "wake", lambda _library: None)
    write(films / "one", picture("JPEG"))
    await house.add(films)
    await house.scan()
    shown = await show(house, "one")
    assert shown.traits is not None
    assert shown.traits.type == "image/jpeg"


async def test_everything_of_a_file_is_shown(house: House, films: Path, tmp_path: Path) -> None:
    write(films / "one", picture("JPEG"))
    os.link(films / "one", films / "linked")
    write(films / "copy", picture("JPEG"))
    write(tmp_path / "music" / "copy", picture("JPEG"))
    write(films / "other", b"words")
    await house.add(films)
    await house.add(tmp_path / "music")
    await house.scan()
    await house.scan("music")
    id_ = (await show(house, "one")).asset.id
    await house.ground.catalogue.write(
        lambda tx: tx.executemany(
            "INSERT INTO source (file, at, kind, origin, confidence) VALUES (?, 1, 'url', ?, ?)",
            [(id_, "likely", 0.5), (id_, "certain", 0.9)],
        )
    )
    shown = await show(house, "one")
    assert [name.path.display for name in shown.names] == ["linked"]
    assert [(copy.library, copy.path.display) for copy in shown.copies] == [
        ("films", "copy"),
        ("music", "copy"),
    ]
    assert shown.copies_total == 2
    told = [source.origin or source.kind for source in shown.sources]
    assert told == ["certain", "camera", "likely", "appeared"]
    assert shown == await show(house, str(films / "one"))
    assert shown == await show(house, id=id_)
    assert shown == await show(house, library=None, id=id_)


async def test_where_a_file_came_from_is_found_in_the_same_look(house: House, films: Path) -> None:
    page = "https://me:secret@video.example/watch?v=1&token=secret"
    record = {"webpage_url": page, "extractor": "example", "ext": "mp4", "title": "Dune"}
    write(films / "dune.mp4", samples.film())
    write(films / "dune.info.json", json.dumps(record).encode())
    write(films / "plain.txt", b"words")
    await house.add(films)
    await house.scan()
    await surveyed(house)
    shown = await show(house, "dune.mp4")
    assert shown.traits is not None
    assert shown.traits.duration_ms
    (source,) = [one for one in shown.sources if one.kind == "download"]
    assert source.origin.startswith("https://video.example/watch")
    assert "secret" not in shown.model_dump_json()
    assert not [one for one in (await show(house, "plain.txt")).sources if one.origin]


async def test_what_is_not_there_is_not_shown(house: House, films: Path) -> None:
    write(films / "one")
    await house.add(films)
    await house.scan()
    for path in ("two", "../films/one", "/etc/passwd", ""):
        with pytest.raises(NotFound, match="There is no file"):
            await show(house, path)
    with pytest.raises(NotFound):
        await show(house, id=10**6)
    with pytest.raises(NotFound, match="There is no library music"):
        await show(house, "one", library="music")
    with pytest.raises(Invalid, match="Which file"):
        await show(house)


def test_the_engine_never_imports_a_parser() -> None:
    script = "import sys, engine.media.room; print({'PIL', 'av', 'pypdf'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
