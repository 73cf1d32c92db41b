"""What files say of where they came from, on a real disk."""

from __future__ import annotations

import json
import os
import plistlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.media.source import attributes, property_list, sidecars
from tests.fakes.costs import cpu_time
from tests.unit.media.source.looking import INFO, binary_list, found

URL = b"https://me:hunter2@files.example/a/film.mp4?token=hunter2#x"
PAGE = b"https://files.example/list?session=hunter2"
WHERE = "user.com.apple.metadata:kMDItemWhereFroms"
ZONE = b"[ZoneTransfer]\r\nZoneId=3\r\nReferrerUrl=" + PAGE + b"\r\nHostUrl=" + URL + b"\r\n"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    file = tmp_path / "film.mp4"
    file.write_bytes(b"\0" * 100)
    return file


def told(film: Path, **attributes_: bytes) -> list[tuple[str, str, str, float]]:
    for name, value in attributes_.items():
        os.setxattr(film, name, value)
    rows = found(film.parent, film.name)
    return [(r["kind"], r["origin"], r["referrer"], r["confidence"]) for r in rows]


SHORT, SHORT_PAGE = "https://files.example/a/film.mp4", "https://files.example/list"


@pytest.mark.parametrize(
    ("attributes_", "row"),
    [
        ({"user.xdg.origin.url": URL}, ("url", SHORT, "", 0.9)),
        (
            {"user.xdg.origin.url": URL, "user.xdg.referrer.url": PAGE},
            ("url", SHORT, SHORT_PAGE, 0.9),
        ),
        (
            {"user.xdg.origin.url": b"\xff\x00 a", "user.xdg.referrer.url": PAGE},
            ("url", "", SHORT_PAGE, 0.8),
        ),
        (
            {"user.xdg.origin.url": b"\x8f\x02\xff", "user.xdg.publisher": b"Ada"},
            ("download", "", "", 0.5),
        ),
        (
            {"user.xdg.origin.url": b"magnet:?dn=x&xt=urn:btih:" + b"0a" * 20},
            ("url", "urn:btih:" + "0a" * 20, "", 0.9),
        ),
        ({"user.xdg.origin.url": b"blob:" + URL}, ("url", f"blob:{SHORT}", "", 0.9)),
        ({WHERE: binary_list("data:text/html,hunter2")}, ("download", "data:text/html", "", 0.6)),
        ({"user.xdg.referrer.url": PAGE}, ("url", "", SHORT_PAGE, 0.8)),
        (
            {WHERE: binary_list(URL.decode(), PAGE.decode())},
            ("url", SHORT, SHORT_PAGE, 0.9),
        ),
        ({WHERE: binary_list("Ada's telephone")}, ("download", "Ada's telephone", "", 0.6)),
        (
            {"user.com.apple.quarantine": b"0081;5f1b2c3d;Safari;0-1"},
            ("download", "", "", 0.5),
        ),
        ({"user.Zone.Identifier": ZONE}, ("url", SHORT, SHORT_PAGE, 0.9)),
        (
            {"user.DosStream.Zone.Identifier:$DATA": ZONE + b"\0"},
            ("url", SHORT, SHORT_PAGE, 0.9),
        ),
        ({"user.Zone.Identifier": ZONE[:26]}, ("download", "", "", 0.4)),
        ({"user.owner": b"ada@drive.example", "user.tier": b"HOT"}, ("remote", "", "", 0.3)),
        ({"user.dublincore.contributor": b"Ada"}, ("download", "", "", 0.5)),
    ],
)
def test_attributes_tell_where_a_file_came_from(
    film: Path, attributes_: dict[str, bytes], row: tuple[str, str, str, float]
) -> None:
    assert told(film, **attributes_) == [row]


def test_what_fetched_it_and_when_is_told_with_it(film: Path) -> None:
    told(
        film,
        **{
            WHERE: binary_list(URL.decode()),
            "user.com.apple.quarantine": b"0081;5f1b2c3d;Safari;0-1",
        },
    )
    (row,) = found(film.parent, film.name)
    assert row["evidence"]["program"] == "Safari"
    assert row["evidence"]["fetched"] == "2020-07-24T18:45:17+00:00"
    told(film, **{"user.xdg.origin.url": URL, "user.creator": b"curl"})
    assert found(film.parent, film.name)[0]["evidence"]["program"] == "curl"


