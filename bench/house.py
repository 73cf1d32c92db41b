"""Where Arcanum is measured: a home of its own, byte-compiled code, an engine that is ended."""

from __future__ import annotations

import asyncio
import compileall
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from bench.terminal import Terminal, descendants
from engine.clients.socket import SocketClient
from engine.contract import discovery
from engine.contract.errors import ArcanumError
from engine.home import Home, locate

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
HELLO = Path(__file__).with_name("hello.py")
OURS = ("arcanum_tui", "engine", "backends")

_TOLD_WITHIN_S = 60.0

T = TypeVar("T")


class CannotMeasure(RuntimeError):
    """A row cannot be measured here; the message says why, and stands in the table."""


def environment() -> dict[str, str]:
    """What children get: no foreign settings, and byte code that is kept."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    return env | {"LANG": env.get("LANG", "C.UTF-8")}


def compile_all() -> None:
    """Writes the byte code of everything that a start imports, as an installation does."""
    site = [path for path in map(Path, sys.path) if path.name == "site-packages"]
    for folder in [*(ROOT / name for name in OURS), ROOT / "bench", *site]:
        compileall.compile_dir(folder, quiet=2, workers=1)


class House:
    """One home folder with the environment that leads to it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        runtime = base / "run"
        runtime.mkdir(mode=0o700)
        self.env = environment() | {
            "ARCANUM_HOME": str(base / "home"),
            "XDG_RUNTIME_DIR": str(runtime),
            "ARCANUM_MACHINE": "bench",
        }

    @contextmanager
    def inside(self) -> Iterator[None]:
        """This process lives here too, as long as the context is open."""
        before = {name: os.environ.get(name) for name in self.env}
        os.environ.update(self.env)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    @property
    def home(self) -> Home:
        """Where its engine keeps things."""
        with self.inside():
            return locate()

    def configure(self, toml: str) -> None:
        """Writes ``config.toml``."""
        path = self.home.config_file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(toml, encoding="utf-8")

    def command(self, *words: str) -> list[str]:
        return [str(BIN / "arcanum"), *words]

    def run(self, *words: str, within_s: float = _TOLD_WITHIN_S) -> str:
        """Runs a command to its end; what it wrote. Raises CannotMeasure where it fails."""
        try:
            done = subprocess.run(
                self.command(*words),
                env=self.env,
                capture_output=True,
                text=True,
                timeout=within_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CannotMeasure(f"arcanum {' '.join(words)}: no end in {within_s:g} s") from error
        if done.returncode > 2:
            said = (done.stderr.strip() or done.stdout.strip())[-200:]
            raise CannotMeasure(f"arcanum {' '.join(words)}: exit code {done.returncode}, {said}")
        return done.stdout

    @contextmanager
    def start(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command that goes on; leaving ends it, and then its children."""
        process = subprocess.Popen(
            self.command(*words),
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            children = descendants(process.pid)
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(20.0)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(5.0)
            for child in children:
                with suppress(OSError):
                    os.kill(child.pid, signal.SIGKILL) if child.is_running() else None
            if process.stdout is not None:
                process.stdout.close()

    @contextmanager
    def engine(self) -> Iterator[subprocess.Popen[bytes]]:
        """``arcanum serve``, from when it says that it runs. Raises CannotMeasure."""
        with self.start("serve", "--json") as process:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise CannotMeasure(f"arcanum serve ended with {process.wait(5.0)}")
            yield process

    @contextmanager
    def screen(self) -> Iterator[Terminal]:
        """The control center in a terminal, with the overview painted and the engine there."""
        with Terminal(self.command(), env=self.env) as terminal:
            terminal.wait_for("NEEDS YOU")
            terminal.wait_for("● live", within_s=30.0)
            yield terminal

    def ask(self, what: Callable[[SocketClient], Awaitable[T]], within_s: float = 60.0) -> T:
        """Attaches to the engine that runs and asks it something. Raises CannotMeasure."""

        async def asked() -> T:
            async with asyncio.timeout(within_s):
                client = await SocketClient.connect(self.home.socket)
                try:
                    return await what(client)
                finally:
                    await client.close()

        try:
            return asyncio.run(asked())
        except ArcanumError as error:
            raise CannotMeasure(f"{error.message} {error.hint}".strip()) from error


def move_in(base: Path, toml: str = "") -> House:
    """A house whose database is there and whose first questions are answered."""
    base.mkdir(parents=True)
    house = House(base)
    if toml:
        house.configure(toml)

    async def skip(client: SocketClient) -> None:
        await client.call(discovery.ANSWER, discovery.Answer(answer="skipped"))

    with house.engine():
        house.ask(skip)
    return house


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder with a short path, because sockets lie in it; removed at the end."""
    base = Path(tempfile.mkdtemp(prefix="arcbench-", dir="/tmp"))
    try:
        yield base
    finally:
        shutil.rmtree(base, ignore_errors=True)


def hello(*arguments: str) -> Sequence[str]:
    """The command of the peer."""
    return [sys.executable, str(HELLO), *arguments]
