"""Which models there are, which is in use, what they take; adding, removing, measuring them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backends.hub import HubClient, HubPatience
from engine.clients.local import LocalClient
from engine.config import Config, ModelConfig
from engine.contract import jobs, model, telemetry
from engine.contract.backend import AddedModel, Download, ModelChoice, Observation
from engine.contract.base import Empty
from engine.contract.engine import STATUS
from engine.contract.errors import Invalid, ModelFailed, NotFound, Refused, Unavailable
from engine.contract.jobs import Job, JobId, JobStarted
from engine.contract.operation import Operation
from engine.home import Home
from tests.fakes.house import done
from tests.fakes.hub_server import REPO, HubServer
from tests.fakes.models import RehearsedCatalog, engine_with
from tests.fakes.rehearsed import RehearsedBackend
from tests.fakes.waiting import until

GB = 1_000_000_000
MINE = AddedModel("mine", "gguf", "/models/mine.gguf")


def two(**more: Any) -> RehearsedCatalog:
    models = {"one": RehearsedBackend(), "two": RehearsedBackend()}
    return RehearsedCatalog(models, sizes={"one": GB, "two": 2 * GB}, memory=4 * GB, **more)


async def info(client: LocalClient, name: str = "") -> model.ModelInfo:
    found: model.ModelInfo = await done(client, model.INFO, model.AnyModel(name=name))
    return found


async def lines(client: LocalClient) -> dict[str, model.ModelLine]:
    found: model.ModelList = await done(client, model.LIST, Empty())
    return {line.name: line for line in found.models}


async def started(client: LocalClient, operation: Operation[Any, Any], request: Any) -> int:
    begun: JobStarted = await done(client, operation, request)
    return begun.job_id


async def job(client: LocalClient, number: int) -> Job:
    found: Job = await done(client, jobs.SHOW, JobId(id=number))
    return found


async def ended(client: LocalClient, number: int) -> Job:
    async def over() -> bool:
        return (await job(client, number)).state in jobs.ENDED

    await until(over, 20)
    return await job(client, number)


# --- looking ------------------------------------------------------------------------------------


async def test_a_model_is_told_with_where_it_would_run_and_whether_it_fits(home: Home) -> None:
    catalog = two()
    catalog.sizes["one"] = 5 * GB
    async with engine_with(home, {}, catalog=catalog) as client:
        current = await info(client)
        assert (current.name, current.state, current.pid) == ("one", "unloaded", None)
        assert current.placement is not None
        assert (current.placement.weights, current.placement.fits) == (5 * GB, False)
        other = await info(client, "two")
        assert (other.name, other.chosen_because) == ("two", "")
        assert other.placement is not None
        assert other.placement.fits
        assert (other.library, other.device) == ("rehearsed", "CPU")
        # Before it is loaded the file tells how much it may answer.
        assert (other.size, other.max_new_tokens) == (2 * GB, 1024)
        catalog.sizes["two"] = 1_000_000
        assert (await info(client, "two")).max_new_tokens == 160
        with pytest.raises(NotFound):
            await info(client, "three")


async def test_a_configured_budget_decides_what_fits(home: Home) -> None:
    config = Config(model=ModelConfig(memory_mib=1500))
    async with engine_with(home, {}, catalog=two(), config=config) as client:
        small, large = await info(client, "one"), await info(client, "two")
        assert small.placement is not None
        assert large.placement is not None
        assert (small.placement.fits, large.placement.fits) == (True, False)
        assert small.placement.budget == 1500 * 1024 * 1024
        with pytest.raises(Unavailable, match=r"needs 2\.0 GB, 1\.6 GB are left of the 1\.6 GB"):
            await done(client, model.LOAD, model.AnyModel(name="two"))


async def test_the_list_tells_states_and_origins(home: Home) -> None:
    async with engine_with(home, {}, catalog=two(can_add={"m": MINE})) as client:
        await done(client, model.LOAD, model.AnyModel(name="two"))
        await done(client, model.ADD, model.AddModel(source="m"))
        found = await lines(client)
        assert {name: line.state for name, line in found.items()} == {
            "one": "unloaded",
            "two": "ready",
            "mine": "unloaded",
        }
        assert (found["mine"].origin, found["one"].in_use) == ("added", True)


async def test_a_disk_that_hangs_holds_up_nobody_else(home: Home) -> None:
    """What there is takes a look at each model's file."""
    looking, disk = threading.Event(), threading.Event()

    class Hangs(RehearsedCatalog):
        def choices(self) -> tuple[ModelChoice, ...]:
            looking.set()
            assert disk.wait(5)
            return super().choices()

    catalog = Hangs({"one": RehearsedBackend()})
    disk.set()
    async with engine_with(home, {}, catalog=catalog) as client:
        await done(client, jobs.LIST, jobs.ListJobs())
        await info(client)
        looking.clear()
        disk.clear()
        listing = asyncio.create_task(done(client, model.LIST, Empty()))
        try:
            await until(looking.is_set)
            await done(client, jobs.LIST, jobs.ListJobs())
            assert not listing.done()
        finally:
            disk.set()
        assert [line.name for line in (await listing).models] == ["one"]


