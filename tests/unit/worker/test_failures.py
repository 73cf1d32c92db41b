"""An error is told by its kind and its place, never by a text that may quote somebody."""

from __future__ import annotations

import subprocess
import sys

import pytest

from engine.recall.archived import uid_of
from engine.worker import frames
from engine.worker.failures import said, told


def test_an_error_among_peoples_words_is_told_without_its_text() -> None:
    with pytest.raises(ValueError, match="names no memory") as caught:
        uid_of(b"The kettle is in the pantry.")
    assert told(caught.value) == said(caught.value)
    assert told(caught.value) == "Damaged in engine.recall.archived:uid_of"


def test_any_other_error_says_what_it_says() -> None:
    with pytest.raises(ValueError, match="bytes") as caught:
        frames.size_of(frames.HEADER.pack(2**32 - 1))
    assert said(caught.value) == str(caught.value)
    assert told(caught.value) == "ValueError in engine.worker.frames:size_of"
    assert told(ValueError("kettle")) == "ValueError"
    assert told(OSError(28, "No space left on device")) == "[Errno 28] No space left on device"
    assert said(ValueError()) == "ValueError"


@pytest.mark.parametrize("thread", [False, True])
def test_a_process_dies_without_quoting_anybody(thread: bool) -> None:
    fails = "int('kettle')"
    script = (
        "import threading\nfrom engine.worker.failures import tell_no_data\ntell_no_data()\n"
        f"def die(): {fails}\n"
        + ("t = threading.Thread(target=die); t.start(); t.join()" if thread else "die()")
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert ended.stderr.strip() == "ValueError"


@pytest.mark.parametrize(
    ("module", "arguments"), [("engine.recall.index.worker", []), ("engine.recall.reader", ["512"])]
)
def test_the_processes_that_read_what_people_wrote_do_so(module: str, arguments: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        check=False,
        input=frames.encode({"kettle": "in the pantry"}),
        capture_output=True,
    )
    last = ended.stderr.decode().strip()
    assert last.startswith("KeyError")
    assert "kettle" not in last
    assert "\n" not in last
