"""What is told of real files: pictures, films, music, papers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from engine.media.survey import exif
from engine.media.survey.trait import ASSUMED, Trait, instant
from tests.unit.media.house import write
from tests.unit.media.survey import samples
from tests.unit.media.survey.asking import examiner, traits
from tests.unit.media.survey.samples import CAMERA, MADE, PARIS, TAKEN_NS


async def read(tmp_path: Path, data: bytes) -> dict[str, Any]:
    write(tmp_path / "name", data)
    async with examiner() as asked:
        found: dict[str, Any] = (await traits(asked, tmp_path))["name"]
    return found


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "avif", "heic", "tiff"])
async def test_what_a_camera_wrote_is_known(name: str, tmp_path: Path) -> None:
    found = await read(tmp_path, MADE[name][0]())
    assert "problem" not in found
    assert (found["camera"], found["taken_at"]) == (CAMERA, TAKEN_NS)
    assert (found["latitude"], found["longitude"]) == PARIS
    sides = (64, 48) if name == "tiff" else (48, 64)  # As it is shown, not as it is stored.
    assert (found["width"], found["height"]) == sides
    told = found["details"]
    assert (told["f_number"], told["iso"], told["lens"]) == ("2.8", "400", "RF24-70mm F2.8")
    assert "taken_zone" not in told


@pytest.mark.parametrize("name", ["mp4", "mov", "mkv", "webm", "avi", "ts"])
async def test_what_a_film_is_made_of_is_known(name: str, tmp_path: Path) -> None:
    found = await read(tmp_path, MADE[name][0]())
    assert "problem" not in found
    assert found["kind"] == "video"
    assert (found["width"], found["height"]) == (160, 90)
    assert 950 <= found["duration_ms"] <= 1100
    assert found["details"]["frame_rate"] == "25"
    codecs = {
        "mp4": "mpeg4, aac",
        "mov": "mpeg4, aac",
        "mkv": "mpeg4, ac3",
        "webm": "vp9, opus",
        "avi": "mpeg4",
        "ts": "mpeg2video, mp2",
    }
    assert found["codecs"] == codecs[name]
    if name in {"mp4", "mov", "mkv", "webm"}:
        assert found["taken_at"] // 10**9 == TAKEN_NS // 10**9
        assert found["latitude"] == pytest.approx(PARIS[0], abs=0.001)
        assert found["details"]["title"] == "Dune\x1b[31m"


@pytest.mark.parametrize("name", ["mp3", "flac", "ogg", "wav", "m4a", "aac"])
async def test_what_music_says_is_known(name: str, tmp_path: Path) -> None:
    found = await read(tmp_path, MADE[name][0]())
    assert "problem" not in found
    assert found["kind"] == "audio"
    assert 900 <= found["duration_ms"] <= 1100
    assert found["details"]["channels"] == "1"
    if name != "aac":
        told = found["details"]
        assert (told["title"], told["artist"], told["date"]) == ("Blue", "Nobody", "1959")


async def test_what_a_paper_says_is_known(tmp_path: Path) -> None:
    found = await read(tmp_path, samples.paper())
    told = found["details"]
    assert (told["title"], told["author"], told["pages"]) == ("The Spice", "N.N.", "3")
    assert found["taken_at"] // 10**9 == TAKEN_NS // 10**9


async def test_an_encrypted_paper_says_so(tmp_path: Path) -> None:
    from pypdf import PdfReader, PdfWriter

    write(tmp_path / "plain", samples.paper())
    writer = PdfWriter(clone_from=PdfReader(tmp_path / "plain"))
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(tmp_path / "locked")
    async with examiner() as asked:
        found = await traits(asked, tmp_path)
    assert found["locked"]["problem"] == "it is encrypted"


async def test_sound_alone_in_the_container_of_a_film_is_music(tmp_path: Path) -> None:
    found = await read(tmp_path, samples.music("matroska", "aac"))
    assert (found["kind"], found["type"]) == ("audio", "video/matroska")


# --- times and places ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds", "assumed"),
    [
        ("2024:05:06 07:08:09+02:00", TAKEN_NS // 10**9, False),
        ("2024-05-06T05:08:09Z", TAKEN_NS // 10**9, False),
        ("2024-05-06T05:08:09+0000", TAKEN_NS // 10**9, False),
        ("1960:01:01 00:00:00Z", -315_619_200, False),
    ],
)
def test_times_in_many_forms(text: str, seconds: int, assumed: bool) -> None:
    assert instant(text) == (seconds * 10**9, assumed)


def test_a_time_without_a_zone_is_taken_as_local_and_said_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        trait = Trait("image", "image/jpeg")
        trait.taken("2024:05:06 01:08:09")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert trait["taken_at"] == TAKEN_NS // 10**9 * 10**9
    assert trait.details["taken_zone"] == ASSUMED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0000:00:00 00:00:00",
        "2024:13:01 00:00:00",
        "    :  :     :  :  ",
        "9999-01-01",
        "soon",
        "2024:05:06 07:08:09+99:00",
        "2024:05:06 25:00:00",
        "2024:05:06 07:08:61",
        "1" * 500,
    ],
)
def test_what_is_no_time_is_left_out(text: str) -> None:
    trait = Trait("image", "image/jpeg")
    trait.taken(text)
    assert "taken_at" not in trait


class Told(dict[int, Any]):
    """EXIF as Pillow hands it over."""

    def get_ifd(self, tag: int) -> Any:
        return self[tag]


@pytest.mark.parametrize(
    "gps",
    [
        {1: "N", 2: (91.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},
        {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},
        {1: "N", 2: (float("nan"), 0.0, 0.0), 3: "E", 4: (2.0, 0.0, 0.0)},
        {1: "N", 2: (float("inf"),), 3: "E", 4: (2.0, 0.0, 0.0)},
        {1: "N", 2: "48", 3: "E", 4: b"\0"},
        {1: "N", 2: (1, 2, 3, 4), 3: "E", 4: (2.0, 0.0, 0.0)},
        {1: "N", 2: (-48.0, 0.0, 0.0), 3: "E", 4: (2.0, 0.0, 0.0)},
        {2: (48.0, 0.0, 0.0)},
    ],
)
def test_a_place_that_is_nowhere_is_left_out(gps: dict[int, Any]) -> None:
    trait = Trait("image", "image/jpeg")
    exif.tell(trait, Told({exif.PHOTO: {}, exif.GPS: gps}))
    assert "latitude" not in trait
    assert "longitude" not in trait


def test_south_and_west_are_negative() -> None:
    trait = Trait("image", "image/jpeg")
    gps = {1: "S", 2: (33.0, 30.0, 0.0), 3: "W", 4: (70.0, 0.0, 36.0), 5: b"\0", 6: 500.0}
    exif.tell(trait, Told({exif.PHOTO: {}, exif.GPS: gps}))
    assert (trait["latitude"], trait["longitude"]) == (-33.5, -70.01)
    assert trait.details["altitude_m"] == "500"


@pytest.mark.parametrize(
    ("maker", "model", "camera"),
    [
        ("Canon", "Canon EOS R5", "Canon EOS R5"),
        ("NIKON CORPORATION", "NIKON Z 9", "NIKON Z 9"),
        ("Apple", "iPhone 15", "Apple iPhone 15"),
        ("  ", None, None),
    ],
)
def test_a_camera_is_named_once(maker: Any, model: Any, camera: str | None) -> None:
    trait = Trait("image", "image/jpeg")
    trait.camera(maker, model)
    assert trait.get("camera") == camera
