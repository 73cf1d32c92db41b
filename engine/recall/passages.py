"""A text in passages: short enough to be recalled whole, each with what it belongs to. Pure.

Passages end where paragraphs or sentences do. Where exactly is decided by the words themselves, so
that a change in one place leaves the passages further on as they were. Standard library only.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator

LEAST = 800
"""Characters from which on a passage may end."""
MOST = 1_200
"""Characters of a passage at most, without what it belongs to."""
MAX_HEADING = 200

Section = tuple[str, str]
"""What it belongs to, and the text."""

# What a file may hold and nobody reads: controls, halves of characters, orders to a terminal.
_DROPPED = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufeff]"
)
_LINE_ENDS = re.compile("\r\n?|[\x85\u2028]")
_BREAKS = re.compile("[\x0c\u2029]")
_PARAGRAPH = re.compile(r"\n(?:[ \t]*\n)+")
_SENTENCE = re.compile(r"(?<=[.!?…;])\s+|(?<=[。！？])")
_ATX = re.compile(r"(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_STARS = re.compile(r"(\*{1,6}) +(.+?) *$")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_BELOW = re.compile(r" {0,3}([=-])\1*[ \t]*$")
_NAME = re.compile(r" {0,3}[^\s>|*+#-][^|]*$")
_LONGEST = 150
"""Characters of a heading: what is longer is text."""
_RULE = re.compile(r"([=\-`:'\"~^_*+#<>])\1{2,}\s*$")


def plain(text: str) -> str:
    """``text`` without control characters, its lines ended by a newline alone."""
    return _DROPPED.sub("", _BREAKS.sub("\n\n", _LINE_ENDS.sub("\n", text)))


def passages(sections: Iterable[Section]) -> Iterator[str]:
    """The passages of all sections, in order. ``Bikes > Maintenance: ...``."""
    for heading, text in sections:
        before = f"{heading[:MAX_HEADING].strip()}: " if heading.strip() else ""
        for body in _pack(_pieces(text)):
            yield before + body


def sections(text: str, suffix: str, title: str) -> Iterator[Section]:
    """The parts of a plain text by its headings. ``title``: what it belongs to where it has none.

    ``suffix`` says how headings are written: ``.md``, ``.markdown``, ``.rst``, ``.org``; any other
    text has none.
    """
    stack: list[tuple[int, str]] = []
    lines: list[str] = []
    for level, line in _marked(text, suffix):
        if not level:
            lines.append(line)
            continue
        yield _section(stack, lines, title, level)
        lines = []
        while stack and stack[-1][0] >= level:
            stack.pop()
        stack.append((level, line))
    yield _section(stack, lines, title, 0)


def _section(stack: list[tuple[int, str]], lines: list[str], title: str, level: int) -> Section:
    """What stands below the last heading. One with nothing below it is itself what is said."""
    text = "\n".join(lines)
    if text.strip() or not stack or level > stack[-1][0]:
        return _path(stack, title), text
    return _path(stack[:-1], title), stack[-1][1]


def _path(stack: list[tuple[int, str]], title: str) -> str:
    """The headings above; of a path that is too long the lower end."""
    full = " > ".join(name for _level, name in stack) or title
    return full if len(full) <= MAX_HEADING else f"…{full[1 - MAX_HEADING :]}"


# --- headings -----------------------------------------------------------------------------------


def _marked(text: str, suffix: str) -> Iterator[tuple[int, str]]:
    """Line by line: the level of a heading and its name, or 0 and the line."""
    lines = text.split("\n")
    match suffix:
        case ".md" | ".markdown":
            yield from _markdown(lines)
        case ".rst":
            yield from _underlined(lines)
        case ".org":
            for line in lines:
                found = _STARS.match(line)
                short = found is not None and len(found[2]) <= _LONGEST
                yield (len(found[1]), found[2]) if found and short else (0, line)
        case _:
            for line in lines:
                yield 0, line


def _markdown(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Headings with signs before or a line below them, and none in code or in the front matter."""
    front = _front_matter(lines)
    for line in lines[:front]:
        yield 0, line
    fence, skip = "", False
    for line, below in zip(lines[front:], [*lines[front + 1 :], ""], strict=True):
        if skip:
            skip = False
            continue
        mark = _FENCE.match(line)
        if mark or fence:
            if not fence:
                fence = mark[1] if mark else ""
            elif mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
                fence = ""
            yield 0, line
        elif (heading := _ATX.match(line)) and 0 < len(heading[2]) <= _LONGEST:
            yield len(heading[1]), heading[2]
        elif (rule := _BELOW.match(below)) and _NAME.match(line) and len(line) <= _LONGEST:
            skip = True
            yield 1 if rule[1] == "=" else 2, line.strip()
        else:
            yield 0, line


def _front_matter(lines: list[str]) -> int:
    """How many lines at the beginning are fields and no text."""
    if lines[0].rstrip() != "---":
        return 0
    ends = (at for at, line in enumerate(lines[1:100], 2) if line.rstrip() == "---")
    return next(ends, 0)


def _underlined(lines: list[str]) -> Iterator[tuple[int, str]]:
    """A level for each sign that underlines, in the order in which they come up."""
    levels: list[str] = []
    skip = False
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if skip:
            skip = False
            continue
        rule = _RULE.match(below)
        if (
            rule
            and 0 < len(line.strip()) <= _LONGEST
            and not _RULE.match(line)
            and len(below) >= len(line.rstrip())
        ):
            if rule[1] not in levels:
                levels.append(rule[1])
            skip = True
            yield levels.index(rule[1]) + 1, line.strip()
        elif not _RULE.match(line):
            yield 0, line


# --- passages -----------------------------------------------------------------------------------


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """What may stand between two ends, with what joins it to the piece before."""
    for paragraph in _PARAGRAPH.split(text):
        yield from _cut(paragraph.strip("\n").rstrip(), "\n\n", _FINER)


Split = tuple[Callable[[str], list[str]], str]
_FINER: tuple[Split, ...] = (
    (lambda text: text.split("\n"), "\n"),
    (_SENTENCE.split, " "),
    (str.split, " "),
    (lambda text: [text[at : at + MOST] for at in range(0, len(text), MOST)], ""),
)


def _cut(text: str, joint: str, finer: tuple[Split, ...]) -> Iterator[tuple[str, str]]:
    """The text whole where it is short enough, else in ever smaller parts."""
    if len(text) <= MOST:
        if text.strip():
            yield joint, text
        return
    split, inner = finer[0]
    for part in split(text):
        yield from _cut(part, joint, finer[1:])
        joint = inner


def _pack(pieces: Iterable[tuple[str, str]]) -> Iterator[str]:
    body = ""
    for joint, piece in pieces:
        if body and len(body) + len(joint) + len(piece) > MOST:
            yield body
            body = ""
        body = f"{body}{joint}{piece}" if body else piece.strip()
        if len(body) >= LEAST and _ends(piece):
            yield body
            body = ""
    if body:
        yield body


def _ends(piece: str) -> bool:
    """Half of all pieces end a passage that is long enough, always the same ones."""
    return bool(zlib.crc32(piece.encode("utf-8", "replace")) & 1)
