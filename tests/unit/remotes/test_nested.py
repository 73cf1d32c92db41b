"""A library in another: what is on a remote of the one within is not the outer one's to delete."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.contract import assets, media, remotes
from engine.contract.base import PathRef
from engine.contract.errors import Invalid
from tests.unit.remotes.conftest import Servers
from tests.unit.remotes.house import House, put, tree


@pytest.mark.parametrize("away", [False, True])
async def test_what_is_another_librarys_is_left_alone_there(
    house: House, films: Path, servers: Servers, away: bool
) -> None:
    """Also where its disk is away, so that nothing of it is here."""
    inner, there = films / "in" / "ner", f"nested-{away}"  # Nothing of the other turn is there.
    put(inner, "film.mkv", 50)
    await house.scan()
    assert (await house.copy(f"sftp:{there}")).state == "done"
    disk = servers.sftp.folder / there
    assert b"in/ner/film.mkv" in tree(disk)
    await house.call(media.ADD, assets.AddLibrary(path=PathRef.of(inner), name="inner"))
    if away:
        inner.rename(films.parent / "away")
    put(disk, "in/old.mkv")
    put(disk, "in/ner/old.mkv")
    checked = await house.check(f"sftp:{there}")
    assert (checked.missing_here, checked.missing_there) == (1, 0)
    assert (await house.approve(await house.ask(remotes.SYNC, f"sftp:{there}"))).state == "done"
    assert b"in/old.mkv" not in tree(disk)
    assert {b"in/ner/film.mkv", b"in/ner/old.mkv"} <= set(tree(disk))


async def test_a_folder_of_another_library_is_refused(
    house: House, films: Path, servers: Servers
) -> None:
    put(films / "sub" / "below", "film.mkv")
    await house.call(media.ADD, assets.AddLibrary(path=PathRef.of(films / "sub"), name="inner"))
    for folder in ("sub", "sub/below"):
        with pytest.raises(Invalid, match="is in the library inner"):
            await house.check("sftp:nested", folder)
