"""Sending after a yes: exactly what was planned, each file looked at again, verified at the end."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from engine.contract import approvals, remotes
from engine.contract.call import Actor, ActorKind, Call
from engine.contract.client import Pending
from engine.contract.errors import Forbidden, Refused, WorldMoved
from engine.contract.operation import Risk
from tests.fakes.waiting import until
from tests.unit.remotes.conftest import Servers
from tests.unit.remotes.house import House, put, tree


async def test_nothing_is_sent_before_the_yes_and_all_of_it_after(
    house: House, films: Path, remote: tuple[str, Path]
) -> None:
    ref, disk = remote
    number = await house.ask(remotes.COPY, ref)
    assert not disk.exists()
    card = (await house.shown(number)).card
    rows = {row.label: row.text for row in card.rows}
    assert rows["DO"] == "send 3 files, 600 kB"
    assert ref in rows["SENDS"]
    assert rows["UNDO"].startswith("none")
    assert card.confirm_count is None
    ended = await house.approve(number)
    assert ended.state == "done"
    assert ended.outcome is not None
    assert ended.outcome.undo is None
    result = ended.outcome.result
    assert (result["sent"], result["bytes"], result["verified"]) == (3, 600_000, 3)
    assert result["verified_by_hash"] == (0 if ref.startswith("dav:") else 3)
    assert tree(disk) == tree(films)
    with pytest.raises(Refused, match="nothing to do: 3 files of films are on"):
        await house.ask(remotes.COPY, ref)


async def test_every_caller_meets_the_approval(house: House) -> None:
    """On loopback too: an address says nothing of where the bytes end."""
    for operation in (remotes.COPY, remotes.SYNC):
        assert operation.risk is Risk.HIGH
        request = remotes.Send(library="films", remote="dav:nowhere-yet")
        by_schedule = Call(actor=Actor(ActorKind.SCHEDULE, "nightly"))
        assert isinstance(await house.gate.call(operation, request, by_schedule), Pending)
        for kind in (ActorKind.MODEL, ActorKind.AGENT):
            with pytest.raises(Forbidden):
                await house.gate.call(operation, request, Call(actor=Actor(kind, "x")))


async def test_times_are_kept_so_that_nothing_is_sent_twice(
    house: House, films: Path, servers: Servers
) -> None:
    await house.copy("sftp:twice")
    there = servers.sftp.folder / "twice" / "heat.mkv"
    assert abs(there.stat().st_mtime - (films / "heat.mkv").stat().st_mtime) < 1
    put(films, "new.mkv")
    ended = await house.copy("sftp:twice")
    assert ended.outcome is not None
    assert ended.outcome.result["sent"] == 1


async def test_overwriting_asks_for_the_number_of_what_is_lost(
    house: House, films: Path, servers: Servers
) -> None:
    put(servers.dav.folder, "over/heat.mkv", 7)
    number = await house.ask(remotes.COPY, "dav:over")
    card = (await house.shown(number)).card
    assert card.confirm_count == 1
    assert "overwrite there 1 file" in next(row.text for row in card.rows if row.label == "DO")
    assert (await house.approve(number)).state == "done"
    assert tree(servers.dav.folder / "over") == tree(films)


async def test_what_changed_before_the_yes_refuses_all_of_it(
    house: House, films: Path, servers: Servers
) -> None:
    number = await house.ask(remotes.COPY, "dav:moved")
    put(films, "heat.mkv", 9)
    with pytest.raises(WorldMoved, match=r"heat\.mkv was changed"):
        await house.approve(number)
    number = await house.ask(remotes.COPY, "dav:moved")
    put(servers.dav.folder, "moved/ran.mkv", 9)
    with pytest.raises(WorldMoved, match=r"ran\.mkv is there by now"):
        await house.approve(number)
    assert list(tree(servers.dav.folder / "moved")) == [b"ran.mkv"]


async def test_what_changes_after_the_yes_is_left_out_and_named(
    house: House, films: Path, servers: Servers
) -> None:
    """The first file is held up by the limit; meanwhile the others change."""
    for number in range(4):
        put(films, f"a{number}.bin", 200_000)
    put(films, "swapped/z.mkv", 50)
    number = await house.ask(remotes.COPY, "sftp:late", bandwidth=200_000)
    running = asyncio.create_task(house.approve(number))
    await house.sending(number)
    put(films, "ran.mkv", 11)
    (films / "heat.mkv").unlink()
    put(films.parent, "secret/z.mkv", 50)
    (films / "swapped").rename(films.parent / "was")
    (films / "swapped").symlink_to(films.parent / "secret")
    await house.unlimited()
    ended = await running
    assert ended.state == "partial"
    assert ended.outcome is not None
    told = " ".join(ended.outcome.problems)
    assert "heat.mkv is gone" in told
    assert "ran.mkv is not the file that was planned" in told
    assert "swapped/z.mkv cannot be read" in told
    assert ended.outcome.result["left"] == 3, ended.outcome
    there = tree(servers.sftp.folder / "late")
    assert set(there) == {b"a0.bin", b"a1.bin", b"a2.bin", b"a3.bin", b"dune/dune.mkv"}


async def test_progress_tells_rate_and_time_left_and_the_limit_holds(
    house: House, films: Path, servers: Servers
) -> None:
    for each in films.rglob("*.mkv"):
        each.unlink()
    put(films, "large.mkv", 1_000_000)
    number = await house.ask(remotes.COPY, "dav:rate", bandwidth=250_000)
    rows = {row.label: row.text for row in (await house.shown(number)).card.rows}
    assert "at 250 kB/s 4 s or longer" in rows["COST"]
    with house.engine.bus.subscribe() as events:
        running = asyncio.create_task(house.approve(number))
        await house.sending(number, 100_000)
        (one,) = (await house.transfers()).transfers
        assert (one.library, one.remote, one.state) == ("films", "dav:rate", "sending")
        assert (await house.transfers()).bandwidth == 250_000
        assert not running.done()
        await house.unlimited()
        assert (await running).state == "done"
        notes = []
        async for event in events:
            if isinstance(event, approvals.ApprovalProgressed):
                notes.append(event.note)
            elif isinstance(event, remotes.Sent):
                break
    assert any("/s · ETA" in note for note in notes)
    assert (await house.transfers()).bandwidth == 0


async def test_a_pause_starts_no_other_file_and_a_cancel_ends_it(
    house: House, films: Path, servers: Servers
) -> None:
    for number in range(12):
        put(films, f"{number:02}.bin", 50_000)
    number = await house.ask(remotes.COPY, "sftp:pause", bandwidth=200_000)
    running = asyncio.create_task(house.approve(number))
    await house.sending(number)
    await house.call(remotes.PAUSE, remotes.ApprovalOf(id=number))

    async def at_rest() -> bool:
        (one,) = (await house.transfers()).transfers
        return one.state == "paused" and not one.now

    await until(at_rest, 20)
    before = len(tree(servers.sftp.folder / "pause"))
    assert 0 < before < 15
    await house.call(remotes.RESUME, remotes.ApprovalOf(id=number))
    await house.sending(number, before * 50_000 + 1)
    await house.call(remotes.CANCEL, remotes.ApprovalOf(id=number))
    ended = await running
    assert ended.state == "interrupted"
    assert ended.outcome is not None
    assert "cancelled by operator:local" in ended.outcome.problems[0]
    # What is there is whole, once rclone has taken back the part it had sent, and not sent again.
    await until(lambda: tree(servers.sftp.folder / "pause").items() <= tree(films).items(), 20)
    there = tree(servers.sftp.folder / "pause")
    assert before <= len(there) < 15
    again = await house.copy("sftp:pause")
    assert again.outcome is not None
    assert again.outcome.result["sent"] == 15 - len(there)
    assert tree(servers.sftp.folder / "pause") == tree(films)


@pytest.mark.parametrize("inside", [".", "dune", ".."])
async def test_a_folder_in_a_library_or_around_one_is_no_remote(
    house: House, films: Path, inside: str
) -> None:
    with pytest.raises(Refused, match="lie in each other"):
        await house.ask(remotes.COPY, os.path.normpath(films / inside))


async def test_another_place_behind_the_name_refuses(
    house: House, films: Path, servers: Servers
) -> None:
    """The person approved an address, not a name."""
    number = await house.ask(remotes.COPY, "dav:renamed")
    before = servers.config.read_text()
    try:
        servers.config.write_text(
            before.replace(f"127.0.0.1:{servers.dav.port}", f"localhost:{servers.dav.port}")
        )
        with pytest.raises(WorldMoved, match="another place"):
            await house.approve(number)
    finally:
        servers.config.write_text(before)
    assert not (servers.dav.folder / "renamed").exists()


# --- names that a remote takes for one ------------------------------------------------------------

COMPOSED, APART = "caf\u00e9.bin", "cafe\u0301.bin"


async def test_of_names_that_are_one_there_the_first_arrives_and_both_are_named(
    house: House, films: Path, servers: Servers
) -> None:
    """``rclone serve`` finds a file by either form of its letters."""
    put(films, COMPOSED, 1000)
    put(films, APART, 2000)
    await house.scan()
    sent = await house.copy("dav:folded")
    assert sent.state == "partial"
    assert sent.outcome is not None
    assert (sent.outcome.done, sent.outcome.total) == (4, 5)
    (problem,) = sent.outcome.problems
    assert {COMPOSED, APART} <= {*problem.split()}
    assert "takes both for one name" in problem
    there = tree(servers.dav.folder / "folded")
    arrived = {name: there[name] for name in there if name.decode().startswith("caf")}
    assert [*arrived.values()] == [tree(films)[name] for name in arrived]
    assert len(arrived) == 1
    for operation in (remotes.COPY, remotes.SYNC):
        with pytest.raises(Refused, match=r"left out: .*takes both for one name"):
            await house.ask(operation, "dav:folded")
    assert tree(servers.dav.folder / "folded") == there


async def test_where_names_are_two_both_arrive(house: House, films: Path, tmp_path: Path) -> None:
    put(films, COMPOSED, 1000)
    put(films, APART, 2000)
    put(films, "Heat.mkv", 10)
    await house.scan()
    usb = tmp_path / "usb"
    for new in (COMPOSED, APART):
        sent = await house.copy(str(usb))
        assert sent.state == "done"
        assert tree(usb) == tree(films)
        (usb / new).unlink()  # Beside its twin it is sent, too.


async def test_what_is_there_under_the_other_form_is_not_deleted(
    house: House, films: Path, servers: Servers
) -> None:
    put(films, APART, 2000)
    await house.scan()
    put(servers.dav.folder / "other", COMPOSED, 2000)
    put(servers.dav.folder / "other", "old.bin", 10)
    synced = await house.approve(await house.ask(remotes.SYNC, "dav:other"))
    assert synced.state == "done"
    assert COMPOSED.encode() in tree(servers.dav.folder / "other")
    assert b"old.bin" not in tree(servers.dav.folder / "other")
