"""Whatever of the index cannot be read is made again by itself, and told without a word of it."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.recall.index import harm, worker
from engine.recall.index.finding import Finder
from engine.recall.index.work import Work
from tests.unit.recall.damage import flip
from tests.unit.recall.index_house import IndexHouse, packed, vector

TEXTS = ("The kettle is in the pantry.", "My bicycle is turquoise.", "The lamp is green.")


def database(truth: IndexHouse) -> Path:
    return truth.folder / "recall" / "recall.db"


def written(truth: IndexHouse) -> list[int]:
    """Memories that are in the index, whose process has ended."""
    ids = [truth.note(text) for text in TEXTS]
    with truth.work() as work:
        truth.settle(work)
        work._shelf.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return ids


def asked(truth: IndexHouse, work: Work, query: str) -> dict[str, Any]:
    """As the engine asks: once more where it says so."""
    command = {
        "id": 1, "do": "search", "query": query, "space": truth.space("a"), "limit": 25,
        "now": 0.0, "vector": packed([vector(query)]), "model": work._model, "since": None,
        "until": None, "speaker": "", "kind": "", "typing": False, "rev": truth.rev,
    }  # fmt: skip
    found = worker._answer(work, command)
    if found["k"] == "failed":
        assert "kettl" not in found["message"]
        assert found["again"]
        found = worker._answer(work, command)
    return found


def damage_of(truth: IndexHouse) -> list[str]:
    return [frame["what"] for frame in truth.told if frame["k"] == "damaged"]


def test_a_text_that_is_no_text_costs_no_search(truth: IndexHouse) -> None:
    kettle, bicycle, _lamp = written(truth)
    flip(database(truth), b"kettl")
    with truth.work() as work:
        assert asked(truth, work, "bicycle")["hits"][0][0] == bicycle
        (told,) = damage_of(truth)
        assert "recall.db" in told
        assert "kett" not in told
        truth.settle(work)
        assert truth.search(work, "kettle")[0] == kettle
        assert truth.told[-1] == {"k": "moved", "behind": 0, "to_embed": 0}  # it is as it was
    truth.told.clear()
    with truth.work() as work:
        assert truth.search(work, "kettle")[0] == kettle
        assert damage_of(truth) == []


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE meta SET value = 'x' WHERE name = 'rev'",
        "UPDATE meta SET value = 'x' WHERE name = 'dimensions'",
        "UPDATE meta SET value = 'x' WHERE name = 'last'",
        "UPDATE meta SET value = CAST(x'ff80' AS TEXT) WHERE name = 'truth'",
        "UPDATE place SET pinned = 1",
        "DROP TABLE place",
        "DROP TABLE lexicon",
        "UPDATE entry SET speaker = CAST(x'ff80' AS TEXT)",
        "UPDATE entry SET at = 9e999",
    ],
)
def test_what_does_not_fit_together_is_made_again(truth: IndexHouse, damage: str) -> None:
    kettle, bicycle, lamp = written(truth)
    with closing(sqlite3.connect(database(truth))) as db, db:
        db.execute(damage)
    with truth.work() as work:
        truth.change(kettle, text="The kettle is in the cellar.")
        truth.change(lamp, pinned=1)
        worker._go_on(work, truth.told.append)
        assert asked(truth, work, "bicycle")["hits"][0][0] == bicycle
        while worker._go_on(work, truth.told.append):
            pass
        truth.settle(work)
        assert asked(truth, work, "cellar")["hits"][0][0] == kettle
        assert not [frame for frame in truth.told if frame["k"] == "trouble"]


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bits_anywhere_are_survived(truth: IndexHouse, seed: int) -> None:
    ids, chance = written(truth), random.Random(seed)
    data = bytearray(database(truth).read_bytes())
    for _ in range(60):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    database(truth).write_bytes(data)
    with truth.work() as work:
        truth.note("A boat is in the harbour.")
        for query in ("bicycle", "kettle", "harbour", "green lamp"):
            found = asked(truth, work, query)
            assert found["k"] == "done"
            assert {hit[0] for hit in found["hits"]} <= {*ids, ids[-1] + 1}
        while worker._go_on(work, truth.told.append):
            pass
        assert not [frame for frame in truth.told if frame["k"] == "trouble"]


def test_what_is_in_the_way_costs_nothing(
    truth: IndexHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(truth)
    with truth.work() as work:
        full = sqlite3.OperationalError("disk I/O error")
        full.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE

        def fails(*_arguments: Any) -> Any:
            raise full

        monkeypatch.setattr(Finder, "search", fails)
        found = worker._answer(work, {"do": "search", "id": 1} | query_of(truth))
        assert (found["k"], found["again"], found["disk"]) == ("failed", False, True)
        assert found["message"] == f"{database(truth)}: disk I/O error"
        assert work._shelf.count("vector") == len(TEXTS)
        assert damage_of(truth) == []


def test_a_defect_of_ours_costs_the_index_once(
    truth: IndexHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(truth)
    with truth.work() as work:

        def fails(*_arguments: Any) -> Any:
            raise ValueError("The kettle is in the pantry.")

        monkeypatch.setattr(Finder, "search", fails)
        command = {"do": "search", "id": 1} | query_of(truth)
        assert worker._answer(work, command)["again"]
        truth.settle(work)
        for _ in range(3):
            found = worker._answer(work, command)
            assert not found["again"]
            assert found["message"].startswith("ValueError in engine.recall.index.")
        assert work._shelf.count("vector") == len(TEXTS)


def test_an_index_that_is_damaged_again_and_again_is_not_made_forever(truth: IndexHouse) -> None:
    written(truth)
    with truth.work() as work:
        broken = sqlite3.DatabaseError("database disk image is malformed")
        broken.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        assert [work.mend(broken) for _ in range(5)] == [True, True, True, False, False]


def test_a_truth_that_cannot_be_read_costs_the_index_nothing(truth: IndexHouse) -> None:
    ids = written(truth)
    truth.db.execute("UPDATE memory SET text = CAST(x'6b6574746c80' AS TEXT) WHERE id = ?", ids[:1])
    with truth.work() as work:
        assert not worker._go_on(work, truth.told.append)
        assert "memories could not be read" in truth.told[-1]["message"]
        assert "kettl" not in truth.told[-1]["message"]
        assert work._shelf.count("vector") == len(TEXTS)


def test_vectors_of_another_form_are_refused(truth: IndexHouse) -> None:
    ids = written(truth)
    with truth.work() as work:
        command = {"do": "vectors", "id": 1, "model": work._model, "ids": ids, "data": "AAAA"}
        found = worker._answer(work, command)
        assert (found["k"], found["again"]) == ("failed", False)
        assert work._shelf.count("vector") == len(TEXTS)


@pytest.mark.parametrize("name", ["recall.db", "vectors"])
def test_what_lies_where_the_index_keeps_its_files_is_thrown_away(
    truth: IndexHouse, name: str
) -> None:
    _kettle, bicycle, _lamp = written(truth)
    path = truth.folder / "recall" / name
    if path.is_dir():
        for each in path.iterdir():
            each.unlink()
        path.rmdir()
        path.write_text("It is none of ours.")
    else:
        path.unlink()
        (path / "within").mkdir(parents=True)
    with truth.work() as work:
        truth.settle(work)
        assert truth.search(work, "bicycle")[0] == bicycle


def test_what_is_in_the_way_of_the_folder_is_named(truth: IndexHouse) -> None:
    folder = truth.folder / "recall"
    folder.write_text("A file.")
    told: list[dict[str, Any]] = []
    assert worker._opened(truth.opening, told.append) is None
    assert told[0]["message"] == f"{folder}: a folder belongs here, and this is none"
    folder.unlink()
    work = worker._opened(truth.opening, told.append)
    assert work is not None
    work.close()


def query_of(truth: IndexHouse) -> dict[str, Any]:
    return {
        "query": "bicycle", "space": truth.space("a"), "limit": 5, "now": 0.0, "vector": "",
        "model": "", "since": None, "until": None, "speaker": "", "kind": "", "typing": False,
        "rev": truth.rev,
    }  # fmt: skip


def test_only_what_sqlite_always_says_is_passed_on() -> None:
    path = Path("/x/recall.db")
    text = sqlite3.OperationalError("Could not decode to UTF-8 column 'stems' with text 'kettl'")
    assert harm.told(text, path) == "/x/recall.db: a text in it is damaged"
    with closing(sqlite3.connect(":memory:")) as db, pytest.raises(sqlite3.Error) as caught:
        db.execute("SELECT kettl")
    assert "kettl" not in harm.told(caught.value, path)
