"""Several models in the memory there is: who loads, who stays, who leaves."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from engine.contract.backend import Generation, Message, ModelState, Placement
from engine.contract.errors import Cancelled, Failed, ModelFailed, NotFound, Unavailable
from engine.models.pool import Pool
from tests.fakes.models import RehearsedCatalog
from tests.fakes.rehearsed import RehearsedBackend
from tests.fakes.waiting import until

GB = 1_000_000_000
PATIENCE = "engine.models.pool._WAIT_FOR_ANSWERS_S"
ASK = Generation((Message("user", "?"),), 10)
READY, UNLOADED = ModelState.READY, ModelState.UNLOADED


def pool_of(catalog: RehearsedCatalog, *, budget: int = 0, keep_alive_s: float = -1) -> Pool:
    return Pool(
        catalog,
        budget=budget,
        keep_alive_s=keep_alive_s,
        changed=lambda _name: None,
        loaded=lambda _backend, _seconds: None,
    )


def three(**more: RehearsedBackend) -> RehearsedCatalog:
    """Three models of 1 GB on a machine with 2.5 GB for them."""
    models = {name: RehearsedBackend(keeps=True) for name in "abc"} | more
    return RehearsedCatalog(models, sizes=dict.fromkeys(models, GB), memory=5 * GB // 2)


@pytest.fixture(autouse=True)
def _refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PATIENCE, 0.0)


async def use(pool: Pool, name: str) -> None:
    async with pool.lease(name) as backend:
        assert backend.info().state is READY


def states(catalog: RehearsedCatalog) -> dict[str, str]:
    return {name: model.state.value for name, model in catalog.models.items()}


async def test_ten_first_questions_load_one_copy() -> None:
    hold = asyncio.Event()
    catalog = RehearsedCatalog({"a": RehearsedBackend(load_hold=hold)}, sizes={"a": GB})
    pool = pool_of(catalog)
    asking = [asyncio.create_task(use(pool, "a")) for _ in range(10)]
    await until(lambda: catalog.models["a"].deeds == ["load"])
    hold.set()
    await asyncio.gather(*asking)
    assert catalog.models["a"].deeds == ["load"]
    assert [name for name, _ in catalog.made] == ["a"]


async def test_the_least_recently_used_leaves_with_its_state_saved() -> None:
    catalog = three()
    pool = pool_of(catalog)
    for name in ("a", "b", "a", "c"):
        await use(pool, name)
    assert states(catalog) == {"a": "ready", "b": "unloaded", "c": "ready"}
    assert catalog.models["b"].deeds == ["load", "save", "unload"]


async def test_a_load_waits_for_the_answer_that_is_in_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PATIENCE, 5.0)
    catalog = three()
    pool = pool_of(catalog, budget=GB)
    async with pool.lease("a"):
        asking = asyncio.create_task(use(pool, "b"))
        third = asyncio.create_task(use(pool, "c"))
        async with pool.lease("a"):
            pass  # Another answer that ends is not yet room.
        for _ in range(20):
            await asyncio.sleep(0)
        assert catalog.models["b"].deeds == []
        assert not asking.done()
    await asyncio.gather(asking, third)  # One after the other has it.
    assert catalog.models["a"].deeds == ["load", "save", "unload"]
    assert catalog.taken() == GB


async def test_a_load_waits_for_no_answer_that_would_not_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PATIENCE, 60.0)
    catalog = three()
    catalog.sizes["b"] = 2 * GB
    pool = pool_of(catalog, budget=GB)
    async with asyncio.timeout(1), pool.lease("a"):
        with pytest.raises(Unavailable, match="does not fit"):
            await use(pool, "b")


async def test_a_budget_bounds_what_the_machine_would_hold() -> None:
    catalog = three()
    pool = pool_of(catalog, budget=GB + GB // 2)
    for name in ("a", "b"):
        await use(pool, name)
    assert states(catalog) == {"a": "unloaded", "b": "ready", "c": "unloaded"}


async def test_what_does_not_fit_is_refused_with_the_numbers_and_nobody_leaves_for_it() -> None:
    catalog = three(d=RehearsedBackend())
    catalog.sizes["d"] = 2 * GB
    pool = pool_of(catalog)
    await use(pool, "a")
    async with pool.lease("b"):
        with pytest.raises(Unavailable) as caught:
            await use(pool, "d")
    assert caught.value.message == (
        "d does not fit into memory: it needs 2.0 GB, this machine has 500 MB free. "
        "Loaded: a 1.0 GB, b 1.0 GB (in use)."
    )
    assert caught.value.hint.startswith("Ask again when an answer has ended, free one (arcanum")
    assert states(catalog)["a"] == "ready"

    catalog.sizes["d"] = 3 * GB
    with pytest.raises(Unavailable) as caught:
        await use(pool, "d")
    assert caught.value.hint.startswith("Free one (arcanum model unload NAME), use a smaller")
    catalog.sizes["d"] = 2 * GB
    await use(pool, "d")  # b is idle now: both leave.
    assert states(catalog) == {"a": "unloaded", "b": "unloaded", "c": "unloaded", "d": "ready"}


async def test_a_model_that_runs_elsewhere_waits_for_nobodys_memory() -> None:
    hold = asyncio.Event()
    catalog = RehearsedCatalog(
        {"slow": RehearsedBackend(load_hold=hold), "far": RehearsedBackend()}, sizes={"slow": GB}
    )
    pool = pool_of(catalog)
    slow = asyncio.create_task(use(pool, "slow"))
    await until(lambda: catalog.models["slow"].deeds == ["load"])
    async with asyncio.timeout(1):
        await use(pool, "far")
    hold.set()
    await slow


async def test_loads_decide_over_memory_one_after_another() -> None:
    hold = asyncio.Event()
    catalog = three(a=RehearsedBackend(load_hold=hold))
    pool = pool_of(catalog)
    first = asyncio.create_task(use(pool, "a"))
    await until(lambda: catalog.models["a"].deeds == ["load"])
    second = asyncio.create_task(use(pool, "b"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert catalog.models["b"].deeds == []
    hold.set()
    await asyncio.gather(first, second)
    assert states(catalog) == {"a": "ready", "b": "ready", "c": "unloaded"}


async def test_gpu_memory_that_an_idle_model_holds_goes_to_the_one_that_is_asked() -> None:
    class OneGpu(RehearsedCatalog):
        """Ten layers of a gigabyte each, and room for twelve on the GPU."""

        async def place(self, name: str) -> Placement | None:
            free = 12 * GB - sum(10 * GB for model in self.models.values() if model.state is READY)
            layers = min(10, free // GB)
            return Placement(
                "rehearsed", "GPU", "for tests",
                layers=10, gpu_layers=layers, weights=10 * GB, on_device=layers * GB,
                free=free, free_ram=100 * GB,
            )  # fmt: skip

    catalog = OneGpu({name: RehearsedBackend() for name in "abc"})
    pool = pool_of(catalog)
    await use(pool, "a")
    async with pool.lease("b"):
        assert states(catalog) == {"a": "unloaded", "b": "ready", "c": "unloaded"}
        await use(pool, "c")  # The GPU is busy: most of it goes to the CPU.
        assert states(catalog)["b"] == "ready"
        loaded = pool.peek("c")
        assert loaded is not None
        assert loaded.placement is not None
        assert loaded.placement.gpu_layers == 2


# --- idle ---------------------------------------------------------------------------------------


async def test_an_idle_model_leaves_after_a_while_and_not_while_somebody_is_there() -> None:
    catalog = three()
    pool = pool_of(catalog, keep_alive_s=0.02)
    a = catalog.models["a"]
    async with pool.lease("a"):
        async with pool.lease("a"):
            pass
        await use(pool, "b")
        await until(lambda: catalog.models["b"].state is UNLOADED)  # Its timer ran; ours did not.
        assert a.state is READY
    await until(lambda: a.state is UNLOADED)
    assert a.deeds == ["load", "save", "unload"]


async def test_with_no_keep_alive_it_leaves_right_away_and_below_0_never() -> None:
    catalog = three()
    catalog.memory = 9 * GB
    at_once, never = pool_of(catalog, keep_alive_s=0), pool_of(catalog, keep_alive_s=-1)
    await use(never, "b")
    await at_once.open("c")
    await use(at_once, "a")
    await until(lambda: catalog.models["a"].state is UNLOADED)
    assert catalog.models["b"].state is READY
    assert catalog.models["c"].state is READY  # Loaded ahead of its first question.
    await use(at_once, "c")
    await until(lambda: catalog.models["c"].state is UNLOADED)


async def test_who_asks_while_an_idle_models_state_is_saved_keeps_it() -> None:
    saving = asyncio.Event()
    catalog = three(a=RehearsedBackend(keeps=True, save_hold=saving))
    pool = pool_of(catalog, keep_alive_s=0)
    await use(pool, "a")
    a = catalog.models["a"]
    await until(lambda: a.deeds == ["load", "save"])
    async with pool.lease("a"):
        saving.set()
        await use(pool, "b")
        await until(lambda: catalog.models["b"].state is UNLOADED)
        assert a.deeds == ["load", "save"]
    await until(lambda: a.deeds == ["load", "save", "save", "unload"])


async def test_who_asks_during_an_unload_is_served() -> None:
    leaving = asyncio.Event()
    catalog = three(a=RehearsedBackend("one two", unload_hold=leaving))
    pool = pool_of(catalog)
    await use(pool, "a")
    a = catalog.models["a"]
    closing = asyncio.create_task(pool.close("a"))
    await until(lambda: a.deeds == ["load", "unload"])

    async def answer() -> str:
        async with pool.lease("a") as backend, backend.stream(ASK) as pieces:
            return "".join([piece.text async for piece in pieces])

    asking = [asyncio.create_task(answer()) for _ in range(3)]
    for _ in range(10):
        await asyncio.sleep(0)
    leaving.set()
    assert await asyncio.gather(*asking) == ["one two"] * 3
    await closing
    assert a.deeds == ["load", "unload", "load", "stream", "stream", "stream"]


async def test_an_unload_waits_for_no_answer_and_ends_it_with_a_reason() -> None:
    hold = asyncio.Event()
    catalog = three(a=RehearsedBackend("one two three four", hold=hold))
    pool = pool_of(catalog)
    got: list[str] = []

    async def answer() -> None:
        async with pool.lease("a") as backend, backend.stream(ASK) as pieces:
            async for piece in pieces:
                got.append(piece.text)  # noqa: PERF401 - what came counts, though it breaks off

    answering = asyncio.create_task(answer())
    await until(lambda: len(got) == 2)
    await pool.close("a")
    hold.set()
    with pytest.raises(Unavailable, match="unloaded while it was asked"):
        await answering
    assert got == ["one", " two", " three"][: len(got)]
    await use(pool, "a")


# --- loads that go wrong ------------------------------------------------------------------------


async def test_who_stops_waiting_for_a_load_leaves_it_to_the_others() -> None:
    hold = asyncio.Event()
    catalog = three(a=RehearsedBackend(load_hold=hold))
    pool = pool_of(catalog, keep_alive_s=0)
    first, second = (asyncio.create_task(use(pool, "a")) for _ in range(2))
    a = catalog.models["a"]
    await until(lambda: a.deeds == ["load"])
    first.cancel()
    await asyncio.wait({first})
    hold.set()
    await second
    assert a.deeds[0] == "load"
    assert a.deeds.count("load") == 1


async def test_a_load_that_nobody_waits_for_any_more_ends_idle() -> None:
    hold = asyncio.Event()
    catalog = three(a=RehearsedBackend(load_hold=hold))
    pool = pool_of(catalog, keep_alive_s=0)
    asking = asyncio.create_task(use(pool, "a"))
    a = catalog.models["a"]
    await until(lambda: a.deeds == ["load"])
    asking.cancel()
    await asyncio.wait({asking})
    hold.set()
    await until(lambda: a.deeds == ["load", "unload"])
    assert pool.peek("a") is None


async def test_an_unload_during_a_load_ends_the_wait_for_it() -> None:
    catalog = three(a=RehearsedBackend(load_hold=asyncio.Event()))
    pool = pool_of(catalog)
    asking = asyncio.create_task(use(pool, "a"))
    await until(lambda: catalog.models["a"].deeds == ["load"])
    await pool.close("a")
    with pytest.raises(Unavailable, match="unloaded while it was loading"):
        await asking
    await use(pool, "b")  # Nobody holds the decision over memory any more.


async def test_a_failed_load_fails_all_who_waited_and_is_tried_again() -> None:
    hold = asyncio.Event()
    weak = RehearsedBackend(load_hold=hold, load_error=ModelFailed("It is no model.", "Other."))
    pool = pool_of(three(a=weak))
    model = pool.pin("a")
    asking = [asyncio.create_task(use(pool, "a")) for _ in range(3)]
    await until(lambda: weak.deeds == ["load"])
    hold.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ModelFailed] * 3
    assert (model.state, model.failure) == (ModelState.FAILED, "It is no model.")
    weak.load_error = None
    await use(pool, "a")
    assert (model.state, model.failure) == (READY, "")


async def test_an_unknown_model_costs_nothing() -> None:
    pool = pool_of(three())
    with pytest.raises(NotFound):
        await use(pool, "z")
    assert pool.peek("z") is None


# --- the end ------------------------------------------------------------------------------------


async def test_the_end_saves_and_frees_all_of_them_and_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.models.pool._SAVE_AT_STOP_S", 0.05)
    never = asyncio.Event()
    catalog = RehearsedCatalog(
        {
            "saves": RehearsedBackend(keeps=True),
            "hangs": RehearsedBackend(keeps=True, save_hold=never),
            "loads": RehearsedBackend(load_hold=never),
        }
    )
    pool = pool_of(catalog)
    await use(pool, "saves")
    await use(pool, "hangs")
    asking = asyncio.create_task(use(pool, "loads"))
    await until(lambda: catalog.models["loads"].deeds == ["load"])
    async with asyncio.timeout(2):
        await pool.stop()
    assert set(states(catalog).values()) == {"unloaded"}
    assert catalog.models["saves"].deeds == ["load", "save", "unload"]
    with pytest.raises(Unavailable):
        await asking
    with pytest.raises(Unavailable, match="stopping"):
        await use(pool, "saves")


async def test_a_copy_counts_as_memory_and_leaves_nothing_behind() -> None:
    catalog = RehearsedCatalog({}, sizes={"a": GB}, memory=GB * 3 // 2, fresh=RehearsedBackend)
    catalog.models = {"a": RehearsedBackend()}
    pool = pool_of(catalog)
    async with pool.lease("a"):
        with pytest.raises(Unavailable, match=r"Loaded: a 1\.0 GB \(in use\)"):
            async with pool.copy("a"):
                pass
    async with pool.copy("a") as backend:  # The idle one leaves for it.
        assert backend.info().state is READY
        assert catalog.taken() == GB
    assert catalog.taken() == 0
    assert pool.count() == 0


async def test_many_who_come_and_go_leave_everything_in_order() -> None:
    catalog = three()
    pool = pool_of(catalog, keep_alive_s=0.001, budget=2 * GB)

    async def come(number: int) -> None:
        for step in range(12):
            with suppress(Failed, Cancelled):
                async with pool.lease("abc"[(number + step) % 3]):
                    await asyncio.sleep(0.001 * (number % 3))
                if number == 0:
                    await pool.close("abc"[step % 3])

    async with asyncio.timeout(20):
        await asyncio.gather(*map(come, range(9)))
        await until(lambda: pool.count() == 0)
        await pool.stop()
    assert catalog.taken() == 0
