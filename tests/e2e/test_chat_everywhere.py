"""One question, every way to ask it, on the real model; and what happens when processes die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.clients.local import LocalClient
from engine.contract import agent0, memory
from engine.contract.errors import ModelFailed
from engine.home import Home
from tests.e2e.shell import Typist, arcanum, eventually, refused, started, told
from tests.fakes.house import done
from tests.fakes.models import engine_with

pytestmark = pytest.mark.model

QUESTION = "Name three animals of the sea."
NOTES = "The meeting is on Thursday at ten.\nMarta brings the projector.\n"


def asked(session: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = told("memory", "turns", session)["turns"]
    return found


def test_the_same_answer_whoever_asks() -> None:
    bound = ("--max-tokens", "24")
    plain = arcanum("chat", "--session", "plain", *bound, QUESTION)
    assert plain.code == 0
    assert plain.out.strip()
    assert "tok/s" not in plain.err  # Nobody sits before a terminal.

    ran = arcanum("chat", "--session", "json", *bound, QUESTION, "--json")
    items = [json.loads(line) for line in ran.out.splitlines()]
    pieces = "".join(item["text"] for item in items if item["kind"] == "piece")
    first, last = items[0], items[-1]
    assert pieces.strip() == plain.out.strip()
    assert last["turn"]["answer"] == pieces
    assert first["prompt_tokens"] == last["prompt_tokens"] > 10
    assert first["context"] == last["context"] > last["prompt_tokens"] + last["tokens"]
    assert 0 < last["tokens"] <= 24

    person = Typist("chat", "--session", "typed", *bound)
    person.sees("> ")
    person.types(f"{QUESTION}\n")
    person.sees(f"{QUESTION}\r\n")
    shown = person.sees(" tok/s").replace("\r\n", "\n")
    assert plain.out.strip() in shown
    assert "context " in person.sees("> ")
    person.types("\x04")
    assert person.leaves() == 0
    assert {turn["answer"] for s in ("plain", "json", "typed") for turn in asked(s)} == {pieces}


def test_a_conversation_on_a_terminal_branches_and_attaches(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text(NOTES, "utf-8")
    person = Typist("chat", "--session", "a", "--max-tokens", "24")

    def enters(text: str) -> str:
        person.types(text)
        return person.sees("> ")

    person.sees("> ")
    enters('"""\nSay\nhello.\n"""\n')
    enters("Count to \\\nthree.\n")
    enters("/retry\n")
    enters("/edit Count to two.\n")
    assert "notes.txt" in enters(f"/attach {notes}\n")
    assert "Thursday" in enters("When is the meeting?\n")
    assert "There is no command /wrong" in enters("/wrong\n")
    assert "/retry" in enters("/help\n")
    assert "bundled" in enters("/model\n")
    person.types("\x04")
    assert person.leaves() == 0
    turns = asked("a")
    assert [turn["question"] for turn in turns] == [
        "Say\nhello.",
        "Count to two.",
        "When is the meeting?",
    ]
    assert len(turns[1]["siblings"]) == 3  # The first try, the second, and what was asked instead.
    assert turns[2]["attached"] == ["notes.txt"]


def test_an_attachment_is_read_or_refused_with_the_numbers(tmp_path: Path) -> None:
    notes, book = tmp_path / "notes.txt", tmp_path / "book.txt"
    notes.write_text(NOTES, "utf-8")
    book.write_text("A long sentence about nothing at all. " * 2000, "utf-8")
    given = ("chat", "--session", "a", "--max-tokens", "24")
    ran = arcanum(*given, "--attach", str(notes), "When is the meeting?")
    assert "Thursday" in ran.out
    error = refused(*given, "--attach", str(notes), "--attach", str(book), "When is it?")
    assert error["code"] == "prompt_too_long"
    assert error["message"].startswith("book.txt does not fit: it is ")
    assert "context of 4,096 tokens" in error["message"]


def test_the_memories_of_an_answer_are_opened_by_their_numbers(home: Home) -> None:
    home.config_file.parent.mkdir(parents=True, exist_ok=True)
    home.config_file.write_text('[memory]\nembedding = "none"\n', "utf-8")
    [number] = told("memory", "add", "My bike is turquoise.", "--namespace", "a")["ids"]
    given = ("chat", "--session", "a", "--max-tokens", "8", "What colour is my bike?")
    ran = arcanum(*given)
    assert f"recalled memory {number} · to open one: arcanum memory show {number}" in ran.err
    (turn,) = told("memory", "turns", "a")["turns"]
    assert [one["id"] for one in turn["recalled"]] == [number]
    assert told("memory", "show", str(number))["memory"]["text"] == "My bike is turquoise."
    plan = told("memory", "forget", str(number))["pending"]["approval_id"]
    told("approvals", "approve", str(plan), "--count", "2")  # The answer goes along.
    assert [one["id"] for one in told("memory", "turns", "a")["turns"][0]["recalled"]] == [number]
    assert "was forgotten" in refused("memory", "show", str(number))["message"]


def test_an_answer_as_json_fits_its_schema(tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    size = {"enum": ["small", "large"]}
    name = {"type": "string", "maxLength": 20}
    schema.write_text(
        json.dumps(
            {"type": "object", "properties": {"name": name, "size": size}, "required": ["size"]}
        )
    )
    found = told("chat", "--schema", str(schema), "Describe a whale.")
    assert found["value"]["size"] in {"small", "large"}
    assert set(found["value"]) <= {"name", "size"}
    assert found["attempts"] <= 3


def model_of(process: subprocess.Popen[bytes]) -> psutil.Process:
    """The process that holds the model. Others may be its siblings: that of the index, for one."""

    def holding() -> list[psutil.Process]:
        children = psutil.Process(process.pid).children()
        return [child for child in children if "xllamacpp" in " ".join(child.cmdline())]

    found: list[psutil.Process] = eventually(holding)
    return found[0]


def test_kill_9_of_the_engine_leaves_one_turn_and_no_model() -> None:
    with started("chat", "--session", "a", "Write a long story about a lighthouse.") as chat:
        assert chat.stdout is not None
        os.read(chat.stdout.fileno(), 1)
        model = model_of(chat)
        eventually(lambda: asked("a")[0]["answer"])  # What came is saved once a second.
        chat.kill()
        chat.wait()
        eventually(lambda: not model.is_running())
    (turn,) = asked("a")
    assert (turn["status"], turn["note"]) == ("interrupted", "the engine ended")
    assert turn["answer"]
    assert arcanum("chat", "--session", "a", "--max-tokens", "8", "Name a fruit.").code == 0
    assert [turn["status"] for turn in asked("a")] == ["interrupted", "done"]


def test_kill_9_of_the_model_keeps_what_came() -> None:
    with started("chat", "--session", "a", "Write a long story about a lighthouse.") as chat:
        assert chat.stdout is not None
        first = os.read(chat.stdout.fileno(), 100)
        model_of(chat).kill()
        out, err = chat.communicate(timeout=30)
    assert chat.returncode == 3
    assert b"killed by SIGKILL" in err
    (turn,) = asked("a")
    assert turn["status"] == "failed"
    assert "killed by SIGKILL" in turn["note"]
    assert turn["answer"].strip() == (first + out).decode().strip()


async def test_a_model_that_hangs_is_ended_and_costs_one_answer(home: Home) -> None:
    from backends.hosted.settings import Patience
    from backends.llama_cpp.backend import LlamaCpp
    from backends.registry import Catalog, ModelSettings

    catalog = Catalog(ModelSettings(runtime_dir=home.runtime))
    gguf = Path(str(catalog._resolve("bundled").path))  # type: ignore[union-attr]
    stuck: Any = LlamaCpp(gguf, home.runtime, patience=Patience(pulse_s=2.0))
    async with engine_with(home, {"stuck": stuck}) as client:
        with pytest.raises(ModelFailed, match="no sign of life"):
            await _stop_in_the_middle(client, stuck)
        (turn,) = (await done(client, memory.TURNS, memory.ShowTurns(session="a"))).turns
        assert turn.status == "failed"
        assert turn.answer
        assert "no sign of life" in turn.note
        request = agent0.Ask(session="a", text="Name a fruit.", max_tokens=8)
        async with client.stream(agent0.ASK, request) as items:
            assert [item async for item in items][-1].turn.status == "done"


async def _stop_in_the_middle(client: LocalClient, model: Any) -> None:
    request = agent0.Ask(session="a", text="Write a long story about a lighthouse.")
    stopped = False
    async with client.stream(agent0.ASK, request) as items:
        async for item in items:
            if item.kind == "piece" and not stopped:
                stopped = True
                os.kill(model.info().pid, signal.SIGSTOP)
