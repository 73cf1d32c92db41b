"""Markdown that grows at its end, as lines for a terminal. Pure.

A line at a time: what a finished paragraph, row or line of code looks like is settled once, and
what comes later costs only the last of them. Lenient where models are (nested lists by any
indentation, fences that nobody closes), bounded where text can be hostile: nothing is nested
deeper, and no paragraph is longer, than a few constants.
"""

from __future__ import annotations

import re
from copy import copy
from dataclasses import dataclass, field, replace

from rich.cells import cell_len

from arcanum_tui.state.grid import Line, Piece, Tone, breaks
from arcanum_tui.state.inline import flow, inline
from arcanum_tui.state.table import is_delimiter, table
from arcanum_tui.state.text import clean

LONGEST = 2_000
"""A paragraph of more characters is continued in another one."""

DEEPEST = 8
"""Lists and quotes are nested so deep at most."""

MOST_ROWS = 60
"""A table of more rows is continued in another one."""

_ITEM = re.compile(r" *(?P<marker>[-*+•]|\d{1,9}[.)])(?P<gap> +|$)")
_RULE = re.compile(r" {0,3}([-*_])(?: *\1){2,} *$")
_HEADING = re.compile(r" {0,3}(?P<marks>#{1,6})(?: +|$)")
_UNDERLINE = re.compile(r" {0,3}={2,} *$")
_FENCE = re.compile(r" *(?P<fence>`{3,}|~{3,}) *(?P<words>[^`]*)$")
_QUOTE = re.compile(r" {0,3}> ?")
_HELD = re.compile(r" *(?:[-*+#]{1,6}|\d{1,9}[.)]?|[`~]{1,2}) *$")
_BULLETS = "•◦▪"


@dataclass(frozen=True, slots=True)
class Code:
    """A block of code, as it was written."""

    language: str
    text: str


@dataclass(slots=True)
class _Item:
    """A list item: the column of its marker, and what stands before its text."""

    at: int
    marker: str
    fresh: bool = True


@dataclass(slots=True)
class _Leaf:
    """What holds text: a paragraph, a heading, code, or a table. ``fence`` closes code."""

    kind: str
    lines: list[str] = field(default_factory=list)
    size: int = 0
    level: int = 0
    fence: str = ""
    indent: int = 0
    quotes: int = 0

    def add(self, line: str) -> None:
        self.lines.append(line)
        self.size += len(line) + 1


