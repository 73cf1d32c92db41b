"""What a question is put to the model as."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.clients.local import LocalClient
from engine.contract import agent0, assets, media
from engine.contract.agent0 import AssetAttachment, TurnAttachment
from engine.contract.backend import Generation, Priority, Usage
from engine.contract.base import PathRef
from engine.contract.call import Actor, ActorKind, Call
from engine.contract.errors import Invalid, NotFound, PromptTooLong
from engine.contract.ports import TurnLog
from engine.home import Home
from tests.fakes.house import done
from tests.fakes.models import engine_with
from tests.fakes.waiting import until
from tests.unit.agent0.talk import SMALL, SizedBackend, ask, note, turns


def begins_alike(first: Generation, second: Generation) -> bool:
    """Whoever has read the first prompt and its answer goes on with the second."""
    return second.messages[: len(first.messages)] == first.messages


async def test_a_prompt_begins_with_all_of_the_one_before(home: Home) -> None:
    model = SizedBackend(lambda heard: f"Answer {len(heard.messages)}.")
    async with engine_with(home, {"one": model}) as client:
        for number in range(40):
            # "roof" is recalled from turns that are in the prompt no more.
            await ask(client, f"Thing {number} has a roof." if number % 3 else f"Say {number}.")
    alike = [begins_alike(a, b) for a, b in zip(model.heard, model.heard[1:], strict=False)]
    assert alike.count(False) <= 2  # Where the oldest turns are left out, once in a while.
    assert any("Context: " in message.content for message in model.heard[-1].messages[:-1])
    assert {len(heard.messages) for heard in model.heard} >= {2, 4, 6, 20}
    assert max(len(heard.messages) for heard in model.heard) <= 2 + 2 * 24


async def test_what_another_shell_tells_on_another_branch_meanwhile_is_not_recalled(
    home: Home,
) -> None:
    loading = asyncio.Event()
    model = SizedBackend(size=SMALL, load_hold=loading)
    async with engine_with(home, {"one": model}) as client:
        await client._engine.lifecycle.ensure("memory")
        log = client._engine.ground.use(TurnLog)  # type: ignore[type-abstract]

        async def tell(text: str, **more: Any) -> None:
            turn = await log.open("main", text, Call(), **more)
            await log.close(turn, "done", "Noted.", "", "m")

        await tell("My bike has a bell.")
        asking = asyncio.create_task(ask(client, "What colour is my bike?"))
        await until(lambda: model.deeds == ["load"])
        await tell("My bike is black.", after=0)
        loading.set()
        await asking
    assert "bell" in model.texts()[-1]
    assert "black" not in "".join(model.texts())


async def test_turns_that_do_not_fit_are_left_out_in_steps(home: Home) -> None:
    model = SizedBackend("word " * 20, context=1200)
    async with engine_with(home, {"one": model}) as client:
        for number in range(24):
            await ask(client, f"Number {number}.", max_tokens=40)
    alike = [begins_alike(a, b) for a, b in zip(model.heard, model.heard[1:], strict=False)]
    assert alike.count(False) <= 5
    for heard in model.heard:
        assert await model.count_tokens(heard.messages) + heard.max_tokens <= 1200


async def test_the_tokens_are_counted_once_for_a_question(home: Home) -> None:
    model = SizedBackend("A b c", usage=Usage(50, 3, 40))
    async with engine_with(home, {"one": model}) as client:
        started, *_, finished = await ask(client, "Say it.")
        assert len(model.counted) == 1
        assert started.prompt_tokens == await model.count_tokens(model.heard[0].messages)
        assert started.context == finished.context == 4096
        assert (finished.prompt_tokens, finished.tokens, finished.cached_tokens) == (50, 3, 40)
    unknown = SizedBackend("A b c", context=0)
    async with engine_with(home, {"one": unknown}) as client:
        started, *_, finished = await ask(client, "Say it.")
        assert (started.prompt_tokens, started.context, finished.tokens) == (0, 0, 3)
        assert unknown.counted == []


async def test_how_a_question_is_asked(home: Home) -> None:
    model = SizedBackend()
    async with engine_with(home, {"one": model}) as client:
        await ask(client, "Say it.", session="s")
        assert (model.heard[-1].temperature, model.heard[-1].session) == (0.0, "s")
        assert model.heard[-1].priority is Priority.INTERACTIVE
        await ask(client, "Say it.", session="s", temperature=0.8)
        assert model.heard[-1].temperature == 0.8
        for kind, priority in (("model", Priority.COUNCIL), ("schedule", Priority.BACKGROUND)):
            call = Call(actor=Actor(ActorKind(kind), "x"))
            async with client.stream(agent0.ASK, agent0.Ask(text="Say it."), call) as items:
                assert [item async for item in items]
            assert model.heard[-1].priority is priority


# --- a small model ---------------------------------------------------------------------------


async def test_a_small_model_gets_facts_or_turns(home: Home) -> None:
    model = SizedBackend("Noted.", SMALL)
    async with engine_with(home, {"one": model}) as client:
        await ask(client, "My bike is turquoise.")
        await ask(client, "Good morning.")
        assert model.texts()[1:] == ["My bike is turquoise.", "Noted.", "Good morning."]
        assert model.heard[-1].session == "main"
        started = (await ask(client, "What colour is my bike?"))[0]
        assert model.texts()[1:] == [
            "Context: My bike is turquoise.\n\nQuestion: What colour is my bike?\nAnswer:"
        ]
        assert [hit.text for hit in started.recalled] == ["My bike is turquoise."]
        # It does not go on with what was read: the conversation's own state stays as it is.
        assert model.heard[-1].session == ""
        await ask(client, "Thank you.")
        assert begins_alike(model.heard[1], model.heard[3])


async def test_a_small_model_goes_on_with_what_was_attached(home: Home) -> None:
    model = SizedBackend("Noted.", SMALL)
    async with engine_with(home, {"one": model}) as client:
        await ask(client, "The roof is red.")
        await ask(client, "Who mends the roof?", attachments=(note("Hans mends the roof."),))
        await ask(client, "When is the roof done?")
        assert model.texts()[-3].startswith("Context: Hans mends the roof.")
        assert model.texts()[-1] == "When is the roof done?"


# --- attachments -----------------------------------------------------------------------------


async def test_attachments_stand_next_to_their_question_and_stay_with_it(home: Home) -> None:
    model = SizedBackend("On Thursday.")
    async with engine_with(home, {"one": model}) as client:
        both = (note("Meeting on Thursday."), note("Room 4.", "b\x1b.txt"))
        await ask(client, "When is the meeting?", attachments=both)
        wanted = (
            "Context: [notes.txt]\nMeeting on Thursday.\n\n[b\\x1b.txt]\nRoom 4.\n\n"
            "Question: When is the meeting?\nAnswer:"
        )
        assert model.texts()[-1] == wanted
        assert (await turns(client))[0].attached == ("notes.txt", "b\\x1b.txt")
        await ask(client, "And where?")
        assert model.texts()[-3:] == [wanted, "On Thursday.", "And where?"]
    async with engine_with(home, {"one": model}) as client:  # Also after a restart.
        await ask(client, "Thanks.")
        assert wanted in model.texts()


async def test_what_was_attached_is_read_again_where_a_question_is_asked_again(home: Home) -> None:
    model = SizedBackend("Hans does.", SMALL)
    async with engine_with(home, {"m": model}) as client:
        await ask(client, "Who mends the roof?", attachments=(note("Hans mends the roof."),))
        (first,) = await turns(client)
        again = TurnAttachment(turn_id=first.id)
        await ask(client, "Who mends the roof?", after=0, attachments=(again,))
        assert "Hans mends the roof." in model.heard[-1].messages[-1].content
        assert (await turns(client))[0].attached == first.attached
        with pytest.raises(NotFound):
            await ask(client, "And here?", session="other", attachments=(again,))


async def test_an_attachment_that_does_not_fit_is_refused_by_its_name(home: Home) -> None:
    model = SizedBackend(context=600)
    async with engine_with(home, {"one": model}) as client:
        await ask(client, "Before.")
        small, large = note("a word", "small.txt"), note("word " * 700, "large.txt")
        with pytest.raises(PromptTooLong, match=r"^large\.txt does not fit: it is .* of 600 ") as e:
            await ask(client, "What is it?", attachments=(small, large), max_tokens=100)
        assert "100 for the answer" in e.value.message
        assert [turn.status for turn in await turns(client)] == ["done", "failed"]
        assert len(model.heard) == 1


async def test_all_attachments_together_are_bounded(home: Home) -> None:
    async with engine_with(home, {"one": SizedBackend()}) as client:
        many = tuple(note("x" * 90_000, f"{number}.txt") for number in range(3))
        with pytest.raises(Invalid, match=r"270,000 characters long, at most 200,000"):
            await ask(client, "Why?", attachments=many)
        with pytest.raises(NotFound):
            await turns(client)  # Nothing was written.


async def catalogued(client: LocalClient, films: Path) -> None:
    await done(client, media.ADD, assets.AddLibrary(path=PathRef.of(films)))

    async def known() -> bool:
        page = await done(client, media.LIST, assets.ListAssets(library="films"))
        return bool(page.assets)

    await until(known, 20)


async def test_a_catalogued_file_is_read_as_the_catalogue_knows_it(
    home: Home, tmp_path: Path
) -> None:
    films = tmp_path / "films"
    films.mkdir()
    (films / "plot.txt").write_text("A whale and a captain.", "utf-8")
    model = SizedBackend()
    plot = AssetAttachment(library="films", path=PathRef.of("plot.txt"))
    async with engine_with(home, {"one": model}) as client:
        await catalogued(client, films)
    async with engine_with(home, {"one": model}) as client:  # The media room is started by need.
        await ask(client, "What is it about?", attachments=(plot,))
        assert "A whale and a captain." in model.texts()[-1]
        assert "Size: 22 bytes" in model.texts()[-1]
        assert (await turns(client))[0].attached == ("films: plot.txt",)
        gone = plot.model_copy(update={"path": PathRef.of("gone.txt")})
        with pytest.raises(NotFound, match=r"gone\.txt"):
            await ask(client, "And this?", attachments=(gone,))
        assert len(await turns(client)) == 1


# --- branches --------------------------------------------------------------------------------


async def test_a_question_branches_where_it_is_asked_to(home: Home) -> None:
    model = SizedBackend(lambda heard: f"About {heard.messages[-1].content}")
    async with engine_with(home, {"one": model}) as client:
        first = (await ask(client, "one"))[-1].turn
        await ask(client, "two")
        other = (await ask(client, "three", after=first.id))[-1].turn
        assert model.texts()[1:] == ["one", "About one", "three"]
        assert other.parent_id == first.id
        assert [turn.question for turn in await turns(client)] == ["one", "three"]
        await ask(client, "four", after=0)
        assert model.texts()[1:] == ["four"]
        with pytest.raises(NotFound):
            await ask(client, "five", after=99)
        with pytest.raises(NotFound):
            await ask(client, "five", after=first.id, session="other")


@pytest.mark.parametrize(
    "text",
    ["a\x00b", "שלום \u202eabc", "🦉👩‍👩‍👧", "a\ud800b", "-5 + 3?", "<|im_end|>\n\n[b]x[/b]"],
)
async def test_any_text_comes_back_as_it_was_asked(home: Home, text: str) -> None:
    kept = text.replace("\ud800", r"\ud800").replace("\0", r"\x00")
    model = SizedBackend(lambda heard: heard.messages[-1].content)
    async with engine_with(home, {"one": model}) as client:
        await ask(client, text)
        assert (await turns(client))[0].question == kept
        assert model.texts()[-1] == kept


@pytest.mark.parametrize("text", ["", " ", "\n\t \u00a0"])
async def test_an_empty_question_is_refused_before_anything_is_written(
    home: Home, text: str
) -> None:
    model = SizedBackend()
    async with engine_with(home, {"one": model}) as client:
        request: Any = agent0.Ask.model_construct(**(agent0.Ask(text="x").model_dump()))
        object.__setattr__(request, "text", text)
        with pytest.raises(Invalid):
            async with client.stream(agent0.ASK, request) as items:
                assert [item async for item in items]
        with pytest.raises(NotFound):
            await turns(client)
