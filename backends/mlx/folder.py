"""A look at an MLX folder, so that a wrong one is named before a process is started.

Every byte is a stranger's: sizes are bounded, and nothing in the folder is ever run. What is
damaged further in, and what is of an architecture that mlx-lm does not know, is found by mlx-lm,
in its own process.
"""

from __future__ import annotations

import json
import os
import re
import stat
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from backends.shape import MAX_LAYERS, NONSENSE, Shape, Wrong, amount, cache_a_token, number
from engine.contract.base import visible
from engine.contract.errors import ModelFailed

REPLACE = "Download the folder again, or use another model: arcanum model list"
_MAX_CONFIG = 1024 * 1024
_MAX_INDEX = 32 * 1024 * 1024
_MAX_HEADER = 32 * 1024 * 1024
_MAX_FILES = 1000
_LAYER = re.compile(r"(?:^|\.)layers\.(\d{1,4})\.")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tiktoken.model")


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    kind: str
    shape: tuple[int, ...]
    size: int


def check_mlx(folder: Path) -> int:
    """The size of the model's weights in bytes. Raises what ``read_mlx`` raises."""
    return read_mlx(folder).size


def read_mlx(folder: Path) -> Shape:
    """What the folder says of its model. Raises ModelFailed for what cannot be one, or is not all
    there. Blocks."""
    name = visible(os.fspath(folder))
    try:
        return _read(folder)
    except (OSError, ValueError) as error:  # ValueError: no file can have such a name.
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelFailed(
            f"The MLX folder {name} cannot be read: {visible(str(reason))[:200]}",
            "Check the path and its permissions, or use another model: arcanum model list",
        ) from error
    except Wrong as error:
        raise ModelFailed(f"The MLX folder {name} {visible(str(error))[:300]}", REPLACE) from error


def control_tokens(folder: Path) -> list[str]:
    """The model's tokens that are no text; none where its tokenizer does not list them. Blocks."""
    tokenizer = folder / _TOKENIZERS[0]
    if not tokenizer.is_file():
        return []
    try:
        with tokenizer.open("rb") as file:
            head = file.read(_MAX_CONFIG * 8).decode("utf-8", "replace")
        # What is read stops there: the vocabulary that follows may have tens of megabytes.
        if (begin := re.search(r'"added_tokens"\s*:\s*(?=\[)', head)) is None:
            return []
        added, _ = json.JSONDecoder().raw_decode(head, begin.end())
    except (OSError, ValueError, RecursionError):
        return []
    special = [each for each in added if isinstance(each, dict) and each.get("special") is True]
    return [str(each.get("content", "")) for each in special]


def _read(folder: Path) -> Shape:
    if not stat.S_ISDIR(folder.stat().st_mode):
        raise Wrong("is not a folder")
    config = _json(folder / "config.json", _MAX_CONFIG)
    if "model_file" in config:
        raise Wrong("wants to run code of its own, which is never done")
    if not any((folder / each).is_file() for each in _TOKENIZERS):
        raise Wrong(f"holds no tokenizer ({_TOKENIZERS[0]})")
    files = _weights(folder)
    found = [_tensors(file) for file in files]
    tensors = [each for several in found for each in several]
    size = sum(file.stat().st_size for file in files)
    return _shape(folder, config, tensors, size)


def _json(path: Path, most: int) -> dict[str, Any]:
    """A small JSON object in a file. Raises Wrong, OSError."""
    if not path.exists():
        raise Wrong(f"holds no {path.name}")
    # Else opening a pipe would wait for whoever writes into it.
    if not stat.S_ISREG(path.stat().st_mode):
        raise Wrong(f"is damaged: {path.name} is not a file")
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Wrong(f"is damaged: {path.name} is over {amount(most)}")
    return _object(data, path.name)


def _object(data: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Wrong(f"is damaged: {name} is not JSON") from error
    if not isinstance(found, dict):
        raise Wrong(f"is damaged: {name} is not a JSON object")
    return found


def _weights(folder: Path) -> list[Path]:
    """The files of weights, as mlx-lm looks for them: all that their index names must be there."""
    files = sorted(folder.glob("model*.safetensors"))[:_MAX_FILES]
    index = folder / "model.safetensors.index.json"
    if index.exists():
        named = _json(index, _MAX_INDEX).get("weight_map")
        there = {file.name for file in files}
        wanted = set(map(str, named.values())) if isinstance(named, dict) else set()
        if missing := sorted(wanted - there):
            raise Wrong(f"is not all there: {missing[0]} is missing")
    if not files:
        raise Wrong("holds no weights (model.safetensors)")
    return files


def _tensors(file: Path) -> list[_Tensor]:
    """What the header of a safetensors file lists; the file must be as long as that says."""
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise Wrong(f"is damaged: {file.name} is not a file")
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER, status.st_size):
            raise Wrong(f"is damaged: {file.name} is no safetensors file")
        header = _object(stream.read(length), file.name)
    header.pop("__metadata__", None)
    tensors = [_tensor(name, told) for name, told in header.items()]
    whole = 8 + length + sum(each.size for each in tensors)
    if whole > status.st_size:
        size = amount(status.st_size)
        raise Wrong(f"is cut off: {file.name} has {size} of {amount(whole)}")
    return tensors