async def test_a_model_that_cannot_be_loaded_is_an_error_and_stays_the_choice(home: Home) -> None:
    weak = RehearsedBackend(load_error=ModelFailed("It is damaged.", "Another one."))
    catalog = RehearsedCatalog({"weak": weak, "scripted": RehearsedBackend()})
    async with engine_with(home, {}, catalog=catalog) as client:
        with pytest.raises(ModelFailed, match="damaged"):
            await done(client, model.LOAD, model.AnyModel())
        found = await info(client)
        assert (found.name, found.state, found.reason) == ("weak", "failed", "It is damaged.")
        status = await done(client, STATUS, Empty())
        assert [line.text for line in status.concerns if line.subject == "model"] == [
            "It is damaged."
        ]


# --- choosing, adding, removing -----------------------------------------------------------------


async def test_the_model_before_stays_loaded_and_is_back_at_once(home: Home) -> None:
    catalog = two()
    async with engine_with(home, {}, catalog=catalog) as client:
        await done(client, model.LOAD, model.AnyModel())
        for name in ("two", "one", "two"):
            await done(client, model.USE, model.UseModel(name=name))
            await done(client, model.LOAD, model.AnyModel())
        assert catalog.models["one"].deeds == ["load"]
        assert catalog.models["two"].deeds == ["load"]
    assert [each.state for each in catalog.models.values()] == ["unloaded", "unloaded"]


async def test_faces_are_told_of_each_change_of_the_model_in_use(home: Home) -> None:
    hold = asyncio.Event()
    catalog = RehearsedCatalog({"one": RehearsedBackend(load_hold=hold)})
    async with engine_with(home, {}, catalog=catalog) as client, client.events() as events:
        states: list[str] = []

        async def listen() -> None:
            async for event in events:
                if isinstance(event, model.ModelChanged):
                    states.append(event.info.state)  # noqa: PERF401 - it never ends

        listening = asyncio.create_task(listen())
        loading = asyncio.create_task(done(client, model.LOAD, model.AnyModel()))
        await until(lambda: states[-1:] == ["loading"])
        hold.set()
        await loading
        await until(lambda: states[-1:] == ["ready"])
        await done(client, model.UNLOAD, model.AnyModel())
        await until(lambda: states[-1:] == ["unloaded"])
        listening.cancel()
        await asyncio.wait({listening})


