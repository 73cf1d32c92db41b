"""The catalogue: walking, looking again, rows a second, and very many files in one library.

Ours gives way to other programs where it is asked for through the engine (its worker has nice 10);
the peers do not. Warm: all names are known to the kernel. Cold: its caches are dropped where root
lets us.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from blake3 import blake3

from bench.house import BIN, CannotMeasure, House, move_in
from bench.many import in_folders, in_one_folder
from bench.scan import add, one_scan, run
from bench.table import Aim, Plan, Row, missing, paired, percentile, versus
from bench.tree import chill_names, plant, warm_names
from engine.contract import assets
from engine.media.catalogue import Files
from engine.media.looking import MOST_ROWS
from engine.store import Database, schema

_Rows = list[list[Any]]
FILES = 200_000
_NAMES = "%P\\0%D %i %s %T@ %C@ %n\\0"
_INSERT = """
INSERT INTO file (library, path, folded, dev, ino, size, mtime_ns, ctime_ns, nlink, blake3, seen_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def measure(plan: Plan) -> list[Row]:
    """What is slow to begin with comes last: each part costs its own rows alone."""
    rows: list[Row] = []
    for part in (_walks, _rows_a_second, in_folders, in_one_folder):
        try:
            rows += part(plan)
        except CannotMeasure as error:
            rows.append(missing(f"catalogue: {part.__name__.strip('_')}", "", str(error)))
    return rows


# --- walking, and looking again -------------------------------------------------------------------


def _walks(plan: Plan) -> list[Row]:
    count = FILES // 10 if plan.quick else FILES
    tree = plant(plan.scratch / "catalogue-tree", count)
    house = move_in(plan.scratch / "catalogue")
    name = assets.LibraryName(library=tree.name)
    with house.engine():
        house.ask(lambda client: add(client, tree), within_s=60)
        house.ask(lambda client: one_scan(client, name), within_s=900)
        rows = []
        for state, prepare in (("warm", warm_names), ("cold", chill_names)):
            rows += _turns(plan, house, tree, state, prepare)
    return rows


def _turns(
    plan: Plan, house: House, tree: Path, state: str, prepare: Callable[[Path], str]
) -> list[Row]:
    peers = {
        "rclone size": [str(BIN / "rclone"), "size", str(tree)],
        "find -printf": ["find", str(tree), "-type", "f", "-printf", _NAMES],
    }
    ours = [sys.executable, "-m", "bench.walking", str(tree)]
    name = assets.LibraryName(library=tree.name)
    took: dict[str, list[float]] = {key: [] for key in ("ours", "again", *peers)}
    how = ""
    for _ in range(plan.rounds):
        for key, command in {"ours": ours, **peers}.items():
            how = prepare(tree)
            took[key].append(run(command))
        how = prepare(tree)
        took["again"].append(house.ask(lambda client: one_scan(client, name), within_s=300))
    note = f"{FILES // 10 if plan.quick else FILES:,} files" + (f"; {how}" if how else "")
    rows = [
        paired(f"walk, {state}", "s", took["ours"], took[key], peer_name=key, aim=aim, note=note)
        for key, aim in (("rclone size", Aim(ratio=1.1)), ("find -printf", Aim(ratio=2)))
    ]
    return [
        *rows,
        paired(
            f"scan again, {state}",
            "s",
            took["again"],
            took["ours"],
            peer_name="our bare walk",
            aim=Aim(ratio=1.5),
            note=f"nothing changed; {note}",
        ),
    ]


# --- rows a second --------------------------------------------------------------------------------


def _rows_a_second(plan: Plan) -> list[Row]:
    """What a scan hands over, as many rows as it puts together, into a real catalogue with all its
    indexes: of the tree that is walked, and of one that is as bad as can be.

    There sizes, times and hashes are in no order, so that most of an index is touched each time.
    """
    found = _rows_of(plan.scratch / "catalogue-tree")
    real = list(iter(lambda: list(islice(found, MOST_ROWS)), []))
    worst = 50_000 if plan.quick else 500_000
    mixed = [(start, start + MOST_ROWS) for start in range(0, worst, MOST_ROWS)]
    kinds: dict[str, Callable[[int], Iterable[_Rows]]] = {
        "the tree's files": lambda change: (_changed(rows, change) for rows in real),
        "keys in no order": lambda change: (_mixed(*span, change) for span in mixed),
    }
    rows = []
    for kind, batches in kinds.items():
        count = worst if kind == "keys in no order" else sum(map(len, real))
        taken = []
        for turn in range(plan.rounds):
            path = plan.scratch / f"rows {kind} {turn}.db"
            ours = asyncio.run(_put(path, batches))
            taken.append((*ours, _plain(path.with_suffix(".plain"), batches(0))))
        new, again, bare = zip(*taken, strict=True)
        for what, spent, aim in (("new", new, Aim(12.5)), ("read again and changed", again, Aim())):
            rows.append(
                versus(
                    f"catalogue: a row, {what}, {kind}",
                    "us/row",
                    spent,
                    bare,
                    peer_name="SQLite, the same indexes",
                    aim=aim,
                    note=f"{count:,} rows, {1e6 / percentile(spent, 0.5):,.0f} a second",
                )
            )
    return rows


def _rows_of(tree: Path) -> Iterator[list[Any]]:
    """Rows as a worker tells them, in the order of a walk, with the real hashes."""
    for folder, folders, names in os.walk(tree):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            found = path.stat()
            times = (found.st_mtime_ns, found.st_ctime_ns)
            identity = (found.st_dev, found.st_ino, found.st_size, *times, found.st_nlink)
            yield [str(path.relative_to(tree)), *identity, blake3(path.read_bytes()).hexdigest()]


def _changed(rows: Iterable[list[Any]], change: int) -> _Rows:
    """The same files, changed so much later."""
    return [[*row[:4], row[4] + change, row[5] + change, *row[6:]] for row in rows]


def _mixed(start: int, end: int, change: int) -> _Rows:
    """Rows whose sizes, times and hashes are in no order."""
    chance = random.Random(start)
    day = 86_400 * 10**9
    return [
        [
            f"{n // 500:06}/{n:08}.mkv",
            66,
            n,
            chance.randrange(2**33),
            10**18 + chance.randrange(3_000) * day + change,
            10**18 + change,
            1,
            f"{chance.getrandbits(256):064x}",
        ]
        for n in range(start, end)
    ]


async def _put(path: Path, batches: Callable[[int], Iterable[_Rows]]) -> tuple[float, float]:
    """Microseconds for each row, new and then changed; what makes the rows is left out."""
    database = Database(path, "catalogue", durable=False)
    await database.open()
    try:
        await database.write(
            lambda tx: tx.execute("INSERT INTO library (id, root) VALUES (1, x'2f')")
        )
        files, took = Files(database), []
        for change in (0, 1):
            spent, count = 0.0, 0
            for rows in batches(change):
                began = time.perf_counter()
                await files.put(1, rows, changed=bool(change))
                spent += time.perf_counter() - began
                count += len(rows)
            took.append(spent / count * 1e6)
        return took[0], took[1]
    finally:
        await database.close()


def _plain(path: Path, batches: Iterable[_Rows]) -> float:
    """Microseconds for each row that SQLite alone takes: table and indexes are ours, no trigger."""
    schema.prepare(path, "catalogue")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = NORMAL")
        for (name,) in database.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'file'"
        ).fetchall():
            database.execute(f"DROP TRIGGER {name}")
        spent, count = 0.0, 0
        for rows in batches:
            values = [
                (1, row[0].encode(), row[0], *row[1:7], bytes.fromhex(row[7]), count)
                for row in rows
            ]
            count += len(rows)
            began = time.perf_counter()
            database.execute("BEGIN")
            database.executemany(_INSERT, values)
            database.execute("COMMIT")
            spent += time.perf_counter() - began
        return spent / count * 1e6
