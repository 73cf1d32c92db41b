"""Settings made through operations: small JSON values by name."""

from __future__ import annotations

import json
from typing import Any

from engine.store.database import Database
from engine.store.writer import Transaction


class StoredSettings:
    """Implements the port ``Settings``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> Any | None:
        rows = await self._database.read("SELECT value FROM setting WHERE name = ?", (name,))
        return json.loads(rows[0]["value"]) if rows else None

    async def put(self, name: str, value: Any) -> None:
        async def work(tx: Transaction) -> None:
            await tx.execute(
                "INSERT INTO setting (name, value) VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, json.dumps(value, ensure_ascii=False)),
            )

        await self._database.write(work)
