"""The second process, which reads small files while the first one walks."""

from __future__ import annotations

import os
import signal
import time
from array import array
from pathlib import Path

import pytest
from blake3 import blake3

from engine.media.duplicates import reader as reading
from engine.media.duplicates.reader import CHANGED, OK, UNREADABLE, Reader
from engine.media.duplicates.sieve import Sieve
from engine.media.walk import Identity
from tests.unit.media.duplicates.test_find import Heard
from tests.unit.media.house import write


def planted(root: Path, count: int) -> tuple[int, list[tuple[bytes, Identity]]]:
    files = []
    for number in range(count):
        write(root / f"{number}", b"%d" % (number % 10))
        files.append((b"%d" % number, Identity.of((root / f"{number}").lstat())))
    return os.open(root, os.O_RDONLY | os.O_DIRECTORY), files


def test_it_answers_in_order_and_says_what_it_could_not_read(tmp_path: Path) -> None:
    folder, files = planted(tmp_path / "tree", 1000)
    (tmp_path / "tree" / "3").unlink()
    write(tmp_path / "tree" / "4", b"x")
    (tmp_path / "tree" / "5").unlink()
    (tmp_path / "tree" / "5").symlink_to("6")
    reader = Reader([folder])
    numbers = [reader.ask(folder, path, identity) for path, identity in files]
    long = reader.ask(folder, b"n" * 300, files[0][1])
    reader.finish()
    os.close(folder)
    for number, (path, identity) in zip(numbers, files, strict=True):
        answer = reader.answer(number)
        assert answer is not None
        if path in {b"3", b"4", b"5"}:
            assert answer[0] == CHANGED
        else:
            value = blake3(b"%d" % (int(path) % 10)).digest()
            assert (answer[0], answer[2], identity.size) == (OK, value, 1)
    told = reader.answer(long)
    assert told is not None
    assert told[0] == UNREADABLE
    assert reader.answer(reader.asked) is None


def sifted(root: Path, reader: Reader, folder: int, files: list[tuple[bytes, Identity]]) -> Sieve:
    sieve = Sieve(Heard(), 1, reader=reader)
    sieve.root(folder)
    for path, identity in files:
        sieve.add(path, identity)
    return sieve


def test_what_it_could_not_read_is_counted_once_and_not_tried_again(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    folder, files = planted(root, 20)
    (root / "3").unlink()
    sieve = sifted(root, Reader([folder]), folder, files)
    groups = [*sieve.sift(sieve.alike())]
    os.close(folder)
    assert sorted(len(same) for _value, same in groups) == [2] * 9
    assert tuple(sieve.left) == (1, 0)
    assert sieve.read_bytes == 19


def test_where_it_is_killed_the_first_process_reads_what_is_left(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    folder, files = planted(root, 2000)
    reader = Reader([folder])
    sieve = sifted(root, reader, folder, files[:1000])
    reader._child.kill()
    reader._child.wait()
    for path, identity in files[1000:]:
        sieve.add(path, identity)
    groups = [*sieve.sift(sieve.alike())]
    os.close(folder)
    assert sorted(len(same) for _value, same in groups) == [200] * 10
    assert tuple(sieve.left) == (0, 0)


def test_what_is_left_after_the_walk_is_read_by_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "tree"
    folder, files = planted(root, 4000)
    monkeypatch.setattr(reading, "_AHEAD", 300)
    reader = Reader([folder])
    sieve = sifted(root, reader, folder, files)
    asked_ahead, read_here, read = reader.asked, list[int](), sieve._read

    def here(number: int, size: int) -> bytes:
        read_here.append(number)
        while not reader.answers:  # However slowly it starts, it gets its share.
            time.sleep(0.001)
        return read(number, size)

    monkeypatch.setattr(sieve, "_read", here)
    groups = [*sieve.sift(sieve.alike())]
    os.close(folder)
    assert sorted(len(same) for _value, same in groups) == [400] * 10
    assert asked_ahead < reader.asked < len(files)
    assert reader.asked + len(read_here) == len(files) == sieve.read_bytes
    assert tuple(sieve.left) == (0, 0)


def test_groups_are_told_while_the_other_process_still_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "tree"
    for number in range(1200):
        write(root / f"{number}", b"x" * (1 + number // 400))
    files = [(b"%d" % n, Identity.of((root / f"{n}").lstat())) for n in range(1200)]
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    monkeypatch.setattr(reading, "_AHEAD", 0)
    reader = Reader([folder])
    reader._child.send_signal(signal.SIGSTOP)
    sieve = sifted(root, reader, folder, files)
    asked, groups = reader.asked, sieve.sift(sieve.alike())
    first = [same for _value, same in (next(groups), next(groups))]
    assert (asked, reader.answered) == (256, 0)
    assert first == [[*range(400, 800)], [*range(800, 1200)]]  # Of the first 256 it was asked.
    reader._child.send_signal(signal.SIGCONT)
    assert [same for _value, same in groups] == [[*range(400)]]
    os.close(folder)


def test_many_at_once_are_the_same_as_one_after_the_other(tmp_path: Path) -> None:
    sieve, other = Sieve(Heard(), 1), Sieve(Heard(), 1)
    identities = [Identity(1, n, n % 3, n, n, 1) for n in range(20)]
    paths = [b"%d" % n for n in range(20)]
    for one in (sieve, other):
        one.root(0)
    for path, identity in zip(paths, identities, strict=True):
        sieve.add(path, identity)
    for some in (slice(1), slice(1, 20), slice(20, 20)):
        numbers = array("q", [number for one in identities[some] for number in one])
        other.add_all(paths[some], numbers)
    assert (len(sieve), sieve.empty) == (len(other), other.empty) == (13, 7)
    for number in range(13):
        assert sieve.identity(number) == other.identity(number)
        assert sieve.path(number) == other.path(number) == b"%d" % sieve.identity(number).ino
    assert sieve.alike() == other.alike() != []
