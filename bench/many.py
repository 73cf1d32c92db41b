"""Very many files in one library: the first scan's time and memory, a conversation meanwhile, and
how soon the first rows are there.

``LARGE=1``: a million files instead of a tenth of that.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, cast, get_args

from bench.house import CannotMeasure, House, move_in
from bench.idle import use
from bench.scan import add, one_scan
from bench.table import Aim, Plan, Row, missing, number, versus
from bench.tree import LARGER, LAST_YEAR, SOURCE, TYPE, name_of, plant, vary
from engine.clients.socket import SocketClient
from engine.contract import agent0, assets, listing, media, report
from engine.contract.client import Done

Answer = tuple[float, float]
"""Milliseconds to its first token, microseconds for each further one."""
Pages = dict[str, list[float]]
"""Milliseconds of the first page, by order."""

_MIB = 1024 * 1024
_SCRIPTED = '[model]\nuse = "scripted"\n'
_QUESTION = "Which films of last summer are there twice?"
_IDLE_ANSWERS = 100
_PAUSE_S = 0.05
_LOOK_EVERY_S = 0.25
_SETTLE_S = 3.0
"""An engine's services start one after another."""

_SOON = Aim(100)
_FIRST_TOKEN = Aim(50)
"""As for a key: what a person does not notice. Much of an idle answer's time is one trip to the
disk that the scan uses, too: a ratio would tell of the disk."""
_EACH_TOKEN = Aim(200)
"""As without a scan."""
_MEMORY = Aim(256)
"""An eighth of a small machine's 2 GiB, whatever the number of files. The names of one folder are
put in order in memory: a million of them take 54 MiB."""


def in_folders(plan: Plan) -> list[Row]:
    """Folders of 500 files: scanned, listed, and scanned in another house while somebody asks."""
    count = _count(plan)
    tree = vary(plant(plan.scratch / "many", count), count)
    house = move_in(plan.scratch / "many-house")
    with house.engine() as engine:
        rows = _first_scan(f"{count:,} files", house, engine.pid, tree)
        house.ask(lambda client: _looked_into(client, tree.name), within_s=3600)
        rows += _lists(house, tree, count, plan.rounds)
    asked = move_in(plan.scratch / "asked-house", _SCRIPTED)
    with asked.engine():
        calm = asked.ask(_answers, within_s=120)
        busy = asked.ask(lambda client: _scan_beside(client, tree), within_s=3600)
    return rows + _conversation(f"{count:,} files", busy, calm)


def in_one_folder(plan: Plan) -> list[Row]:
    """All files in the same folder: nothing of it can be read in parts."""
    count = _count(plan)
    tree = plant(plan.scratch / "flat", count, per_folder=count)
    house = move_in(plan.scratch / "flat-house")
    with house.engine() as engine:
        return _first_scan(f"{count:,} files in one folder", house, engine.pid, tree)


def _count(plan: Plan) -> int:
    return 1_000_000 if os.environ.get("LARGE") else 10_000 if plan.quick else 100_000


# --- the first scan -------------------------------------------------------------------------------


def _first_scan(what: str, house: House, pid: int, tree: Path) -> list[Row]:
    """Its time and its memory, with nothing else going on."""
    time.sleep(_SETTLE_S)
    idle = use(pid).memory / _MIB
    with _memory(pid) as taken:
        took = house.ask(lambda client: _scan(client, tree), within_s=3600)
    return [
        Row(f"{what}: first scan", "s", took, note="walk, hash, catalogue"),
        Row(
            f"{what}: memory while it is scanned, at most",
            "MiB",
            max(taken) - idle,
            aim=_MEMORY,
            note=f"all processes, beyond the {number(idle)} MiB of the idle engine",
        ),
    ]


async def _scan(client: SocketClient, tree: Path) -> float:
    await add(client, tree)
    return await one_scan(client, assets.LibraryName(library=tree.name))


@contextmanager
def _memory(pid: int) -> Iterator[list[float]]:
    """What the engine and its children take together, again and again, in MiB."""
    taken: list[float] = []
    over = threading.Event()

    def look() -> None:
        while True:
            taken.append(use(pid).memory / _MIB)
            if over.wait(_LOOK_EVERY_S):
                return

    watch = threading.Thread(target=look)
    watch.start()
    try:
        yield taken
    finally:
        over.set()
        watch.join()


# --- a conversation meanwhile ---------------------------------------------------------------------


def _conversation(what: str, busy: list[Answer], calm: list[Answer]) -> list[Row]:
    figures = (("first token", "ms", _FIRST_TOKEN), ("each further token", "us", _EACH_TOKEN))
    return [
        versus(
            f"{what}: {figure} while it is scanned, p{share:.0%}".rstrip("%"),
            unit,
            [answer[place] for answer in busy],
            [answer[place] for answer in calm],
            peer_name="the same, idle",
            aim=aim if share == 0.95 else Aim(),
            share=share,
            note=f"{len(busy):,} answers of the scripted backend",
        )
        for place, (figure, unit, aim) in enumerate(figures)
        for share in (0.5, 0.95)
    ]


async def _answers(client: SocketClient) -> list[Answer]:
    await _ask(client, "first")  # It starts the rooms.
    return [await _ask(client, f"idle {turn}") for turn in range(_IDLE_ANSWERS)]


