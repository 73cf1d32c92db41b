"""Text as it may be shown: nothing in it is unseen, or makes a terminal or an eye see otherwise.
The standard library only, so that the first screen can have it."""

from __future__ import annotations

import re
import unicodedata

# C0 and C1 controls and what SQLite and JSON refuse (lone surrogates); line separators; the
# overrides of direction; and all that has no look of its own: format characters, fillers,
# variation selectors, tags. Signs of the category Cf that are seen, such as U+0600, are not here.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Blanks at the ends of a part of a path. Braille's blank is none for Unicode, and looks like one.
_EDGE = re.compile(r"(?<![^/])[\s\u2800]+|[\s\u2800]+(?![^/])")
_JOINERS = "\u200c\u200d"
_VARIANTS = "\ufe0e\ufe0f"
_KEYCAP = "\u20e3"
_BRAILLE_BLANK = "\u2800"


def visible(text: str, *, keep: str = "") -> str:
    """``text`` with every character made visible that has no look of its own, steers a terminal, or
    turns the direction of others; a lone surrogate, too.

    Characters in ``keep`` (usually a newline and a tab) pass through. A byte that was not UTF-8
    (``os.fsdecode`` makes it a lone surrogate) is shown as ``\\xNN``. A joiner stays between two
    letters of a script that is written with them (Arabic, those of India and their kin) and between
    two pictures, a selector of variants behind a picture: there they are part of what is seen.
    """
    if text.isascii() and text.isprintable():
        return text

    def shown(found: re.Match[str]) -> str:
        char = found[0]
        return char if char in keep or _belongs(text, found.start()) else escape(char)

    return _HIDDEN.sub(shown, text)


def shown_path(path: str) -> str:
    """A path, its bytes decoded as ``os.fsdecode`` does. Blanks where a name begins or ends are
    made visible as well."""
    text = visible(path)
    if text.isascii() and " " not in text:
        return text
    return _EDGE.sub(lambda part: "".join(map(escape, part[0])), text)


def escape(char: str) -> str:
    """One character as it is written in a string."""
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char)
    if named or code < 0x100:
        return named or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _belongs(text: str, at: int) -> bool:
    """Whether what stands here is part of how its neighbours look."""
    char, before, after = text[at], text[at - 1 : at], text[at + 1 : at + 2]
    if char in _VARIANTS:
        return _is_picture(before) or after == _KEYCAP
    if char not in _JOINERS or not before or not after:
        return False
    if before in _VARIANTS:
        before = text[at - 2 : at - 1]
    joined = char == "\u200d" and _is_picture(before) and _is_picture(after)
    return joined or (_is_joined(before) and _is_joined(after))


def _is_picture(char: str) -> bool:
    """A symbol beyond ASCII and Latin-1: the emoji, among others."""
    if not char or char < "\u2100" or char == _BRAILLE_BLANK:
        return False
    return unicodedata.category(char) in {"So", "Sm", "Sk"}


def _is_joined(char: str) -> bool:
    """A letter, or a mark on one, of the blocks from Arabic to Myanmar, Khmer or Mongolian."""
    if not ("\u0620" <= char <= "\u109f" or "\u1780" <= char <= "\u18af"):
        return False
    return unicodedata.category(char)[0] in "LM" and _HIDDEN.match(char) is None
