"""How much a memory matters, judged by its text alone, and what it states. Pure.

The estimate decides what is archived first and nothing else: a search is not told of it.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+")
_OWN = frozenset({"i", "me", "my", "mine", "we", "us", "our", "ours"})
_EMPTY = frozenset(
    _WORD.findall("""
    a ah all an and are as at be bye but can cool could course did do does fine for from fun get go
    good great ha haha hello hey hi him how if in is it its just lol look looks nice no not of oh ok
    okay on or please pretty really right see so sounds sure thank thanks that the then there they
    this to too um very wait was well were what when where which who why will with wow would yeah
    yes you your
    """)
)


def importance(text: str) -> float:
    """From 0 to 1: what a person says of themselves, with names and numbers, matters; small talk
    and questions do not."""
    words = _WORD.findall(text)
    telling = {word.lower() for word in words} - _EMPTY - _OWN
    if not telling:
        return 0.0
    found = min(len(telling), 12) / 24
    found += 0.2 * any(word.lower() in _OWN for word in words)
    found += 0.15 * any(char.isdigit() for char in text)
    found += 0.15 * any(word[:1].isupper() and word.lower() not in _EMPTY for word in words[1:])
    if text.rstrip().endswith("?"):
        found /= 3
    return round(min(1.0, found), 2)
