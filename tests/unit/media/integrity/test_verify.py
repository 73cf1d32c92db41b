"""Files read again: rot is told from an edit, nothing is repaired, good copies are named."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest
from blake3 import blake3

from engine.config import Config, MediaConfig
from engine.contract.base import PathRef
from engine.contract.errors import Cancelled, Failed, Refused
from engine.contract.media import DamageFound
from engine.home import Home
from engine.media.integrity.verify import Found, Reading, Told, Verifier
from engine.media.looking import Pace
from engine.media.timing import Timing
from engine.store import Transaction
from tests.fakes.door import JobDouble
from tests.fakes.waiting import until
from tests.unit.media.conftest import NEVER
from tests.unit.media.house import House, housed, reading, sparse, write
from tests.unit.media.integrity.asking import (
    column,
    damaged,
    history,
    put_checked,
    rot,
    told,
    verify,
)


async def test_files_that_are_what_they_were(house: House, films: Path) -> None:
    for number in range(70):
        write(films / "small" / str(number), b"%d" % number)
    write(films / "large", os.urandom(3_000_000))
    os.link(films / "large", films / "linked")
    await house.add(films)
    await house.scan()
    before = await column(house, "checked_at", b"large")
    result = await verify(house)
    assert (result.checked, result.intact, result.damaged, result.troubles) == (71, 71, (), ())
    assert result.checked_bytes == (await house.library()).bytes
    for name in (b"large", b"linked", b"small/7"):
        assert await column(house, "checked_at", name) > before
    assert await house.ground.probes["media"]() == []


@pytest.mark.parametrize("size", [100, 3_000_000])
async def test_rot_is_found_told_and_not_repaired(house: House, films: Path, size: int) -> None:
    good = os.urandom(size)
    write(films / "film", good)
    write(films / "copy of it", good)
    os.link(films / "film", films / "another name of it")
    write(films / "other")
    await house.add(films)
    await house.scan()
    await rot(house, films / "film")
    assert (await house.scan()).changed == 0
    result = await verify(house)
    assert (result.rotten, result.intact, result.edited) == (1, 2, 0)
    first, second = sorted(await damaged(house), key=lambda one: one.path.data)
    assert [first.path.data, second.path.data] == [b"another name of it", b"film"]
    assert (second.damage, second.blake3) == ("rotten", blake3(good).hexdigest())
    assert [copy.path.data for copy in second.copies] == [b"copy of it"]
    assert blake3((films / "film").read_bytes()).hexdigest() in second.reason
    assert (await house.known())[b"film"].blake3 == blake3(good).hexdigest()
    [event] = await house.events(DamageFound)
    assert (event.damage, event.files) == ("rotten", 1)
    [concern] = await house.ground.probes["media"]()
    assert (concern.severity, concern.text.startswith("2 files are damaged")) == ("broken", True)
    assert concern.link == "media/films/damaged"
    await verify(house)  # Told once.
    assert len(await house.events(DamageFound)) == 1
    assert await told(house, b"film") == [("rotten", b"film")]


async def test_a_rotten_copy_is_not_offered(house: House, films: Path) -> None:
    write(films / "one", b"the same")
    write(films / "two", b"the same")
    await house.add(films)
    await house.scan()
    await rot(house, films / "one")
    await rot(house, films / "two")
    result = await verify(house)
    assert [one.copies for one in result.damaged] == [(), ()]


async def test_an_edit_is_no_rot(house: House, films: Path) -> None:
    write(films / "film", b"before")
    write(films / "gone")
    await house.add(films)
    await house.scan()
    write(films / "film", b"behind")
    (films / "gone").unlink()
    result = await verify(house)
    assert (result.rotten, result.edited, result.damaged) == (0, 2, ())
    assert await house.agrees(films)
    assert await house.events(DamageFound) == []


async def test_a_file_that_is_good_again_is_mended(house: House, films: Path) -> None:
    write(films / "film", b"good bytes")
    await house.add(films)
    await house.scan()
    await rot(house, films / "film")
    await verify(house)
    await rot(house, films / "film")  # The bit flips back.
    result = await verify(house)
    assert (result.mended, result.rotten) == (1, 0)
    assert await damaged(house) == []
    assert [what for what, _ in await told(house, b"film")] == ["rotten", "mended"]


async def test_a_good_copy_put_in_its_place_mends_it(house: House, films: Path) -> None:
    write(films / "film", b"good bytes")
    await house.add(films)
    await house.scan()
    seen = await column(house, "first_seen_at", b"film")
    await rot(house, films / "film")
    await verify(house)
    (films / "film").unlink()
    write(films / "film", b"good bytes")
    await house.scan()
    assert await damaged(house) == []
    assert [what for what, _ in await told(house, b"film")] == ["rotten", "mended"]
    assert await column(house, "first_seen_at", b"film") == seen


async def test_touching_a_rotten_file_does_not_make_it_good(house: House, films: Path) -> None:
    write(films / "film", b"good bytes")
    await house.add(films)
    await house.scan()
    await rot(house, films / "film")
    await verify(house)
    os.utime(films / "film", ns=(1, 1))
    assert (await house.scan()).changed == 1
    [found] = await damaged(house)
    assert (found.damage, found.blake3) == ("rotten", blake3(b"good bytes").hexdigest())
    assert (await verify(house)).rotten == 1
    assert [what for what, _ in await told(house, b"film")] == ["rotten"]


async def test_a_rotten_file_that_is_edited_is_rotten_no_more(house: House, films: Path) -> None:
    write(films / "film", b"good bytes")
    await house.add(films)
    await house.scan()
    await rot(house, films / "film")
    await verify(house)
    write(films / "film", b"quite another film")
    await house.scan()
    assert await damaged(house) == []
    assert [what for what, _ in await told(house, b"film")] == ["rotten", "changed"]
    assert (await verify(house)).intact == 1


async def test_what_was_written_just_now_is_not_called_rotten(home: Home, films: Path) -> None:
    """Through a mapping bytes change before the times do."""
    write(films / "film", b"good bytes")
    calm = Timing(rescan=3600, poll=3600, missing=3600, retry=3600, first=3600, still=3600)
    async with housed(home, calm) as house:
        await house.add(films)
        await house.scan()
        await rot(house, films / "film")
        result = await verify(house)
    assert (result.rotten, result.edited, result.fresh) == (0, 0, 1)
    (told,) = result.troubles
    assert (told.kind, told.path) == ("too_fresh", PathRef.of("film"))


async def test_only_some_files(house: House, films: Path) -> None:
    for name in ("a/1", "a/2", "ab", "b"):
        write(films / name, name.encode())
    await house.add(films)
    await house.scan()
    some = (PathRef.of(films / "a"), PathRef.of("b"))
    assert (await verify(house, paths=some)).checked == 3
    assert (await verify(house, days=3)).checked == 0
    await put_checked(house, b"ab", 4 * 86_400)
    assert (await verify(house, days=3)).checked == 1
    assert (await verify(house, days=3)).checked == 0
    with pytest.raises(Refused, match="not in the library"):
        await verify(house, paths=(PathRef.of(films / ".." / "elsewhere"),))


async def test_it_goes_on_where_it_was_stopped(home: Home, films: Path) -> None:
    """The longest unchecked first; what was read before the engine ended is not read again."""
    write(films / "first", b"first")
    sparse(films / "huge", 200 * 1024**2)
    async with housed(home, NEVER) as house:
        await house.add(films)
        await house.scan()
        await put_checked(house, b"first", 40 * 86_400)
        await put_checked(house, b"huge", 35 * 86_400)
        job = JobDouble()
        verifying = asyncio.create_task(verify(house, job=job, days=30, mib_s=2))
        await reading(job)
        await until(lambda: _checked(house, b"first"))
        job.cancel()
        with pytest.raises(Cancelled):
            await verifying
    async with housed(home, NEVER) as house:
        result = await verify(house, days=30, mib_s=0)
        assert (result.checked, result.checked_bytes) == (1, 200 * 1024**2)
        assert (await verify(house, days=30)).checked == 0


async def _checked(house: House, path: bytes) -> bool:
    return bool(await column(house, "checked_at > seen_at - 30 * 86400 * 1000000000", path))


async def test_the_budget_is_kept_and_the_job_pauses(house: House, films: Path) -> None:
    sparse(films / "film", 40 * 1024**2)
    await house.add(films)
    await house.scan()
    result = await verify(house, mib_s=20)
    assert 1.5 < result.seconds < 10
    job = JobDouble()
    verifying = asyncio.create_task(verify(house, job=job, mib_s=10))
    await reading(job)
    job.pause()
    await until(lambda: job.waits == 1)
    job.resume()
    assert (await verifying).intact == 1


async def test_what_is_asked_for_has_the_limit_that_is_asked_for(
    home: Home, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scrub's is for the scrub."""
    sparse(films / "film", 8 * 1024**2)
    limits: list[float] = []
    real = Verifier.read

    async def read(verifier: Verifier, reading: Reading, pace: Pace, hears: Told) -> Found:
        limits.append(reading.mib_s)
        return await real(verifier, reading, pace, hears)

    monkeypatch.setattr(Verifier, "read", read)
    async with housed(home, NEVER, config=Config(media=MediaConfig(scrub_mib_s=1))) as house:
        await house.add(films)
        await house.scan()
        assert (await verify(house)).intact == 1
        job = JobDouble()
        await verify(house, job=job, mib_s=4)
        assert limits == [0, 4]
        assert any(note.startswith("at most 4 MiB a second; ") for *_, note in job.told)


