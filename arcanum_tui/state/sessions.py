"""Conversations as rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from arcanum_tui.state.grid import Column, Piece, Row, muted
from arcanum_tui.state.text import ago, plural

if TYPE_CHECKING:
    from engine.contract.memory import SessionSummary

COLUMNS = (
    Column(),
    Column(most=24),
    Column(grow=True, least=12),
    Column(right=True, rank=1),
    Column(right=True, rank=2),
)

BESIDE = (Column(), Column(grow=True), Column(right=True))
"""The columns of the list beside a conversation."""


def row(session: SessionSummary, current: str, now: datetime) -> Row:
    """A conversation in a window of its own."""
    here = session.name == current
    title = session.title if session.title != session.name else ""
    return Row(
        (
            Piece("▸" if here else " ", "key"),
            Piece(session.name, "strong" if here else "plain"),
            muted(title),
            muted(plural(session.turns, "turn")),
            muted(ago(session.last_at, now)),
        ),
        session.name,
    )


def begun(name: str, current: str, what: str) -> Row:
    """One in which nothing was said yet."""
    mark = Piece("▸" if name == current else "+", "key")
    return Row((mark, Piece(name, "strong"), Piece(what, "info"), muted(""), muted("")), name)


def beside(sessions: Iterable[SessionSummary], current: str, now: datetime) -> list[Row]:
    """The conversations in a narrow list: what each is about, or else its name."""
    rows = [
        Row(
            (
                Piece("▸" if s.name == current else " ", "key"),
                Piece(s.title or s.name, "strong" if s.name == current else "plain"),
                muted(ago(s.last_at, now)),
            ),
            s.name,
        )
        for s in sessions
    ]
    if not any(row.key == current for row in rows):
        rows.insert(0, Row((Piece("▸", "key"), Piece(current, "strong"), muted("new")), current))
    return rows
