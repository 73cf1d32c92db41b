"""The index over a truth: what is found, by whom, and that it can always be made again."""

from __future__ import annotations

import shutil
import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from engine.recall.index import finding, parts
from engine.recall.index import vectors as vectors_module
from tests.unit.recall.index_house import MODEL, IndexHouse, packed, vector

TEXTS = (
    "My bike is turquoise.",
    "I live in Lisbon near the river.",
    "The backup runs every Tuesday at three.",
    "My sister Marta plays the cello.",
    "We went hiking in the Alps last summer.",
    "The router is called Falcon.",
)


def told(truth: IndexHouse, *texts: str, **more: Any) -> list[int]:
    return [truth.note(text, **more) for text in texts]


def test_it_is_found_by_other_words_and_by_its_meaning(truth: IndexHouse) -> None:
    ids = told(truth, *TEXTS)
    with truth.work() as work:
        truth.settle(work)
        assert truth.search(work, "which colour have the bikes")[0] == ids[0]
        assert truth.search(work, "cello")[0] == ids[3]
        assert truth.search(work, "qqqq") == []


def test_what_was_said_a_moment_ago_is_found_at_once(truth: IndexHouse) -> None:
    with truth.work() as work:
        truth.settle(work)
        number = truth.note("My bike is turquoise.")
        assert truth.search(work, "bike") == [number]


def test_half_a_word_is_enough_while_somebody_types(truth: IndexHouse) -> None:
    ids = told(truth, *TEXTS)
    with truth.work() as work:
        truth.settle(work)
        assert truth.search(work, "turq", typing=True)[0] == ids[0]
        assert truth.search(work, "turq", typing=False) == []


def test_changes_are_followed(truth: IndexHouse) -> None:
    ids = told(truth, *TEXTS)
    with truth.work() as work:
        truth.settle(work)
        truth.change(ids[0], text="My boat is green.")
        truth.forget(ids[3])
        truth.change(ids[5], state="merged", replaced_by=ids[1])
        truth.settle(work)
        assert truth.search(work, "boat")[0] == ids[0]
        assert ids[0] not in truth.search(work, "turquoise")
        assert ids[3] not in truth.search(work, "cello")
        assert ids[5] not in truth.search(work, "falcon")
        truth.change(ids[5], state="live", replaced_by=None)
        assert truth.search(work, "falcon")[0] == ids[5]


def test_an_archived_memory_is_still_found(truth: IndexHouse) -> None:
    (number,) = told(truth, TEXTS[0])
    with truth.work() as work:
        truth.settle(work)
        truth.change(number, state="archived", text="")
        truth.settle(work)
        assert truth.search(work, "turquoise") == [number]


def test_what_is_pinned_is_seen_from_everywhere_until_it_is_not(truth: IndexHouse) -> None:
    number = truth.note(TEXTS[0], "a")
    truth.note("Something else entirely.", "b")
    with truth.work() as work:
        truth.settle(work)
        assert truth.search(work, "bike", "b") == []
        truth.change(number, pinned=1)
        truth.settle(work)
        assert truth.search(work, "bike", "b") == [number]
        assert truth.search(work, "bike", "a") == [number]
        truth.change(number, pinned=0)
        truth.settle(work)
        assert truth.search(work, "bike", "b") == []


# --- it can always be made again ----------------------------------------------------------------


def everything(truth: IndexHouse, work: Any) -> dict[str, list[Any]]:
    return {text: truth.found(work, text)["hits"] for text in TEXTS}


