"""Checksum lists: what they may look like, what is refused, and a library against one."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from engine.contract.base import PathRef
from engine.contract.errors import Failed, Invalid
from engine.contract.integrity import VerifyResult
from engine.media.integrity.lists import Entry, ListError, inside, parse
from tests.unit.media.house import House, write
from tests.unit.media.integrity.asking import damaged, history, rot, verify

SHA = hashlib.sha256(b"x").hexdigest()
names = st.binary(min_size=1, max_size=200).filter(lambda name: b"\0" not in name)


def escaped(name: bytes) -> tuple[bytes, bytes]:
    """A leading backslash where needed, and the name, as GNU's programs write them."""
    text = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    return (b"\\" if text != name else b""), text


@given(name=names, kind=st.sampled_from(["md5", "sha1", "sha256", "sha512"]), tag=st.booleans())
def test_what_programs_write_is_understood(name: bytes, kind: str, tag: bool) -> None:
    mark, text = escaped(name)
    value = hashlib.new(kind, name).hexdigest().encode()
    line = b"%s (%s) = %s" % (kind.upper().encode(), text, value) if tag else value + b"  " + text
    [entry] = parse(mark + line + b"\n")
    assert isinstance(entry, Entry)
    assert (entry.name, entry.digest) == (name, value.decode())
    assert kind in entry.kinds


@given(st.binary(max_size=2000))
def test_anything_else_is_told_with_its_line(data: bytes) -> None:
    lines = data.count(b"\n") + 1
    for found in parse(data):
        assert 1 <= found[0] <= lines


@given(name=names, base=st.sampled_from([b"", b"sub", b"sub/deeper"]))
def test_no_name_leads_out(name: bytes, base: bytes) -> None:
    try:
        path = inside(name, b"/srv/films", base)
    except ListError:
        return
    whole = os.path.normpath(b"/srv/films/" + path)
    assert whole == b"/srv/films/" + path
    assert not path.startswith((b"/", b"../"))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"hello", "not a digest"),
        (SHA.encode() + b" name", "not a digest"),
        (SHA[:50].encode() + b"  name", "50 digits"),
        (b"SHA256 (name) = " + SHA[:32].encode(), "sha256 has 64"),
        (b"CRC32 (name) = 0a0b", "CRC32 is no algorithm"),
        (b"\\" + SHA.encode() + b"  a\\tb", "escapes nothing"),
        (SHA.encode() + b"  a\0b", "NUL"),
        (SHA.encode() + b"  " + b"a" * 20_000, "bytes long"),
    ],
)
def test_a_line_that_is_none(line: bytes, why: str) -> None:
    [first, found] = parse(SHA.encode() + b"  good\r\n" + line)
    assert isinstance(first, Entry)
    number, reason = found[0], found[1]
    assert number == 2
    assert why in str(reason)


async def compared(house: House, list_: Path) -> VerifyResult:
    result = await verify(house, against=PathRef.of(list_))
    assert result.compared is not None
    return result


@pytest.mark.parametrize(
    ("program", "tag"),
    [
        pytest.param(name, tag, marks=pytest.mark.system(name))
        for name in ("md5sum", "sha1sum", "sha256sum", "sha512sum", "b3sum")
        for tag in (False, True)
        if name != "b3sum" or not tag  # Older ones have no --tag.
    ],
)
async def test_a_library_against_a_list(house: House, films: Path, program: str, tag: bool) -> None:
    top = os.fsencode(films)
    hostile = [b"new\nline", b"back\\slash", b"-rf", b" blank", b"(round) = brackets"]
    for number, name in enumerate(hostile):
        write(top + b"/season/" + name, b"%d" % number)
    write(films / "season" / "changed", b"before")
    write(films / "season" / "lost")
    flags = ["--tag"] if tag else []
    for_list = [f"./{entry.name}" for entry in (films / "season").iterdir()]
    done = subprocess.run(
        [program, *flags, "--", *for_list], cwd=films / "season", capture_output=True, check=True
    )
    list_ = films / "season" / "SUMS"
    list_.write_bytes(done.stdout)
    write(films / "season" / "changed", b"behind")
    (films / "season" / "lost").unlink()
    write(films / "season" / "more")
    write(films / "elsewhere")
    await house.add(films)
    await house.scan()
    result = await compared(house, list_)
    found = result.compared
    assert found is not None
    assert (found.entries, found.matching, found.differing) == (7, 5, 1)
    assert (found.missing, found.extra, found.bad_lines) == (1, 1, 0)
    names = {one.kind: one.path and one.path.data for one in result.troubles}
    assert names == {
        "differing": b"season/changed",
        "missing": b"season/lost",
        "extra": b"season/more",
    }


