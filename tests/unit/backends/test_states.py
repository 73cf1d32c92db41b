"""States on disk: private, bounded, whole or gone; and which bytes a model is made of."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.hosted.fingerprint import fingerprint, identity, model_files, read_ahead
from backends.hosted.states import StateStore, prefix_name, session_name
from engine.contract.backend import Message

KEY = StateStore.key("model", "library", 4096, None)
ANA, BEN = session_name("ana"), session_name("ben")


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    made = StateStore(tmp_path / "states", max_bytes=1_000)
    made.prepare()
    return made


def put(store: StateStore, name: str, content: bytes, key: str = KEY, forgotten: int = 0) -> Path:
    file = store.name_file(name, key)
    (store.folder / file).write_bytes(content)
    store.keep(file, name, key, len(content) // 10, forgotten)
    return store.folder / file


def names(store: StateStore) -> set[str]:
    return {path.name for path in store.folder.iterdir()}


def test_a_state_is_found_again_under_its_name_and_key_alone(store: StateStore) -> None:
    put(store, ANA, b"a" * 50)
    found = store.find(ANA, KEY)
    assert found is not None
    assert (store.folder / found.file).read_bytes() == b"a" * 50
    assert found.tokens == 5
    assert store.find(BEN, KEY) is None
    assert store.find(ANA, StateStore.key("model", "library", 2048, None)) is None
    assert store.find(prefix_name([Message("user", "ana")]), KEY) is None


def test_it_is_for_its_owner_alone(store: StateStore) -> None:
    store.folder.chmod(0o755)
    store.prepare()
    put(store, ANA, b"secret")
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in store.folder.iterdir()} == {0o600}
    assert not any("ana" in name for name in names(store))


def test_a_newer_state_takes_the_place_of_the_last(store: StateStore) -> None:
    put(store, ANA, b"old")
    put(store, ANA, b"newer")
    found = store.find(ANA, KEY)
    assert found is not None
    assert found.size == 5
    assert len(names(store)) == 2


def cut(kv: Path, record: Path) -> None:
    kv.write_bytes(kv.read_bytes()[:-1])


def flip(kv: Path, record: Path) -> None:
    data = bytearray(kv.read_bytes())
    data[7] ^= 1
    kv.write_bytes(data)


def lose(kv: Path, record: Path) -> None:
    kv.unlink()


def point_elsewhere(kv: Path, record: Path) -> None:
    outside = kv.parent.parent / "outside"
    outside.write_bytes(kv.read_bytes())
    record.write_text(json.dumps({**json.loads(record.read_text()), "file": "../outside"}))


def nonsense(kv: Path, record: Path) -> None:
    record.write_bytes(b"[" * 100_000)


def no_record(kv: Path, record: Path) -> None:
    record.write_text("{}")


HARMS = [cut, flip, lose, point_elsewhere, nonsense, no_record]


@pytest.mark.parametrize("harm", HARMS, ids=lambda each: each.__name__)
def test_what_is_not_whole_is_no_state(
    store: StateStore, harm: Callable[[Path, Path], None]
) -> None:
    kv = put(store, ANA, b"what was read")
    harm(kv, store.folder / f"{ANA}-{KEY}.json")
    assert store.find(ANA, KEY) is None
    kept = put(store, ANA, b"anew")
    assert store.find(ANA, KEY) is not None
    assert kept.exists()
    if (outside := store.folder.parent / "outside").exists():
        assert outside.read_bytes() == b"what was read", "nothing outside is touched"


def test_the_record_of_one_conversation_never_leads_to_the_state_of_another(
    store: StateStore,
) -> None:
    put(store, ANA, b"of ana")
    record = store.folder / f"{ANA}-{KEY}.json"
    (store.folder / f"{BEN}-{KEY}.json").write_bytes(record.read_bytes())
    assert store.find(BEN, KEY) is None
    assert store.find(ANA, KEY) is not None


def test_the_least_used_leave_first(store: StateStore) -> None:
    for number in range(4):
        put(store, session_name(str(number)), b"x" * 250)
        os.utime(store.folder / f"{session_name(str(number))}-{KEY}.json", ns=(number, number))
    assert store.find(session_name("0"), KEY) is not None, "used: now it is the newest"
    put(store, session_name("4"), b"x" * 250)
    left = [str(each) for each in range(5) if store.find(session_name(str(each)), KEY)]
    assert left == ["0", "2", "3", "4"]
    put(store, session_name("big"), b"x" * 1_001)
    assert not [name for name in names(store) if name.endswith(".kv")]


def test_a_forgotten_conversation_leaves_nothing_for_any_model(store: StateStore) -> None:
    put(store, ANA, b"one")
    put(store, ANA, b"two", StateStore.key("another model"))
    put(store, BEN, b"of ben")
    writing = store.name_file(ANA, KEY)
    (store.folder / writing).write_bytes(b"half")
    store.forget("ana")
    assert not any(name.startswith(ANA) for name in names(store))
    assert store.find(BEN, KEY) is not None
    before, now = 0, store.times_forgotten(ANA)
    put(store, ANA, b"what its slot still held", forgotten=before)
    assert not any(name.startswith(ANA) for name in names(store))
    assert store.times_forgotten(BEN) == before
    kept = put(store, ANA, b"what was said since", forgotten=now)
    assert kept.exists(), "it begins anew"
    put(store, ANA, b"what an older answer left", forgotten=before)
    found = store.find(ANA, KEY)
    assert found is not None
    assert found.file == kept.name


def test_what_the_killed_left_behind_is_removed(store: StateStore) -> None:
    kept = put(store, ANA, b"kept")
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    (store.folder / f"{ANA}-{KEY}-{gone.pid}-0123456789abcdef.kv").write_bytes(b"half")
    (store.folder / f"{ANA}-{KEY}.json.{gone.pid}.new").write_bytes(b"{")
    mine = store.folder / store.name_file(BEN, KEY)
    mine.write_bytes(b"being written")
    store.prepare()
    assert names(store) == {kept.name, mine.name, f"{ANA}-{KEY}.json"}


def test_a_disk_that_refuses_is_told_and_nothing_stays(store: StateStore) -> None:
    record = store.folder / f"{ANA}-{KEY}.json"
    (store.folder / f"{record.name}.{os.getpid()}.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        put(store, ANA, b"no room for its record")
    assert not [name for name in names(store) if name.endswith(".kv")]
    with pytest.raises(FileNotFoundError):
        store.keep(store.name_file(ANA, KEY), ANA, KEY, 1)


def test_the_last_room_on_a_disk_is_not_for_states(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.hosted.states.MIN_FREE", 2**60)
    with pytest.raises(OSError, match="No space left"):
        put(store, ANA, b"what was read")


# --- which model ---


def test_a_digest_is_remembered_until_the_file_changes(store: StateStore, tmp_path: Path) -> None:
    model = tmp_path / "a.gguf"
    model.write_bytes(b"GGUF one")
    first = identity(model)
    assert store.known(first) is None
    digest = store.learn(first, model)
    assert digest == fingerprint(model)
    assert StateStore(store.folder).known(first) == digest
    model.write_bytes(b"GGUF two")
    assert identity(model) != first
    assert store.known(identity(model)) is None
    assert fingerprint(model) != digest
    assert store.learn(first, model) is None, "it is not the one that was meant any more"


def test_a_renamed_model_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    (tmp_path / "b.gguf").write_bytes(b"GGUF")
    assert fingerprint(tmp_path / "a.gguf") == fingerprint(tmp_path / "b.gguf")


def test_all_parts_of_a_model_count(tmp_path: Path) -> None:
    parts = [tmp_path / f"big-0000{number}-of-00002.gguf" for number in (1, 2)]
    for part in parts:
        part.write_bytes(b"GGUF")
    (tmp_path / "big-00001-of-00003.gguf").write_bytes(b"another")
    assert model_files(parts[0]) == parts
    before, digest = identity(parts[0]), fingerprint(parts[0])
    parts[1].write_bytes(b"other weights")
    assert identity(parts[0]) != before
    assert fingerprint(parts[0]) != digest
    folder = tmp_path / "mlx"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    assert len(model_files(folder)) == 2
    read_ahead(folder)
