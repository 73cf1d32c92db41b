"""Real remotes on loopback: ``rclone serve`` of a folder, and the configuration that names them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine.remotes import binary

USER, PASSWORD = "librarian", "correct-horse-battery"
KEY, SECRET = "AKEXAMPLE0001", "example-secret-0001"
_FLAGS = {
    "webdav": ("--user", USER, "--pass", PASSWORD),
    "sftp": ("--user", USER, "--pass", PASSWORD),
    "s3": ("--auth-key", f"{KEY},{SECRET}"),
}


def rclone(*arguments: str, **env: str) -> str:
    """What the bundled rclone prints."""
    done = subprocess.run(
        [binary.find(binary.BUNDLED), *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"} | env,
    )
    return done.stdout.strip()


@dataclass
class Served:
    """A folder that is served. ``port`` stays the same when it is started ``again``."""

    kind: str
    folder: Path
    base: Path
    port: int = 0
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                *(binary.find(binary.BUNDLED), "serve", self.kind, str(self.folder)),
                *("--addr", f"127.0.0.1:{self.port}", *_FLAGS[self.kind]),
                # What a test puts there is seen at once. With 0s each folder spins for ever.
                "--dir-cache-time=10ms",
            ],
            stderr=subprocess.PIPE,
            text=True,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.base),
                "RCLONE_CONFIG": str(self.base / "none.conf"),
            },
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(
                r"(?:started on|listening on|server on).*127\.0\.0\.1:(\d+)", line
            ):
                self.port = int(found[1])
                return
        raise AssertionError(f"rclone serve {self.kind} did not start")

    def stop(self) -> None:
        """As a machine that is switched off."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def section(self, name: str, password: str = PASSWORD) -> str:
        """Its part of an rclone configuration."""
        obscured = rclone("obscure", password)
        told = {
            "webdav": f"url = http://127.0.0.1:{self.port}\nvendor = other\n"
            f"user = {USER}\npass = {obscured}\n",
            "sftp": f"host = 127.0.0.1\nport = {self.port}\nuser = {USER}\npass = {obscured}\n",
            "s3": f"provider = Rclone\nendpoint = http://127.0.0.1:{self.port}\n"
            f"access_key_id = {KEY}\nsecret_access_key = {SECRET}\n",
        }
        return f"[{name}]\ntype = {self.kind}\n{told[self.kind]}\n"


@contextmanager
def serving(kind: str, folder: Path, base: Path) -> Iterator[Served]:
    """A server of ``folder`` (for s3: each folder in it is a bucket), until the context ends."""
    folder.mkdir(parents=True, exist_ok=True)
    served = Served(kind, folder, base)
    try:
        served.start()
        yield served
    finally:
        served.stop()
