"""What a model has read outlives its process; and what goes wrong with that costs time alone."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from backends.hosted.fingerprint import digest_of
from backends.hosted.keeping import Keeper
from backends.hosted.settings import Options, Patience
from backends.hosted.states import StateStore, session_name
from backends.llama_cpp.backend import LlamaCpp
from engine.contract.backend import (
    Feature,
    Generation,
    KeepsState,
    Message,
    ModelState,
    Usage,
)
from engine.contract.errors import ModelFailed
from tests.fakes.llama_server import bundled
from tests.fakes.waiting import until

pytestmark = pytest.mark.model

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


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[Runs]:
    made = Runs(bundled(), tmp_path)
    yield made
    await made.end()


async def says(
    backend: LlamaCpp, text: str = QUESTION, session: str = "ana", most: int = 6
) -> tuple[str, Usage]:
    """The answer, and what it took."""
    async with backend.stream(Generation(prompt(text), most, session=session)) as stream:
        pieces = [piece async for piece in stream]
    assert pieces[-1].usage is not None
    return "".join(piece.text for piece in pieces), pieces[-1].usage


def kept(usage: Usage) -> bool:
    """Whether it read no more than the few tokens that are always read again."""
    return usage.prompt_tokens - usage.cached_tokens <= 8


# --- taken up again ---


async def test_a_conversation_is_taken_up_after_unloading(runs: Runs) -> None:
    backend = runs.start()
    answer, usage = await says(backend)
    assert usage.cached_tokens == 0
    assert Feature.STATE in backend.info().features
    await backend.unload()
    again, usage = await says(backend)
    assert again == answer
    assert kept(usage)


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_conversation_that_rested_outlives_the_process(
    runs: Runs, harm: signal.Signals
) -> None:
    backend = runs.start()
    answer, _ = await says(backend)
    await runs.rested("ana")
    pid = backend.info().pid
    assert pid is not None
    os.kill(pid, harm)
    again, usage = await says(backend)
    assert again == answer
    assert kept(usage)
    assert backend.info().pid != pid


async def test_a_known_beginning_is_read_once_for_all_conversations(runs: Runs) -> None:
    first = runs.start()
    keeps = first.extra(KeepsState)  # type: ignore[type-abstract]
    assert keeps is not None
    await keeps.warm([SYSTEM])
    assert len(runs.states()) == 1
    _, usage = await says(first, session="ana")
    assert usage.cached_tokens > 120
    second = runs.start()
    await second.warm([SYSTEM])
    answers = [await says(second, session=each) for each in ("ben", "cleo", "dora")]
    assert all(usage.cached_tokens > 120 for _, usage in answers)
    assert len({answer for answer, _ in answers}) == 1


async def test_a_question_that_was_changed_is_answered_as_if_it_were_new(runs: Runs) -> None:
    alone, _ = await says(runs.start(), BANANAS, "nobody else")
    backend = runs.start()
    await says(backend, QUESTION, "ana", 40)
    await backend.unload()
    answer, usage = await says(backend, BANANAS, "ana")
    assert answer == alone
    assert 120 < usage.cached_tokens < usage.prompt_tokens - 4


@pytest.mark.parametrize("parallel", [1, 2])
async def test_conversations_that_take_turns_do_not_mix(runs: Runs, parallel: int) -> None:
    texts = {"ana": QUESTION, "ben": OTHER, "cleo": "Who was Napoleon?"}
    alone = {}
    backend = runs.start(parallel)
    for session, text in texts.items():
        alone[session] = (await says(backend, text, session))[0]
    assert len(set(alone.values())) == 3
    for session in (*texts, *reversed(texts)):
        answer, usage = await says(backend, texts[session], session)
        assert answer == alone[session]
        assert kept(usage), "it was put away and taken up again"


async def test_at_the_same_time_they_do_not_mix_either(runs: Runs) -> None:
    backend = runs.start()
    alone, _ = await says(backend)
    asked = [says(backend, session=f"one of ten: {number}") for number in range(10)]
    answers = await asyncio.gather(*asked, says(backend), says(backend))
    assert {answer for answer, _ in answers} == {alone}


async def test_ten_first_questions_load_one_copy(runs: Runs) -> None:
    backend = runs.start()
    answers = await asyncio.gather(*(says(backend, most=2) for _ in range(10)))
    assert len({answer for answer, _ in answers}) == 1
    children = [each.pid for each in psutil.Process().children()]
    assert children == [backend.info().pid]


# --- states that are none ---


def cut(runs: Runs, file: Path, record: Path) -> None:
    os.truncate(file, 1000)


def flip(runs: Runs, file: Path, record: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(500_000)
        stream.write(b"\xff" * 100_000)


def forge(runs: Runs, file: Path, record: Path) -> None:
    """Not from llama.cpp at all, but whole by its record: it is llama.cpp that refuses it."""
    digest = digest_of(file)[1]
    file.write_bytes(os.urandom(file.stat().st_size))
    record.write_text(record.read_text().replace(digest, digest_of(file)[1]))


def of_another_model(runs: Runs, file: Path, record: Path) -> None:
    model = runs.base / "copy.gguf"
    shutil.copyfile(runs.model, model)
    with model.open("ab") as stream:
        stream.write(b"\0")
    runs.model = model


@pytest.mark.parametrize("harm", [cut, flip, forge, of_another_model], ids=lambda it: it.__name__)
async def test_a_state_that_is_not_right_is_ignored(
    runs: Runs, harm: Callable[[Runs, Path, Path], None]
) -> None:
    backend = runs.start()
    answer, _ = await says(backend)
    await backend.unload()
    record = runs.record("ana")
    assert record is not None
    [file] = runs.states()
    harm(runs, file, record)
    again, usage = await says(runs.start())
    assert again == answer
    assert usage.cached_tokens == 0
    assert harm is of_another_model or not file.exists()


async def test_nobody_takes_up_what_another_said(runs: Runs) -> None:
    backend = runs.start()
    await says(backend)
    await backend.unload()
    _, usage = await says(backend, session="ben")
    assert usage.cached_tokens == 0
    await backend.unload()
    _, usage = await says(backend, session="")
    assert usage.cached_tokens == 0


def forget(runs: Runs, *backends: LlamaCpp) -> None:
    runs.store.forget("ana")
    for each in backends:
        each.forget("ana")


async def test_a_forgotten_conversation_begins_anew(runs: Runs) -> None:
    backend = runs.start()
    answer, _ = await says(backend)
    await says(backend, OTHER, "ben")
    await runs.rested("ana")
    forget(runs, backend)
    assert [path.name.split("-")[0] for path in runs.states()] != [session_name("ana")]
    assert runs.record("ana") is None
    again, usage = await says(backend)
    assert again == answer
    assert usage.cached_tokens == 0, "not from the disk, and not from memory"
    await backend.unload()
    again, usage = await says(backend)
    assert again == answer
    assert kept(usage), "what was said since is kept"


async def test_nothing_of_a_forgotten_conversation_is_kept_when_it_rests(runs: Runs) -> None:
    backend = runs.start()
    await says(backend)
    forget(runs)  # A backend that nobody tells looks for itself.
    await backend.unload()
    assert runs.states() == []


async def test_what_is_answered_while_it_is_forgotten_is_not_kept(runs: Runs) -> None:
    backend = runs.start()
    async with backend.stream(Generation(prompt(), 30, session="ana")) as stream:
        await anext(stream)
        forget(runs, backend)
        async for _ in stream:
            pass
    _, usage = await says(backend)
    assert usage.cached_tokens == 0
    await runs.rested("ana")
    assert len(runs.states()) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_what_is_saved_while_it_is_forgotten_is_removed(
    runs: Runs, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = runs.start()
    await says(backend)
    act = Keeper._act

    async def interrupted(self: Keeper, slot: Any, action: str, file: str = "") -> Any:
        if action == "save" and moment == "before":
            forget(runs, backend)
        reply = await act(self, slot, action, file)
        if action == "save" and moment == "after":
            assert (runs.store.folder / file).exists()
            forget(runs, backend)
        return reply

    monkeypatch.setattr(Keeper, "_act", interrupted)
    await backend.save()
    monkeypatch.undo()
    assert runs.states() == []
    _, usage = await says(backend)
    assert usage.cached_tokens == 0
    await backend.unload()
    assert len(runs.states()) == 1


async def test_no_room_for_states_is_no_trouble(runs: Runs) -> None:
    backend = runs.start()
    answer, _ = await says(backend, most=2)
    shutil.rmtree(runs.store.folder)
    runs.store.folder.write_bytes(b"a file where the folder should be")
    assert (await says(backend, most=2))[0] == answer
    await backend.save()
    await backend.unload()
    assert (await says(backend, most=2))[0] == answer
    tight = runs.start(store=StateStore(runs.base / "tight", max_bytes=1000))
    assert (await says(tight, most=2))[0] == answer
    await tight.unload()
    assert not list((runs.base / "tight").glob("*.kv"))


# --- harm at the wrong moment ---


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_process_that_is_harmed_while_it_saves_costs_only_the_state(
    runs: Runs, harm: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = runs.start()
    answer, _ = await says(backend)
    act = Keeper._act

    async def harmed(self: Keeper, slot: Any, action: str, file: str = "") -> Any:
        if action == "save":
            pid = backend.info().pid
            assert pid is not None
            os.kill(pid, harm)
            monkeypatch.setattr(Keeper, "_act", act)
        return await act(self, slot, action, file)

    monkeypatch.setattr(Keeper, "_act", harmed)
    async with asyncio.timeout(10):
        await backend.unload()
    assert backend.info().state is not ModelState.READY
    assert (await says(backend))[0] == answer


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (signal.SIGSEGV, "SIGSEGV"),
        (signal.SIGKILL, "SIGKILL"),
        (signal.SIGSTOP, "no sign of life"),
    ],
)
async def test_a_restore_that_ends_the_process_is_not_tried_again(
    runs: Runs, harm: signal.Signals, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = runs.start()
    answer, _ = await says(backend)
    await backend.unload()
    act = Keeper._act

    async def harmed(self: Keeper, slot: Any, action: str, file: str = "") -> Any:
        if action == "restore":
            pid = backend.info().pid
            assert pid is not None
            os.kill(pid, harm)
        return await act(self, slot, action, file)

    monkeypatch.setattr(Keeper, "_act", harmed)
    with pytest.raises(ModelFailed, match=told):
        async with asyncio.timeout(10):
            await says(backend)
    again, usage = await says(backend)
    assert again == answer
    assert usage.cached_tokens == 0


async def test_leaving_at_any_stage_harms_nobody(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = runs.start(parallel=1)

    async def left(reached: Callable[[], bool]) -> None:
        task = asyncio.create_task(says(backend, most=500))
        await until(reached)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    await left(lambda: backend.info().state is ModelState.LOADING)
    answer, _ = await says(backend)
    await runs.rested("ana")
    stages: list[str] = []
    act = Keeper._act

    async def noted(self: Keeper, slot: Any, action: str, file: str = "") -> Any:
        stages.append(action)
        return await act(self, slot, action, file)

    monkeypatch.setattr(Keeper, "_act", noted)
    await says(backend, OTHER, "ben", 60)
    await left(lambda: "restore" in stages)
    assert (await says(backend))[0] == answer
    await says(backend, OTHER, "ben", 60)
    stages.clear()
    await left(lambda: "save" in stages)
    assert (await says(backend))[0] == answer
    await backend.save()
    assert len(runs.states()) == 2, "one for each of the two"


async def test_who_asks_while_it_is_unloaded_is_served(runs: Runs) -> None:
    backend = runs.start()
    answer, _ = await says(backend)
    pid = backend.info().pid
    leaving = asyncio.create_task(backend.unload())
    await asyncio.sleep(0)
    again, usage = await says(backend)
    await leaving
    assert again == answer
    assert kept(usage)
    assert backend.info().pid != pid


async def test_memory_is_given_back(runs: Runs) -> None:
    own = psutil.Process()
    backend = runs.start()
    await backend.load()
    before = own.memory_full_info().uss
    await says(backend)
    pid = backend.info().pid
    assert pid is not None
    assert psutil.Process(pid).memory_info().rss > 100_000_000
    await backend.unload()
    assert not psutil.pid_exists(pid)
    assert own.memory_full_info().uss - before < 20_000_000
