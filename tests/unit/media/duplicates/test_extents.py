"""What comes free where copies share their bytes on the disk."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media.duplicates.extents import Layout, merge, never_share, weigh
from tests.unit.media.duplicates.asking import find, inodes, kept, last, named, page
from tests.unit.media.house import House

OWN = Layout(10, [])
SAME = Layout(10, [(100, 110)])


def test_what_is_shared_with_one_that_stays_frees_nothing() -> None:
    kept_, clone, apart = weigh([SAME, SAME, OWN], [False, True, True])
    assert (kept_.shares, clone.shares, apart.shares) == ("all", "all", "none")
    assert (kept_.frees, clone.frees, apart.frees) == (0, 0, 10)


def test_what_only_spare_ones_share_comes_free_once() -> None:
    assert [w.frees for w in weigh([OWN, SAME, SAME, SAME], [False, True, True, True])] == [
        *(0, 10, 0, 0)
    ]


def test_what_is_shared_with_something_else_is_not_counted() -> None:
    """A snapshot, or a file that nobody asked about."""
    _kept, snapshot = weigh([OWN, SAME], [False, True])
    assert (snapshot.shares, snapshot.frees) == ("some", 0)


def test_what_is_partly_shared_frees_the_rest() -> None:
    half = Layout(10, [(100, 104)])
    _kept, other = weigh([SAME, half], [False, True])
    assert (other.shares, other.frees) == ("some", 6)


def test_what_nobody_tells_is_unknown_and_counted_as_its_own() -> None:
    _kept, unknown = weigh([OWN, Layout(10, None)], [False, True])
    assert (unknown.shares, unknown.frees) == ("unknown", 10)


spans = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 8)), max_size=4).map(
    lambda found: merge((start, start + size) for start, size in found)
)


@given(st.lists(st.tuples(spans, st.booleans(), st.integers(0, 9)), min_size=2, max_size=6))
def test_no_byte_comes_free_twice_or_while_somebody_has_it(
    files: list[tuple[list[tuple[int, int]], bool, int]],
) -> None:
    sets = [{byte for start, end in held for byte in range(start, end)} for held, _, _ in files]
    layouts = [Layout(len(own) + alone, held) for own, (held, _, alone) in zip(sets, files)]  # noqa: B905
    spare = [goes for _, goes, _ in files]
    counted: set[int] = set()
    expected = 0
    for at, own in enumerate(sets):
        for byte in own:
            holders = [n for n, other in enumerate(sets) if byte in other]
            if len(holders) > 1 and all(spare[n] for n in holders) and byte not in counted:
                counted.add(byte)
        expected += files[at][2] if spare[at] else 0
    weights = weigh(layouts, spare)
    assert sum(weight.frees for weight in weights) == expected + len(counted)


def test_file_systems_that_cannot_share_are_known_by_their_name() -> None:
    mounts = (
        b"24 1 254:0 / / rw - ext4 /dev/vda rw\n25 1 0:44 / /b rw,x shared:1 - btrfs /dev/b rw\nodd"
    )
    assert never_share(os.makedev(254, 0), mounts)
    assert not never_share(os.makedev(0, 44), mounts)
    assert not never_share(os.makedev(9, 9), mounts)
    assert not never_share(os.makedev(254, 0), b"")


@pytest.fixture(params=["btrfs", "xfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A small disk of this file system."""
    maker = shutil.which(f"mkfs.{request.param}")
    if maker is None:
        if os.environ.get("ARCANUM_CI"):
            pytest.fail(f"needs mkfs.{request.param}, which may not be missing in CI")
        pytest.skip(f"needs mkfs.{request.param}")
    image, folder = tmp_path / "disk.img", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(400 * 1024**2)
    folder.mkdir()
    subprocess.run([maker, "-q", image], check=True, capture_output=True)
    mounted = subprocess.run(
        ["mount", "-o", "loop", image, folder], check=False, capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"this kernel mounts no {request.param} here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True, capture_output=True)


def clone(source: Path, target: Path) -> None:
    subprocess.run(["cp", "--reflink=always", source, target], check=True, capture_output=True)


@pytest.mark.system("mount")
async def test_reflinks_are_no_duplicates(house: House, disk: Path) -> None:
    (disk / "a").write_bytes(os.urandom(500_000))
    (disk / "c").write_bytes((disk / "a").read_bytes())
    clone(disk / "a", disk / "b")
    (disk / "alone").write_bytes(os.urandom(500_000))
    clone(disk / "alone", disk / "alone2")
    os.sync()

    found = await find(house, disk)
    (group,) = found.groups  # `alone` and its clone are none.
    copies = {last(path): copy for path, copy in named(group).items()}
    assert last(kept(group)) == b"a"
    assert (copies[b"b"].role, copies[b"b"].shares, copies[b"b"].frees) == ("stay", "all", 0)
    assert (copies[b"c"].role, copies[b"c"].shares) == ("spare", "none")
    assert group.frees == copies[b"c"].frees == 500_000 == found.totals.frees
    assert found.totals.groups == 1

    await house.add(disk, "films")
    await house.scan()
    one = await page(house)
    assert inodes(one.groups) == inodes(found.groups)
    assert one.groups[0].frees == 500_000
    assert one.not_duplicates == 1
