"""A list as a file: whole or not at all, over nothing that is there, and harmless to open."""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.errors import Cancelled, Failed, Invalid, Refused
from engine.contract.listing import ExportAssets, Exported
from engine.media.listing.exporting import FILES
from engine.media.sheet import lines
from tests.fakes.door import JobDouble
from tests.fakes.waiting import until
from tests.unit.media.house import House
from tests.unit.media.listing.shelf import YEAR, Film, shelved

ODD = [
    b"=HYPERLINK(1)", b"+1", b"-2", b"@x", b"two\nlines", b"\x1b[31mred", "a\u202eb".encode(),
    b"caf\xe9", b'quo"te,comma', b"a|b <b>x</b> [l](u) *s*", b"\tTab", b"plain",
]  # fmt: skip


async def export(
    house: House, path: Path | bytes, job: JobDouble | None = None, **asked: Any
) -> Exported:
    request = ExportAssets(path=PathRef.of(path), **{"library": "films", **asked})
    return await house.door.run(media.EXPORT, request, job)


async def test_csv_is_no_formula_and_holds_every_name(
    house: House, films: Path, tmp_path: Path
) -> None:
    await shelved(house, films, [Film(name, size=n) for n, name in enumerate(ODD)])
    told = await export(house, tmp_path / "out.csv")
    data = (tmp_path / "out.csv").read_bytes()
    assert (told.files, told.gone, told.size, told.format) == (len(ODD), 0, len(data), "csv")
    text = data.decode("utf-8")
    assert all(char.isprintable() or char in "\r\n" for char in text)
    rows = [*csv.DictReader(io.StringIO(text, newline=""))]
    assert sorted(base64.b64decode(row["raw_path"]) for row in rows) == sorted(ODD)
    for row in rows:
        assert not any((cell or "").startswith(("=", "+", "-", "@")) for cell in row.values())
    assert (tmp_path / "out.csv").stat().st_mode & 0o777 == 0o600


async def test_json_lines_hold_what_is_known(house: House, films: Path, tmp_path: Path) -> None:
    film = Film(
        b"a/b.jpg", size=7, kind="image", type="image/jpeg", taken_at=30 * YEAR, camera="ACME",
        sources=[("appeared", ""), ("url", "https://example.org/b.jpg")],
    )  # fmt: skip
    await shelved(house, films, [film, Film(b"c", blake3=None), Film(b"d", damage="rotten")])
    told = await export(house, tmp_path / "out", format="jsonl")
    assert told.format == "jsonl"
    first, second, third = map(json.loads, (tmp_path / "out").read_text("utf-8").splitlines())
    assert set(first) == set(FILES.columns)
    assert (first["path"], first["size"], first["kind"]) == ("a/b.jpg", 7, "image")
    assert (first["camera"], first["source"]) == ("ACME", "url https://example.org/b.jpg")
    assert [first["state"], second["state"], third["state"]] == ["sound", "pending", "damaged"]


async def test_markdown_is_one_table(house: House, films: Path, tmp_path: Path) -> None:
    await shelved(house, films, [Film(name) for name in ODD])
    await export(house, tmp_path / "out.md")
    text = (tmp_path / "out.md").read_text("utf-8")
    table = text.splitlines()
    assert len(table) == 2 + len(ODD)
    assert "a\\|b \\<b\\>x\\</b\\> \\[l\\]\\(u\\) \\*s\\*" in text


async def test_what_is_narrowed_and_sorted_is_written_so(
    house: House, films: Path, tmp_path: Path
) -> None:
    await shelved(house, films, [Film(f"{n % 3}/{n}".encode(), size=n) for n in range(9)])
    await export(
        house, tmp_path / "o.jsonl", sort="size", larger=3, under=PathRef.of("1"), reverse=True
    )
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [row["path"] for row in rows] == ["1/4", "1/7"]


async def test_thousands_of_rows_come_in_pieces(house: House, films: Path, tmp_path: Path) -> None:
    await shelved(house, films, [Film(f"{n:05}".encode()) for n in range(1234)])
    job = JobDouble()
    told = await export(house, tmp_path / "o.csv", job)
    assert told.files == 1234
    assert [done for done, total, unit, _ in job.told] == [500, 1000, 1234]
    assert (tmp_path / "o.csv").read_bytes().count(b"\r\n") == 1235


async def test_nothing_that_is_there_is_overwritten(
    house: House, films: Path, tmp_path: Path
) -> None:
    await shelved(house, films, [Film(b"a")])
    (tmp_path / "o.csv").write_text("mine")
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere")
    for name in ("o.csv", "link.csv"):
        with pytest.raises(Refused, match="is there already"):
            await export(house, tmp_path / name)
    assert (tmp_path / "o.csv").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


async def test_one_that_is_cancelled_leaves_nothing(
    house: House, films: Path, tmp_path: Path
) -> None:
    await shelved(house, films, [Film(f"{n}".encode()) for n in range(2000)])
    job = JobDouble()
    job.pause()
    task = asyncio.create_task(export(house, tmp_path / "o.csv", job))
    await until(lambda: bool(job.waits))
    assert not (tmp_path / "o.csv").exists()
    job.cancel()
    with pytest.raises(Cancelled):
        await task
    assert not [*tmp_path.glob("o.csv*")]


@pytest.mark.parametrize("path", [b"relative.csv", b"/tmp/a\0b.csv", b"/tmp/no-ending"])
async def test_a_path_that_cannot_be_meant(house: House, films: Path, path: bytes) -> None:
    await shelved(house, films, [Film(b"a")])
    with pytest.raises(Invalid):
        await export(house, path)


async def test_a_folder_that_is_not_there(house: House, films: Path, tmp_path: Path) -> None:
    await shelved(house, films, [Film(b"a")])
    with pytest.raises(Failed, match="cannot be written"):
        await export(house, tmp_path / "none" / "o.csv")


@given(st.dictionaries(st.sampled_from(FILES.columns), st.text(max_size=30)))
def test_no_cell_is_ever_a_formula(cells: dict[str, str]) -> None:
    row = dict.fromkeys(FILES.columns, "") | cells
    for cell in next(csv.reader(io.StringIO(lines("csv", FILES, [row]), newline=""))):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
