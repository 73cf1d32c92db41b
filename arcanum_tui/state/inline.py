"""Markdown within a paragraph: emphasis, code, links; as pieces, in linear time. Pure.

What a model writes is data: a link is its text with its address, an image is named and not loaded,
HTML is shown as it stands, and control characters become visible.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import unescape

from arcanum_tui.state.grid import Line, Piece, Tone, breaks
from arcanum_tui.state.text import clean

# Every repetition is bounded or cannot overlap with what follows it: hostile text costs no more
# than other text of its length. An address of more than 2,000 characters makes no link.
_SPECIAL = re.compile(
    r"(?P<code>`+)|\\(?P<escaped>[!-/:-@\[-`{-~])|(?P<mark>\*+|_+|~~+)|(?P<open>!?\[)|(?P<close>\])"
    r"|<(?P<auto>(?:https?://|mailto:)[^<>\s]{1,2000})>|(?P<br><[bB][rR] ?/?>)"
    r"|(?P<entity>&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)"
)
_ADDRESS = re.compile(
    r"\(\s{0,9}<?((?:[^\s()<>]|\([^\s()<>]{0,200}\)){0,2000})>?"
    r"(?:\s{1,9}(?:\"[^\"]{0,500}\"|'[^']{0,500}'))?\s{0,9}\)"
)
_LOOKS = {"*": "i", "_": "i", "~": "s"}


@dataclass(slots=True)
class _Run:
    """Marks of one kind in a row, at a place in the output. ``left`` of them have no partner."""

    at: int
    char: str
    left: int
    opens: bool
    closes: bool


class _Paragraph:
    """The output while it is made: texts with looks, and marks that may still find a partner."""

    def __init__(self, text: str, *, growing: bool) -> None:
        self._text, self._growing = text, growing
        self._texts: list[str] = []
        self._tones: list[tuple[Tone, str]] = []
        self._turns: dict[int, list[tuple[str, int]]] = {}
        self._runs: list[_Run] = []
        self._brackets: list[tuple[int, bool]] = []
        self._ticks = _tick_places(text)

    def _put(self, text: str, tone: Tone = "plain", look: str = "") -> None:
        if text:
            self._texts.append(text)
            self._tones.append((tone, look))

    def _over(self, start: int, end: int, look: str) -> None:
        """Everything put between two places has this look, too."""
        self._turns.setdefault(start, []).append((look, 1))
        self._turns.setdefault(end, []).append((look, -1))

    def pieces(self) -> list[Piece]:
        """The whole paragraph; line breaks in it are in the texts."""
        at = 0
        while (found := _SPECIAL.search(self._text, at)) is not None:
            self._put(self._text[at : found.start()])
            at = self._special(found)
        self._put(self._text[at:])
        self._pair()
        return self._styled()

    def _special(self, found: re.Match[str]) -> int:
        """Deals with one special place; where the text goes on."""
        kind, whole = found.lastgroup, found[0]
        match kind:
            case "code":
                return self._code(found)
            case "escaped":
                self._put(found["escaped"])
            case "mark":
                self._mark(found)
            case "open":
                self._brackets.append((len(self._texts), whole[0] == "!"))
                self._put(whole)
            case "close":
                return self._link(found)
            case "auto":
                self._put(found["auto"], "accent", "u")
            case "br":
                self._put("\n")
            case _:
                self._put(unescape(whole))
        return found.end()

    def _code(self, found: re.Match[str]) -> int:
        size, after = len(found[0]), found.end()
        places = self._ticks.get(size, ())
        index = bisect_right(places, found.start())
        if index < len(places):
            end = places[index]
        elif self._growing and size < 3:
            end = len(self._text)
        else:
            self._put(found[0])
            return after
        code = self._text[after:end].replace("\n", " ")
        if len(code) > 2 and code[0] == code[-1] == " " and code.strip():
            code = code[1:-1]
        self._put(code, "info", "c")
        return min(len(self._text), end + size)

    def _mark(self, found: re.Match[str]) -> None:
        char, text = found[0][0], self._text
        before = text[found.start() - 1] if found.start() else " "
        after = text[found.end()] if found.end() < len(text) else " "
        left = not after.isspace() and (after.isalnum() or not before.isalnum())
        right = not before.isspace() and (before.isalnum() or not after.isalnum())
        if char == "_":
            left, right = left and not (right and before.isalnum()), right and not after.isalnum()
        self._runs.append(_Run(len(self._texts), char, len(found[0]), left, right))
        self._put(found[0])

    def _link(self, found: re.Match[str]) -> int:
        if not self._brackets:
            self._put("]")
            return found.end()
        at, image = self._brackets.pop()
        address = _ADDRESS.match(self._text, found.end())
        if address is None:
            self._put("]")
            return found.end()
        shown = "".join(self._texts[at + 1 :])
        self._texts[at] = "image: " if image else ""
        if not image:
            self._over(at, len(self._texts), "u")
        if address[1] and address[1] != shown:
            self._put(f" ({address[1]})" if shown else address[1], "muted")
        return address.end()

    # --- emphasis -------------------------------------------------------------------------------

    def _pair(self) -> None:
        """Marks that open find those that close, innermost first."""
        opened: list[_Run] = []
        kinds = {"*": 0, "_": 0, "~": 0}
        for run in self._runs:
            while run.closes and run.left and kinds[run.char]:
                while opened[-1].char != run.char:
                    kinds[opened.pop().char] -= 1
                if not self._join(opened[-1], run):
                    break
                if not opened[-1].left:
                    kinds[opened.pop().char] -= 1
            if run.opens and run.left:
                opened.append(run)
                kinds[run.char] += 1
        if self._growing:
            for run in opened:
                if run.left == 2:
                    self._over(run.at, len(self._texts), "s" if run.char == "~" else "b")
                    self._take(run, 2)

    def _join(self, opener: _Run, closer: _Run) -> bool:
        used = 2 if min(opener.left, closer.left) > 1 else 1
        if opener.char == "~" and used == 1:
            return False
        look = "b" if used == 2 and opener.char != "~" else _LOOKS[opener.char]
        self._over(opener.at + 1, closer.at, look)
        self._take(opener, used)
        self._take(closer, used)
        return True

    def _take(self, run: _Run, used: int) -> None:
        run.left -= used
        self._texts[run.at] = run.char * run.left

    def _styled(self) -> list[Piece]:
        found: list[Piece] = []
        depth = {"b": 0, "i": 0, "s": 0, "u": 0}
        for index, (text, (tone, look)) in enumerate(zip(self._texts, self._tones, strict=True)):
            for turned, step in self._turns.get(index, ()):
                depth[turned] += step
            if text:
                now = look + "".join(k for k, count in depth.items() if count and k not in look)
                if "b" in now and tone == "plain":
                    tone = "strong"  # noqa: PLW2901
                found.append(Piece(text, tone, now))
        return found


def _tick_places(text: str) -> dict[int, list[int]]:
    """Where runs of backticks begin, by their length."""
    places: dict[int, list[int]] = {}
    for run in re.finditer(r"`+", text):
        places.setdefault(len(run[0]), []).append(run.start())
    return places


def inline(text: str, *, growing: bool = False) -> list[Piece]:
    """The pieces of a paragraph. ``growing``: more is to come, so bold text and code that nobody
    has closed yet are shown as what they will be."""
    return _Paragraph(text, growing=growing).pieces()


def flow(pieces: Iterable[Piece], width: int) -> list[Line]:
    """Pieces in lines of at most ``width`` cells, broken at line breaks and at spaces."""
    lines: list[list[Piece]] = [[]]
    for piece in pieces:
        first, *others = piece.text.split("\n")
        lines[-1].append(_plain(first, piece))
        lines += [[_plain(other, piece)] for other in others]
    return [made for line in lines for made in _wrapped(line, width)]


def _plain(text: str, like: Piece) -> Piece:
    return Piece(clean(text.replace("\t", "    ")), like.tone, like.look)


def _wrapped(line: Sequence[Piece], width: int) -> Iterator[Line]:
    spans = breaks("".join(p.text for p in line), width)
    if len(spans) == 1:
        yield Line(tuple(line))
        return
    rest = iter(line)
    piece, begin, joint, before = next(rest), 0, "\n", 0
    for start, end in spans:
        if start:
            joint = " " if start > before else ""
        before = end
        made: list[Piece] = []
        while True:
            stop = begin + len(piece.text)
            part = piece.text[max(0, start - begin) : end - begin] if end > begin else ""
            if part:
                made.append(Piece(part, piece.tone, piece.look))
            if stop > end or (following := next(rest, None)) is None:
                break
            piece, begin = following, stop
        yield Line(tuple(made), joint=joint)
