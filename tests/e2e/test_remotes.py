"""``arcanum remotes`` as a person types it, against real servers on loopback."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.home import Home
from tests.e2e.shell import arcanum, contents, eventually, film, refused, serving, started, told
from tests.fakes.rclone import Served
from tests.fakes.rclone import serving as served


@pytest.fixture
def backup(home: Home, tmp_path: Path) -> Iterator[Served]:
    """A WebDAV server that the configuration calls backup."""
    with served("webdav", tmp_path / "there", tmp_path) as server:
        config = tmp_path / "rclone.conf"
        config.write_text(server.section("backup"))
        home.config_file.parent.mkdir(parents=True, exist_ok=True)
        home.config_file.write_text(f'[remotes]\nconfig = "{config}"\nbandwidth = "0"\n')
        yield server


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(6):
        film(folder, f"film-{number}.mkv", 200_000, number)
    told("media", "add", str(folder), "--name", "films")
    told("media", "scan", "films")
    return folder


def test_from_the_list_to_a_mirror(backup: Served, library: Path) -> None:
    listed = arcanum("remotes", "list", "--probe")
    assert "✓ answers" in listed.out
    assert "correct-horse" not in listed.out + listed.err
    assert told("remotes", "check", "films", "backup:", code=1)["missing_there"] == 6

    number = str(told("remotes", "copy", "films", "backup:f")["pending"]["approval_id"])
    card = arcanum("approvals", "show", number).out
    assert "send 6 files, 1.2 MB" in card
    assert f"http://127.0.0.1:{backup.port}" in card
    assert "none: once sent, it is theirs" in card
    done = told("approvals", "approve", number)
    assert done["outcome"]["result"]["verified"] == 6
    assert contents(backup.folder / "f") == contents(library)

    inventory = arcanum("remotes", "inventory", "backup:f")
    assert "6 files, 1.2 MB" in inventory.out
    found = told("remotes", "find", "films", "film-3.mkv")
    assert [(h["remote"], h["by"]) for h in found["holders"]] == [("backup:f", "size")]

    (library / "film-0.mkv").unlink()
    number = str(told("media", "sync", "films", "backup:f")["pending"]["approval_id"])
    assert refused("approvals", "approve", number, code=64)["code"] == "invalid"
    assert told("approvals", "approve", number, "--count", "1")["state"] == "done"
    assert contents(backup.folder / "f") == contents(library)
    assert "There is nothing to do" in refused("remotes", "sync", "films", "backup:f")["message"]


def test_a_killed_engine_takes_rclone_with_it_and_nothing_is_done_twice(
    home: Home, backup: Served, library: Path
) -> None:
    with serving(home) as engine:
        asked = told("remotes", "copy", "films", "backup:f", "--bandwidth", "150kB")
        number = str(asked["pending"]["approval_id"])
        with started("approvals", "approve", number):

            def sent() -> bool:
                running = told("remotes", "transfers")["transfers"]
                return bool(running) and running[0]["bytes"] > 0

            eventually(sent)
            rclone = _children(engine.pid)["rclone"]
            os.kill(engine.pid, signal.SIGKILL)
            eventually(lambda: not psutil.pid_exists(rclone))
    there = contents(backup.folder)
    with serving(home):
        ended = told("approvals", "show", number)
        assert ended["state"] == "interrupted"
        assert "the engine ended" in ended["outcome"]["problems"][0]
        assert refused("approvals", "approve", number)["code"] == "already_answered"
        assert told("remotes", "transfers")["transfers"] == []
        assert contents(backup.folder) == there
        again = told("remotes", "copy", "films", "backup:f")["pending"]["approval_id"]
        card = told("approvals", "show", str(again))["card"]
        count = () if card["confirm_count"] is None else ("--count", str(card["confirm_count"]))
        assert told("approvals", "approve", str(again), *count)["state"] == "done"
    assert contents(backup.folder / "f") == contents(library)


def _children(pid: int) -> dict[str, int]:
    return {child.name(): child.pid for child in psutil.Process(pid).children(recursive=True)}


def test_what_cannot_be_is_one_line(backup: Served, library: Path) -> None:
    assert "knows no remote nowhere" in refused("remotes", "inventory", "nowhere:x")["message"]
    assert "is no place" in refused("remotes", "check", "films", "x", code=64)["message"]
    assert "lie in each other" in refused("remotes", "copy", "films", str(library))["message"]
    assert "No transfer" in refused("remotes", "pause", "7")["message"]
