"""What only some backends can do: who claims it does it."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import pytest

from backends.hosted.backend import Hosted
from backends.hosted.states import session_name
from engine.contract.backend import (
    Embeds,
    Feature,
    KeepsState,
)
from tests.fakes.subjects import (
    LONG,
    Subject,
    ask,
    claims,
    pieces_of,
    real,
    text_of,
    usage_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_what_it_says_of_itself_holds(subject: Subject) -> None:
    info = subject.backend.info()
    assert info.simulated == (info.backend == "scripted")
    assert info.local
    await subject.backend.load()
    assert subject.backend.info().features == subject.kind.features
    for port, feature in ((KeepsState, Feature.STATE), (Embeds, Feature.EMBEDDINGS)):
        assert subject.backend.extra(port) is not None or feature not in info.features


SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "size": {"enum": ["small", "large"]},
        "old": {"type": "boolean"},
    },
    "required": ["city", "size", "old"],
    "additionalProperties": False,
}


@pytest.mark.only(of=claims(Feature.SCHEMA))
async def test_an_answer_fits_its_schema(subject: Subject) -> None:
    pieces = await pieces_of(subject.backend, ask("Describe a city.", 200, schema=SCHEMA))
    found = json.loads(text_of(pieces))
    assert set(found) == {"city", "size", "old"}
    assert isinstance(found["city"], str)
    assert len(found["city"]) <= 12
    assert found["size"] in {"small", "large"}
    assert isinstance(found["old"], bool)


@pytest.mark.only(of=claims(Feature.LOGPROBS))
async def test_log_probabilities_are_those_of_the_tokens(subject: Subject) -> None:
    pieces = await pieces_of(subject.backend, ask(LONG, 6, logprobs=3))
    told = [each for piece in pieces for each in piece.logprobs]
    assert len(told) == usage_of(pieces).new_tokens
    for each in told:
        assert each.logprob <= 0
        assert len(each.alternatives) == 3
        if subject.kind.real:
            best = max(logprob for _, logprob in each.alternatives)
            assert each.logprob == pytest.approx(best), "greedy takes the likeliest"


@pytest.mark.only(of=real)
async def test_what_was_read_is_not_read_again(subject: Subject) -> None:
    question = ask("Name a colour.", 4, session="colours")
    first = await pieces_of(subject.backend, question)
    again = await pieces_of(subject.backend, question)
    read = usage_of(again).prompt_tokens - usage_of(again).cached_tokens
    assert read < usage_of(first).prompt_tokens / 2
    assert text_of(again) == text_of(first)


@pytest.mark.only(of=claims(Feature.STATE))
async def test_its_state_outlives_it(subject: Subject) -> None:
    question = ask("Name an animal.", 4, session="animals")
    first = await pieces_of(subject.backend, question)
    state = subject.backend.extra(KeepsState)  # type: ignore[type-abstract]
    assert state is not None
    await state.save()
    await subject.backend.unload()
    again = await pieces_of(subject.backend, question)
    assert usage_of(again).cached_tokens >= usage_of(first).prompt_tokens - 1
    assert text_of(again) == text_of(first)


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process")
@pytest.mark.only(of=claims(Feature.STATE))
async def test_a_disk_that_is_full_costs_no_more_than_the_state(subject: Subject) -> None:
    backend = subject.backend
    assert isinstance(backend, Hosted)
    states = backend._setup.states
    assert states is not None

    def of(session: str) -> list[Path]:
        return list(states.folder.glob(f"{session_name(session)}-*.*"))

    whole = await pieces_of(backend, ask("Name a fruit.", 4, session="whole"))
    await backend.save()
    size = max(path.stat().st_size for path in of("whole"))
    pid = backend.info().pid
    assert pid is not None
    for most in (0, size // 2, size - 1):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        try:
            pieces = await pieces_of(backend, ask("Name a fruit.", 4, session="torn"))
            assert text_of(pieces) == text_of(whole)
            await backend.save()
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        assert of("torn") == [], most
    assert text_of(await pieces_of(backend, ask("Name a fruit.", 4, session="torn"))) == text_of(
        whole
    )
    await backend.save()
    assert len(of("torn")) == 2
    assert backend.info().pid == pid
