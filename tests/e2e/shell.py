"""The real ``arcanum`` in processes of its own, and a person at its terminal."""

from __future__ import annotations

import hashlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.home import Home

ARCANUM = str(Path(sys.executable).with_name("arcanum"))


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
    return told("quota", "plan", "films")


def asked_to_prune(films: Path) -> int:
    over_its_limit(films)
    return int(told("quota", "prune", "films")["pending"]["approval_id"])


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
