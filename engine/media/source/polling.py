"""Torrent clients are asked, every few minutes, by a process each. A dead one costs a line."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from engine.config import ClientConfig
from engine.contract.base import PathRef, visible
from engine.contract.errors import ArcanumError, Failed
from engine.contract.holding import GoneFile, Wanted
from engine.contract.ports import Concern, Severity
from engine.contract.sources import TorrentClient
from engine.media.paging import when
from engine.media.source.torrents import Heard, Torrents
from engine.media.source.wanting import Wanting
from engine.worker.frames import Frame
from engine.worker.process import Worker

_log = logging.getLogger(__name__)
MODULE = "engine.media.source.clients.asker"
_TOGETHER = 50
_MOST_KNOWN = 12_000
_MOST_SECRET = 4096


@dataclass(frozen=True, slots=True)
class Pace:
    """In seconds. ``first``: until the first asking; ``every``: between two; ``whole``: how often
    the files are asked for anew while the libraries change; ``silent``: how long a client may say
    nothing, and ``longest``: how long all of its answer may take; ``waited``: how long a person
    waits for all answers."""

    first: float = 20.0
    every: float = 300.0
    whole: float = 900.0
    silent: float = 30.0
    longest: float = 600.0
    waited: float = 30.0


class _Asker(Worker):
    WHAT: ClassVar[str] = "The process that asks it"
    HINT: ClassVar[str] = "It is asked again."


class AskingFailed(Failed):
    """A client could not be asked."""


class Clients:
    """``configured``: those of the configuration."""

    def __init__(self, torrents: Torrents, configured: Sequence[ClientConfig], pace: Pace) -> None:
        self._torrents, self._configured, self._pace = torrents, configured, pace
        self._task: asyncio.Task[None] | None = None
        self._asking = asyncio.Lock()
        self._problems: dict[str, str] = {}
        self._known: dict[str, dict[str, str]] = {}
        self._whole: dict[str, tuple[float, str]] = {}
        self._states: dict[str, TorrentClient] = {}
        self._hanging: dict[str, _Asker] = {}
        self._heard_at: dict[str, int] = {}

    async def start(self) -> None:
        await self._torrents.only([client.name for client in self._configured])
        await self._torrents.forget_old()
        for client in self._configured:
            await self._tell(client)
        if self._configured:
            self._task = asyncio.create_task(self._run(), name="media:clients")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def states(self) -> tuple[TorrentClient, ...]:
        return tuple(self._states.values())

    def concerns(self) -> list[Concern]:
        found = []
        for state in self._states.values():
            if state.state == "failing":
                found.append(Concern(Severity.BROKEN, state.name, f"torrent client: {state.note}"))
            elif state.unfound:
                where = f" ({state.example.display})" if state.example else ""
                found.append(
                    Concern(
                        Severity.UNKNOWN,
                        state.name,
                        f"{state.unfound} of {state.torrents} torrents: their files are not where"
                        f" the client says{where}; map its folders: media.clients.paths",
                    )
                )
        return found

    async def ask(self) -> tuple[TorrentClient, ...]:
        """Asks all of them, now, for everything."""
        await self._round(whole=True)
        return self.states

    async def wanted(self, files: Iterable[GoneFile]) -> Wanted:
        """Asks all of them, now, which of these files they want where they were."""
        wanting = Wanting(files)
        late = f"it took longer than {self._pace.waited:g} s"
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pace.waited):
                await self._round(whole=True, wanting=wanting)
        names = [client.name for client in self._configured]
        return Wanted(
            wanting.found,
            tuple(name for name in names if name in wanting.heard),
            tuple(
                (name, self._problems.get(name, late).partition(". ")[0].rstrip("."))
                for name in names
                if name not in wanting.heard
            ),
        )

    async def _run(self) -> None:
        await asyncio.sleep(self._pace.first)
        while True:
            try:
                await self._round(whole=False)
            except ArcanumError as error:
                _log.warning("torrent clients: %s", error.message)
            except Exception as error:  # noqa: BLE001 - the next round may do
                _log.error("torrent clients: a defect", exc_info=error)
            await asyncio.sleep(self._pace.every)

    async def _round(self, *, whole: bool, wanting: Wanting | None = None) -> None:
        async with self._asking, asyncio.TaskGroup() as group:
            for client in self._configured:
                group.create_task(self._one(client, whole, wanting))

    async def _one(self, client: ClientConfig, whole: bool, wanting: Wanting | None) -> None:
        try:
            await self._ask(client, whole, wanting)
            self._problems.pop(client.name, None)
        except Failed as error:
            hint = f" {error.hint}" if error.hint else ""
            self._problems[client.name] = f"{error.message}{hint}"
        await self._tell(client)

    async def _tell(self, client: ClientConfig) -> None:
        numbers = await self._torrents.numbers(client.name)
        stored, example = numbers.pop("at"), numbers.pop("example")
        at = self._heard_at.get(client.name, stored)
        problem = self._problems.get(client.name, "")
        asked = client.name in self._whole
        self._states[client.name] = TorrentClient(
            name=client.name,
            kind=client.kind,
            address=client.url,
            state="failing" if problem else "ok" if asked else "not asked",
            note=problem,
            asked_at=when(at) if at is not None else None,
            example=PathRef.of(example) if example is not None else None,
            **numbers,
        )

    # --- one client -----------------------------------------------------------------------------

    async def _ask(self, client: ClientConfig, whole: bool, wanting: Wanting | None) -> None:
        """Raises Failed: AskingFailed, WorkerFailed, Unavailable, StoreFailed."""
        hanging = self._hanging.get(client.name)
        if hanging is not None and hanging.alive:
            raise AskingFailed("a disk that its files lie on does not answer.", "Is it mounted?")
        password = await asyncio.to_thread(_password, client)
        mark = await self._torrents.mark()
        known = {} if whole else await self._still(client.name, mark)
        process = await _Asker.start(MODULE)
        try:
            async with asyncio.timeout(self._pace.longest):
                await process.send(self._command(client, password, known))
                versions = await self._hear(client.name, process, wanting)
        except (KeyError, TypeError, ValueError, OverflowError):
            raise AskingFailed("what asks it answered nonsense.") from None
        except TimeoutError:
            raise AskingFailed("it does not answer.", "Is it busy, or hung?") from None
        finally:
            await process.kill()
            if process.alive:  # It hangs in the kernel, where nobody can end it.
                self._hanging[client.name] = process
        self._known[client.name] = versions
        if not known:
            self._whole[client.name] = (time.monotonic(), mark)

    async def _still(self, client: str, mark: str) -> dict[str, str]:
        """The torrents whose files need not be asked for."""
        at, then = self._whole.get(client, (0.0, ""))
        if not then or (mark != then and time.monotonic() - at >= self._pace.whole):
            return {}
        lost = await self._torrents.unfound(client)
        known = self._known.get(client, {})
        return dict(islice(((h, v) for h, v in known.items() if h not in lost), _MOST_KNOWN))

    def _command(self, client: ClientConfig, password: str, known: dict[str, str]) -> Frame:
        return {
            "kind": client.kind,
            "url": client.url,
            "user": client.username,
            "password": password,
            "anywhere": client.anywhere,
            "seconds": self._pace.silent / 2,
            "paths": [[*pair] for pair in client.paths.items()],
            "known": known,
        }

    async def _hear(self, client: str, process: _Asker, wanting: Wanting | None) -> dict[str, str]:
        """Takes in what is told; returns the versions of the torrents. Raises as ``_ask`` does."""
        at = time.time_ns()
        versions: dict[str, str] = {}
        heard: list[Heard] = []
        while True:
            async with asyncio.timeout(self._pace.silent):
                frame = await process.receive()
            match frame:
                case {"k": "torrent", "torrent": dict(told), "same": bool(same)}:
                    if len(heard) >= _TOGETHER:
                        await self._torrents.take(client, at, heard)
                        heard = []
                    heard.append(Heard(told, same))
                    versions[str(told["infohash"])] = str(told["version"])
                case {"k": "files", "rows": list(rows)} if heard:
                    await self._torrents.match(heard[-1], rows)
                    if wanting is not None:
                        await wanting.take(client, str(heard[-1].told["name"]), rows)
                case {"k": "done"}:
                    await self._torrents.take(client, at, heard)
                    await self._torrents.complete(client, at)
                    await self._torrents.forget_old()
                    self._heard_at[client] = at
                    if wanting is not None:
                        wanting.heard.add(client)
                    return versions
                case {"k": "failed", "message": str(message), "hint": str(hint)}:
                    raise AskingFailed(f"{visible(message)[:200]}.", visible(hint)[:200])
                case _:
                    raise AskingFailed("what asks it answered nonsense.")


def _password(client: ClientConfig) -> str:
    """Raises AskingFailed. Blocking."""
    if client.password_env is not None:
        found = os.environ.get(client.password_env)
        if found is None:
            raise AskingFailed(f"{client.password_env} is not set.", "It is to hold the password.")
        return found
    if client.password_file is None:
        return ""
    try:
        with client.password_file.expanduser().open("rb") as file:
            return file.read(_MOST_SECRET).decode("utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise AskingFailed(f"its password_file cannot be read: {why}.", "") from None
