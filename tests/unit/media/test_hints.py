"""Where to look: hints made few, and the watcher process by itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.media.drift import Hearing
from engine.media.hints import condense
from engine.media.process import Process
from engine.worker.frames import to_bytes, to_text
from tests.unit.media.house import write


def test_what_lies_below_a_hinted_folder_is_left_out() -> None:
    assert condense([b"a/b", b"a", b"a/b/c", b"ab", b"a-b"]) == [b"a", b"a-b", b"ab"]


def test_many_places_become_their_folders() -> None:
    assert condense(b"%d/%d" % (n % 5, n) for n in range(1000)) == [b"0", b"1", b"2", b"3", b"4"]


def test_too_many_places_become_everything() -> None:
    assert condense(b"%d/%d" % (n, n) for n in range(1000)) is None
    assert condense(b"%d" % n for n in range(1000)) is None


def test_few_but_very_long_places_become_their_folders() -> None:
    assert condense(b"folder/" + b"%d" % n * 1000 for n in range(100)) == [b"folder"]


def test_nothing_is_nothing() -> None:
    assert condense([]) == []


def test_what_was_told_explains_what_a_look_finds() -> None:
    hearing = Hearing([b"waiting"])
    hearing.add([b"folder"])
    paths = [b"waiting", b"folder/below/file", b"folder", b"folder 2", b"other"]
    assert hearing.unexplained(paths) == 2
    hearing.forget()
    hearing.add([b"x"])
    assert hearing.unexplained(paths) == 0


@asynccontextmanager
async def watcher(how: str, root: Path) -> AsyncIterator[Process]:
    process = await Process.start("engine.media.watcher")
    try:
        await process.send({"do": "start", "how": how, "skip": ".arcanum-trash"})
        root_text = to_text(os.fsencode(root))
        await process.send({"do": "watch", "id": 1, "root": root_text})
        async with asyncio.timeout(10):
            assert await process.receive() == {"k": "live", "id": 1}
        yield process
    finally:
        await process.kill()


async def hints(process: Process) -> set[bytes]:
    """All that is told until it has caught up."""
    await process.send({"do": "catch up", "id": -1})
    told: set[bytes] = set()
    async with asyncio.timeout(10):
        while True:
            frame: dict[str, Any] = await process.receive()
            if frame["k"] == "caught up":
                return told
            told.update(to_bytes(path) for path in frame["rows"])


@pytest.mark.parametrize("how", ["inotify", "watchfiles"])
async def test_what_happens_is_told(how: str, films: Path) -> None:
    write(films / "folder" / "file")
    async with watcher(how, films) as process:
        assert await hints(process) == set()
        write(films / "folder" / "file", b"changed")
        write(films / "new", b"new")
        write(films / ".arcanum-trash" / "thrown away")
        assert await hints(process) == {b"folder/file", b"new"}
        (films / "folder").rename(films / "elsewhere")
        assert {b"folder", b"elsewhere"} <= await hints(process)
        write(films / "elsewhere" / "file", b"again")
        assert b"elsewhere/file" in await hints(process)
        await process.send({"do": "unwatch", "id": 1})
        await hints(process)
        write(films / "nobody looks")
        assert b"nobody looks" not in await hints(process)


@pytest.mark.parametrize("how", ["inotify", "watchfiles"])
async def test_a_root_that_is_not_there(how: str, films: Path) -> None:
    async with watcher(how, films) as process:
        await process.send({"do": "watch", "id": 2, "root": to_text(os.fsencode(films / "no"))})
        async with asyncio.timeout(10):
            frame = await process.receive()
    assert (frame["k"], frame["id"]) == ("failed", 2)


@pytest.mark.parametrize("how", ["inotify", "watchfiles"])
async def test_what_lies_in_a_library_within_is_told_to_nobody_else(how: str, films: Path) -> None:
    write(films / "in" / "ner" / "file")
    write(films / "in" / "other")
    async with watcher(how, films) as process:
        await process.send({"do": "renest", "id": 1, "inner": ["in/ner"], "again": False})
        assert await hints(process) == set()
        write(films / "in" / "ner" / "new")
        write(films / "in" / "ner" / "folder" / "new")
        write(films / "in" / "other", b"changed")
        assert await hints(process) == {b"in/other"}
        await process.send({"do": "renest", "id": 1, "inner": [], "again": True})
        async with asyncio.timeout(10):
            assert await process.receive() == {"k": "live", "id": 1}
        write(films / "in" / "ner" / "folder" / "newer")
        assert b"in/ner/folder/newer" in await hints(process)


@pytest.mark.parametrize("how", ["inotify", "watchfiles"])
async def test_what_is_not_watched_never_goes_live(how: str, films: Path) -> None:
    """That anything may have happened there is told all the same."""
    async with watcher(how, films) as process:
        await process.send({"do": "unwatch", "id": 1})
        await process.send({"do": "renest", "id": 1, "inner": [], "again": True})
        async with asyncio.timeout(10):
            assert await process.receive() == {"k": "lost", "id": 1}
