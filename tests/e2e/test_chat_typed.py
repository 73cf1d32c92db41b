"""What comes from a keyboard, a paste or a pipe is asked whole, or not at all."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from engine.home import Home
from tests.e2e.shell import ARCANUM, Typist, arcanum, environment, refused, serving, told

pytestmark = pytest.mark.model


def asked(session: str) -> list[str]:
    return [turn["question"] for turn in told("memory", "turns", session)["turns"]]


def test_a_paste_is_one_question_that_enter_sends_and_nothing_in_it_is_a_command(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("It is 1234.", "utf-8")
    person = Typist("chat", "--session", "a", "--max-tokens", "4")
    person.sees("> ")
    person.types(f"Look at this:\n/attach {secret}\n/model scripted\nthe end")
    person.sees("pasted, Enter sends it: ")
    person.types("\n")
    person.sees("tok/s")
    person.sees("> ")
    person.types(f"/attach {secret}\nnow\n")
    person.sees("pasted, Enter sends it: ")
    person.types("\n")
    person.sees("/attach takes one line")
    person.sees("> ")
    person.types("\x04")
    assert person.leaves() == 0
    (turn,) = told("memory", "turns", "a")["turns"]
    lines = turn["question"].splitlines()
    assert lines == ["Look at this:", f"/attach {secret}", "/model scripted", "the end"]
    assert turn["attached"] == []


def test_a_line_that_the_terminal_cut_is_not_asked() -> None:
    person = Typist("chat", "--session", "a", "--max-tokens", "4")
    person.sees("> ")
    for _ in range(5):
        person.types("word " * 200)
        person.sees("word " * 200)
    person.types("What was the last word?\n")
    person.sees("nothing was asked")
    person.sees("> ")
    person.types("Hello.\n")
    person.sees("tok/s")
    person.sees("> ")
    person.types("\x04")
    assert person.leaves() == 0
    assert asked("a") == ["Hello."]


def test_what_does_not_fit_can_be_detached_again(tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("A long sentence about nothing at all. " * 2000, "utf-8")
    person = Typist("chat", "--session", "a", "--max-tokens", "4", "--attach", str(book))
    person.sees("> ")
    person.types("What is it about?\n")
    person.sees("book.txt does not fit")
    person.sees("> ")
    person.types("/detach\n")
    person.sees("attached: nothing")
    person.sees("> ")
    person.types("Hello.\n")
    person.sees("tok/s")
    person.sees("> ")
    person.types("\x04")
    assert person.leaves() == 0


def test_a_pipe_is_asked_whole_or_refused() -> None:
    for question in (b"a" + b" " * 200_000 + b"b", b"word " * 7_000):
        ran = arcanum("chat", "--json", stdin=question)
        assert ran.code == 64
        assert "longer than 32,000 characters" in ran.json["error"]["message"]
    ran = arcanum("chat", "--session", "a", "--max-tokens", "4", stdin=b"\xff\0 what?")
    assert ran.code == 0
    assert asked("a") == ["\\xff\\x00 what?"]


def test_json_holds_nothing_that_a_terminal_obeys() -> None:
    question = "a\u202eb\u009b31mc\u2028d"
    ran = subprocess.run(
        [ARCANUM, "chat", "--session", "a", "--max-tokens", "4", "--json", "--", question],
        capture_output=True,
        timeout=60,
        check=True,
        env=environment(),
    )
    (last,) = ran.stdout.splitlines()[-1:]
    assert not {"\u202e", "\u009b", "\u2028"} & set(last.decode())
    assert json.loads(last)["turn"]["question"] == question


def test_a_file_with_nul_is_no_text(tmp_path: Path) -> None:
    odd = tmp_path / "odd.txt"
    odd.write_bytes(b"a\0b")
    assert "holds NUL bytes" in refused("chat", "--attach", str(odd), "What?", code=64)["message"]


def test_a_conversation_outlives_the_engine_that_it_began_with(home: Home) -> None:
    with serving(home) as engine:
        person = Typist("chat", "--session", "a", "--max-tokens", "4")
        person.sees("> ")
        person.types("Hello.\n")
        person.sees("tok/s")
        person.sees("> ")
        engine.kill()
        engine.wait()
        person.types("Still there?\n")
        person.sees("tok/s")
        person.sees("> ")
        person.types("\x04")
        assert person.leaves() == 0
    assert asked("a") == ["Hello.", "Still there?"]
