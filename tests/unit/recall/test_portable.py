"""What was exported is taken in elsewhere as it was, once, and from no file more than it holds."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract import jobs, memory, recall
from engine.contract.base import PathRef
from engine.contract.errors import NotFound
from engine.contract.jobs import JobState
from engine.contract.memories import MAX_TEXT, Record
from engine.home import Home
from engine.recall import book
from tests.unit.recall.life import Life, opened, written

AT = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)


def record(number: int = 1, **fields: Any) -> Record:
    told = {"uid": f"{number:032x}", "namespace": "main", "kind": "note", "text": "Hello."}
    return Record.model_validate({**told, "at": AT, "added_at": AT, **fields})


def as_notes(records: list[Record]) -> list[Record]:
    """As they are in another home: what was said or read elsewhere is a note there."""
    return sorted((r.model_copy(update={"kind": "note"}) for r in records), key=lambda r: r.uid)


async def test_an_export_makes_the_same_memories_in_an_empty_home(
    life: Life, other: Home, tmp_path: Path
) -> None:
    first, asked = await life.say("bikes", "My bike is \x1b[2Jred.\nIt squeaks. \u202e")
    note = await life.note("Ann's birthday is on May 4.", "people", speaker="Ann", ref="1", at=AT)
    await life.edit(note, "Ann's birthday is on May 5.")
    same = await life.note("ann’s birthday: may 5", "people", pinned=True, importance=0.25)
    await life.replace(same, note, "merged")
    await life.change("UPDATE memory SET uses = 3, used_at = '2026-02-01T00:00:00+00:00'")
    await life.change("UPDATE memory SET importance = 1 WHERE id = ?", asked)
    archived = await life.note("Long ago.", "people", importance=0)
    assert (await life.archive(days=0)).archived == 1
    assert (await life.states())[archived] == "archived"
    records = await life.exported()
    assert [r.text for r in records] == list((await life.texts()).values())
    assert (first.question, asked) == (records[0].text, 1)
    assert {r.namespace for r in await life.exported("people")} == {"people"}

    file = written(tmp_path / "all.jsonl", records)
    async with opened(other) as there:
        done = await there.take_in(file)
        assert (done.lines, done.added, done.skipped, done.refused) == (5, 5, 0, 0)
        live = [r.model_copy(update={"state": "live"}) if r.state == "archived" else r
                for r in records]  # fmt: skip
        assert as_notes(await there.exported()) == as_notes(live)
        again = await there.take_in(file)
        assert (again.added, again.skipped, again.refused) == (0, 5, 0)
        assert as_notes(await there.exported()) == as_notes(live)
        assert await there.events() == ["imported"]
    back = await life.take_in(file)
    assert (back.added, back.skipped) == (0, 5)
    assert await life.exported() == records


texts = st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300
) | st.sampled_from(
    [
        "\x00",
        "a\x00b",
        "\u202eשלום",
        "\u2028\u2029",
        "\r\n\t",
        "🙂" * 9,
        "x" * MAX_TEXT,
        "é" * MAX_TEXT,
    ]
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=6))
def test_any_text_is_carried_whole(home: Home, said: list[tuple[str, str]]) -> None:
    async def carried() -> None:
        with tempfile.TemporaryDirectory(dir=home.config_file.parent.parent) as place:
            folder = Path(place)
            mine, theirs = (
                Home(folder / "c", folder / name, folder / f"{name}-run") for name in ("a", "b")
            )
            async with opened(mine) as life:
                for text, source in said:
                    # No note is blank; what is older, or was imported, may be.
                    number = await life.note("Hello.", source=source[:200], speaker=text[:50])
                    await life.change("UPDATE memory SET text = ? WHERE id = ?", text, number)
                records = await life.exported()
                assert [r.text for r in records] == [text for text, _source in said]
                await life.archive(days=0)
                assert list((await life.texts()).values()) == [text for text, _source in said]
            async with opened(theirs) as life:
                done = await life.take_in(written(folder / "all.jsonl", records))
                assert (done.added, done.refused) == (len(said), 0)
                assert await life.exported() == records

    asyncio.run(carried())


async def test_a_line_that_is_no_record_is_told_and_the_others_are_taken_in(
    life: Life, tmp_path: Path
) -> None:
    good = record().model_dump(mode="json")
    bad: list[tuple[bytes, str]] = [
        (b"not json", "line 1: Invalid JSON"),
        (b"\xff\xfe\x00", "Invalid JSON"),
        (b"[]", "Input should be an object"),
        (b"[" * 100_000, "Invalid JSON"),
        (json.dumps(good | {"secret words": 1}).encode(), "a field that no record has"),
        (json.dumps(good | {"text": ""}).encode(), "text: "),
        (json.dumps(good | {"text": "x" * (MAX_TEXT + 1)}).encode(), "text: "),
        (json.dumps(good | {"text": "\ud800"}).encode(), "Invalid JSON"),
        (json.dumps(good | {"uid": "../../etc/passwd"}).encode(), "uid: "),
        (json.dumps(good | {"namespace": "a/b"}).encode(), "namespace: "),
        (json.dumps(good | {"namespace": "\x1b[2J"}).encode(), "namespace: "),
        (json.dumps(good | {"namespace": ""}).encode(), "namespace: "),
        (json.dumps(good | {"at": "yesterday"}).encode(), "at: it should be a date or a time"),
        (json.dumps(good | {"at": "0001-01-01T00:00:00+14:00"}).encode(), "line 14"),
        (json.dumps(good | {"at": "9999-12-31T23:59:59-14:00"}).encode(), "line 15"),
        (json.dumps(good | {"uses": 10**400}).encode(), "uses"),
        (json.dumps(good | {"uses": 2**63}).encode(), "uses"),
        (json.dumps(good | {"importance": float("nan")}).encode(), "line 18"),
        (b'{"uid": "' + b"a" * 3_000_000 + b'"}', "longer than 1,048,576 bytes"),
        (b"{}", "Field required"),
        (b"{}", "Field required"),
        (b"\x00" * 100, "Invalid JSON"),
        (json.dumps(good | {"at": "1767225600"}).encode(), "at: "),
    ]
    file = tmp_path / "hostile.jsonl"
    file.write_bytes(
        b"\n".join([line for line, _why in bad] + [b"", b"   ", json.dumps(good).encode()])
    )
    done = await life.take_in(file)
    assert (done.lines, done.added, done.refused) == (len(bad) + 1, 1, len(bad))
    assert len(done.problems) == 20
    for number, ((_line, why), told) in enumerate(zip(bad, done.problems, strict=False), 1):
        assert told.startswith(f"line {number}: ")
        assert why in told
    assert "secret" not in str(done.problems)
    assert list((await life.texts()).values()) == ["Hello."]


@pytest.mark.parametrize("field", ["at", "added_at", "used_at"])
@pytest.mark.parametrize("value", [2027, 1767225600.5, "2027", "20270504"])
async def test_a_number_in_a_line_is_no_time(
    life: Life, tmp_path: Path, field: str, value: Any
) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(json.dumps(record().model_dump(mode="json") | {field: value}), "utf-8")
    done = await life.take_in(file)
    if value == "2027":
        sql = f"SELECT {field} AS at FROM memory"
        [row] = await life.rows(sql)
        assert (
            datetime.fromisoformat(row["at"]) == datetime.fromisoformat("2027-01-01").astimezone()
        )
    else:
        [problem] = done.problems
        assert problem.startswith(f"line 1: {field}: it should be a date or a time")


async def test_a_mark_of_utf8_at_the_beginning_and_no_end_of_line_are_fine(
    life: Life, tmp_path: Path
) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + record().model_dump_json().encode())
    assert (await life.take_in(file)).added == 1
    file.write_bytes(b"")
    assert (await life.take_in(file)).lines == 0


async def test_what_is_no_file_is_refused(life: Life, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, code in ((tmp_path / "none", "not_found"), (tmp_path, "invalid"), (pipe, "invalid")):
        request = recall.Import(path=PathRef.of(path))
        job = await life.job(recall.IMPORT, request)
        assert job.state is JobState.FAILED
        assert job.error is not None
        assert job.error.code == code
        assert (path == tmp_path) == ("it is a folder" in job.error.message)


async def test_everything_can_be_put_into_one_namespace(life: Life, tmp_path: Path) -> None:
    file = written(tmp_path / "x", [record(1, namespace="a"), record(2, namespace="b")])
    await life.take_in(file, "c")
    assert {r.namespace for r in await life.exported()} == {"c"}


async def test_what_is_there_under_its_name_is_not_added_again(life: Life, tmp_path: Path) -> None:
    await life.note("Hello.", source="diary", ref="7")
    file = written(tmp_path / "x", [record(1, source="diary", ref="7"), record(2, source="diary")])
    done = await life.take_in(file)
    assert (done.added, done.skipped) == (1, 1)


async def test_a_deleted_conversation_is_neither_exported_nor_filled(
    life: Life, tmp_path: Path
) -> None:
    await life.say("a", "One.")
    await life.note("Two.", "a")
    await life.note("Three.", "b")
    file = written(tmp_path / "x", [record(1, namespace="a"), record(2, namespace="b")])
    await life.change("UPDATE session SET deleted_at = '2026-01-01T00:00:00+00:00'")
    assert [r.text for r in await life.exported()] == ["Three."]
    with pytest.raises(NotFound, match="was deleted"):
        await life.exported("a")
    done = await life.take_in(file)
    assert (done.added, done.refused) == (1, 1)
    assert "line 1: The conversation 'a' was deleted" in done.problems[0]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_what_took_the_place_of_what_is_known_in_any_order(
    life: Life, tmp_path: Path, order: tuple[int, ...]
) -> None:
    chain = [
        record(1, text="one", state="replaced", replaced_by=f"{2:032x}"),
        record(2, text="two", state="merged", replaced_by=f"{3:032x}"),
        record(3, text="three"),
    ]
    await life.take_in(written(tmp_path / "x", [chain[n] for n in order]))
    assert sorted(await life.exported(), key=lambda r: r.uid) == chain


async def test_what_points_to_nothing_stands_for_itself(life: Life, tmp_path: Path) -> None:
    lone = [
        record(1, state="replaced", replaced_by=f"{9:032x}"),
        record(2, state="merged"),
        record(3, state="merged", replaced_by=f"{3:032x}"),
        record(4, state="archived"),
        record(5, replaced_by=f"{1:032x}"),
    ]
    await life.take_in(written(tmp_path / "x", lone))
    assert set((await life.states()).values()) == {"live"}
    assert {r.replaced_by for r in await life.exported()} == {""}


async def test_nothing_points_into_another_namespace(life: Life, tmp_path: Path) -> None:
    there = await life.note("Seen by everybody.", "public")
    [public] = await life.exported()
    lines = [
        record(1, namespace="secret", text="A secret.", state="replaced", replaced_by=public.uid),
        record(2, namespace="secret", state="merged", replaced_by=f"{3:032x}"),
        record(3, namespace="public"),
    ]
    await life.take_in(written(tmp_path / "x", lines))
    assert set((await life.states()).values()) == {"live"}
    # An older version made such links: they are followed nowhere.
    await life.replace(there + 1, there, "replaced")
    assert {r.replaced_by for r in await life.exported()} == {""}
    assert await book.replaced(life.state, [there]) == {}
    assert book.memory(await book.row_of(life.state, there + 1)).replaced_by is None


@pytest.mark.parametrize("length", [2, 3, 400])
async def test_what_was_replaced_all_round_has_one_that_is_found(
    life: Life, tmp_path: Path, length: int
) -> None:
    circle = [
        record(n + 1, state="replaced", replaced_by=f"{(n + 1) % length + 1:032x}")
        for n in range(length)
    ]
    circle.append(record(length + 1, state="merged", replaced_by=f"{1:032x}"))
    await life.take_in(written(tmp_path / "x", circle))
    await every_end_is_live(life)
    states = list((await life.states()).values())
    assert states.count("live") == 1


async def every_end_is_live(life: Life) -> None:
    """Whatever is hidden leads to something of its namespace that is not."""
    rows = {r["id"]: r for r in await life.rows("SELECT * FROM memory")}
    for row in rows.values():
        at, steps = row, 0
        while at["replaced_by"] is not None:
            at, steps = rows[at["replaced_by"]], steps + 1
            assert steps <= len(rows)
        assert (at["state"], at["namespace_id"]) == ("live", row["namespace_id"])


async def test_a_chain_that_nobody_would_follow_ends_in_something_found(
    life: Life, tmp_path: Path
) -> None:
    chain = [record(n, state="replaced", replaced_by=f"{n + 1:032x}") for n in range(1, 2_500)]
    await life.take_in(written(tmp_path / "x", [record(2_500), *reversed(chain)]))
    await every_end_is_live(life)
    assert set((await life.states()).values()) == {"live", "replaced"}


async def test_what_an_import_that_was_cut_short_left_hides_nothing(
    life: Life, tmp_path: Path
) -> None:
    await life.note("Left behind.")
    [left] = await life.exported()
    await life.change("UPDATE memory SET state = 'replaced'")
    file = written(tmp_path / "x", [record(1, state="replaced", replaced_by=left.uid)])
    await life.take_in(file)
    await every_end_is_live(life)


async def test_what_a_person_brought_back_stays_after_it_was_carried_elsewhere(
    life: Life, other: Home, tmp_path: Path
) -> None:
    old, new = await life.note("My bike is red."), await life.note("My bike is green.")
    await life.replace(old, new, "replaced")
    await life.restore(old)
    records = await life.exported()
    assert [r.kept for r in records] == [True, False]
    async with opened(other) as there:
        await there.take_in(written(tmp_path / "x", records))
        assert [r["kept"] for r in await there.rows("SELECT kept FROM memory ORDER BY id")] == [
            1,
            0,
        ]


async def test_what_was_forgotten_is_not_brought_back(life: Life, tmp_path: Path) -> None:
    number = await life.note("A secret.")
    await life.edit(number, "Another secret.")
    await life.note("Nothing special.")
    records = await life.exported()
    older = record(1, text="The first secret.", state="replaced", replaced_by=records[0].uid)
    await life.forget(number)
    done = await life.take_in(written(tmp_path / "x", [*records, older]))
    assert (done.added, done.skipped) == (0, 4)
    assert [r.text for r in await life.exported()] == ["Nothing special."]


async def test_an_import_that_was_cancelled_is_made_again(life: Life, tmp_path: Path) -> None:
    records = [
        record(n, text=f"Number {n}.", **(
            {"state": "merged", "replaced_by": f"{6_001 - n:032x}"} if n <= 100 else {}
        ))
        for n in range(1, 6_001)
    ]  # fmt: skip
    file = written(tmp_path / "x", records)
    request = recall.Import(path=PathRef.of(file))
    async with life.client.events() as events:
        started = await life.do(recall.IMPORT, request)
        async for event in events:
            if event.kind == "recall.memory_changed":
                break
    await life.do(jobs.PAUSE, jobs.JobId(id=started.job_id))
    job = await life.do(jobs.CANCEL, jobs.JobId(id=started.job_id))
    assert job.state is JobState.CANCELLED
    had = len(await life.states())
    assert 0 < had < 6_000
    assert had % 1_000 == 0  # Whole transactions.
    done = await life.take_in(file)
    assert (done.added, done.skipped) == (6_000 - had, had)
    assert sorted(await life.exported(), key=lambda r: r.uid) == records


async def test_the_loop_is_free_while_an_export_is_taken_in(life: Life, tmp_path: Path) -> None:
    words = "what was said on a day in spring about a red bike and its squeaking brakes " * 3
    records = [record(n, text=f"{words}{n}") for n in range(1, 5_001)]
    file = written(tmp_path / "x", records)
    slept: list[float] = []

    async def beat() -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.002)
            slept.append(loop.time() - before)

    beating = asyncio.create_task(beat())
    done = await life.take_in(file)
    beating.cancel()
    assert done.added == 5_000
    assert sorted(slept)[len(slept) * 9 // 10] < 0.03  # Leaves room for a busy machine.
    assert memory.MAX_QUESTION <= MAX_TEXT