async def _scan_beside(client: SocketClient, tree: Path) -> list[Answer]:
    """Asks again and again for as long as the first scan takes."""
    scan = asyncio.create_task(_scan(client, tree))
    answers: list[Answer] = []
    while not scan.done():
        answers.append(await _ask(client, f"busy {len(answers)}"))
    await scan
    return answers


async def _ask(client: SocketClient, session: str) -> Answer:
    """A question over the socket, in a conversation of its own: none has much to read."""
    await asyncio.sleep(_PAUSE_S)
    began = time.perf_counter()
    request = agent0.Ask(text=_QUESTION, session=session)
    async with client.stream(agent0.ASK, request) as items:
        arrived = [
            time.perf_counter() async for item in items if isinstance(item, agent0.AnswerPiece)
        ]
    first, last = arrived[0], arrived[-1]
    return 1e3 * (first - began), 1e6 * (last - first) / (len(arrived) - 1)


# --- the first rows -------------------------------------------------------------------------------


def _lists(house: House, tree: Path, count: int, rounds: int) -> list[Row]:
    what, library = f"{count:,} files", tree.name
    narrowed: dict[str, Mapping[str, Any]] = {
        "of one year": {"year": (LAST_YEAR,)},
        "of one type": {"type": (TYPE,)},
        "from a size on": {"larger": LARGER},
        "with a rare name": {"filter": name_of(count - count // 10)},
        "of one source": {"source": (SOURCE,)},
    }
    pages = house.ask(lambda client: _first_pages(client, rounds, {"library": library}), 600)
    rows = [
        _page(
            f"{what}: first page by {order}", times, f"500 rows; the very first {times[0]:.0f} ms"
        )
        for order, times in pages.items()
    ]
    for which, request in narrowed.items():
        rows.append(_narrowed(house, f"{what}: first page {which}", request, library, rounds))
    folders = house.ask(lambda client: _folders(client, tree, rounds), within_s=600)
    told, counted = ([turn[place] for turn in folders] for place in (0, 1))
    note = "as the screen asks, before they are counted; of a new catalogue each time"
    rows.append(_page(f"{what}: the folders of the root", told, note))
    rows.append(versus(f"{what}: their numbers", "ms", counted, [], peer_name=""))
    reports = house.ask(lambda client: _report(client, 3), within_s=600)
    return [*rows, versus(f"{what}: a report", "s", reports, [], peer_name="")]


def _page(name: str, times: list[float], note: str) -> Row:
    return versus(name, "ms", times, [], peer_name="", aim=_SOON, note=note, share=0.95)


def _narrowed(
    house: House, name: str, request: Mapping[str, Any], library: str, rounds: int
) -> Row:
    """One row for all orders: whoever narrows a list keeps the order that it had."""
    asked = {"library": library, **request}
    try:
        pages = house.ask(lambda client: _first_pages(client, rounds, asked), within_s=600)
    except CannotMeasure as error:
        return missing(name, "ms", str(error), aim=_SOON)
    middle = {order: statistics.median(times) for order, times in pages.items()}
    slowest = max(middle, key=lambda order: middle[order])
    note = f"all orders, the slowest by {slowest}: {middle[slowest]:.0f} ms"
    return _page(name, [*chain(*pages.values())], note)


async def _first_pages(client: SocketClient, rounds: int, asked: Mapping[str, Any]) -> Pages:
    """As a screen asks for them, in each order, there and back. Raises CannotMeasure."""
    found: Pages = {}
    for sort in get_args(assets.Sort):
        for back in (False, True):
            order = {"sort": sort, "reverse": back, "quick": True}
            request = assets.ListAssets.model_validate({**asked, **order})
            times = found.setdefault(f"{sort}, reversed" if back else sort, [])
            for _ in range(rounds):
                began = time.perf_counter()
                answer = await client.call(media.LIST, request)
                times.append((time.perf_counter() - began) * 1000)
                if not cast(Done[assets.AssetPage], answer).result.assets:
                    raise CannotMeasure(f"no file is known: {dict(asked)}")
    return found


async def _looked_into(client: SocketClient, library: str) -> None:
    """Until types and sources are known: that comes behind the scan."""
    request = listing.AskFacets(library=library, facets=("kind",))
    while True:
        answer = await client.call(media.FACETS, request)
        [facet] = cast(Done[listing.Facets], answer).result.facets
        if facet.counted and all(value.value != "unknown" for value in facet.values):
            return
        await asyncio.sleep(1)


async def _folders(client: SocketClient, tree: Path, rounds: int) -> list[tuple[float, float]]:
    """Milliseconds to the folders, and to their numbers. These are kept until the catalogue is
    another: so a library comes and goes each time."""
    beside = tree.with_name("beside")
    beside.mkdir()
    times = []
    for _ in range(rounds):
        await add(client, beside)
        await client.call(media.REMOVE, assets.LibraryName(library=beside.name))
        took = []
        for quick in (True, False):
            began = time.perf_counter()
            await client.call(media.TREE, listing.AskTree(library=tree.name, quick=quick))
            took.append((time.perf_counter() - began) * 1000)
        times.append((took[0], took[1]))
    return times


async def _report(client: SocketClient, rounds: int) -> list[float]:
    async def once() -> float:
        began = time.perf_counter()
        await client.call(report.MEDIA, report.ReportMedia())
        return time.perf_counter() - began

    return [await once() for _ in range(rounds)]
