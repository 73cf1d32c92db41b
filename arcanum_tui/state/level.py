"""What a list of files shows at a time: folders, if it goes folder by folder, and files. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from arcanum_tui.state import media as rows
from arcanum_tui.state.grid import Piece, Row, muted
from arcanum_tui.state.jumps import Joined, Jumps
from arcanum_tui.state.narrowing import ALL, SORTED, Narrowing
from arcanum_tui.state.text import number, plural, size

if TYPE_CHECKING:
    from engine.contract.assets import AssetPage, ListedAsset
    from engine.contract.listing import Folder, FolderPage

    Entry = Folder | ListedAsset


class Level:
    """``want`` is called where a row that is not here was looked for. ``counted``: all that matches
    is counted; ``uncounted``: pages of folders without their numbers; ``handle``: the order that
    the engine remembers; ``bytes``: of all that matches, or lies below the folder; ``shared``: of
    them, those that several of its folders hold."""

    def __init__(self, asked: Narrowing, want: Callable[[], None]) -> None:
        self.asked = asked
        columns = len(rows.FILES)
        self.folders: Jumps[Entry] = Jumps(rows.PAGE, columns, self._row)
        self.files: Jumps[Entry] = Jumps(rows.PAGE, columns, self._row)
        self.rows: Joined[Entry] = Joined((self.folders, self.files), want)
        self.counted = False
        self.uncounted: set[int] = set()
        self.handle = ""
        self.bytes = self.shared = 0
        self.reading = False
        self.goal: int | None = None
        if self.by_folder:
            self.folders.wanted = 0

    @property
    def by_folder(self) -> bool:
        """Whether folders are shown: what is narrowed is found wherever it lies below."""
        return self.asked.folder is not None and not self.asked.narrowed

    def _row(self, entry: Entry) -> Row:
        if hasattr(entry, "modified_at"):
            below = f"{self.asked.folder[1]}/" if self.asked.folder and self.asked.folder[1] else ""
            everywhere = self.asked.library == ALL
            asset = cast("ListedAsset", entry)
            return rows.asset_row(asset, everywhere=everywhere, sort=self.asked.sort, below=below)
        return rows.folder_row(entry)

    def put_folders(self, at: int, page: FolderPage) -> None:
        """Where no file lies beside the folders, there is none to be asked for."""
        self.folders.put(at, page.folders, page.total)
        self.bytes, self.shared = page.below_bytes or 0, page.shared
        if page.counted:
            self.uncounted.discard(at)
        else:
            self.uncounted.add(at)
        if not page.files:
            self.files.put(0, (), 0)
            self.files.wanted, self.counted = None, True

    def put_files(self, at: int, page: AssetPage) -> None:
        known = page.counted or bool(page.handle)
        total = page.total if known else at * self.files.size + len(page.assets)
        self.files.put(at, page.assets, total)
        self.handle = page.handle or self.handle
        self.counted = page.counted
        if not self.by_folder:
            self.bytes = page.bytes

    def put_count(self, page: AssetPage) -> None:
        """The numbers of all that matches came later than the first rows."""
        self.counted, self.handle = True, page.handle or self.handle
        self.files.total = page.total
        if not self.by_folder:
            self.bytes = page.bytes

    def amount(self) -> list[str]:
        """How many folders and files match, as far as they are counted."""
        parts = []
        if self.by_folder and len(self.folders):
            parts.append(plural(len(self.folders), "folder"))
        if self.counted and (len(self.files) or not parts):
            parts.append(plural(len(self.files), "file"))
        elif not self.counted:
            parts.append(f"{number(len(self.files))}+ files")
        return parts

    def note(self) -> list[Piece]:
        """What is listed, for the heading."""
        asked = self.asked
        where = "all libraries" if asked.library == ALL else asked.library
        if asked.folder is not None:
            where += f"/{asked.folder[1]}" if asked.folder[1] else "/"
        parts = self.amount()
        if self.counted and (self.bytes or not self.by_folder):
            linked = f" ({size(self.shared)} hardlinked in several)" if self.shared else ""
            parts.append(size(self.bytes) + linked)
        order = SORTED[asked.sort][asked.reverse]
        return [
            Piece(where, "strong"), muted(f"  {', '.join(parts)} · by {order}"), *asked.words()
        ]  # fmt: skip
