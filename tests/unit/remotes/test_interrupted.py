"""What is cut off in the middle: named, never done twice, and carried on with by the next plan."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from engine.contract import approvals, jobs, remotes
from engine.contract.errors import AlreadyAnswered
from engine.remotes import rcd
from engine.remotes.acts import SendActs
from engine.remotes.local import Identity, Place
from engine.remotes.plans import Approved, Item, There
from engine.remotes.running import DELETED, SENDING, SENT, VERIFIED, Report
from engine.store import Transaction
from tests.fakes.rclone import Served, serving
from tests.fakes.waiting import until
from tests.unit.remotes.conftest import Servers
from tests.unit.remotes.house import House, opened, put, running, tree


@pytest.fixture
def many(films: Path) -> Path:
    """Eight files of 60 kB besides the three."""
    for number in range(8):
        put(films, f"a{number}.bin", 60_000)
    return films


async def test_rclone_that_is_killed_is_started_again_and_the_rest_is_sent(
    many: Path, house: House, servers: Servers
) -> None:
    for ref in ("sftp:killed", "dav:killed"):
        number = await house.ask(remotes.COPY, ref, bandwidth=150_000)
        approving = asyncio.create_task(house.approve(number))
        await house.sending(number)
        first = house.rcd_pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: house.rcd_pid not in {None, first}, 20)  # noqa: B023
        # The one that was started instead keeps the limit.
        assert (await house.transfers()).bandwidth == 150_000
        await house.unlimited()
        ended = await approving
        assert ended.state == "done", ended.outcome
        assert ended.outcome is not None
        assert ended.outcome.result["verified"] == 11
    assert tree(servers.sftp.folder / "killed") == tree(many)
    assert tree(servers.dav.folder / "killed") == tree(many)


async def test_a_remote_that_goes_away_ends_it_soon_and_the_next_plan_carries_on(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rcd, "RETRIES", 1)  # Its patience is not what is tested here.
    with serving("webdav", tmp_path / "dav", tmp_path) as server:
        config = tmp_path / "rclone.conf"
        config.write_text(server.section("dav"))
        async with opened(tmp_path / "h", many, config) as house:
            ended = await _switched_off(house, server)
            assert ended.state in {"partial", "failed"}
            assert ended.outcome is not None
            told = " ".join(ended.outcome.problems)
            assert any(word in told for word in ("refused", "does not answer", "closed", "reset"))
            assert ended.outcome.done < 11
            server.start()
            again = await house.copy("dav:x")
            assert again.state == "done"
            assert tree(tmp_path / "dav" / "x") == tree(many)


async def _switched_off(house: House, server: Served) -> approvals.Approval:
    number = await house.ask(remotes.COPY, "dav:x", bandwidth=150_000)
    approving = asyncio.create_task(house.approve(number))
    await house.sending(number)
    server.stop()
    await house.unlimited()
    return await approving


async def test_an_engine_that_stops_breaks_off_and_says_how_far_it_came(
    many: Path, tmp_path: Path, servers: Servers
) -> None:
    async with opened(tmp_path / "h", many, servers.config) as house:
        number = await house.ask(remotes.COPY, "sftp:stopped", bandwidth=100_000)
        approving = asyncio.create_task(house.approve(number))
        await house.sending(number)
        rclone = house.rcd_pid
        assert rclone is not None
    await asyncio.gather(approving, return_exceptions=True)
    await until(lambda: not running(rclone))
    there = tree(servers.sftp.folder / "stopped")
    async with opened(tmp_path / "h", many, servers.config) as house:
        ended = await house.shown(number)
        assert ended.state == "interrupted"
        assert ended.outcome is not None
        assert ended.outcome.done < 11
        assert any("the engine was stopped" in problem for problem in ended.outcome.problems)
        with pytest.raises(AlreadyAnswered):
            await house.approve(number)
        # Nothing has started by itself.
        assert tree(servers.sftp.folder / "stopped") == there
        assert (await house.transfers()).transfers == ()


def test_what_an_interrupted_one_says_adds_up() -> None:
    """Each of the files is sent, deleted there, or not done; some that were sent are verified."""
    acts = SendActs(cast(Any, None), cast(Any, None), deletes=True)
    here = Identity(1, 1, 1000, 1, 1)
    items = (
        *(Item(n, "send", str(n), b"%d" % n, here) for n in range(8)),
        *(Item(n, "delete", str(n), there=There(5, None, None)) for n in (8, 9)),
    )
    plan = Approved(Place("films", b"/srv", (1, 1), b""), "nas:", {}, "", 0, items)
    states = dict.fromkeys(range(3), SENT) | {3: VERIFIED, 4: SENDING, 8: DELETED}
    outcome = acts._outcome(plan, states, Report(states, stopped="the engine ended"))
    assert outcome.summary == (
        "4 files, 4.0 kB, sent to nas:; 3 of them not verified; 1 deleted there; 5 files not done"
    )
    assert (outcome.done, outcome.total, outcome.result["left"]) == (2, 10, 8)


async def test_a_cancelled_inventory_leaves_the_earlier_one(house: House, tmp_path: Path) -> None:
    usb = tmp_path / "usb"
    put(usb, "a.bin")
    await house.inventory(str(usb))
    for number in range(3000):
        put(usb, f"{number % 60}/{number}.txt", 1)
    number = await house.start(remotes.INVENTORY, remotes.TakeInventory(remote=str(usb)))
    await house.call(jobs.CANCEL, jobs.JobId(id=number))
    rows = await house.engine.ground.catalogue.read(
        "SELECT count(*) AS n, min(whole) AS whole FROM remote_inventory"
    )
    assert (rows[0]["n"], rows[0]["whole"]) == (1, 1)


async def test_what_was_being_listed_when_the_engine_died_is_forgotten(
    tmp_path: Path, films: Path, servers: Servers
) -> None:
    async with opened(tmp_path / "h", films, servers.config) as house:
        await house.engine.ground.catalogue.write(_half_an_inventory)
    async with opened(tmp_path / "h", films, servers.config) as house:
        for table in ("remote_inventory", "remote_file"):
            rows = await house.engine.ground.catalogue.read(f"SELECT count(*) FROM {table}")
            assert rows[0][0] == 0


async def _half_an_inventory(tx: Transaction) -> None:
    number = await tx.insert(
        "INSERT INTO remote_inventory (remote, folder, hash, at) VALUES ('x:', '', '', 1)"
    )
    await tx.execute("INSERT INTO remote_file VALUES (?, 'a', 1, NULL, NULL)", (number,))


async def test_rclone_ends_when_nothing_is_asked_of_it_and_is_started_again(
    tmp_path: Path, films: Path, servers: Servers
) -> None:
    async with opened(tmp_path / "h", films, servers.config, idle_minutes=0.005) as house:
        await house.list()
        first = house.rcd_pid
        assert first is not None
        await until(lambda: house.rcd_pid is None and not running(first), 20)
        assert not list((tmp_path / "h" / "run").glob("rclone*"))
        await house.list()
        assert house.rcd_pid not in {None, first}


async def test_the_socket_is_private_and_asks_for_a_password(house: House, tmp_path: Path) -> None:
    await house.list()
    folder = tmp_path / "h" / "run"
    assert folder.stat().st_mode & 0o077 == 0
    transport = httpx.AsyncHTTPTransport(uds=str(folder / "rclone.sock"))
    async with httpx.AsyncClient(transport=transport, base_url="http://rclone") as stranger:
        for command in ("config/dump", "config/listremotes", "core/quit"):
            assert (await stranger.post(f"/{command}", json={})).status_code == 401
    assert house.rcd_pid is not None
    arguments = Path(f"/proc/{house.rcd_pid}/cmdline").read_bytes()
    environment = Path(f"/proc/{house.rcd_pid}/environ").read_bytes()
    (secret,) = [e[15:] for e in environment.split(b"\0") if e.startswith(b"RCLONE_RC_PASS=")]
    assert len(secret) > 30
    assert secret not in arguments
