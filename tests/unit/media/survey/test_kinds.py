"""The type of a file by its content: of real files, of wild bytes, of text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media.survey import kinds
from engine.media.survey.kinds import EMPTY, HEAD, KINDS, PLAIN, UNKNOWN, sort
from tests.unit.media.survey.samples import MADE, zipped


@pytest.mark.parametrize("name", MADE)
def test_a_real_file_is_of_its_type(name: str) -> None:
    make, type_, kind = MADE[name]
    data = make()
    assert sort(data[:HEAD], data[HEAD:][-4096:]) == (type_, kind)


@pytest.mark.parametrize(
    ("head", "type_", "kind"),
    [
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic", "image/heic", "image"),
        (b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom", "image/x-canon-cr3", "image"),
        (b"\x00\x00\x00\x08wide\x00\x00\x00\x00mdat", "video/quicktime", "video"),
        (b"II*\0\x10\0\0\0CR\x02\0", "image/x-canon-cr2", "image"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav", "audio"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "application/x-7z-compressed", "archive"),
        (b"x" * 257 + b"ustar\x0000", "application/x-tar", "archive"),
        (b"SQLite format 3\0", "application/vnd.sqlite3", "other"),
        (b"d8:announce35:http://t.example/announce", "application/x-bittorrent", "other"),
        (b"ID3\x04\0\0\0\0\0\0", "audio/mpeg", "audio"),
        (b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", "image/bmp", "image"),
        (b"BM is what this text begins with", "text/plain", "text"),
        (b"<?xml version='1.0'?><svg xmlns='x'/>", "image/svg+xml", "image"),
        (b"<!DOCTYPE html><p>", "text/html", "text"),
        (b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHi", "application/x-subrip", "text"),
        (b"#EXTM3U\nhttp://somewhere/else.ts", "audio/x-mpegurl", "text"),
        (b'{"a": [1, 2]}', "application/json", "text"),
        (b'{"a": [1, 2]', "text/plain", "text"),
        ("Grüße, naïve".encode("latin-1"), "text/plain", "text"),
        ("\ufeffwide".encode("utf-16-le"), "text/plain", "text"),
        (b"two \0 halves", UNKNOWN.type, "other"),
        (b"", EMPTY.type, "other"),
        (zipped("[Content_Types].xml", "word/a.xml"), kinds._MEMBERS[0][1].type, "document"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value,  # A ZIP holds the time of now.
)
def test_what_a_beginning_says(head: bytes, type_: str, kind: str) -> None:
    assert sort(head) == (type_, kind)


@given(st.binary(max_size=600), st.binary(max_size=50))
def test_any_bytes_are_of_some_type(head: bytes, tail: bytes) -> None:
    found = sort(head, tail)
    assert found.kind in KINDS
    assert found.type.isascii()


@given(
    st.sampled_from(sorted(MADE)),
    st.integers(0, 200),
    st.binary(min_size=1, max_size=40),
    st.integers(0, HEAD),
)
def test_a_damaged_beginning_is_of_some_type(name: str, at: int, new: bytes, cut: int) -> None:
    data = bytearray(MADE[name][0]()[:HEAD])
    data[at : at + len(new)] = new
    assert sort(bytes(data[:cut])).kind in KINDS


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=400))
def test_text_is_told_from_bytes(text: str) -> None:
    found = sort(f"A {text}".encode())
    assert found == PLAIN
    assert sort(f"A {text}\0".encode()) == UNKNOWN


def test_a_text_that_goes_on_behind_the_beginning() -> None:
    text = ("é" * HEAD).encode()
    for start in range(3):
        assert sort(b"x" * start + text[: HEAD - start]) == PLAIN