async def test_what_was_added_is_there_after_a_restart_and_can_be_removed(home: Home) -> None:
    can_add = {"m": MINE, "u": replace(MINE, name="far", kind="endpoint", place="http://far")}
    async with engine_with(home, {}, catalog=two(can_add=can_add)) as client:
        line = await done(client, model.ADD, model.AddModel(source="m", name="my own"))
        assert (line.name, line.origin) == ("my own", "added")
        endpoint = model.AddModel(source="u", model="big", key_env="THE_KEY")
        await done(client, model.ADD, endpoint)
    catalog = two(can_add=can_add)
    async with engine_with(home, {}, catalog=catalog) as client:
        assert (await lines(client))["my own"].origin == "added"
        assert [each.name for each in catalog.added] == ["my own", "far"]
        assert (catalog.added[1].model, catalog.added[1].key_env) == ("big", "THE_KEY")
        await done(client, model.USE, model.UseModel(name="my own"))
        with pytest.raises(Refused, match="is the model in use"):
            await done(client, model.REMOVE, model.UseModel(name="my own"))
        await done(client, model.USE, model.UseModel(name="one"))
        await done(client, model.LOAD, model.AnyModel(name="my own"))
        removed = await done(client, model.REMOVE, model.UseModel(name="my own"))
        assert (removed.name, removed.state) == ("my own", "unloaded")
        assert [each.name for each in catalog.added] == ["far"]
        assert all(made.state == "unloaded" for name, made in catalog.made if name == "my own")
        with pytest.raises(Refused, match="was not added"):
            await done(client, model.REMOVE, model.UseModel(name="two"))
        with pytest.raises(NotFound):
            await done(client, model.REMOVE, model.UseModel(name="my own"))


async def test_nothing_is_added_twice_and_no_name_has_two_models(home: Home) -> None:
    can_add = {"m": MINE, "n": replace(MINE, place="/models/other.gguf")}
    async with engine_with(home, {}, catalog=two(can_add=can_add)) as client:
        await done(client, model.ADD, model.AddModel(source="m"))
        for request, text in (
            (model.AddModel(source="m", name="again"), "on the list already, as mine"),
            (model.AddModel(source="n"), "a model named mine already"),
            (model.AddModel(source="n", name="two"), "a model named two already"),
        ):
            with pytest.raises(Refused, match=text):
                await done(client, model.ADD, request)
        with pytest.raises(NotFound):
            await done(client, model.ADD, model.AddModel(source="nowhere"))
        assert len(await lines(client)) == 3


async def test_an_added_model_that_makes_no_sense_is_left_out(home: Home) -> None:
    from engine.store import Database, StoredSettings

    home.prepare()
    database = Database(home.state_file, "state", durable=True)
    await database.open()
    good = {"name": "mine", "kind": "gguf", "place": "/m", "model": "", "key_env": ""}
    await StoredSettings(database).put("model.added", [{"name": 7}, "x", good])
    await database.close()
    catalog = two()
    async with engine_with(home, {}, catalog=catalog) as client:
        assert "mine" in await lines(client)
        assert len(catalog.added) == 1


# --- downloads ----------------------------------------------------------------------------------


@pytest.fixture
async def server() -> AsyncIterator[HubServer]:
    async with HubServer({"small.gguf": bytes(3_000_000)}).running() as running:
        yield running


def downloading(server: HubServer, home: Home) -> RehearsedCatalog:
    place = home.data / "models" / "maker" / "small-GGUF" / "small.gguf"
    return two(
        hub=HubClient(server.url, environ={}, patience=HubPatience(backoff_s=0.01)),
        can_add={str(place): replace(MINE, name="small", place=str(place))},
    )


async def test_a_download_is_added_when_it_is_done(home: Home, server: HubServer) -> None:
    catalog = downloading(server, home)
    async with engine_with(home, {}, catalog=catalog) as client:
        request = model.DownloadModel(source=f"hf:{REPO}", name="mine")
        last = await ended(client, await started(client, model.DOWNLOAD, request))
        assert last.state is jobs.JobState.DONE
        assert last.result is not None
        assert (last.result["name"], last.result["origin"]) == ("mine", "downloaded")
        assert (last.progress.done, last.progress.total) == (3_000_000, 3_000_000)
        assert last.progress.unit == "bytes"
        assert Path(catalog.added[0].place).read_bytes() == bytes(3_000_000)
        taken = await ended(client, await started(client, model.DOWNLOAD, request))
        assert taken.error is not None
        assert "a model named mine already" in taken.error.message


