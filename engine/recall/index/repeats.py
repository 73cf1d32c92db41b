"""What is said again: the same words, but for case, marks, articles and short forms. Pure.

What can turn a meaning counts: ``from``, ``not``, ``will``, a minus, a currency. What happened is
something else on another day ("I took my insulin"); what is so ("My bike is turquoise"), and a
question, is the same one.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from engine.recall.index.words import STOP, dated

_SHORT = (
    (re.compile(r"\bcan't\b"), "can not"),
    (re.compile(r"\bcannot\b"), "can not"),
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"\bi'm\b"), "i am"),
    (re.compile(r"\b(it|he|she|that|there|here|what|who|where)'s\b"), r"\1 is"),
    (re.compile(r"'re\b"), " are"),
    (re.compile(r"'ve\b"), " have"),
    (re.compile(r"'ll\b"), " will"),
    (re.compile(r"(\d)(am|pm)\b"), r"\1 \2"),
)
_BEFORE, _BEHIND = "\"'([{\u00a1\u00bf\u2018\u201c\u00ab", ".,;:!?\u2026\"')]}\u2019\u201d\u00bb"
_DASHES = frozenset({"", "-", "--", "\u2013", "\u2014"})
_EMPTY = frozenset({"a", "an", "the", "please"})
_OPENING = frozenset({"actually", "btw", "fyi", "well", "so", "and", "but", "ok", "okay"})

_LASTING = re.compile(
    r"\b(?:(?:am|is|are) (?!\w+ing\b|in\b|at\b|on\b|off\b|back\b|here\b|there\b|home\b)"
    r"|(?:have|has) (?:a|an|the|my|no|some|any|\d+|one|two|three|four|five)\b"
    r"|(?:like|love|hate|prefer|enjoy|want|need|live|work|own|use|drink|eat|speak|know|weigh|cost"
    r"|wear|drive|play)s?\b|(?:runs|starts|ends|opens|closes|always|never|usually|every|can|must)\b)"
)
_OF_THE_DAY = re.compile(
    r"\b(?:today|tonight|yesterday|tomorrow|this|last|next|ago|just|recently|morning|evening"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b"
)


def same(text: str, at: float) -> bytes | None:
    """Equal for texts that say the same in the same words, said ``at`` that time (seconds since
    1970); None for what says too little."""
    plain = unicodedata.normalize("NFC", text.casefold()).replace("\u2019", "'")
    for form, full in _SHORT:
        plain = form.sub(full, plain)
    words = [each.lstrip(_BEFORE).rstrip(_BEHIND) for each in plain.split()]
    words = [word for word in words if word not in _DASHES and word not in _EMPTY]
    while words and words[0] in _OPENING:
        del words[0]
    if sum(word not in STOP for word in words) < 2:
        return None
    asks = text.rstrip().endswith("?")
    said = " ".join(words)
    lasts = asks or (_LASTING.search(said) and not _OF_THE_DAY.search(said))
    told = f"{said}|{'?' if asks else ''}|{'' if lasts else dated(at)}"
    return hashlib.blake2b(told.encode("utf-8", "replace"), digest_size=12).digest()
