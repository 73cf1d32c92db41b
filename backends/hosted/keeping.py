"""Conversations in the slots of one server, and their states on disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from backends.hosted.slots import Slot, Slots, begins
from backends.hosted.states import StateStore
from engine.contract.backend import Message, Piece
from engine.contract.errors import Failed, ModelFailed, Unavailable

if TYPE_CHECKING:
    from backends.chat import ChatServer

WORTH = 128
"""New tokens that make it worth to write a state while its conversation rests."""

_log = logging.getLogger(__name__)


class Keeper:
    """Seats conversations, and takes what they have read to disk and back.

    Nothing goes there before ``key`` is set, and what goes wrong there costs time, never an
    answer. ``prefixes`` are known beginnings of prompts, by the names of their states.
    """

    def __init__(
        self,
        server: ChatServer,
        slots: Slots,
        states: StateStore | None,
        prefixes: Mapping[str, tuple[Message, ...]],
        rest_s: float,
    ) -> None:
        self.key = ""
        self._server = server
        self._slots = slots
        self._states = states
        self._prefixes = prefixes
        self._rest_s = rest_s
        self._per_token = 0.0
        self._keeping: dict[str, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def seat(self, name: str, messages: tuple[Message, ...]) -> AsyncIterator[Slot]:
        """A slot for an answer, with what is known of its conversation in it.

        The second of two answers in one conversation is nobody's: it is not what goes on.
        """
        if self._slots.sits(name):
            name = ""
        prefix = self._prefix_of(messages)
        slot = self._slots.take(name, prefix)
        try:
            await self._make_ready(slot, name, prefix)
            slot.messages = messages
            yield slot
        finally:
            slot.busy = False
            if self._is_forgotten(slot):
                self._start_erasing(slot)
            elif slot.name and slot.unsaved >= WORTH:
                loop = asyncio.get_running_loop()
                slot.resting = loop.call_later(self._rest_s, self._save_at_rest, slot)

    async def follow(
        self, slot: Slot, tokens: int, pieces: AsyncIterator[Piece]
    ) -> AsyncGenerator[Piece]:
        """The pieces of an answer to a prompt of so many tokens, with the account of its slot."""
        read, new = max(0, tokens - slot.tokens), 0
        try:
            async for piece in pieces:
                new += 1
                if piece.usage is not None:
                    read = piece.usage.prompt_tokens - piece.usage.cached_tokens
                    new = piece.usage.new_tokens
                yield piece
        finally:
            if new:  # Else nobody knows how much of the prompt was read.
                slot.tokens = tokens + new
                slot.unsaved += read + new

    def opened(self, key: str) -> None:
        """From now on states go to disk and come from there, under this key."""
        self.key = key
        for slot in self._slots.all:
            if slot.unsaved >= WORTH:
                self._save_at_rest(slot)

    async def save(self) -> None:
        """Saves whatever has changed in the slots where nothing is being answered."""
        for slot in self._slots.all:
            self._save_at_rest(slot)
        await self._settled()

    def forget(self, name: str) -> None:
        """Has the server forget what it holds of a conversation that was forgotten on disk."""
        for slot in self._slots.all:
            if slot.name == name and not slot.busy and self._is_forgotten(slot):
                self._start_erasing(slot)

    async def close(self) -> None:
        """The server is gone: ends what still goes on here."""
        for slot in self._slots.all:
            if slot.resting is not None:
                slot.resting.cancel()
        await self._settled()

    # --- who sits where ---

    def _prefix_of(self, messages: tuple[Message, ...]) -> str:
        """The name of the longest known beginning of a prompt, "" where it has none."""
        fits = [name for name, each in self._prefixes.items() if begins(each, messages)]
        return max(fits, key=lambda name: len(self._prefixes[name]), default="")

    async def _make_ready(self, slot: Slot, name: str, prefix: str) -> None:
        if slot.saving is not None:
            await asyncio.wait({slot.saving})
        forgotten = self._states.times_forgotten(name) if self._states is not None else 0
        if name and slot.name == name and slot.forgotten == forgotten:
            return
        if slot.unsaved and slot.name:
            await asyncio.wait({self._start_saving(slot)})
        has_begun = bool(slot.tokens and prefix and begins(self._prefixes[prefix], slot.messages))
        slot.clear()
        if name:
            slot.tokens = await self._restore(slot, name)
        if prefix and not slot.tokens and not has_begun:
            slot.tokens = await self._restore(slot, prefix)
        slot.name, slot.forgotten = name, forgotten

    def _is_forgotten(self, slot: Slot) -> bool:
        """Whether its conversation was forgotten since it came."""
        if self._states is None or not slot.name:
            return False
        return self._states.times_forgotten(slot.name) != slot.forgotten

    # --- to disk ---

    def _save_at_rest(self, slot: Slot) -> None:
        if slot.resting is not None:
            slot.resting.cancel()
            slot.resting = None
        if slot.unsaved and slot.name and not slot.busy and slot.saving is None:
            self._start_saving(slot)

    def _start_saving(self, slot: Slot) -> asyncio.Task[None]:
        return self._start(slot, self._save(slot))

    def _start_erasing(self, slot: Slot) -> None:
        if slot.resting is not None:
            slot.resting.cancel()
            slot.resting = None
        slot.clear()
        self._start(slot, self._erase(slot, slot.saving))

    def _start(self, slot: Slot, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task of its own: whoever waits may leave, and the file is looked after all the same."""
        task = slot.saving = asyncio.create_task(work)

        def done(_: asyncio.Task[None]) -> None:
            if slot.saving is task:
                slot.saving = None

        task.add_done_callback(done)
        return task

    async def _erase(self, slot: Slot, saving: asyncio.Task[None] | None) -> None:
        if saving is not None:
            await asyncio.wait({saving})
        try:
            await self._act(slot, "erase")
        except Failed as error:  # Whatever is read there next takes its place.
            _log.info("a slot was not erased: %s", error.message)

    async def _save(self, slot: Slot) -> None:
        name, forgotten, tokens = slot.name, slot.forgotten, slot.tokens
        if self._states is None or not self.key or not name or self._is_forgotten(slot):
            return
        if tokens * self._per_token > self._states.max_bytes:
            return
        if (last := self._keeping.get(name)) is not None:
            await asyncio.wait({last})
        if (file := await self._write(slot, name, self._states)) is not None:
            task = asyncio.create_task(self._keep(file, name, tokens, forgotten))
            self._keeping[name] = task
            task.add_done_callback(lambda done: self._kept(name, done))

    async def _write(self, slot: Slot, name: str, states: StateStore) -> str | None:
        """Has the server write what is in the slot to a new file; None where it could not."""
        try:
            file = await asyncio.to_thread(states.name_file, name, self.key)
        except OSError as error:
            _log.info("a state was not saved: %s", error)
            return None
        try:
            told = (await self._act(slot, "save", file)).get("n_written")
            size = await asyncio.to_thread(states.size_of, file)
            # llama.cpp does not notice where the last of what it writes finds no room.
            if size == 0 or told not in {None, size}:
                raise ModelFailed(f"{file} was not written whole")
        except (Failed, OSError) as error:
            _log.info("a state was not saved: %s", error)
            await asyncio.to_thread(states.discard, file)
            return None
        slot.unsaved = 0
        return file

    async def _keep(self, file: str, name: str, tokens: int, forgotten: int) -> None:
        """Makes a written file the state of its conversation."""
        assert self._states is not None
        try:
            keep = self._states.keep
            size = await asyncio.to_thread(keep, file, name, self.key, tokens, forgotten)
        except OSError as error:
            _log.info("a state was not kept: %s", error)
        else:
            self._per_token = size / max(1, tokens)

    def _kept(self, name: str, task: asyncio.Task[None]) -> None:
        if self._keeping.get(name) is task:
            del self._keeping[name]

    async def _settled(self) -> None:
        """Returns when nothing is being saved any more."""
        if saving := {slot.saving for slot in self._slots.all if slot.saving is not None}:
            await asyncio.wait(saving)
        if self._keeping:
            await asyncio.wait(set(self._keeping.values()))

    # --- from disk ---

    async def _restore(self, slot: Slot, name: str) -> int:
        """Takes the state into the slot; the number of its tokens, 0 where there is none."""
        if self._states is None or not self.key:
            return 0
        if (pending := self._keeping.get(name)) is not None:
            await asyncio.wait({pending})
        try:
            state = await asyncio.to_thread(self._states.find, name, self.key)
            if state is None:
                return 0
            reply = await self._act(slot, "restore", state.file)
            held = reply.get("n_restored")
            return held if isinstance(held, int) else state.tokens
        except Unavailable:  # It was unloaded, which is no fault of the state.
            return 0
        except Failed as error:
            # Also where the process has ended over it: it must not do so again.
            _log.info("a state was refused: %s", error.message)
            await asyncio.to_thread(self._states.drop, name, self.key)
        except OSError as error:
            _log.info("a state could not be read: %s", error)
        return 0

    async def _act(self, slot: Slot, action: str, file: str = "") -> dict[str, Any]:
        url = f"{self._server.address.root}/slots/{slot.number}?action={action}"
        reply = await self._server.fetch("POST", url, {"filename": file})
        return reply if isinstance(reply, dict) else {}
