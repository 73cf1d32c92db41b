"""The audit log: whoever edits, deletes, swaps or cuts is named by the first row that is bad."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from engine.contract import audit
from engine.contract.audit import AuditVerdict
from engine.contract.base import Empty
from engine.contract.call import Call
from engine.contract.client import Done
from engine.contract.errors import StoreFailed
from engine.core.audit import _hash
from engine.core.engine import Engine
from engine.home import Home
from tests.fakes import room as example
from tests.fakes.house import opened


async def write(engine: Engine, calls: int) -> None:
    """Two rows a call."""
    for number in range(calls):
        note = example.Note(name=f"note {number}", text="content")
        await engine.gate.call(example.NOTE, note, Call())


async def verified(engine: Engine, head: str | None = None) -> AuditVerdict:
    answer = await engine.gate.call(audit.VERIFY, audit.VerifyAudit(head=head), Call())
    assert isinstance(answer, Done)
    return answer.result


async def verdict(home: Home, head: str | None = None) -> AuditVerdict:
    async with opened(home) as engine:
        return await verified(engine, head)


async def log_of(home: Home, calls: int) -> str:
    """A log of so many calls; its head, as a user exports it."""
    async with opened(home) as engine:
        await write(engine, calls)
        return (await verified(engine)).head


@contextmanager
def tampering(home: Home) -> Iterator[sqlite3.Connection]:
    """What somebody with the file and without scruples can do."""
    with closing(sqlite3.connect(home.state_file, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("DROP TRIGGER audit_no_update")
        connection.execute("DROP TRIGGER audit_no_delete")
        yield connection


def rows(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    return connection.execute("SELECT * FROM audit ORDER BY seq").fetchall()


def rewrite(connection: sqlite3.Connection, change: Callable[[dict], dict]) -> None:
    """Writes the whole chain anew, with hashes that fit."""
    previous = "0" * 64
    for row in rows(connection):
        values = change(dict(row)) | {"previous": previous}
        values.pop("hash")
        previous = _hash(list(values.values()))
        names = ", ".join(f"{name} = ?" for name in values)
        connection.execute(
            f"UPDATE audit SET {names}, hash = ? WHERE seq = ?",
            (*values.values(), previous, values["seq"]),
        )


async def test_a_whole_log_is_whole_and_survives_a_restart(home: Home) -> None:
    head = await log_of(home, 3)
    found = await verdict(home, head)
    assert found == AuditVerdict(ok=True, entries=6, head=head)
    assert head.startswith("6:")
    assert (home.data / "audit.head").read_text().strip() == head


async def test_an_empty_log_is_whole(home: Home) -> None:
    assert await verdict(home) == AuditVerdict(ok=True, entries=0, head=f"0:{'0' * 64}")


async def test_more_rows_than_a_page_are_walked_to_the_end(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.core.audit._PAGE", 3)
    await log_of(home, 5)
    assert (await verdict(home)).entries == 10
    with tampering(home) as connection:
        connection.execute("UPDATE audit SET actor = 'operator:mallory' WHERE seq = 8")
    assert (await verdict(home)).bad_seq == 8


async def test_the_rows_cannot_be_edited_or_deleted_by_accident(home: Home) -> None:
    await log_of(home, 2)
    with closing(sqlite3.connect(home.state_file, isolation_level=None)) as connection:
        for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)


@pytest.mark.parametrize(
    "column",
    ["at", "machine", "call", "actor", "operation", "phase", "outcome", "details", "parent"],
)
async def test_an_edited_row_is_named(home: Home, column: str) -> None:
    await log_of(home, 3)
    with tampering(home) as connection:
        connection.execute(f"UPDATE audit SET {column} = 'edited' WHERE seq = 3")
    found = await verdict(home)
    assert (found.ok, found.bad_seq, found.entries) == (False, 3, 0)
    assert found.problem == "its content was changed"


async def test_an_edited_row_with_a_fitting_hash_is_betrayed_by_the_next(home: Home) -> None:
    await log_of(home, 3)
    with tampering(home) as connection:
        values = dict(rows(connection)[2]) | {"actor": "operator:mallory"}
        values.pop("hash")
        connection.execute(
            "UPDATE audit SET actor = ?, hash = ? WHERE seq = 3",
            ("operator:mallory", _hash(list(values.values()))),
        )
    found = await verdict(home)
    assert (found.bad_seq, found.problem) == (4, "it does not follow from the row before it")


@pytest.mark.parametrize("seq", [1, 3])
async def test_a_deleted_row_is_named(home: Home, seq: int) -> None:
    await log_of(home, 3)
    with tampering(home) as connection:
        connection.execute("DELETE FROM audit WHERE seq = ?", (seq,))
    found = await verdict(home)
    assert (found.ok, found.bad_seq) == (False, seq)
    assert found.problem == f"row {seq} is missing"


async def test_a_deleted_row_is_named_where_the_others_moved_up(home: Home) -> None:
    await log_of(home, 3)
    with tampering(home) as connection:
        connection.execute("DELETE FROM audit WHERE seq = 3")
        connection.execute("UPDATE audit SET seq = seq - 1 WHERE seq > 3")
    assert (await verdict(home)).bad_seq == 3


async def test_swapped_rows_are_named(home: Home) -> None:
    await log_of(home, 3)
    with tampering(home) as connection:
        connection.execute("UPDATE audit SET seq = 99 WHERE seq = 2")
        connection.execute("UPDATE audit SET seq = 2 WHERE seq = 5")
        connection.execute("UPDATE audit SET seq = 5 WHERE seq = 99")
    assert (await verdict(home)).bad_seq == 2


@pytest.mark.parametrize("seq", [0, -5])
async def test_a_row_before_the_first_is_named(home: Home, seq: int) -> None:
    await log_of(home, 2)
    with tampering(home) as connection:
        connection.execute(
            "INSERT INTO audit SELECT ?, at, machine, call, parent, actor, on_behalf_of,"
            " operation, phase, outcome, details, previous, hash FROM audit WHERE seq = 1",
            (seq,),
        )
    found = await verdict(home)
    assert (found.ok, found.bad_seq) == (False, seq)


async def test_a_tail_that_was_cut_off_is_noticed(home: Home) -> None:
    await log_of(home, 3)
    with tampering(home) as connection:
        connection.execute("DELETE FROM audit WHERE seq > 4")
    found = await verdict(home)
    assert (found.ok, found.bad_seq) == (False, 5)
    assert found.problem == "rows 5 to 6 are missing at the end"


async def test_a_tail_that_was_cut_off_is_noticed_by_the_head_that_was_kept(home: Home) -> None:
    """Also where the highest number, which SQLite remembers, was turned back."""
    await log_of(home, 3)
    with tampering(home) as connection:
        connection.execute("DELETE FROM audit WHERE seq > 4")
        connection.execute("UPDATE sqlite_sequence SET seq = 4 WHERE name = 'audit'")
    assert (await verdict(home)).bad_seq == 5


async def test_a_tail_that_was_cut_off_is_noticed_by_an_exported_head_alone(home: Home) -> None:
    head = await log_of(home, 3)
    (home.data / "audit.head").unlink()
    with tampering(home) as connection:
        connection.execute("DELETE FROM audit WHERE seq > 4")
        connection.execute("UPDATE sqlite_sequence SET seq = 4 WHERE name = 'audit'")
    assert (await verdict(home)).ok  # Nothing here can know it.
    found = await verdict(home, head)
    assert (found.ok, found.bad_seq) == (False, 5)


async def test_what_is_written_after_a_cut_does_not_hide_it(home: Home) -> None:
    await log_of(home, 3)
    with tampering(home) as connection:
        connection.execute("DELETE FROM audit WHERE seq > 4")
    async with opened(home) as engine:
        await write(engine, 2)
        found = await verified(engine)
    assert (found.ok, found.bad_seq) == (False, 5)
    assert found.problem == "row 5 is missing"


async def test_a_chain_that_was_written_anew_is_noticed_by_an_exported_head(home: Home) -> None:
    """The head beside the database was forged with it; the exported one is believed, too."""
    head = await log_of(home, 3)
    with tampering(home) as connection:
        rewrite(connection, lambda row: row | {"actor": "operator:mallory"})
        forged = rows(connection)[-1]["hash"]
    (home.data / "audit.head").write_text(f"6:{forged}\n")
    assert (await verdict(home)).ok
    found = await verdict(home, head)
    assert (found.ok, found.bad_seq) == (False, 6)
    assert found.problem == "it is not the row of the head that was kept"


@pytest.mark.parametrize("text", ["garbage", "6:short", "x:" + "0" * 64, "\udcff", "6:" + "g" * 64])
async def test_a_kept_head_that_is_none_is_one_clear_error(home: Home, text: str) -> None:
    await log_of(home, 1)
    (home.data / "audit.head").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(StoreFailed, match="is not the head of the audit log"):
        await verdict(home)


async def test_rows_written_while_it_is_verified_are_no_tail_that_is_missing(home: Home) -> None:
    async with opened(home) as engine:
        await write(engine, 5)
        writing = asyncio.create_task(write(engine, 40))
        while not writing.done():
            assert (await verified(engine)).ok
        await writing
        assert (await verified(engine)).entries == 90


async def test_heads_of_many_writers_at_once_end_with_the_last(home: Home) -> None:
    async with opened(home) as engine:
        await asyncio.gather(*(write(engine, 5) for _ in range(10)))
        found = await verified(engine)
        assert found.entries == 100
        assert (home.data / "audit.head").read_text().strip() == found.head
    assert not (home.data / "audit.new").exists()


async def test_an_older_head_never_takes_the_place_of_a_newer(home: Home) -> None:
    """Two threads may come to the file in another order than their rows were written."""
    async with opened(home) as engine:
        log = engine.gate._audit
        log._keep_head(7, "a" * 64)
        log._keep_head(6, "b" * 64)
    assert (home.data / "audit.head").read_text() == f"7:{'a' * 64}\n"


async def test_a_head_that_cannot_be_kept_stops_nobody(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(home) as engine:
        with patch.object(Path, "replace", side_effect=OSError(28, "No space left on device")):
            await write(engine, 1)
        assert "audit.head could not be written" in caplog.text
        assert (await verified(engine)).ok


async def test_a_page_shows_the_newest_first_and_one_operation_alone(home: Home) -> None:
    async with opened(home) as engine:
        await write(engine, 2)
        await engine.gate.call(example.OFTEN, Empty(), Call())  # A read leaves no row.
        for operation, expected in (("example.note", [4, 3, 2]), ("other", [])):
            request = audit.ShowAudit(limit=3, operation=operation)
            answer = await engine.gate.call(audit.SHOW, request, Call())
            assert isinstance(answer, Done)
            assert [row.seq for row in answer.result.entries] == expected


@pytest.mark.parametrize(("column", "value"), [("details", "no json"), ("phase", "meanwhile")])
async def test_a_row_that_was_made_unreadable_is_one_clear_error(
    home: Home, column: str, value: str
) -> None:
    await log_of(home, 1)
    with tampering(home) as connection:
        connection.execute(f"UPDATE audit SET {column} = ? WHERE seq = 2", (value,))
    async with opened(home) as engine:
        with pytest.raises(StoreFailed, match="Row 2 of the audit log") as caught:
            await engine.gate.call(audit.SHOW, audit.ShowAudit(), Call())
        assert "audit verify" in caught.value.hint
        assert (await verified(engine)).bad_seq == 2


async def test_details_are_small_and_printable(home: Home) -> None:
    async with opened(home) as engine:
        await engine.ground.use(type(engine.gate._audit)).intent(
            "x", Call(), {"long": "y" * 5000, "control": "\x1b[2J", "count": 7, "none": None}
        )
        row = (await engine.ground.state.read("SELECT details FROM audit"))[0]
    details = json.loads(row["details"])
    assert len(details["long"]) == 200
    assert details["control"] == r"\x1b[2J"
    assert (details["count"], details["none"]) == (7, None)
