"""The first run offers what is here, once, and takes no for an answer."""

from __future__ import annotations

from engine.contract import discovery, media, model
from engine.contract.base import PathRef
from engine.contract.discovery import Found, FoundFolder, FoundModel
from tests.fakes.fake_world import World
from tests.tui.desk import desk

TITLE = "Found on this machine"


def _fresh() -> World:
    world = World()
    world.found = Found(
        asked=False,
        folders=(
            FoundFolder(path=PathRef.of("/srv/Films"), name="Films", entries=412),
            FoundFolder(path=PathRef.of("/srv/Photos"), name="Photos", entries=9_001),
        ),
        models=(
            FoundModel(name="ollama:qwen", description="Ollama, 14B", endpoint="127.0.0.1:11434"),
            FoundModel(name="ollama:phi", description="Ollama, 4B", endpoint="127.0.0.1:11434"),
        ),
    )
    return world


async def test_what_was_found_is_offered_and_used() -> None:
    async with desk(_fresh()) as it:
        await it.sees(TITLE, "Films", "412 entries", "ollama:qwen", "TICKED  3 of 4")
        await it.press("down", "space")
        await it.sees("2 of 4")
        await it.answer("enter")
        await it.sees("In use: Films, ollama:qwen.")
        assert [r.path.display for r in it.engine.requests(media.ADD)] == ["/srv/Films"]
        assert [r.name for r in it.engine.requests(model.USE)] == ["ollama:qwen"]
        (answer,) = it.engine.requests(discovery.ANSWER)
        assert (answer.answer, answer.accepted) == ("accepted", ("Films", "ollama:qwen"))


async def test_escape_skips_for_good() -> None:
    world = _fresh()
    async with desk(world) as it:
        await it.sees(TITLE)
        await it.answer("escape")
        await it.loses(TITLE)
        await it.until(lambda: it.engine.requests(discovery.ANSWER))
        assert it.engine.requests(discovery.ANSWER)[0].answer == "skipped"
        assert it.engine.requests(media.ADD) == []
    async with desk(world) as it:
        await it.until(lambda: it.engine.requests(discovery.LOOK))
        await it.pilot.pause(1.2)
        assert TITLE not in it.screen_text


async def test_keys_typed_before_it_was_seen_neither_accept_nor_skip() -> None:
    async with desk(_fresh()) as it:
        await it.sees(TITLE)
        await it.press("enter")
        await it.press("escape")
        await it.sees(TITLE)
        assert it.engine.requests(discovery.ANSWER) == []


async def test_it_never_opens_over_another_screen() -> None:
    world = _fresh()
    async with desk(world) as it:
        await it.press("2")
        await it.sees("AGENT-0")
        await it.until(lambda: it.engine.requests(discovery.LOOK))
        await it.pilot.pause(1.2)
        assert TITLE not in it.screen_text
        await it.press("f1")
        await it.sees(TITLE)
