"""The bundled model, as the tests of llama.cpp run it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backends.hosted.settings import Patience
from backends.llama_cpp.backend import LlamaCpp
from engine.home import Home
from tests.fakes.llama_server import bundled


@pytest.fixture
def gguf() -> Path:
    return bundled()


@pytest.fixture
def run(home: Home) -> Path:
    """A runtime folder whose path is short enough for a socket in it."""
    return home.runtime


@pytest.fixture
async def backend(gguf: Path, run: Path) -> AsyncIterator[LlamaCpp]:
    made = LlamaCpp(gguf, run, patience=Patience(pulse_s=1))
    yield made
    await made.unload()
