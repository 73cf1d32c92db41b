"""The rclone process: started when it is first used, ended with the engine or when it is idle.

It listens on a socket in the engine's private folder, to whoever knows a password that only its
environment holds. Its configuration is the user's: nothing here changes it.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from engine.config import RemotesConfig
from engine.contract.base import visible
from engine.contract.errors import Unavailable
from engine.remotes import binary
from engine.remotes.errors import RcloneGone, redacted
from engine.remotes.rc import Rc

RETRIES = 3
"""How often rclone tries each request to a remote. It waits longer and longer in between: a remote
that is away for half a minute costs nothing but that."""
_START_WITHIN_S = 15.0
_END_WITHIN_S = 3.0
_GONE_WITHIN_S = 1.0
_WORDS_KEPT = 4096
_USER = "arcanum"
# What rclone and its remotes take from the environment, and nothing that would change what a list
# or a copy means (RCLONE_EXCLUDE, RCLONE_DRY_RUN and the like).
_KEPT = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|XDG_CONFIG_HOME|XDG_CACHE_HOME|SSH_AUTH_SOCK"
    r"|(?i:https?|no|all)_(?i:proxy)|SSL_CERT_(FILE|DIR)|RCLONE_CONFIG\w*|RCLONE_PASSWORD_COMMAND"
    r"|(AWS|AZURE|GOOGLE|GCLOUD|B2|OS|SWIFT)_\w+|KRB5\w*|DBUS_SESSION_BUS_ADDRESS|GNUPGHOME"
)


class Rcd:
    """``runtime`` is the engine's private folder."""

    def __init__(self, settings: RemotesConfig, runtime: Path) -> None:
        self._settings = settings
        self._socket = runtime / "rclone.sock"
        self._starting = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._rc: Rc | None = None
        self._draining: asyncio.Task[None] | None = None
        self._words = b""
        self._users = 0
        self._used_at = 0.0
        self._idle: asyncio.Task[None] | None = None
        self.version = ""
        self.rate = int(settings.bandwidth)
        """The limit that it starts with, in bytes a second; 0: none."""
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """The process that runs, if one does."""
        return self._process.pid if self._alive() and self._process is not None else None

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Rc]:
        """rclone, started where it does not run, and kept while the context is open.

        Raises Unavailable where it cannot be started.
        """
        self._users += 1
        try:
            yield await self._started()
        except RcloneGone:
            # Its connections end before its process is known to have: whoever tries again at once
            # is to get another one.
            if self._process is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_GONE_WITHIN_S):
                        await self._process.wait()
            raise
        finally:
            self._users -= 1
            self._used_at = time.monotonic()

    async def stop(self) -> None:
        """Ends it for good."""
        self._stopping = True
        if self._idle is not None:
            self._idle.cancel()
            await asyncio.gather(self._idle, return_exceptions=True)
        async with self._starting:
            await self._end()

    def _alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def _started(self) -> Rc:
        async with self._starting:
            if self._stopping:
                raise Unavailable("The engine is stopping.", "Start it again.")
            if self._rc is not None and self._alive():
                return self._rc
            await self._end()
            return await self._start()

    async def _start(self) -> Rc:
        program = await asyncio.to_thread(binary.find, self._settings.rclone)
        password = secrets.token_urlsafe(32)
        with suppress(FileNotFoundError):
            self._socket.unlink()
        try:
            self._process = await self._spawn(program, password)
        except OSError as error:
            raise Unavailable(
                f"rclone could not be started: {error.strerror or error}.",
                "Is the machine out of memory or processes?",
            ) from error
        self._words = b""
        self._draining = asyncio.create_task(self._drain(self._process))
        self._rc = Rc(os.fspath(self._socket), _USER, password)
        try:
            await self._ready(self._rc, program)
        except BaseException:
            await self._end()
            raise
        self._used_at = time.monotonic()
        if self._idle is None:
            self._idle = asyncio.create_task(self._end_when_idle(), name="remotes:idle")
        return self._rc

    async def _spawn(self, program: str, password: str) -> asyncio.subprocess.Process:
        settings = self._settings
        command = (
            *(program, "rcd", f"--rc-addr=unix://{self._socket}", "--ask-password=false"),
            *("--log-level=ERROR", "--stats=0", "--contimeout=10s", "--timeout=1m"),
            *("--retries=1", f"--low-level-retries={RETRIES}", f"--transfers={settings.transfers}"),
            f"--bwlimit={self.rate}B" if self.rate else "--bwlimit=off",
        )
        env = environment(os.environ, settings) | {
            "RCLONE_RC_USER": _USER,
            "RCLONE_RC_PASS": password,
        }
        # -P: never import from the folder that the user happens to stand in.
        launch = (sys.executable, "-P", "-m", "engine.remotes.launch", str(os.getpid()))
        return await asyncio.create_subprocess_exec(
            *launch,
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=env,
            start_new_session=True,  # Ctrl-C in the terminal is not meant for it.
            umask=0o077,
            cwd="/",
        )

    async def _ready(self, rc: Rc, program: str) -> None:
        """Returns once it answers. Raises Unavailable."""
        self.version = await self._version(rc, program)
        numbers = re.findall(r"\d+", self.version)[:2]
        if tuple(map(int, numbers)) < binary.OLDEST:
            oldest = ".".join(map(str, binary.OLDEST))
            raise Unavailable(
                f"rclone {self.version} is too old: {oldest} or later is needed.",
                f'It is {program}. The one that Arcanum brings: remotes.rclone = "bundled".',
            )

    async def _version(self, rc: Rc, program: str) -> str:
        until = time.monotonic() + _START_WITHIN_S
        while self._alive() and time.monotonic() < until:
            try:
                found = await rc.ask("core/version", within_s=_START_WITHIN_S)
                return redacted(str(found.get("version", "")))
            except RcloneGone:
                await asyncio.sleep(0.01)
        how = f"did not start within {_START_WITHIN_S:g} s" if self._alive() else "ended at once"
        raise Unavailable(f"rclone {how}{self._last_words()}.", f"It is {visible(program)}.")

    async def _drain(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while data := await process.stderr.read(_WORDS_KEPT):
            self._words = (self._words + data)[-_WORDS_KEPT:]

    def _last_words(self) -> str:
        lines = self._words.decode("utf-8", "replace").strip().splitlines()
        return f": {redacted(lines[-1])}" if lines else ""

    async def _end(self) -> None:
        process, self._process = self._process, None
        rc, self._rc = self._rc, None
        if rc is not None:
            rc.close()
        if process is None:
            return
        if process.returncode is None:
            # In order: it takes back the parts of what it was sending.
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(_END_WITHIN_S):
                    await process.wait()
            except TimeoutError:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if self._draining is not None:
            await asyncio.wait({self._draining}, timeout=1)
            self._draining.cancel()
        # A pipe with what nobody has read stays open, and asyncio has no public way to close it.
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001
        with suppress(FileNotFoundError):
            self._socket.unlink()

    async def _end_when_idle(self) -> None:
        patience = self._settings.idle_minutes * 60
        while True:
            async with self._starting:
                if self._idle_for() >= patience:
                    await self._end()
                    self._idle = None
                    return
            await asyncio.sleep(max(0.01, min(1.0, patience - self._idle_for())))

    def _idle_for(self) -> float:
        """Seconds since it was last used; 0 while it is."""
        return 0.0 if self._users else time.monotonic() - self._used_at


def environment(environ: Mapping[str, str], settings: RemotesConfig) -> dict[str, str]:
    """What of ours rclone is given, with what the settings say."""
    kept = {name: value for name, value in environ.items() if _KEPT.fullmatch(name)}
    if settings.config is not None:
        kept["RCLONE_CONFIG"] = os.fspath(settings.config.expanduser())
    if settings.password_command is not None:
        kept["RCLONE_PASSWORD_COMMAND"] = settings.password_command
    return kept
