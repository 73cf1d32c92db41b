"""A model is shared: nobody starves, a person goes first, and no place is ever lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.wrappers.fair import FairLimit
from engine.contract.backend import Generation, Priority
from engine.contract.errors import Busy, ModelFailed
from tests.fakes.asking import ask, background, says
from tests.fakes.stage import Stage

INTERACTIVE, COUNCIL, BACKGROUND = Priority


async def settled() -> None:
    """Everything has happened that can happen now."""
    for _ in range(30):
        await asyncio.sleep(0)


class Hall:
    """A limit around a stage on which every answer waits to be let go."""

    def __init__(self, parallel: int = 1, most: int = 64, most_of_a_session: int = 16) -> None:
        self.stage = Stage(parallel=parallel)
        self.stage.write = lambda generation: ("Yes", self.going[generation], ".")
        self.limit = FairLimit(self.stage, most_waiting=most, most_of_a_session=most_of_a_session)
        self.tasks: list[asyncio.Task[str]] = []
        self.going: dict[Generation, asyncio.Event] = {}

    async def ask(self, generation: Generation) -> asyncio.Task[str]:
        """Asks; the answer comes after ``let_go``."""
        task = asyncio.create_task(self._ask(generation))
        self.tasks.append(task)
        await settled()
        return task

    async def _ask(self, generation: Generation) -> str:
        self.going[generation] = asyncio.Event()
        return await says(self.limit, generation)

    async def let_go(self, generation: Generation) -> None:
        self.going[generation].set()
        await settled()

    @property
    def sessions(self) -> list[str]:
        """Those whose answers have begun, in that order."""
        return [each.session for each in self.stage.begun]

    async def to_the_end(self) -> None:
        """Lets everybody go until nothing is left; no place may be lost."""
        async with asyncio.timeout(5):
            while any(not task.done() for task in self.tasks):
                for event in self.going.values():
                    event.set()
                await settled()
        assert (self.limit.running, self.limit.waiting, self.stage.active) == (0, 0, 0)


def of(session: str, priority: Priority = INTERACTIVE, number: int = 0) -> Generation:
    return ask(str(number), session=session, priority=priority)


# --- whose turn it is ---


async def test_a_session_with_many_requests_does_not_starve_one_with_one() -> None:
    hall = Hall()
    many = [of("many", number=n) for n in range(12)]
    for each in many:
        await hall.ask(each)
    await hall.ask(of("one"))
    await hall.ask(of("two"))
    await hall.to_the_end()
    assert hall.sessions == ["many", "many", "one", "two", *["many"] * 10]
    mine = [each.messages[0].content for each in hall.stage.begun if each.session == "many"]
    assert mine == [str(n) for n in range(12)], "within a session, as they came"


async def test_persons_go_first_then_the_council_then_the_background() -> None:
    hall = Hall()
    await hall.ask(of("first"))
    for session, priority in (("b", BACKGROUND), ("c", COUNCIL), ("i", INTERACTIVE)):
        await hall.ask(of(session, priority))
    await hall.to_the_end()
    assert hall.sessions == ["first", "i", "c", "b"]


async def test_no_more_answers_at_once_than_the_model_can_give() -> None:
    hall = Hall(parallel=3)
    for n in range(10):
        await hall.ask(of(f"s{n}"))
    assert (hall.limit.running, hall.limit.waiting) == (3, 7)
    await hall.to_the_end()
    assert hall.stage.most == 3
    assert [await task for task in hall.tasks] == ["Yes."] * 10


async def test_a_model_that_can_do_more_once_it_is_loaded_does() -> None:
    hall = Hall(parallel=1)
    load = hall.stage.load
    loaded = asyncio.Event()

    async def slowly() -> None:
        await loaded.wait()
        hall.stage.parallel = 4
        await load()

    hall.stage.load = slowly  # type: ignore[method-assign]
    for n in range(4):
        await hall.ask(of(f"s{n}"))
    assert hall.limit.running == 1
    loaded.set()
    await settled()
    assert hall.limit.running == 4
    await hall.to_the_end()


# --- the background ---


async def test_the_background_leaves_a_place_free() -> None:
    hall = Hall(parallel=3)
    for n in range(5):
        await hall.ask(of(f"b{n}", BACKGROUND))
    assert hall.limit.running == 2
    await hall.ask(of("i"))
    assert hall.limit.running == 3, "at once"
    await hall.to_the_end()


async def test_the_youngest_background_answer_gives_way() -> None:
    hall = Hall(parallel=3)
    old = await hall.ask(of("old", BACKGROUND))
    young = await hall.ask(of("young", BACKGROUND))
    await hall.ask(of("i1"))
    assert hall.stage.active == 3
    await hall.ask(of("i2"))
    assert hall.sessions == ["old", "young", "i1", "i2"]
    assert hall.stage.most == 3, "it was closed before the other began"
    with pytest.raises(Busy, match="gave way") as caught:
        await young
    assert caught.value.retryable
    await hall.to_the_end()
    assert await old == "Yes."


async def test_a_background_answer_that_nobody_reads_gives_way_too() -> None:
    hall = Hall()
    hall.going[of("b", BACKGROUND)] = asyncio.Event()
    async with hall.limit.stream(of("b", BACKGROUND)) as pieces:
        assert (await anext(pieces)).text == "Yes"
        await hall.ask(of("i"))
        assert hall.sessions == ["b", "i"]
        with pytest.raises(Busy, match="gave way"):
            await anext(pieces)
    await hall.to_the_end()


async def test_with_one_place_the_background_gives_way_before_it_has_said_a_word() -> None:
    hall = Hall()
    hall.stage.acts = [(asyncio.Event(), "never said")]
    late = await hall.ask(of("b", BACKGROUND))
    assert hall.stage.active == 1
    await hall.ask(of("i"))
    with pytest.raises(Busy, match="gave way"):
        await late
    assert hall.sessions == ["b", "i"]
    await hall.to_the_end()


@pytest.mark.parametrize("steps", range(8))
@pytest.mark.parametrize("queued", [False, True])
async def test_the_background_gives_way_at_every_stage(steps: int, queued: bool) -> None:
    """Before its turn, as its turn comes, as it is opened, as it speaks."""
    hall = Hall()
    first = of("first")
    if queued:
        await hall.ask(first)
    late = asyncio.create_task(hall._ask(of("b", BACKGROUND)))
    hall.tasks.append(late)
    if queued:
        await settled()
        hall.going[first].set()
    for _ in range(steps):
        await asyncio.sleep(0)
    await hall.ask(of("i"))
    assert hall.sessions[-1] == "i"
    await hall.to_the_end()
    assert isinstance(late.exception(), Busy) or await late == "Yes."


async def test_no_more_give_way_than_persons_wait() -> None:
    hall = Hall(parallel=3)
    old = await hall.ask(of("old", BACKGROUND))
    young = await hall.ask(of("young", BACKGROUND))
    await hall.ask(of("i1"))
    for session, priority in (("i2", INTERACTIVE), ("c", COUNCIL), ("b", BACKGROUND)):
        hall.tasks.append(asyncio.create_task(hall._ask(of(session, priority))))
    await settled()
    assert young.done()
    assert not old.done()
    # And the same again, with what is left of the background.
    await hall.ask(of("i3"))
    assert old.done()
    assert "i3" in hall.sessions
    await hall.to_the_end()


async def test_what_nobody_has_read_of_a_broken_answer_is_gone() -> None:
    hall = Hall()
    hall.stage.acts = [tuple(str(n) for n in range(1000))]
    async with hall.limit.stream(background()) as pieces:
        await settled()
        await hall.ask(of("i"))
        with pytest.raises(Busy, match="gave way"):
            await anext(pieces)
    assert hall.stage.active == 1, "only as much was read ahead as there is room for"
    await hall.to_the_end()


async def test_nobody_else_gives_way() -> None:
    hall = Hall()
    council = await hall.ask(of("c", COUNCIL))
    await hall.ask(of("i"))
    await hall.ask(of("c2", COUNCIL))
    assert hall.sessions == ["c"]
    await hall.to_the_end()
    assert await council == "Yes."
    assert hall.sessions == ["c", "i", "c2"]


async def test_a_background_answer_is_as_whole_as_any() -> None:
    stage = Stage(tuple(str(n) for n in range(500)), ("half", ModelFailed("It crashed.")))
    limit = FairLimit(stage)
    assert await says(limit, background()) == "".join(str(n) for n in range(500))
    heard = []
    with pytest.raises(ModelFailed, match="crashed"):
        async with limit.stream(background()) as pieces:
            async for piece in pieces:
                heard.append(piece.text)  # noqa: PERF401 - what was heard before it broke counts
    assert heard == ["half"]
    stage.acts = [ModelFailed("It does not start.")]
    with pytest.raises(ModelFailed, match="does not start"):
        await says(limit, background())
    assert (limit.running, stage.active) == (0, 0)


# --- bounds ---


async def test_too_many_are_told_so_with_the_numbers() -> None:
    hall = Hall(parallel=2)
    for n in range(66):
        await hall.ask(of(f"s{n}"))
    assert (hall.limit.running, hall.limit.waiting) == (2, 64)
    with pytest.raises(Busy, match="2 answers under way and 64 requests waiting") as caught:
        await says(hall.limit, of("late"))
    assert "Hamlet" in caught.value.message
    assert caught.value.hint
    assert caught.value.retryable
    await hall.to_the_end()


async def test_too_many_of_one_conversation_are_told_so() -> None:
    hall = Hall()
    for n in range(17):
        await hall.ask(of("mine", number=n))
    with pytest.raises(Busy, match="conversation has 16 requests waiting"):
        await says(hall.limit, of("mine"))
    other = await hall.ask(of("other"))
    assert not other.done(), "others may wait"
    await hall.to_the_end()


async def test_a_queue_full_of_background_makes_room_for_a_person() -> None:
    hall = Hall(most=3)
    await hall.ask(of("i"))
    waiting = [await hall.ask(of(f"b{n}", BACKGROUND)) for n in range(3)]
    person = await hall.ask(of("i2"))
    with pytest.raises(Busy, match="the most"):
        await waiting[-1]
    assert hall.limit.waiting == 3
    await hall.to_the_end()
    assert await person == "Yes."
    assert hall.sessions == ["i", "i2", "b0", "b1"]


# --- leaving ---


async def test_who_leaves_the_queue_frees_the_place_at_once() -> None:
    hall = Hall(most=1)
    await hall.ask(of("i"))
    waiting = await hall.ask(of("w"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert hall.limit.waiting == 0
    another = await hall.ask(of("x"))
    await hall.to_the_end()
    assert await another == "Yes."
    assert hall.sessions == ["i", "x"]


@pytest.mark.parametrize("steps", range(8))
async def test_a_place_that_is_freed_as_one_leaves_is_the_next_ones(steps: int) -> None:
    hall = Hall()
    first = await hall.ask(of("first"))
    leaving = await hall.ask(of("leaving"))
    staying = await hall.ask(of("staying"))
    first.cancel()
    for _ in range(steps):
        await asyncio.sleep(0)
    leaving.cancel()  # Before its turn, as that comes, or when it has just begun.
    await settled()
    assert leaving.cancelled()
    assert hall.sessions[-1] == "staying"
    await hall.to_the_end()
    assert await staying == "Yes."


# --- whatever happens, in whatever order ---

PRIORITIES = st.sampled_from(list(Priority))
ASKS = st.tuples(st.just("ask"), st.sampled_from("abc"), PRIORITIES)
OTHERS = st.tuples(
    st.sampled_from(["let go", "cancel", "cancel soon", "unsettled"]), st.integers(0, 30)
)


@settings(max_examples=60, deadline=None)
@given(parallel=st.integers(1, 3), steps=st.lists(ASKS | OTHERS, max_size=30))
def test_whatever_happens_the_rules_hold(
    parallel: int, steps: list[tuple[str, str, Priority] | tuple[str, int]]
) -> None:
    asyncio.run(play(parallel, steps))


async def play(parallel: int, steps: list[tuple[str, str, Priority] | tuple[str, int]]) -> None:
    hall = Hall(parallel, most=6, most_of_a_session=3)
    asked: list[Generation] = []
    check: Callable[[], None] = lambda: rules_hold(hall)  # noqa: E731
    for step in steps:
        if step[0] == "ask":
            generation = of(str(step[1]), Priority(step[2]), len(asked))  # type: ignore[misc]
            asked.append(generation)
            await hall.ask(generation)
        elif asked:
            index = int(step[1]) % len(asked)
            task = hall.tasks[index]
            if step[0] == "let go":
                hall.going[asked[index]].set()
            elif step[0] == "unsettled":
                hall.going[asked[index]].set()
                continue
            else:
                if step[0] == "cancel soon":
                    await asyncio.sleep(0)
                task.cancel()
        await settled()
        check()
    await hall.to_the_end()
    for task in hall.tasks:
        error = None if task.cancelled() else task.exception()
        assert error is None or isinstance(error, Busy), "answered, gave way, or left"
        assert error is not None or task.cancelled() or task.result() == "Yes."
    assert hall.stage.most <= parallel


def rules_hold(hall: Hall) -> None:
    stage, limit = hall.stage, hall.limit
    queue = limit._queue
    assert stage.active <= stage.parallel
    assert stage.active == limit.running
    assert len(queue) <= 6
    running = [each.priority for each in limit._running]
    persons = queue.waiting(INTERACTIVE)
    if persons or queue.waiting(COUNCIL):
        assert limit.running == stage.parallel, "nobody waits where there is a place"
    if persons:
        assert BACKGROUND not in running, "it has given way"
    if stage.parallel > 1:
        assert running.count(BACKGROUND) < stage.parallel