def _tensor(name: str, told: Any) -> _Tensor:
    if not isinstance(told, dict):
        raise Wrong(NONSENSE)
    shape, offsets = told.get("shape"), told.get("data_offsets")
    if not isinstance(shape, list) or not isinstance(offsets, list) or len(offsets) != 2:
        raise Wrong(NONSENSE)
    begin, end = (number(each, 2**50) for each in offsets)
    return _Tensor(
        name, str(told.get("dtype")), tuple(map(number, shape)), number(end - begin, end)
    )


def _shape(folder: Path, config: dict[str, Any], tensors: list[_Tensor], size: int) -> Shape:
    kind = config.get("model_type")
    if not isinstance(kind, str) or not kind or not tensors:
        raise Wrong("is no model: it names no model_type, or holds no tensors")
    inner = config.get("text_config")
    told: Mapping[str, Any] = config | inner if isinstance(inner, dict) else config

    def of(name: str, default: int = 0) -> int:
        value = told.get(name)
        return number(default if value is None else value)

    count = number(of("num_hidden_layers"), MAX_LAYERS)
    heads = of("num_attention_heads")
    head = of("head_dim", of("hidden_size") // heads if heads else 0)
    bits, group = _quantised(config)
    layers, after = _weigh(tensors, count)
    return Shape(
        name=visible(folder.name)[:200],
        architecture=visible(kind)[:64],
        quantisation=f"{bits}-bit" if bits else _usual(tensors),
        parameters=_parameters(tensors, group),
        size=size,
        input=sum(each.size for each in tensors) - sum(layers) - after,
        layers=layers,
        output=after,
        cache_a_token=(cache_a_token(of("num_key_value_heads", heads), head, head),) * count,
        embedding=of("hidden_size"),
        forward=max(
            of("intermediate_size"), of("moe_intermediate_size") * of("num_experts_per_tok")
        ),
        heads=heads,
        context=of("max_position_embeddings"),
        vocabulary=of("vocab_size"),
        tied=not any("lm_head." in each.name for each in tensors),
        template=_has_template(folder),
    )


def _quantised(config: dict[str, Any]) -> tuple[int, int]:
    """Bits of a quantised weight, and how many share a scale; 0 where they are not quantised."""
    found = config.get("quantization")
    if not isinstance(found, dict):
        return 0, 0
    return number(found.get("bits"), 16), number(found.get("group_size"), 4096)


def _usual(tensors: Iterable[_Tensor]) -> str:
    """The kind that most of the weights are of."""
    sizes: dict[str, int] = {}
    for each in tensors:
        sizes[each.kind] = sizes.get(each.kind, 0) + each.size
    return visible(max(sizes, key=lambda kind: sizes[kind]))[:16]


def _parameters(tensors: Iterable[_Tensor], group: int) -> int:
    """What was trained. With ``group``, packed weights are counted by their scales."""
    count = 0
    for each in tensors:
        if group and each.name.endswith(".scales"):
            count += prod(each.shape) * group
        elif not group or (each.kind != "U32" and not each.name.endswith(".biases")):
            count += prod(each.shape)
    return count


def _weigh(tensors: Iterable[_Tensor], count: int) -> tuple[tuple[int, ...], int]:
    """Bytes of each layer, and of what is after them."""
    layers = [0] * count
    after = 0
    for each in tensors:
        layer = _LAYER.search(each.name)
        if layer and int(layer[1]) < count:
            layers[int(layer[1])] += each.size
        elif "lm_head." in each.name or each.name.endswith(".norm.weight"):
            after += each.size
    return tuple(layers), after


def _has_template(folder: Path) -> bool:
    if any((folder / each).is_file() for each in ("chat_template.jinja", "chat_template.json")):
        return True
    told = folder / "tokenizer_config.json"
    return told.is_file() and "chat_template" in _json(told, _MAX_INDEX)
