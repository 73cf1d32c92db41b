"""What each kind of answer becomes: words for people, JSON for programs, an exit code."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.contract.agent0 import AnswerFinished, AnswerPiece, AnswerStarted, Structured
from engine.contract.approvals import (
    Approval,
    ApprovalState,
    Card,
    CardItem,
    CardRow,
    Mark,
    Outcome,
)
from engine.contract.assets import ScanResult, Unread
from engine.contract.audit import AuditVerdict
from engine.contract.base import ErrorInfo, PathRef, now
from engine.contract.client import Pending
from engine.contract.engine import ConcernLine, Status
from engine.contract.errors import AlreadyAnswered, ModelFailed, NeedsApproval, NotFound
from engine.contract.jobs import Job, JobList, JobStarted, JobState, Progress
from engine.contract.memory import Turn
from engine.contract.quota import CheckResult, Gauge, UndoResult
from tests.unit.cli.answers import Answers

Arcanum = Callable[..., Any]


def approval(state: ApprovalState, **changes: Any) -> Approval:
    card = Card(
        verb="prune",
        subject="films",
        headline="2 files · frees 30 MB, on purge",
        rows=(
            CardRow(label="DO", text="move 2 files to trash"),
            CardRow(label="RISK", text="no other copy", mark=Mark.WARN),
        ),
        items=(CardItem(key="a1", text="old\x1b[2J.mkv", size=20_000_000, note="oldest"),),
        keepable=True,
    )
    fields: dict[str, Any] = {
        "id": 41,
        "operation": "quota.prune",
        "state": state,
        "digest": "d" * 64,
        "machine": "nas",
        "requested_by": "operator:local",
        "created_at": now(),
        "expires_at": now() + timedelta(hours=22, minutes=1),
        "card": card,
    }
    return Approval(**(fields | changes))


def job(state: JobState, **changes: Any) -> Job:
    fields: dict[str, Any] = {
        "id": 3,
        "operation": "media.scan",
        "subject": "films",
        "state": state,
        "machine": "nas",
        "started_at": now(),
    }
    return Job(**(fields | changes))


SCANNED = ScanResult(
    library="films", files=2, bytes=30_000_000, added=2, changed=0, removed=0, moved=0,
    hashed=2, hashed_bytes=30_000_000, unreadable=2, skipped=0, seconds=1.5,
    unread=(Unread(path=PathRef.of(b"a\x1b[2J"), why="Permission denied"),),
)  # fmt: skip


# --- approvals ----------------------------------------------------------------------------------


def test_what_waits_is_no_failure(arcanum: Arcanum) -> None:
    answers = Answers(
        {"quota.prune": Pending(41), "approvals.show": approval(ApprovalState.PENDING)}
    )
    told = arcanum("quota", "prune", "films", "--json", answers=answers)
    assert told.code == 0
    assert told.json == {"pending": {"approval_id": 41}}
    shown = arcanum("quota", "prune", "films", answers=answers)
    assert shown.code == 0
    assert "#41 PRUNE · nas · films · pending · expires in 22 h" in shown.out
    assert "! no other copy" in shown.out
    assert "a1     20 MB  old\\x1b[2J.mkv  (oldest)" in shown.out
    assert "arcanum approvals approve 41" in shown.out
    assert "arcanum approvals keep 41 KEY" in shown.out


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (ApprovalState.DONE, 0),
        (ApprovalState.PARTIAL, 2),
        (ApprovalState.FAILED, 3),
        (ApprovalState.INTERRUPTED, 3),
    ],
)
def test_a_yes_is_not_enough_it_must_have_been_done(
    arcanum: Arcanum, state: ApprovalState, code: int
) -> None:
    outcome = Outcome(state=state, done=1, total=2, problems=("x.mkv: changed",))
    answers = Answers({"approvals.approve": approval(state, outcome=outcome)})
    told = arcanum("approvals", "approve", "41", "--json", answers=answers)
    assert told.code == code
    assert told.json["outcome"]["state"] == state
    shown = arcanum("approvals", "approve", "41", answers=answers)
    assert shown.code == code
    assert f"{state.upper()}: 1 of 2" in shown.out
    assert "! x.mkv: changed" in shown.out


def test_a_second_answer_is_refused(arcanum: Arcanum) -> None:
    answers = Answers({"approvals.approve": AlreadyAnswered("#41 is done.", "Nothing was done.")})
    told = arcanum("approvals", "approve", "41", "--json", answers=answers)
    assert told.code == 3
    assert told.json["error"]["code"] == "already_answered"


def test_what_cannot_be_undone_asks_for_the_count(arcanum: Arcanum) -> None:
    found = approval(ApprovalState.PENDING)
    found = found.model_copy(update={"card": found.card.model_copy(update={"confirm_count": 14})})
    shown = arcanum("approvals", "show", "41", answers=Answers({"approvals.show": found}))
    assert "approve 41 --count 14" in shown.out


# --- verdicts -----------------------------------------------------------------------------------


def gauge(state: Any, **changes: Any) -> Gauge:
    fields: dict[str, Any] = {
        "library": "films",
        "machine": "nas",
        "used": 30,
        "limit": 20,
        "over": 10,
    }
    return Gauge(**(fields | {"in_trash": 0, "state": state} | changes))


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_quota_check_answers_with_its_exit_code(arcanum: Arcanum, ok: bool, code: int) -> None:
    found = CheckResult(ok=ok, gauges=(gauge("ok" if ok else "over"),))
    told = arcanum("quota", "check", "--json", answers=Answers({"quota.check": found}))
    assert told.code == code
    assert told.json["gauges"][0]["over"] == 10


def test_an_undo_that_left_something_is_a_no(arcanum: Arcanum) -> None:
    found = UndoResult(plan_id="p", restored=1, bytes=5, conflicts=(PathRef.of(b"a\xff"),))
    shown = arcanum("quota", "undo", "p", answers=Answers({"quota.undo": found}))
    assert shown.code == 1
    assert "still in the trash: a\\xff exists" in shown.out


def test_a_broken_audit_log_names_the_row(arcanum: Arcanum) -> None:
    found = AuditVerdict(ok=False, entries=6, head="6:" + "0" * 64, bad_seq=7, problem="changed")
    shown = arcanum("audit", "verify", answers=Answers({"audit.verify": found}))
    assert shown.code == 2
    assert "row 7: changed" in shown.out


@pytest.mark.parametrize(
    ("needs_you", "broken", "unknown", "code"),
    [(0, 0, 0, 0), (1, 0, 0, 0), (1, 0, 1, 1), (0, 1, 0, 2), (1, 2, 3, 2)],
)
def test_status_is_not_green_over_what_is_broken_or_unknown(
    arcanum: Arcanum, needs_you: int, broken: int, unknown: int, code: int
) -> None:
    severities = ["needs_you"] * needs_you + ["broken"] * broken + ["unknown"] * unknown
    lines = tuple(
        ConcernLine(severity=severity, subject="jellyfin", text="down", machine="nas")  # type: ignore[arg-type]
        for severity in severities
    )
    found = Status(
        machine="nas", version="1", pid=1, host="serve", started_at=now(), home="/x",
        needs_you=needs_you, broken=broken, unknown=unknown, concerns=lines, services=(),
    )  # fmt: skip
    answers = Answers({"engine.status": found})
    line = arcanum("status", "--line", answers=answers)
    assert line.code == code
    assert line.out == f"▲{needs_you} ✗{broken} ?{unknown}\n"
    assert arcanum("status", "--json", answers=answers).json["broken"] == broken
    assert arcanum("status", answers=answers).out.count("jellyfin") == len(lines)


# --- jobs ---------------------------------------------------------------------------------------


def test_a_job_is_followed_to_its_result(arcanum: Arcanum) -> None:
    answers = Answers(
        {
            "jobs.list": JobList(jobs=(job(JobState.DONE, id=2, ended_at=now()),)),
            "media.scan": JobStarted(job_id=3),
            "jobs.follow": [
                job(JobState.RUNNING, progress=Progress(done=1, total=2, unit="files")),
                job(JobState.DONE, result=SCANNED.model_dump(mode="json")),
            ],
        }
    )
    told = arcanum("media", "scan", "films", "--json", answers=answers)
    assert told.code == 1  # Some of it is not known.
    assert told.json == SCANNED.model_dump(mode="json")
    shown = arcanum("media", "scan", "films", answers=answers)
    assert "2 files, 30 MB" in shown.out
    assert "2 names could not be read" in shown.out
    assert "a\\x1b[2J  Permission denied" in shown.out
    assert "and 1 more" in shown.out


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (job(JobState.FAILED, error=ErrorInfo(**NotFound("Gone.").to_wire())), "not_found"),
        (job(JobState.CANCELLED), "cancelled"),
        (job(JobState.INTERRUPTED), "failed"),
    ],
)
def test_a_job_that_did_not_come_to_its_end_fails(arcanum: Arcanum, last: Job, code: str) -> None:
    answers = Answers(
        {
            "jobs.list": JobList(jobs=()),
            "media.scan": JobStarted(job_id=3),
            "jobs.follow": [last],
        }
    )
    told = arcanum("media", "scan", "films", "--json", answers=answers)
    assert told.code == 3
    assert told.json["error"]["code"] == code


def test_a_job_cannot_be_left_to_a_process_that_leaves(arcanum: Arcanum) -> None:
    status = Status(
        machine="nas", version="1", pid=os.getpid(), host="command", started_at=now(), home="/x",
        needs_you=0, broken=0, unknown=0, concerns=(), services=(),
    )  # fmt: skip
    script = {"jobs.list": JobList(jobs=()), "media.scan": JobStarted(job_id=3)}
    answers = Answers({"engine.status": status, **script})
    told = arcanum("media", "scan", "films", "--detach", "--json", answers=answers)
    assert told.code == 3
    assert "arcanum serve" in told.json["error"]["hint"]
    assert "media.scan" not in [name for name, _ in answers.requests]
    elsewhere = Answers(answers.script | {"engine.status": status.model_copy(update={"pid": 1})})
    told = arcanum("media", "scan", "films", "--detach", "--json", answers=elsewhere)
    assert told.json == {"job_id": 3}


def test_a_library_that_is_read_already_is_followed(arcanum: Arcanum) -> None:
    """Its first look, say: no second scan is begun, and its result is told."""
    going = [job(JobState.PAUSED, id=2, subject="music"), job(JobState.RUNNING, id=7)]
    done = job(JobState.DONE, id=7, result=SCANNED.model_dump(mode="json"))
    answers = Answers({"jobs.list": JobList(jobs=tuple(going)), "jobs.follow": [going[1], done]})
    told = arcanum("media", "scan", "films", "--json", answers=answers)
    assert (told.code, told.json["files"]) == (1, 2)  # Two names could not be read.
    assert answers.requests[-1] == ("jobs.follow", {"id": 7})
    assert "Job 7 reads films already" in arcanum("media", "scan", "films", answers=answers).err
    told = arcanum("media", "scan", "films", "--detach", "--json", answers=answers)
    assert told.json == {"job_id": 7}


def test_following_with_json_is_one_object_a_line(arcanum: Arcanum) -> None:
    states = [job(JobState.RUNNING), job(JobState.DONE, result={})]
    told = arcanum("jobs", "follow", "3", "--json", answers=Answers({"jobs.follow": states}))
    assert [line["state"] for line in told.lines] == ["running", "done"]


# --- chat ---------------------------------------------------------------------------------------


def answer(*pieces: str, **changes: Any) -> list[Any]:
    turn = Turn(
        id=1, session="a", question="?", answer="".join(pieces), status="done", asked_at=now()
    )
    fields: dict[str, Any] = {
        "turn_id": 1,
        "session": "a",
        "backend": "b",
        "model": "m",
        "simulated": False,
    }
    return [
        AnswerStarted(**(fields | changes)),
        *(AnswerPiece(text=piece) for piece in pieces),
        AnswerFinished(turn=turn, finish="stop", tokens=2, first_token_s=0.1, seconds=1.0),
    ]


def test_an_answer_is_printed_as_it_comes(arcanum: Arcanum) -> None:
    answers = Answers({"agent0.ask": answer("tur", "quoise\x1b[2J\n")})
    ran = arcanum("chat", "--session", "a", "What", "colour?", answers=answers)
    assert ran.code == 0
    assert ran.out == "turquoise\\x1b[2J\n\n"
    asked = {name: value for name, value in answers.requests[0][1].items() if value}
    assert asked == {"text": "What colour?", "session": "a"}
    told = arcanum("chat", "x", "--json", answers=answers)
    assert [line["kind"] for line in told.lines] == ["started", "piece", "piece", "finished"]


@pytest.mark.parametrize(
    ("given", "found", "advice"),
    [
        (("--max-tokens", "2"), {}, "--max-tokens asks for more"),
        (("--max-tokens", "9"), {}, "model.max_new_tokens"),
        ((), {"prompt_tokens": 10, "context": 4096}, "model.max_new_tokens"),
        ((), {"prompt_tokens": 4094, "context": 4096}, "context is full"),
    ],
)
def test_what_cut_an_answer_is_named(
    arcanum: Arcanum, given: tuple[str, ...], found: dict[str, Any], advice: str
) -> None:
    started, finished = answer()
    cut = finished.model_copy(update={"finish": "length"} | found)
    ran = arcanum("chat", *given, "x", answers=Answers({"agent0.ask": [started, cut]}))
    assert "cut at 2 tokens: " in ran.err
    assert advice in ran.err


def test_a_scripted_answer_is_labelled(arcanum: Arcanum) -> None:
    ran = arcanum("chat", "x", answers=Answers({"agent0.ask": answer("Hi.", simulated=True)}))
    assert "SIMULATED" in ran.err


def test_a_model_that_fails_in_the_middle_is_one_clear_error(arcanum: Arcanum) -> None:
    items = [*answer("half")[:2], ModelFailed("The model crashed.", "Ask again.")]
    ran = arcanum("chat", "x", answers=Answers({"agent0.ask": items}))
    assert ran.code == 3
    assert ran.out == "half\n"
    assert ran.err == "The model failed: The model crashed.\n  Ask again.\n"


def test_a_question_that_would_leave_the_machine_waits(arcanum: Arcanum) -> None:
    answers = Answers({"agent0.ask": NeedsApproval("Read it first.", approval_id=44)})
    told = arcanum("chat", "x", "--json", answers=answers)
    assert told.code == 0
    assert told.json == {"pending": {"approval_id": 44}}


def test_a_question_from_a_file(
    arcanum: Arcanum, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "q").write_bytes(b" Why?\xff\n")
    with (tmp_path / "q").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        answers = Answers({"agent0.ask": answer("So.")})
        assert arcanum("chat", answers=answers).code == 0
    assert answers.requests[0][1]["text"] == r"Why?\xff"


def test_no_question_is_wrong_usage(arcanum: Arcanum, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull, encoding="utf-8") as nothing:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdin", nothing)
        ran = arcanum("chat")
    assert ran.code == 64
    assert "no question" in ran.err
    assert arcanum("chat", "").code == 64


def test_files_and_items_go_with_a_question(arcanum: Arcanum, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("\ufeffOn Thursday.", "utf-8")
    answers = Answers({"agent0.ask": answer("On Thursday.")})
    given = ("--attach", str(tmp_path / "notes.txt"), "--asset", "films:sub/a.nfo", "--after", "0")
    assert arcanum("chat", "When?", *given, "--temperature", "0.5", answers=answers).code == 0
    request = answers.requests[0][1]
    assert (request["after"], request["temperature"]) == (0, 0.5)
    text, asset = request["attachments"]
    assert text == {"kind": "text", "name": "notes.txt", "text": "On Thursday."}
    assert (asset["library"], asset["path"]["display"]) == ("films", "sub/a.nfo")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is empty"), (b"ab\xff", r"not UTF-8 text \(byte 2\)"), (b"x" * 200_001, "200,001")],
)
def test_what_cannot_be_attached_is_refused_before_anything_starts(
    arcanum: Arcanum, tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "f").write_bytes(content)
    ran = arcanum("chat", "x", "--attach", str(tmp_path / "f"))
    assert ran.code == 64
    assert re.search(reason, ran.err)


def test_only_files_are_attached(arcanum: Arcanum, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in (tmp_path, tmp_path / "pipe", tmp_path / "gone", "/dev/zero"):
        assert arcanum("chat", "x", "--attach", str(name)).code == 64
    assert arcanum("chat", "x", "--asset", "films").code == 64


def test_an_answer_as_json(arcanum: Arcanum, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"colour": {"type": "string"}}}
    (tmp_path / "s.json").write_text(json.dumps(schema), "utf-8")
    found = Structured(value={"colour": "blue"}, model="m", attempts=2, tokens=9, seconds=0.5)
    answers = Answers({"agent0.structure": found})
    given = ("chat", "--schema", str(tmp_path / "s.json"), "Which", "colour?")
    assert arcanum(*given, answers=answers).json == {"colour": "blue"}
    assert answers.requests[0][1]["text"] == "Which colour?"
    assert answers.requests[0][1]["json_schema"] == schema
    assert arcanum(*given, "--json", answers=answers).json["attempts"] == 2
    refused = arcanum(*given, "--session", "a", answers=answers)
    assert refused.code == 64
    assert "--session" in refused.err
    (tmp_path / "s.json").write_text("[]", "utf-8")
    assert "no JSON schema" in arcanum(*given, answers=answers).err


@pytest.mark.parametrize("text", ["", "  ", "\n\t"])
def test_an_empty_question_is_refused_before_anything_starts(arcanum: Arcanum, text: str) -> None:
    answers = Answers({})
    assert arcanum("chat", text, answers=answers).code == 64
    assert answers.requests == []


def test_a_question_that_is_too_long_is_refused_before_anything_starts(arcanum: Arcanum) -> None:
    ran = arcanum("chat", "x" * 32_001)
    assert ran.code == 64
    assert "32000" in ran.err
    assert len(ran.err) < 300
