"""``arcanum media duplicates`` on the real engine: in folders, in libraries, among pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine.contract.base import PathRef
from engine.home import Home
from tests.e2e.shell import arcanum, refused, told
from tests.unit.media.duplicates.test_pictures import versions
from tests.unit.media.house import write


def paths(group: Any) -> list[bytes]:
    return [PathRef(**copy["path"]).data for copy in group["copies"]]


def test_folders_that_are_no_library(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path / "a")
    write(root + b"/film.mkv", b"same" * 5000)
    write(root + b"/new\nline\x1b[1m (1).mkv", b"same" * 5000)
    write(tmp_path / "b" / "other.mkv", b"Same" * 5000)
    found = told("media", "duplicates", str(tmp_path / "a"), str(tmp_path / "b"))
    [group] = found["groups"]
    assert paths(group) == [root + b"/film.mkv", root + b"/new\nline\x1b[1m (1).mkv"]
    assert [copy["role"] for copy in group["copies"]] == ["keep", "spare"]
    assert (found["files"], found["totals"]["frees"]) == (3, 20_000)

    shown = arcanum("media", "duplicates", str(tmp_path / "a"))
    assert shown.code == 0
    assert "2 copies of 20 kB, 20 kB to free" in shown.out
    assert "keep  " in shown.out
    assert r"new\nline\x1b[1m (1).mkv" in shown.out
    assert "\x1b" not in shown.out
    assert (root + b"/film.mkv").decode() in shown.out

    assert "No duplicates." in arcanum("media", "duplicates", str(tmp_path / "b")).out
    assert refused("media", "duplicates", str(tmp_path / "nowhere"), code=64)
    for more in (("--near",), ("--read",), ("--library", "x"), ("--after", "x")):
        assert "are for" in refused("media", "duplicates", str(tmp_path), *more, code=64)["message"]


def test_libraries_and_the_one_whose_files_are_kept(tmp_path: Path, home: Home) -> None:
    home.config_file.parent.mkdir(parents=True, exist_ok=True)
    home.config_file.write_text('[media]\nkeep = ["photos"]\n', "utf-8")
    for name, file in (("films", "a"), ("photos", "Downloads/a (1)")):
        write(tmp_path / name / file, b"same")
        told("media", "add", str(tmp_path / name), "--name", name)
        told("media", "scan", name)
    [group] = told("media", "duplicates")["groups"]
    assert [copy["library"] for copy in group["copies"]] == ["photos", "films"]
    shown = arcanum("media", "duplicates", "--sort", "path").out
    assert "keep  photos: Downloads/a (1)  (it is in photos, which goes before" in shown
    written = arcanum("media", "duplicates", "--export", str(tmp_path / "copies.csv")).out
    assert f"2 files in 1 group written to {tmp_path / 'copies.csv'}" in written
    assert (tmp_path / "copies.csv").read_text("utf-8").count("\n") == 3
    for more in ([str(tmp_path)], ["--limit", "5"], ["--after", "x"]):
        arguments = ("media", "duplicates", *more, "--export", str(tmp_path / "x.csv"))
        assert "every group" in refused(*arguments, code=64)["message"]
    assert told("media", "duplicates", "--library", "films", "--read")["groups"] == []
    assert refused("media", "duplicates", "--library", "nothing")


@pytest.mark.binding("PIL", get="make setup")
def test_pictures_that_look_alike(tmp_path: Path) -> None:
    for name, data in versions(3).items():
        write(tmp_path / "pictures" / name, data)
    told("media", "add", str(tmp_path / "pictures"), "--name", "pictures")
    told("media", "scan", "pictures")
    [group] = told("media", "duplicates", "--near")["groups"]
    assert group["count"] == len(versions(3))
    shown = arcanum("media", "duplicates", "--near").out
    assert "6 pictures that look alike" in shown
    assert "keep" not in shown
    done = told("media", "duplicates", "--near", "--export", str(tmp_path / "alike.jsonl"))
    assert (done["groups"], done["files"]) == (1, 6)
