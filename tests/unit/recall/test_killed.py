"""Killed at any moment: nothing is lost, nothing is there twice, and what goes is gone whole."""

from __future__ import annotations

import gzip
import random
import select
import subprocess
import sys

import pytest

from engine.contract import approvals
from engine.contract.approvals import ApprovalState
from engine.home import Home
from tests.unit.recall.life import SECRET, Life, copied, holding, opened

FILLER = [f"ok {n}" for n in range(30)]


def _start(act: str, point: str = "-") -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.recall.doomed", act, point], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 30)[0]
    assert process.stdout.readline() == b"go\n"
    return process


def _kill_within(act: str, seconds: float) -> None:
    with _start(act) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()


async def _whole(life: Life, texts: dict[int, str]) -> None:
    """Every memory can be read, and the files are those that the rows name."""
    assert await life.texts() == texts
    named = {row["name"] for row in await life.rows("SELECT name FROM archive")}
    assert {path.name for path in life.archives} == named
    assert {file.state for file in await life.room.vault.verify()} <= {"ok"}


async def _filled(home: Home) -> dict[int, str]:
    async with opened(home) as life:
        await life.notes(FILLER)
        return await life.texts()


@pytest.mark.slow
async def test_killed_at_random_moments_while_putting_away_and_bringing_back(home: Home) -> None:
    texts = await _filled(home)
    luck = random.Random(11)
    seen = set()
    for _round in range(12):
        for act in ("archive", "restore"):
            _kill_within(act, luck.uniform(0, 0.15))
            async with opened(home) as life:
                await _whole(life, texts)
                seen.add(len(set((await life.states()).values())))
    assert seen == {1, 2}  # Some were killed half way.


@pytest.mark.slow
async def test_killed_at_random_moments_while_forgetting(home: Home) -> None:
    texts = await _filled(home)
    luck = random.Random(5)
    states = set()
    for round_ in range(12):
        secret = f"{SECRET} {round_}"
        async with opened(home) as life:
            _turn, asked = await life.say("a", secret)
            noted = await life.note(f"{secret} noted", importance=0)
            await life.archive(days=0)
            copied(home, f"copy{round_}.db")
            await life.plan(asked, noted)
        _kill_within("forget", luck.uniform(0, 0.25))
        async with opened(home) as life:
            found = await life.do(approvals.LIST, approvals.ListApprovals(limit=1))
            state = found.approvals[0].state
            states.add(state)
            there = await life.texts()
            if asked in there:
                assert state in {ApprovalState.PENDING, ApprovalState.INTERRUPTED}
                both = {asked: secret, noted: f"{secret} noted"}
                await _whole(life, texts | both)
                await life.forget(asked, noted)
            else:
                assert state is ApprovalState.DONE
            await _whole(life, texts)
            _gone(life, secret)
    assert states >= {ApprovalState.DONE}
    assert len(states) > 1


@pytest.mark.parametrize(
    "point",
    [
        "Vault.without:1:before",
        "forgetting.told:1:after",
        "copies.clean:1:before",
        "copies.clean:2:before",
        "Index.forget:1:before",
        "Database.scrub:1:before",
        "Database.scrub:1:after",
    ],
)
async def test_killed_at_this_step_of_forgetting_what_a_file_said(home: Home, point: str) -> None:
    """Nothing tells how far it came, so it is done again."""
    texts = await _filled(home)
    async with opened(home) as life:
        away = await life.passage(SECRET)
        copied(home, "a.db")
        copied(home, "b.db")
        await away()
        number = await life.plan(gone=True)
    with _start("forget", point) as process:
        assert process.wait(30) == 9
    async with opened(home) as life:
        done = await life.shown(number)
        assert done.outcome is not None
        assert (done.state, done.outcome.problems) == (ApprovalState.DONE, ())
        await _whole(life, texts)
        _gone(life, SECRET)


@pytest.mark.parametrize(
    ("point", "gone"),
    [
        ("forgetting.show_again:1:before", False),
        ("forgetting.show_again:1:after", False),
        ("forgetting.switch:1:after", False),
        ("copies.clean:1:before", True),
        ("Database.scrub:1:after", True),
    ],
)
async def test_killed_at_this_step_what_stays_is_live_or_as_it_was(
    home: Home, point: str, *, gone: bool
) -> None:
    texts = await _filled(home)
    async with opened(home) as life:
        older, newer = await life.notes(["I live in Lisbon.", SECRET])
        await life.replace(older, newer, "replaced")
        copied(home)
        number = await life.plan(newer, keep_older=True)
    with _start("forget", point) as process:
        assert process.wait(30) == 9
    stays = texts | {older: "I live in Lisbon."}
    async with opened(home) as life:
        state = (await life.shown(number)).state
        assert state is (ApprovalState.DONE if gone else ApprovalState.INTERRUPTED)
        if not gone:
            assert (await life.states())[older] == "replaced"
            await life.forget(newer, keep_older=True)
        await _whole(life, stays)
        assert (await life.states())[older] == "live"
        _gone(life, SECRET)


