"""Vectors that are read in the files of parts: the same as in the database, and never older."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from engine.recall.index import kept, parts, vectors
from engine.recall.index.kept import Kept, Rows
from engine.recall.index.work import Work
from tests.unit.recall.index_house import DIMENSIONS, IndexHouse, packed, vector

WORDS = ("bike", "boat", "moon", "tree", "lamp", "river", "cello", "harbour", "falcon", "tea")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST", 20)
    monkeypatch.setattr(vectors, "MOST", 20)


def told(truth: IndexHouse, count: int, namespace: str = "a", first: int = 0) -> list[int]:
    return [
        truth.note(f"{WORDS[n % 10]} {WORDS[n % 7]} n{n}", namespace)
        for n in range(first, first + count)
    ]


def of(work: Work) -> vectors.Vectors:
    assert work._vectors is not None
    return work._vectors


def in_files(work: Work, ids: list[int]) -> list[int]:
    """Those that are read in a file."""
    wanted = np.asarray(ids, np.int64)
    return wanted[of(work)._table.rows.of(wanted)[0]].tolist()


def in_database(work: Work) -> dict[int, bytes]:
    return dict(work._shelf.db.execute("SELECT memory, data FROM vector"))


def agrees(work: Work, ids: list[int]) -> None:
    """What is read is what the database has, whoever is asked for."""
    known, found = of(work).of(ids[::-1])
    rows = {n: data for n, data in in_database(work).items() if n in set(ids)}
    assert known.tolist() == sorted(rows)
    read = {int(n): row.astype(np.float16).tobytes() for n, row in zip(known, found, strict=True)}
    assert read == rows


def load(work: Work, truth: IndexHouse, *names: str) -> None:
    for name in names:
        space = truth.space(name)
        for number in of(work)._places.numbers(space):
            of(work).part(space, number)


def test_what_is_written_down_is_read_in_its_file(truth: IndexHouse) -> None:
    ids = told(truth, 50)
    with truth.work() as work:
        truth.settle(work)
        assert in_files(work, ids) == []
        work.save({})
        assert in_files(work, ids) == ids
        agrees(work, [*ids, 10_000])
    with truth.work() as work:
        assert in_files(work, ids) == []  # No part is loaded yet.
        agrees(work, ids)
        load(work, truth, "a")
        assert in_files(work, ids) == ids
        agrees(work, ids)


def test_it_is_never_older_than_the_database(truth: IndexHouse) -> None:
    chance, ids = random.Random(8), told(truth, 50)
    with truth.work() as work:
        truth.settle(work)
        for turn in range(40):
            number = chance.choice(ids)
            match chance.randrange(8):
                case 0:
                    truth.change(number, text=f"{chance.choice(WORDS)} anew {turn}")
                case 1:
                    truth.change(number, pinned=chance.randrange(2))
                case 2:
                    truth.forget(ids.pop(ids.index(number)))
                case 3:
                    ids += told(truth, 3, chance.choice("ab"), 100 + 3 * turn)
                case 4:
                    work.save({})
                case 5:
                    of(work)._budget = chance.choice((0, 1 << 30))
                    load(work, truth, "a", "b")
                case 6:  # Another vector of the same memory.
                    data = packed([vector(f"{turn}")])
                    work.vectors({"model": work._model, "ids": [number], "data": data})
                case 7:
                    work.model({"model": f"m{turn}", "dimensions": DIMENSIONS})
            if chance.random() < 0.5:
                work.go_on()
                agrees(work, ids)
            truth.settle(work)
            agrees(work, ids)
        work.save({})
        of(work)._budget = 1 << 30
        load(work, truth, "a", "b")
        assert in_files(work, sorted(ids)) == sorted(ids)


def test_a_file_from_before_a_change_and_a_loss_is_brought_up_to_date(truth: IndexHouse) -> None:
    """As a worker leaves it that is killed before it writes the part down."""
    ids, folder = told(truth, 15), truth.folder / "recall" / "vectors"
    with truth.work() as work:
        truth.settle(work)
        work.save({})
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        truth.change(ids[2], text="Quite another thing.")
        truth.forget(ids[7])
        truth.settle(work)
    for path in folder.iterdir():
        path.unlink()
    for name, data in before.items():
        (folder / name).write_bytes(data)
    with truth.work() as work:
        [near] = of(work).nearest(truth.space("a"), vector("Quite another thing."), 1)
        assert near[0] == ids[2]
        assert near[1] == pytest.approx(1.0, abs=0.01)
        agrees(work, ids)
        work.save({})
        agrees(work, ids)
        assert of(work).remade == []


def test_what_is_forgotten_is_read_nowhere(truth: IndexHouse) -> None:
    ids = told(truth, 30)
    with truth.work() as work:
        truth.settle(work)
        work.save({})
        truth.forget(ids[4])
        work.go_on()
        assert ids[4] not in of(work).of(ids)[0]
        work.forget({})
        assert ids[4] not in of(work).of(ids)[0]


def rows_of(truth: IndexHouse) -> list[Path]:
    return sorted((truth.folder / "recall" / "vectors").glob("*.rows"))


def test_a_file_that_is_damaged_while_it_is_mapped_spoils_nothing(truth: IndexHouse) -> None:
    ids = told(truth, 15)
    with truth.work() as work:
        truth.settle(work)
        work.save({})
        assert in_files(work, ids) == ids
        [path] = rows_of(truth)
        with path.open("r+b") as file:  # In place: the mapping sees it.
            data = bytearray(path.read_bytes())
            for place in range(64 + 8 * 15, len(data), 7):
                data[place] ^= 0x41
            file.write(data)
        agrees(work, ids)
        assert of(work).remade == []


@pytest.mark.parametrize("how", ["gone", "short", "long", "empty", "zeros", "labels", "swapped"])
def test_a_file_that_is_not_right_is_made_anew(truth: IndexHouse, how: str) -> None:
    ids = told(truth, 40)
    with truth.work() as work:
        truth.settle(work)
    one, two = rows_of(truth)
    whole = one.read_bytes()
    if how == "swapped":
        one.write_bytes(two.read_bytes())
        two.write_bytes(whole)
    elif how == "labels":
        one.write_bytes(whole[:70] + bytes([whole[70] ^ 1]) + whole[71:])
    elif how == "zeros":
        one.write_bytes(bytes(len(whole)))
    elif how == "gone":
        one.unlink()
    else:
        one.write_bytes({"short": whole[:-1], "long": whole + b"x", "empty": b""}[how])
    with truth.work() as work:
        load(work, truth, "a")
        agrees(work, ids)
        assert in_files(work, ids) == ids
        assert one.read_bytes() == whole
        assert of(work).remade == []


def test_a_vector_that_a_crash_left_empty_is_read_in_the_database(truth: IndexHouse) -> None:
    ids = told(truth, 15)
    with truth.work() as work:
        truth.settle(work)
    [path] = rows_of(truth)
    whole = path.read_bytes()
    path.write_bytes(whole[: 64 + 8 * 15] + bytes(len(whole) - 64 - 8 * 15))
    with truth.work() as work:
        load(work, truth, "a")
        agrees(work, ids)


@pytest.mark.parametrize("error", [OSError("full"), ValueError("another form")])
def test_without_the_files_the_database_is_enough(
    truth: IndexHouse, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(parts, "write", fails)
    ids = told(truth, 50)
    with truth.work() as work:
        truth.settle(work)
        work.save({})
        assert in_files(work, ids) == []
        agrees(work, ids)
    assert rows_of(truth) == []
    with truth.work() as work:
        assert truth.search(work, "bike boat")
        assert of(work).remade == []


def test_a_part_of_another_form_is_not_taken_apart(truth: IndexHouse, tmp_path: Path) -> None:
    told(truth, 15)
    with truth.work() as work:
        truth.settle(work)
    [path] = (truth.folder / "recall" / "vectors").glob("*.hnsw")
    for dimensions, count in ((DIMENSIONS + 1, 15), (DIMENSIONS, 14)):
        with pytest.raises(ValueError, match="another form"):
            kept.write(tmp_path / "a.rows", path, "of", dimensions, count)
    assert list(tmp_path.glob("a.*")) == []


def test_numbers_beyond_all_bounds_are_read_in_the_database(
    truth: IndexHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_WIDEST", 30)
    ids = told(truth, 50)
    with truth.work() as work:
        truth.settle(work)
        work.save({})
        assert 0 < len(in_files(work, ids)) < 30
        agrees(work, ids)


def test_a_memory_of_two_spaces_is_read_until_both_files_are_gone(truth: IndexHouse) -> None:
    ids = told(truth, 5)
    for number in ids:
        truth.change(number, pinned=1)
    with truth.work() as work:
        truth.settle(work)
        work.save({})
    shared, own = (
        Kept(path, path.read_bytes()[:64].decode(), DIMENSIONS, 5) for path in rows_of(truth)
    )
    rows, wanted = Rows(DIMENSIONS), np.asarray(ids, np.int64)
    rows.add((1, 0), own, [])
    rows.add((0, 0), shared, ids[:1])
    assert rows.of(wanted)[0].tolist() == [False, True, True, True, True]
    rows.drop((1, 0))
    there, found = rows.of(wanted)
    assert there.tolist() == [False, True, True, True, True]
    assert len(found) == 4
    rows.drop((0, 0))
    assert not rows.of(wanted)[0].any()


def test_signs_are_those_of_the_file(truth: IndexHouse) -> None:
    ids = told(truth, 18)
    with truth.work() as work:
        truth.settle(work)
        truth.forget(ids[7])
        truth.settle(work)
        work.save({})
        part = of(work).part(truth.space("a"), 0)
        signs = part.signs()
        assert signs is not None
        left = [n for n in ids if n != ids[7]]
        assert signs.ids.tolist() == left
        for number, row in zip(*of(work).of(left), strict=True):
            ids_of, apart = signs.likely(row, len(left))
            assert apart[ids_of.tolist().index(number)] == 0
