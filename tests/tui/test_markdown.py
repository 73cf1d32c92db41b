"""Markdown as lines: what it means, that nothing in it is obeyed, and what it costs to grow."""

from __future__ import annotations

import time
import unicodedata
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len

from arcanum_tui.state.grid import Line
from arcanum_tui.state.inline import flow, inline
from arcanum_tui.state.markdown import LONGEST, Code, Document, codes
from tests.fakes.costs import cpu_time

SAMPLE = """\
# Bikes & *more*

A paragraph with **bold** and `code`,
a second line.

1. first item that is long enough to be wrapped in a narrow terminal
   - nested
     on the next line
2. second

   its second paragraph
- [x] done

> quoted
> > deeper

| Name | Size |
|------|-----:|
| a `x` | 12 |
| **b** | 1,000,000 |

```python
def f(x):
    return x  # not **bold**
```
---
The end, [here](http://example.com/a_b) and ![a cat](cat.png).
"""


def lines(text: str, width: int = 60) -> list[Line]:
    document = Document(width)
    document.feed(text)
    document.end()
    return document.done


def shown(text: str, width: int = 60) -> list[str]:
    return ["".join(p.text for p in line.pieces).rstrip() for line in lines(text, width)]


def looks(text: str) -> list[tuple[str, str]]:
    return [(p.text, p.look) for p in inline(text) if p.text]


# --- what it means --------------------------------------------------------------------------------


def test_blocks_are_laid_out() -> None:
    assert shown(SAMPLE, 44) == [
        "Bikes & more",
        "━━━━━━━━━━━━",
        "",
        "A paragraph with bold and code,",
        "a second line.",
        "",
        "1. first item that is long enough to be",
        "   wrapped in a narrow terminal",
        "   ◦ nested",
        "     on the next line",
        "2. second",
        "",
        "   its second paragraph",
        "• [x] done",
        "",
        "▎ quoted",
        "▎ ▎ deeper",
        "",
        "Name │      Size",
        "─────┼──────────",
        "a x  │        12",
        "b    │ 1,000,000",
        "",
        "│ python",
        "│ def f(x):",
        "│     return x  # not **bold**",
        "────────────────────────────────────────",
        "The end, here (http://example.com/a_b) and",
        "image: a cat (cat.png).",
    ]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("**b** *i* _i_ ~~s~~", [("b", "b"), (" ", ""), ("i", "i"), (" ", ""), ("i", "i"),
                                 (" ", ""), ("s", "s")]),
        ("***both***", [("both", "bi")]),
        ("**out *in* out**", [("out ", "b"), ("in", "bi"), (" out", "b")]),
        ("snake_case_name 5 * 3 * 2", [("snake", ""), ("_", ""), ("case", ""), ("_", ""),
                                       ("name 5 ", ""), ("*", ""), (" 3 ", ""), ("*", ""),
                                       (" 2", "")]),
        ("`a **b**` ``c ` d``", [("a **b**", "c"), (" ", ""), ("c ` d", "c")]),
        (r"\*no\* &lt;b&gt; <b>", [("*", ""), ("no", ""), ("*", ""), (" ", ""), ("<", ""),
                                   ("b", ""), (">", ""), (" <b>", "")]),
        ("[x](http://y)", [("x", "u"), (" (http://y)", "")]),
        ("[http://y](http://y)", [("http://y", "u")]),
        ("[no](", [("[", ""), ("no", ""), ("]", ""), ("(", "")]),
        ("open **bold", [("open ", ""), ("**", ""), ("bold", "")]),
    ],
)  # fmt: skip
def test_emphasis_code_and_links(text: str, pieces: list[tuple[str, str]]) -> None:
    assert looks(text) == pieces


def test_what_will_be_bold_or_code_is_shown_so_while_it_is_written() -> None:
    document = Document(60)
    document.feed("It is **very ")
    (line,) = document.tail()
    assert [(p.text, p.look) for p in line.pieces] == [("It is ", ""), ("very", "b")]
    document.feed("big**, `ls")
    (line,) = document.tail()
    assert "".join(p.text for p in line.pieces) == "It is very big, ls"


@pytest.mark.parametrize("begun", ["-", "- ", "##", "1", "12.", "``", "```"])
def test_the_sign_of_a_block_alone_is_not_shown_yet(begun: str) -> None:
    document = Document(60)
    document.feed(f"Text.\n\n{begun}")
    assert document.tail() == []


def test_lists_are_nested_by_any_indentation() -> None:
    assert shown("- a\n  - b\n    - c\n- d\n    1. e") == [
        "• a", "  ◦ b", "    ▪ c", "• d", "  1. e",
    ]  # fmt: skip


def test_a_year_at_the_beginning_of_a_line_is_no_list() -> None:
    assert shown("It was in the year\n1986. A good one.") == [
        "It was in the year", "1986. A good one.",
    ]  # fmt: skip


def test_a_fence_that_nobody_closes_is_code_to_the_end() -> None:
    assert shown("```\n**x**\n# y") == ["│ **x**", "│ # y"]


def test_blocks_of_code_are_found_as_they_were_written() -> None:
    text = "a\n```py\nx = 1\n\n\ty = 2\n```\n- b\n  ~~~~\n  ```\n  z\n  ~~~~\n```sh\nls"
    assert codes(text) == [
        Code("py", "x = 1\n\n\ty = 2"), Code("", "```\nz"), Code("sh", "ls"),
    ]  # fmt: skip


