"""A model that is loaded: its process, the connection to it, and the conversations in its slots."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from backends.address import Address
from backends.connect import Trouble, connect, warm_up
from backends.hosted.child import Child
from backends.hosted.fingerprint import identity, read_ahead
from backends.hosted.keeping import Keeper
from backends.hosted.settings import Setup
from backends.hosted.slots import Slots
from backends.hosted.states import StateStore
from backends.tokens import estimate_prompt
from engine.contract.backend import Message
from engine.contract.errors import Failed, ModelFailed, Unavailable

if TYPE_CHECKING:
    from backends.chat import ChatServer

AGAIN = "Ask again: it is loaded anew. If that repeats, use another model: arcanum model list"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Look:
    """What was found out while the child started. ``identified`` "": no states are kept."""

    library: str
    control: Sequence[str]
    identified: str = ""
    digest: str | None = None


class Running:
    """A loaded model. ``library`` is what runs it, with its version; ``context`` what it has."""

    def __init__(
        self, setup: Setup, child: Child, server: ChatServer, keeper: Keeper, library: str
    ) -> None:
        self.child = child
        self.server = server
        self.keeper = keeper
        self.library = library
        self.context = 0
        self._setup = setup
        self._name = setup.name
        self._learning: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, setup: Setup, prefixes: Mapping[str, tuple[Message, ...]]) -> Running:
        """Loads it. ``prefixes`` are the ``Keeper``'s. Raises ModelFailed or Unavailable."""
        looking = asyncio.gather(warm_up(), asyncio.to_thread(_look, setup))
        try:
            child = await Child.start(setup)
        except BaseException:
            await asyncio.wait({looking})
            raise
        try:
            look = (await looking)[1]
            server = await _connect(setup, child, look.control)
        except BaseException:
            await child.stop()
            raise
        slots, rest_s = Slots(setup.parallel), setup.patience.rest_s
        keeper = Keeper(server, slots, setup.states, prefixes, rest_s)
        running = cls(setup, child, server, keeper, look.library)
        try:
            await running._meet(look)
        except BaseException:
            await running.stop()
            raise
        return running

    async def stop(self) -> None:
        """Cleans up after the child, and ends it first where it has not ended."""
        self.child.kill("was ended")
        await self.child.wait()
        if self._learning is not None:
            self._learning.cancel()
        await self.server.close()
        await self.keeper.close()
        await self.child.stop()

    async def count(self, messages: Sequence[Message], *, again: bool = True) -> int:
        """Tokens of the whole prompt. ``again`` as ``ChatServer.count`` has it."""
        async with self.pulse():
            count = await self.server.count(messages, again=again)
        return estimate_prompt(messages) if count is None else count

    @asynccontextmanager
    async def pulse(self) -> AsyncIterator[None]:
        """Ends a child that shows no sign of life while this request waits for it."""
        feeling = asyncio.create_task(self._feel())
        try:
            yield
        finally:
            feeling.cancel()
            await asyncio.wait({feeling})
            if not feeling.cancelled():
                feeling.result()

    # --- below ---

    async def _meet(self, look: _Look) -> None:
        """Asks a new child for the context that its model really has, and opens its states."""
        async with self.pulse():
            props = await self.server.fetch("GET", f"{self.server.address.root}/props")
        self.context = int(props["default_generation_settings"]["n_ctx"])
        if self._setup.states is not None and look.identified:
            self._learning = asyncio.create_task(self._learn(self._setup.states, look))
            if look.digest is not None:  # Else it takes seconds, and nobody waits for it.
                await asyncio.wait({self._learning})

    async def _learn(self, states: StateStore, look: _Look) -> None:
        """Opens the states to it as soon as it is known which model was loaded."""
        options, model = self._setup.options, self._setup.model
        try:
            digest = look.digest or await asyncio.to_thread(states.learn, look.identified, model)
            now = await asyncio.to_thread(identity, model)
        except OSError as error:
            _log.info("the states of %s are left alone: %s", self._name, error)
            return
        if digest is None or now != look.identified:
            _log.info("the states of %s are left alone: its file is being changed", self._name)
            return
        host = self._setup.host.module
        self.keeper.opened(
            states.key(digest, host, self.library, options.context, options.gpu_layers)
        )

    async def _feel(self) -> None:
        pulse_s = self._setup.patience.pulse_s
        while self.child.alive:
            await asyncio.sleep(pulse_s / 2)
            try:
                async with asyncio.timeout(pulse_s / 2):
                    await self.server.fetch("GET", self.server.address.root + "/health")
            except TimeoutError:
                self.child.kill(f"showed no sign of life for {pulse_s:g} s and was ended")
            except Failed:  # It ended: the request itself notices.
                return


async def _connect(setup: Setup, child: Child, control: Sequence[str]) -> ChatServer:
    return await connect(
        setup.name,
        Address.unix(child.socket),
        partial(_explain, setup, child),
        key=child.key,
        silence_s=setup.patience.silence_s,
        control=control,
    )


async def _explain(setup: Setup, child: Child, trouble: Trouble, detail: str) -> Failed:
    """What a person is told when a request to the child fails underway."""
    name = setup.name
    if trouble is Trouble.SILENT:
        child.kill(f"wrote nothing for {setup.patience.silence_s:g} s and was ended")
    with suppress(TimeoutError):
        async with asyncio.timeout(2):  # Its end may be noticed a little later.
            await child.wait()
    if child.alive:
        return ModelFailed(f"{name} broke off: {detail}", AGAIN)
    if child.unloaded:
        return Unavailable(f"{name} was unloaded while it was asked", "Ask again.")
    return ModelFailed(f"{name} stopped: its process {child.verdict()}", AGAIN)


def _look(setup: Setup) -> _Look:
    """What can be found out on disk while the child starts; the model is read ahead for it."""
    with suppress(OSError):  # The child says what is wrong with the file.
        read_ahead(setup.model)
    control = setup.host.control(setup.model)
    try:
        library = f"{setup.host.label} {version(setup.host.package)}"
    except PackageNotFoundError:
        library = setup.host.label
    if setup.states is None:
        return _Look(library, control)
    try:
        setup.states.prepare()
        identified = identity(setup.model)
        return _Look(library, control, identified, setup.states.known(identified))
    except OSError as error:
        _log.info("no states are kept: %s", error)
        return _Look(library, control)
