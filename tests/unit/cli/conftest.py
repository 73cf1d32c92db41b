from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from arcanum_tui.cli.log import LogFile
from arcanum_tui.cli.main import run
from tests.unit.cli.answers import Answers


@pytest.fixture(autouse=True)
def _no_log_handler_stays() -> Iterator[None]:
    yield
    logging.captureWarnings(capture=False)
    for handler in logging.getLogger().handlers[:]:
        if isinstance(handler, LogFile):
            logging.getLogger().removeHandler(handler)


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def arcanum(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs one command line in this process; ``answers`` stand for the engine."""

    def ran(*arguments: str, answers: Answers | None = None) -> Ran:
        code = run(arguments, (answers or Answers({})).attach)
        text = capsys.readouterr()
        return Ran(code, text.out, text.err)

    return ran