async def test_under_strain_it_is_slow_and_says_why(house: House, films: Path) -> None:
    sparse(films / "film", 400 * 1024**2)
    await house.add(films)
    await house.scan()
    house.strain.why = "on battery"
    job = JobDouble()
    verifying = asyncio.create_task(verify(house, job=job, mib_s=0))
    await until(lambda: any("slowly, on battery" in note for *_, note in job.told), 20)
    done, total, _unit, _note = job.told[-1]
    assert total is not None
    assert done < total
    house.strain.why = ""
    assert (await verifying).intact == 1


async def test_further_hashes_come_in_the_same_reading(home: Home, films: Path) -> None:
    write(films / "film", b"bytes")
    os.link(films / "film", films / "linked")
    async with housed(home, NEVER) as house:
        await house.add(films)
        await house.scan()
        result = await verify(house, hashes=("md5", "sha256"))
        assert (result.checked, result.intact) == (1, 1)
        found = (await history(house, b"linked")).file
        assert found is not None
        assert found.hashes == {
            "md5": hashlib.md5(b"bytes").hexdigest(),
            "sha256": hashlib.sha256(b"bytes").hexdigest(),
        }
        assert (await verify(house, hashes=("md5", "sha256"))).checked == 0
        write(films / "film", b"other bytes")
        await house.scan()
        found = (await history(house, b"film")).file
        assert found is not None
        assert found.hashes == {}


