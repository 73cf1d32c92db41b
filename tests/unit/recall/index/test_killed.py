"""``kill -9`` of the worker, at any moment: what it keeps is whole, or is made again."""

from __future__ import annotations

import json
import os
import queue
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pytest

from engine.recall.index import worker
from engine.recall.index.work import Work
from engine.worker import frames
from tests.unit.recall.index_house import DIMENSIONS, MODEL, IndexHouse, packed, vector

KILLS = 50
WORDS = ("bike", "boat", "moon", "tree", "lamp", "river", "cello", "harbour", "tuesday", "falcon")


START = "from engine.recall.index import vectors, worker; vectors.BARE = {}; worker.main()"


class Peer:
    """The worker as the engine starts it; vectors are made here, as the engine does. ``bare``: of
    fewer no graph is made."""

    def __init__(self, house: IndexHouse, bare: int = 1) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", START.format(bare)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parents[4],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[4])},
        )
        self._number = 0
        self._send(house.opening)
        self._answer(0)
        self.ask("model", model=MODEL, dimensions=DIMENSIONS)

    def _send(self, frame: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(frames.encode(frame))
        self._process.stdin.flush()

    def _answer(self, number: int) -> dict[str, Any]:
        output = cast(BinaryIO, self._process.stdout)
        while (frame := frames.read(output)) is not None:
            if frame.get("id") == number and frame["k"] in {"done", "failed"}:
                assert frame["k"] == "done", frame
                return frame
        raise BrokenPipeError

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        self._number += 1
        self._send({"do": do, "id": self._number, **fields})
        return self._answer(self._number)

    def embed(self) -> bool:
        rows = self.ask("texts", most=8)["rows"]
        if rows:
            ids = [number for number, _ in rows]
            found = packed([vector(text) for _, text in rows])
            self.ask("vectors", model=MODEL, ids=ids, data=found)
        return bool(rows)

    def kill_in(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self.kill)
        timer.start()
        return timer

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)

    def wait(self) -> None:
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except BrokenPipeError:
                pass


def work_until_killed(house: IndexHouse, chance: random.Random, bare: int = 1) -> None:
    """Says, changes, forgets and indexes until the worker is gone."""
    peer = Peer(house, bare)
    timer = peer.kill_in(chance.uniform(0.0, 0.25))
    known: list[int] = []
    try:
        while True:
            known.append(house.note(" ".join(chance.choices(WORDS, k=5)), chance.choice("ab")))
            if chance.random() < 0.2:
                house.change(chance.choice(known), text=" ".join(chance.choices(WORDS, k=4)))
            if chance.random() < 0.1:
                house.forget(known.pop(chance.randrange(len(known))))
            if chance.random() < 0.3:
                peer.embed()
            if chance.random() < 0.1:
                peer.ask("save")
    except (BrokenPipeError, ConnectionError, json.JSONDecodeError):
        pass
    finally:
        timer.join()
        peer.wait()


def answers(house: IndexHouse, work: Work) -> dict[tuple[str, str, int], float]:
    """The score of each hit: by word, namespace and memory."""
    return {
        (query, name, hit[0]): round(hit[1], 6)
        for query in WORDS
        for name in "ab"
        for hit in house.found(work, query, name)["hits"]
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_while_parts_get_graphs_and_lose_them_spoil_nothing(truth: IndexHouse) -> None:
    chance = random.Random(20)
    for _ in range(20):
        work_until_killed(truth, chance, chance.choice((1, 40, 1_024)))
    with truth.work() as work:
        truth.settle(work)
        work.save({})
        alive = [row[0] for row in truth.db.execute("SELECT id FROM memory WHERE state = 'live'")]
        vectors = work._vectors
        assert vectors is not None
        rows = dict(work._shelf.db.execute("SELECT memory, data FROM vector"))
        for name in "ab":
            space = truth.space(name)
            [number] = vectors._places.numbers(space)
            part = vectors.part(space, number)
            assert set(vectors._places.members(space, number)) == part.ids <= set(alive)
            known, found = vectors.of(sorted(part.ids))
            read = zip(known.tolist(), found.astype(np.float16), strict=True)
            assert {n: row.tobytes() for n, row in read} == {n: rows[n] for n in part.ids}
        assert sum(map(len, vectors._loaded.values())) == len(alive) == len(rows)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fifty_kills_under_writes_lose_and_double_nothing(
    truth: IndexHouse, tmp_path: Path
) -> None:
    chance = random.Random(50)
    for _ in range(KILLS):
        work_until_killed(truth, chance)
    with truth.work() as work:
        truth.settle(work)
        alive = {row[0] for row in truth.db.execute("SELECT id FROM memory WHERE state = 'live'")}
        shelf = work._shelf
        assert {row[0] for row in shelf.db.execute("SELECT memory FROM place")} == alive
        assert {row[0] for row in shelf.db.execute("SELECT memory FROM vector")} == alive
        keys = [row[0] for row in shelf.db.execute("SELECT key FROM entry")]
        assert len(keys) == len(set(keys)) == len(alive)
        placed = [row[0] for row in shelf.db.execute("SELECT key FROM placed")]
        assert sorted(placed) == sorted(keys)
        counted = dict(shelf.db.execute("SELECT id, entries FROM space").fetchall())
        assert sum(counted.values()) == len(alive)
        work.save({})
        survived = answers(truth, work)
    with truth.work() as work:
        assert answers(truth, work) == survived
    # As good as an index that nobody ever killed: hnswlib may miss one in a hundred.
    fresh = Work(truth.opening | {"folder": str(tmp_path / "anew")}, truth.told.append)
    fresh.model({"model": MODEL, "dimensions": DIMENSIONS})
    truth.settle(fresh)
    ours, theirs = survived, answers(truth, fresh)
    same = ours.keys() & theirs.keys()
    assert all(ours[hit] == theirs[hit] for hit in same)
    assert len(same) >= 0.99 * max(len(ours), len(theirs)) > 0
    fresh.close()


def test_a_worker_that_is_stopped_ends_by_itself_with_its_parent(truth: IndexHouse) -> None:
    peer = Peer(truth)
    pid = peer._process.pid
    assert peer._process.stdin is not None
    peer._process.stdin.close()
    deadline = time.monotonic() + 10
    while peer._process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert peer._process.returncode == 0, pid
    peer.wait()


def test_a_worker_that_nobody_asks_gives_its_memory_back(
    truth: IndexHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = truth.note("My bike is turquoise.")
    commands: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    monkeypatch.setattr(worker, "_IDLE_S", 0.05)
    monkeypatch.setattr(worker, "_LOOK_S", 0.01)
    with truth.work() as work:
        truth.settle(work)
        work.save({})
        worker._serve(work, commands, truth.told.append)  # returns by itself
    with truth.work() as work:
        assert truth.search(work, "bike") == [number]


def test_a_full_disk_is_told_and_tried_again(
    truth: IndexHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = truth.note("My bike is turquoise.")
    with truth.work() as work:
        step = work._follower.step

        def full(*_arguments: Any) -> bool:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

        monkeypatch.setattr(work._follower, "step", full)
        assert not worker._go_on(work, truth.told.append)
        path = truth.folder / "recall" / "recall.db"
        assert truth.told[-1] == {"k": "trouble", "message": f"{path}: database or disk is full"}
        monkeypatch.setattr(work._follower, "step", step)
        truth.told.clear()
        truth.settle(work)
        assert any(frame["k"] == "moved" for frame in truth.told)  # it goes on, and says so
        assert truth.search(work, "bike") == [number]
