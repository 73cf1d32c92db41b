"""What was put away is still read and comes back; what happens to a file is told, never met."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.config import Config, MemoryConfig
from engine.contract import recall
from engine.contract.errors import Invalid, NotFound
from engine.home import Home
from engine.recall import archive as archiving
from engine.recall import archived
from engine.recall.archived import Damaged, read_archive
from tests.unit.recall.life import Life, opened

TEXTS = [f"ok {n}" for n in range(12)]


async def put_away(life: Life, texts: list[str] = TEXTS) -> list[int]:
    ids = await life.notes(texts)
    assert (await life.archive(days=0)).archived == len(texts)
    return ids


async def test_what_was_put_away_is_still_read_and_comes_back(life: Life) -> None:
    ids = await life.notes(TEXTS)
    before = {number: dict(await life.row(number)) for number in ids}
    done = await life.archive(days=0)
    assert (done.archived, done.kept) == (12, 0)
    assert done.file is not None
    assert (done.file.memories, done.file.live, done.file.state) == (12, 12, "ok")
    assert set((await life.states()).values()) == {"archived"}
    assert {(await life.row(number))["text"] for number in ids} == {""}
    assert await life.texts() == dict(zip(ids, TEXTS, strict=True))
    assert [(f.live, f.state) for f in await life.room.vault.verify()] == [(12, "ok")]
    found = {record["uid"]: record["text"] for record in _read(life)}
    assert found == {before[n]["uid"].hex(): text for n, text in zip(ids, TEXTS, strict=True)}

    back = await life.restore(*ids[:3])
    assert (back.ids, back.problems, back.complete) == (tuple(ids[:3]), (), True)
    assert [(f.memories, f.live) for f in await life.room.vault.verify()] == [(12, 9)]
    assert await life.texts() == dict(zip(ids, TEXTS, strict=True))
    assert await life.room.archives.revive([ids[0], ids[3], 999]) == (ids[3],)
    assert (await life.restore(everything=True)).ids == tuple(ids[4:])
    for number in ids:
        changed = {"rev", "used_at"}
        now, was = dict(await life.row(number)), before[number]
        assert {k: v for k, v in now.items() if k not in changed} == {
            k: v for k, v in was.items() if k not in changed
        }
        assert now["used_at"] is not None  # It is not put away again right now.
    assert (life.archives, await life.room.vault.verify()) == ([], ())
    assert (await life.restore(everything=True)).ids == ()
    assert (await life.archive(days=1)).archived == 0
    assert await life.events() == ["archived", "restored", "restored", "restored"]


def _read(life: Life) -> list[dict[str, object]]:
    return list(read_archive(life.archives[0], _digest(life.archives[0])))


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


async def test_what_matters_is_pinned_or_was_used_stays(life: Life) -> None:
    small = await life.note("ok", importance=None)
    names = "My sister Ann moved to Lyon on March 4, into a flat with her dog Bruno"
    matters = await life.note(names)
    set_high = await life.note("so so", importance=0.5)
    pinned = await life.note("ok then", pinned=True)
    used = await life.note("fine")
    await life.change("UPDATE memory SET at = '2020-01-01', added_at = '2020-01-01'")
    await life.change("UPDATE memory SET used_at = ? WHERE id = ?", "2999", used)
    recent = await life.note("hm")
    done = await life.archive(days=30)
    assert (done.archived, done.kept) == (1, 2)
    states = await life.states()
    assert states.pop(small) == "archived"
    assert set(states) == {matters, set_high, pinned, used, recent}
    assert set(states.values()) == {"live"}


async def test_only_of_one_namespace_and_never_where_that_is_configured(home: Home) -> None:
    config = Config(memory=MemoryConfig(archive_days=0))
    async with opened(home, config) as life:
        await life.note("ok", "a")
        await life.note("ok", "b")
        await life.change("UPDATE memory SET at = '2020', added_at = '2020'")
        assert (await life.archive()).archived == 0
        assert (await life.archive(namespace="a", days=3)).archived == 1
        job = await life.job(recall.ARCHIVE, recall.Archive(namespace="c"))
        assert job.error is not None
        assert job.error.code == "not_found"


async def test_of_too_many_the_least_valuable_go_whatever_they_matter(home: Home) -> None:
    config = Config(memory=MemoryConfig(most=1_000))
    async with opened(home, config) as life:
        await life.notes([f"n{n}" for n in range(1_000)], importance=0.9)
        low = await life.notes(["a", "b", "c"], importance=0.6)
        used = await life.note("d", importance=0.6)
        await life.change("UPDATE memory SET uses = 1 WHERE id = ?", used)
        pinned = await life.note("e", importance=0.1, pinned=True)
        done = await life.archive(days=0)
        assert (done.archived, done.kept) == (5, 999)
        gone = [number for number, state in (await life.states()).items() if state == "archived"]
        assert gone == [1, *low, used]
        assert pinned not in gone
        assert (await life.archive()).archived == 0


async def test_a_file_holds_no_more_than_it_may(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "MOST", 5)
    ids = await put_away(life)
    assert [(f.memories, f.live) for f in await life.room.vault.verify()] == [
        (5, 5), (5, 5), (2, 2),
    ]  # fmt: skip
    assert await life.texts() == dict(zip(ids, TEXTS, strict=True))
    assert (await life.restore(*ids[3:7])).ids == tuple(ids[3:7])
    assert len(life.archives) == 3
    assert (await life.restore(*ids[:3])).ids == tuple(ids[:3])
    assert len(life.archives) == 2
    monkeypatch.setattr(archiving, "MOST", 10_000)
    monkeypatch.setattr(archiving, "MOST_BYTES", 1_000)
    assert (await life.archive(days=0)).archived == 7
    assert len(life.archives) > 3


async def test_what_was_merged_or_replaced_can_stand_for_itself_again(life: Life) -> None:
    one, two, three = await life.notes(["One.", "Two.", "Three."])
    await life.replace(one, three, "merged")
    await life.replace(two, three, "replaced")
    gone = await life.note("Gone.")
    await life.forget(gone)
    back = await life.restore(one, two, three, gone, 999)
    assert back.ids == (one, two)
    assert back.problems[0].startswith(f"Memory {gone} was forgotten (")
    assert back.problems[1:] == ("There is no memory 999.",)
    assert not back.complete
    assert set((await life.states()).values()) == {"live"}
    row = await life.row(one)
    assert (row["replaced_by"], row["kept"]) == (None, 1)
    with pytest.raises(Invalid, match="Nothing to restore is named"):
        await life.restore()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def swap(path: Path) -> None:
    other = next(each for each in path.parent.iterdir() if each != path)
    spare = path.with_name("spare")
    path.rename(spare)
    other.rename(path)
    spare.rename(other)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def bomb(path: Path) -> None:
    path.write_bytes(gzip.compress(b"\0" * 10_000_000))


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


HARM: list[Callable[[Path], object]] = [
    flip,
    lambda path: path.write_bytes(path.read_bytes()[:-9]),
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(path.read_bytes() + b"x"),
    Path.unlink,
    pipe,
    bomb,
    link,
]


@pytest.mark.parametrize("harm", [*HARM, swap])
async def test_a_file_that_is_not_what_was_written_costs_its_memories_alone(
    life: Life, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], object]
) -> None:
    monkeypatch.setattr(archiving, "MOST", 4)
    ids = await put_away(life)
    copies = {path: path.read_bytes() for path in life.archives}
    harm(life.archives[1])
    hurt = 8 if harm is swap else 4
    found = await life.texts()
    assert len(found) == 12 - hurt
    assert found.items() <= dict(zip(ids, TEXTS, strict=True)).items()
    states = sorted(f.state for f in await life.room.vault.verify())
    assert states.count("ok") == 3 - hurt // 4
    with pytest.raises(Exception, match=f"{hurt} memories could not be exported"):
        await life.exported()
    back = await life.restore(everything=True)
    assert len(back.ids) == 12 - hurt
    assert len(back.problems) == hurt // 4
    assert all("4 memories are lost with it" in problem for problem in back.problems)
    # A copy of the file that is put back mends it.
    for file in await life.room.vault.verify():
        path = life.home.data / "archives" / file.name
        path.unlink(missing_ok=True)
        path.write_bytes(copies[path])
    assert await life.texts() == dict(zip(ids, TEXTS, strict=True))
    assert len((await life.restore(everything=True)).ids) == hurt
    assert life.archives == []


def test_a_reader_says_why_it_reads_nothing(tmp_path: Path) -> None:
    with pytest.raises(Damaged) as missing:
        list(read_archive(tmp_path / "none", b""))
    assert missing.value.missing
    for lines in ([], [b""], [b'{"format": "other"}'], [b"[1]"], [b"null"]):
        path = tmp_path / "x"
        path.write_bytes(gzip.compress(b"".join(line + b"\n" for line in lines)))
        with pytest.raises(Damaged):
            list(read_archive(path, _digest(path)))
    written = archived.write_archive(tmp_path, [b'{"uid":"' + b"0" * 32 + b'","text":"x"}'])
    assert [r["text"] for r in read_archive(tmp_path / written.name, written.digest)] == ["x"]


async def test_what_a_crash_left_over_is_removed_and_nothing_else(home: Home) -> None:
    async with opened(home) as life:
        ids = await put_away(life)
        folder, named = life.home.data / "archives", life.archives[0]
        row = await life.row(ids[0])
        line = json.dumps({"uid": row["uid"].hex(), "text": "ok 0"}, separators=(",", ":"))
        unnamed = archived.write_archive(folder, [line.encode()])
        foreign = archived.write_archive(folder, [line.replace(line[8:12], "ffff").encode()])
        (folder / f"{named.name}{archived.DRAFT}").write_bytes(b"half")
        (folder / "mine.jsonl.gz").write_bytes(b"a person's own")
    async with opened(home) as life:
        kept = {named.name, foreign.name, "mine.jsonl.gz"}
        assert {path.name for path in life.archives} == kept
        assert unnamed.name not in kept
        assert await life.texts() == dict(zip(ids, TEXTS, strict=True))


async def test_what_changes_on_the_way_is_left_where_it_is(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await life.notes(TEXTS)
    write = life.room.vault.write

    async def meanwhile(lines: list[bytes]) -> archived.Written:
        written = await write(lines)
        await life.change("UPDATE memory SET text = 'changed' WHERE id = ?", ids[0])
        await life.change("UPDATE memory SET pinned = 1 WHERE id = ?", ids[1])
        return written

    monkeypatch.setattr(life.room.vault, "write", meanwhile)
    assert (await life.archive(days=0)).archived == 10
    texts = await life.texts()
    assert (texts[ids[0]], texts[ids[1]]) == ("changed", "ok 1")
    # The file still holds what they said then; what is forgotten is taken out of it.
    monkeypatch.undo()
    await life.forget(ids[0])
    assert sum(1 for _ in _read(life)) == 11


async def test_a_full_disk_puts_nothing_away(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    await life.notes(TEXTS)

    def full(*_values: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archived, "write_archive", full)
    job = await life.job(recall.ARCHIVE, recall.Archive(days=0))
    assert job.error is not None
    assert "No space left" in job.error.message
    assert set((await life.states()).values()) == {"live"}
    monkeypatch.undo()
    assert (await life.archive(days=0)).archived == 12


async def test_whoever_is_cancelled_leaves_a_file_and_its_row_or_neither(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "MOST", 2)

    class Job:
        job_id = 1
        call = None

        async def checkpoint(self) -> None:
            await asyncio.sleep(0)

        def progress(self, *_told: object) -> None:
            pass

    for steps in range(0, 120, 7):
        ids = await life.notes(TEXTS)
        going = asyncio.create_task(
            life.room.archives.archive(recall.Archive(days=0), Job())  # type: ignore[arg-type]
        )
        for _ in range(steps):
            await asyncio.sleep(0)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
        named = {row["name"] for row in await life.rows("SELECT name FROM archive")}
        assert {path.name for path in life.archives} == named
        texts = await life.texts()
        assert [texts[number] for number in ids] == TEXTS
    with pytest.raises(NotFound):
        await life.room.archives.archive(recall.Archive(namespace="none"), Job())  # type: ignore[arg-type]