async def test_hashes_of_the_configuration_are_made_by_every_scan(home: Home, films: Path) -> None:
    config = Config(media=MediaConfig(hashes=("sha1", "md5")))
    write(films / "small", b"small")
    write(films / "large", b"l" * 500_000)
    write(films / "linked", b"i" * 500_000)
    os.link(films / "linked", films / "other name")
    async with housed(home, NEVER, config=config) as house:
        await house.add(films)
        await house.scan()
        for name in (b"small", b"large", b"linked", b"other name"):
            content = (films / os.fsdecode(name)).read_bytes()
            found = (await history(house, name)).file
            assert found is not None
            assert found.hashes == {
                "md5": hashlib.md5(content).hexdigest(),
                "sha1": hashlib.sha1(content).hexdigest(),
            }


async def test_a_root_that_is_away_is_no_damage(house: House, films: Path) -> None:
    write(films / "film")
    await house.add(films)
    await house.scan()
    films.rename(films.parent / "away")
    with pytest.raises(Failed, match="is not there"):
        await verify(house)
    films.mkdir()
    write(films / "film")
    with pytest.raises(Failed, match="not the folder that was scanned"):
        await verify(house)
    assert await damaged(house) == []
    assert len(await house.known()) == 1


async def test_what_was_never_hashed_is_counted(house: House, films: Path) -> None:
    write(films / "film")
    await house.add(films)
    await house.scan()

    async def work(tx: Transaction) -> None:
        await tx.execute("UPDATE file SET blake3 = NULL")

    await house.ground.catalogue.write(work)
    result = await verify(house)
    assert (result.checked, result.pending) == (0, 1)
