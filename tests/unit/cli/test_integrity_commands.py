"""What ``media verify``, ``damaged`` and ``history`` answer with."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from arcanum_tui.cli.integrity import show_verified, sound, verified
from arcanum_tui.cli.terminal import Terminal
from engine.contract.base import PathRef
from engine.contract.integrity import (
    Compared,
    Damaged,
    DamagedPage,
    GoodCopy,
    Happening,
    History,
    RemoteCopy,
    VerifyLibrary,
    VerifyResult,
)
from engine.contract.jobs import Job, JobStarted, JobState
from tests.unit.cli.answers import Answers
from tests.unit.cli.conftest import Ran

AT = datetime(2026, 11, 29, tzinfo=UTC)
BAD = Damaged(
    library="films",
    id=1,
    path=PathRef.of(b"dune\x1b[1m"),
    size=5,
    damage="rotten",
    blake3="0b",
    reason="its BLAKE3 is now 0c",
    since=AT,
    copies=(GoodCopy(library="backup", path=PathRef.of(b"dune"), checked_at=AT),),
)


def result(**values: Any) -> VerifyResult:
    numbers = dict.fromkeys(
        ("checked", "checked_bytes", "intact", "rotten", "unreadable", "mended", "edited"), 0
    )
    plain: dict[str, Any] = {"library": "films", "refused": 0, "pending": 0, "seconds": 1.0}
    return VerifyResult(**{**numbers, **plain, "damaged": (), "troubles": (), **values})


def listed(**values: int) -> Compared:
    numbers = dict.fromkeys(("differing", "missing", "extra", "unreadable", "bad_lines"), 0)
    return Compared.model_validate({**numbers, "entries": 3, "matching": 3, **values})


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({}, 0),
        ({"edited": 3, "mended": 1}, 0),
        ({"pending": 1}, 1),
        ({"pending": 1, "unread": 1}, 1),
        ({"fresh": 1}, 1),
        ({"fresh": 1, "rotten": 1}, 2),
        ({"fresh": 1, "compared": listed()}, 1),
        ({"rotten": 1}, 2),
        ({"unreadable": 1}, 2),
        ({"refused": 1, "pending": 1}, 2),
        ({"compared": listed()}, 0),
        ({"compared": listed(extra=1)}, 1),
        ({"compared": listed(matching=2, missing=1)}, 2),
        ({"compared": listed(bad_lines=1)}, 2),
        ({"compared": listed(), "rotten": 1}, 2),
    ],
)
def test_the_exit_code_says_how_it_stands(values: dict[str, Any], code: int) -> None:
    assert verified(result(**values)) == code


def test_what_cannot_be_read_is_not_said_to_wait(capsys: pytest.CaptureFixture[str]) -> None:
    show_verified(result(pending=3, unread=2), Terminal())
    told = capsys.readouterr().out
    assert "2 files could not be read" in told
    assert "1 file never hashed yet" in told


def test_what_is_too_fresh_to_tell_is_not_green(capsys: pytest.CaptureFixture[str]) -> None:
    show_verified(result(fresh=1), Terminal())
    told, noted = capsys.readouterr()
    assert "! films: 1 file too fresh to tell" in told
    assert "✓" not in told
    assert "verify again in a minute" in noted
    assert "had changed" not in noted


def test_damage_is_shown_with_its_good_copy(capsys: pytest.CaptureFixture[str]) -> None:
    show_verified(result(rotten=1, damaged=(BAD,)), Terminal())
    told = capsys.readouterr().out
    assert "✗ films: 1 damaged" in told
    assert "good copy  backup: dune" in told
    assert "\x1b" not in told
    assert sound(DamagedPage(damaged=(BAD,), total=1)) == 2
    assert sound(DamagedPage(damaged=(), total=0)) == 0


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({}, 0),
        ({"extra": 1}, 1),
        ({"matching": 0, "unsure": 3}, 1),
        ({"matching": 2, "differing": 1}, 2),
        ({"matching": 2, "missing": 1}, 2),
    ],
)
def test_against_a_remote_too_nothing_left_unsaid_is_green(
    values: dict[str, Any], code: int
) -> None:
    told = listed(**values).model_copy(update={"remote": "nas:films"})
    assert verified(result(compared=told)) == code


def test_a_remote_and_its_copy_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    copy = RemoteCopy(remote="nas:films", path=PathRef.of(b"dune"), by="md5", at=AT)
    told = listed(matching=2, missing=1).model_copy(update={"remote": "nas:films", "hash": "md5"})
    bad = BAD.model_copy(update={"copies": (), "remotes": (copy,)})
    show_verified(result(compared=told, damaged=(bad,)), Terminal())
    out = capsys.readouterr().out
    assert "✗ films: 2 of 3 on nas:films, by md5, 1 missing here" in out
    assert "good copy  nas:films/dune (by md5" in out
    assert "no other file" not in out


@pytest.mark.parametrize(
    ("typed", "remote", "path"),
    [
        (("--against", "nas:films"), "nas:films", None),
        (("--against", "nas:"), "nas:", None),
        (("--remote", "/mnt/usb"), "/mnt/usb", None),
        (("--against", "SHA256SUMS"), None, b"/here/SHA256SUMS"),
        (("--against", "./odd:name"), None, b"/here/odd:name"),
        (("--against", "/srv/a:b/SUMS"), None, b"/srv/a:b/SUMS"),
        ((), None, None),
    ],
)
def test_a_list_and_a_remote_are_told_apart(
    arcanum: Callable[..., Ran], typed: tuple[str, ...], remote: str | None, path: bytes | None
) -> None:
    """A list that is not absolute lies where one stands."""
    ended = Job(
        id=7,
        operation="media.verify",
        subject="films",
        state=JobState.DONE,
        machine="here",
        started_at=AT,
        result=result().model_dump(mode="json"),
    )
    answers = Answers({"media.verify": JobStarted(job_id=7), "jobs.follow": [ended]})
    ran = arcanum("media", "verify", "films", *typed, answers=answers)
    assert ran.code == 0, ran.err
    found = VerifyLibrary.model_validate(answers.requests[0][1])
    here = os.fsencode(Path.cwd())
    where = path and path.replace(b"/here", here)
    assert (found.remote, found.against and found.against.data) == (remote, where)


def test_a_history_names_the_approval_that_a_file_went_by(arcanum: Callable[..., Ran]) -> None:
    fields: dict[str, Any] = {
        "at": AT,
        "library": "films",
        "path": PathRef.of("a"),
        "file": 1,
        "size": 1,
    }
    gone = Happening(id=2, what="gone", blake3=None, note="", approval=43, **fields)
    back = gone.model_copy(update={"what": "returned"})
    found = History(library="films", file=None, happenings=(back, gone))
    ran = arcanum("media", "history", "films", answers=Answers({"media.history": found}))
    assert "by #43" in ran.out
    assert "#43 was undone" in ran.out