@pytest.mark.parametrize(
    "about",
    [
        *(b"", b"about:internet", b"about:blank", b"magnet:", b"magnet:?dn=film", b"https://"),
        *(b"data:text/html,words", b"javascript:x", b"\x80\xff\x03garbage", b"from a friend"),
    ],
)
def test_what_says_nothing_is_no_evidence(film: Path, about: bytes) -> None:
    assert told(film, **{"user.xdg.origin.url": about, "user.mime_type": b"x"}) == []


def test_a_page_that_was_saved_as_a_picture_is_doubted(tmp_path: Path) -> None:
    page, picture = tmp_path / "a.jpg", tmp_path / "b.jpg"
    page.write_bytes(b"\n<!DOCTYPE html><html><h1>404</h1>")
    picture.write_bytes(b"\xff\xd8\xff\xe0 <html>")
    for file in (page, picture):
        os.setxattr(file, "user.xdg.origin.url", b"https://pics.example/a.jpg?x=hunter2")
    (doubted,), (believed,) = found(tmp_path, "a.jpg"), found(tmp_path, "b.jpg")
    assert doubted["confidence"] < 0.25 < believed["confidence"]
    assert "web page" in doubted["evidence"]["doubt"]
    os.setxattr(page, "user.xdg.origin.url", b"https://pics.example/a.html")
    assert found(tmp_path, "a.jpg")[0]["confidence"] == 0.9


# --- beside it ----------------------------------------------------------------------------------


def test_a_record_of_yt_dlp_tells_of_all_that_it_belongs_to(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "A [x1].info.json").write_text(json.dumps(INFO))
    for name in ("A [x1].mp4", "A [x1].en.vtt", "A [x1].webp", "B.mp4"):
        (tmp_path / "in" / name).write_bytes(b"x")
    (film,) = found(tmp_path, "in/A [x1].mp4")
    assert (film["kind"], film["origin"], film["confidence"]) == (
        *("download", "https://video.example/watch", 0.95),
    )
    assert film["evidence"] == {
        "site": "Video",
        "uploader": "Ada",
        "published": "20260102",
        "title": "A film",
        "id": "x1",
        "program": "yt-dlp",
        "told by": "A [x1].info.json",
    }
    for other in ("A [x1].en.vtt", "A [x1].webp", "A [x1].info.json"):
        (row,) = found(tmp_path, f"in/{other}")
        assert (row["origin"], row["confidence"]) == (film["origin"], 0.85)
    assert found(tmp_path, "in/B.mp4") == []


def test_a_zone_may_lie_beside_it(film: Path) -> None:
    (film.parent / "film.mp4:Zone.Identifier").write_bytes(ZONE)
    (row,) = found(film.parent, film.name)
    assert (row["origin"], row["referrer"]) == (SHORT, SHORT_PAGE)
    (film.parent / "film.mp4:Zone.Identifier").write_bytes(ZONE.decode().encode("utf-16"))
    assert found(film.parent, film.name)[0]["origin"] == SHORT


@pytest.mark.parametrize(
    "record",
    [
        b"[]",
        b"{}",
        b"null",
        b"{" * 100_000,
        b"[" * 4_000_000,
        b'{"a":' * 100_000,
        b'{"webpage_url": "https://x.example/", "extractor": 5}',
        b'{"webpage_url": "no address", "extractor": "x"}',
        b'{"webpage_url": ["https://x.example/"], "extractor": "x"}',
        b'{"n": ' + b"9" * 100_000 + b', "webpage_url": "https://x.example/", "extractor": "x"}',
        b"\xff\xfe\x00",
        b'{"title": "half',
    ],
)
def test_what_is_no_such_record_tells_nothing(tmp_path: Path, record: bytes) -> None:
    (tmp_path / "film.mp4").write_bytes(b"x")
    (tmp_path / "film.info.json").write_bytes(record)
    assert found(tmp_path, "film.mp4") == []


def test_a_huge_record_tells_what_comes_first_and_costs_little(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"x")
    with (tmp_path / "film.info.json").open("wb") as file:
        head = json.dumps(INFO).encode()[:-1] + b', "comments": ["'
        file.write(head + b"a" * 2_000_000)
        file.truncate(1024**3)
    (row,) = found(tmp_path, "film.mp4")
    assert row["evidence"]["title"] == "A film"
    assert cpu_time(lambda: found(tmp_path, "film.mp4")) < 1


def test_no_link_is_followed_and_nothing_but_a_file_is_read(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root, outside):
        folder.mkdir()
    (outside / "film.info.json").write_text(json.dumps(INFO))
    for name in ("film.mp4", "pipe.mp4", "folder.mp4"):
        (root / name).write_bytes(b"x")
    (root / "film.info.json").symlink_to(outside / "film.info.json")
    os.mkfifo(root / "pipe.info.json")
    (root / "folder.info.json").mkdir()
    for name in ("film.mp4", "pipe.mp4", "folder.mp4"):
        assert found(root, name) == []


