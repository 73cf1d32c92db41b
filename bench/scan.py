"""Scan and hash: one library with large, middling and tiny files, against tools that only hash.

Ours is the whole way, asked for from another process: the job, the walk, BLAKE3, every row in the
catalogue, the numbers told. The page cache is warm for everyone. Ours gives way to other programs
(its worker has nice 10), the peers do not.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from random import Random
from typing import cast

from bench.house import BIN, CannotMeasure, move_in
from bench.table import Aim, Plan, Row, missing, versus
from engine.clients.socket import SocketClient
from engine.contract import assets, jobs, media
from engine.contract.base import PathRef
from engine.contract.client import Done
from engine.contract.jobs import JobState

_MIB = 1024 * 1024
_AIM = Aim(ratio=1.5)
_LIBRARY = assets.LibraryName(library="scan-tree")


def measure(plan: Plan) -> list[Row]:
    """Seconds for a library that is new, against both peers, and for one that did not change."""
    tree = plant(plan.scratch / "scan-tree", quick=plan.quick)
    peers = _peers(tree)
    ours: list[float] = []
    again: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in peers}
    _run(["sh", "-c", f"cat '{tree}'/*/* > /dev/null"])
    house = move_in(plan.scratch / "scan")
    with house.engine():
        for _ in range(plan.rounds):
            first, second = house.ask(lambda client: _scan(client, tree), within_s=300)
            ours.append(first)
            again.append(second)
            for name, command in peers.items():
                theirs[name].append(_run(command))
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
    return [*rows, versus("scan again", "s", again, [], peer_name="", note="nothing changed")]


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


def _run(command: list[str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    took = time.perf_counter() - started
    if done.returncode:
        raise CannotMeasure(f"{' '.join(command)}: exit code {done.returncode}")
    return took


async def _scan(client: SocketClient, tree: Path) -> tuple[float, float]:
    """Names the library, scans it twice, and forgets it: seconds of the first and the second."""
    await client.call(media.ADD, assets.AddLibrary(path=PathRef.of(tree)))
    try:
        return await _one_scan(client), await _one_scan(client)
    finally:
        await client.call(media.REMOVE, _LIBRARY)


async def _one_scan(client: SocketClient) -> float:
    started = time.perf_counter()
    answer = await client.call(media.SCAN, _LIBRARY)
    assert isinstance(answer, Done)
    started_job = cast(jobs.JobStarted, answer.result)
    async with client.stream(jobs.FOLLOW, jobs.JobId(id=started_job.job_id)) as changes:
        states = [job.state async for job in changes]
    took = time.perf_counter() - started
    if states[-1:] != [JobState.DONE]:
        raise CannotMeasure(f"the scan did not end well: {states[-1:]}")
    return took
