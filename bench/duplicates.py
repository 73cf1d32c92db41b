"""Duplicates: a few large files and many tiny ones, against jdupes; pages of a large catalogue.

Ours is the whole way, asked for from another process: the job, the walk, the reading, the groups
with the one to keep. It trusts BLAKE3, so its peer for large files is ``jdupes -Q``, which trusts a
hash, too; for tiny ones it is jdupes as it comes. Warm: all of it is in the page cache. Cold: the
files' pages are dropped, and what the kernel knows of names and inodes where root lets us. Ours
gives way to other programs (nice 10), the peer does not.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple, cast

from bench.house import CannotMeasure, House, move_in
from bench.table import Aim, Plan, Row, missing, paired, versus
from bench.tree import chill, warm
from engine.clients.socket import SocketClient
from engine.contract import jobs, media
from engine.contract.base import PathRef
from engine.contract.client import Done
from engine.contract.copies import FindDuplicates, FoundDuplicates
from engine.contract.jobs import JobState
from engine.media.duplicates.alike import stars
from engine.media.duplicates.snapshot import Key, Snapshot
from engine.store import schema

_MIB = 1024 * 1024


class _Case(NamedTuple):
    name: str
    tree: Path
    peer: tuple[str, ...]
    aim: Aim


def measure(plan: Plan) -> list[Row]:
    """Seconds for each tree, warm and cold; then what needs no peer."""
    cases = (
        _Case("large", large(plan), ("jdupes", "-q", "-r", "-Q"), Aim(ratio=1.3)),
        _Case("tiny", tiny(plan), ("jdupes", "-q", "-r"), Aim(ratio=1.2)),
    )
    rows: list[Row] = []
    if shutil.which("jdupes") is None:
        rows += [
            missing(f"duplicates: {c.name}", "s", "jdupes is not installed", aim=c.aim)
            for c in cases
        ]
    else:
        house = move_in(plan.scratch / "duplicates")
        with house.engine():
            for case in cases:
                rows += _compare(house, case, plan)
    return [*rows, *_pages(plan), _neighbours(plan)]


def _compare(house: House, case: _Case, plan: Plan) -> list[Row]:
    os.sync()
    rows = []
    how = chill(case.tree)
    for name, prepare in (("warm", warm), ("cold", chill)):
        ours, theirs = [], []
        found: FoundDuplicates | None = None
        for _ in range(plan.rounds):
            prepare(case.tree)
            took, found = house.ask(lambda client: _ours(client, case.tree), within_s=300)
            ours.append(took)
            prepare(case.tree)
            took, groups, copies = _jdupes(case)
            theirs.append(took)
            if (found.totals.groups, found.totals.copies) != (groups, copies):
                raise CannotMeasure(
                    f"ours: {found.totals}, jdupes: {groups} groups, {copies} files"
                )
        assert found is not None
        note = f"{found.files:,} files, {found.totals.groups:,} groups"
        rows.append(
            paired(
                f"duplicates: {case.name}, {name}",
                "s",
                ours,
                theirs,
                peer_name=" ".join(case.peer[:1] + case.peer[3:]),
                aim=case.aim,
                note=note if name == "warm" else f"{note}; {how}",
            )
        )
    return rows


def large(plan: Plan) -> Path:
    """Four times three files of 150 MiB; in two of those one has another byte in the middle."""
    block, root = bytearray(Random(2).randbytes(_MIB)), plan.scratch / "large"
    root.mkdir()
    blocks = 15 if plan.quick else 150
    for number in range(12):
        kind, at = divmod(number, 3)
        with (root / f"{number}.mkv").open("wb") as file:
            for turn in range(blocks):
                block[:8] = kind.to_bytes(4, "big") + turn.to_bytes(4, "big")
                block[9000] = 1 if (at == 2 and kind % 2 and turn == blocks // 2 - 1) else 0
                file.write(block)
    return root


def tiny(plan: Plan) -> Path:
    """100,000 files of 0.1 to 4 kB in 200 folders; a quarter of them are copies."""
    chance, root = Random(1), plan.scratch / "tiny"
    block, count = chance.randbytes(4096), 10_000 if plan.quick else 100_000
    for number in range(count):
        kind = number if number % 4 else chance.randrange(count // 4)
        folder = root / f"{number % 200}"
        folder.mkdir(parents=True, exist_ok=True)
        data = kind.to_bytes(8, "big") + block[: 100 + kind * 7919 % 3900]
        (folder / f"{number}.nfo").write_bytes(data)
    return root


def _jdupes(case: _Case) -> tuple[float, int, int]:
    """Seconds, groups, files in them."""
    started = time.perf_counter()
    done = subprocess.run([*case.peer, str(case.tree)], capture_output=True, text=True, check=False)
    took = time.perf_counter() - started
    if done.returncode:
        raise CannotMeasure(f"jdupes: exit code {done.returncode}")
    groups = [part.strip().splitlines() for part in done.stdout.split("\n\n") if part.strip()]
    return took, len(groups), sum(map(len, groups))


async def _ours(client: SocketClient, tree: Path) -> tuple[float, FoundDuplicates]:
    started = time.perf_counter()
    answer = await client.call(media.FIND_DUPLICATES, FindDuplicates(paths=(PathRef.of(tree),)))
    assert isinstance(answer, Done)
    job = cast(jobs.JobStarted, answer.result)
    async with client.stream(jobs.FOLLOW, jobs.JobId(id=job.job_id)) as changes:
        states = [change async for change in changes]
    took = time.perf_counter() - started
    if not states or states[-1].state is not JobState.DONE:
        raise CannotMeasure(f"the search did not end well: {states[-1:]}")
    return took, FoundDuplicates.model_validate(states[-1].result)


# --- without a peer -------------------------------------------------------------------------------


def _pages(plan: Plan) -> list[Row]:
    """A catalogue of a million files, of which a fifth are copies: counting once, then pages."""
    path, files = plan.scratch / "catalogue.db", 50_000 if plan.quick else 1_000_000
    fill(path, files)
    counting, paging, note = [], [], ""
    for _ in range(min(plan.rounds, 5)):
        began = time.perf_counter()
        snapshot = Snapshot(path.absolute().as_uri(), [1])
        counting.append(time.perf_counter() - began)
        after: Key | None = None
        for sort in ("frees", "count", "path"):
            for _turn in range(5):
                began = time.perf_counter()
                keys = snapshot.page(sort, after, 50)
                paging.append((time.perf_counter() - began) * 1000)
                after = keys[-1]
            after = None
        note = f"{files:,} files, {snapshot.groups:,} groups"
        snapshot.close()
    return [
        versus("duplicates: counted", "s", counting, [], peer_name="", note=note),
        versus("duplicates: a page", "ms", paging, [], peer_name="", note=f"{note}; any order"),
    ]


def fill(path: Path, files: int) -> None:
    """A catalogue of so many made-up files in one library."""
    schema.prepare(path, "catalogue")
    chance = Random(4)
    db = sqlite3.connect(path)
    db.execute("INSERT INTO library (id, root, dev, ino) VALUES (1, ?, 1, 1)", (b"/made-up",))
    columns = "library, path, folded, dev, ino, size, mtime_ns, ctime_ns, nlink, blake3, seen_at"
    rows = (
        (1, b"%d/%d" % (n % 500, n), f"{n}", 1, n, 1 + kind % 4096, n, n, 1, _hash(kind), 0)
        for n in range(files)
        for kind in (n if n % 5 else chance.randrange(files),)
    )
    db.executemany(f"INSERT INTO file ({columns}) VALUES (?,?,?,?,?,?,?,?,?,?,?)", rows)
    db.commit()
    db.close()


def _hash(kind: int) -> bytes:
    return random.Random(kind).randbytes(32)


def _neighbours(plan: Plan) -> Row:
    """Pictures that look alike, of which one in ten has a neighbour."""
    count, chance = 10_000 if plan.quick else 100_000, Random(6)
    shapes = [chance.getrandbits(64) - 2**63 for _ in range(count)]
    for at in range(0, count - 1, 10):
        shapes[at + 1] = shapes[at] ^ 0b101
    took = [_timed(lambda: stars(shapes, shapes, 6)) for _ in range(min(plan.rounds, 5))]
    return versus("pictures alike", "s", took, [], peer_name="", note=f"{count:,} pictures, 6 bits")


def _timed(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began
