"""A part of the vector index: what hnswlib does not check, and what becomes of its files."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.recall.index.parts import Part, UnusableError

D = 32
RANDOM = np.random.default_rng(7)


def vectors(count: int, dimensions: int = D) -> np.ndarray:
    found = RANDOM.standard_normal((count, dimensions)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def saved(folder: Path, count: int = 200, model: str = "m") -> tuple[Part, np.ndarray]:
    part, found = Part(folder, 1, 0, D, model), vectors(count)
    part.put(range(1, count + 1), found, 5)
    part.save()
    return part, found


def again(folder: Path, dimensions: int = D, model: str = "m") -> Part:
    part = Part(folder, 1, 0, dimensions, model)
    part.load()
    return part


def file_of(folder: Path) -> Path:
    (path,) = folder.glob("*.hnsw")
    return path


def test_it_grows_replaces_and_drops(folder: Path) -> None:
    part, found = Part(folder, 1, 0, D, "m"), vectors(500)
    for start in range(0, 500, 100):
        part.put(range(start, start + 100), found[start : start + 100], start)
    assert len(part) == 500
    assert part.nearest(found[321], 1)[0][0] == 321
    part.put([321], found[:1] * -1, 600)
    assert part.nearest(found[321], 1)[0][0] != 321
    assert len(part) == 500
    part.drop([7, 8, 9999], 601)
    assert {7, 8} & {number for number, _ in part.nearest(found[7], 498)} == set()
    assert len(part.nearest(found[7], 10_000)) == 498  # more than there are is no error
    part.put([7], found[7:8], 602)
    assert part.nearest(found[7], 1)[0][0] == 7


def test_an_empty_part_finds_nothing(folder: Path) -> None:
    assert Part(folder, 1, 0, D, "m").nearest(vectors(1)[0], 5) == []


@pytest.mark.parametrize(
    "bad",
    [
        vectors(1, D + 1),
        vectors(1, 1),
        vectors(2),
        np.full((1, D), np.nan),
        np.full((1, D), np.inf),
    ],
)
def test_what_is_no_vector_never_reaches_the_library(folder: Path, bad: np.ndarray) -> None:
    part, _ = saved(folder)
    with pytest.raises(ValueError, match=r"vector|belongs"):
        part.put([1], bad, 9)
    with pytest.raises(ValueError, match=r"vector|belongs"):
        part.nearest(bad[0] if len(bad) == 1 else vectors(1, 3)[0], 3)


def test_what_was_saved_is_there_again(folder: Path) -> None:
    part, found = saved(folder)
    part.drop([3, 4], 6)
    part.save()
    loaded = again(folder)
    assert loaded.ids == part.ids
    assert loaded.change == 6
    for query in found[:20]:
        assert loaded.nearest(query, 10) == part.nearest(query, 10)
    assert len(list(folder.iterdir())) == 3  # nothing older is left


def test_a_file_for_another_model_or_length_is_not_loaded(folder: Path) -> None:
    saved(folder)
    with pytest.raises(UnusableError, match="another model"):
        again(folder, D * 2)
    with pytest.raises(UnusableError, match="another model"):
        again(folder, model="other")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32), how=st.sampled_from(["flip", "cut", "grow", "empty", "gone"]))
def test_a_damaged_file_is_refused(folder: Path, seed: int, how: str) -> None:
    saved(folder, 50)
    path, chance = file_of(folder), random.Random(seed)
    data = bytearray(path.read_bytes())
    if how == "flip":
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif how == "cut":
        del data[chance.randrange(len(data)) :]
    elif how == "grow":
        data += b"\0" * chance.randrange(1, 100)
    elif how == "empty":
        data.clear()
    path.unlink() if how == "gone" else path.write_bytes(data)
    with pytest.raises(UnusableError):
        again(folder)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"file": "../../x"}', "\x00"])
def test_a_damaged_note_beside_it_is_refused(folder: Path, text: str) -> None:
    saved(folder)
    (folder / "1-0.json").write_text(text)
    with pytest.raises(UnusableError):
        again(folder)


def test_a_note_cannot_lead_elsewhere(folder: Path) -> None:
    saved(folder)
    note = folder / "1-0.json"
    shutil.copy(file_of(folder), folder.parent / "elsewhere.hnsw")
    note.write_text(json.dumps(json.loads(note.read_text()) | {"file": "../elsewhere.hnsw"}))
    with pytest.raises(UnusableError):
        again(folder)


def test_files_that_were_swapped_are_refused(folder: Path) -> None:
    saved(folder)
    first = file_of(folder).read_bytes()
    other = Part(folder, 2, 0, D, "m")
    other.put([1, 2, 3], vectors(3), 5)
    other.save()
    (two,) = folder.glob("2-*.hnsw")
    file_of_one = next(folder.glob("1-*.hnsw"))
    file_of_one.write_bytes(two.read_bytes())
    two.write_bytes(first)
    with pytest.raises(UnusableError):
        again(folder)
    with pytest.raises(UnusableError):
        Part(folder, 2, 0, D, "m").load()


def test_an_erased_vector_is_in_no_file(folder: Path) -> None:
    part, found = saved(folder)
    secret = found[41].tobytes()
    assert secret in file_of(folder).read_bytes()
    part.erase([42], 9)
    part.save()
    assert secret not in file_of(folder).read_bytes()
    assert 42 not in again(folder).ids


def test_it_finds_nearly_what_an_exact_search_finds(folder: Path) -> None:
    part, found = Part(folder, 1, 0, D, "m"), vectors(5_000)
    part.put(range(5_000), found, 1)
    right = 0
    for query in vectors(100):
        exact = set(np.argsort(-(found @ query))[:10].tolist())
        right += len(exact & {number for number, _ in part.nearest(query, 10)})
    assert right / 1_000 >= 0.99