def test_names_that_are_no_text_are_told_as_they_can_be(tmp_path: Path) -> None:
    name = b"\xff\x1b[31m.mp4"
    (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    (tmp_path / os.fsdecode(b"\xff\x1b[31m.info.json")).write_text(json.dumps(INFO))
    (row,) = found(tmp_path, name)
    assert row["evidence"]["told by"].startswith("\\xff")


# --- made to hurt -------------------------------------------------------------------------------


NAMES = [
    *("user.xdg.origin.url", "user.xdg.referrer.url", "user.creator", "user.xdg.publisher", WHERE),
    *("user.com.apple.quarantine", "user.Zone.Identifier", "user.dublincore.title", "user.tier"),
]
BYTES = st.binary(max_size=300) | st.sampled_from(
    [b"\xff" * 200, b"bplist00" + b"\xff" * 60, b"%" * 300]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.dictionaries(st.sampled_from(NAMES), BYTES))
def test_any_bytes_may_stand_there(film: Path, attributes_: dict[str, bytes]) -> None:
    for name in os.listxattr(film):
        os.removexattr(film, name)
    told(film, **attributes_)


@pytest.mark.parametrize(
    "part",
    [b"a", b":", b"/", b"%2f", b"key=", b"A-", b"\xff", b"https://a.example/?", b"%41", b"x:y@hh"],
)
def test_the_largest_attribute_costs_little(part: bytes) -> None:
    """As large as a kernel allows; the disk under this test may allow less."""
    value = (b"https://" + part * 65_536)[:65_536]
    largest = {"xdg.origin.url": value, "dublincore.title": value}
    row = attributes._desktop(largest)
    assert row is not None
    assert max(len(row["origin"]), *map(len, row["evidence"].values())) <= 1000
    assert cpu_time(lambda: attributes._desktop(largest)) < 0.5


def bomb() -> bytes:
    """Thousands of entries that are the same long text."""
    text_at, count = 9, 15_000
    body = bytearray(b"bplist00")
    array_at = len(body)
    body += b"\xaf\x11" + count.to_bytes(2, "big") + b"\0\1" * count
    text_at = len(body)
    body += b"\x5f\x11" + (20_000).to_bytes(2, "big") + b"A" * 20_000
    table = len(body)
    body += array_at.to_bytes(4, "big") + text_at.to_bytes(4, "big")
    body += bytes(6) + bytes([4, 2]) + (2).to_bytes(8, "big") + bytes(8)
    return bytes(body + table.to_bytes(8, "big"))


def test_a_property_list_is_read_as_far_as_it_matters() -> None:
    assert plistlib.loads(bomb())[0] == "A" * 20_000
    told_ = property_list.strings(bomb())
    assert [len(one) for one in told_] == [8192] * 8
    assert property_list.strings(binary_list("a", "é☃", "b" * 300)) == ["a", "é☃", "b" * 300]
    assert property_list.strings(plistlib.dumps("one", fmt=plistlib.FMT_BINARY)) == ["one"]
    assert property_list.strings(plistlib.dumps({"a": 1}, fmt=plistlib.FMT_BINARY)) == []
    nested: list[object] = []
    for _ in range(500):
        nested = [nested]
    assert property_list.strings(plistlib.dumps(nested, fmt=plistlib.FMT_BINARY)) == []


@given(st.binary(max_size=80), st.integers(0, 200), st.integers(0, 255))
def test_a_broken_property_list_tells_nothing_or_texts(noise: bytes, at: int, byte: int) -> None:
    broken = bytearray(binary_list("https://a.example/", "b"))
    broken[at % len(broken)] = byte
    for data in (bytes(broken), b"bplist00" + noise, noise):
        assert all(isinstance(one, str) for one in property_list.strings(data))


@given(st.binary(max_size=300) | st.text('{}[]":,\\ ea1', max_size=200).map(str.encode))
def test_members_are_those_of_json_or_fewer(data: bytes) -> None:
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):
        whole = None
    read = sidecars.members(data)
    if isinstance(whole, dict):
        assert read == {key: value for key, value in whole.items() if key in sidecars._WANTED}


def test_the_process_that_reads_them_needs_the_standard_library_alone() -> None:
    code = (
        "import sys, engine.media.source.evidence;"
        "print([n for n in ('pydantic', 'httpx', 'aiosqlite', 'asyncio') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
