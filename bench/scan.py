"""Scan and hash: one library with large, middling and tiny files, against tools that only hash.

Ours is the whole way, asked for from another process: the job, the walk, BLAKE3, every row in the
catalogue, the numbers told. The page cache is warm for everyone; a library of large files, where
hashing is nearly all there is to do, is read cold too. Ours gives way to other programs (its worker
has nice 10), the peers do not.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from random import Random
from typing import cast

from bench.house import BIN, ROOT, CannotMeasure, environment, move_in
from bench.table import Aim, Plan, Row, missing, paired, versus
from bench.tree import chill, warm
from engine.clients.socket import SocketClient
from engine.contract import assets, jobs, media
from engine.contract.base import PathRef
from engine.contract.client import Done
from engine.contract.jobs import JobState

_MIB = 1024 * 1024
_AIM = Aim(ratio=1.5)
_HASH_AIMS = {"b3sum": Aim(ratio=1.05), "rclone": Aim(ratio=0.9)}
_LIBRARY = assets.LibraryName(library="scan-tree")


def measure(plan: Plan) -> list[Row]:
    """Seconds for a library that is new, against both peers, and for one that did not change."""
    tree = plant(plan.scratch / "scan-tree", quick=plan.quick)
    peers = _peers(tree)
    ours: list[float] = []
    again: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in peers}
    run(["sh", "-c", f"cat '{tree}'/*/* > /dev/null"])
    house = move_in(plan.scratch / "scan")
    with house.engine():
        for _ in range(plan.rounds):
            first, second = house.ask(lambda client: _scan(client, tree), within_s=300)
            ours.append(first)
            again.append(second)
            for name, command in peers.items():
                theirs[name].append(run(command))
    files = [path for path in tree.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / _MIB
    note = f"{len(files):,} files, {size:,.0f} MiB"
    rows = [
        versus("scan + hash", "s", ours, theirs[name], peer_name=name, aim=_AIM, note=note)
        for name in peers
    ]
    rows += [
        missing("scan + hash", "s", f"{name} is not installed", aim=_AIM)
        for name in ("b3sum", "rclone")
        if name not in peers
    ]
    rows.append(versus("scan again", "s", again, [], peer_name="", note="nothing changed"))
    return [*rows, *_hashing(plan)]


def _hashing(plan: Plan) -> list[Row]:
    """Large files alone, warm and cold."""
    tree = large(plan.scratch / "hash-tree", quick=plan.quick)
    peers, library = _peers(tree), assets.LibraryName(library=tree.name)
    rows = [
        missing("hash", "s", f"{name} is not installed", aim=aim)
        for name, aim in _HASH_AIMS.items()
        if name not in peers
    ]
    house = move_in(plan.scratch / "hash")
    with house.engine():
        for state, prepare in (("warm", warm), ("cold", chill)):
            took: dict[str, list[float]] = {name: [] for name in ("ours", *peers)}
            how = ""
            for _ in range(plan.rounds):
                how = prepare(tree)
                ours = house.ask(lambda client: _new(client, tree, library), within_s=300)
                took["ours"].append(ours)
                for name, command in peers.items():
                    prepare(tree)
                    took[name].append(run(command))
            size = sum(path.stat().st_size for path in tree.iterdir()) / _MIB
            note = f"{size:,.0f} MiB in 12 files" + (f"; {how}" if how else "")
            rows += [
                paired(
                    f"hash, {state}",
                    "s",
                    took["ours"],
                    took[name],
                    peer_name=name,
                    aim=_HASH_AIMS[name],
                    note=note,
                )
                for name in peers
            ]
    return rows


def large(root: Path, *, quick: bool) -> Path:
    """12 × 350 MiB; a tenth of it where quick."""
    block = Random(2).randbytes(_MIB)
    for number in range(12):
        _write(root / f"{number}.mkv", number, block, 35 if quick else 350)
    return root


def plant(root: Path, *, quick: bool) -> Path:
    """200 × 1 MiB, 3 × 200 MiB and 5,000 × up to 4 KiB; a tenth of it where quick."""
    chance = Random(1)  # The same tree every time.
    block = chance.randbytes(_MIB)
    part = 10 if quick else 1
    for number in range(200 // part):
        _write(root / f"middling-{number % 10}" / f"{number}.bin", number, block)
    for number in range(3):
        _write(root / "large" / f"{number}.mkv", number, block, 200 // part)
    for number in range(5000 // part):
        _write(root / f"tiny-{number % 50}" / f"{number}.nfo", number, block[: 100 + number % 4000])
    return root


def _write(path: Path, number: int, block: bytes, times: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for turn in range(times):
            file.write(number.to_bytes(4, "big") + turn.to_bytes(4, "big") + block[8:])


def _peers(tree: Path) -> dict[str, list[str]]:
    found = {}
    if shutil.which("b3sum"):
        found["b3sum"] = ["sh", "-c", f"find '{tree}' -type f -print0 | xargs -0 b3sum"]
    if (BIN / "rclone").exists():
        found["rclone"] = [str(BIN / "rclone"), "hashsum", "blake3", str(tree)]
    return found


def run(command: list[str]) -> float:
    """Seconds from a program's start to its end. Raises CannotMeasure."""
    env = environment() | {"PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    try:
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, check=False
        )
    except FileNotFoundError as error:
        raise CannotMeasure(f"{command[0]} is not installed") from error
    took = time.perf_counter() - started
    if done.returncode:
        raise CannotMeasure(f"{' '.join(command)}: exit code {done.returncode}")
    return took


async def _scan(client: SocketClient, tree: Path) -> tuple[float, float]:
    """Names the library, scans it twice, and forgets it: seconds of the first and the second."""
    await add(client, tree)
    try:
        return await one_scan(client, _LIBRARY), await one_scan(client, _LIBRARY)
    finally:
        await client.call(media.REMOVE, _LIBRARY)


async def _new(client: SocketClient, tree: Path, library: assets.LibraryName) -> float:
    """Seconds of the scan of a library that is new; it is forgotten again."""
    await add(client, tree)
    try:
        return await one_scan(client, library)
    finally:
        await client.call(media.REMOVE, library)


async def add(client: SocketClient, tree: Path) -> None:
    """Makes it a library."""
    await client.call(media.ADD, assets.AddLibrary(path=PathRef.of(tree)))


async def one_scan(client: SocketClient, library: assets.LibraryName) -> float:
    """Seconds of a scan that was asked for, to its end. Raises CannotMeasure."""
    started = time.perf_counter()
    answer = await client.call(media.SCAN, assets.ScanLibrary(library=library.library))
    assert isinstance(answer, Done)
    started_job = cast(jobs.JobStarted, answer.result)
    async with client.stream(jobs.FOLLOW, jobs.JobId(id=started_job.job_id)) as changes:
        states = [job.state async for job in changes]
    took = time.perf_counter() - started
    if states[-1:] != [JobState.DONE]:
        raise CannotMeasure(f"the scan did not end well: {states[-1:]}")
    return took
