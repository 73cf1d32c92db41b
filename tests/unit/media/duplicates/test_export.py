"""Groups as a file: every name of every copy, what it is to be and why, and nothing twice."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.copies import ExportDuplicates, ExportedDuplicates
from engine.contract.errors import Invalid, NotFound, Refused
from engine.media.duplicates.exporting import ALIKE, SAME
from tests.fakes.door import JobDouble
from tests.unit.media.duplicates.asking import pages
from tests.unit.media.duplicates.test_pictures import encoded, scene, shown, versions
from tests.unit.media.house import House, write


async def export(
    house: House, path: Path | bytes, job: JobDouble | None = None, **asked: Any
) -> ExportedDuplicates:
    request = ExportDuplicates(path=PathRef.of(path), **asked)
    return await house.door.run(media.EXPORT_DUPLICATES, request, job)


async def hashed(house: House, films: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        write(films / path, content)
    await house.add(films, "films")
    await house.scan()


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


async def test_groups_are_rows_with_what_is_proposed_and_why(
    house: House, films: Path, tmp_path: Path
) -> None:
    files = {"a": b"same", "sub/a (1)": b"same", "big": b"x" * 9, "x/big": b"x" * 9, "alone": b"1"}
    await hashed(house, films, files)
    told = await export(house, tmp_path / "o.jsonl")
    rows = read(tmp_path / "o.jsonl")
    assert all(set(row) == set(SAME.columns) for row in rows)
    assert [(r["group"], r["role"], r["path"]) for r in rows] == [
        (1, "keep", "big"), (1, "spare", "x/big"), (2, "keep", "a"), (2, "spare", "sub/a (1)"),
    ]  # fmt: skip
    assert rows[3]["reasons"] == "its name, or its folder, looks like that of a copy"
    assert [(r["size"], r["frees"], r["library"]) for r in rows[2:]] == [
        (4, 0, "films"), (4, 4, "films"),
    ]  # fmt: skip
    assert (told.groups, told.files, told.untold, told.format) == (2, 4, 0, "jsonl")
    assert told.size == (tmp_path / "o.jsonl").stat().st_size


async def test_every_name_is_a_row_and_frees_once(
    house: House, films: Path, tmp_path: Path
) -> None:
    write(films / "kept", b"same")
    write(films / "tmp" / "one", b"same")
    os.link(films / "tmp" / "one", films / "tmp" / "two")
    await hashed(house, films, {})
    await export(house, tmp_path / "o.csv")
    with (tmp_path / "o.csv").open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [(r["path"], r["role"], r["frees"], r["links"]) for r in rows] == [
        ("kept", "keep", "0", "1"), ("tmp/one", "spare", "4", "2"), ("tmp/two", "spare", "0", "2"),
    ]  # fmt: skip
    assert rows[2]["reasons"] == "another name of tmp/one"


async def test_many_groups_are_all_written_in_the_order_that_is_asked(
    house: House, films: Path, tmp_path: Path
) -> None:
    files = {f"{side}/{n:03}": b"%04d" % n for n in range(60) for side in "ab"}
    await hashed(house, films, files)
    job = JobDouble()
    told = await export(house, tmp_path / "o.jsonl", job, sort="path")
    assert [done for done, _total, _unit, _note in job.told] == [25, 50, 60]
    rows = read(tmp_path / "o.jsonl")
    assert (told.groups, told.files) == (60, 120)
    assert [row["group"] for row in rows[::2]] == [*range(1, 61)]
    expected = [group.blake3 for group in await pages(house, sort="path")]
    assert [row["blake3"] for row in rows[::2]] == expected
    await export(house, tmp_path / "o.md")
    assert (tmp_path / "o.md").read_text("utf-8").count("\n") == 2 + 120


async def test_hostile_names_stay_in_their_cells(house: House, films: Path, tmp_path: Path) -> None:
    write(os.fsencode(films) + b"/=1+1", b"same")
    write(os.fsencode(films) + b"/a\nb\xff", b"same")
    await hashed(house, films, {})
    await export(house, tmp_path / "o.csv")
    text = (tmp_path / "o.csv").read_bytes().decode("utf-8")
    assert "'=1+1" in text
    assert text.count("\r\n") == 3
    assert all(char.isprintable() or char in "\r\n" for char in text)


async def test_what_is_there_or_unknown_is_refused(
    house: House, films: Path, tmp_path: Path
) -> None:
    await hashed(house, films, {})
    (tmp_path / "o.csv").write_text("mine")
    with pytest.raises(Refused, match="is there already"):
        await export(house, tmp_path / "o.csv")
    with pytest.raises(Invalid):
        await export(house, tmp_path / "no-ending")
    with pytest.raises(NotFound):
        await export(house, tmp_path / "x.csv", libraries=("nothing",))
    assert [one.name for one in tmp_path.glob("*.csv*")] == ["o.csv"]


@pytest.mark.binding("PIL", get="make setup")
async def test_pictures_that_look_alike_are_rows_of_their_own(
    house: House, films: Path, tmp_path: Path
) -> None:
    await shown(house, films, {**versions(1), "alone.jpg": encoded(scene(2), "JPEG")})
    told = await export(house, tmp_path / "o.jsonl", near=True)
    rows = read(tmp_path / "o.jsonl")
    assert all(set(row) == set(ALIKE.columns) for row in rows)
    assert {row["path"] for row in rows} == set(versions(1))
    assert {row["group"] for row in rows} == {1}
    assert rows[0]["distance"] == 0
    assert (told.groups, told.files) == (1, 6)
