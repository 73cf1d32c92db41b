"""Texts as the words that the index knows: folded, stemmed, and one ASCII token each.

Porter's stemmer (M. F. Porter, An algorithm for suffix stripping, Program 14(3), 1980) by the
library snowballstemmer. Writing without spaces (Chinese, Japanese) is cut into pairs of characters.
"""

from __future__ import annotations

import re
import time
import unicodedata
from functools import lru_cache

import snowballstemmer

_WORD = re.compile(r"[^\W_]+")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_LONGEST = 40
_MOST_IN_A_QUERY = 32
_porter = snowballstemmer.stemmer("porter")

# Words that stand in nearly every sentence: they would find whatever was said last.
STOP = frozenset(
    _WORD.findall("""
    a an and are as at be but by can could did do does for from had has have how i if in is it its
    me my not of on or our please she so tell that the their them then there they this to us was we
    were what when where which who why will with would you your
    """)
)

# Words of a query that only stand for others.
_STAND_IN = frozenset({"am", "been", "being", "he", "her", "hers", "him", "his"})
_SHORTENED = re.compile(r"['\u2019](?:s|t|d|m|ll|re|ve)\b", re.IGNORECASE)


def fold(text: str) -> str:
    """Lower case, without marks on letters: ``Café`` and ``cafe`` are one word."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in plain if not unicodedata.combining(char))


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """One folded word as its token: ASCII letters and digits, at least one."""
    if not word.isascii():
        return "u" + word.encode("utf-8", "replace").hex()[: 2 * _LONGEST]
    return str(_porter.stemWord(word[:_LONGEST])) or word[:_LONGEST]


def split(text: str) -> list[str]:
    """The folded words of a text, in order."""
    folded = fold(text)
    words = _WORD.findall(folded)
    if folded.isascii():
        return words
    return [part for word in words for part in _pairs(word)]


def _pairs(word: str) -> list[str]:
    if _UNSPACED.search(word) is None:
        return [word]
    parts: list[str] = []
    end = 0
    for run in _UNSPACED.finditer(word):
        if run.start() > end:
            parts.append(word[end : run.start()])
        chars, end = run.group(), run.end()
        parts += [chars[i : i + 2] for i in range(max(1, len(chars) - 1))]
    if end < len(word):
        parts.append(word[end:])
    return parts


def tokens(text: str) -> list[str]:
    """All tokens of a text, in order."""
    return [stem(word) for word in split(text)]


def asked(query: str) -> list[str]:
    """The telling tokens of a query, each once: none where there are only empty words."""
    words = split(_SHORTENED.sub(" ", query))
    telling = [word for word in words if word not in STOP and word not in _STAND_IN]
    return list(dict.fromkeys(map(stem, telling)))[:_MOST_IN_A_QUERY]


def dated(at: float) -> str:
    """A time as words of this machine's calendar, so that a date is found: ``8 may 2023``."""
    try:
        day = time.localtime(at)
    except (OverflowError, ValueError, OSError):
        return ""
    return f"{day.tm_mday} {MONTHS[day.tm_mon - 1]} {day.tm_year}"


MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
