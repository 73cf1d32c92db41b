"""Opens the control center over the fake engine: ``python -m tests.fakes.demo [empty]``."""

from __future__ import annotations

import asyncio
import sys

from arcanum_tui.app import ArcanumApp
from engine.contract.client import EngineClient
from tests.fakes.fake_world import World


async def _connect() -> EngineClient:
    from tests.fakes.fake_client import FakeEngine
    from tests.fakes.sample import lived_in

    await asyncio.sleep(0.2)
    return await FakeEngine(World() if "empty" in sys.argv else lived_in()).connect()


if __name__ == "__main__":
    ArcanumApp(_connect).run()
