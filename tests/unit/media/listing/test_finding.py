"""The first rows by columns are those that sorting all rows gives, whatever lies where."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.assets import ListAssets
from engine.contract.base import PathRef
from engine.media.catalogue import fold
from engine.media.listing import columns, finding, packing
from engine.media.listing.aside import Reading
from engine.media.listing.matching import Mark, match, phases
from engine.media.listing.packing import ARRAYS, BITS
from engine.media.listing.texts import Texts
from engine.store import schema

PARTS = ["a", "b", "a.b", "a0", "A", "\u00c4", "film", "aa", "\x01"]
"""What comes before and behind a slash in the order of bytes, and what folding changes."""
PATHS = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map("/".join)
NUMBERS = st.integers(-3, 3) | st.sampled_from([-(2**63), 2**63 - 1])


@pytest.fixture(autouse=True)
def in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in (
        (packing, "WORTH", 0), (packing, "_DENSE", 1), (packing, "_FEW", 0), (finding, "_SPARE", 1),
        (columns, "_TOGETHER", 2), (columns, "_TEXTS_AT_ONCE", 2), (columns, "_MOST_MISSING", 100),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)


@pytest.fixture
def reading(tmp_path: Path) -> Iterator[Reading]:
    """Of an empty catalogue; what is written into it is seen."""
    path = tmp_path / "catalogue.db"
    schema.prepare(path, "catalogue")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        yield Reading(db, threading.Event())


def fill(reading: Reading, chance: random.Random, rows: list[tuple[Any, ...]]) -> None:
    """The rows with ids here and there in a few blocks, some of which are not there."""
    reading.all("DELETE FROM file")
    for library in (1, 2):
        reading.all("INSERT OR IGNORE INTO library (id, root) VALUES (?, x'2f')", (library,))
    ids = sorted(chance.sample(range(1, 6 << BITS), len(rows)))
    for id_, (path, size, changed, taken, library) in zip(ids, rows, strict=True):
        reading.all(
            "INSERT OR IGNORE INTO file (id, library, path, folded, dev, ino, size, mtime_ns,"
            " ctime_ns, nlink, seen_at, first_seen_at, taken_at)"
            " VALUES (?, ?, ?, ?, 1, ?, ?, ?, 0, 1, 0, ?, ?)",
            (id_, library, path.encode(), fold(path.encode()), id_, size, changed, -size, taken),
        )


FILES = st.lists(
    st.tuples(PATHS, st.integers(0, 3), NUMBERS, st.none() | NUMBERS, st.sampled_from([1, 2])),
    min_size=1,
    max_size=40,
)
ASKED = st.fixed_dictionaries(
    {
        "filter": st.sampled_from(["", "a", "/", "m\0a", "a/", "/a", "b/a", "\u00e4", "l/f", "zz"]),
        "under": st.sampled_from([None, PathRef.of(b"a"), PathRef.of(b"a/b"), PathRef.of(b"no")]),
        "direct": st.booleans(),
        "sort": st.sampled_from(["path", "size", "modified", "added", "taken"]),
        "reverse": st.booleans(),
        "limit": st.sampled_from([1, 3, 100]),
    }
)


@settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
@given(FILES, ASKED, st.sampled_from([(1,), (2,), (1, 2)]), st.randoms(use_true_random=False))
def test_pages_by_columns_are_the_sorted_rows(
    reading: Reading,
    rows: list[tuple[Any, ...]],
    asked: dict[str, Any],
    libraries: tuple[int, ...],
    chance: random.Random,
) -> None:
    fill(reading, chance, rows)
    request = ListAssets.model_validate({"library": "films", **asked})
    found, limit = match(libraries, request), request.limit
    order = phases(request.sort, reverse=request.reverse)
    wanted: list[Mark] = []
    for number, phase in enumerate(order):
        told = reading.all(
            f"SELECT f.id, {phase.key} AS k FROM file f WHERE {found.condition}"
            f" AND {phase.where or '1'} ORDER BY {phase.order.replace('id', 'f.id')}",
            found.bound,
        )
        wanted += [Mark(number, key, id_) for id_, key in told]
    met: list[Mark] = []
    while len(met) <= len(wanted):
        some = finding.first(reading, found, order, met[-1] if met else None, limit)
        assert some is not None
        met += some
        if len(some) < limit:
            break
    assert met == wanted
    if request.sort != "path":
        order_of_all = finding.ordered(reading, found, order)
        assert order_of_all is not None
        assert [*order_of_all] == [mark.id for mark in wanted]
    ids = finding.matching(reading, found, len(wanted))
    assert ids is not None
    assert sorted(ids) == sorted(mark.id for mark in wanted)
    if wanted:
        assert finding.matching(reading, found, len(wanted) - 1) is None


@settings(max_examples=300)
@given(st.lists(PATHS, min_size=1, max_size=30), st.text("ab/.0\u00e4lm\0", max_size=5))
def test_a_path_contains_what_its_text_contains(paths: list[str], needle: str) -> None:
    raw = [path.encode() for path in paths]
    folders = [*dict.fromkeys(path.rpartition(b"/")[0] for path in raw)]
    place = [folders.index(path.rpartition(b"/")[0]) for path in raw]
    folded = [fold(path).encode() for path in raw]
    by_place = {folders.index(p.rpartition(b"/")[0]): f for p, f in zip(raw, folded, strict=True)}
    texts = Texts(
        np.array(place, ARRAYS["folder"]).tobytes(),
        b"\0".join(folders),
        b"\0".join(path.rpartition(b"/")[2] for path in raw),
        b"\0".join(by_place[place].rpartition(b"/")[0] for place in range(len(folders))),
        b"\0".join(text.rpartition(b"/")[2] for text in folded),
    )
    rows = np.arange(len(paths))
    if needle:
        holds = texts.hold(rows, needle.encode()).tolist()
        assert holds == [needle.encode() in text for text in folded]
        assert not (texts.lacks(needle.encode()) and any(holds))
    assert texts.paths(rows) == raw
