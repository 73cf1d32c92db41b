"""Groups in the place of files: of the same bytes, or of pictures that look alike. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arcanum_tui.state.grid import Column, Piece, Row, muted, strong
from arcanum_tui.state.text import number, plural, size

if TYPE_CHECKING:
    from engine.contract.copies import (
        Copy,
        DuplicateGroup,
        DuplicatePage,
        NearGroup,
        NearPage,
        NearPicture,
    )

COLUMNS = (
    Column(width=7, right=True),
    Column(right=True),
    Column(width=7, right=True, rank=1),
    Column(grow=True, width=20, middle=True),
)

SORTS = {"frees": "", "count": ", most copies first", "path": ", by path"}
"""Orders of groups of the same bytes, and what a heading says of each."""
_STAY = muted(" · nothing goes from here")


@dataclass(frozen=True, slots=True)
class Listed:
    """A page as a list shows it. ``total`` groups; ``following`` is where the next page begins."""

    title: str
    groups: Sequence[DuplicateGroup] | Sequence[NearGroup]
    total: int
    following: str | None
    note: tuple[Piece, ...]
    empty: Piece


def same(page: DuplicatePage, where: str, sort: str) -> Listed:
    """Files with the same bytes, in an order of SORTS."""
    totals = page.totals
    note = [strong(where), muted(f"  {plural(totals.groups, 'group')}{SORTS[sort]}")]
    note += [Piece(f" · at most {size(totals.frees)} free"), _STAY]
    if page.candidates:
        note.append(Piece(f" · {plural(page.candidates, 'file')} to compare", "unknown"))
    if page.unread:
        note.append(Piece(f" · {number(page.unread)} unreadable", "unknown"))
    empty = muted("no two files here have the same bytes; D shows pictures that look alike")
    return Listed("DUPLICATES", page.groups, totals.groups, page.next, tuple(note), empty)


def alike(page: NearPage, where: str) -> Listed:
    """Pictures that look alike, as far as they were compared."""
    note = [strong(where), muted(f"  {plural(page.total, 'group')}")]
    note.append(muted(f" among {plural(page.compared, 'picture')}"))
    if page.groups and page.waiting and not page.problem:
        note.append(Piece(f" · C compares {number(page.waiting)} more", "unknown"))
    note.append(_STAY)
    return Listed("ALIKE", page.groups, page.total, page.next, tuple(note), _none_alike(page))


def _none_alike(page: NearPage) -> Piece:
    """What to do next."""
    if page.problem:
        return Piece(f"✗ {page.problem}", "bad")
    if page.waiting:
        told = f"{plural(page.waiting, 'file')} to look at: C compares the pictures of all"
        return Piece(f"{told} libraries", "unknown")
    if page.compared:
        return muted("no pictures here look alike; C compares those of all libraries again")
    return muted("no picture here can be compared")


def same_row(group: DuplicateGroup) -> Row:
    """What goes free, how many they are, and the one to keep."""
    return Row(
        (
            Piece(size(group.frees), "strong"), Piece(f"{number(group.count)} ×"),
            muted(size(group.size)), Piece(place(group.copies[0])),
        ),
        group.blake3,
    )  # fmt: skip


def alike_row(group: NearGroup) -> Row:
    """How many they are, how far apart, and the one that the others look like."""
    first = group.pictures[0]
    apart = max(picture.distance for picture in group.pictures)
    return Row(
        (
            Piece(f"{number(group.count)} ×", "strong"), muted(plural(apart, "bit")),
            muted(size(first.size)), Piece(place(first)),
        ),
        str(first.id),
    )  # fmt: skip


def place(of: Copy | NearPicture) -> str:
    """Library and path."""
    return f"{of.library}: {of.path.display}" if of.library else of.path.display
