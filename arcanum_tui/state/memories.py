"""Memories, namespaces and followed folders as rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from arcanum_tui.state.frame import UNKNOWN_STATE
from arcanum_tui.state.grid import NOTHING, Column, Piece, Row, Tone, muted
from arcanum_tui.state.text import clean, number, plural

if TYPE_CHECKING:
    from engine.contract.memories import Folder, Memory, Recalled, RecallHit
    from engine.contract.recall import IndexMoved, NamespaceInfo

COLUMNS = (
    Column(right=True), Column(right=True), Column(), Column(most=13, rank=1),
    Column(grow=True, least=20),
)  # fmt: skip
"""Score, when, marks, who, text."""

NAMESPACES = (
    Column(), Column(most=32), Column(grow=True, least=6), Column(right=True),
    Column(right=True, rank=1), Column(right=True, rank=2),
)  # fmt: skip
FOLDERS = (
    Column(), Column(grow=True, least=16), Column(most=16), Column(right=True),
    Column(right=True, rank=2), Column(most=40, rank=1),
)  # fmt: skip

PAGE = 100
"""Memories that are read at once."""

SHOWS: dict[str, dict[str, Any]] = {
    "all": {},
    "pinned": {"pinned": True},
    "notes": {"kind": "note"},
    "documents": {"kind": "document"},
    "turns": {"kind": "turn"},
    "archived": {"state": "archived"},
    "merged": {"state": "merged"},
    "replaced": {"state": "replaced"},
}
"""What can be shown alone, as fields of a request for a list, or for a search."""
UNSEARCHED = frozenset({"merged", "replaced"})
"""Of these, what no index holds."""

MARKS: dict[str, tuple[str, Tone]] = {
    "pinned": ("★ pinned", "key"),
    "replaces": ("↻ instead of others", "info"),
    "archived": ("□ archived", "muted"),
    "merged": ("≡ merged", "muted"),
    "replaced": ("✕ replaced", "muted"),
}
LEGEND = "\n".join(word for word, _ in MARKS.values())
FOLDER_STATES: dict[str, tuple[str, Tone]] = {
    "ok": ("✓ ok", "ok"),
    "reading": ("● reading", "info"),
    "waiting": ("○ not read yet", "muted"),
    "missing": ("✗ missing", "bad"),
    "unreadable": ("! unreadable", "bad"),
}

SHOWN = 400
"""A row shows the beginning of a memory, at most so many characters."""


def dated(at: datetime, now: datetime) -> str:
    """The clock for today, the day for this year, and for any other day the year too."""
    local, today = at.astimezone(), now.astimezone()
    if local.date() == today.date():
        return f"{local:%H:%M}"
    return f"{local:%d %b}".lstrip("0") if local.year == today.year else _day(local)


def _day(local: datetime) -> str:
    return f"{local:%d %b %Y}".lstrip("0")


def marks(memory: Memory) -> list[str]:
    """Which of ``MARKS`` a memory has."""
    found = ["pinned"] if memory.pinned else []
    if memory.replaces:
        found.append("replaces")
    return found if memory.state == "live" else [*found, memory.state]


def one_line(text: str) -> str:
    """The beginning of a text, with all its blanks made single spaces."""
    short = text[: 2 * SHOWN]
    line = " ".join(short.split())
    return line if len(short) == len(text) and len(line) <= SHOWN else line[:SHOWN] + "…"


def who(memory: Memory) -> str:
    """Who said it, or where it is from."""
    if memory.speaker:
        return memory.speaker
    if memory.kind == "turn":
        return "you"
    return memory.source.rstrip("/").rpartition("/")[2] or memory.kind


def row(memory: Memory, namespace: str, now: datetime) -> Row:
    """A memory in a list of ``namespace``; one of another, seen because it is pinned, says so."""
    tone: Tone = "bad" if memory.unread else "plain" if memory.state == "live" else "muted"
    score = getattr(memory, "score", None)
    signs = marks(memory)
    told = who(memory)
    if memory.namespace != namespace:
        told = f"{memory.namespace}: {told}"
    return Row(
        (
            Piece("" if score is None else f"{score:.2f}", "key"),
            muted(dated(memory.at, now)),
            Piece("".join(MARKS[s][0][0] for s in signs), MARKS[signs[0]][1] if signs else "plain"),
            Piece(told, "title" if memory.speaker else "muted"),
            Piece(one_line(memory.said), tone),
        ),
        str(memory.id),
    )


def unfound(show: str) -> Piece:
    """What stands where a search found nothing."""
    if show in UNSEARCHED:
        return muted(f"What was {show} is not searched, what took its place is: f, or Esc.")
    only = "" if show == "all" else f"only {show}; f shows others, "
    return muted(f"Nothing like that is remembered here: {only}Esc shows all.")


def understood(since: datetime | None, until: datetime | None) -> str:
    """The time that a query asks for, as people write it; "" for none."""
    begin = since.astimezone() if since else None
    end = until.astimezone() if until else None
    if begin is None:
        return f"before {_moment(end)}" if end else ""
    if end is None:
        return f"from {_moment(begin)} on"
    if not (_midnight(begin) and _midnight(end)):
        same = begin.date() == end.date()
        return f"{_day(begin)} {begin:%H:%M} – {f'{end:%H:%M}' if same else _moment(end)}"
    # The end is not in it: a week ends with its last day.
    last = end - timedelta(microseconds=1)
    if last.date() <= begin.date():
        return _day(begin)
    first = f"{begin:%d %b}".lstrip("0") if begin.year == last.year else _day(begin)
    return f"{first} – {_day(last)}"


def _midnight(local: datetime) -> bool:
    return (local.hour, local.minute, local.second, local.microsecond) == (0, 0, 0, 0)


def _moment(local: datetime) -> str:
    return _day(local) if _midnight(local) else f"{_day(local)} {local:%H:%M}"


def behind(index: IndexMoved | None) -> list[Piece]:
    """How far the index is behind; nothing where it is not, or nobody told."""
    if index is None:
        return []
    if index.index == "failed":
        return [Piece(f"✗ index failed{f': {clean(index.note)}' if index.note else ''}", "bad")]
    said = []
    if index.waiting:
        said.append(f"{number(index.waiting)} waiting")
    if index.to_embed:
        said.append(f"{number(index.to_embed)} to embed")
    return [Piece(f"index: {', '.join(said)}", "warn")] if said else []


def namespace_row(space: NamespaceInfo, current: str, now: datetime) -> Row:
    """A namespace in a window of its own."""
    here = space.name == current
    return Row(
        (
            Piece("▸" if here else " ", "key"),
            Piece(space.name, "strong" if here else "plain"),
            muted("conversation" if space.conversation else ""),
            muted(plural(space.memories, "memory", "memories")),
            Piece(f"★ {number(space.pinned)} pinned" if space.pinned else "", "key"),
            muted(dated(space.last_at, now) if space.last_at else "–"),
        ),
        space.name,
    )


def begun(name: str, current: str, what: str) -> Row:
    """A namespace in which nothing is remembered yet."""
    mark = Piece("▸" if name == current else "+", "key")
    return Row((mark, Piece(name, "strong"), Piece(what, "info"), *[muted("")] * 3), name)


def folder_rows(folder: Folder) -> list[Row]:
    """A folder that is kept in step, and below it what could not be read."""
    word, tone = FOLDER_STATES.get(folder.state, UNKNOWN_STATE)
    if folder.state == "waiting" and folder.read_at is not None:
        word, tone = "? not looked at", "warn"
    unread = f"! {plural(folder.unread, 'file')} not read" if folder.unread else folder.note
    away = folder.note if folder.state in {"missing", "unreadable"} else unread
    found = Row(
        (
            Piece(word, tone),
            Piece(folder.path.display),
            Piece(f"{'★ ' if folder.pinned else ''}{folder.namespace}", "strong"),
            muted(plural(folder.files, "file")),
            muted(plural(folder.passages, "passage")),
            Piece(away, "warn"),
        ),
        folder.path.raw,
    )
    below = [("!", one.path.display, one.why) for one in folder.problems]
    if folder.unread > len(below):
        below.append(("", f"and {number(folder.unread - len(below))} more", ""))
    return [found, *(_below(folder, place, *told) for place, told in enumerate(below))]


def _below(folder: Folder, place: int, mark: str, name: str, why: str) -> Row:
    """Its key begins with that of its folder."""
    pieces = (Piece(f"  {mark}", "warn"), muted(f"  {name}"), *[muted("")] * 3, Piece(why, "warn"))
    return Row(pieces, f"{folder.path.raw} {place}")


def rows(memories: Iterable[Memory], namespace: str, now: datetime) -> list[Row]:
    """Memories in a list of ``namespace``."""
    return [row(memory, namespace, now) for memory in memories]


def recalled(memories: Sequence[Recalled | RecallHit]) -> str:
    """Which memories an answer was told, best first: ``recalled memories 3, 17``."""
    what = "memory" if len(memories) == 1 else "memories"
    return f"recalled {what} {', '.join(str(one.id) for one in memories)}"


def told(
    recalled: Iterable[Recalled], found: Mapping[int, Memory | str], namespace: str, now: datetime
) -> list[Row]:
    """What an answer was told: each memory as it is now, or why it cannot be read."""
    made = []
    for one in recalled:
        known = found.get(one.id, "reading it …")
        if isinstance(known, str):
            score, number = Piece(f"{one.score:.2f}", "key"), muted(f"#{one.id}")
            made.append(Row((score, NOTHING, NOTHING, number, muted(known)), str(one.id)))
        else:
            made.append(row(known, namespace, now))
    return made
