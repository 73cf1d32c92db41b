"""Which of several copies to keep, and why: a total order, so that it is the same every time.

What comes first, decides: that it is sound and can be reached; the library's place in the
configuration; a torrent client that holds it; what its name and folders look like; whether its
origin and its content are known; its age; when it was read last; the shorter path; at last the path
itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

_DAY_NS = 86_400 * 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PASSING = frozenset(
    b"tmp temp .tmp .temp cache .cache download downloads trash .trash recycle $recycle.bin old"
    b" incoming incomplete unsorted backup backups dupes duplicates lost+found".split()
)
_LIKE_A_COPY = re.compile(
    rb"\((?:\d{1,3}|copy|copie|kopie)\)"
    rb"|(?:^|[ ._-])(?:copy|copie|kopie|copia|duplicate)(?: ?\d{1,3})?(?:[ ._-]|$)"
    rb"|~\d*$|\.(?:bak|old|orig|tmp|part)$"
)
_STEM = re.compile(rb"\.[a-z0-9]{1,5}$")


class Candidate(NamedTuple):
    """A copy: an inode under the best of its names. ``path`` relative to its library, or absolute.

    Times in nanoseconds since 1970. ``known``: how much is known of where it came from and of what
    it holds. ``whole``: all of its names are known here. ``problem``: why it cannot be reached.
    """

    library: str | None
    path: bytes
    inode: tuple[int, int]
    mtime_ns: int
    first_seen_at: int | None = None
    checked_at: int | None = None
    damage: str = ""
    problem: str = ""
    seeding: bool = False
    known: int = 0
    whole: bool = True


Role = Literal["keep", "stay", "spare"]
Rank = tuple[int | bytes, ...]
Verdict = tuple[Candidate, Role, list[str]]


class _Point(NamedTuple):
    """One thing that decides. The lower ``value`` wins; ``words`` say so of the winner, ``less`` of
    who lost by it, and to whom."""

    value: Callable[[Candidate, Mapping[str, int]], int]
    words: Callable[[Candidate], str]
    less: Callable[[Candidate, Candidate], str]


def looks_passing(path: bytes) -> int:
    """How many signs there are in a path that it is a copy, or lies where nothing stays."""
    *folders, name = path.lower().split(b"/")
    stem = _STEM.sub(b"", name)
    signs = sum(folder in _PASSING for folder in folders)
    return signs + (_LIKE_A_COPY.search(name) is not None or _LIKE_A_COPY.search(stem) is not None)


def name_rank(library: str | None, path: bytes, preferred: Mapping[str, int]) -> Rank:
    """Which of a file's names stands for it: the least."""
    place = preferred.get(library or "", len(preferred))
    return (place, looks_passing(path), path.count(b"/"), len(path), path)


def _day(nanoseconds: int | None) -> int:
    return 2**63 if nanoseconds is None else nanoseconds // _DAY_NS


def _date(nanoseconds: int) -> str:
    return f"{_EPOCH + timedelta(microseconds=nanoseconds // 1000):%Y-%m-%d %H:%M:%S}"


def _said(text: str) -> Callable[..., str]:
    return lambda *_of: text


def _newer(one: Candidate, best: Candidate) -> str:
    date = _date(one.mtime_ns)
    if date == _date(best.mtime_ns):
        return "it is newer, by less than a second"
    return f"it is newer, of {date}"


_DAMAGE = {
    "rotten": "its bytes are not what they were",
    "unreadable": "it cannot be read",
    "unread": "it cannot be read",
}
_POINTS = (
    _Point(lambda c, _p: c.problem != "", _said("it can be reached"), lambda c, _best: c.problem),
    _Point(
        lambda c, _p: c.damage != "",
        _said("it is intact"),
        lambda c, _best: _DAMAGE.get(c.damage, "it is damaged"),
    ),
    _Point(
        lambda c, p: p.get(c.library or "", len(p)),
        lambda c: f"it is in {c.library}, which goes before other libraries",
        lambda c, _best: f"it is in {c.library}" if c.library else "it is in no library",
    ),
    _Point(
        lambda c, _p: not c.seeding,
        _said("a torrent client holds it"),
        _said("no torrent client holds it"),
    ),
    _Point(
        lambda c, _p: looks_passing(c.path),
        _said("its name is the plainer one"),
        _said("its name, or its folder, looks like that of a copy"),
    ),
    _Point(
        lambda c, _p: -c.known,
        _said("more is known of it"),
        _said("less is known of it"),
    ),
    _Point(
        lambda c, _p: _day(c.first_seen_at),
        lambda c: f"it is known the longest, since {_date(c.first_seen_at or 0)}",
        lambda c, _best: (
            "it is in no library"
            if c.first_seen_at is None
            else f"it is known only since {_date(c.first_seen_at)}"
        ),
    ),
    _Point(
        lambda c, _p: c.mtime_ns,
        lambda c: f"it is the oldest, of {_date(c.mtime_ns)}",
        _newer,
    ),
    _Point(
        lambda c, _p: -(c.checked_at or 0),
        _said("it was read whole last"),
        _said("it was read whole earlier"),
    ),
    _Point(lambda c, _p: c.path.count(b"/"), _said("it lies less deep"), _said("it lies deeper")),
    _Point(lambda c, _p: len(c.path), _said("its path is shorter"), _said("its path is longer")),
)


def rank(one: Candidate, preferred: Mapping[str, int]) -> Rank:
    """The least is to be kept. ``preferred``: libraries by their place, from 0. No two copies have
    the same."""
    points = tuple(point.value(one, preferred) for point in _POINTS)
    return (*points, one.path, (one.library or "").encode(), *one.inode)


def judge(copies: Sequence[Candidate], preferred: Mapping[str, int]) -> list[Verdict]:
    """Each copy with its role and the reasons, in words; the one to keep is the first."""
    ordered = sorted(copies, key=lambda one: rank(one, preferred))
    best = ordered[0]
    found: list[Verdict] = [(best, "keep", _why_kept(best, ordered[1:], preferred))]
    for one in ordered[1:]:
        why = _why_it_stays(one)
        role: Role = "stay" if why else "spare"
        found.append((one, role, why or [_why_not(one, best, preferred)]))
    return found


def _why_kept(
    best: Candidate, others: Sequence[Candidate], preferred: Mapping[str, int]
) -> list[str]:
    """By what it goes before each of the others, every reason once, the weightiest first."""
    deciding = {_decides(best, other, preferred) for other in others}
    words = [_POINTS[at].words(best) for at in sorted(d for d in deciding if d is not None)]
    return words or ["nothing tells them apart but their paths"]


def _why_it_stays(one: Candidate) -> list[str]:
    reasons = []
    if one.seeding:
        reasons.append("a torrent client holds it")
    if one.damage:
        reasons.append(f"{_DAMAGE.get(one.damage, 'it is damaged')}: no copy any more")
    if one.problem:
        reasons.append(one.problem)
    if not one.whole:
        reasons.append("it has names that are not known here: removing these frees nothing")
    return reasons


def _why_not(one: Candidate, best: Candidate, preferred: Mapping[str, int]) -> str:
    at = _decides(best, one, preferred)
    return "nothing tells it apart but its path" if at is None else _POINTS[at].less(one, best)


def _decides(best: Candidate, other: Candidate, preferred: Mapping[str, int]) -> int | None:
    for at, point in enumerate(_POINTS):
        if point.value(best, preferred) != point.value(other, preferred):
            return at
    return None
