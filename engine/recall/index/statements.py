"""What a short text states, so that a newer statement can take the place of an older one. Pure.

English, and cautious: to hide what is true is worse than to keep what is not. A text of one
sentence gives something a value that holds now: ``My bike is turquoise`` is about ``my bike is``.
``My bike is red now`` is too, and is newer. It takes the other's place only where both cannot be
true: it takes back or affirms the same (no longer), the values exclude each other (colours, open
and closed), the thing has one value (a number, a favourite), or the newer one says that something
changed (now, moved) and both values are names, or numbers, of one kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.recall.index.words import STOP, fold, split, stem

_MOST_CHARS, _MOST_WORDS = 200, 5

_CUES = re.compile(
    r"\b(?:now|instead|these days|nowadays|from now on|meanwhile|since then|again)\b", re.IGNORECASE
)
_TAKEN_BACK = (
    (re.compile(r"\bno longer\b ?", re.IGNORECASE), ""),
    (re.compile(r"\b(?:do|does)(?: not|n't)\b ?", re.IGNORECASE), ""),
    (re.compile(r"\b(is|are|am)(?: not|n't)\b", re.IGNORECASE), r"\1"),
)
_STILL_NOT = re.compile(r",? any ?more$", re.IGNORECASE)
# Of another time than now, or not said for certain: nothing that a newer one would have to correct.
_ELSEWHEN = re.compile(
    r"\b(?:ago|once|formerly|previously|originally|used to|back then|at that time|last year"
    r"|yesterday|in (?:19|20)\d\d|since (?:19|20)\d\d|until|maybe|perhaps|probably|possibly|might"
    r"|almost|nearly|supposedly|if|unless)\b",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"^(?:actually|by the way|btw|well|so|and|but|note|remember|please remember|fyi|update)[,:]?\s+"
    r"(?:that\s+)?",
    re.IGNORECASE,
)
_WHO = r"^(?P<who>my|our|the|(?!(?:it|that|what|there|here|he|she|who|let)'s)[a-z]+'s)"
_IS = re.compile(
    rf"{_WHO} (?P<what>[\w' -]{{1,40}}?) (?P<verb>is|are)"
    r" (?P<kind>called |named )?(?P<value>.{1,80})$",
    re.IGNORECASE,
)
_DOES = re.compile(
    rf"{_WHO} (?P<what>[\w' -]{{1,40}}?) (?P<verb>weighs?|costs?|lives? (?:in|at)|works? (?:at|for)"
    r"|runs? (?:on|every|at)|starts? at|ends? at|opens? at|closes? at|measures?)"
    r" (?P<value>.{1,80})$",
    re.IGNORECASE,
)
_I_DO = re.compile(
    r"^(?P<who>i|we) (?P<what>)(?P<verb>live (?:in|at)|work (?:at|for|as)|am called|am named"
    r"|weigh|drive an?|(?:have |just |have just )?moved to) (?P<value>.{1,80})$",
    re.IGNORECASE,
)
_ONE_VALUE = re.compile(
    r"\bfavou?rite\b|\b(?:name|birthday|age|number|colou?r|size|password|pin|deadline|version)"
    r"(?: of .*)? is$|\b(?:am called|weighs?|costs?|starts? at|ends? at|opens? at|closes? at"
    r"|measures?)$"
)
_NEGATIONS = frozenset(split("no never none nothing without neither nor"))
_PLACES = frozenset(split("about as at behind by for from in like near of on to under with"))
_CLAUSE = (STOP | _NEGATIONS) - {"of"}
"""Words that no plain value holds."""
_DEGREES = frozenset(
    split("very really quite so too all completely fully dark light bright pale deep")
)
_NUMBERS = frozenset(
    split("""
    one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred
    thousand million""")
)
_EXCLUDE = tuple(
    frozenset(split(group))
    for group in (
        """beige black blue bronze brown burgundy copper cream crimson cyan gold golden gray green
        grey indigo ivory lilac magenta maroon mint navy ochre olive orange pink purple red rose
        ruby salmon scarlet silver teal turquoise violet white yellow""",
        "slow fast quick",
        "broken fixed repaired working",
        "sick ill healthy well",
        "open closed",
        "on off",
        "up down",
        "online offline",
        "enabled disabled",
        "full empty",
        "clean dirty",
        "hot warm cold",
        "single engaged married divorced widowed",
        "alive dead",
        "awake asleep",
    )
)


@dataclass(frozen=True, slots=True)
class Statement:
    """``slot``: what is given a value, up to a preposition before it; ``value``: its words without
    an ``article``; ``shape``: what it begins with: a number, a name or a word. ``plain``: it is one
    value and no clause. ``one``: the thing has one only; ``cue``: the text says itself that
    something changed; ``denied``: that it is not, or no longer, so."""

    slot: str
    value: tuple[str, ...]
    article: str
    shape: str
    plain: bool
    one: bool
    cue: bool
    denied: bool

    @property
    def unit(self) -> frozenset[str]:
        """The words beside the numbers."""
        return frozenset(word for word in self.value if not _is_number(word))

    @property
    def has_number(self) -> bool:
        return any(map(_is_number, self.value))


def statement(text: str) -> Statement | None:
    """None where it is no single, plain statement of what is so."""
    told = text.strip().replace("\u2019", "'")
    if len(told) > _MOST_CHARS or told.endswith("?") or "\n" in told:
        return None
    told = told.rstrip(".! ")
    if re.search(r"[.!?;](\s|$)", told) or _ELSEWHEN.search(told):
        return None
    told = _STILL_NOT.sub("", _ASIDE.sub("", told))
    cue = _CUES.search(told) is not None
    told = " ".join(_CUES.sub(" ", told).split())
    denied = False
    for way, rest in _TAKEN_BACK:
        told, times = way.subn(rest, told)
        denied |= times > 0
    for form in (_IS, _DOES, _I_DO):
        if found := form.match(told):
            return _made(found, cue=cue, denied=denied)
    return None


def _made(found: re.Match[str], *, cue: bool, denied: bool) -> Statement | None:
    verb, kind = fold(found["verb"]), fold(found.groupdict().get("kind") or "").strip()
    moved = verb.endswith("moved to")
    verb = "live in" if moved else verb.replace("named", "called").replace(" for", " at")
    verb = {"are": "is"}.get(verb, verb)
    what = fold(found["what"]).strip()
    said = found["value"].strip("\"' ").split()
    place = ""
    if len(said) > 1 and fold(said[0]) in _PLACES:
        place = fold(said.pop(0))
    article = fold(said[0]) if len(said) > 1 and fold(said[0]) in {"a", "an", "the"} else ""
    said = said[1:] if article else said
    value = tuple(split(" ".join(said)))
    if not value or " and " in f" {what} ":
        return None
    slot = (
        fold(found["who"]),
        *map(stem, split(what)),
        verb,
        kind.replace("named", "called"),
        place,
    )
    shape = _shape(said[0].strip("\"'("))
    # What a plain word tells of a name or a number may be anything: "My password is weak".
    one = _ONE_VALUE.search(f"{what} {verb}") is not None and (shape != "word" or "favo" in what)
    return Statement(
        slot=" ".join(filter(None, slot)),
        value=value,
        article=article.replace("an", "a"),
        shape=shape,
        plain=len(value) <= _MOST_WORDS and not _CLAUSE & {*value},
        one=one,
        cue=cue or moved,
        denied=denied,
    )


def _shape(word: str) -> str:
    if _is_number(fold(word)):
        return "number"
    return "word" if word == word.lower() else "name"


def _is_number(word: str) -> bool:
    return word in _NUMBERS or any(char.isdigit() for char in word)


def contradicts(newer: Statement, older: Statement) -> bool:
    """Whether the newer statement takes the place of the older one."""
    if newer.slot != older.slot:
        return False
    if newer.denied or older.denied:
        return newer.denied != older.denied and newer.value == older.value
    more, less = set(newer.value), set(older.value)
    if more <= less or less <= more:  # The same, or told more closely.
        return False
    if _exclude(newer.value, older.value):
        return True
    if not (newer.plain and older.plain) or newer.article != older.article:
        return False
    if newer.has_number and older.has_number and newer.unit == older.unit:
        return newer.one or newer.cue
    if newer.shape != older.shape:
        return False
    return newer.one or (newer.cue and newer.shape == "name")


def _exclude(newer: tuple[str, ...], older: tuple[str, ...]) -> bool:
    """Whether these are words that cannot both be true of one thing at one time."""
    told = [[word for word in value if word not in _DEGREES] for value in (newer, older)]
    if [len(words) for words in told] != [1, 1] or told[0] == told[1]:
        return False
    return any({*told[0], *told[1]} <= group for group in _EXCLUDE)
