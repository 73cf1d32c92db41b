"""What a model has read outlives its process; and what goes wrong with that costs time alone."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from backends.hosted.fingerprint import digest_of
from backends.hosted.keeping import Keeper
from backends.hosted.states import StateStore, session_name
from backends.llama_cpp.backend import LlamaCpp
from engine.contract.backend import (
    Feature,
    Generation,
    KeepsState,
)
from tests.fakes.hosted import hit
from tests.fakes.llama_server import bundled
from tests.fakes.runs import BANANAS, OTHER, QUESTION, SYSTEM, Runs, kept, prompt, says

pytestmark = pytest.mark.model


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[Runs]:
    made = Runs(bundled(), tmp_path)
    yield made
    await made.end()


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
    await hit(backend, harm)
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