async def test_what_is_read_for_a_list_is_checked_too(house: House, films: Path) -> None:
    write(films / "film", b"bytes")
    await house.add(films)
    await house.scan()
    await rot(house, films / "film")
    list_ = films.parent / "SUMS"  # Not in the library: names start from its root.
    list_.write_text(f"{hashlib.md5(b'bytes').hexdigest()} *film\n")
    result = await compared(house, list_)
    assert result.compared is not None
    assert (result.compared.differing, result.rotten) == (1, 1)
    assert len(await damaged(house)) == 1
    await rot(house, films / "film")
    assert (await compared(house, list_)).mended == 1
    found = (await history(house, b"film")).file
    assert found is not None
    assert found.hashes == {"md5": hashlib.md5(b"bytes").hexdigest()}


async def test_files_that_the_catalogue_does_not_know_yet(house: House, films: Path) -> None:
    await house.add(films)
    await house.scan()
    write(films / "new", b"x")
    (films.parent / "SUMS").write_text(f"{SHA}  new\n{blake3(b'x').hexdigest()}  ./new\n")
    result = await compared(house, films.parent / "SUMS")
    assert result.compared is not None
    assert result.compared.matching == 1
    [trouble] = result.troubles
    assert (trouble.kind, trouble.line) == ("bad_line", 2)


async def test_a_hostile_list_reaches_nothing_outside(
    house: House, films: Path, tmp_path: Path
) -> None:
    write(tmp_path / "outside", b"x")
    write(films / "film", b"x")
    (films / "link").symlink_to(tmp_path)
    (films / "away").symlink_to(tmp_path / "outside")
    await house.add(films)
    await house.scan()
    lines = ["../outside", f"{tmp_path}/outside", "a/../../outside", "link/outside", "away", "film"]
    (tmp_path / "SUMS").write_text("".join(f"{SHA}  {line}\n" for line in lines))
    result = await compared(house, tmp_path / "SUMS")
    found = result.compared
    assert found is not None
    assert (found.bad_lines, found.missing, found.matching) == (3, 2, 1)
    assert [one.line for one in result.troubles if one.kind == "bad_line"] == [1, 2, 3]


@pytest.mark.parametrize(
    "content",
    [b"", b"nothing of the kind\n" * 1000, os.urandom(10_000)],
    ids=["empty", "words", "noise"],
)
async def test_what_is_no_list_is_refused(house: House, films: Path, content: bytes) -> None:
    write(films / "film")
    await house.add(films)
    await house.scan()
    write(films / "SUMS", content)
    with pytest.raises(Failed, match="no line of it"):
        await compared(house, films / "SUMS")


async def test_what_cannot_be_a_list(house: House, films: Path) -> None:
    await house.add(films)
    await house.scan()
    os.mkfifo(films / "pipe")
    with pytest.raises(Failed, match="it is no file"):
        await compared(house, films / "pipe")
    with pytest.raises(Failed, match="No such file"):
        await compared(house, films / "nowhere")
    with (films / "large").open("wb") as file:
        file.truncate(33 * 1024**2)
    with pytest.raises(Failed, match="larger than 32 MiB"):
        await compared(house, films / "large")
    with pytest.raises(Invalid):
        await verify(house, against=PathRef.of(films), days=3)
