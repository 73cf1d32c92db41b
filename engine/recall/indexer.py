"""The engine's end of the index: a worker process that is asked, and started anew when it dies.

Whatever is in its files, or in the library that reads them, can cost a search, never the engine. A
worker that dies again and again over the same files loses them: first the vectors' parts, which are
made anew from the derived database, then that too, which is made anew from the truth.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, ClassVar

from engine.contract.base import visible
from engine.contract.errors import ArcanumError, Unavailable
from engine.contract.memories import IndexState
from engine.contract.recall import IndexMoved
from engine.ground import Ground
from engine.worker.frames import Frame
from engine.worker.process import Worker, WorkerFailed

_log = logging.getLogger("arcanum.recall")
_MODULE = "engine.recall.index.worker"
_START_WITHIN_S = 60.0
_END_WITHIN_S = 15.0
_LATER_S = 2.0
"""A command that is over sooner starts no worker for what it wrote."""
_DEATHS_S = 300.0
_GIVE_UP_VECTORS, _GIVE_UP_ALL, _GIVE_UP = 2, 4, 6
"""So many deaths within five minutes cost the parts, the index's database, and further tries."""

ALERT = 1_000
"""More than so many memories that wait are told as a concern."""

Verdicts = Callable[[list[tuple[int, int, str]]], Awaitable[list[int]]]
"""Is told (older, newer, how); returns which of the older ones stay as they are."""


def _followed(folder: Path) -> int:
    """How far the index came; 0 where that cannot be told."""
    path = folder / "recall.db"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            found = db.execute("SELECT value FROM meta WHERE name = 'rev'").fetchone()
            waiting = db.execute(
                "SELECT 1 FROM unembedded UNION ALL SELECT 1 FROM meta WHERE name = 'unmarked'"
            ).fetchone()
            return 0 if found is None or waiting is not None else int(found[0])
    except (sqlite3.Error, ValueError):
        return 0


class IndexWorker(Worker):
    WHAT: ClassVar[str] = "The process that keeps the index of memories"
    HINT: ClassVar[str] = "Nothing that is remembered is lost. Try again."
    HUGE_PAGES: ClassVar[bool] = True


class IndexFailed(Unavailable):
    """The index could not be asked, or did not answer."""


def _not_kept(why: str) -> IndexFailed:
    """``why``: what is in the way, with its path."""
    return IndexFailed(
        f"The index of memories cannot be kept: {why}.",
        "Nothing that is remembered is lost. Take away what is in the way, and try again.",
    )


