"""One memory, read closely: its text, its facts, what stood around it; and how all of it stands.
Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from arcanum_tui.state.frame import UNKNOWN_STATE
from arcanum_tui.state.grid import NOTHING, Piece, Row, Tone, muted, strong, wrap
from arcanum_tui.state.memories import FOLDER_STATES, MARKS, dated, one_line, who
from arcanum_tui.state.text import ago, bar, clean, number, plural, size

if TYPE_CHECKING:
    from engine.contract.memories import Memory, Parts, Stats
    from engine.contract.recall import Shown

Pieces = tuple[Piece, ...]

LABEL = 8
"""Cells for the name of a fact, and the space behind it is one more."""

BAR = 12
"""Cells of the bar of a part of a score."""

WIDEST = 100
"""A longer line of text is hard to read."""

KINDS = {"turn": "SAID", "note": "NOTED", "document": "WRITTEN"}
PARTS = {
    "lexical": "words",
    "dense": "meaning",
    "neighbours": "neighbours",
    "time": "time",
    "entities": "who",
}
"""What the parts of a score are called."""

INDEX_STATES: dict[str, tuple[str, Tone]] = {
    "ready": ("✓ ready", "ok"),
    "building": ("● building", "info"),
    "lexical": ("! by words only", "warn"),
    "off": ("○ off", "muted"),
    "failed": ("✗ failed", "bad"),
}
ARCHIVE_STATES: dict[str, tuple[str, Tone]] = {
    "ok": ("✓ ok", "ok"),
    "damaged": ("✗ damaged", "bad"),
    "missing": ("! missing", "bad"),
    "unknown": UNKNOWN_STATE,
}


def title(memory: Memory) -> str:
    """What a memory is called."""
    return f"#{memory.id} · {memory.kind} of {memory.namespace}"


def facts(memory: Memory, now: datetime) -> list[tuple[str, Piece]]:
    """What is to be said of a memory beside its text: name and words. Of what has no name of its
    own it is ""."""
    at = memory.at.astimezone()
    by = who(memory) if memory.kind != "document" else ""
    date = f"{at:%d %b %Y %H:%M}".lstrip("0")
    said = f"{at:%a} {date}" + (f" by {by}" if by and by != memory.kind else "")
    told: list[tuple[str, Piece]] = [(KINDS[memory.kind], Piece(said))]
    told.append(("FROM", Piece(_from(memory))))
    used = f"used {plural(memory.uses, 'time')}" if memory.uses else "never used"
    if memory.used_at is not None:
        used += f", {ago(memory.used_at, now)} ago"
    if memory.pinned:
        told.append(("STATE", Piece("★ pinned: seen from every namespace", "key")))
    if memory.state != "live":
        word, tone = MARKS[memory.state]
        told.append(("" if memory.pinned else "STATE", Piece(f"{word}{_why(memory)}", tone)))
    told.append(("WORTH", muted(f"importance {memory.importance:.2f} · {used}")))
    for index, old in enumerate(memory.replaces):
        how = "of" if old.how == "replaced" else "again, of"
        name = "INSTEAD" if index == 0 else ""
        text = f"{how}: {one_line(old.text)} · {dated(old.at, now)} (#{old.id})"
        told.append((name, Piece(text, "info")))
    return told


def _from(memory: Memory) -> str:
    if memory.turn_id is not None:
        return f"turn #{memory.turn_id} of the conversation {memory.namespace}"
    if memory.kind == "document":
        return f"the file {memory.source}"
    parts = [part for part in (memory.source, memory.ref) if part and part != memory.kind]
    return " · ".join(parts) or f"a note in {memory.namespace}"


def _why(memory: Memory) -> str:
    match memory.state:
        case "archived":
            return ": unused for long, its text is in a compressed file"
        case "merged":
            return f" into #{memory.replaced_by}: the same, said again"
        case "replaced":
            return f" by #{memory.replaced_by}, which says otherwise"
    return ""


def sum_of(score: float, parts: Parts) -> str:
    """A score as what it is made of, on one line; what adds nothing to it is left out."""
    values = {name: float(getattr(parts, field)) for field, name in PARTS.items()}
    made = "".join(
        f" {'−' if value < 0 else '+'} {name} {abs(value):.2f}"
        for name, value in values.items()
        if abs(value) >= 0.005
    )
    return f"{score:.2f} = {made.removeprefix(' + ')}" if made else f"{score:.2f}"


def bars_of(parts: Parts) -> list[Pieces]:
    """The parts of a score as bars, the largest full."""
    values = {name: float(getattr(parts, field)) for field, name in PARTS.items()}
    most = max((abs(v) for v in values.values()), default=0.0) or 1.0
    return [
        (
            muted(f"{name:<10} "),
            Piece(bar(abs(v) / most, BAR), "bad" if v < 0 else "accent" if v else "rule"),
            Piece(f" {v:5.2f}", "plain" if v else "muted"),
        )
        for name, v in values.items()
    ]


def details(memory: Memory, width: int, height: int, now: datetime) -> list[Pieces]:
    """A memory in a pane. Its text comes first; where it would push the facts out of sight,
    they do."""
    room = max(16, min(width - 2, WIDEST))
    text = [(Piece(f" {line}"),) for line in wrap(memory.said, room)]
    narrow = height < 14
    told = _labelled(facts(memory, now), room)
    if memory.state != "live":
        told.append((_name(""), Piece("b", "key"), muted(" brings it back")))
    score = getattr(memory, "score", None)
    parts: Parts | None = getattr(memory, "parts", None)
    if score is not None and parts is not None:
        if narrow:
            told += _labelled([("SCORE", Piece(sum_of(score, parts)))], room)
        else:
            lines = [(Piece(f"{score:.2f}", "strong"),), *bars_of(parts)]
            names = ["SCORE", *[""] * (len(lines) - 1)]
            told += [(_name(n), *line) for n, line in zip(names, lines, strict=True)]
    gap: list[Pieces] = [] if narrow else [()]
    if len(text) + len(gap) + len(told) > height and len(text) > 3:
        return [*told, (), *text]
    return [*text, *gap, *told]


def _name(name: str) -> Piece:
    return Piece(f" {name:<{LABEL}} ", "title")


def _labelled(told: Iterable[tuple[str, Piece]], room: int) -> list[Pieces]:
    lines: list[Pieces] = []
    for name, piece in told:
        for index, part in enumerate(wrap(piece.text, max(8, room - LABEL - 1))):
            lines.append((_name(name if index == 0 else ""), Piece(part, piece.tone)))
    return lines


# --- windows ------------------------------------------------------------------------------------


def sheet(memory: Memory, shown: Shown | None, trouble: str, room: int, now: datetime) -> list[Row]:
    """A memory with what stood around it; without it as long as ``shown`` is None, or because of
    ``trouble``."""
    told = facts(memory, now)
    score, parts = getattr(memory, "score", None), getattr(memory, "parts", None)
    if score is not None and parts is not None:
        told.append(("SCORE", Piece(sum_of(score, parts))))
    lines = [Row((Piece(name, "title"), piece)) for name, piece in told]
    lines.append(Row((NOTHING, NOTHING)))
    if shown is None:
        lines.append(Row((Piece("TEXT", "title"), strong(memory.said))))
        lines.append(Row((NOTHING, NOTHING)))
        wait = muted("reading what stood around it …")
        lines.append(Row((NOTHING, Piece(f"✗ {trouble}", "bad") if trouble else wait)))
    else:
        for each in shown.around or (shown.memory,):
            here = each.id == memory.id
            mark = Piece(
                f"{'›' if here else ' '} {dated(each.at, now)}", "key" if here else "muted"
            )
            by = f"{who(each)}: " if each.kind == "turn" or each.speaker else ""
            lines.append(Row((mark, Piece(by + each.said, "strong" if here else "plain"))))
    return _wrapped(lines, room)


def _wrapped(lines: Sequence[Row], room: int) -> list[Row]:
    """The last cell of each broken into lines that fit."""
    made = []
    for line in lines:
        first, last = line.cells
        for index, part in enumerate(wrap(last.text, max(12, room))):
            made.append(Row((first if index == 0 else NOTHING, Piece(part, last.tone))))
    return made


def stats(found: Stats, now: datetime) -> list[Pieces]:
    """How much is remembered, and how the index stands."""
    word, tone = INDEX_STATES.get(found.index, UNKNOWN_STATE)
    counts = (
        (found.live, "live"),
        (found.merged, "merged"),
        (found.replaced, "replaced"),
        (found.archived, "archived"),
        (found.pinned, "pinned"),
        (found.forgotten, "forgotten for good"),
    )
    told = [f"{number(count)} {what}" for count, what in counts if count]
    waits = [f"{number(found.waiting)} waiting", f"{number(found.to_embed)} to embed"]
    meaning = (
        f"{found.embedding} · {number(found.dimensions)} numbers each"
        f" · {plural(found.vectors, 'vector')}"
        if found.embedding
        else "no model for meaning: found by words alone"
    )
    lines: list[tuple[str, Piece]] = [
        ("Memories", Piece(f"{number(found.memories)} · {', '.join(told)}".rstrip(" ·"))),
        ("Namespaces", Piece(number(found.namespaces))),
        ("Index", Piece(f"{word} · {' · '.join(waits)}", tone)),
        ("", Piece(found.note, "warn")),
        ("Meaning", Piece(meaning)),
        ("Size", Piece(f"{size(found.index_bytes)} on disk · {size(found.resident_bytes)} held")),
    ]
    lines += _archives(found, now)
    lines += _folders(found)
    return [(Piece(name, "title"), piece) for name, piece in lines if piece.text]


def _archives(found: Stats, now: datetime) -> list[tuple[str, Piece]]:
    if not found.archive_files:
        return [("Archives", muted("none yet"))]
    lines = []
    for index, file in enumerate(found.archive_files):
        word, tone = ARCHIVE_STATES.get(file.state, UNKNOWN_STATE)
        text = (
            f"{word} · {clean(file.name)} · {dated(file.at, now)} · {number(file.memories)},"
            f" {number(file.live)} only there · {size(file.bytes)}"
        )
        lines.append(("Archives" if index == 0 else "", Piece(text, tone)))
    return lines


def _folders(found: Stats) -> list[tuple[str, Piece]]:
    if not found.folders:
        return [("Folders", muted("none: w watches one"))]
    lines = []
    for index, folder in enumerate(found.folders):
        word, tone = FOLDER_STATES.get(folder.state, UNKNOWN_STATE)
        text = (
            f"{word} · {folder.path.display} → {folder.namespace}"
            f" · {plural(folder.files, 'file')}, {plural(folder.passages, 'passage')}"
        )
        lines.append(("Folders" if index == 0 else "", Piece(text, tone)))
    return lines
