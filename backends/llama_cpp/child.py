"""The child process that holds a model, from its parent's side."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backends.llama_cpp.folder import MODEL_LINK, SOCKET, make_folder, remove_folder
from backends.llama_cpp.gguf import REPLACE
from engine.contract.base import visible
from engine.contract.errors import ModelFailed, Unavailable

INSTALL = "Install it (pip install xllamacpp), or use another model: arcanum model list"
_HOST = Path(__file__).with_name("host.py")
_MAX_WORDS = 16 * 1024
# llama.cpp's log: "0.00.027.373 E function: what went wrong".
_LOGGED = re.compile(r"^[\d.]+ E +\w.*?: +(.*)$", re.MULTILINE)
# Secrets in the environment are none of the business of native code that parses foreign files.
_KEPT = re.compile(
    r"PATH|HOME|USER|LANG|LC_\w+|TZ|TMPDIR|VIRTUAL_ENV|PYTHON(PATH|HOME)|(DY)?LD_\w+"
    r"|(GGML|OMP)_\w+|\w+_VISIBLE_DEVICES"
)


@dataclass(frozen=True, slots=True)
class Options:
    """How a model is run.

    ``threads`` 0: one less than there are cores. ``context``: tokens for each of the ``parallel``
    answers. ``cache_mib``: most memory for states of earlier prompts.
    """

    threads: int = 0
    context: int = 4096
    parallel: int = 2
    cache_mib: int = 256


def default_threads() -> int:
    """One core is left to the rest: with all of them, generation collapses beside other work."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, cores - 1)


class Child:
    """A process that serves a model on ``socket`` to whoever knows ``key``."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path, key: str) -> None:
        self.key = key
        self.folder = folder
        self.unloaded = False
        self._process = process
        self._why = ""
        self._words = b""
        self._collecting = asyncio.create_task(self._collect())

    @classmethod
    async def start(cls, model: Path, options: Options, runtime_dir: Path, load_s: float) -> Child:
        """A child whose model is loaded. Raises ModelFailed or Unavailable."""
        try:
            folder = await asyncio.to_thread(make_folder, runtime_dir)
            process = await _spawn(folder)
        except OSError as error:
            raise Unavailable(
                f"No process for the model can be started from {visible(os.fspath(runtime_dir))}: "
                f"{error.strerror}",
                "Check that folder, and whether disk or memory are full.",
            ) from error
        child = cls(process, folder, secrets.token_urlsafe(32))
        try:
            await child._hand_over(model, options, load_s)
        except BaseException:
            await child.stop()
            raise
        return child

    @property
    def socket(self) -> str:
        return os.fspath(self.folder / SOCKET)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    def kill(self, why: str) -> None:
        """Ends it at once: it has nothing to save. The first reason is the one that is told."""
        if self.alive:
            self._why = self._why or why
            with suppress(ProcessLookupError):
                self._process.kill()

    def unload(self) -> None:
        """Ends it because it is not wanted any more."""
        self.unloaded = self.alive
        self.kill("was unloaded")

    async def wait(self) -> None:
        """Returns when it has ended and its last words are read."""
        await self._process.wait()
        await asyncio.wait({self._collecting})

    async def stop(self) -> None:
        """Ends it and removes its folder. Safe to call again."""
        self.kill("was ended")
        await self.wait()
        await asyncio.to_thread(remove_folder, self.folder)

    def verdict(self) -> str:
        """How it ended, as the rest of a sentence about it."""
        status = self._process.returncode
        if self._why:
            return self._why
        if status is not None and status < 0:
            return f"was killed by {signal.Signals(-status).name}{self._last_words()}"
        return f"ended by itself (status {status}){self._last_words()}"

    def _last_words(self) -> str:
        words = self._words.decode("utf-8", "replace")
        # The first error is the cause, those after it are its consequences.
        found = _LOGGED.search(words)
        text = found[1] if found else (words.strip().splitlines() or [""])[-1]
        return f": {visible(text)[:300]}" if text else ""

    async def _collect(self) -> None:
        assert self._process.stderr is not None
        while chunk := await self._process.stderr.read(4096):
            self._words = (self._words + chunk)[-_MAX_WORDS:]

    async def _hand_over(self, model: Path, options: Options, load_s: float) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        task = {
            "parent": os.getpid(),
            "socket": self.socket,
            "key": self.key,
            "model": await asyncio.to_thread(self._name_in_utf8, model),
            "threads": options.threads or default_threads(),
            "context": options.context,
            "parallel": options.parallel,
            "cache_mib": options.cache_mib,
        }
        line = b""
        try:
            async with asyncio.timeout(load_s):
                process.stdin.write(json.dumps(task).encode() + b"\n")
                with suppress(ConnectionError):  # It has ended: that is told below.
                    await process.stdin.drain()
                line = await process.stdout.readline()
        except TimeoutError as error:
            raise ModelFailed(
                f"Loading {visible(os.fspath(model))} took longer than {load_s:g} s and was ended",
                "Use a smaller model, or a faster disk.",
            ) from error
        await self._judge(model, line)

    async def _judge(self, model: Path, line: bytes) -> None:
        """Raises unless the child's report says that it is ready."""
        report = json.loads(line) if line.endswith(b"\n") else {}
        if report.get("ready"):
            return
        await self.wait()
        if "xllamacpp" in (error := str(report.get("error", ""))):
            raise Unavailable(f"xllamacpp is not usable here: {visible(error)[:300]}", INSTALL)
        what = self._last_words() if report else f": its process {self.verdict()}"
        raise ModelFailed(
            f"The model file {visible(os.fspath(model))} could not be loaded{what}", REPLACE
        )

    def _name_in_utf8(self, model: Path) -> str:
        """A name of the file that llama.cpp can take; any other gets a link in our folder."""
        absolute = model.absolute()
        try:
            os.fspath(absolute).encode("utf-8")
        except UnicodeEncodeError:
            link = self.folder / MODEL_LINK
            link.symlink_to(absolute)
            return os.fspath(link)
        return os.fspath(absolute)


async def _spawn(folder: Path) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", os.fspath(_HOST)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(os.environ),
            start_new_session=True,  # Ctrl-C in the terminal is not meant for it.
        )
    except BaseException:
        await asyncio.to_thread(remove_folder, folder)
        raise


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if _KEPT.fullmatch(name)}
    # Idle worker threads sleep instead of spinning; a crash ends at once, without a debugger.
    return kept | {"OMP_WAIT_POLICY": "passive", "GGML_NO_BACKTRACE": "1"}
