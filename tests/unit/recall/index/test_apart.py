"""Namespaces are apart by construction, whatever was done in them."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.recall.index import finding, narrow, parts, signs, vectors
from engine.recall.index.shelf import key_of, memory_of, span
from tests.unit.recall.index_house import index_house

WORDS = st.lists(
    st.sampled_from(["bike", "boat", "moon", "tree", "lamp", "sea"]), min_size=1, max_size=4
)
DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["say", "say", "say", "forget", "edit", "pin", "unpin"]),
        st.integers(0, 3),
        WORDS,
        st.integers(0, 30),
    ),
    min_size=1,
    max_size=25,
)  # fmt: skip


NAMES = st.lists(st.text("ab/:-é ☃", min_size=1, max_size=4), min_size=4, max_size=4, unique=True)
FILTERS: list[dict[str, Any]] = [{}, {"kind": "note"}, {"speaker": "Ann"}, {"since": 1.0}]


@pytest.mark.parametrize("small", [False, True])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds=DEEDS, names=NAMES)
def test_nothing_of_another_namespace_is_ever_found(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    deeds: list[tuple[str, int, list[str], int]],
    names: list[str],
    small: bool,
) -> None:
    """Whatever was done: what a namespace finds is its own or pinned, and what others say changes
    neither what it finds nor how that scores. ``small``: as in a large one, by graphs and signs."""
    if small:
        for module, limit, value in (
            (finding, "POOL", 0),
            (narrow, "FEW", 0),
            (signs, "_LEAST", 1),
            (parts, "MOST", 4),
            (vectors, "MOST", 4),
        ):
            monkeypatch.setattr(module, limit, value)
    with index_house(tmp_path_factory.mktemp("truth")) as truth, truth.work() as work:
        spaces: dict[int, str] = {}
        pinned: set[int] = set()
        for deed, place, words, which in deeds:
            ids, name = list(spaces), names[place]
            if deed == "say" or not ids:
                speaker = "Ann" if which % 2 else ""
                spaces[truth.note(" ".join(words), name, speaker=speaker)] = name
                continue
            number = ids[which % len(ids)]
            if deed == "forget":
                truth.forget(number)
                del spaces[number]
                pinned.discard(number)
            elif deed == "edit":
                truth.change(number, text=" ".join(words))
            else:
                truth.change(number, pinned=deed == "pin")
                (pinned.add if deed == "pin" else pinned.discard)(number)
        truth.settle(work)
        work.save({})
        for name, wanted in product(names, FILTERS):
            for query in ("bike boat moon tree lamp sea", "moon"):
                found = truth.search(work, query, name, **wanted)
                assert all(spaces[number] == name or number in pinned for number in found)
        before = truth.found(work, "moon tree", names[0])["hits"]
        for _ in range(5):
            truth.note("moon moon tree", "elsewhere")
        truth.settle(work)
        assert truth.found(work, "moon tree", names[0])["hits"] == before


def test_the_key_alone_tells_the_namespace() -> None:
    keys = [key_of(space, number) for space in (0, 1, 2, 2**31 - 1) for number in (1, 2**32 - 1)]
    assert keys == sorted(keys)
    assert all(key < 2**63 for key in keys)
    for key in keys:
        low, high = span(key >> 32)
        assert low <= key <= high
        assert key == key_of(key >> 32, memory_of(key))
