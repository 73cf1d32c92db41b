"""What a library looks like from outside is told whenever it moved."""

from __future__ import annotations

from typing import Any, cast

from engine.contract.assets import Library
from engine.media.catalogue import Numbers, Stored
from engine.media.shelf import Shelf
from engine.media.unseen import Unseen
from tests.fakes.waiting import until


class Counting:
    """Files of which one more comes while the first numbers are read."""

    def __init__(self) -> None:
        self.count = 1
        self.shelf: Shelf | None = None

    async def numbers(self, _library: int) -> Numbers:
        told = Numbers(files=self.count)
        if self.shelf is not None and self.count == 1:
            self.count = 2
            self.shelf.touch()
        return told


async def test_what_moves_while_the_numbers_are_read_is_told_too() -> None:
    heard: list[Library] = []
    files = Counting()
    stored, unseen = Stored(1, "films", b"/films"), Unseen(cast(Any, None), 1)
    shelf = Shelf(stored, cast(Any, files), "machine", heard.append, unseen=unseen)
    files.shelf = shelf
    shelf.touch()
    await until(lambda: [library.files for library in heard] == [1, 2], 10)
    await shelf.stop()
