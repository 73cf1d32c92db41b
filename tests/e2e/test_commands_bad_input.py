"""Bad input and bad disks: one clear error each, and nothing lost."""

from __future__ import annotations

import base64
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from engine.home import Home
from tests.e2e.shell import (
    ARCANUM,
    Ran,
    arcanum,
    finished,
    refused,
    serving,
    started,
    told,
)


def tampered(home: Home, statement: str) -> None:
    with sqlite3.connect(home.state_file) as database:
        for name, kind in database.execute("SELECT name, type FROM sqlite_master").fetchall():
            if kind == "trigger":
                database.execute(f"DROP TRIGGER {name}")
        database.execute(statement)
    database.close()


def test_an_edited_audit_log_names_the_row(home: Home, films: Path) -> None:
    told("media", "add", str(films), "--name", "films")
    told("quota", "set", "films", "--max-bytes", "20MB")
    tampered(home, "UPDATE audit SET actor = 'operator:eve' WHERE seq = 3")
    verdict = told("audit", "verify", code=2)
    assert (verdict["ok"], verdict["bad_seq"]) == (False, 3)
    assert "row 3" in arcanum("audit", "verify").out


def test_a_cut_audit_log_is_noticed(home: Home, films: Path) -> None:
    told("media", "add", str(films), "--name", "films")
    entries = told("audit", "verify")["entries"]
    head = told("audit", "verify")["head"]
    tampered(home, f"DELETE FROM audit WHERE seq = {entries}")
    tampered(home, "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'audit'")
    assert told("audit", "verify", "--head", head, code=2)["bad_seq"] == entries


def test_a_broken_configuration_names_file_line_and_key(home: Home) -> None:
    home.config_file.parent.mkdir(parents=True)
    home.config_file.write_text("[model]\nmax_new_tokens = 100\ncontxt = 1\n")
    for line in (("status",), ("config", "validate"), ("config", "show"), ("chat", "hello")):
        error = refused(*line, code=64)
        assert error["code"] == "config_invalid"
        assert f"{home.config_file}, line 3: model.contxt" in error["message"]
        assert "context" in error["hint"]
    home.config_file.write_text("[model\n")
    assert "line 1" in refused("config", "validate", code=64)["message"]


