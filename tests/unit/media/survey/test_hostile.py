"""Files that are made to break what reads them: each costs itself alone."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import struct
import zlib
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.media.process import Lost, WorkerFailed
from engine.media.survey import process
from engine.media.survey.process import Bounds
from engine.media.survey.records import columns
from tests.fakes.waiting import until
from tests.unit.media.house import write
from tests.unit.media.survey.asking import BUSY, QUICK, examiner, rows, targets, traits
from tests.unit.media.survey.samples import MADE, picture

ROGUE = "tests.unit.media.survey.rogue"


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def box(name: bytes, data: bytes = b"", size: int | None = None) -> bytes:
    return struct.pack(">I", len(data) + 8 if size is None else size) + name + data


PNG = b"\x89PNG\r\n\x1a\n"
HUGE = PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 6, 0, 0, 0))
BOMB = zlib.compress(bytes(50_000_000), 9)
FTYP = box(b"ftyp", b"isom\0\0\0\0isom")
DEEP = b"".join(box(b"moov", size=2**31 - 1) for _ in range(5000))
CASES = {
    "huge.png": HUGE + chunk(b"IDAT", BOMB) + chunk(b"IEND", b""),
    "text-bomb.png": HUGE + chunk(b"zTXt", b"Comment\0\0" + BOMB) + chunk(b"IDAT", b"x"),
    "profile-bomb.png": HUGE + chunk(b"iCCP", b"p\0\0" + BOMB) + chunk(b"IDAT", b"x"),
    "endless.mp4": FTYP + box(b"moov", box(b"free", size=8) * 60_000, size=0),
    "nothing.mp4": FTYP + box(b"moov", b"", size=0) * 60_000,
    "deep.mp4": FTYP + DEEP,
    "boundless.mp4": FTYP + struct.pack(">I4sQ", 1, b"moov", 2**63 - 1) + b"x" * 100,
    "deep.pdf": b"%PDF-1.7\ntrailer\n<</Root " + b"<</a[" * 30_000 + b">>",
    "loop.pdf": b"%PDF-1.7\n1 0 obj\n<</Type/Pages/Kids[1 0 R]/Count 1>>\nendobj\n"
    b"2 0 obj\n<</Type/Catalog/Pages 1 0 R>>\nendobj\n"
    b"trailer\n<</Root 2 0 R/Prev 9>>\nstartxref\n9\n%%EOF",
    "offset.tiff": b"II*\0" + b"\xff\xff\xff\xff",
    "itself.tiff": b"II*\0\x08\0\0\0" + b"\x01\0\x00\x01\x04\0\xff\xff\xff\x7f\x08\0\0\0\x08\0\0\0",
    "size.mkv": b"\x1aE\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff" + b"\x42\x86\x81\x01" * 5000,
    "list.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:1/a.ts\n",
}


async def test_cases_that_are_known(tmp_path: Path) -> None:
    for name, data in CASES.items():
        write(tmp_path / name, data)
    async with examiner() as asked:
        found = await traits(asked, tmp_path)
    assert (found["huge.png"]["width"], found["huge.png"]["height"]) == (100_000, 100_000)
    assert {found[name]["kind"] for name in CASES if name.endswith(".mp4")} == {"video"}
    assert found["list.m3u8"] == {"kind": "text", "type": "audio/x-mpegurl"}
    for name in ("endless.mp4", "nothing.mp4", "deep.mp4", "boundless.mp4", "deep.pdf"):
        assert found[name]["problem"], name


async def test_a_memory_of_which_a_bomb_gets_nothing(tmp_path: Path) -> None:
    """The process stays small: nothing of these was unpacked beyond what Pillow allows."""
    for name in ("huge.png", "text-bomb.png", "profile-bomb.png"):
        write(tmp_path / name, CASES[name])
    async with examiner() as asked:
        await traits(asked, tmp_path)
        assert asked.pid is not None
        assert psutil.Process(asked.pid).memory_info().rss < 200 * 1024**2


def wild(seed: int) -> bytes:
    """A sample with bytes changed, cut out, doubled, or the end missing."""
    chance = random.Random(seed)
    data = bytearray(MADE[chance.choice(sorted(MADE))][0]())
    for _ in range(chance.randint(1, 12)):
        at = chance.randrange(len(data))
        match chance.randrange(5):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at : at + 4] = chance.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
            case 2:
                del data[at : at + chance.randint(1, 64)]
            case 3:
                data[at:at] = data[at : at + chance.randint(1, 256)]
            case _ if chance.random() < 0.2:
                del data[max(20, at) :]
        data = data or bytearray(b"x")
    return bytes(data)


async def test_wild_files_are_told_of_and_nothing_breaks(tmp_path: Path) -> None:
    for seed in range(300):
        write(tmp_path / f"{seed}", wild(seed))
    async with examiner() as asked:
        found = await traits(asked, tmp_path)
    assert len(found) == 300
    for trait in found.values():
        assert len(columns(trait)) == 13


@pytest.mark.parametrize("name", MADE)
async def test_a_file_that_was_cut_short(name: str, tmp_path: Path) -> None:
    data = MADE[name][0]()
    for part in range(20):
        write(tmp_path / f"{part:02}", data[: len(data) * part // 20])
    async with examiner() as asked:
        found = await traits(asked, tmp_path)
    assert len(found) == 20


# --- a parser that does the worst ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("deed", "problem"),
    [
        ("loop", "given up: it takes too long to read"),
        ("sleep", "given up: nothing came for 3 s"),
        ("kill", "nothing can read it: The process that looks into files ended (signal 11)"),
        ("abort", "nothing can read it: The process that looks into files ended (signal 6)"),
        ("memory", "it takes too much memory to read"),
        ("deep", "it cannot be read as application/pdf: damaged, or cut short?"),
        ("nonsense", "what read it answered nonsense"),
        ("talk", "it says too much of itself"),
    ],
)
async def test_it_costs_its_own_file_and_no_other(
    deed: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MODULE", ROGUE)
    for name in ("a", "z"):
        write(tmp_path / f"{name}.jpg", picture("JPEG"))
        write(tmp_path / f"{name}.txt", b"words")
    write(tmp_path / "m", f"%PDF- {deed} ".encode())
    async with examiner(QUICK if deed == "sleep" else BUSY) as asked:
        found = await traits(asked, tmp_path)
    assert found["m"]["type"] == "application/pdf"
    assert found["m"]["problem"].startswith(problem)
    for name in ("a.jpg", "z.jpg"):
        assert (found[name]["width"], found[name]["height"]) == (48, 64)
    assert found["a.txt"]["kind"] == found["z.txt"]["kind"] == "text"


async def test_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MODULE", ROGUE)
    target = tmp_path / "root" / "target"
    write(target.with_name("m"), b"%PDF- write " + os.fsencode(target))
    async with examiner(BUSY) as asked:
        assert (await traits(asked, target.parent))["m"]["problem"]
    assert target.stat().st_size == 0


async def test_what_a_library_prints_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(process, "MODULE", ROGUE)
    write(tmp_path / "a", b"%PDF- speak ")
    write(tmp_path / "b", picture("JPEG"))
    async with examiner(BUSY) as asked:
        found = await traits(asked, tmp_path)
    assert "problem" not in found["a"]
    assert found["b"]["width"] == 48
    assert capfd.readouterr() == ("", "")


async def test_a_process_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    for number in range(400):
        write(tmp_path / f"{number:03}", picture("JPEG"))
    wanted = targets(tmp_path)
    found: list[Any] = []
    async with examiner() as asked:
        async for told in asked.examine(os.fsencode(tmp_path), wanted):
            found += told
            if len(found) in {50, 51} and asked.pid is not None:
                os.kill(asked.pid, signal.SIGKILL)
    assert sorted(row["id"] for row in found) == [target[0] for target in wanted]
    assert {row["trait"]["width"] for row in found} == {48}


async def test_a_disk_that_does_not_answer_is_no_trouble_of_the_file(
    tmp_path: Path,
) -> None:
    """A stopped process is what a hanging disk looks like."""
    write(tmp_path / "a", b"words")
    async with examiner(QUICK) as asked:
        await rows(asked, tmp_path)
        assert asked.pid is not None
        os.kill(asked.pid, signal.SIGSTOP)
        with pytest.raises(Lost, match="nothing came for 3 s"):
            await rows(asked, tmp_path)
        assert (await traits(asked, tmp_path))["a"]["kind"] == "text"


async def test_a_process_that_does_not_run_marks_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MODULE", "engine.media.survey.nowhere")
    write(tmp_path / "a", b"words")
    async with examiner(BUSY) as asked:
        with pytest.raises(WorkerFailed, match="No module named"):
            await rows(asked, tmp_path)


async def test_after_so_many_files_the_process_is_another(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path / f"{number}", b"words")
    async with examiner(Bounds(files=10)) as asked:
        await rows(asked, tmp_path)
        first = asked.pid
        await rows(asked, tmp_path)
        await rows(asked, tmp_path)
        assert asked.pid is not None
        assert asked.pid != first


# --- a disk that changes meanwhile ---------------------------------------------------------------


async def test_only_the_file_that_is_known_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    write(secret, picture("JPEG"))
    root = tmp_path / "root"
    names = ["pipe", "link", "gone", "other", "folder/inside", "touched"]
    for name in names:
        write(root / name, picture("JPEG"))
    wanted = [
        (number, os.fsencode(name), targets((root / name).parent)[0][2])
        for number, name in enumerate(names, 1)
    ]
    for name in ("pipe", "link", "gone", "other"):
        (root / name).unlink()
    os.mkfifo(root / "pipe")
    (root / "link").symlink_to(secret)
    write(root / "other", picture("PNG"))
    (root / "folder").rename(tmp_path / "away")
    (root / "folder").symlink_to(tmp_path / "away")
    os.utime(root / "touched", ns=(1, 1))
    async with examiner(BUSY) as asked:
        found = await asyncio.wait_for(rows(asked, root, wanted), 5)
    assert [found[name] for name in names] == [{"id": n, "again": True} for n in range(1, 7)]


async def test_it_ends_with_the_engine(tmp_path: Path) -> None:
    write(tmp_path / "a", b"words")
    async with examiner() as asked:
        await rows(asked, tmp_path)
        assert asked.pid is not None
        child = psutil.Process(asked.pid)
        assert child.nice() >= 10
    await until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
