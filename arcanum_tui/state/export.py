"""A conversation as a Markdown file. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.contract.memory import Turn

_ENDS = {
    "stopped": "stopped by the person who asked",
    "failed": "failed",
    "interrupted": "interrupted",
    "open": "not finished yet",
}


def pages(title: str, turns: Iterable[Turn]) -> Iterator[str]:
    """The file, piece by piece: every branch, in the order in which it was asked."""
    yield f"# {title}\n"
    before = 0
    for turn in turns:
        yield f"\n## #{turn.id} · {turn.asked_at.astimezone():%Y-%m-%d %H:%M}\n\n"
        if before and (turn.parent_id or 0) != before:
            where = f"follows #{turn.parent_id}" if turn.parent_id else "begins anew"
            yield f"*A branch: {where}.*\n\n"
        yield _quoted(turn.question)
        if turn.attached:
            yield f"\n*With {', '.join(turn.attached)}.*\n"
        if turn.answer:
            yield f"\n{turn.answer.rstrip()}\n"
        if (end := _ENDS.get(turn.status)) is not None:
            yield f"\n*{end}{f': {turn.note}' if turn.note else ''}*\n"
        before = turn.id


def _quoted(text: str) -> str:
    return "".join(f"> {line}\n" for line in text.split("\n"))


def file_name(session: str) -> str:
    """A name for the file that every disk takes."""
    plain = re.sub(r"[^\w.-]+", "-", session).strip("-.")
    return f"{plain or 'conversation'}.md"