def test_a_data_folder_that_is_none_is_one_clear_error(home: Home) -> None:
    home.data.parent.mkdir(parents=True)
    home.data.write_text("not a folder")
    error = refused("status")
    assert error["code"] == "store_failed"
    assert str(home.data) in error["message"]
    assert "ARCANUM_HOME" in error["hint"]


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    subprocess.run(["mount", *options, str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.system("mount")
def test_a_read_only_data_folder_is_one_clear_error(home: Home) -> None:
    told("status")
    with mounted(home.data, "--bind", str(home.data)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(home.data)], check=True)
        for line in (("status",), ("chat", "hello"), ("jobs", "list")):
            error = refused(*line)
            assert error["code"] == "store_failed"
            assert str(home.data) in error["message"]
    assert told("status")["broken"] == 0


def fill(home: Home) -> None:
    """Until nothing more fits on the disk."""
    with (home.data / "filler").open("ab") as filler, pytest.raises(OSError, match="No space"):
        while True:
            os.write(filler.fileno(), b"x" * 4096)


@pytest.mark.system("mount")
def test_a_full_disk_can_be_read(home: Home) -> None:
    home.config_file.parent.mkdir(parents=True, exist_ok=True)
    home.config_file.write_text('[memory]\nembedding = "none"\n')
    home.data.mkdir(parents=True, mode=0o700)
    with mounted(home.data, "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs"):
        told("memory", "add", "My bike is turquoise.")
        assert told("memory", "search", "bike")["hits"]
        told("quota", "show")
        fill(home)
        assert told("memory", "list")["total"] == 1
        assert told("memory", "show", "1")["memory"]["text"] == "My bike is turquoise."
        assert told("memory", "search", "bike")["hits"]
        assert arcanum("memory", "export").code == 0
        told("approvals", "list")
        told("quota", "show")
        status = told("status", code=2)
        assert [c["text"] for c in status["concerns"]] == ["the disk is full"]
        (home.data / "filler").unlink()
        assert told("status")["concerns"] == []


@pytest.mark.system("mount")
def test_notes_that_fill_the_disk_are_counted(home: Home) -> None:
    home.data.mkdir(parents=True, mode=0o700)
    with mounted(home.data, "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs"):
        notes = "".join(f"Note {n} of a bike that was seen.\n" for n in range(9_000))
        ran = arcanum("memory", "add", "-", "--json", stdin=notes.encode())
        assert ran.code == 3
        message = ran.json["error"]["message"]
        total = told("memory", "list", "--limit", "1")["total"]
        assert total
        assert message.startswith("The disk is full.")
        assert f"The first {total:,} of 9,000 notes are saved." in message


def test_a_catalogue_that_cannot_be_opened_costs_the_media_alone(home: Home) -> None:
    told("memory", "add", "My bike is turquoise.")
    home.catalogue_file.write_bytes(b"no database at all" * 100)
    assert told("memory", "list")["total"] == 1
    assert told("approvals", "list")["approvals"] == []
    error = refused("media", "libraries")
    assert "catalogue.db is damaged" in error["message"]
    assert "backups" in error["hint"]
    broken = told("status", code=2)["concerns"]
    assert ["catalogue.db is damaged" in one["text"] for one in broken] == [True, True]
    assert home.catalogue_file.read_bytes() == b"no database at all" * 100


@pytest.mark.system("mount")
def test_a_full_disk_is_one_clear_error_and_loses_nothing(home: Home, films: Path) -> None:
    home.data.mkdir(parents=True, mode=0o700)
    with mounted(home.data, "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs"):
        told("media", "add", str(films), "--name", "films")
        fill(home)
        assert [x["name"] for x in told("media", "libraries")["libraries"]] == ["films"]
        fill(home)  # What was kept for this is used up, too.
        error = refused("quota", "set", "films", "--max-bytes", "20MB")
        assert error["code"] == "store_failed"
        (home.data / "filler").unlink()
        assert [x["name"] for x in told("media", "libraries")["libraries"]] == ["films"]
        assert told("audit", "verify")["ok"] is True
        assert told("quota", "set", "films", "--max-bytes", "20MB")["limit"] == 20_000_000


def test_every_name_that_a_disk_can_hold(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path) + b"/wild\xff"
    Path(os.fsdecode(root)).mkdir()
    names = [
        b"\xff.mkv",
        b"new\nline",
        b"esc\x1b[2J",
        b"[red]brackets[bold]",
        b"-rf",
        "\u202ertl".encode(),
    ]
    for name in names:
        with open(root + b"/" + name, "wb") as file:  # noqa: PTH123
            file.write(name)
    Path(os.fsdecode(root), "loop").symlink_to("loop")
    told("media", "add", root, "--name", "wild")
    assert told("media", "scan", "wild")["files"] == len(names)
    page = told("media", "list", "wild")
    assert sorted(base64.b64decode(a["path"]["raw"]) for a in page["assets"]) == sorted(names)
    shown = arcanum("media", "list", "wild").out
    assert all(c == "\n" or c.isprintable() for c in shown)
    assert "[red]brackets[bold]" in shown


@pytest.mark.model
def test_a_corrupt_model_is_one_clear_error(home: Home, tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + bytes(5000))
    home.config_file.parent.mkdir(parents=True)
    home.config_file.write_text(f'[model]\ngguf = "{bad}"\n')
    error = refused("chat", "--session", "a", "hello")
    assert error["code"] == "model_failed"
    assert "bad.gguf" in error["message"] + error["hint"]
    turn = told("memory", "turns", "a")["turns"][0]
    assert (turn["question"], turn["status"]) == ("hello", "failed")


@pytest.mark.parametrize("line", [("media", "scan", "nosuch"), ("quota", "plan", "nosuch")])
def test_what_is_not_there_is_named(line: tuple[str, ...]) -> None:
    error = refused(*line)
    assert error["code"] == "not_found"
    assert "nosuch" in error["message"]


@pytest.mark.parametrize("elsewhere", [True, False], ids=["attached", "alone"])
def test_a_reader_that_left_is_no_error(home: Home, elsewhere: bool) -> None:
    with (
        serving(home) if elsewhere else nullcontext(),
        started("monitor", "watch", "--every-s", "0.5", "--json") as process,
    ):
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=30)
    assert finished(process.returncode, b"", err) == Ran(0, "", "")


def test_output_that_cannot_be_written_is_an_error() -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [ARCANUM, "config", "path", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr.count(b"\n") == 1
    assert b"No space left on device" in done.stderr


def test_without_a_terminal_the_control_center_says_so() -> None:
    done = subprocess.run(
        [ARCANUM], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 64
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 1
    assert b"needs a terminal" in done.stderr


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_a_terminal_without_utf8_is_served(locale: str) -> None:
    ran = arcanum("status", "--line", LC_ALL=locale, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert ran.code == 0
    assert ran.out == "\\u25b20 \\u27170 ?0\n"
