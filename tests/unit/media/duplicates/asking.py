"""What a test asks of duplicates: trees on a disk, searches, and jdupes beside them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.copies import (
    AskDuplicates,
    Copy,
    DuplicateGroup,
    DuplicatePage,
    FindDuplicates,
    FoundDuplicates,
)
from tests.fakes.door import JobDouble
from tests.unit.media.house import House

Inode = tuple[int, int]


async def find(
    house: House, *folders: Path, job: JobDouble | None = None, **more: Any
) -> FoundDuplicates:
    """A search in folders that are no libraries."""
    paths = tuple(PathRef.of(folder) for folder in folders)
    return await house.door.run(media.FIND_DUPLICATES, FindDuplicates(paths=paths, **more), job)


async def page(house: House, **values: Any) -> DuplicatePage:
    return await house.door.call(media.DUPLICATES, AskDuplicates(**values))


async def pages(house: House, **values: Any) -> list[DuplicateGroup]:
    """All groups, page by page."""
    found: list[DuplicateGroup] = []
    after = None
    while True:
        one = await page(house, after=after, **values)
        found += one.groups
        after = one.next
        if after is None:
            return found


def inodes(groups: Iterable[DuplicateGroup]) -> set[frozenset[Inode]]:
    return {
        frozenset((copy.identity.dev, copy.identity.ino) for copy in group.copies)
        for group in groups
    }


def named(group: DuplicateGroup) -> dict[bytes, Copy]:
    return {copy.path.data: copy for copy in group.copies}


def last(path: bytes) -> bytes:
    """The file's own name."""
    return path.rpartition(b"/")[2]


def kept(group: DuplicateGroup) -> bytes:
    """The path of the one to keep: there is exactly one, and it comes first."""
    assert [copy.role for copy in group.copies].count("keep") == 1
    assert group.copies[0].role == "keep"
    assert group.copies[0].frees == 0
    return group.copies[0].path.data


def jdupes(*folders: Path) -> set[frozenset[Inode]]:
    """Its groups as inodes; those of one inode (hard links) are none."""
    done = subprocess.run(
        ["jdupes", "-r", "-q", "-0", *folders], capture_output=True, check=True, timeout=60
    )
    groups = set()
    for text in done.stdout.split(b"\0\0"):
        names = [path for path in text.split(b"\0") if path.strip(b"\n")]
        stats = [Path(os.fsdecode(name)).stat() for name in names]
        group = frozenset((status.st_dev, status.st_ino) for status in stats)
        if len(group) > 1:
            groups.add(group)
    return groups
