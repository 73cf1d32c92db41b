"""``arcanum memory`` on the real engine: notes, folders, exports, archives, and forgetting."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from engine.home import Home
from tests.e2e.shell import arcanum, ended, eventually, refused, serving, started, told
from tests.unit.recall.folder_house import note, pdf
from tests.unit.recall.rooms import rooms_at


@pytest.fixture(autouse=True)
def _by_words(home: Home) -> None:
    """No model makes embeddings here: what is found is found by its words, and at once."""
    home.config_file.parent.mkdir(parents=True, exist_ok=True)
    home.config_file.write_text('[memory]\nembedding = "none"\n', "utf-8")


def found(query: str, *more: str) -> list[str]:
    return [hit["text"] for hit in told("memory", "search", query, *more)["hits"]]


def test_a_note_from_the_shell_to_the_grave() -> None:
    added = told("memory", "add", "My", "bike", "is", "turquoise.", "--speaker", "Marta")
    [number] = added["ids"]
    assert (added["namespace"], added["added"]) == ("main", 1)
    assert found("turquoise bike") == ["My bike is turquoise."]
    assert found("turquoise", "--speaker", "Marta") == ["My bike is turquoise."]
    assert found("turquoise", "--speaker", "Otto") == []
    assert found("turquoise", "--kind", "document") == []
    shown = told("memory", "show", str(number))
    assert shown["memory"]["speaker"] == "Marta"
    assert shown["around"][0]["id"] == number

    told("memory", "add", "Elsewhere.", "--namespace", "house")
    assert told("memory", "pin", str(number))["pinned"] is True
    assert "My bike is turquoise." in found("turquoise", "--namespace", "house")
    assert told("memory", "pin", str(number), "--off")["pinned"] is False
    assert found("turquoise", "--namespace", "house") == []

    edited = told("memory", "edit", str(number), "My bike is green.")
    assert edited["replaces"][0]["text"] == "My bike is turquoise."
    assert "My bike is green." in found("bike green")
    names = {one["name"]: one for one in told("memory", "namespaces")["namespaces"]}
    assert names["house"]["memories"] == 1
    listed = told("memory", "list", "--namespace", "house")
    assert (listed["total"], listed["memories"][0]["text"]) == (1, "Elsewhere.")

    told("memory", "add", "The bike shed is far.")
    pending = told("memory", "forget", str(number))["pending"]["approval_id"]
    assert told("memory", "show", str(number))["memory"]["text"] == "My bike is green."
    card = told("approvals", "show", str(pending))["card"]
    count = card["confirm_count"]
    confirm = () if count is None else ("--count", str(count))
    approved = told("approvals", "approve", str(pending), *confirm)
    assert approved["state"] == "done"
    assert number in approved["outcome"]["result"]["ids"]
    assert found("bike green turquoise") == ["The bike shed is far."]
    assert refused("memory", "show", str(number))["code"] == "not_found"
    assert told("audit", "verify")["ok"] is True


async def test_a_deleted_conversation_is_shown_nowhere_until_it_is_back(home: Home) -> None:
    async with rooms_at(home) as rooms:
        await rooms.say("a", "My bike is turquoise.")
    [number] = [one["id"] for one in told("memory", "list")["memories"]]
    told("memory", "pin", str(number))
    deletion = told("memory", "delete", "a")["pending"]["approval_id"]
    told("approvals", "approve", str(deletion))
    for only in ((), ("--pinned",)):
        found = told("memory", "list", *only)
        assert (found["memories"], found["total"]) == ([], 0)
    assert refused("memory", "show", str(number))["hint"].startswith("arcanum memory restore a ")
    assert "turquoise" not in arcanum("memory", "show", str(number)).out
    told("memory", "restore", "a")
    assert told("memory", "list", "--pinned")["memories"][0]["id"] == number


def test_a_hint_brings_back_what_was_replaced() -> None:
    [number] = told("memory", "add", "My bike is turquoise.")["ids"]
    old = str(told("memory", "edit", str(number), "My bike is green.")["replaces"][0]["id"])
    refusals = (refused("memory", "pin", old), refused("memory", "edit", old, "It was turquoise."))
    [command] = {error["hint"].partition("arcanum ")[2] for error in refusals}
    told(*command.split())
    assert told("memory", "show", old)["memory"]["state"] == "live"


def test_people_are_told_the_same_in_tables() -> None:
    arcanum("memory", "add", "[bold]My bike[/] is turquoise.\x1b[2J")
    ran = arcanum("memory", "search", "bike", "--explain")
    assert ran.code == 0
    assert "WORDS" in ran.out
    assert r"[bold]My bike[/] is turquoise.\x1b[2J" in ran.out
    assert arcanum("memory", "list").out.splitlines()[0].startswith("ID")
    assert "note" in arcanum("memory", "show", "1").out
    assert "1 in " in arcanum("memory", "stats").out
    ran = arcanum("memory", "search", "submarine")
    assert (ran.code, "arcanum memory namespaces" in ran.err) == (0, True)


def test_notes_are_piped_in_and_the_same_export_adds_nothing(tmp_path: Path, home: Home) -> None:
    lines = "".join(f"Note number {number}.\n" for number in range(1200))
    ran = arcanum("memory", "add", "-", "--namespace", "house", "--json", stdin=lines.encode())
    assert (ran.code, ran.json["added"], len(ran.json["ids"])) == (0, 1200, 1200)
    whole = arcanum("memory", "export", "--format", "jsonl")
    records = [json.loads(line) for line in whole.out.splitlines()]
    assert len(records) == 1200
    assert whole.err == "1,200 memories exported\n"
    file = tmp_path / "all.jsonl"
    file.write_text(whole.out, "utf-8")
    same = told("memory", "import", str(file))
    assert (same["lines"], same["added"], same["skipped"]) == (1200, 0, 1200)
    other = records[0] | {"uid": "f" * 32, "text": "Another."}
    file.write_text(json.dumps(other) + "\nno record\n", "utf-8")
    mixed = told("memory", "import", str(file), "--namespace", "b", code=1)
    assert (mixed["added"], mixed["refused"], len(mixed["problems"])) == (1, 1, 1)
    assert found("another", "--namespace", "b") == ["Another."]
    assert refused("memory", "import", str(tmp_path / "none"))["code"] in {"not_found", "failed"}


def test_what_is_archived_is_found_and_comes_back() -> None:
    told("memory", "add", "Thanks.", "--at", "2020-01-01")
    told("memory", "add", "It rained on the parade.", "--at", "2020-01-01")
    archived = told("memory", "archive", "--days", "0")
    if not archived["archived"]:
        pytest.fail(f"nothing was archived: {archived}")
    assert archived["file"]["memories"] == archived["archived"]
    assert found("rained parade")[0] == "It rained on the parade."
    restored = told("memory", "restore", "--archived")
    assert restored["problems"] == []
    assert told("memory", "stats")["archived"] == 0


def test_a_folder_is_remembered_from_the_shell(tmp_path: Path) -> None:
    papers = tmp_path / "papers"
    note(papers / "bikes.md", "# Bikes\n\n## Maintenance\n\nOil the chain monthly.\n")
    note(papers / "manual.pdf", pdf(["Press the lever gently."]))
    watched = told("memory", "watch", str(papers))
    assert watched["path"]["display"] == str(papers)
    [folder] = told("memory", "folders")["folders"]
    assert (folder["state"], folder["note"]) == ("waiting", "not read yet")
    [folder] = told("memory", "sync")["folders"]
    assert (folder["state"], folder["files"], folder["passages"]) == ("ok", 2, 2)
    documents = ("--namespace", "documents")
    assert found("oil chain", *documents)[0] == "Bikes > Maintenance: Oil the chain monthly."
    assert found("press lever", *documents)[0] == "manual, page 1: Press the lever gently."
    assert refused("memory", "watch", str(papers))["code"] == "refused"
    assert refused("memory", "watch", str(papers / "bikes.md"), code=64)["code"] == "invalid"
    assert refused("memory", "watch", str(tmp_path / "none"))["code"] == "not_found"

    papers.rename(tmp_path / "away")
    assert told("memory", "sync", code=1)["folders"][0]["state"] == "missing"
    assert told("memory", "folders", code=1)["folders"][0]["passages"] == 2
    papers.mkdir()
    [folder] = told("memory", "sync", code=1)["folders"]
    assert folder["state"] == "missing"
    assert "another folder is in its place" in folder["note"]
    assert told("memory", "folders", code=1)["folders"][0]["state"] == "waiting"
    papers.rmdir()
    assert found("oil chain", *documents)
    (tmp_path / "away").rename(papers)
    (papers / "bikes.md").unlink()
    assert told("memory", "sync")["folders"][0]["files"] == 1
    assert found("oil chain", *documents) == []
    assert told("memory", "unwatch", str(papers))["folders"] == []
    assert found("press lever", *documents) == []
    assert (papers / "manual.pdf").exists()


def test_an_engine_that_runs_keeps_folders_in_step(tmp_path: Path, home: Home) -> None:
    home.config_file.write_text('[memory]\nembedding = "none"\nfolder_seconds = 1\n', "utf-8")
    papers = tmp_path / "papers"
    note(papers / "a.md", "The lamp is red.")
    with serving(home):
        told("memory", "watch", str(papers))
        eventually(lambda: found("lamp", "--namespace", "documents"))
        note(papers / "a.md", "The lamp is broken.")
        eventually(lambda: found("lamp", "--namespace", "documents") == ["a: The lamp is broken."])


def test_ctrl_c_ends_a_sync_in_order_and_the_next_goes_on(tmp_path: Path) -> None:
    papers = tmp_path / "papers"
    for number in range(3_000):
        note(papers / f"{number}.md", f"This is paper {number}.")
    told("memory", "watch", str(papers))
    with started("memory", "sync", "--json") as process:
        eventually(lambda: _documents() > 100)
        process.send_signal(signal.SIGINT)
        ran = ended(process)
    assert ran.code == 3, ran
    assert ran.json["error"]["code"] == "cancelled"
    assert 0 < _documents() < 3_000
    assert told("memory", "sync")["folders"][0]["files"] == 3_000


def _documents() -> int:
    """Files that were read, as the database has them."""
    data = Path(os.environ["ARCANUM_HOME"]) / "data" / "arcanum.db"
    database = sqlite3.connect(f"file:{data}?mode=ro", uri=True)
    try:
        return int(database.execute("SELECT count(*) FROM document").fetchone()[0])
    finally:
        database.close()


def test_wrong_usage_touches_nothing() -> None:
    cases: tuple[tuple[str, ...], ...] = (
        ("search",), ("search", "x", "--since", "soon"), ("search", "x", "--kind", "poem"),
        ("show", "x"), ("show", "0"), ("add",), ("edit", "1"), ("forget",), ("restore",),
        ("export", "--format", "md"), ("list", "--limit", "0"), ("archive", "--days", "-1"),
    )  # fmt: skip
    for words in cases:
        error: dict[str, Any] = refused("memory", *words, code=64)
        assert error["code"] == "invalid"
        assert error["hint"]
    assert told("memory", "list")["total"] == 0
