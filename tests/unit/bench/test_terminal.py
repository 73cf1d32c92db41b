"""A program in a terminal: its text is found through colours and split reads, and it is ended."""

from __future__ import annotations

import os
import sys

import psutil
import pytest

from bench.terminal import ProgramEnded, Terminal, Text, cpu_seconds
from tests.e2e.shell import eventually


def test_text_is_found_through_colours_titles_and_queries() -> None:
    text = Text()
    text.feed(
        b"\x1b[?1049h\x1b]0;title\x07\x1b[1;3H\x1b[38;2;1;2;3mNEEDS\x1b[0m YOU\x1bP+q544e\x1b\\!"
    )
    assert text.after(0) == "NEEDS YOU!"


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_sequences_and_letters_may_be_split_between_reads(size: int) -> None:
    data = "\x1b[1mab\x1b]8;;http://x\x1b\\é\x1b[0mა".encode()
    text = Text()
    for start in range(0, len(data), size):
        text.feed(data[start : start + size])
    assert text.after(0) == "abéა"


def test_what_came_before_is_not_taken_for_an_answer() -> None:
    text = Text()
    text.feed(b"ready")
    since = text.end
    assert not text.has("ready", since)
    text.feed(b" ready")
    assert text.has("ready", since)


def test_positions_hold_when_old_text_is_dropped() -> None:
    text = Text()
    for _ in range(20):
        text.feed(b"x" * (1 << 16))
    since = text.end
    text.feed(b"new")
    assert text.after(since) == "new"
    assert since == 20 * (1 << 16)


ECHO = """
import os, signal, subprocess, sys, tty
signal.signal(signal.SIGTERM, signal.SIG_IGN)
tty.setraw(0)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
size = os.get_terminal_size()
os.write(1, b"size %d %d child %d ready" % (size.columns, size.lines, child.pid))
while key := os.read(0, 1):
    if key == b"q":
        sys.exit()
    os.write(1, b"\\x1b[32m<" + key + b">\\x1b[0m")
"""


def test_a_key_is_timed_and_all_processes_are_ended() -> None:
    with Terminal([sys.executable, "-c", ECHO], env=dict(os.environ), leave=b"q") as terminal:
        assert terminal.wait_for("size 120 36", "ready") > terminal.started
        child = psutil.Process(int(terminal.text.after(0).split()[4]))
        since = terminal.text.end
        sent = terminal.type("k")
        assert terminal.wait_for("<k>", since=since) > sent
        assert 0 < cpu_seconds(terminal.pid) < 60
        pid = terminal.pid
    assert not psutil.pid_exists(pid)
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_program_that_never_says_it_is_named_with_what_it_said() -> None:
    with (
        Terminal([sys.executable, "-c", "print('no'); input()"], env=dict(os.environ)) as terminal,
        pytest.raises(TimeoutError, match="no"),
    ):
        terminal.wait_for("yes", within_s=1.0)


def test_a_program_that_ends_is_noticed_at_once() -> None:
    with (
        Terminal([sys.executable, "-c", "print('gone')"], env=dict(os.environ)) as terminal,
        pytest.raises(ProgramEnded, match="gone"),
    ):
        terminal.wait_for("never", within_s=30.0)