async def test_a_name_that_cannot_be_is_refused_before_the_download(
    home: Home, server: HubServer
) -> None:
    async with engine_with(home, {}, catalog=downloading(server, home)) as client:
        request = model.DownloadModel(source=f"hf:{REPO}", name="scripted")
        last = await ended(client, await started(client, model.DOWNLOAD, request))
        assert last.error is not None
        assert last.error.code == Invalid.code
        assert server.files_asked == []


async def test_no_two_repositories_share_a_folder(home: Home) -> None:
    folders: list[Path] = []

    class Busy:
        async def look_up(self, source: str) -> Download:
            return Download(source.removeprefix("hf:"), "main", ("m.gguf",), (1,), ("",))

        async def fetch(
            self, download: Download, folder: Path, progress: Callable[[int, int], None]
        ) -> Path:
            folders.append(folder)
            raise Unavailable("It has too much to do.")

    async with engine_with(home, {}, catalog=two(hub=Busy())) as client:
        for each in ("a--b/c", "a/b--c", "a/b", "a--b--c/d"):
            request = model.DownloadModel(source=f"hf:{each}")
            await ended(client, await started(client, model.DOWNLOAD, request))
    assert len(set(folders)) == 4
    assert all(each.is_relative_to(home.data / "models") for each in folders)


async def test_a_download_is_paused_cancelled_and_carried_on_with(
    home: Home, server: HubServer
) -> None:
    server.hold, server.hold_at = asyncio.Event(), 2_000_000
    request = model.DownloadModel(source=f"hf:{REPO}")
    async with engine_with(home, {}, catalog=downloading(server, home)) as client:
        number = await started(client, model.DOWNLOAD, request)
        part = home.data / "models" / "maker" / "small-GGUF" / "small.gguf.part"
        await until(lambda: part.exists() and part.stat().st_size >= 1 << 20)

        twin = await ended(client, await started(client, model.DOWNLOAD, request))
        assert twin.error is not None
        assert "being downloaded already" in twin.error.message

        await done(client, jobs.PAUSE, JobId(id=number))
        await until(lambda: part.stat().st_size == 2_000_000)  # What came is written, no more.
        asked, server.hold_at = len(server.files_asked), 2_500_000
        await done(client, jobs.RESUME, JobId(id=number))
        await until(lambda: len(server.files_asked) > asked)
        assert server.files_asked[-1].headers["range"] == "bytes=2000000-"
        await done(client, jobs.CANCEL, JobId(id=number))
        assert (await job(client, number)).state is jobs.JobState.CANCELLED
        assert part.exists()

        server.hold = None
        last = await ended(client, await started(client, model.DOWNLOAD, request))
        assert last.state is jobs.JobState.DONE
        assert not part.exists()


async def test_a_download_of_what_must_be_picked_says_what_there_is(
    home: Home, server: HubServer
) -> None:
    server.content["other.gguf"] = b"o"
    async with engine_with(home, {}, catalog=downloading(server, home)) as client:
        request = model.DownloadModel(source=f"hf:{REPO}")
        last = await ended(client, await started(client, model.DOWNLOAD, request))
        assert last.error is not None
        assert last.error.code == Invalid.code
        assert "other.gguf" in last.error.hint


async def test_a_hub_that_says_nothing_is_left_at_once(home: Home, server: HubServer) -> None:
    never = asyncio.Event()

    async def silent(_reply: object, _asked: object) -> bool:
        return await never.wait()

    server.misbehave = silent
    async with engine_with(home, {}, catalog=downloading(server, home)) as client:
        request = model.DownloadModel(source=f"hf:{REPO}")
        number = await started(client, model.DOWNLOAD, request)
        await until(lambda: bool(server.asked))
        async with asyncio.timeout(3):
            await done(client, jobs.CANCEL, JobId(id=number))
        assert (await job(client, number)).state is jobs.JobState.CANCELLED