def test_a_very_long_line_of_code_stays_one_line() -> None:
    line = "# " + "x " * (2 * LONGEST)
    assert codes(f"```\n{line}\nend\n```") == [Code("", f"{line}\nend")]
    document = Document(60)
    for at in range(0, 9_000, 700):
        document.feed(f"```\n{line}"[at : min(at + 700, 9_000)])
        document.tail()
    joints = [made.joint for made in document.done]
    assert joints.count("\n") == 1


def test_a_table_is_made_to_fit() -> None:
    text = "|a|b|\n|-|-|\n|one two three four five|six seven eight nine ten eleven|"
    made = shown(text, 24)
    assert max(map(cell_len, made)) <= 24
    assert made[0].startswith("a")
    assert " ".join(" ".join(made).replace("│", " ").split()).count("seven") == 1
    wide = "|" + "a|" * 40 + "\n|" + "-|" * 40 + "\n"
    assert "".join(shown(wide, 24)).count("a") == 40


# --- hostile --------------------------------------------------------------------------------------

ANYTHING = st.text(
    st.one_of(st.sampled_from("*_~`#>|-+1. \n\t[](){}!<&;\\:\"'abc"), st.characters()), max_size=300
)


@given(ANYTHING, st.lists(st.integers(1, 40), max_size=30), st.integers(1, 70))
@settings(max_examples=300)
def test_it_looks_the_same_however_it_came(text: str, cuts: list[int], width: int) -> None:
    document, at = Document(width), 0
    for cut in cuts:
        before = list(document.done)
        document.feed(text[at : at + cut])
        document.tail()
        assert document.done[: len(before)] == before
        at += cut
    document.feed(text[at:])
    document.end()
    assert document.done == lines(text, width)


@given(ANYTHING, st.integers(1, 70))
@settings(max_examples=300)
def test_every_line_fits_and_nothing_in_it_is_obeyed(text: str, width: int) -> None:
    for line in lines(text, width):
        said = "".join(p.text for p in line.pieces)
        assert cell_len(said) <= max(16, width)
        assert not [c for c in said if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}]
        assert not set(said) & set("\u202e\u2066\u200f")
        assert 0 <= line.lead <= len(said)


@given(st.lists(st.sampled_from(["**b**", "`c c`", "word", "映画", "[l](u)", "_x_"]), max_size=60))
def test_wrapped_text_can_be_put_together_again(words: list[str]) -> None:
    pieces = inline(" ".join(words))
    whole = "".join(p.text for p in pieces)
    made = flow(pieces, 17)
    again = "".join(
        ("" if index == 0 else line.joint) + "".join(p.text for p in line.pieces)
        for index, line in enumerate(made)
    )
    assert again == whole


@pytest.mark.parametrize("text", [SAMPLE, *SAMPLE.split("\n\n")])
def test_it_says_what_a_reference_implementation_says(text: str) -> None:
    """Letters and digits, in their order: of markdown-it on one side, of ours on the other."""
    found = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        for child in token.children or [token]:
            if child.type in {"text", "code_inline", "fence", "image"}:
                found.append(child.info + child.content)
            if (address := child.attrs.get("src") or child.attrs.get("href")) is not None:
                found.append(f"\0{address}")
    theirs = "".join(found)
    ours = "".join(shown(text, 200)).replace("image:", "")
    assert sorted(c for c in theirs if c.isalpha()) == sorted(c for c in ours if c.isalpha())


HOSTILE = {
    "asterisks": "*" * 200_000,
    "openers": "*a" * 50_000,
    "closers": "a*_" * 30_000,
    "brackets": "[x](" * 25_000,
    "ticks": "` `` " * 20_000,
    "quotes": ">" * 100_000,
    "nested lists": "".join("  " * i + "- x\n" for i in range(300)),
    "items in items": "- " * 50_000,
    "one long line": "x" * 200_000,
    "a long paragraph": "word " * 40_000,
    "a long table": "|a|b|\n|-|-|\n" + "|1|2|\n" * 5_000,
    "bars": "|" * 100_000,
    "wide": "映" * 50_000,
    "entities": "&#" * 50_000,
    "line breaks": "\n" * 200_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_costs_no_more_than_its_length(name: str) -> None:
    """A fourteenth of a second is what an update may take: they are far below, at every length."""
    text = HOSTILE[name]
    step = max(1, len(text) // 40)
    tails: list[float] = []

    def streamed() -> None:
        document, of_tails = Document(100), 0.0
        for at in range(0, len(text), step):
            for inner in range(at, min(len(text), at + step), 1_000):
                document.feed(text[inner : min(at + step, inner + 1_000)])
            since = time.thread_time()
            document.tail()
            of_tails += time.thread_time() - since
        tails.append(of_tails)

    assert cpu_time(streamed) < 5
    assert min(tails) / 40 < 0.05


def test_a_long_answer_costs_as_much_at_its_end_as_at_its_beginning() -> None:
    """Twenty thousand tokens, painted token by token."""
    text = SAMPLE * 190
    assert len(text) > 80_000

    def streamed(length: int) -> None:
        document = Document(100)
        for at in range(0, length, 24):
            document.feed(text[at : at + 24])
            document.tail()

    half, whole = (cpu_time(partial(streamed, length)) for length in (len(text) // 2, len(text)))
    assert whole < 4 * half + 0.2
    assert whole < 5


def test_a_paragraph_without_an_end_is_settled_piece_by_piece() -> None:
    document = Document(80)
    document.feed("word " * LONGEST)
    assert sum(len(p.text) for line in document.tail() for p in line.pieces) <= 2 * LONGEST
    assert document.done
