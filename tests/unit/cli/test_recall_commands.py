"""``arcanum memory`` over memories: what is asked of the engine, and what people see."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.contract import recall
from engine.contract.base import PathRef
from engine.contract.client import Pending
from engine.contract.errors import NotFound, StoreFailed
from engine.contract.jobs import Job, JobStarted, JobState
from engine.contract.memories import (
    ArchiveFile,
    Folder,
    Memory,
    Parts,
    RecallHit,
    Record,
    Replaced,
    Stats,
    Unread,
)
from tests.unit.cli.answers import Answers

Arcanum = Callable[..., Any]

AT = datetime(2025, 11, 20, 12, tzinfo=UTC)
HOSTILE = "[bold]x[/]\x1b[2J\u202e"
SHOWN = r"[bold]x[/]\x1b[2J\u202e"


def fields(number: int, **more: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "namespace": "a",
        "kind": "note",
        "text": "My bike.",
        "at": AT,
        "added_at": AT,
    }
    return {"id": number} | usual | more


def memory(number: int, **more: Any) -> Memory:
    return Memory(**fields(number, **more))


def hit(number: int, **more: Any) -> RecallHit:
    return RecallHit(
        **(fields(number) | {"score": 1.5, "parts": Parts(lexical=1, time=0.5)} | more)
    )


def folder(**more: Any) -> Folder:
    usual: dict[str, Any] = {
        "path": PathRef.of("/n\x1b"),
        "namespace": "documents",
        "pinned": False,
        "state": "ok",
    }
    return Folder(**(usual | more))


def stats(**more: Any) -> Stats:
    counts: dict[str, Any] = dict.fromkeys(
        ("live", "pinned", "merged", "replaced", "archived", "forgotten", "namespaces", "waiting",
         "to_embed"), 1,
    )  # fmt: skip
    return Stats(**(counts | {"memories": 1234, "index": "ready"} | more))


def done(operation: str, result: Any) -> Job:
    return Job(
        id=3, operation=operation, subject="x", state=JobState.DONE, machine="nas", started_at=AT,
        ended_at=AT, result=result.model_dump(mode="json"),
    )  # fmt: skip


def job(operation: str, result: Any) -> Answers:
    return Answers({operation: JobStarted(job_id=3), "jobs.follow": (done(operation, result),)})


def test_a_text_that_cannot_be_read_says_why(arcanum: Arcanum) -> None:
    lost = {"text": "", "state": "archived", "unread": "Its text cannot be read: /a.gz is damaged."}
    answers = Answers({
        "recall.show": recall.Shown(memory=memory(7, **lost), around=()),
        "recall.list": recall.MemoryPage(memories=(memory(7, **lost),), total=1),
        "recall.search": recall.SearchResult(hits=(hit(7, **lost),)),
        "recall.restore": recall.Restored(ids=(), problems=("/a.gz is damaged",)),
    })  # fmt: skip
    for words, code in (("show 7", 1), ("list", 0), ("search bike", 0)):
        ran = arcanum("memory", *words.split(), answers=answers)
        assert ran.code == code
        assert "/a.gz is damaged" in ran.out
    ran = arcanum("memory", "restore", "--memory", "7", answers=answers)
    assert ran.code == 1
    assert "✓" not in ran.out


# --- finding ------------------------------------------------------------------------------------


def test_a_search_asks_for_all_that_was_typed(arcanum: Arcanum) -> None:
    answers = Answers({"recall.search": recall.SearchResult(hits=(hit(7),))})
    ran = arcanum(
        "memory", "search", "bike", "--namespace", "b", "--limit", "3", "--since", "2026-05-01",
        "--until", "2026-06-01T00:00:00Z", "--speaker", "Marta", "--kind", "note",
        "--state", "archived", "--pinned", "--json",
        answers=answers,
    )  # fmt: skip
    assert ran.code == 0
    [(_, request)] = answers.requests
    assert request["since"] == datetime(2026, 5, 1).astimezone(UTC).isoformat().replace(
        "+00:00", "Z"
    )
    assert request | {"since": ""} == {
        "query": "bike", "namespace": "b", "limit": 3, "since": "",
        "until": "2026-06-01T00:00:00Z", "speaker": "Marta", "kind": "note", "state": "archived",
        "pinned": True,
    }  # fmt: skip
    assert ran.json["hits"][0]["parts"]["lexical"] == 1
    assert arcanum("memory", "search", "x", "--since", "soon", answers=answers).code == 64


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2027", "2027-01-01T00:00"),
        ("2027-05", "2027-05-01T00:00"),
        ("2027-05-04", "2027-05-04T00:00"),
        ("2027-05-04 18:30", "2027-05-04T18:30"),
        ("2027-05-04T18:30+02:00", "2027-05-04T16:30Z"),
    ],
)
def test_a_year_a_month_and_a_day_are_their_beginnings(
    arcanum: Arcanum, typed: str, meant: str
) -> None:
    answers = Answers({"recall.search": recall.SearchResult(hits=())})
    for flag in ("since", "until"):
        arcanum("memory", "search", "x", f"--{flag}", typed, answers=answers)
        asked = datetime.fromisoformat(answers.requests[-1][1][flag])
        assert asked == datetime.fromisoformat(meant).astimezone()


@pytest.mark.parametrize(
    "typed", ["20260504", "1767225600", "1e9", "-5", "0", "", "2026-13", "2026-5-4", "0001-01-01"]
)
def test_no_number_is_taken_for_a_time(arcanum: Arcanum, typed: str) -> None:
    answers = Answers({})
    for words in (
        ("search", "x", f"--since={typed}"),
        ("search", "x", f"--until={typed}"),
        ("add", "x", f"--at={typed}"),
    ):
        ran = arcanum("memory", *words, answers=answers)
        assert ran.code == 64
        assert "it should be a date or a time, as 2026-05-04, 2026-05-04T18:30" in ran.err
    assert answers.requests == []


def test_what_is_found_is_told_with_its_marks_in_words(arcanum: Arcanum) -> None:
    hits = (
        hit(7, pinned=True, speaker="Marta"),
        hit(8, state="archived", text=HOSTILE),
        hit(9, state="replaced", replaced_by=12),
        hit(10, kind="document", source="manual.pdf"),
    )
    found = recall.SearchResult(
        hits=hits, since=AT, until=AT.replace(year=2026), partial="meanings: no model"
    )
    ran = arcanum("memory", "search", "x", answers=Answers({"recall.search": found}))
    assert "★ pinned" in ran.out
    assert "archived" in ran.out
    assert "replaced by 12" in ran.out
    assert "manual.pdf" in ran.out
    assert SHOWN in ran.out
    assert "\x1b" not in ran.out
    assert "Understood as: what was said from 2025-11-20" in ran.err
    assert "weighs more. To leave out all else: --since, --until" in ran.err
    assert "meanings: no model" in ran.err
    quiet = arcanum("memory", "search", "x", "-q", answers=Answers({"recall.search": found}))
    assert quiet.err == ""


def test_a_score_is_explained_in_columns(arcanum: Arcanum) -> None:
    answers = Answers({"recall.search": recall.SearchResult(hits=(hit(7),))})
    plain = arcanum("memory", "search", "x", answers=answers).out
    ran = arcanum("memory", "search", "x", "--explain", answers=answers)
    head, row = ran.out.splitlines()
    assert [word for word in head.split() if word not in plain] == [
        "WORDS",
        "MEANING",
        "AROUND",
        "TIME",
    ]
    assert "1.50   1.00     0.00    0.00  0.50" in row


def test_nothing_found_says_what_to_do_next(arcanum: Arcanum) -> None:
    answers = Answers(
        {
            "recall.search": recall.SearchResult(hits=()),
            "recall.list": recall.MemoryPage(memories=(), total=0),
            "recall.namespaces": recall.Namespaces(namespaces=()),
            "recall.stats": stats(),
        }
    )
    for words, hint in (
        (("search", "x"), "arcanum memory namespaces"),
        (("list",), "arcanum memory add"),
        (("namespaces",), "arcanum memory add"),
        (("folders",), "arcanum memory watch"),
    ):
        ran = arcanum("memory", *words, answers=answers)
        assert ran.code == 0
        assert ran.out.strip()
        assert hint in ran.err


def test_a_page_tells_where_the_next_one_begins(arcanum: Arcanum) -> None:
    page = recall.MemoryPage(
        memories=(memory(9), memory(8, speaker=HOSTILE)), total=1200, next="WyJ4"
    )
    answers = Answers({"recall.list": page})
    ran = arcanum(
        "memory", "list", "--state", "live", "--pinned", "--before", "WyIy", answers=answers
    )
    assert answers.requests[-1][1] == {
        "namespace": None, "kind": None, "state": "live", "pinned": True, "limit": 50,
        "before": "WyIy",
    }  # fmt: skip
    assert SHOWN in ran.out
    assert "2 of 1,200 memories" in ran.err
    assert "--before WyJ4" in ran.err


def test_one_memory_is_shown_whole(arcanum: Arcanum) -> None:
    old = Replaced(id=3, text="It is blue.", at=AT, how="replaced")
    one = memory(
        7, text=f"Line one.\n{HOSTILE}", speaker="Marta", source="wa", ref="9", replaces=(old,),
        uses=3, used_at=AT, turn_id=4,
    )  # fmt: skip
    found = recall.Shown(memory=one, around=(memory(6, text="Before."), one, memory(8)))
    out = arcanum("memory", "show", "7", answers=Answers({"recall.show": found})).out
    for text in ("memory 7 · note · a", "> Line one.", f"> {SHOWN}", "It is blue.", "Before.",
                 "wa 9", "3 times", "replaces 3"):  # fmt: skip
        assert text in out
    assert "\x1b" not in out


# --- changing -----------------------------------------------------------------------------------


def test_a_note_is_added_with_who_said_it_and_when(arcanum: Arcanum) -> None:
    added = recall.Added(namespace="b", ids=(7,), added=1)
    answers = Answers({"recall.add": added})
    ran = arcanum(
        "memory", "add", "My", "bike.", "--namespace", "b", "--speaker", "Marta",
        "--source", "diary", "--at", "2026-05-01T10:00:00Z", "--pinned", answers=answers,
    )  # fmt: skip
    assert ran.out == "✓ 1 note in b: memory 7\n"
    [(_, request)] = answers.requests
    assert request["namespace"] == "b"
    [note] = request["notes"]
    assert (note["text"], note["speaker"], note["pinned"]) == ("My bike.", "Marta", True)
    assert note["source"] == "diary"
    assert note["at"] == "2026-05-01T10:00:00Z"
    for words in (("x", "--at", "soon"), ("x", "--namespace", "-"), ()):
        assert arcanum("memory", "add", *words, answers=answers).code == 64


@pytest.mark.parametrize("blank", [" ", "\t\n", "\u00a0", "\u200b \u200b"])
def test_what_is_blank_is_no_note(arcanum: Arcanum, blank: str) -> None:
    answers = Answers({})
    for words in (("add", blank), ("edit", "1", blank)):
        ran = arcanum("memory", *words, answers=answers)
        assert ran.code == 64
        assert "it should hold something that can be read" in ran.err
    assert answers.requests == []


def test_what_nobody_sees_of_a_copied_text_is_no_part_of_a_note(arcanum: Arcanum) -> None:
    added = recall.Added(namespace="main", ids=(1,), added=1)
    answers = Answers({"recall.add": added})
    arcanum("memory", "add", "a zero\u200bwidth soft\u00adhyphen", answers=answers)
    [(_operation, request)] = answers.requests
    assert [note["text"] for note in request["notes"]] == ["a zerowidth softhyphen"]


class Piped(io.StringIO):
    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file

    def fileno(self) -> int:
        return int(self._file.fileno())


def test_notes_come_from_a_pipe_line_by_line(
    arcanum: Arcanum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(
        b"\xef\xbb\xbf" + b"\n".join(b"Note %d\x1b." % n for n in range(2500)) + b"\n\n"
    )
    added = recall.Added(namespace="main", ids=(1, 2), added=1)
    answers = Answers({"recall.add": added})
    with path.open("rb") as file:
        monkeypatch.setattr("sys.stdin", Piped(file))
        ran = arcanum("memory", "add", "-", "--json", answers=answers)
    assert ran.json == {"namespace": "main", "ids": [1, 2] * 3, "added": 3}
    sizes = [len(request["notes"]) for _, request in answers.requests]
    assert sizes == [1000, 1000, 500]
    assert answers.requests[0][1]["notes"][0]["text"] == "Note 0\\x1b."
    for content in (b"\xff\xfe", b"\n \n", b"x" * 32_001):
        path.write_bytes(content)
        answers = Answers({})
        with path.open("rb") as file:
            monkeypatch.setattr("sys.stdin", Piped(file))
            assert arcanum("memory", "add", "-", answers=answers).code == 64
        assert answers.requests == []


def test_an_error_on_the_way_says_how_many_are_saved(
    arcanum: Arcanum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("".join(f"Note {n}.\n" for n in range(2500)))

    class Full(Answers):
        def _take(self, operation: Any, request: Any) -> Any:
            if len(self.requests) == 2:
                raise StoreFailed("The disk is full.", "Free some space.")
            return super()._take(operation, request)

    added = recall.Added(namespace="main", ids=tuple(range(1, 1001)), added=1000)
    with path.open("rb") as file:
        monkeypatch.setattr("sys.stdin", Piped(file))
        ran = arcanum("memory", "add", "-", answers=Full({"recall.add": added}))
    assert ran.code == 3
    assert "The disk is full. The first 2,000 of 2,500 notes are saved." in ran.err
    assert "Free some space." in ran.err


def test_pin_and_edit_tell_what_is_now(arcanum: Arcanum) -> None:
    old = Replaced(id=13, text="It is blue.", at=AT, how="replaced")
    answers = Answers(
        {"recall.pin": memory(7, pinned=True), "recall.edit": memory(7, replaces=(old,))}
    )
    assert "pinned: every namespace" in arcanum("memory", "pin", "7", answers=answers).out
    answers.script["recall.pin"] = memory(7)
    assert "not pinned" in arcanum("memory", "pin", "7", "--off", answers=answers).out
    assert answers.requests[-1][1] == {"id": 7, "off": True}
    ran = arcanum("memory", "edit", "7", "My bike.", answers=answers)
    assert "Memory 7: My bike." in ran.out
    assert "arcanum memory restore --memory 13" in ran.err
    assert arcanum("memory", "edit", "7", "--importance", "0.5", answers=answers).code == 0
    assert answers.requests[-1][1] == {"id": 7, "text": None, "importance": 0.5}
    assert arcanum("memory", "edit", "7", answers=answers).code == 64
    assert arcanum("memory", "edit", "7", "--importance", "2", answers=answers).code == 64


def test_forgetting_waits_for_its_answer(arcanum: Arcanum) -> None:
    answers = Answers({"recall.forget": Pending(7)})
    ran = arcanum("memory", "forget", "3", "4", "--json", answers=answers)
    assert (ran.code, ran.json) == (0, {"pending": {"approval_id": 7}})
    asked: dict[str, Any] = {
        "ids": [],
        "namespace": None,
        "gone": False,
        "keep_older": False,
        "keep_answers": False,
        "keep": [],
    }
    assert answers.requests[-1][1] == asked | {"ids": [3, 4]}
    arcanum("memory", "forget", "3", "--keep-older", "--json", answers=answers)
    assert answers.requests[-1][1] == asked | {"ids": [3], "keep_older": True}
    arcanum("memory", "forget", "3", "--keep-answers", "--json", answers=answers)
    assert answers.requests[-1][1] == asked | {"ids": [3], "keep_answers": True}
    arcanum("memory", "forget", "--namespace", "b", "--json", answers=answers)
    assert answers.requests[-1][1] == asked | {"namespace": "b"}
    arcanum("memory", "forget", "--gone", "--json", answers=answers)
    assert answers.requests[-1][1] == asked | {"gone": True}
    before = len(answers.requests)
    assert arcanum("memory", "forget", answers=answers).code == 64
    assert arcanum("memory", "forget", "--keep-older", answers=answers).code == 64
    assert len(answers.requests) == before


def test_restore_brings_back_one_of_three_things(arcanum: Arcanum) -> None:
    restored = recall.Restored(ids=(3, 4))
    answers = Answers({"recall.restore": restored})
    ran = arcanum("memory", "restore", "--memory", "3", "4", answers=answers)
    assert (ran.code, ran.out) == (0, "✓ 2 memories back\n")
    assert answers.requests[-1][1] == {"ids": [3, 4], "everything": False}
    answers.script["recall.restore"] = recall.Restored(ids=(), problems=("archive 1 is damaged",))
    ran = arcanum("memory", "restore", "--archived", answers=answers)
    assert ran.code == 1
    assert "! archive 1 is damaged" in ran.out
    assert answers.requests[-1][1] == {"ids": [], "everything": True}
    ran = arcanum("memory", "restore", "--archived", "--json", answers=answers)
    assert (ran.code, ran.json["problems"]) == (1, ["archive 1 is damaged"])
    asked = len(answers.requests)
    for words in ((), ("a", "--archived"), ("a", "--memory", "3"), ("--memory", "x")):
        assert arcanum("memory", "restore", *words, answers=answers).code == 64
    assert len(answers.requests) == asked


# --- carrying it elsewhere ----------------------------------------------------------------------

RECORD = Record(uid="0" * 32, namespace="a", kind="note", text=HOSTILE, at=AT, added_at=AT)


def test_everything_is_exported_a_record_a_line(arcanum: Arcanum) -> None:
    answers = Answers({"recall.export": (RECORD, RECORD)})
    for words, namespace in (
        ((), None), (("a", "--format", "jsonl"), "a"), (("--format", "jsonl", "--json"), None),
    ):  # fmt: skip
        ran = arcanum("memory", "export", *words, answers=answers)
        assert [Record.model_validate(line) for line in ran.lines] == [RECORD, RECORD]
        assert "\x1b" not in ran.out
        assert "\u202e" not in ran.out
        assert "2 memories exported" in ran.err
        assert answers.requests[-1] == ("recall.export", {"namespace": namespace})
    for form in ("md", "json"):
        ran = arcanum("memory", "export", "--format", form, answers=answers)
        assert (ran.code, ran.out) == (64, "")


def test_an_import_tells_what_came_in_and_what_did_not(arcanum: Arcanum, tmp_path: Path) -> None:
    result = recall.Imported(
        lines=5, added=2, skipped=1, refused=2, problems=(f"line 3: {HOSTILE}",), seconds=0.5
    )
    answers = job("recall.import", result)
    ran = arcanum("memory", "import", str(tmp_path / "a"), "--namespace", "b", answers=answers)
    assert ran.code == 1
    assert "2 memories new of 5 lines · 1 there already" in ran.out
    assert f"line 3: {SHOWN}" in ran.out
    assert answers.requests[0][1]["namespace"] == "b"
    ran = arcanum("memory", "import", "a", "--json", answers=answers)
    assert (ran.code, ran.json["refused"]) == (1, 2)


# --- what becomes of it -------------------------------------------------------------------------


def test_archiving_tells_where_it_went(arcanum: Arcanum) -> None:
    file = ArchiveFile(name="1.zst", at=AT, memories=12, live=12, bytes=3400)
    answers = job("recall.archive", recall.Archived(archived=12, kept=3, file=file))
    ran = arcanum("memory", "archive", "--namespace", "a", "--days", "90", answers=answers)
    assert answers.requests[0][1] == {"namespace": "a", "days": 90}
    assert ran.out == "✓ 12 memories archived in 1.zst, 3.4 kB, 3 kept because they matter\n"
    assert "arcanum memory restore --archived" in ran.err
    none = job("recall.archive", recall.Archived(archived=0, kept=0))
    assert "Nothing was unused" in arcanum("memory", "archive", answers=none).out


def test_a_folder_is_remembered_and_no_longer(arcanum: Arcanum, tmp_path: Path) -> None:
    answers = Answers(
        {
            "recall.watch": folder(),
            "recall.unwatch": recall.Folders(folders=()),
        }
    )
    ran = arcanum("memory", "watch", str(tmp_path), "--namespace", "b", "--pinned", answers=answers)
    assert answers.requests[-1][1] == {
        "path": PathRef.of(tmp_path).model_dump(), "namespace": "b", "pinned": True,
    }  # fmt: skip
    assert r"/n\x1b is remembered" in ran.out
    assert "arcanum memory sync" in ran.err
    assert "Only the conversation named documents is told what it holds" in ran.err
    assert "--namespace NAME; for all of them, with --pinned" in ran.err
    answers.script["recall.watch"] = folder(pinned=True)
    ran_pinned = arcanum("memory", "watch", str(tmp_path), answers=answers)
    assert "every namespace sees it" in ran_pinned.out
    assert "Only the conversation" not in ran_pinned.err
    ran = arcanum("memory", "unwatch", str(tmp_path), answers=answers)
    assert "No folder" in ran.out
    assert "arcanum memory forget --gone" in ran.err
    answers.script["recall.unwatch"] = NotFound("/x is not a folder that is remembered.")
    assert arcanum("memory", "unwatch", "/x", answers=answers).code == 3


def test_every_file_that_was_not_read_is_named(arcanum: Arcanum) -> None:
    problems = tuple(Unread(path=PathRef.of(f"{n}.pdf"), why=f"{HOSTILE} {n}") for n in range(20))
    note = f"0.pdf: {HOSTILE} 0"
    found = stats(
        folders=(folder(files=1, unread=1_022, problems=problems, note=note, read_at=AT),)
    )
    ran = arcanum("memory", "folders", answers=Answers({"recall.stats": found}))
    for n in range(20):
        assert f"! {n}.pdf: {SHOWN} {n}\n" in ran.out
    assert "and 1,002 more" in ran.out
    asked = arcanum("memory", "folders", "--json", answers=Answers({"recall.stats": found}))
    assert len(asked.json["folders"][0]["problems"]) == 20


def test_only_what_is_known_to_be_well_has_a_tick(arcanum: Arcanum) -> None:
    cases = (
        (folder(read_at=AT), "✓", 0),
        (folder(read_at=AT, note="the disk is full"), "!", 0),
        (folder(state="waiting", note="not read yet"), "·", 0),
        (folder(state="waiting", note="another folder", read_at=AT), "?", 1),
        (folder(state="missing", note="gone", read_at=AT), "✗", 1),
    )
    for one, glyph, code in cases:
        answers = Answers({"recall.stats": stats(folders=(one,))})
        ran = arcanum("memory", "folders", answers=answers)
        assert (ran.out.splitlines()[1][0], ran.code) == (glyph, code)
        assert one.note in ran.out


def test_a_folder_that_is_away_is_a_warning(arcanum: Arcanum) -> None:
    away = recall.Folders(folders=(folder(), folder(state="missing", note=HOSTILE, unread=2)))
    ran = arcanum("memory", "sync", answers=job("recall.sync", away))
    assert ran.code == 1
    assert SHOWN in ran.out
    assert "missing" in ran.out
    there = stats(folders=(folder(passages=1200, pinned=True),))
    ran = arcanum("memory", "folders", answers=Answers({"recall.stats": there}))
    assert ran.code == 0
    assert "1,200" in ran.out
    assert "★ documents" in ran.out
    ran = arcanum("memory", "folders", "--json", answers=Answers({"recall.stats": there}))
    assert ran.json["folders"][0]["path"]["display"] == r"/n\x1b"


def test_stats_tell_how_the_index_stands(arcanum: Arcanum) -> None:
    file = ArchiveFile(name="1.zst", at=AT, memories=12, live=2, bytes=3400, state="damaged")
    good = Answers({"recall.stats": stats(embedding="e5", dimensions=384, vectors=9)})
    ran = arcanum("memory", "stats", answers=good)
    assert ran.code == 0
    assert "1,234 in 1 namespace" in ran.out
    assert "✓ ready, 1 to come" in ran.out
    assert "e5, 9 vectors of 384" in ran.out
    for bad in (
        stats(index="failed", note=HOSTILE), stats(archive_files=(file,)),
        stats(folders=(folder(state="unreadable"),)),
    ):  # fmt: skip
        assert arcanum("memory", "stats", answers=Answers({"recall.stats": bad})).code == 1
    ran = arcanum("memory", "rebuild", answers=job("recall.rebuild", stats()))
    assert (ran.code, "1,234" in ran.out) == (0, True)
    as_json = arcanum("memory", "stats", "--json", answers=good).out
    assert Stats.model_validate(json.loads(as_json)) == good.script["recall.stats"]
