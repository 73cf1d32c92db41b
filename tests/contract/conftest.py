from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine.home import Home
from tests.fakes.front import Front, reached


@pytest.fixture(params=["local", "socket"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def front(kind: str, home: Home) -> AsyncIterator[Front]:
    async with reached(kind, home) as found:
        yield found
