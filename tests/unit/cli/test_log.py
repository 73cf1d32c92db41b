from __future__ import annotations

import logging
import stat
from pathlib import Path
from typing import cast

import pytest

from arcanum_tui.cli import log
from arcanum_tui.cli.log import LogFile, defect, install
from engine.contract.errors import Internal
from engine.home import Home
from engine.recall.index import moments


def raised() -> Exception:
    with pytest.raises(ValueError, match="bad") as caught:
        int_of("bad \x1b[2J thing\nsecond line")
    return caught.value


def int_of(text: str) -> None:
    raise ValueError(text)


def test_a_defect_is_one_line_and_its_traceback_is_in_the_log(home: Home) -> None:
    found = defect(raised())
    assert isinstance(found, Internal)
    assert found.message == "ValueError: bad \\x1b[2J thing"
    reference = found.hint.split()[2]
    text = home.log_file.read_text()
    assert f"defect {reference}" in text
    assert "Traceback" in text
    assert "raise ValueError" in text
    assert str(home.log_file) in found.hint


def test_what_people_have_said_is_in_no_traceback(home: Home) -> None:
    with pytest.raises(ValueError, match="kettle") as caught:
        moments.asked_for(cast(str, Quoting()), 0.0)
    install()
    logging.getLogger("arcanum").error("a defect", exc_info=caught.value)
    text = home.log_file.read_text()
    assert "in asked_for" in text
    assert text.rstrip().endswith("ValueError")
    assert "kettle" not in text


class Quoting:
    """Fails where it is read, with the words in its text."""

    def __getattr__(self, name: str) -> object:
        raise ValueError(f"the {'KETTLE'.lower()} is in the pantry")


def test_the_log_is_private(home: Home) -> None:
    defect(raised())
    assert stat.S_IMODE(home.log_file.stat().st_mode) == 0o600


def test_nothing_is_made_before_the_first_record(home: Home) -> None:
    install()
    assert not home.data.exists()


def test_warnings_of_the_engine_go_to_the_log(home: Home) -> None:
    install()
    logging.getLogger("arcanum.media").warning("folder %s", "odd")
    logging.getLogger("arcanum.media").info("too small")
    text = home.log_file.read_text()
    assert "WARNING arcanum.media: folder odd" in text
    assert "too small" not in text


def test_the_log_is_bounded(home: Home) -> None:
    handler = LogFile(home.log_file)
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "y" * 50_000, None, None)
    for _ in range(60):
        handler.handle(record)
    sizes = [path.stat().st_size for path in home.data.iterdir()]
    assert len(sizes) == 2
    assert all(size <= log.MAX_BYTES + 70_000 for size in sizes)


def test_a_log_that_cannot_be_written_is_told_in_the_same_line(home: Home) -> None:
    home.data.parent.mkdir()
    home.data.write_text("a file where the folder should be")
    found = defect(raised())
    assert found.message.startswith("ValueError")
    assert "could not be written" in found.hint


def test_a_link_in_place_of_the_log_is_not_followed(home: Home, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    home.data.mkdir(parents=True)
    home.log_file.symlink_to(victim)
    found = defect(raised())
    assert victim.read_text() == "mine"
    assert "could not be written" in found.hint
