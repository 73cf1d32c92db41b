"""What ``remotes copy``, ``sync`` and ``fetch`` say while they plan, and what waits then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from arcanum_tui.cli.remotes import planning_line
from engine.contract.call import Call
from engine.contract.client import Done, Pending
from engine.contract.events import Event
from engine.contract.operation import Operation
from engine.contract.remotes import PlanProgressed
from tests.unit.cli.answers import Answers
from tests.unit.cli.conftest import Ran


def told(**values: Any) -> PlanProgressed:
    plain = {"library": "films", "remote": "nas:films", "files": 1204}
    return PlanProgressed.model_validate(plain | values)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            {"rate": 210.4, "note": "listing nas:films"},
            "films  listing nas:films  1,204 files  210 files/s",
        ),
        ({"total": 2408, "note": "comparing"}, "films  comparing  50 %  1,204 files"),
        ({"files": 0, "note": "listing nas:films"}, "films  listing nas:films  0 files"),
    ],
)
def test_how_far_a_plan_is_stands_in_one_line(values: dict[str, Any], line: str) -> None:
    assert planning_line(told(**values)) == line


class Planning(Answers):
    """An engine that tells of plans, and answers once that was heard."""

    def __init__(self, script: dict[str, Any], *events: Event) -> None:
        super().__init__(script)
        self._events = events
        self._heard = asyncio.Event()

    async def call(
        self, operation: Operation[Any, Any], request: Any, call: Call | None = None
    ) -> Done[Any] | Pending:
        await self._heard.wait()
        return await super().call(operation, request, call)

    @asynccontextmanager
    async def events(self, after: int | None = None) -> AsyncIterator[AsyncIterator[Event]]:
        async def each() -> AsyncIterator[Event]:
            for event in self._events:
                yield event
            self._heard.set()
            await asyncio.Event().wait()

        yield each()


@pytest.mark.parametrize("word", ["copy", "sync", "fetch"])
def test_a_plan_that_waits_is_all_that_json_says(arcanum: Callable[..., Ran], word: str) -> None:
    script = {f"remotes.{word}": Pending(44)}
    others = told(library="photos", note="not asked for")
    answers = Planning(script, others, told(note="listing nas:films"))
    ran = arcanum("remotes", word, "films", "nas:films", "--json", answers=answers)
    assert (ran.code, ran.json) == (0, {"pending": {"approval_id": 44}})
    assert answers.requests[0][1]["remote"] == "nas:films"
