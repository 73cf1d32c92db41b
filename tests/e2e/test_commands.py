"""The real ``arcanum``, in processes of its own, on real files and the real small model."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.home import Home

ARCANUM = str(Path(sys.executable).with_name("arcanum"))
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
EMPTY_LINE = "▲0 ✗0 ?0\n"


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def environment(**more: str) -> dict[str, str]:
    """``PYTHONPROFILEIMPORTTIME`` writes every import to stderr: see ``finished``."""
    return os.environ | {"PYTHONPROFILEIMPORTTIME": "1", "NO_COLOR": "1", "COLUMNS": "100"} | more


def finished(code: int, out: bytes, err: bytes) -> Ran:
    """No command may import the screen, whatever it does, and none may show a traceback."""
    lines = err.decode().splitlines(keepends=True)
    imported = [
        line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")
    ]
    assert not [name for name in imported if name.partition(".")[0] == "textual"]
    said = "".join(line for line in lines if not line.startswith("import time:"))
    assert "Traceback" not in said
    return Ran(code, out.decode(), said)


def arcanum(*arguments: str | bytes, stdin: bytes = b"", **env: str) -> Ran:
    done = subprocess.run(
        [ARCANUM, *arguments],
        input=stdin,
        capture_output=True,
        timeout=90,
        check=False,
        env=environment(**env),
    )
    return finished(done.returncode, done.stdout, done.stderr)


def told(*arguments: str | bytes, code: int = 0) -> Any:
    """What the command says with ``--json``; it must end with ``code``."""
    ran = arcanum(*arguments, "--json")
    assert ran.code == code, ran
    return ran.json


def refused(*arguments: str | bytes, code: int = 3) -> dict[str, str]:
    """The error object, and that people get the same in one or two lines."""
    ran = arcanum(*arguments, "--json")
    assert ran.code == code, ran
    error: dict[str, str] = ran.json["error"]
    assert set(error) == {"title", "message", "hint", "code"}
    assert ran.err == ""
    return error


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command while it runs; killed if it is still there at the end."""
    process = subprocess.Popen(
        [ARCANUM, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen[bytes]) -> Ran:
    out, err = process.communicate(timeout=30)
    return finished(process.returncode, out, err)


def eventually(fact: Callable[[], Any], within_s: float = 20.0) -> Any:
    """What ``fact`` answers, once that is true."""
    end = time.monotonic() + within_s
    while not (found := fact()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)
    return found


@contextmanager
def serving(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    with started("serve") as process:
        eventually(lambda: home.socket.exists() or process.poll() is not None)
        yield process


def film(folder: Path, name: str, size: int, age_days: int) -> Path:
    """A file that nothing else is like, so many days old."""
    path = folder / name
    path.write_bytes(hashlib.shake_128(name.encode()).digest(size))
    then = time.time() - age_days * 86_400
    os.utime(path, (then, then))
    return path


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Five films, 30 MB in all; the older, the lower the number."""
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(5):
        film(folder, f"film-{number}.mkv", 6_000_000, 500 - 100 * number)
    return folder


def contents(folder: Path) -> dict[str, str]:
    """Every file below, outside the trash, by its digest."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and ".arcanum-trash" not in path.parts
    }


def over_its_limit(films: Path) -> dict[str, Any]:
    """A scanned library, 10 MB over its limit, and the plan for it."""
    told("media", "add", str(films), "--name", "films")
    told("media", "scan", "films")
    told("quota", "set", "films", "--max-bytes", "20MB")
    return told("quota", "plan", "films")  # type: ignore[no-any-return]


def asked_to_prune(films: Path) -> int:
    over_its_limit(films)
    return int(told("quota", "prune", "films")["pending"]["approval_id"])


# --- the whole line, in order -------------------------------------------------------------------


@pytest.mark.model
def test_asking_agent0_in_two_processes() -> None:
    first = arcanum("chat", "--session", "a", "My bike is turquoise.")
    assert first.code == 0
    assert first.out.strip()
    second = arcanum("chat", "--session", "a", "What colour is my bike?", "--json")
    assert second.code == 0
    items = [json.loads(line) for line in second.out.splitlines()]
    assert [items[0]["kind"], items[-1]["kind"]] == ["started", "finished"]
    pieces = "".join(item["text"] for item in items if item["kind"] == "piece")
    assert items[-1]["turn"]["answer"] == pieces.strip()
    assert "turquoise" in pieces.lower()
    turns = told("memory", "turns", "a")["turns"]
    assert [turn["question"] for turn in turns] == [
        "My bike is turquoise.",
        "What colour is my bike?",
    ]
    assert told("memory", "search", "turquoise", "--session", "a")["hits"]
    assert told("memory", "search", "turquoise", "--session", "b")["hits"] == []


def test_from_an_empty_folder_to_a_prune_and_back(films: Path) -> None:
    before = contents(films)
    library = told("media", "add", str(films), "--name", "films")
    assert library["name"] == "films"
    assert base64.b64decode(library["path"]["raw"]) == os.fsencode(films)

    scan = told("media", "scan", "films")
    assert (scan["files"], scan["bytes"], scan["hashed"]) == (5, 30_000_000, 5)
    page = told("media", "list", "films")
    assert page["total"] == 5
    assert page["assets"][0]["path"]["display"] == "film-0.mkv"
    assert re.fullmatch(r"[0-9a-f]{64}", page["assets"][0]["blake3"])
    assert RFC3339.fullmatch(page["assets"][0]["modified_at"])
    jobs = told("jobs", "list")["jobs"]
    assert [(job["operation"], job["state"]) for job in jobs] == [("media.scan", "done")]
    assert jobs[0]["result"]["files"] == 5

    assert told("quota", "set", "films", "--max-bytes", "20MB")["limit"] == 20_000_000
    check = told("quota", "check", code=1)
    assert check["ok"] is False
    assert check["gauges"][0]["over"] == 10_000_000
    plan = told("quota", "plan", "films")
    assert plan["target"] == 10_000_000
    assert plan["frees_now"] == 0
    assert plan["frees_on_purge"] == 12_000_000
    assert [item["path"]["display"] for item in plan["items"]] == ["film-0.mkv", "film-1.mkv"]
    assert all(item["size"] == 6_000_000 and item["reason"] for item in plan["items"])
    assert plan["id"]
    assert plan["digest"]

    pending = told("quota", "prune", "films")
    assert set(pending) == {"pending"}
    number = str(pending["pending"]["approval_id"])
    assert contents(films) == before
    assert arcanum("status", "--line").out == "▲1 ✗0 ?0\n"
    waiting = told("approvals", "list")
    assert waiting["pending"] == 1
    assert waiting["approvals"][0]["state"] == "pending"
    shown = told("approvals", "show", number)
    assert shown["digest"]
    assert {row["label"] for row in shown["card"]["rows"]} >= {"DO", "FREES", "WHY", "UNDO"}
    assert len(shown["card"]["items"]) == 2
    assert contents(films) == before

    approved = told("approvals", "approve", number)
    assert approved["state"] == "done"
    assert approved["outcome"]["done"] == 2
    assert set(contents(films)) == {"film-2.mkv", "film-3.mkv", "film-4.mkv"}
    assert refused("approvals", "approve", number)["code"] == "already_answered"
    assert told("quota", "check")["ok"] is True

    trash = told("quota", "trash")
    assert (trash["files"], trash["bytes"]) == (2, 12_000_000)
    undone = told("quota", "undo", trash["plans"][0]["plan_id"])
    assert (undone["restored"], undone["conflicts"]) == (2, [])
    assert contents(films) == before
    assert told("quota", "trash")["files"] == 0

    verdict = told("audit", "verify")
    assert verdict["ok"] is True
    assert verdict["entries"] > 10
    assert told("model", "info")["max_new_tokens"] == 160


def test_an_empty_home_is_healthy() -> None:
    status = told("status")
    assert (status["needs_you"], status["broken"], status["unknown"]) == (0, 0, 0)
    assert RFC3339.fullmatch(status["started_at"])
    assert arcanum("status", "--line").out == EMPTY_LINE
    assert told("approvals", "list") == {"approvals": [], "pending": 0}
    assert told("jobs", "list") == {"jobs": []}
    assert told("quota", "check") == {"ok": True, "gauges": []}
    assert told("monitor")["cpu_count"] >= 1
    assert "arcanum_calls" in told("monitor", "metrics")["text"]
    assert told("discover")["asked"] is False
    assert told("config", "path")["exists"] is False


def test_what_people_read_is_plain_text(films: Path) -> None:
    number = str(asked_to_prune(films))
    for line in (
        ("media", "libraries"),
        ("media", "list", "films"),
        ("quota", "show"),
        ("quota", "plan", "films"),
        ("approvals", "list"),
        ("approvals", "show", number),
        ("audit", "show"),
        ("jobs", "list"),
        ("jobs", "show", "1"),
        ("status",),
        ("monitor",),
        ("model", "list"),
        ("config", "show"),
    ):
        ran = arcanum(*line)
        assert ran.code == 0, ran
        assert ran.out.strip()
        assert all(c == "\n" or c.isprintable() for c in ran.out + ran.err), line
    assert "film-0.mkv" in arcanum("approvals", "show", number).out


# --- the engine elsewhere -----------------------------------------------------------------------


def test_commands_attach_to_the_engine_that_serves(home: Home, films: Path) -> None:
    with serving(home) as server:
        status = told("status")
        assert (status["pid"], status["host"]) == (server.pid, "serve")
        number = str(asked_to_prune(films))
        assert told("approvals", "approve", number)["state"] == "done"
        assert refused("serve")["code"] == "refused"
        job = told("media", "scan", "films", "--detach")["job_id"]
        assert arcanum("jobs", "follow", str(job)).code == 0
        server.send_signal(signal.SIGTERM)
        ran = ended(server)
    assert ran.code == 0
    assert ran.err.splitlines()[-1] == "Stopped by SIGTERM."
    assert not home.socket.exists()
    assert told("approvals", "show", number)["state"] == "done"


def test_two_commands_at_once_share_one_engine() -> None:
    with started("status", "--json") as one, started("jobs", "list", "--json") as other:
        assert ended(one).code == 0
        assert ended(other).code == 0


def test_a_job_needs_an_engine_that_stays(films: Path) -> None:
    told("media", "add", str(films), "--name", "films")
    assert "arcanum serve" in refused("media", "scan", "films", "--detach")["hint"]


# --- nothing hurts, nothing is lost -------------------------------------------------------------


def test_a_world_that_moved_is_refused(films: Path) -> None:
    number = str(asked_to_prune(films))
    (films / "film-0.mkv").write_bytes(b"another film")
    before = contents(films)
    assert refused("approvals", "approve", number)["code"] == "world_moved"
    assert contents(films) == before


def test_a_no_is_kept_with_its_reason(films: Path) -> None:
    number = str(asked_to_prune(films))
    denied = told("approvals", "deny", number, "--reason", "not the films")
    assert (denied["state"], denied["reason"]) == ("denied", "not the films")
    assert refused("approvals", "approve", number)["code"] == "already_answered"
    assert len(contents(films)) == 5


def test_keeping_some_makes_a_new_plan(films: Path) -> None:
    number = str(asked_to_prune(films))
    old = told("approvals", "show", number)
    new = told("approvals", "keep", number, old["card"]["items"][0]["key"])["approval_id"]
    shown = told("approvals", "show", str(new))
    assert shown["digest"] != old["digest"]
    assert told("approvals", "approve", str(new))["state"] == "done"
    assert "film-0.mkv" in contents(films)
    assert "film-1.mkv" not in contents(films)


def test_a_purge_asks_for_the_count(films: Path) -> None:
    told("approvals", "approve", str(asked_to_prune(films)))
    plan = told("quota", "trash")["plans"][0]["plan_id"]
    number = str(told("quota", "purge", plan)["pending"]["approval_id"])
    assert told("approvals", "show", number)["card"]["confirm_count"] == 2
    assert "--count 2" in refused("approvals", "approve", number, code=64)["hint"]
    assert told("quota", "trash")["files"] == 2
    assert told("approvals", "approve", number, "--count", "2")["state"] == "done"
    assert told("quota", "trash")["files"] == 0


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


def test_ctrl_c_cancels_a_scan_and_keeps_what_was_read(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(4):
        with (folder / f"{number}.mkv").open("wb") as file:
            file.truncate(3_000_000_000)
    told("media", "add", str(folder), "--name", "films")
    with started("media", "scan", "films", "--json") as scan:
        eventually(home.socket.exists)
        eventually(lambda: [j for j in told("jobs", "list")["jobs"] if j["state"] == "running"])
        scan.send_signal(signal.SIGINT)
        ran = ended(scan)
    assert ran.code == 3
    assert ran.err == ""
    assert json.loads(ran.out)["error"]["code"] == "cancelled"
    assert told("jobs", "list")["jobs"][0]["state"] == "cancelled"
    assert told("audit", "verify")["ok"] is True
    assert len(list(folder.iterdir())) == 4


@pytest.mark.model
def test_ctrl_c_stops_an_answer_and_keeps_what_came() -> None:
    with started("chat", "--session", "a", "--max-tokens", "2000", "Write a long story.") as chat:
        assert chat.stdout is not None
        first = os.read(chat.stdout.fileno(), 100)
        chat.send_signal(signal.SIGINT)
        ran = ended(chat)
    assert ran.code == 3
    assert ran.err == "Cancelled: The answer was stopped by Ctrl-C.\n  What came is saved.\n"
    turn = told("memory", "turns", "a")["turns"][0]
    assert turn["status"] == "stopped"
    assert (first.decode() + ran.out).strip() == turn["answer"].strip()


@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_ctrl_c_at_any_moment_is_one_line(delay_s: float) -> None:
    """The moment is what varies here: it is no fact to wait for."""
    with started("status") as process:
        time.sleep(delay_s)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    if b"arcanum_tui.__main__\n" in err:  # Before that, it is Python that is interrupted.
        ran = finished(process.returncode, b"", err)
        assert ran.code in {0, 3}
        assert ran.err.count("\n") <= 1
    assert told("status")["broken"] == 0


class Typist:
    """A person at a terminal before ``arcanum``; the terminal edits and echoes lines."""

    def __init__(self, *arguments: str) -> None:
        self.seen = ""
        self._master, slave = os.openpty()
        self.process = subprocess.Popen(
            [ARCANUM, *arguments], stdin=slave, stdout=slave, stderr=slave, close_fds=True
        )
        os.close(slave)

    def types(self, text: str) -> None:
        os.write(self._master, text.encode())

    def sees(self, text: str) -> str:
        """All that came up to ``text``; what comes after it is left for the next look."""
        end = time.monotonic() + 60
        while text not in self.seen:
            ready, _, _ = select.select([self._master], [], [], end - time.monotonic())
            assert ready, self.seen
            self.seen += os.read(self._master, 4096).decode()
        before, _, self.seen = self.seen.partition(text)
        return before

    def leaves(self) -> int:
        code = self.process.wait(timeout=30)
        os.close(self._master)
        return code


@pytest.mark.model
def test_a_conversation_on_a_terminal() -> None:
    person = Typist("chat", "--session", "a", "--max-tokens", "1000")
    person.sees("> ")
    person.types("Say hello.\n")
    person.sees("Say hello.\r\n")
    assert person.sees("> ").strip()
    person.types("Write a long story about a dragon.\n")
    person.sees("dragon.\r\n")
    person.sees(" the ")
    person.process.send_signal(signal.SIGINT)
    assert "stopped by Ctrl-C" in person.sees("> ")
    person.types("\x04")
    assert person.leaves() == 0
    statuses = [turn["status"] for turn in told("memory", "turns", "a")["turns"]]
    assert statuses == ["done", "stopped"]


def test_progress_on_a_terminal_and_a_result_at_the_end(films: Path) -> None:
    told("media", "add", str(films), "--name", "films")
    person = Typist("media", "scan", "films")
    assert "\x1b[K" in person.sees("5 files, 30.0 MB")
    assert person.leaves() == 0


# --- bad input ----------------------------------------------------------------------------------


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


@pytest.mark.system("mount")
def test_a_full_disk_is_one_clear_error_and_loses_nothing(home: Home, films: Path) -> None:
    home.data.mkdir(parents=True, mode=0o700)
    with mounted(home.data, "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs"):
        told("media", "add", str(films), "--name", "films")
        with (home.data / "filler").open("wb") as filler, pytest.raises(OSError, match="No space"):
            while True:
                os.write(filler.fileno(), b"x" * 4096)
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
