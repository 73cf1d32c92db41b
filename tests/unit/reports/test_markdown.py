"""The Markdown of a report, read as GitHub does: tables, and names that stay text."""

from __future__ import annotations

import os
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from arcanum_tui.reports.markdown import markdown
from engine.contract.base import visible
from tests.unit.reports.samples import report

SIGNS = st.text(alphabet=st.sampled_from("|`\\*_<>[]()!#&~:/.w@a \n-+=1"), min_size=1, max_size=30)
_QUIET = {
    *("text", "code_inline", "text_special", "softbreak"),
    *("strong_open", "strong_close"),
}


def read(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


def cells(tokens: list[Token]) -> list[list[str]]:
    """The tables' rows, each cell as a reader sees it."""
    rows: list[list[str]] = []
    for before, token in pairwise(tokens):
        if before.type == "tr_open":
            rows.append([])
        if before.type in {"td_open", "th_open"}:
            rows[-1].append("".join(child.content for child in token.children or []))
    return rows


@settings(max_examples=150, deadline=None)
@given(SIGNS | st.text(min_size=1, max_size=30))
def test_a_name_is_shown_as_it_is_and_is_nothing_else(name: str) -> None:
    tokens = read(markdown(report(name, path=os.fsencode(name.replace("\0", "")) or b"x")))
    plain = read(markdown(report()))
    assert [token.type for token in tokens] == [token.type for token in plain]
    inline = {child.type for token in tokens for child in token.children or []}
    assert inline <= _QUIET
    shown = [cell for row in cells(tokens) for cell in row]
    assert sum(cell.strip() == visible(name).strip() for cell in shown) >= 5


def test_every_table_is_as_wide_as_its_head() -> None:
    text = markdown(report(months=30))
    heads = text.count("| --- ")
    assert heads
    widths: set[int] = set()
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            widths.add(line.count("|"))
        else:
            assert len(widths) <= 1
            widths = set()


def test_nothing_in_it_becomes_a_link() -> None:
    """GitHub makes links of bare addresses, outside of code."""
    text = markdown(report("https://evil.example www.evil.example a@evil.example"))
    outside = "".join(text.split("`")[::2])
    assert "://" not in outside
    assert "www." not in outside
    assert "a@" not in outside


def test_what_several_libraries_hold_is_told_where_rounding_would_hide_it() -> None:
    found = report()
    total = found.total.model_copy(update={"bytes": 260_000_000, "bytes_once": 259_500_000})
    text = markdown(found.model_copy(update={"total": total}))
    assert "on the disks all of them take 500 kB less than the sum, 260 MB." in text


def test_it_tells_the_numbers() -> None:
    text = markdown(report())
    assert "| pictures | 6,000 | 4.61 GB | 50.0 % |" in text
    assert "| all | 12,000 | 9.22 GB | 100.0 % |" in text
    assert "| 1.00 GB | 2026-11-28 | films | `films` | `dune.mkv` |" in text
