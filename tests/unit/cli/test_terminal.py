from __future__ import annotations

import io
import json
import sys

import pytest

from arcanum_tui.cli.terminal import OutputClosed, Terminal
from arcanum_tui.state.grid import Column
from engine.contract.errors import Failed, NotFound


class Screen(io.TextIOWrapper):
    """A terminal: what is written to it can be read back."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


def a_screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Takes the place of stdout and stderr, 40 cells wide."""
    found = Screen()
    monkeypatch.setattr(sys, "stdout", found)
    monkeypatch.setattr(sys, "stderr", found)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    return found


def test_control_characters_are_made_visible(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.line("a\x1b[31mb\nc")
    terminal.fields((("name", "x\x07"),))
    terminal.table(("FILE",), (Column(),), [("y\x9b2J\udcff",)])
    terminal.note("z\r")
    out, err = capsys.readouterr()
    assert out == "a\\x1b[31mb\\nc\nname  x\\x07\nFILE\ny\\x9b2J\\xff\n"
    assert err == "z\\r\n"


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = a_screen(monkeypatch)
    Terminal().line("good", "ok")
    monkeypatch.setenv("NO_COLOR", "1")
    Terminal().line("plain", "ok")
    assert screen.text() == "\x1b[32mgood\x1b[0m\nplain\n"


def test_json_is_indented_for_eyes_and_one_line_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = a_screen(monkeypatch)
    Terminal(as_json=True).result({"a": 1})
    assert screen.text() == '{\n  "a": 1\n}\n'
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", pipe)
    Terminal(as_json=True).result({"name": "é▲"})
    assert pipe.buffer.getvalue() == '{"name": "é▲"}\n'.encode()


def test_a_terminal_that_is_not_utf8_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen("latin-1")
    monkeypatch.setattr(sys, "stdout", screen)
    Terminal().line("é ▲1")
    assert screen.text() == "é \\u25b21\n"


def test_a_table_fits_the_terminal_and_is_whole_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = a_screen(monkeypatch)
    columns = (Column(right=True), Column(grow=True), Column(rank=1))
    rows = [("1", "漢字" * 30, "extra"), ("22", "short", "more")]
    Terminal().table(("N", "NAME", "X"), columns, rows)
    lines = screen.text().replace("\x1b[2m", "").replace("\x1b[0m", "").splitlines()
    assert lines[1].startswith(" 1  漢字")
    assert "…" in lines[1]
    assert all(len(line) <= 40 for line in lines)

    pipe = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    monkeypatch.setattr(sys, "stdout", pipe)
    Terminal().table(("N", "NAME", "X"), columns, rows)
    text = pipe.buffer.getvalue().decode()
    assert "漢字" * 30 in text
    assert text.splitlines()[0].startswith(" N  NAME")


def test_progress_is_for_terminals_and_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = a_screen(monkeypatch)
    terminal = Terminal()
    terminal.progress("1 of 2 " + "x" * 100)
    terminal.line("done")
    assert screen.text() == "\r\x1b[K" + ("1 of 2 " + "x" * 100)[:39] + "\r\x1b[Kdone\n"
    Terminal(quiet=True).progress("nothing")
    assert "nothing" not in screen.text()


def test_no_progress_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().progress("1 of 2")
    assert capsys.readouterr() == ("", "")


def test_an_error_has_a_hint_for_people_and_a_code_for_programs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = NotFound("There is no library 'x'.", "arcanum media libraries")
    assert Terminal().fail(error) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "Not found: There is no library 'x'.\n  arcanum media libraries\n"
    assert Terminal(as_json=True).fail(error) == 3
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out) == {
        "error": {
            "title": "Not found",
            "message": "There is no library 'x'.",
            "hint": "arcanum media libraries",
            "code": "not_found",
        }
    }


def test_an_error_never_starts_in_the_middle_of_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = a_screen(monkeypatch)
    terminal = Terminal()
    terminal.write("half an ans")
    terminal.fail(Failed("It broke."))
    assert screen.text().startswith("half an ans\n")


def test_a_full_disk_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with io.FileIO("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(full, encoding="utf-8"))
        with pytest.raises(Failed, match="No space left on device"):
            Terminal().line("text")


def test_a_reader_that_left_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    with pytest.raises(OutputClosed):
        Terminal().line("text")


def test_a_closed_stdout_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    terminal = Terminal()
    terminal.line("text")
    terminal.note("remark")
    assert terminal.fail(Failed("It broke.")) == 3
