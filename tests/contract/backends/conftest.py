"""One of each kind of backend is made for all tests of a file: a model is loaded once."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.fakes.subjects import KINDS, Subject


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=[pytest.param(kind, marks=kind.marks, id=kind.name) for kind in KINDS],
)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    kind = request.param
    # A socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="arc-", dir="/tmp") as folder:
        async with kind.made(Path(folder)) as seen:
            yield Subject(kind, seen)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test ``only`` of some kinds of backends is none of the others."""
    items[:] = [item for item in items if _applies(item)]


def _applies(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or (mark := item.get_closest_marker("only")) is None:
        return True
    return bool(mark.kwargs["of"](item.callspec.params["subject"]))
