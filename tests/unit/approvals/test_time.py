"""What waits too long is closed; the digest is the same in every process, at every hour."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.approvals import records
from engine.clients.local import LocalClient
from engine.contract import approvals
from engine.contract.approvals import ApprovalState
from engine.contract.digest import digest
from engine.contract.errors import AlreadyAnswered, StoreFailed
from engine.core.engine import Engine
from engine.home import Home
from tests.fakes.desk import approve, asked, deny, queue
from tests.fakes.house import opened, show
from tests.fakes.room import acts


async def test_what_waited_too_long_is_closed_by_itself_and_told(
    client: LocalClient, folder: Path
) -> None:
    async with asyncio.timeout(10), client.events() as events:
        number = await asked(client, folder, ttl_ms=100)
        event = await anext(events)
        while not isinstance(event, approvals.ApprovalChanged):
            event = await anext(events)
    assert (event.summary.id, event.summary.state) == (number, ApprovalState.EXPIRED)


async def test_an_expired_plan_cannot_be_answered(
    client: LocalClient, folder: Path, engine: Engine
) -> None:
    number = await asked(client, folder, ttl_ms=0)
    for answer in (approve(client, number), deny(client, number)):
        with pytest.raises(AlreadyAnswered, match="is expired"):
            await answer
    assert acts(folder) == []
    assert (await queue(client, "open")) == []
    metrics = engine.ground.metrics.registry
    assert metrics.get_sample_value("arcanum_approvals_total", {"state": "expired"}) == 1


async def test_what_expired_while_no_engine_ran_is_expired(home: Home, folder: Path) -> None:
    async with opened(home) as engine:
        number = await asked(LocalClient(engine), folder)
        await engine.ground.state.write(
            lambda tx: tx.execute("UPDATE approval SET expires_at = '2026-01-01T00:00:00+00:00'")
        )
    async with opened(home) as engine:
        with pytest.raises(AlreadyAnswered, match="is expired"):
            await approve(LocalClient(engine), number)
    assert acts(folder) == []


async def test_the_queue_can_be_read_where_nothing_can_be_written(
    client: LocalClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_args: object, **_columns: object) -> None:
        raise StoreFailed("The disk is full.", "Free some space.")

    with monkeypatch.context() as disk:
        disk.setattr(records, "change", full)
        number = await asked(client, folder, ttl_ms=0)
        assert [line.id for line in await queue(client)] == [number]
        with pytest.raises(StoreFailed):
            await approve(client, number)
    assert acts(folder) == []


async def test_an_expired_plan_may_be_made_again(client: LocalClient, folder: Path) -> None:
    number = await asked(client, folder, ttl_ms=0)
    again = await asked(client, folder, ttl_ms=0)
    assert again != number


async def test_the_queue_shows_what_waits_first_then_the_newest(
    client: LocalClient, folder: Path
) -> None:
    first = await asked(client, folder)
    second = await asked(client, folder, ttl_ms=1_000_000)
    third = await asked(client, folder, ttl_ms=2_000_000)
    await deny(client, second, "no")
    await deny(client, third, "no")
    assert [line.id for line in await queue(client)] == [first, third, second]
    assert [line.id for line in await queue(client, "open")] == [first]
    assert [line.id for line in await queue(client, "closed")] == [third, second]


# --- the digest -----------------------------------------------------------------------------------


async def test_the_digest_covers_request_payload_and_preconditions_and_no_clock(
    client: LocalClient, folder: Path
) -> None:
    number = await asked(client, folder)
    first = (await show(client, number)).digest
    await deny(client, number)
    again = await asked(client, folder)
    assert (await show(client, again)).digest == first  # The same plan at another time.
    await deny(client, again)
    seen = {first}
    (folder / "a.mkv").write_bytes(b"another size")  # A precondition.
    seen.add((await show(client, await asked(client, folder))).digest)
    seen.add((await show(client, await asked(client, folder, final=True))).digest)  # The request.
    (folder / "d.mkv").write_bytes(b"")  # The payload.
    seen.add((await show(client, await asked(client, folder))).digest)
    assert len(seen) == 4


def test_every_part_of_a_plan_changes_the_digest() -> None:
    base = digest({"a": 1}, {"items": ["x"]}, [{"size": 2}])
    others = [
        digest({"a": 2}, {"items": ["x"]}, [{"size": 2}]),
        digest({"a": 1}, {"items": ["y"]}, [{"size": 2}]),
        digest({"a": 1}, {"items": ["x"]}, [{"size": 3}]),
        digest({"a": 1}, {"items": ["x"]}, []),
        digest({"items": ["x"]}, {"a": 1}, [{"size": 2}]),
    ]
    assert len({base, *others}) == 6


PLAN: dict[str, Any] = {
    "preconditions": [{"n": 2**70}],
    "payload": {"y": [], "z": {}},
    "request": {"a": [1, -2, None, True], "b": "\udcff \u2028 ü"},
}
SCRIPT = """
from engine.contract.digest import digest
request = {"b": "\\udcff \\u2028 \\u00fc", "a": [1, -2, None, True]}
print(digest(request, {"z": {}, "y": []}, [{"n": 2**70}]))
"""


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_every_process_finds_the_same_digest(seed: str) -> None:
    """Whatever the order of its dictionaries and the seed of its hashes."""
    out = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONHASHSEED": seed, "LC_ALL": "C", "PYTHONPATH": str(Path.cwd())},
    )
    here = digest(PLAN["request"], PLAN["payload"], PLAN["preconditions"])
    assert out.stdout.strip() == here
    canonical = json.dumps(PLAN, sort_keys=True, separators=(",", ":"))
    assert here == hashlib.sha256(canonical.encode()).hexdigest()
