"""A hosted model that is started again and again over the same states."""

from __future__ import annotations

from pathlib import Path

from backends.hosted.settings import Options, Patience
from backends.hosted.states import StateStore, session_name
from backends.llama_cpp.backend import LlamaCpp
from engine.contract.backend import (
    Backend,
    Generation,
    Message,
    Usage,
)
from tests.fakes.waiting import until

SYSTEM = Message("system", "You are brief. " + "Apples are red and bananas are yellow. " * 16)
"""Some 140 tokens: enough to be worth keeping."""
QUESTION = "What colour are apples?"
BANANAS = "What colour are bananas?"
OTHER = "Write the numbers from one to ten."


def prompt(text: str = QUESTION) -> tuple[Message, ...]:
    return SYSTEM, Message("user", text)


class Runs:
    """Backends over one store, as if one after another were started."""

    def __init__(self, model: Path, base: Path) -> None:
        self.model = model
        self.base = base
        self.store = StateStore(base / "states")
        self._made: list[LlamaCpp] = []

    def start(self, parallel: int = 2, store: StateStore | None = None) -> LlamaCpp:
        made = LlamaCpp(
            self.model,
            self.base / "run",
            Options(parallel=parallel, context=2048),
            Patience(pulse_s=1, rest_s=0.05, leave_s=3),
            states=store or self.store,
        )
        self._made.append(made)
        return made

    async def end(self) -> None:
        for each in self._made:
            await each.unload()

    def states(self) -> list[Path]:
        return sorted(self.store.folder.glob("*.kv"))

    def record(self, session: str) -> Path | None:
        return next(iter(self.store.folder.glob(f"{session_name(session)}-*.json")), None)

    async def rested(self, session: str) -> Path:
        """The state's file, once the conversation has rested and been saved."""
        await until(lambda: self.record(session) is not None)
        return next(self.store.folder.glob(f"{session_name(session)}-*.kv"))


async def says(
    backend: Backend, text: str = QUESTION, session: str = "ana", most: int = 6
) -> tuple[str, Usage]:
    """The answer, and what it took."""
    async with backend.stream(Generation(prompt(text), most, session=session)) as stream:
        pieces = [piece async for piece in stream]
    assert pieces[-1].usage is not None
    return "".join(piece.text for piece in pieces), pieces[-1].usage


def kept(usage: Usage) -> bool:
    """Whether it read no more than the few tokens that are always read again."""
    return usage.prompt_tokens - usage.cached_tokens <= 8
