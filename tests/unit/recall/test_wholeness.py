"""An archive that is damaged or missing is told wherever it is felt, until it is whole again."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.contract import approvals, recall
from engine.contract import engine as status_words
from engine.contract.approvals import Approval, ApprovalState
from engine.contract.base import Empty
from engine.contract.client import Pending
from engine.contract.engine import ConcernLine
from engine.contract.memories import Forget
from engine.home import Home
from engine.recall import wholeness
from engine.recall.wholeness import Wholeness
from tests.fakes.waiting import until
from tests.unit.recall.rooms import Rooms, rooms_at

SECRET = "The vicuna grazes behind the shed."
OTHER = "The heron stands in the pond."


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wholeness, "_AGAIN_S", 0.0)
    monkeypatch.setattr(wholeness, "_WAIT_S", 10.0)


@pytest.fixture
async def rooms(home: Home) -> AsyncIterator[Rooms]:
    async with rooms_at(home, embedding="none") as opened:
        yield opened


async def put_away(rooms: Rooms) -> tuple[int, int, Path]:
    """Two memories in one archive, which are indexed; the file."""
    for name in ("jobs", "approvals"):
        await rooms.engine.lifecycle.ensure(name)
    secret, other = await rooms.notes([SECRET, OTHER], importance=0.1)
    await rooms.archive(days=0)
    await rooms.settled_words()
    (path,) = (rooms.engine.ground.home.data / "archives").iterdir()
    return secret, other, path


def flip(path: Path) -> bytes:
    """What it was."""
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    return whole


async def concerns(rooms: Rooms) -> list[ConcernLine]:
    status = await rooms.do(status_words.STATUS, Empty())
    return [line for line in status.concerns if line.subject == "memory"]


async def forget(rooms: Rooms, request: Forget) -> Approval:
    answer = await rooms.client.call(recall.FORGET, request)
    assert isinstance(answer, Pending), answer
    number = approvals.ApprovalId(id=answer.approval_id)
    count = (await rooms.do(approvals.SHOW, number)).card.confirm_count
    found: Approval = await rooms.do(
        approvals.APPROVE, approvals.Approve(id=answer.approval_id, count=count)
    )
    return found


def unpacked(rooms: Rooms) -> str:
    folder = rooms.engine.ground.home.data / "archives"
    return "".join(gzip.decompress(path.read_bytes()).decode() for path in folder.iterdir())


@pytest.mark.parametrize("how", ["damaged", "missing"])
async def test_what_cannot_be_read_is_told_wherever_it_is_felt(rooms: Rooms, how: str) -> None:
    secret, other, path = await put_away(rooms)
    assert await concerns(rooms) == []
    whole = flip(path)
    if how == "missing":
        path.unlink()
    [line] = await concerns(rooms)
    assert line.severity == "broken"
    assert str(path) in line.text
    assert "2 memories cannot be read" in line.text
    shown = await rooms.show(secret)
    assert (shown.text, str(path) in shown.unread) == ("", True)
    assert "Put a copy of that file back" in shown.unread
    page = await rooms.do(recall.LIST, recall.ListMemories())
    assert {one.id: bool(one.unread) for one in page.memories} == {secret: True, other: True}
    hit = (await rooms.hits("vicuna"))[0]
    assert (hit.id, str(path) in hit.unread) == (secret, True)
    told = await rooms.port.recall("a", "Where is the vicuna?", 3)
    assert (told.hits, str(path) in told.lacking) == ([], True)
    restored = await rooms.do(recall.RESTORE, recall.Restore(everything=True))
    assert (restored.ids, len(restored.problems)) == ((), 1)
    path.write_bytes(whole)
    assert await concerns(rooms) == []
    assert (await rooms.show(secret)).text == SECRET
    assert (await rooms.found("vicuna"))[0] == SECRET


async def test_it_is_known_after_a_restart_and_a_whole_file_is_not_read_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rooms_at(home, embedding="none") as rooms:
        *_ids, path = await put_away(rooms)
        assert await concerns(rooms) == []
    read: list[str] = []
    look = Wholeness._read

    async def noted(self: Wholeness, row: dict[str, str], seen: list[int] | None) -> None:
        read.append(row["name"])
        await look(self, row, seen)

    monkeypatch.setattr(Wholeness, "_read", noted)
    async with rooms_at(home, embedding="none") as rooms:
        assert await concerns(rooms) == []
        assert read == []
    flip(path)
    async with rooms_at(home, embedding="none") as rooms:
        assert len(await concerns(rooms)) == 1
        assert read


async def test_what_was_forgotten_meanwhile_goes_once_the_file_is_back(rooms: Rooms) -> None:
    secret, other, path = await put_away(rooms)
    whole = flip(path)
    done = await forget(rooms, Forget(ids=(secret,)))
    assert done.state is ApprovalState.PARTIAL
    assert done.outcome is not None
    assert "by itself" in done.outcome.problems[0]
    path.write_bytes(whole)
    assert await concerns(rooms) == []
    await until(lambda: "vicuna" not in unpacked(rooms))
    assert not path.exists()
    assert (await rooms.show(other)).text == OTHER
    assert await rooms.found("heron") == [OTHER]


async def test_it_goes_at_the_next_start(home: Home) -> None:
    async with rooms_at(home, embedding="none") as rooms:
        secret, _other, path = await put_away(rooms)
        whole = flip(path)
        await forget(rooms, Forget(ids=(secret,)))
    path.write_bytes(whole)
    async with rooms_at(home, embedding="none") as rooms:
        await until(lambda: "vicuna" not in unpacked(rooms))


async def test_forget_gone_takes_it_out_too(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, _other, path = await put_away(rooms)
    whole = flip(path)
    await forget(rooms, Forget(ids=(secret,)))

    async def blind(_self: Wholeness, **_how: bool) -> None:
        """Nobody looks."""

    monkeypatch.setattr(Wholeness, "look", blind)
    path.write_bytes(whole)
    done = await forget(rooms, Forget(gone=True))
    assert done.state is ApprovalState.DONE
    assert "vicuna" not in unpacked(rooms)


async def test_what_was_indexed_anew_meanwhile_is_found_once_the_file_is_back(home: Home) -> None:
    async with rooms_at(home, embedding="none") as rooms:
        secret, _other, path = await put_away(rooms)
        whole = flip(path)
        await concerns(rooms)
        await rooms.index.ask("rebuild")
        assert await rooms.hits("vicuna") == []
        path.write_bytes(whole)
        assert await concerns(rooms) == []
        assert (await rooms.hits("vicuna"))[0].id == secret
