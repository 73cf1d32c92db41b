"""A library that is read again and held against a remote; and what is offered where it went bad."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from blake3 import blake3

from engine.contract import media, remotes
from engine.contract.base import PathRef
from engine.contract.call import Actor, ActorKind, Call
from engine.contract.client import Done
from engine.contract.errors import Forbidden, Invalid, NotFound, Unavailable
from engine.contract.integrity import ListDamaged, RemoteCopy, VerifyLibrary, VerifyResult
from engine.contract.traits import ShowAsset
from engine.media.room import MediaRoom
from engine.media.timing import Timing
from engine.store import Transaction
from tests.unit.remotes.conftest import Servers
from tests.unit.remotes.house import House, put


async def _verify(house: House, remote: str, **more: object) -> VerifyResult:
    request = VerifyLibrary.model_validate({"library": "films", "remote": remote} | more)
    found: VerifyResult = await house.run(media.VERIFY, request)
    return found


async def _went_bad(house: House, path: bytes, good: bytes) -> None:
    """As if the file had held ``good`` when it was catalogued, and its bytes were others since.

    It is the catalogue that is told so: to write to the file is an edit, which a watcher tells of.
    """
    others = {"md5": hashlib.md5(good), "sha1": hashlib.sha1(good)}

    async def work(tx: Transaction) -> None:
        (row,) = await tx.fetch("SELECT id FROM file WHERE path = ?", (path,))
        await tx.execute(
            "UPDATE file SET blake3 = ? WHERE id = ?", (blake3(good).digest(), row["id"])
        )
        for kind, made in others.items():
            await tx.execute(
                "INSERT INTO digest VALUES (?, ?, ?)", (row["id"], kind, made.digest())
            )

    await house.engine.ground.catalogue.write(work)
    room = house.engine.lifecycle._slots["media"].room
    assert isinstance(room, MediaRoom)
    room._integrity._timing = Timing(still=0)  # It need not have lain there for a minute.


async def test_every_file_is_read_and_held_against_the_remotes_own_hash(
    house: House, films: Path, remote: tuple[str, Path]
) -> None:
    ref, _disk = remote
    assert (await house.copy(ref)).state == "done"
    found = await _verify(house, ref)
    assert (found.checked, found.intact, found.rotten) == (3, 3, 0)
    told = found.compared
    assert told is not None
    assert told.remote == ref
    if ref.startswith("dav:"):  # It has no hash: nobody knows more than the size.
        assert (told.hash, told.matching, told.unsure) == ("", 0, 3)
        assert {trouble.kind for trouble in found.troubles} == {"unsure"}
    else:
        assert told.hash
        assert (told.entries, told.matching, told.unsure) == (3, 3, 0)
        assert not found.troubles


async def test_what_differs_or_is_on_one_side_alone_is_named(
    house: House, films: Path, servers: Servers
) -> None:
    disk = servers.s3.folder / "bucket" / "apart"
    await house.copy("s3:bucket/apart")
    other = disk / "heat.mkv"
    other.write_bytes(other.read_bytes()[::-1])
    (disk / "ran.mkv").unlink()
    put(disk, "lost-here.mkv")
    found = await _verify(house, "s3:bucket/apart")
    told = found.compared
    assert told is not None
    assert (told.entries, told.matching, told.differing, told.missing, told.extra) == (
        3, 1, 1, 1, 1,
    )  # fmt: skip
    assert told.hash == "md5"
    named = {(trouble.kind, trouble.path and trouble.path.display) for trouble in found.troubles}
    assert named == {
        ("differing", "heat.mkv"),
        ("missing", "lost-here.mkv"),
        ("extra", "ran.mkv"),
    }


async def test_a_good_copy_on_a_remote_is_offered_for_a_file_that_went_bad(
    house: House, films: Path, remote: tuple[str, Path]
) -> None:
    ref, disk = remote
    good = put(disk, "heat.mkv", 200_000)
    good.write_bytes(good.read_bytes()[::-1])
    await _went_bad(house, b"heat.mkv", good.read_bytes())
    found = await _verify(house, ref)
    assert found.rotten == 1
    (one,) = found.damaged
    assert one.path.display == "heat.mkv"
    (copy,) = one.remotes
    assert (copy.remote, copy.path.display) == (ref, "heat.mkv")
    assert copy.by == {"dav": "size", "s3:": "md5", "sft": "sha1"}.get(ref[:3], "blake3")
    # And where damage is listed, and the file is shown.
    page = await house.call(media.DAMAGED, ListDamaged())
    assert page.damaged[0].remotes == one.remotes
    shown = await house.call(media.SHOW, ShowAsset(library="films", path=PathRef.of("heat.mkv")))
    sure: tuple[RemoteCopy, ...] = () if copy.by == "size" else one.remotes
    assert shown.remotes == sure
    # Nothing was put right by itself.
    assert (await house.call(media.DAMAGED, ListDamaged())).total == 1


async def test_a_check_alone_makes_the_offer_sure(
    house: House, films: Path, servers: Servers
) -> None:
    """A remote that reads a file for its hash was asked for it: the answer is kept."""
    await house.copy("sftp:learned")
    await house.check("sftp:learned")
    request = remotes.FindFile(library="films", path=PathRef.of("heat.mkv"))
    assert [h.by for h in (await house.call(remotes.FIND, request)).holders] == ["size"]
    await _verify(house, "sftp:learned")
    assert [h.by for h in (await house.call(remotes.FIND, request)).holders] == ["sha1"]


async def test_what_cannot_be_compared_says_so_before_anything_is_read(house: House) -> None:
    for ref, error in (("nowhere:x", NotFound), ("away:x", Unavailable)):
        with pytest.raises(error):
            await _verify(house, ref)
    for more in ({"days": 3}, {"hashes": ["md5"]}, {"against": PathRef.of("/list")}):
        with pytest.raises(Invalid):
            await _verify(house, "dav:x", **more)


async def test_an_agent_does_not_reach_remotes_by_way_of_a_library(house: House) -> None:
    request = VerifyLibrary(library="films", remote="dav:x")
    call = Call(actor=Actor(ActorKind.AGENT, "curious"))
    answer = await house.gate.call(media.VERIFY, request, call)
    assert isinstance(answer, Done)
    last = await house.ended(answer.result.job_id)  # type: ignore[attr-defined]
    assert last.error is not None
    assert last.error.code == Forbidden.code
