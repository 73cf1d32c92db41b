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
from pathlib import Path

from backends.hosted.folder import MODEL_LINK, SOCKET, STATES_LINK, make_folder, remove_folder
from backends.hosted.settings import Setup
from engine.contract.base import visible
from engine.contract.errors import ModelFailed, Unavailable

_TOO_LARGE = (
    "Memory may have run out: arcanum model info tells what it needs. Free some, or use a smaller"
    " model: arcanum model list"
)
_REPLACE = "Download it again, or use another model: arcanum model list"
_MAX_WORDS = 16 * 1024
# llama.cpp's log: "0.00.027.373 E function: what went wrong".
_LOGGED = re.compile(r"^[\d.]+ E +\w.*?: +(.*)$", re.MULTILINE)
# Secrets in the environment are none of the business of native code that parses foreign files.
_KEPT = re.compile(
    r"PATH|HOME|USER|LANG|LC_\w+|TZ|TMPDIR|VIRTUAL_ENV|PYTHON(PATH|HOME)|(DY)?LD_\w+"
    r"|(GGML|OMP)_\w+|\w+_VISIBLE_DEVICES"
)


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
    async def start(cls, setup: Setup) -> Child:
        """A child whose model is loaded. Raises ModelFailed or Unavailable."""
        try:
            folder = await asyncio.to_thread(make_folder, setup.runtime_dir)
            process = await _spawn(setup.host.module, folder)
        except OSError as error:
            where = visible(os.fspath(setup.runtime_dir))
            raise Unavailable(
                f"No process for the model can be started from {where}: {error.strerror}",
                "Check that folder, and whether disk or memory are full.",
            ) from error
        child = cls(process, folder, secrets.token_urlsafe(32))
        try:
            await child._hand_over(setup)
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
        # A pipe with what nobody has read stays open, and asyncio has no public way to close it.
        self._process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001
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
        lines = self._words.decode("utf-8", "replace").strip().splitlines()
        return self._logged() or (f": {visible(lines[-1])[:300]}" if lines else "")

    def _logged(self) -> str:
        """What llama.cpp logged as an error: the first is the cause, those after it follow."""
        found = _LOGGED.search(self._words.decode("utf-8", "replace"))
        return f": {visible(found[1])[:300]}" if found else ""

    async def _collect(self) -> None:
        assert self._process.stderr is not None
        while chunk := await self._process.stderr.read(4096):
            self._words = (self._words + chunk)[-_MAX_WORDS:]

    async def _hand_over(self, setup: Setup) -> None:
        process, patience = self._process, setup.patience
        assert process.stdin is not None
        assert process.stdout is not None
        task = json.dumps(await asyncio.to_thread(self._task, setup)).encode() + b"\n"
        line = b""
        try:
            async with asyncio.timeout(patience.load_s):
                process.stdin.write(task)
                with suppress(ConnectionError):  # It has ended: that is told below.
                    await process.stdin.drain()
                line = await process.stdout.readline()
        except TimeoutError as error:
            raise ModelFailed(
                f"Loading {visible(os.fspath(setup.model))} took longer than "
                f"{patience.load_s:g} s and was ended",
                "Use a smaller model, or a faster disk.",
            ) from error
        await self._judge(setup, line)

    def _task(self, setup: Setup) -> dict[str, object]:
        options, states = setup.options, setup.states
        return {
            "parent": os.getpid(),
            "socket": self.socket,
            "key": self.key,
            "model": self._named(setup.model, MODEL_LINK),
            "threads": setup.threads,
            "context": options.context,
            "parallel": setup.parallel,
            # Where states go to disk and back, they need not be held in memory too.
            "cache_mib": options.cache_mib if states is None else 0,
            "gpu_layers": options.gpu_layers,
            "states": "" if states is None else self._named(states.folder, STATES_LINK),
        }

    async def _judge(self, setup: Setup, line: bytes) -> None:
        """Raises unless the child's report says that it is ready."""
        report = json.loads(line) if line.endswith(b"\n") else {}
        if report.get("ready"):
            return
        await self.wait()
        said = visible(str(report.get("error", "")))[:300]
        if report.get("missing"):
            label = setup.host.label
            raise Unavailable(f"{label} is not usable here: {said}", setup.host.install)
        hint = _REPLACE
        if report:
            what = self._logged() or (f": {said}" if said else "")
        else:
            what = f": its process {self.verdict()}"
            if self._process.returncode == -signal.SIGKILL:  # So a system ends what takes too much.
                hint = _TOO_LARGE
        raise ModelFailed(
            f"The model {visible(os.fspath(setup.model))} could not be loaded{what}", hint
        )

    def _named(self, path: Path, link: str) -> str:
        """A name of it that any library can take: what is not UTF-8 gets a link in our folder."""
        absolute = path.absolute()
        try:
            os.fspath(absolute).encode("utf-8")
        except UnicodeEncodeError:
            absolute, target = self.folder / link, absolute
            absolute.symlink_to(target)
        return os.fspath(absolute)


async def _spawn(module: str, folder: Path) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # Never import from the folder that the user happens to stand in.
            "-m",
            module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(os.environ),
            start_new_session=True,  # Ctrl-C in the terminal is not meant for it.
            umask=0o077,  # What it writes is what was talked about.
            cwd="/",
        )
    except BaseException:
        await asyncio.to_thread(remove_folder, folder)
        raise


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What of ours a child of ours is given."""
    kept = {name: value for name, value in environ.items() if _KEPT.fullmatch(name)}
    # Idle worker threads sleep instead of spinning; a crash ends at once, without a debugger.
    return kept | {"OMP_WAIT_POLICY": "passive", "GGML_NO_BACKTRACE": "1"}
