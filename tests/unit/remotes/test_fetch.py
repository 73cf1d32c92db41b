"""Bringing files of a remote into a library: new ones alone, verified, and told where from."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from engine.contract import approvals, media, remotes
from engine.contract.base import PathRef
from engine.contract.call import Actor, ActorKind, Call
from engine.contract.errors import Forbidden, NotFound, Refused, WorldMoved
from engine.contract.sources import AskSources
from engine.contract.traits import Provenance
from engine.remotes import names
from engine.store import Transaction
from tests.fakes.waiting import until
from tests.unit.remotes.conftest import Servers
from tests.unit.remotes.house import House, opened, put, tree


async def _sources(house: House, path: str) -> list[Provenance]:
    request = AskSources(library="films", path=PathRef.of(path))
    found = (await house.call(media.SOURCES, request)).sources
    return [source for source in found if source.kind == "remote"]


async def _fetch(house: House, ref: str) -> approvals.Approval:
    return await house.approve(await house.ask(remotes.FETCH, ref))


async def test_what_is_not_here_comes_after_the_yes_and_is_told_where_it_came_from(
    house: House, films: Path, remote: tuple[str, Path]
) -> None:
    ref, disk = remote
    put(disk, "2024/new.mkv", 50_000)
    put(disk, "heat.mkv", 7)  # Here is another one of that name.
    before = tree(films)
    number = await house.ask(remotes.FETCH, ref)
    assert tree(films) == before
    card = (await house.shown(number)).card
    rows = {row.label: row.text for row in card.rows}
    assert rows["DO"] == "fetch 1 file, 50 kB"
    assert rows["SENDS"].startswith(ref)
    assert "here by name already, and left as it is: 1 file" in rows["WHY"]
    ended = await house.approve(number)
    assert ended.state == "done", ended.outcome
    assert ended.outcome is not None
    assert (ended.outcome.result["fetched"], ended.outcome.result["verified"]) == (1, 1)
    assert ended.outcome.result["verified_by_hash"] == (0 if ref.startswith("dav:") else 1)
    assert tree(films) == before | {b"2024/new.mkv": (disk / "2024/new.mkv").read_bytes()}
    assert not list(films.glob(".arcanum*"))
    assert (films / "2024/new.mkv").stat().st_mode & 0o777 == films.stat().st_mode & 0o666
    (source,) = await _sources(house, "2024/new.mkv")
    assert source.origin == f"{ref}/2024/new.mkv"
    assert source.confidence == 1.0
    assert source.evidence["approval"] == f"#{number}"


async def test_its_source_stays_with_a_file_that_moves(
    house: House, films: Path, servers: Servers
) -> None:
    put(servers.dav.folder, "moves/new.mkv")
    await _fetch(house, "dav:moves")
    (films / "sorted").mkdir()
    (films / "new.mkv").rename(films / "sorted/other.mkv")
    await house.scan()
    (source,) = await _sources(house, "sorted/other.mkv")
    assert source.origin == "dav:moves/new.mkv"


async def test_what_came_is_told_on_the_way(house: House, films: Path, servers: Servers) -> None:
    """Were it told at the end alone, an engine that ends would leave all without a source."""
    for number in range(80):
        put(servers.dav.folder, f"many/{number:02}.bin", 1000)
    number = await house.ask(remotes.FETCH, "dav:many", bandwidth=20_000)
    running = asyncio.create_task(house.approve(number))

    async def told() -> bool:
        with suppress(NotFound):  # It did not come yet.
            return bool(await _sources(house, "00.bin"))
        return False

    await until(told, 30)
    assert not running.done()
    await house.unlimited()
    assert (await running).state == "done"
    assert await _sources(house, "79.bin")


async def test_no_secret_of_the_remote_is_in_its_source(house: House, servers: Servers) -> None:
    put(servers.dav.folder, "plain/new.mkv")
    await _fetch(house, "dav:plain")
    (source,) = await _sources(house, "new.mkv")
    told = source.model_dump_json()
    assert f"127.0.0.1:{servers.dav.port}" in told
    assert "librarian" not in told
    assert "correct-horse" not in told


async def test_what_took_the_name_meanwhile_is_never_overwritten(
    house: House, films: Path, servers: Servers
) -> None:
    for name in ("a.mkv", "b.mkv"):
        put(servers.sftp.folder, f"names/{name}", 300_000)
    number = await house.ask(remotes.FETCH, "sftp:names")
    put(films, "a.mkv", 3)
    with pytest.raises(WorldMoved, match=r"a\.mkv is here by now"):
        await house.approve(number)
    (films / "a.mkv").unlink()
    number = await house.ask(remotes.FETCH, "sftp:names", bandwidth=150_000)
    running = asyncio.create_task(house.approve(number))
    await house.sending(number)
    mine = put(films, "b.mkv", 3).read_bytes()
    await house.unlimited()
    ended = await running
    assert ended.state == "partial"
    assert ended.outcome is not None
    assert "b.mkv is here by now" in ended.outcome.problems
    assert (films / "b.mkv").read_bytes() == mine
    assert not list(films.glob(".arcanum*"))


async def test_a_link_in_the_librarys_place_leads_nowhere(
    house: House, films: Path, servers: Servers, tmp_path: Path
) -> None:
    put(servers.sftp.folder, "links/below/x.mkv")
    number = await house.ask(remotes.FETCH, "sftp:links")
    (tmp_path / "outside").mkdir()
    (films / "below").symlink_to(tmp_path / "outside")
    ended = await house.approve(number)
    assert ended.state == "failed"
    assert not list((tmp_path / "outside").iterdir())


async def test_cut_off_it_leaves_no_part_and_the_next_plan_brings_the_rest(
    tmp_path: Path, films: Path, servers: Servers
) -> None:
    for number in range(6):
        put(servers.sftp.folder, f"cut/{number}.bin", 60_000)
    async with opened(tmp_path / "h", films, servers.config) as house:
        number = await house.ask(remotes.FETCH, "sftp:cut", bandwidth=100_000)
        approving = asyncio.create_task(house.approve(number))

        async def one_came() -> bool:
            return bool(list(films.glob("?.bin")))

        await until(one_came, 20)
    await asyncio.gather(approving, return_exceptions=True)
    came = {path.name for path in films.glob("?.bin")}
    assert all((films / name).stat().st_size == 60_000 for name in came)
    assert not list(films.glob(".arcanum*"))
    async with opened(tmp_path / "h", films, servers.config) as house:
        ended = await house.shown(number)
        assert ended.state == "interrupted"
        again = await _fetch(house, "sftp:cut")
        assert again.outcome is not None
        assert again.outcome.result["fetched"] == 6 - len(came)
        for name in sorted(came)[:1]:
            assert await _sources(house, name)
    assert len(list(films.glob("?.bin"))) == 6


async def test_what_was_in_flight_when_the_engine_died_is_there_whole_or_not_at_all(
    tmp_path: Path, films: Path, servers: Servers
) -> None:
    """The journal stands as a kill leaves it: one file has its name, of another a part has come."""
    for name in ("done.bin", "part.bin"):
        put(servers.sftp.folder, f"died/{name}", 1000)
    async with opened(tmp_path / "h", films, servers.config) as house:
        number = await house.ask(remotes.FETCH, "sftp:died")
        items = (await house.shown(number)).card.items
        assert [item.text for item in items] == ["done.bin", "part.bin"]

        async def executing(tx: Transaction) -> None:
            await tx.execute("UPDATE approval SET state = 'executing' WHERE id = ?", (number,))

        async def flying(tx: Transaction) -> None:
            rows = [(number, n, "sending") for n in (0, 1)]
            await tx.executemany("INSERT INTO remote_act VALUES (?, ?, ?)", rows)

        await house.engine.ground.state.write(executing)
        await house.engine.ground.catalogue.write(flying)
    (films / "done.bin").write_bytes((servers.sftp.folder / "died/done.bin").read_bytes())
    part = films / ".arcanum-trash" / f"fetch-{number}" / "1"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half")
    async with opened(tmp_path / "h", films, servers.config) as house:
        ended = await house.shown(number)
        assert ended.state == "interrupted"
        assert ended.outcome is not None
        assert (ended.outcome.result["fetched"], ended.outcome.result["left"]) == (1, 1)
        assert not list(films.glob(".arcanum*"))
        assert await _sources(house, "done.bin")


async def test_names_that_are_none_here_are_left_out_and_said(
    house: House, servers: Servers
) -> None:
    folder = servers.sftp.folder / "odd"
    put(folder, "fine.mkv")
    put(folder, b"bad\xff.mkv")
    put(folder, ".arcanum-trash/x.mkv")
    number = await house.ask(remotes.FETCH, "sftp:odd")
    card = (await house.shown(number)).card
    assert [item.text for item in card.items] == ["fine.mkv"]
    risk = next(row.text for row in card.rows if row.label == "RISK")
    assert "2 files left out" in risk
    assert "would lie in the trash" in risk


async def test_nothing_to_fetch_says_so_and_only_persons_fetch(
    house: House, films: Path, servers: Servers
) -> None:
    put(servers.dav.folder, "same/heat.mkv")
    with pytest.raises(Refused, match="nothing to fetch: 1 file of dav:same, all by name in films"):
        await house.ask(remotes.FETCH, "dav:same")
    request = remotes.Send(library="films", remote="dav:same")
    with pytest.raises(Forbidden):
        await house.gate.call(remotes.FETCH, request, Call(actor=Actor(ActorKind.AGENT, "x")))


@pytest.mark.parametrize("path", [b"plain", b"gro\xdf", b"tab\tbed", b"a\\b", "über".encode()])
def test_a_file_that_was_sent_comes_back_under_its_name(path: bytes) -> None:
    for bucket in (False, True):
        sent = names.to_remote(path, bucket=bucket)
        assert names.to_local(sent, bucket=bucket) == path
