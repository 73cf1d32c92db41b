"""Conversations for people in a shell: hostile words stay words, and what was recalled is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from engine.contract.agent0 import AnswerFinished, AnswerPiece, AnswerStarted
from engine.contract.client import Pending
from engine.contract.errors import NotFound
from engine.contract.memories import Recalled, RecallHit
from engine.contract.memory import RestoredSession, SessionList, SessionSummary, Turn, TurnList
from tests.unit.cli.answers import Answers

Arcanum = Callable[..., Any]

AT = datetime(2025, 11, 20, 12, tzinfo=UTC)
HOSTILE = "```\n# Not a heading\n````\n<b>\x1b[2J\x9b\u202e"


RECALLED = (Recalled(id=17, score=2.0), Recalled(id=3, score=1.0))


def turn(number: int, **fields: Any) -> Turn:
    usual: dict[str, Any] = {"session": "a", "question": "Hello?", "status": "done", "asked_at": AT}
    return Turn(id=number, **(usual | fields))


TURNS = (
    turn(1, answer=HOSTILE, model="m`1`", attached=("a`\x1b.txt",), siblings=(1, 3)),
    turn(2, parent_id=1, question=HOSTILE, answer="part", status="stopped", note="stopped"),
    turn(3, siblings=(1, 3), answer="Hi.", status="failed", note="# no", recalled=RECALLED),
)


def test_an_export_is_markdown_that_nothing_in_it_can_break(arcanum: Arcanum) -> None:
    ran = arcanum("memory", "export", "a", answers=Answers({"memory.export": TURNS}))
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0] == "# Conversation ` a `"
    outside, fence = [], ""
    for line in lines:
        if fence:
            fence = "" if line == fence else fence
        elif line.startswith("```"):
            fence = line.removesuffix("text")
        else:
            outside.append(line)
    assert fence == ""
    assert [line for line in outside if line.startswith("#")] == [
        "# Conversation ` a `",
        "## #1 · 2025-11-20 12:00:00 UTC · begins the conversation",
        "## #2 · 2025-11-20 12:00:00 UTC · follows #1",
        "## #3 · 2025-11-20 12:00:00 UTC · begins the conversation",
    ]
    assert r"* attached: `` a`\x1b.txt ``" in outside
    assert "done · `` m`1` ``:" in outside
    assert "failed ` # no `:" in outside
    assert r"<b>\x1b[2J\x9b\u202e" in lines
    assert "\x1b" not in ran.out


def test_an_export_as_json_is_a_turn_a_line(arcanum: Arcanum) -> None:
    answers = Answers({"memory.export": TURNS})
    for flags in (("--format", "json"), ("--json",)):
        ran = arcanum("memory", "export", "a", *flags, answers=answers)
        assert [Turn.model_validate(line) for line in ran.lines] == list(TURNS)


def test_an_export_of_nothing_writes_nothing(arcanum: Arcanum) -> None:
    answers = Answers({"memory.export": (NotFound("There is no conversation 'a'."),)})
    ran = arcanum("memory", "export", "a", "--format", "json", answers=answers)
    assert (ran.code, ran.lines[0]["error"]["code"]) == (3, "not_found")
    answers = Answers({"memory.export": NotFound("There is no conversation 'a'.")})
    ran = arcanum("memory", "export", "a", answers=answers)
    assert (ran.code, ran.out) == (3, "")


def test_turns_tell_what_their_answers_were_told(arcanum: Arcanum) -> None:
    answers = Answers({"memory.turns": TurnList(turns=TURNS)})
    lines = arcanum("memory", "turns", "a", answers=answers).out.splitlines()
    assert lines[-1] == "  recalled memories 17, 3"
    assert sum("recalled" in line for line in lines) == 1
    told = arcanum("memory", "turns", "a", "--json", answers=answers).json["turns"]
    assert [one["id"] for one in told[2]["recalled"]] == [17, 3]
    assert told[0]["recalled"] is None


def answer(recalled: tuple[RecallHit, ...]) -> list[Any]:
    started = AnswerStarted(
        turn_id=1, session="a", backend="b", model="m", simulated=False, recalled=recalled
    )
    finished = AnswerFinished(
        turn=turn(1, answer="Hi."), finish="stop", tokens=1, first_token_s=0.1, seconds=1.0
    )
    return [started, AnswerPiece(text="Hi."), finished]


def test_the_memories_that_went_into_an_answer_are_named(arcanum: Arcanum) -> None:
    hits = tuple(
        RecallHit(id=number, namespace="a", kind="note", text="x", at=AT, added_at=AT, score=1.0)
        for number in (17, 3)
    )
    answers = Answers({"agent0.ask": answer(hits)})
    ran = arcanum("chat", "x", answers=answers)
    assert "recalled memories 17, 3 · to open one: arcanum memory show 17" in ran.err
    assert ran.out == "Hi.\n"
    started = arcanum("chat", "x", "--json", answers=answers).lines[0]
    assert [hit["id"] for hit in started["recalled"]] == [17, 3]
    answers = Answers({"agent0.ask": answer(hits[1:])})
    assert "recalled memory 3 ·" in arcanum("chat", "x", answers=answers).err


def test_an_answer_without_memories_says_so(arcanum: Arcanum) -> None:
    why = "answered without memories, which could not be searched: a file is in the way."
    started, piece, finished = answer(())
    started = started.model_copy(update={"lacking": why})
    answers = Answers({"agent0.ask": [started, piece, finished]})
    assert f"! {why}" in arcanum("chat", "x", answers=answers).err
    assert arcanum("chat", "x", "--json", answers=answers).lines[0]["lacking"] == why
    answers = Answers({"memory.turns": TurnList(turns=(turn(1, note=why), turn(2, note="")))})
    assert arcanum("memory", "turns", "a", answers=answers).out.count(f"! {why}") == 1


def test_turns_tell_their_attachments_and_what_stands_beside_them(arcanum: Arcanum) -> None:
    answers = Answers({"memory.turns": TurnList(turns=TURNS), "memory.switch": TurnList(turns=())})
    shown = arcanum("memory", "turns", "a", answers=answers).out
    assert "branch 1 of 2, beside #3" in shown
    assert "branch 2 of 2, beside #1" in shown
    assert "+ a`\\x1b.txt" in shown
    assert "\x1b" not in shown
    assert arcanum("memory", "switch", "a", "3", answers=answers).code == 0
    assert answers.requests[-1] == ("memory.switch", {"session": "a", "turn_id": 3})


def test_sessions_tell_what_they_are_about_and_how_to_bring_one_back(arcanum: Arcanum) -> None:
    gone = SessionSummary(name="a b", turns=1234, last_at=AT, title="A bike\x1b", deleted_at=AT)
    answers = Answers(
        {
            "memory.sessions": SessionList(sessions=(gone,)),
            "memory.restore": RestoredSession(session=gone),
            "memory.rename": gone,
        }
    )
    ran = arcanum("memory", "sessions", "--deleted", "--containing", "bi", answers=answers)
    assert answers.requests[-1][1] == {"limit": 200, "containing": "bi", "deleted": True}
    assert "A bike\\x1b" in ran.out
    assert "deleted 20 Nov" in ran.out
    assert "arcanum memory restore 'a b'" in ran.err
    assert "a b is back, 1,234 turns" in arcanum("memory", "restore", "a b", answers=answers).out
    assert "1,234 turns" in arcanum("memory", "rename", "x", "a b", answers=answers).out


def test_a_delete_waits_for_its_answer(arcanum: Arcanum) -> None:
    answers = Answers({"memory.delete": Pending(7)})
    ran = arcanum("memory", "delete", "a", "--json", answers=answers)
    assert (ran.code, ran.json) == (0, {"pending": {"approval_id": 7}})