class Index:
    """``verdicts`` is told what should take the place of what."""

    def __init__(self, ground: Ground, verdicts: Verdicts) -> None:
        self._ground = ground
        self._verdicts = verdicts
        self._folder = ground.home.data / "recall"
        self._worker: IndexWorker | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._asked: dict[int, asyncio.Future[Frame]] = {}
        self._number = 0
        self._deaths: deque[float] = deque()
        self._last_words = ""
        self._later: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self.identity = ""
        self.model: tuple[str, int] | None = None
        """What makes the vectors and how long they are, once that is known."""
        self.waiting = 0
        self.to_embed = 0
        self.note = ""
        self.trouble = ""
        """What keeps a worker that runs from going on: a full disk, say."""
        self.damaged = ""
        """What of it was damaged, until it is made again."""
        self.lexical_because = ""
        """Why memories are found by their words alone; "" where they are not."""
        self.moved = asyncio.Event()
        """Set where there may be something to embed."""

    # --- its life -------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Lets it save what it has."""
        self._stopping = True
        if self._later is not None:
            self._later.cancel()
        for task in self._tasks:
            task.cancel()
        worker, hearing = self._worker, self._hearing
        if worker is not None and hearing is not None:
            await worker.send({"do": "end", "id": 0})
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_WITHIN_S):
                    await asyncio.shield(hearing)
            hearing.cancel()
            await worker.kill()

    async def wake_if_behind(self) -> None:
        """At the start: a process is worth its memory only where there is something to do."""
        clock = await self._ground.state.read("SELECT rev FROM memory_clock")
        if await asyncio.to_thread(_followed, self._folder) != clock[0]["rev"]:
            self.wake()

    def wake(self) -> None:
        """Something changed in the truth."""
        if self._stopping:
            return
        if self._worker is not None and self._worker.alive:
            self._do(self._worker.send({"do": "wake", "id": 0}))
        elif self._later is None:
            self._later = asyncio.get_running_loop().call_later(_LATER_S, self._wake_later)

    def _wake_later(self) -> None:
        self._later = None
        if not self._stopping:
            self._do(self._waken())

    async def _waken(self) -> None:
        try:
            await self._running()
        except ArcanumError as error:
            if not isinstance(error, IndexFailed):  # Else it was told already.
                _log.warning("the index does not run: %s", error.message)

    def _do(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _running(self) -> IndexWorker:
        """The worker, started where there is none. Raises Unavailable, WorkerFailed."""
        async with self._starting:
            if self._worker is not None and self._worker.alive:
                return self._worker
            if self._stopping:
                raise Unavailable("The engine is stopping.", "Start it again.")
            await self._heard_out()
            await self._give_up()
            worker = await IndexWorker.start(_MODULE)
            opened = self._expect()
            await worker.send(
                {
                    "do": "open",
                    "id": opened[0],
                    "truth": str(self._ground.home.state_file),
                    "archives": str(self._ground.home.data / "archives"),
                    "folder": str(self._folder),
                    "identity": self.identity,
                    "budget": self._ground.config.memory.index_mib * 1024 * 1024,
                }
            )
            self._worker = worker
            self._hearing = asyncio.create_task(self._hear(worker), name="recall:index")
            async with asyncio.timeout(_START_WITHIN_S):
                told = await asyncio.shield(opened[1])
            if told["k"] == "failed":
                await self._heard_out()
                raise self._in_the_way(visible(str(told["message"])))
            if self.model is not None:  # Its files may be new: they do not know it.
                model, dimensions = self.model
                told = {"do": "model", "id": 0, "model": model, "dimensions": dimensions}
                await worker.send(told)
            self.note = self.trouble = ""
            return worker

    def _in_the_way(self, why: str) -> IndexFailed:
        """Who asks next tries again."""
        if why != self.note:
            _log.warning("the index of memories cannot be kept: %s", why)
        self.note = why
        self._tell()
        return _not_kept(why)

    async def _heard_out(self) -> None:
        """The end of the last worker is counted, and told to who asked it, before the next starts:
        a process is gone a moment before its pipe says so."""
        hearing = self._hearing
        if hearing is not None and not hearing.done():
            try:
                async with asyncio.timeout(_END_WITHIN_S):
                    await asyncio.shield(hearing)
            except TimeoutError:
                hearing.cancel()

    async def _give_up(self) -> None:
        """What it died over again and again is thrown away before it is started anew."""
        clock = time.monotonic()
        while self._deaths and clock - self._deaths[0] > _DEATHS_S:
            self._deaths.popleft()
        deaths = len(self._deaths)
        if deaths >= _GIVE_UP:
            times = f"its process ended {deaths} times within {_DEATHS_S / 60:.0f} minutes"
            self.note = f"{times}. {self._last_words}"
            self._tell()
            raise IndexFailed(
                f"The index of memories does not run: {self.note}",
                f"Nothing that is remembered is lost. Try again in {_DEATHS_S / 60:.0f} minutes.",
            )
        doomed = None
        if deaths >= _GIVE_UP_ALL:
            doomed = self._folder
            self.damaged = f"its process ended {deaths} times"
        elif deaths >= _GIVE_UP_VECTORS:
            doomed = self._folder / "vectors"
        if doomed is not None:
            _log.warning("the index is made anew: its process ended %d times", deaths)
            await asyncio.to_thread(shutil.rmtree, doomed, ignore_errors=True)

    # --- asking ---------------------------------------------------------------------------------

    def _expect(self) -> tuple[int, asyncio.Future[Frame]]:
        self._number += 1
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._asked[self._number] = answer
        return self._number, answer

    async def ask(self, do: str, within_s: float = 30.0, **fields: Any) -> Frame:
        """The worker's answer. One that dies over it, or has found its files damaged, is asked once
        more. Raises IndexFailed, Unavailable."""
        found = await self._first(do, within_s, fields)
        if found is None:
            try:
                found = await self._answer(do, within_s, fields)
            except WorkerFailed as error:
                raise IndexFailed(error.message, error.hint) from error
        if found["k"] == "failed":
            why = visible(str(found["message"]))
            if found.get("disk"):
                raise _not_kept(why)
            raise IndexFailed(
                f"The index of memories failed: {why}.",
                "Nothing that is remembered is lost. Try again. Where it stays so:"
                " arcanum memory rebuild",
            )
        return found

    async def _first(self, do: str, within_s: float, fields: Frame) -> Frame | None:
        """None where it is to be asked once more. Raises as ``ask`` does."""
        try:
            found = await self._answer(do, within_s, fields)
        except WorkerFailed:
            return None
        return None if found.get("again") else found

    async def _answer(self, do: str, within_s: float, fields: Frame) -> Frame:
        """Raises IndexFailed, Unavailable, WorkerFailed."""
        worker = await self._running()
        number, answer = self._expect()
        try:
            await worker.send({"do": do, "id": number, **fields})
            async with asyncio.timeout(within_s):
                return await answer
        except TimeoutError:
            raise IndexFailed(
                f"The index of memories did not answer within {within_s:g} s.", "Try again."
            ) from None
        finally:
            self._asked.pop(number, None)

    async def forget(self, ids: Sequence[int]) -> str:
        """Returns once nothing of these memories, which are gone from the truth, is in the index's
        files; "" or what is in the way."""
        del ids  # The worker learns from the truth which they are.
        try:
            return str((await self.ask("forget", 600.0))["problem"])
        except ArcanumError as error:
            return error.message

    async def _hear(self, worker: IndexWorker) -> None:
        try:
            while (frame := await worker.receive())["k"] != "ended":
                await self._take(frame)
            await worker.kill()  # Nothing is left to be saved.
        except WorkerFailed as error:
            if not self._stopping:
                self._died(error)
        finally:
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(
                        WorkerFailed(f"{IndexWorker.WHAT} ended.", IndexWorker.HINT)
                    )
                    answer.exception()
            if self._worker is worker:
                self._worker = None

    def _died(self, error: WorkerFailed) -> None:
        _log.warning("%s", error.message)
        self._deaths.append(time.monotonic())
        self.note = self._last_words = error.message
        self._tell()
        self._worker = None
        self.wake()

    async def _take(self, frame: Frame) -> None:
        match frame["k"]:
            case "done" | "failed":
                answer = self._asked.get(frame["id"])
                if answer is not None and not answer.done():
                    answer.set_result(frame)
            case "trouble":
                self.trouble = visible(str(frame["message"]))
                self._tell()
            case "damaged":
                self.damaged = visible(str(frame["what"]))
                _log.warning("the index was damaged, and is made again: %s", self.damaged)
                self._tell()
            case "moved":
                self.trouble = ""
                self.waiting, self.to_embed = frame["behind"], frame["to_embed"]
                if not self.waiting and (not self.to_embed or self.lexical_because):
                    self.damaged = ""
                self._tell()
                if self.to_embed:
                    self.moved.set()
            case "verdicts":
                self._do(self._judge([tuple(row) for row in frame["rows"]]))
            case "remade":
                for part in frame["parts"]:
                    _log.warning("the index made %s anew", visible(str(part)))

    async def _judge(self, rows: list[Any]) -> None:
        try:
            refused = await self._verdicts(rows)
            if refused:
                await self.ask("settled", older=refused)
        except ArcanumError as error:  # They are told again.
            _log.warning("what took whose place is not written down yet: %s", error.message)
        if self._worker is not None and self._worker.alive:
            await self._worker.send({"do": "wake", "id": 0})

    # --- telling --------------------------------------------------------------------------------

    @property
    def state(self) -> IndexState:
        if self.trouble or (self.note and (self._worker is None or not self._worker.alive)):
            return "failed"
        if self.waiting or self.damaged:
            return "building"
        if self.lexical_because:
            return "lexical"
        return "building" if self.to_embed else "ready"

    @property
    def why(self) -> str:
        """What is to be said of the state, in words."""
        return self.trouble or self.note or self.remaking or self.lexical_because

    @property
    def remaking(self) -> str:
        """That it was damaged, as long as that is felt; "" where it was not."""
        if not self.damaged:
            return ""
        return f"it was damaged, and is being made again from the database ({self.damaged})"

    def _tell(self) -> None:
        metrics = self._ground.metrics
        metrics.memories_waiting.set(self.waiting)
        metrics.memories_unembedded.set(self.to_embed)
        self._ground.bus.publish(
            IndexMoved(
                index=self.state,
                waiting=self.waiting,
                to_embed=self.to_embed,
                note=self.why,
                machine=self._ground.machine,
            )
        )
