"""Names of a disk on a remote and back, and lists as they come in pieces."""

from __future__ import annotations

import json
import os
import tempfile
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract.ports import Catalogue, CatalogueFile
from engine.remotes import names, walking
from engine.remotes.book import Book
from engine.remotes.comparing import pairs
from engine.remotes.errors import redacted
from engine.remotes.local import Place
from engine.remotes.rc import Entries
from engine.remotes.target import Target
from engine.remotes.walking import Object
from tests.fakes.rclone import rclone
from tests.unit.remotes.house import put

PARTS = st.one_of(
    st.binary(min_size=1, max_size=8),
    st.text(min_size=1, max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [b"\\x1b", b"\\xdf", b"\\u201b", "\u201b".encode(), "\u241b".encode(), b"\x1b", b"\xdf"]
    ),
)
NAMES = (
    st.lists(PARTS, min_size=1, max_size=4)
    .map(b"".join)
    .map(lambda name: name.replace(b"\0", b"0").replace(b"/", b"_"))
    .filter(lambda name: name not in {b".", b".."})
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)


@given(PATHS, st.booleans())
def test_a_file_is_found_again_by_its_name_there(path: bytes, bucket: bool) -> None:
    name = names.to_remote(path, bucket=bucket)
    name.encode("utf-8")  # JSON can say it.
    assert names.QUOTE not in name
    assert path in names.candidates(name)
    if not names.is_written(path, bucket=bucket):
        assert names.plain(name) == path
    if bucket:
        assert not set(name) & set("\u241b\u240a\x1b\n\x7f")


@given(st.text(), st.text())
def test_names_that_one_remote_or_another_takes_for_one(name: str, other: str) -> None:
    for form in ("NFC", "NFD"):
        assert names.folded(unicodedata.normalize(form, name)) == names.folded(name)
    if name.isascii() and other.isascii():
        assert (names.folded(name) == names.folded(other)) == (name.lower() == other.lower())


def test_names_are_those_that_rclone_gives_where_it_keeps_them(tmp_path: Path) -> None:
    kept = [b"a\x1bb", b"new\nline", "rtl\u202e".encode(), b"back\\slash", b" x ", "é".encode()]
    for name in kept:
        put(tmp_path, name)
    listed = json.loads(rclone("lsjson", str(tmp_path)))
    assert {entry["Name"] for entry in listed} == {names.to_remote(name) for name in kept}


ENTRY = st.fixed_dictionaries(
    {
        "Path": st.text(max_size=20),
        "Size": st.integers(-1, 2**63),
        "IsDir": st.booleans(),
        "Hashes": st.dictionaries(st.sampled_from(["md5", "sha1"]), st.text(max_size=8)),
    }
)


@given(st.lists(ENTRY, max_size=20), st.integers(1, 64), st.sampled_from([None, 1, "\t"]))
def test_a_list_in_pieces_is_the_list(entries: list[Any], step: int, indent: Any) -> None:
    data = json.dumps({"list": entries}, indent=indent, ensure_ascii=False)
    raw = data.encode("utf-8", "surrogatepass")
    reader = Entries()
    found = [e for at in range(0, len(raw), step) for e in reader.feed(raw[at : at + step])]
    reader.close()
    expected = json.loads(raw.decode("utf-8", "replace"))["list"]
    assert found == expected


@given(st.binary(max_size=200), st.integers(1, 50))
def test_what_is_no_list_is_refused_and_never_hangs(data: bytes, step: int) -> None:
    reader = Entries()
    with pytest.raises(ValueError):  # noqa: PT011 - json's and ours
        for at in range(0, len(data), step):
            list(reader.feed(data[at : at + step]))
        reader.close()


def test_a_list_that_breaks_off_is_no_list() -> None:
    reader = Entries()
    assert len(list(reader.feed(b'{"list": [{"Path": "a"}, {"Pa'))) == 1
    with pytest.raises(ValueError, match="breaks off"):
        reader.close()
    nothing = Entries()
    assert list(nothing.feed(b'{\n\t"list": null\n}\n')) == []
    nothing.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-29T02:47:09.879619973Z", 1_795_920_429_879_619_973),
        ("2026-11-29T03:47:09+01:00", 1_795_920_429_000_000_000),
        ("1970-01-01T00:00:00Z", 0),
        ("9999-12-31T23:59:59Z", None),
        ("2026-02-31T00:00:00Z", None),
        ("yesterday", None),
    ],
)
def test_times_are_read_to_the_nanosecond(text: str, expected: int | None) -> None:
    assert walking.nanoseconds(text) == expected


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ('Get "https://me:hunter2@nas/x": EOF', 'Get "https://nas/x": EOF'),
        ("Put https://s3/b/k?X-Amz-Signature=abc: 403", "Put https://s3/b/k?… 403"),
        ("couldn't: token=ya29.secret, retry", "couldn't: token=…, retry"),
        ("Authorization: Bearer-abc.def", "Authorization: …"),
        ("a\x1b[31mred\nline", "a\\x1b[31mred line"),
    ],
)
def test_rclones_words_are_shown_without_what_may_be_a_secret(said: str, shown: str) -> None:
    assert redacted(said) == shown


# --- two sides in one order ---------------------------------------------------------------------


class _Listed:
    """A book that holds one inventory."""

    def __init__(self, objects: list[str]) -> None:
        self._objects = sorted(set(objects))

    async def by_path(self, _inventory: int) -> AsyncIterator[Object]:
        for path in self._objects:
            yield Object(path, 1)


class _Files:
    """A catalogue of files that are on the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def by_path(self, _library: str, _folder: bytes = b"") -> AsyncIterator[Any]:
        found = []
        for path in self._root.iterdir():
            status = path.lstat()
            identity = (status.st_dev, status.st_ino, status.st_size)
            times = (status.st_mtime_ns, status.st_ctime_ns)
            found.append(CatalogueFile(1, os.fsencode(path.name), *identity, *times, 1, None))
        yield sorted(found, key=lambda file: file.path)


SHORT = NAMES.filter(lambda name: len(name) < 100)


@given(
    st.sets(SHORT, max_size=8),
    st.lists(st.text("ab\\x1bdf\u241b\u201b\u00e9", min_size=1, max_size=6), max_size=8),
    st.booleans(),
)
async def test_each_file_of_either_side_is_told_once(
    here: set[bytes], there: list[str], bucket: bool
) -> None:
    target = Target(
        "x:", "x:", "", "s3", "", (), slow_hash=False, precision_ns=1, slow_time=False,
        local=False, folds_case=False, bucket=bucket,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in here:
            Path(root / os.fsdecode(name)).touch()
        # Some of what is here is there too.
        listed = there + [names.to_remote(name, bucket=bucket) for name in sorted(here)[::2]]
        status = root.stat()
        place = Place("films", os.fsencode(root), (status.st_dev, status.st_ino))
        found = [
            pair
            async for pair in pairs(
                place, cast(Catalogue, _Files(root)), cast(Book, _Listed(listed)), 1, target
            )
        ]
    assert sorted(pair.here.path for pair in found if pair.here) == sorted(here)
    assert sorted(pair.there.path for pair in found if pair.there) == sorted(set(listed))
    for pair in found:
        if pair.here and pair.there:
            assert pair.here.name == pair.there.path
        elif pair.here and not pair.here.problem:
            assert pair.here.name not in listed
