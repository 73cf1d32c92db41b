"""What a short text states, so that a newer statement can take the place of an older one. Pure.

English, and cautious: a text of one sentence that gives something a value. ``My bike is turquoise``
is about ``my bike is``; ``My bike is red now`` is too, and is newer. Two values of one thing do not
contradict each other by themselves (``My bike is fast``): the newer one must say so (now, no
longer), or the thing can have one value only (a name, a place to live, a weight), or both values
are colours.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from engine.recall.index.words import STOP, fold, split, stem

_CUES = re.compile(
    r"\b(now|no longer|any ?more|instead|these days|nowadays|from now on|meanwhile|changed"
    r"|since then)\b"
)
_ASIDE = re.compile(
    r"^(actually|by the way|btw|well|so|and|but|note|remember|please remember|fyi|update)[,:]?\s+"
    r"(that\s+)?"
)
_FORMS = (
    re.compile(
        r"^(?P<who>my|our|the|[a-z]+'s) (?P<what>[\w' -]{1,40}?) (?P<verb>is|are|was|were)"
        r" (?P<kind>called |named )?(?P<value>.{1,80})$"
    ),
    re.compile(
        r"^(?P<who>my|our|the|[a-z]+'s) (?P<what>[\w' -]{1,40}?)"
        r" (?P<verb>weighs|costs|lives (?:in|at)|works (?:at|for)|runs (?:on|every|at)|starts at"
        r"|ends at|opens at|closes at|measures) (?P<value>.{1,80})$"
    ),
    re.compile(
        r"^(?P<who>i|we) (?P<what>)(?P<verb>(?:now )?(?:no longer )?"
        r"(?:live (?:in|at)|work (?:at|for|as)|am called|am named|weigh|drive an?|moved to))"
        r" (?P<value>.{1,80})$"
    ),
)
_ONE_VALUE = re.compile(
    r"\b(called|named|live|lives|work|works|weigh|weighs|costs|moved|starts|ends|opens|closes"
    r"|measures|runs|name|birthday|age|address|phone|number|favou?rite|colou?r|size|password hint"
    r"|deadline|version)\b"
)
_COLOURS = frozenset(
    map(
        stem,
        split("""
        beige black blue bronze brown burgundy copper cream crimson cyan gold golden gray green grey
        indigo ivory lilac magenta maroon mint navy ochre olive orange pink purple red rose
        ruby salmon scarlet silver teal turquoise violet white yellow"""),
    )
)
_NEGATIONS = frozenset({"not", "no", "never", "none", "without", "neither", "nor"})


@dataclass(frozen=True, slots=True)
class Statement:
    """``slot``: the thing that is given a value; ``one``: it can have one only; ``cue``: the text
    says itself that something changed."""

    slot: str
    value: str
    one: bool
    cue: bool
    colour: bool


def statement(text: str) -> Statement | None:
    """None where it is no single, plain statement."""
    plain = fold(text).strip().replace("\u2019", "'")
    if len(plain) > 200 or plain.endswith("?") or "\n" in plain:
        return None
    plain = plain.rstrip(".! ")
    if re.search(r"[.!?;](\s|$)", plain):
        return None
    plain = _ASIDE.sub("", plain)
    cue = _CUES.search(plain) is not None
    bare = " ".join(_CUES.sub(" ", plain).split())
    for form in _FORMS:
        if found := form.match(bare):
            return _made(found, cue=cue)
    return None


def _made(found: re.Match[str], *, cue: bool) -> Statement | None:
    verb = found["verb"].replace("moved to", "live in").replace("no longer ", "")
    verb = {"was": "is", "were": "is", "are": "is"}.get(verb, verb)
    kind = (found.groupdict().get("kind") or "").strip().replace("named", "called")
    what = found["what"].strip()
    value = " ".join(stem(word) for word in split(found["value"]) if word not in {"a", "an", "the"})
    if not value or " and " in f" {what} ":
        return None
    slot = " ".join(filter(None, (found["who"], *map(stem, split(what)), verb, kind)))
    one = _ONE_VALUE.search(f"{what} {verb} {kind}") is not None
    words = value.split()
    return Statement(slot, value, one, cue, bool(words) and words[-1] in _COLOURS)


def contradicts(newer: Statement, older: Statement) -> bool:
    """Whether the newer statement takes the place of the older one."""
    if newer.slot != older.slot or newer.value == older.value:
        return False
    return newer.cue or newer.one or (newer.colour and older.colour)


def same(text: str) -> bytes | None:
    """Equal for texts that say the same in nearly the same words; None for what says too little."""
    words = split(text)
    told = [stem(word) for word in words if word not in STOP or word in _NEGATIONS]
    if len(told) < 2:
        return None
    asks = "?" if text.rstrip().endswith("?") else ""
    own = "we" if "we" in words or "our" in words else ""
    return hashlib.blake2b(" ".join([*told, own, asks]).encode(), digest_size=12).digest()
