"""Texts in passages: nothing is lost, none is too long, and a change stays where it was made."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.recall.passages import MAX_HEADING, MOST, passages, plain, sections

WORDS = ("bike", "chain", "oil", "wheel", "turquoise", "spoke", "valve", "tyre", "pump", "light")


def split(text: str, suffix: str = ".md", title: str = "notes") -> list[str]:
    return list(passages(sections(plain(text), suffix, title)))


def sentences(count: int, seed: int) -> str:
    chance = random.Random(seed)
    return " ".join(
        f"{' '.join(chance.choice(WORDS) for _ in range(9))} {number}." for number in range(count)
    )


def test_a_passage_tells_the_headings_that_it_stands_under() -> None:
    text = "Before.\n\n# Bikes\n\nMine.\n\n## Maintenance\n\nOil it.\n\n# Cars ##\nNone.\n"
    assert split(text) == [
        "notes: Before.",
        "Bikes: Mine.",
        "Bikes > Maintenance: Oil it.",
        "Cars: None.",
    ]


def test_a_heading_with_nothing_below_is_itself_what_is_said() -> None:
    assert split("# To buy\n## Milk\n## Bread\n# Done") == [
        "To buy: Milk",
        "To buy: Bread",
        "notes: Done",
    ]


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".md", "Bikes\n=====\nMine.\n\nMaintenance\n---\nOil it."),
        (".markdown", "---\ntitle: x\n---\n# Bikes\nMine.\n## Maintenance\nOil it."),
        (".rst", "=====\nBikes\n=====\n\nMine.\n\nMaintenance\n-----------\n\nOil it."),
        (".org", "* Bikes\nMine.\n** Maintenance\nOil it."),
    ],
)
def test_every_kind_of_heading_is_known(suffix: str, text: str) -> None:
    assert split(text, suffix)[-2:] == ["Bikes: Mine.", "Bikes > Maintenance: Oil it."]


def test_what_looks_like_a_heading_in_code_is_none() -> None:
    text = "# Setup\n```sh\n# a comment\nmake\n~~~\n```\nDone.\n````\n```\n# more\n````"
    assert split(text) == [f"Setup: {text.partition(chr(10))[2]}"]
    assert split("# not a heading\ntext", ".txt") == ["notes: # not a heading\ntext"]


def test_what_nobody_reads_is_dropped() -> None:
    assert plain("a\x00\x1b[2J\x9b\r\nb\rc\u202ed\ufeff\x85e\x0cf\u2029g\ud800") == (
        "a[2J\nb\ncd\ne\n\nf\n\ng"
    )


def test_a_long_text_is_cut_at_sentences() -> None:
    text = sentences(200, 1)
    found = split(text, ".txt")
    bodies = [passage.removeprefix("notes: ") for passage in found]
    assert all(body.endswith(".") for body in bodies)
    assert all(len(body) <= MOST for body in bodies)
    assert all(len(body) >= MOST / 2 for body in bodies[:-1])
    assert " ".join(bodies) == text


def test_a_change_leaves_the_passages_further_on_as_they_were() -> None:
    before = "\n\n".join(sentences(3, seed) for seed in range(300))
    was, is_ = split(before, ".txt"), split(f"Something new here.\n\n{before}", ".txt")
    assert len(was) > 50
    assert len(set(was) - set(is_)) < 5


def test_a_text_without_any_blank_is_cut_all_the_same() -> None:
    found = split("x" * 10_000, ".txt", "")
    assert "".join(found) == "x" * 10_000
    assert max(map(len, found)) <= MOST


@given(st.text(alphabet=st.sampled_from("ab #=-*`~\n\t.!。\x00\x1b日é😀"), max_size=3_000))
def test_no_word_is_lost_and_no_passage_too_long(text: str) -> None:
    for suffix in (".md", ".txt", ".org"):
        found = split(text, suffix, "t")
        assert all(0 < len(passage) <= MOST + MAX_HEADING + 2 for passage in found)
        said = "".join(found)
        for word in set(re.findall("[ab日é😀]+", plain(text))):
            assert all(char in said for char in word)
    whole = "".join(passage.removeprefix("t: ") for passage in split(text, ".txt", "t"))
    assert "".join(whole.split()) == "".join(plain(text).split())
