"""The HTML page: one file, nothing from outside, and what names say stays text."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import xml.etree.ElementTree as ET
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcanum_tui.reports.charts import steps
from arcanum_tui.reports.document import share, size
from arcanum_tui.reports.page import page
from tests.unit.reports.samples import report

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=x>",
    "</td></table></style></title>",
    "<!-- ",
    "]]>",
    "&lt;b&gt;",
    "a\x00\x1b[31m\u202eb\n\t",
    "\udcff",
)
names = st.sampled_from(HOSTILE) | st.text(min_size=1, max_size=60)


class Read(HTMLParser):
    """What a browser would see: elements with their attributes' names, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: set[tuple[str, str]] = set()
        self.open: list[str] = []
        self.text = ""
        self.policy = self.style = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes |= {(tag, name) for name, _ in attrs}
        if tag not in {"meta", "rect", "line"}:
            self.open.append(tag)
        if dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"rect", "line"} or self.open[-1] == tag:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes |= {(tag, name) for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text += data


@settings(max_examples=150, deadline=None)
@given(names, st.binary(min_size=1, max_size=40))
def test_no_name_becomes_an_element(name: str, path: bytes) -> None:
    plain, hostile = Read(page(report())), Read(page(report(name, path=path)))
    assert hostile.open == []
    # A chart's bar has a title of its own; nothing else depends on what things are called.
    assert hostile.elements == plain.elements
    assert hostile.attributes == plain.attributes
    assert not [c for c in hostile.text if c < " " and c != "\n"]


@pytest.mark.parametrize("name", HOSTILE[:7])
def test_a_name_is_shown_as_it_is(name: str) -> None:
    assert Read(page(report(name, path=os.fsencode(name)))).text.count(name) >= 5


def test_the_page_needs_nothing_and_lets_nothing_in() -> None:
    text = page(report())
    found = Read(text)
    digest = base64.b64encode(hashlib.sha256(found.style.encode()).digest()).decode()
    rules = dict(rule.split(" ", 1) for rule in found.policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["style-src"] == f"'sha256-{digest}'"
    assert not {"script", "link", "img", "iframe", "object", "a", "form"} & set(found.elements)
    assert not {"src", "href", "style"} & {name for _, name in found.attributes}
    assert not re.search(r"url\(|@import|https?://", text)
    assert "prefers-color-scheme: dark" in found.style
    assert "@media print" in found.style


def test_pictures_say_what_they_show_and_their_numbers_stand_beside() -> None:
    text = page(report(months=30))
    pictures = re.findall(r"<figure>.*?</figure>", text, re.DOTALL)
    assert len(pictures) == 5
    ids: list[str] = []
    for picture in pictures:
        svg = ET.fromstring(re.search(r"<svg.*</svg>", picture, re.DOTALL)[0])  # type: ignore[index]
        assert svg.get("role") == "img"
        named = {child.get("id"): child.text for child in svg if child.get("id")}
        assert set((svg.get("aria-labelledby") or "").split()) == set(named)
        assert all(named.values())
        ids += [str(key) for key in named]
    assert len(ids) == len(set(ids))
    assert text.count("<table>") >= len(pictures)
    assert "9,220,000,000 bytes" in text


@pytest.mark.parametrize("months", [0, 1, 2, 24, 25, 120])
@pytest.mark.parametrize("path", [None, b"x"])
def test_reports_of_any_length(months: int, path: bytes | None) -> None:
    assert Read(page(report(months=months, path=path))).open == []


def test_damage_comes_first_and_nothing_unknown_is_well() -> None:
    assert 'class="bad"' in page(report(damaged=2))
    unknown = page(report())
    assert 'class="warn"' in unknown
    assert 'class="ok"' not in unknown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9_994_999, "9.99 MB"),
        (999_600, "1.00 MB"),
        (39_440_462_955_033, "39.4 TB"),
        (2**63, "9.22 EB"),
    ],
)
def test_sizes(value: int, shown: str) -> None:
    assert size(value) == shown


def test_shares() -> None:
    assert [share(1, 2), share(1, 3), share(1, 10**9), share(0, 5), share(0, 0)] == [
        *("50.0 %", "33.3 %", "< 0.1 %", "", ""),
    ]


@given(st.integers(0, 2**70))
def test_a_scale_reaches_what_it_measures(most: int) -> None:
    marks = steps(most)
    assert marks[0] == 0
    assert marks[-1] >= most
    assert len(marks) <= 6
    assert marks == sorted(set(marks))