@pytest.mark.parametrize(
    ("point", "gone"),
    [
        ("Vault.without:1:after", False),
        ("forgetting.switch:1:before", False),
        ("forgetting.told:1:after", False),
        ("Vault.remove:1:before", True),
        ("copies.clean:1:before", True),
        ("copies.clean:1:after", True),
        ("Index.forget:1:before", True),
        ("Database.scrub:1:before", True),
        ("Database.scrub:1:after", True),
    ],
)
async def test_killed_at_this_step_an_answer_is_there_or_gone_whole(
    home: Home, point: str, *, gone: bool
) -> None:
    async with opened(home) as life:
        noted = await life.note("ok", importance=0)
        turn, _asked = await life.say("a", "Where is it?", SECRET, told=(noted,))
        stays, _asked = await life.say("a", "And else?", "Nowhere.")
        await life.archive(days=0)
        copied(home)
        number = await life.plan(noted)
    with _start("forget", point) as process:
        assert process.wait(30) == 9
    async with opened(home) as life:
        state = (await life.shown(number)).state
        assert state is (ApprovalState.DONE if gone else ApprovalState.INTERRUPTED)
        answers = {row["id"]: row["answer"] for row in await life.rows("SELECT * FROM turn")}
        if not gone:
            assert answers[turn.id] == SECRET
            await life.forget(noted)
        assert answers[stays.id] == "Nowhere."
        assert noted not in await life.texts()
        _gone(life, SECRET)


def _gone(life: Life, secret: str) -> None:
    assert holding(life.home.data, secret) == []
    for path in life.archives:
        assert secret.splitlines()[0].encode() not in gzip.decompress(path.read_bytes())


@pytest.mark.parametrize(
    "point",
    [
        "os.fsync:1:before",
        "Path.rename:2:before",
        "Path.rename:2:after",
        "archived.write_archive:3:after",
        "Vault.write:1:after",
        "Transaction.executemany:1:after",
        "Transaction.executemany:3:before",
        "Transaction.emit:2:after",
    ],
)
async def test_killed_at_this_step_of_putting_away(home: Home, point: str) -> None:
    texts = await _filled(home)
    with _start("archive", point) as process:
        assert process.wait(30) == 9
    async with opened(home) as life:
        await _whole(life, texts)
        await life.archive(days=0)
        await _whole(life, texts)
        assert set((await life.states()).values()) == {"archived"}


@pytest.mark.parametrize(
    "point",
    [
        "Transaction.executemany:1:after",
        "Transaction.emit:1:after",
        "Vault.remove:1:before",
        "Vault.remove:3:after",
    ],
)
async def test_killed_at_this_step_of_bringing_back(home: Home, point: str) -> None:
    texts = await _filled(home)
    with _start("archive") as process:
        assert process.wait(30) == 0
    with _start("restore", point) as process:
        assert process.wait(30) == 9
    async with opened(home) as life:
        await _whole(life, texts)
        assert len((await life.restore(everything=True)).ids) >= 4
        await _whole(life, texts)
        assert life.archives == []


@pytest.mark.parametrize(
    ("point", "gone"),
    [
        ("Vault.without:1:before", False),
        ("archived.write_archive:1:after", False),
        ("Vault.without:1:after", False),
        ("forgetting.switch:1:before", False),
        ("forgetting.switch:1:after", False),
        ("Vault.remove:1:before", True),
        ("Vault.remove:1:after", True),
        ("copies.clean:1:before", True),
        ("copies.clean:1:after", True),
        ("Index.forget:1:before", True),
        ("Database.scrub:1:before", True),
        ("Database.scrub:1:after", True),
    ],
)
async def test_killed_at_this_step_of_forgetting(home: Home, point: str, *, gone: bool) -> None:
    texts = await _filled(home)
    async with opened(home) as life:
        _turn, asked = await life.say("a", SECRET)
        noted = await life.note(f"{SECRET} noted", importance=0)
        await life.archive(days=0)
        copied(home)
        number = await life.plan(asked, noted)
    with _start("forget", point) as process:
        assert process.wait(30) == 9
    async with opened(home) as life:
        done = await life.shown(number)
        assert done.outcome is not None
        assert done.state is (ApprovalState.DONE if gone else ApprovalState.INTERRUPTED)
        assert done.outcome.done == (2 if gone else 0)
        if not gone:
            await _whole(life, texts | {asked: SECRET, noted: f"{SECRET} noted"})
            await life.forget(asked, noted)
        await _whole(life, texts)
        _gone(life, SECRET)