def test_the_same_is_found_after_a_restart(truth: IndexHouse) -> None:
    told(truth, *TEXTS)
    with truth.work() as work:
        truth.settle(work)
        before = everything(truth, work)
    with truth.work() as work:
        assert not work.go_on()
        assert everything(truth, work) == before
        assert work._vectors is not None
        assert work._vectors.remade == []


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in range(0, len(data), 97):
        data[place] ^= 0x55
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["flip", "cut", "gone", "older", "note"])
def test_damaged_vectors_are_made_anew(truth: IndexHouse, how: str) -> None:
    told(truth, *TEXTS)
    with truth.work() as work:
        truth.settle(work)
        before = everything(truth, work)
    vectors = truth.folder / "recall" / "vectors"
    (path,) = vectors.glob("*.hnsw")
    older = path.read_bytes()
    if how == "flip":
        flip(path)
    elif how == "cut":
        path.write_bytes(older[: len(older) // 2])
    elif how == "gone":
        shutil.rmtree(vectors)
    elif how == "note":
        next(vectors.glob("*.json")).write_text("{")
    else:
        with truth.work() as work:
            number = truth.note("One more about bikes.")
            truth.settle(work)
            truth.forget(number)
            truth.settle(work)
        for newer in vectors.glob("*.hnsw"):
            newer.write_bytes(older)
    with truth.work() as work:
        truth.settle(work)
        assert everything(truth, work) == before


@pytest.mark.parametrize("how", ["flip", "cut", "text", "gone", "other", "version"])
def test_a_damaged_index_is_made_anew(truth: IndexHouse, how: str) -> None:
    told(truth, *TEXTS)
    with truth.work() as work:
        truth.settle(work)
        before = everything(truth, work)
    path = truth.folder / "recall" / "recall.db"
    data = path.read_bytes()
    if how == "flip":
        path.write_bytes(data[:16] + bytes(byte ^ 0x55 for byte in data[16:]))
    elif how == "cut":
        path.write_bytes(data[: len(data) // 3])
    elif how == "text":
        path.write_text("not a database")
    elif how == "gone":
        path.unlink()
    else:
        with sqlite3.connect(path) as db:
            if how == "version":
                db.execute("PRAGMA user_version = 99")
            else:
                db.execute("UPDATE meta SET value = 'another' WHERE name = 'truth'")
        db.close()
    with truth.work() as work:
        truth.settle(work)
        assert everything(truth, work) == before


def test_an_older_copy_of_the_truth_is_noticed(truth: IndexHouse, tmp_path: Path) -> None:
    told(truth, *TEXTS[:3])
    copy = tmp_path / "copy.db"
    truth.db.execute("VACUUM INTO ?", (str(copy),))
    told(truth, *TEXTS[3:])
    with truth.work() as work:
        truth.settle(work)
    truth.db.close()
    for path in truth.folder.glob("arcanum.db*"):
        path.unlink()
    shutil.copy(copy, truth.path)
    truth.db = sqlite3.connect(truth.path, isolation_level=None)
    told(truth, "Another history goes on here.", "And on.", "And on and on.", "Until it is longer.")
    with truth.work() as work:
        truth.settle(work)
        assert truth.search(work, "cello") == []
        assert truth.search(work, "another history")[0] == 4


# --- vectors ------------------------------------------------------------------------------------


def test_another_model_embeds_anew_while_words_still_find(truth: IndexHouse) -> None:
    ids = told(truth, *TEXTS)
    with truth.work() as work:
        truth.settle(work)
        work.model({"model": "another", "dimensions": 16})
        assert work.stats({})["to_embed"] == len(ids)
        assert truth.search(work, "turquoise bike", model="another")[0] == ids[0]
        rows = work.texts({"most": 3})["rows"]
        assert [number for number, _ in rows] == ids[:2:-1]  # the newest first
        found = [vector(text, 16) for _, text in rows]
        numbers = [number for number, _ in rows]
        work.vectors({"model": "another", "ids": numbers, "data": packed(found)})
        assert work.stats({})["vectors"] == 3
        again = truth.found(
            work, "falcon router", model="another", vector=packed([vector("falcon router", 16)])
        )
        assert again["hits"][0][0] == ids[5]


@pytest.mark.parametrize("data", [b"", b"abc", bytes(4), b"\xff" * 256])
def test_a_query_whose_vector_is_none_is_answered_by_words(truth: IndexHouse, data: bytes) -> None:
    import base64

    ids = told(truth, *TEXTS)
    with truth.work() as work:
        truth.settle(work)
        found = truth.found(work, "cello", vector=base64.b64encode(data).decode(), model=MODEL)
        assert found["hits"][0][0] == ids[3]
        assert not found["dense"]


def test_vectors_of_what_is_gone_are_passed_over(truth: IndexHouse) -> None:
    ids = told(truth, *TEXTS)
    with truth.work() as work:
        while work.go_on():
            pass
        rows = work.texts({"most": 64})["rows"]
        truth.forget(ids[0])
        work.go_on()
        numbers = [number for number, _ in rows]
        found = [vector(text) for _, text in rows]
        assert work.vectors({"model": MODEL, "ids": numbers, "data": packed(found)})["taken"] == 5


# --- time, speakers, filters --------------------------------------------------------------------

DAY = 86_400.0


def test_who_is_named_is_asked_about(truth: IndexHouse) -> None:
    truth.note("I adopted a dog.", speaker="Ann")
    bob = truth.note("I adopted a dog.", speaker="Bob")
    with truth.work() as work:
        truth.settle(work)
        assert truth.search(work, "Did Bob adopt a dog?")[0] == bob


def test_what_was_told_comes_before_what_was_asked(truth: IndexHouse) -> None:
    fact = truth.note("My bike is turquoise.", kind="turn")
    truth.note("What colour is my bike?", kind="turn")
    with truth.work() as work:
        truth.settle(work)
        assert truth.search(work, "what colour is my bike")[0] == fact


def test_filters_leave_what_they_say(truth: IndexHouse) -> None:
    for number in range(60):
        truth.note(
            f"Bike ride number {number}.",
            at=number * DAY,
            speaker="Ann" if number % 2 else "Bob",
            kind="document" if number % 3 == 0 else "note",
        )
    with truth.work() as work:
        truth.settle(work)
        found = truth.search(work, "bike", since=10 * DAY, until=20 * DAY, speaker="Ann", limit=50)
        assert sorted(found) == [12, 14, 16, 18, 20]
        assert len(truth.search(work, "bike", kind="document", limit=50)) == 20
        assert truth.search(work, "bike", since=1e12) == []


def test_an_answer_is_found_behind_its_question(truth: IndexHouse) -> None:
    truth.note("Nothing to do with it at all.", at=0.0)
    truth.note("Where did you go diving?", at=DAY)
    answer = truth.note("Off the coast of Madeira, with Joana.", at=DAY + 1)
    for number in range(20):
        truth.note(f"Small talk, the {number}th.", at=2 * DAY + number * 7200)
    with truth.work() as work:
        truth.settle(work)
        assert answer in truth.search(work, "go diving")[:2]


def test_what_was_asked_right_before_tells_more_than_what_was_told(truth: IndexHouse) -> None:
    at = {"told": 0.0, "asked": 10 * DAY}
    truth.note("We talked of diving off Madeira.", at=at["told"])
    beside = truth.note("Yes.", at=at["told"] + 1)
    truth.note("Did you talk of diving off Madeira?", at=at["asked"])
    answer = truth.note("No.", at=at["asked"] + 1)
    with truth.work() as work:
        truth.settle(work)
        scores = {hit[0]: hit[3] for hit in truth.found(work, "diving Madeira")["hits"]}
        assert scores[answer] > 1.2 * scores[beside]


def test_a_rare_word_is_worth_more_than_some_common_ones(truth: IndexHouse) -> None:
    told(truth, *[f"A quiet evening walk, the {number}th." for number in range(30)])
    told(truth, *[f"An evening of songs, the {number}th." for number in range(30)])
    rare = truth.note("The theremin concert.")
    with truth.work(model=False) as work:
        while work.go_on():
            pass
        hits = truth.found(work, "quiet evening walk theremin", vector="")["hits"]
        lexical = {hit[0]: hit[1] for hit in hits}
        assert hits[0][0] == rare
        assert lexical[hits[1][0]] < 0.28 * lexical[rare]  # By the idf alone 0.35.


def test_where_it_comes_from_is_found_too(truth: IndexHouse) -> None:
    letter = truth.note("Twice a day, after meals.", source="doctor's letter")
    plan = truth.note("Blue for the hall.", source="house-plan.md", kind="document")
    truth.note("Call the plumber.", source="note")
    truth.note("We had a chat about the note.", source="chat", kind="turn")
    other = truth.note("Another.", namespace="b", source="doctor's letter")
    with truth.work(model=False) as work:
        while work.go_on():
            pass
        assert truth.search(work, "what did the doctor's letter say", vector="") == [letter]
        assert truth.search(work, "house plan", vector="") == [plan]
        assert len(truth.search(work, "chat note", vector="")) == 1  # No source of that name tells.
        assert truth.search(work, "letter", namespace="b", vector="") == [other]
        truth.change(letter, source="recipe")
        assert truth.search(work, "letter", vector="") == []


def test_a_large_space_finds_what_a_whole_comparison_finds(
    truth: IndexHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the size of the pool candidates are chosen: that costs nothing that matters."""
    import random

    chance = random.Random(3)
    words = [f"word{number}" for number in range(300)]
    truth.db.execute("BEGIN")
    for _ in range(1_500):
        truth.note(" ".join(chance.choices(words, k=12)), at=chance.random() * 1e9)
    truth.db.execute("COMMIT")
    queries = [" ".join(chance.choices(words, k=3)) for _ in range(25)]
    with truth.work() as work:
        truth.settle(work)
        some = [truth.search(work, query, limit=10) for query in queries]
        monkeypatch.setattr(finding, "POOL", 100_000)
        whole = [truth.search(work, query, limit=10) for query in queries]
    hits: dict[str, int] = defaultdict(int)
    for chosen, exact in zip(some, whole, strict=True):
        hits["same"] += len(set(chosen) & set(exact))
    assert hits["same"] / 250 >= 0.95


def test_many_parts_are_loaded_checked_and_searched_together(
    truth: IndexHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST", 50)
    monkeypatch.setattr(vectors_module, "MOST", 50)
    ids = told(truth, *(f"Fact number{n} of the harbour." for n in range(230)))
    with truth.work() as work:
        truth.settle(work)
    files = sorted((truth.folder / "recall" / "vectors").glob("*.hnsw"))
    assert len(files) == 5
    flip(files[2])
    with truth.work() as work:
        vectors = work._vectors
        assert vectors is not None
        near = vectors.nearest(truth.space("a"), vector("number171 harbour fact"), 10)
        assert near[0][0] == ids[171]
        assert len(vectors.remade) == 1  # the damaged one, and that alone
