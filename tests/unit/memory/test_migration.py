"""A database from before there were branches keeps every turn, in order, under its name."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from engine.contract.memory import Turn
from engine.home import Home
from engine.store import schema
from tests.unit.memory.conftest import house_at

OLD = (
    ("a", "My bike is red.", "Noted.", "done"),
    ("b", "Hello.", "", "failed"),
    ("a", "It squeaks.", "Oil", "stopped"),
    ("ä b", "What\x00 is it?", "", "open"),
    ("a", "Thank you.", "", "open"),
)


@pytest.fixture
def old_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose database was made before migration 6, with rows in it."""
    every = schema.migrations
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda kind: [m for m in every(kind) if m.version < 6])
        home.prepare()
        schema.prepare(home.state_file, "state")
    with closing(sqlite3.connect(home.state_file)) as connection:
        connection.executemany(
            "INSERT INTO turn (session, question, answer, status, note, model, asked_at)"
            " VALUES (?, ?, ?, ?, 'a note', 'm', '2026-01-01T00:00:00+00:00')",
            OLD,
        )
        connection.commit()
    return home


def as_it_was(turn: Turn) -> tuple[str, str, str, str]:
    return (turn.session, turn.question, turn.answer, turn.status)


async def test_every_turn_of_an_old_database_is_there_in_its_order(old_home: Home) -> None:
    async with house_at(old_home) as house:
        assert await house.names() == ["a", "ä b", "b"]
        found = {turn.id: turn for name in ("a", "b", "ä b") for turn in await house.turns(name)}
        kept = [as_it_was(found[number]) for number in sorted(found)]
        assert kept == [(*row[:3], row[3].replace("open", "interrupted")) for row in OLD]
        assert [(t.id, t.parent_id) for t in await house.turns("a")] == [(1, None), (3, 1), (5, 3)]
        assert (found[1].note, found[1].model) == ("a note", "m")

        assert await house.found("a", "bikes") == ["My bike is red."]
        new = await house.say("a", "My bike is blue.")
        assert (new.id, new.parent_id) == (6, 5)
        assert await house.found("a", "blue") == ["My bike is blue."]
        path = await house.log.path(new, 6, 12)
        assert [turn.id for turn in path] == [1, 3]  # Those with an answer, whole or in part.
    (backup,) = (old_home.data / "backups").iterdir()
    assert "schema5" in backup.name
