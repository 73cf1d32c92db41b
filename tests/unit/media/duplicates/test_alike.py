"""Neighbours among hashes: all of them, and groups that hang together."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.media.duplicates.alike import _EDGES_MORE, _pairs, stars

_WORDS = st.integers(0, 2**64 - 1)
_MASKS = st.lists(st.integers(0, 63), max_size=12).map(
    lambda bits: sum(1 << bit for bit in {*bits})
)


def signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word


@st.composite
def crowds(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Hashes of which many are near some others."""
    seeds = draw(st.lists(_WORDS, min_size=1, max_size=4))
    members = draw(st.lists(st.tuples(st.sampled_from(seeds), _MASKS, _MASKS), max_size=24))
    return [seed ^ mask for seed, mask, _ in members], [seed ^ mask for seed, _, mask in members]


@settings(deadline=None)
@given(crowds(), st.integers(0, 11))
def test_every_pair_within_the_distance_is_found_and_no_other(
    crowd: tuple[list[int], list[int]], distance: int
) -> None:
    shapes, edges = crowd
    expected = {
        (one, other, (shapes[one] ^ shapes[other]).bit_count())
        for one in range(len(shapes))
        for other in range(one + 1, len(shapes))
        if (shapes[one] ^ shapes[other]).bit_count() <= distance
        and (edges[one] ^ edges[other]).bit_count() <= distance + _EDGES_MORE
    }
    found = [*_pairs([*map(signed, shapes)], [*map(signed, edges)], distance, None)]
    assert sorted(found) == sorted(expected)


@settings(deadline=None)
@given(crowds(), st.integers(0, 11))
def test_everyone_in_a_group_is_near_its_middle_and_in_no_other(
    crowd: tuple[list[int], list[int]], distance: int
) -> None:
    shapes, edges = crowd
    found = stars([*map(signed, shapes)], [*map(signed, edges)], distance)
    assert len({one for one, _middle, _away in found}) == len(found)
    sizes: dict[int, int] = {}
    for one, middle, away in found:
        assert away == (shapes[one] ^ shapes[middle]).bit_count() <= distance
        sizes[middle] = sizes.get(middle, 0) + 1
        assert (middle, middle, 0) in found
    assert all(size > 1 for size in sizes.values())


def test_nobody_is_in_a_group_for_being_like_a_neighbours_neighbour() -> None:
    chain = [0b0, 0b11, 0b1111, 0b111111]
    assert stars(chain, chain, 2) == [(1, 1, 0), (0, 1, 2), (2, 1, 2)]


def test_none_and_one_are_no_groups() -> None:
    assert stars([], [], 6) == stars([1], [1], 6) == []