class Document:
    """Lines of at most ``width`` cells. ``done`` only ever grows; ``tail`` is what may change."""

    def __init__(self, width: int) -> None:
        self.width = max(16, width)
        self.done: list[Line] = []
        self.codes: list[Code] = []
        self._rest = ""
        self._leaf: _Leaf | None = None
        self._items: list[_Item] = []
        self._quotes = self._barred = 0
        self._blank = self._any = self._growing = self._cut = False

    def feed(self, text: str) -> None:
        """More of the text came."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._line(self._short(line))
        self._rest = self._short(self._rest)

    def _short(self, line: str) -> str:
        """The end of a line; so much before it that it is not too long is settled."""
        while len(line) > LONGEST:
            self._line(line[:LONGEST])
            self._cut = True
            line = line[LONGEST:]
        return line

    def end(self) -> None:
        """No more comes."""
        rest, self._rest = self._rest, ""
        if rest:
            self._line(rest)
        self._close()
        if self._items and self._items[-1].fresh:
            self._emit([Line()])

    def tail(self) -> list[Line]:
        """The lines behind ``done`` as they would be if no more came."""
        return copy(self).ended()

    def ended(self) -> list[Line]:
        """Ends this copy, without a trace in what it was made of; the lines that it adds."""
        self.done, self.codes, self._growing = [], [], True
        self._items = [replace(item) for item in self._items]
        if self._leaf is not None:
            self._leaf = replace(self._leaf, lines=list(self._leaf.lines))
        if _HELD.match(self._rest):
            self._rest = ""
        self.end()
        return self.done

    # --- lines ----------------------------------------------------------------------------------

    def _line(self, line: str) -> None:
        line, leaf = line.removesuffix("\r"), self._leaf
        cut, self._cut = self._cut, False
        if leaf is not None and leaf.kind == "code":
            if cut:
                self._code_goes_on(line, leaf)
                return
            quotes, text = _unquote(line, leaf.quotes)
            if quotes == leaf.quotes:
                self._code(text, leaf)
                return
        quotes, text = _unquote(line.expandtabs(4))
        if cut and leaf is not None and leaf.kind == "text":
            self._add(leaf, line)
            return
        continues = leaf is not None and leaf.kind == "text" and _begins(text) is None
        if quotes != self._quotes and not (quotes < self._quotes and continues and text.strip()):
            self._close()
            self._items.clear()
            self._blank = self._blank or quotes > self._quotes == 0
            self._quotes = quotes
        if text.strip():
            self._place(text)
        else:
            self._close()
            self._blank = True

    def _place(self, text: str) -> None:
        """Puts a line that holds something where it belongs."""
        leaf, indent = self._leaf, len(text) - len(text.lstrip(" "))
        if leaf is not None and self._goes_on(leaf, text, indent):
            return
        begins = _begins(text)
        if begins == "item" and self._item(text, indent):
            return
        if leaf is not None and leaf.kind == "text" and begins in {None, "item"}:
            self._add(leaf, text)
            return
        self._close()
        while self._items and indent < self._items[-1].at + 2:
            self._leave_item()
        self._begin(begins, text, indent)

    def _goes_on(self, leaf: _Leaf, text: str, indent: int) -> bool:
        """Whether the line only means something behind the leaf before it, and was taken in."""
        if leaf.kind == "pre" and indent >= leaf.indent:
            self._emit(self._block(text[leaf.indent :]))
        elif leaf.kind == "table" and "|" in text and _begins(text) is None:
            if len(leaf.lines) >= MOST_ROWS:
                self._close()
                leaf = self._leaf = _Leaf("table", leaf.lines[:2])
            leaf.add(text)
        elif leaf.kind == "text" and _UNDERLINE.match(text):
            leaf.kind, leaf.level = "heading", 1
            self._close()
        elif leaf.kind == "text" and is_delimiter(text, leaf.lines[-1]):
            header = leaf.lines.pop()
            self._close()
            self._leaf = _Leaf("table", [header, text])
        else:
            return False
        return True

    def _item(self, text: str, indent: int) -> bool:
        """Begins a list item; False where the line is none after all."""
        found = _ITEM.match(text)
        if found is None or len(self._items) >= DEEPEST:
            return False
        marker = found["marker"]
        if self._leaf is not None and not self._items and marker[:-1] not in {"", "1"}:
            return False  # "in the year\n1986. It was" is no list.
        self._close()
        while self._items and indent < self._items[-1].at + 2:
            self._leave_item()
        if len(marker) == 1:
            marker = _BULLETS[min(len(self._items), len(_BULLETS) - 1)]
        self._items.append(_Item(indent, f"{marker} "))
        content = text[found.end() :]
        if content.strip():
            self._place(" " * found.end() + content)
        return True

    def _leave_item(self) -> None:
        if self._items[-1].fresh:
            self._emit([Line()])
        self._items.pop()

    def _begin(self, begins: str | None, text: str, indent: int) -> None:
        match begins:
            case "rule":
                self._emit([Line((Piece("─" * min(40, self._room()), "rule"),))])
            case "heading":
                marks = _HEADING.match(text)
                assert marks is not None
                said = re.sub(r" +#+ *$", "", text[marks.end() :]).strip()
                self._leaf = _Leaf("heading", [said], level=len(marks["marks"]))
                self._close()
            case "fence":
                self._open_code(text, indent)
            case _ if indent >= 4 and not self._items:
                self._leaf = _Leaf("pre", indent=indent)
                self._emit(self._block(text[indent:]))
            case _:
                self._leaf = _Leaf("text")
                self._add(self._leaf, text)

    def _add(self, leaf: _Leaf, text: str) -> None:
        if leaf.size + len(text) > LONGEST and leaf.lines:
            self._close()
            leaf = self._leaf = _Leaf("text")
        leaf.add(text.strip().removesuffix("\\"))

    # --- code -----------------------------------------------------------------------------------

    def _open_code(self, text: str, indent: int) -> None:
        found = _FENCE.match(text)
        assert found is not None
        words = found["words"].split()
        language = words[0][:40] if words else ""
        self._leaf = _Leaf("code", [language], 0, 0, found["fence"], indent, self._quotes)
        if language:
            self._emit(self._block(language, "muted"))

    def _code(self, line: str, leaf: _Leaf) -> None:
        bare = line.strip()
        if bare.startswith(leaf.fence) and not bare.strip(leaf.fence[0]):
            self._close()
            return
        line = line[min(leaf.indent, len(line) - len(line.lstrip(" "))) :]
        leaf.add(line)
        self._emit(self._block(line))

    def _code_goes_on(self, line: str, leaf: _Leaf) -> None:
        """The rest of a line that was too long."""
        leaf.lines[-1] += line
        self._emit([replace(made, joint=made.joint.strip("\n")) for made in self._block(line)])

    # --- making lines ---------------------------------------------------------------------------

    def _room(self) -> int:
        return self.width - 2 * self._bars() - sum(len(item.marker) for item in self._indents())

    def _bars(self) -> int:
        return min(self._quotes, self.width // 8)

    def _indents(self) -> list[_Item]:
        """The items that text is indented by: half of the width is left to the text."""
        found: list[_Item] = []
        left = self.width // 2 - 2 * self._bars()
        for item in reversed(self._items):
            left -= len(item.marker)
            if left < 0:
                break
            found.insert(0, item)
        return found

    def _close(self) -> None:
        """The leaf is complete: what it looks like is settled."""
        leaf, self._leaf = self._leaf, None
        if leaf is None or not leaf.lines:
            return
        room = self._room()
        match leaf.kind:
            case "text":
                self._emit(flow(inline("\n".join(leaf.lines), growing=self._growing), room))
            case "heading":
                self._heading(leaf, room)
            case "table":
                self._emit(table(leaf.lines, room))
            case "code":
                self.codes.append(Code(leaf.lines[0], "\n".join(leaf.lines[1:])))

    def _heading(self, leaf: _Leaf, room: int) -> None:
        self._blank = True
        said = inline(" ".join(leaf.lines), growing=self._growing)
        tone: Tone = "title" if leaf.level < 3 else "strong"
        made = [Piece(p.text, tone, p.look + "b") for p in said]
        lines = flow(made, room)
        if leaf.level == 1:
            widest = max(sum(cell_len(p.text) for p in line.pieces) for line in lines)
            lines.append(Line((Piece("━" * widest, "rule"),)))
        self._emit(lines)

    def _emit(self, lines: list[Line]) -> None:
        """Settles lines, each behind the bars of its quotes and the marker of its item."""
        depth = self._bars()
        bars = (Piece("▎ " * depth, "rule"),) if depth else ()
        if self._blank and self._any:
            between = min(depth, self._barred)
            self.done.append(Line((Piece("▎ " * between, "rule"),), lead=2 * between))
        self._blank, self._any, self._barred = False, True, depth
        for line in lines:
            before = (*bars, *self._markers())
            # The indent of a line that was only wrapped, or of code, is none of the text.
            wrapped = line.lead or line.joint != "\n"
            lead = sum(len(p.text) for p in before) if wrapped else 2 * depth
            self.done.append(Line((*before, *line.pieces), lead + line.lead, line.joint))

    def _markers(self) -> list[Piece]:
        found = [
            Piece(item.marker if item.fresh else " " * len(item.marker), "key")
            for item in self._indents()
        ]
        for item in self._items:
            item.fresh = False
        return found

    def _block(self, text: str, tone: Tone = "plain") -> list[Line]:
        """A line of code, wrapped to the room there is and padded: its ground is a block."""
        text, room = clean(text.expandtabs(4)), self._room() - 2
        found, before = [], 0
        for start, end in breaks(text, room):
            part = text[start:end]
            padded = Piece(part + " " * (room - cell_len(part)), tone, "c")
            joint = "\n" if start == 0 else " " if start > before else ""
            found.append(Line((Piece("│ ", "rule"), padded), 2, joint))
            before = end
        return found


def _unquote(line: str, most: int = DEEPEST) -> tuple[int, str]:
    """How many quotes the line is in, and the line without their signs."""
    depth = at = 0
    while depth < most and (found := _QUOTE.match(line, at)) is not None:
        depth, at = depth + 1, found.end()
    return depth, line[at:]


def _begins(text: str) -> str | None:
    """What kind of block this line begins by itself; None for text."""
    if _RULE.match(text):
        return "rule"
    if _HEADING.match(text):
        return "heading"
    if _FENCE.match(text):
        return "fence"
    return "item" if _ITEM.match(text) else None


def codes(text: str) -> list[Code]:
    """The blocks of code in a text."""
    document = Document(80)
    document.feed(text)
    document.end()
    return document.codes
