"""A look at a folder with an MLX model: its ``config.json`` and the headers of its weights.

Every byte is a stranger's, as in ``backends.llama_cpp.header``. The weights' format:
https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import os
import re
import struct
from math import prod
from pathlib import Path
from typing import Any

from backends.shape import MAX_LAYERS, NONSENSE, Shape, Wrong, amount, cache_a_token, number
from engine.contract.base import visible
from engine.contract.errors import ModelFailed

CONFIG = "config.json"
REPLACE = "Download the folder again, or use another model: arcanum model list"
_INDEX = "model.safetensors.index.json"
_MAX_JSON = 16 * 1024 * 1024
_MAX_FILES = 1000
_MAX_BYTES = 2**50
_LENGTH = struct.Struct("<Q")
_LAYER = re.compile(r"\blayers\.(\d{1,4})\.")


def is_folder(path: Path) -> bool:
    """Whether it may hold an MLX model."""
    return (path / CONFIG).is_file()


def read_folder(path: Path) -> Shape:
    """What the model in the folder says of itself. Blocks for some milliseconds.

    Raises ModelFailed for what cannot be a model, or is not all there.
    """
    shown = f"The model folder {visible(os.fspath(path))}"
    try:
        return _read_folder(path)
    except (OSError, ValueError) as error:  # ValueError: no folder can have such a name.
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelFailed(
            f"{shown} cannot be read: {visible(str(reason))[:200]}",
            "Check the path and its permissions, or use another model: arcanum model list",
        ) from error
    except Wrong as error:
        raise ModelFailed(f"{shown} {visible(str(error))[:300]}", REPLACE) from error


def _read_folder(path: Path) -> Shape:
    config = _object(_read(path / CONFIG))
    # Models that also see or hear tell of their language part in a table of its own.
    inner = config.get("text_config")
    config = {**config, **inner} if isinstance(inner, dict) else config
    files = sorted(path.glob("*.safetensors"))[:_MAX_FILES]
    if not files:
        raise Wrong("holds no weights (*.safetensors)")
    _check_index(path, {each.name for each in files})
    sizes: dict[str, int] = {}
    parameters = total = 0
    for file in files:
        size, count = _weigh(file, _bits(config), sizes)
        parameters, total = parameters + count, total + size
    return _shape(path, config, sizes, parameters, total)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_MAX_JSON + 1)
    if len(data) > _MAX_JSON:
        raise Wrong(f"is damaged: {path.name} is larger than {amount(_MAX_JSON)}")
    return data


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Wrong(NONSENSE) from error
    if not isinstance(found, dict):
        raise Wrong(NONSENSE)
    return found


def _check_index(path: Path, there: set[str]) -> None:
    """Where the weights are in several files, a list says which there must be."""
    if not (path / _INDEX).is_file():
        return
    listed = _object(_read(path / _INDEX)).get("weight_map")
    wanted = {str(each) for each in listed.values()} if isinstance(listed, dict) else set()
    if missing := sorted(wanted - there):
        raise Wrong(f"is not all there: {len(missing)} files are missing, as {missing[0]}")


def _weigh(path: Path, bits: int, sizes: dict[str, int]) -> tuple[int, int]:
    """Notes the bytes of each tensor in a file; the file's size, and how many parameters it has."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(_LENGTH.size)
        length = _LENGTH.unpack(start)[0] if len(start) == _LENGTH.size else size
        header = file.read(length) if length <= _MAX_JSON else b""
    if len(header) < length:
        raise Wrong(f"is cut off or damaged: {path.name} has {amount(size)}")
    end = parameters = 0
    for name, info in _object(header).items():
        if name == "__metadata__":
            continue
        offsets, lengths = (_numbers(info, key) for key in ("data_offsets", "shape"))
        if len(offsets) != 2 or offsets[0] > offsets[1]:
            raise Wrong(NONSENSE)
        sizes[name] = offsets[1] - offsets[0]
        end = max(end, offsets[1])
        # Where quantised, several values lie in one of these; scales and biases are not counted.
        packed = bits and info.get("dtype") == "U32"
        if packed or not name.endswith((".scales", ".biases")):
            parameters += prod(lengths) * 32 // bits if packed else prod(lengths)
    if (wanted := _LENGTH.size + length + end) > size:
        raise Wrong(f"is cut off: {path.name} has {amount(size)} of {amount(wanted)}")
    return size, number(parameters, _MAX_BYTES)


def _numbers(info: Any, key: str) -> list[int]:
    found = info.get(key) if isinstance(info, dict) else None
    if not isinstance(found, list) or len(found) > 8:
        raise Wrong(NONSENSE)
    return [number(each, _MAX_BYTES) for each in found]


def _bits(config: dict[str, Any]) -> int:
    """Bits of a quantised value; 0 where the model is not quantised."""
    found = config.get("quantization")
    bits = found.get("bits") if isinstance(found, dict) else None
    return bits if isinstance(bits, int) and 0 < bits <= 32 else 0


def _shape(
    path: Path, config: dict[str, Any], sizes: dict[str, int], parameters: int, total: int
) -> Shape:
    def of(key: str, default: int = 0) -> int:
        value = config.get(key)
        return default if value is None else number(value)

    layers = [0] * number(of("num_hidden_layers"), MAX_LAYERS)
    before = after = 0
    for name, size in sizes.items():
        layer = _LAYER.search(name)
        if layer and int(layer[1]) < len(layers):
            layers[int(layer[1])] += size
        elif "lm_head" in name:
            after += size
        else:
            before += size
    heads, embedding = of("num_attention_heads"), of("hidden_size")
    head = of("head_dim", embedding // heads if heads else 0)
    keys = cache_a_token(of("num_key_value_heads", heads), head, head)
    bits = _bits(config)
    return Shape(
        name=visible(path.name)[:200],
        architecture=visible(str(config.get("model_type", "")))[:64],
        quantisation=f"{bits} bits" if bits else visible(str(config.get("torch_dtype", "")))[:20],
        parameters=parameters,
        size=total,
        input=before,
        layers=tuple(layers),
        output=after,
        cache_a_token=(keys,) * len(layers),
        embedding=embedding,
        forward=max(
            of("intermediate_size"), of("moe_intermediate_size") * of("num_experts_per_tok")
        ),
        heads=heads,
        context=of("max_position_embeddings"),
        vocabulary=of("vocab_size"),
        tied=not after,
        template=_has_template(path),
    )


def _has_template(path: Path) -> bool:
    settings = path / "tokenizer_config.json"
    return (path / "chat_template.jinja").is_file() or (
        settings.is_file() and b'"chat_template"' in _read(settings)
    )
