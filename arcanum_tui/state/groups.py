"""Groups in the place of files: of the same bytes, or of pictures that look alike. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arcanum_tui.state.grid import NOTHING, Column, Piece, Row, muted, strong
from arcanum_tui.state.jumps import Joined, Jumps
from arcanum_tui.state.text import number, plural, size

if TYPE_CHECKING:
    from engine.contract.base import PathRef
    from engine.contract.copies import (
        Copy,
        CopyName,
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

PAGE = 50
"""Groups that are read at once."""

SORTS = {"frees": "", "count": " by copies", "path": " by path"}
"""Orders of groups of the same bytes, and what a heading says of each."""
_LEFT = Row((muted("–"), NOTHING, NOTHING, muted("no duplicates any more")))
_STAY = muted(" · nothing goes from here")


@dataclass(frozen=True, slots=True)
class Listed:
    """A page as a list shows it. ``total`` groups; ``handle`` names what was counted. The last
    ``giving`` pieces of ``note`` give way first."""

    title: str
    groups: Sequence[DuplicateGroup] | Sequence[NearGroup]
    total: int
    handle: str
    note: tuple[Piece, ...]
    giving: int
    empty: Piece


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a group, as far as it takes to read it closely."""

    id: int
    library: str
    path: PathRef
    kind: str | None


def members(group: DuplicateGroup | NearGroup) -> dict[str, Member]:
    """Its files in libraries, each name by itself; by the keys of their rows (``asset``)."""
    files: list[Copy | CopyName | NearPicture] = []
    if hasattr(group, "pictures"):
        files += group.pictures
    else:
        for copy in group.copies:
            files += [copy, *copy.names]
    kind = "image" if hasattr(group, "pictures") else None
    return {
        str(one.id): Member(one.id, one.library, one.path, kind)
        for one in files
        if one.id is not None and one.library is not None
    }


class Groups:
    """Groups in one order, read where somebody looks. ``first``: pages that are in sight, and are
    read before anything is shown. ``want`` is called where a row that is not here was looked for.
    """

    def __init__(self, *, alike: bool, first: Sequence[int], want: Callable[[], None]) -> None:
        self._draw = alike_row if alike else same_row
        self._first = first
        self._pages: Jumps[Any] = Jumps(PAGE, len(COLUMNS), self._row)
        self.rows: Joined[Any] = Joined((self._pages,), want)
        self.handle = ""
        self.reading = False

    def _row(self, group: Any) -> Row:
        return _LEFT if group is None else self._draw(group)

    @property
    def wanted(self) -> int | None:
        """The page to be read next, the latest wish first."""
        if self._pages.wanted is not None:
            return self._pages.wanted
        return next((page for page in self._first if not self._pages.has(page)), None)

    @property
    def ready(self) -> bool:
        """Whether what is in sight is here."""
        return all(self._pages.has(page) for page in self._first)

    def put(self, at: int, page: Listed) -> None:
        """A page was read. Those of its groups that are none any more were left out."""
        left = max(0, min(PAGE, page.total - at * PAGE) - len(page.groups))
        self._pages.put(at, (*page.groups, *[None] * left), page.total)
        self.handle = page.handle


def same(page: DuplicatePage, where: str, sort: str) -> Listed:
    """Files with the same bytes, in an order of SORTS."""
    totals = page.totals
    note = [strong(where), muted(f"  {plural(totals.groups, 'group')}{SORTS[sort]}"), _STAY]
    giving = [Piece(f" · at most {size(totals.frees)} free")]
    if page.candidates:
        giving.append(Piece(f" · {plural(page.candidates, 'file')} to compare", "unknown"))
    if page.unread:
        giving.append(Piece(f" · {number(page.unread)} unreadable", "unknown"))
    empty = muted("no two files here have the same bytes; D shows pictures that look alike")
    return Listed(
        "DUPLICATES", page.groups, totals.groups, page.handle, (*note, *giving), len(giving), empty
    )


def alike(page: NearPage, where: str) -> Listed:
    """Pictures that look alike, as far as they were compared."""
    note = [strong(where), muted(f"  {plural(page.total, 'group')}")]
    if page.groups and page.waiting and not page.problem:
        note.append(Piece(f" · C compares {number(page.waiting)} more", "unknown"))
    note += [_STAY, muted(f" · {plural(page.compared, 'picture')} compared")]
    return Listed("ALIKE", page.groups, page.total, "", tuple(note), 1, _none_alike(page))


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
