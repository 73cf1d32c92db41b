"""A catalogued file in words, for whoever asks about it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.contract.errors import NotFound
from engine.contract.ports import CatalogueFile
from engine.media.describe import MOST_TEXT, describe
from engine.media.walk import Identity
from tests.unit.media.house import House, write


def catalogued(root: Path, path: bytes) -> CatalogueFile:
    identity = Identity.of((root / os.fsdecode(path)).stat())
    return CatalogueFile(1, path, *identity, None)


async def test_a_short_text_is_told_with_its_facts(house: House, films: Path) -> None:
    write(films / "sub" / "notes.txt", "Zwölf\n".encode())
    os.utime(films / "sub" / "notes.txt", (0, 0))
    await house.add(films)
    await house.scan()
    told = await house.room.describe("films", b"sub/notes.txt")
    assert (told.name, told.text) == ("sub/notes.txt", "Zwölf\n")
    assert told.facts[:3] == (
        "Path: sub/notes.txt in the library films",
        "Size: 7 bytes",
        "Modified: 1970-01-01 00:00 UTC",
    )
    assert any(fact.startswith("BLAKE3: ") for fact in told.facts)
    with pytest.raises(NotFound, match="no file sub/other"):
        await house.room.describe("films", b"sub/other")
    with pytest.raises(NotFound, match="no library"):
        await house.room.describe("series", b"sub/notes.txt")


@pytest.mark.parametrize(
    "data", [b"\xff\xfe\x00", b"a\x00b", b"", b"x" * (MOST_TEXT + 1)], ids=range(4)
)
def test_what_is_no_short_text_is_told_by_its_facts_alone(films: Path, data: bytes) -> None:
    write(films / "a", data)
    told = describe("films", os.fsencode(films), catalogued(films, b"a"))
    assert told.text == ""
    assert told.facts[1] == f"Size: {len(data):,} bytes"


def test_a_hostile_name_is_visible(films: Path) -> None:
    write(films / "n", b"words")
    name = b"a\x1b[2J\n\xff"
    (films / "n").rename(films / os.fsdecode(name))
    told = describe("films", os.fsencode(films), catalogued(films, name))
    assert told.name == "a\\x1b[2J\\n\\xff"
    assert told.text == "words"
    assert "\x1b" not in "".join(told.facts)


def test_a_part_of_a_text_is_not_taken_for_the_whole(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(films / "a", b"All of it, or nothing.")
    read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, most: read(descriptor, min(most, 9)))
    told = describe("films", os.fsencode(films), catalogued(films, b"a"))
    assert told.text == ""


def test_no_link_is_followed(films: Path, tmp_path: Path) -> None:
    write(films / "sub" / "a", b"inside")
    known = catalogued(films, b"sub/a")
    (films / "sub").rename(tmp_path / "moved")
    (films / "sub").symlink_to(tmp_path / "moved")
    told = describe("films", os.fsencode(films), known)
    assert told.text == ""
    assert "cannot be read now" in told.facts[-1]


def test_a_file_that_changed_is_not_taken_for_the_one_that_was_catalogued(films: Path) -> None:
    write(films / "a", b"before")
    known = catalogued(films, b"a")
    write(films / "a", b"after!")
    os.utime(films / "a", (1, 1))
    told = describe("films", os.fsencode(films), known)
    assert told.text == ""
    assert "changed" in told.facts[-1]