async def test_what_came_whole_and_is_no_model_is_told_with_where_it_lies(
    home: Home, server: HubServer
) -> None:
    class Refuses(RehearsedCatalog):
        async def examine(self, source: str, name: str, model: str, key_env: str) -> AddedModel:
            raise ModelFailed("It is not a GGUF model.", "Download the file again.")

    catalog = Refuses({"one": RehearsedBackend()}, hub=HubClient(server.url, environ={}))
    async with engine_with(home, {}, catalog=catalog) as client:
        request = model.DownloadModel(source=f"hf:{REPO}")
        last = await ended(client, await started(client, model.DOWNLOAD, request))
        assert last.error is not None
        assert last.error.message == "It is not a GGUF model."
        assert str(home.data / "models" / "maker" / "small-GGUF") in last.error.hint
        assert "again" not in last.error.hint


# --- measuring ----------------------------------------------------------------------------------


async def test_a_bench_measures_a_copy_and_leaves_nothing(home: Home) -> None:
    catalog = two()
    catalog.models["one"].reply = "word " * 200
    async with engine_with(home, {}, catalog=catalog) as client:
        await done(client, model.LOAD, model.AnyModel(name="two"))
        request = model.BenchModel(prompt_tokens=100, new_tokens=16, rounds=2)
        last = await ended(client, await started(client, model.BENCH, request))
        assert last.error is None
        result = model.BenchResult.model_validate(last.result)
        assert (result.name, result.new_tokens, result.first_token_kept_s) == ("one", 16, None)
        assert 90 <= result.prompt_tokens <= 110
        assert result.new_tokens_per_s > 0
        assert result.prompt_tokens_per_s > 0
        one = catalog.models["one"]
        assert one.state == "unloaded"
        assert one.deeds.count("load") == 1 + request.rounds
        sessions = {each.session for each in one.heard}
        assert sessions == set(catalog.forgotten)
        assert len(sessions) == 2
        beginnings = {each.messages[0].content[:8] for each in one.heard}
        assert len(beginnings) == 2  # No round finds what another has read.


async def test_a_bench_that_is_stopped_ends_amid_a_load(home: Home) -> None:
    never = RehearsedBackend(load_hold=asyncio.Event())
    async with engine_with(home, {}, catalog=RehearsedCatalog({"one": never})) as client:
        number = await started(client, model.BENCH, model.BenchModel())
        await until(lambda: never.deeds == ["load"])
        async with asyncio.timeout(3):
            await done(client, jobs.CANCEL, JobId(id=number))
        assert (await job(client, number)).state is jobs.JobState.CANCELLED
        again = await started(client, model.BENCH, model.BenchModel())  # It is nobody's any more.
        await until(lambda: never.deeds == ["load", "load"])
        await done(client, jobs.CANCEL, JobId(id=again))


async def test_what_runs_elsewhere_or_is_no_model_is_not_measured(home: Home) -> None:
    catalog = RehearsedCatalog({"far": RehearsedBackend(local=False)})
    async with engine_with(home, {}, catalog=catalog) as client:
        last = await ended(client, await started(client, model.BENCH, model.BenchModel()))
        assert last.error is not None
        assert "runs on another machine" in last.error.message
        assert catalog.models["far"].heard == []


# --- metrics ------------------------------------------------------------------------------------


async def test_loads_and_requests_are_counted_by_model_and_bounded(home: Home) -> None:
    catalog = two()
    async with engine_with(home, {}, catalog=catalog) as client:
        await done(client, model.LOAD, model.AnyModel())
        for number in range(200):
            name = f"model-{number}\n"
            seen = Observation(name, "rehearsed", "stream", 1.0, "ok", 0.2, 0.3, tokens=5)
            catalog.tell(seen)
        text = (await done(client, telemetry.METRICS, Empty())).text
    assert 'arcanum_model_load_time_seconds_count{model="rehearsed"} 1.0' in text
    assert "arcanum_models_loaded 1.0" in text
    assert 'arcanum_model_tokens_total{model="model-0\\\\n"} 5.0' in text
    assert text.count("arcanum_model_wait_seconds_count{") <= 65
    assert 'arcanum_model_requests_total{model="other",outcome="ok",what="stream"}' in text
