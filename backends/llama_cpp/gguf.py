"""A look at a model file, so that a wrong one is named before a process is started.

What is damaged further in, and what is of an architecture that llama.cpp does not know, is found
by llama.cpp, in its own process.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from functools import lru_cache
from pathlib import Path

from backends.llama_cpp.header import (
    BLOCKS,
    Header,
    Tensor,
    Value,
    read_header,
    read_numbers,
    read_texts,
)
from backends.shape import MAX_LAYERS, NONSENSE, Shape, Wrong, amount, cache_a_token, number
from engine.contract.base import visible
from engine.contract.errors import ModelFailed

REPLACE = "Download the file again, or use another model: arcanum model list"
_MAX_PARTS = 1000
_PART = re.compile(r"(?s)(.*)-(\d{5})-of-(\d{5})\.gguf")
_TOKENS, _TYPES = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"
# Types of a token: unknown, and control.
_NO_TEXT = {2, 3}
_MAX_CONTROL = 20_000
_LAYER = re.compile(r"blk\.(\d{1,4})\.")
# `general.file_type`, where it says more than the type of most tensors does.
_MIXED = {
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    21: "Q2_K_S",
    22: "IQ3_XS",
    27: "IQ3_M",
    29: "IQ2_M",
}


def check_gguf(path: Path) -> int:
    """The size of the model's file, or files, in bytes. Raises what ``read_gguf`` raises."""
    return read_gguf(path).size


def read_gguf(path: Path) -> Shape:
    """What the model file says of itself; of a model in parts the first is named.

    Some 10 ms at first, then kept for as long as the file is the same. Raises ModelFailed for
    what cannot be a model, or is not all there.
    """
    return _read(path, _identity(path))


def control_tokens(path: Path) -> list[str]:
    """The model's tokens that are no text; none where the file cannot be read. Some 30 ms."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            places = read_header(file, size).places
            types = read_numbers(file, size, places[_TYPES])
            which = [at for at, kind in enumerate(types) if kind in _NO_TEXT]
            return read_texts(file, size, places[_TOKENS], which[:_MAX_CONTROL])
    except (OSError, ValueError, KeyError, Wrong):
        return []


def _identity(path: Path) -> tuple[int, ...]:
    name = visible(os.fspath(path))
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise ModelFailed(f"{name} is not a file", REPLACE)
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, _identity_of_it: tuple[int, ...]) -> Shape:
    size, first = _open(path)
    headers = [first]
    for part in _other_parts(path, first):
        more, header = _open(part)
        size += more
        headers.append(header)
    tensors = [each for header in headers for each in header.tensors]
    try:
        return _shape(first, tensors, size)
    except Wrong as error:
        raise _refused(path, error) from error


def _open(path: Path) -> tuple[int, Header]:
    """One file: its size and header. It must be as long as its tensors say."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            header = read_header(file, size)
    except (OSError, ValueError) as error:  # ValueError: no file can have such a name.
        raise _unreadable(visible(os.fspath(path)), error) from error
    except Wrong as error:
        raise _refused(path, error) from error
    if sum(each.size for each in header.tensors) > header.end:  # They overlap.
        raise _refused(path, Wrong(NONSENSE))
    if header.end > size:
        raise _refused(path, Wrong(f"is cut off: has {amount(size)} of {amount(header.end)}"))
    return size, header


def _other_parts(path: Path, first: Header) -> list[Path]:
    count = first.values.get("split.count", 0)
    if not isinstance(count, int) or not 0 <= count <= _MAX_PARTS:
        raise _refused(path, Wrong(NONSENSE))
    if count < 2:
        return []
    parts = _PART.fullmatch(path.name)
    if parts is None or int(parts[3]) != count:
        raise _refused(
            path,
            Wrong(f"is one of {count} parts, and its name does not say which"),
            f"Name it as it was downloaded: …-00001-of-{count:05}.gguf",
        )
    if int(parts[2]) != 1:
        raise _refused(
            path,
            Wrong(f"is part {int(parts[2])} of {count}"),
            f"Name the first: {visible(parts[1])}-00001-of-{count:05}.gguf",
        )
    return [
        path.with_name(f"{parts[1]}-{number:05}-of-{count:05}.gguf")
        for number in range(2, count + 1)
    ]


def _shape(header: Header, tensors: list[Tensor], size: int) -> Shape:
    values = header.values
    kind = values.get("general.architecture")
    if not isinstance(kind, str) or not kind or not tensors:
        raise Wrong("is no model: it names no architecture, or holds no tensors")

    def of(key: str, default: int = 0) -> int:
        value = values.get(f"{kind}.{key}", default)
        return number(max(value, default=0) if isinstance(value, tuple) else value)

    embedding = of("embedding_length")
    count = number(of("block_count"), MAX_LAYERS)
    heads = _for_each_layer(values.get(f"{kind}.attention.head_count", 0), count)
    kv_heads = _for_each_layer(values.get(f"{kind}.attention.head_count_kv", heads), count)
    most = max(heads, default=0)
    head = embedding // most if most else 0
    key, value = of("attention.key_length", head), of("attention.value_length", head)
    before, layers, after = _weigh(tensors, count)
    vocabulary = header.counts.get(_TOKENS, 0) or of("vocab_size")
    return Shape(
        name=visible(str(values.get("general.name", "")))[:200],
        architecture=visible(kind)[:64],
        quantisation=_quantisation(values.get("general.file_type"), tensors),
        parameters=sum(each.elements for each in tensors),
        size=size,
        input=before,
        layers=layers,
        output=after,
        cache_a_token=tuple(cache_a_token(each, key, value) for each in kv_heads),
        embedding=embedding,
        forward=max(
            of("feed_forward_length"),
            of("expert_feed_forward_length") * of("expert_used_count"),
        ),
        heads=most,
        context=of("context_length"),
        vocabulary=vocabulary,
        tied=all(each.name != "output.weight" for each in tensors),
        template="tokenizer.chat_template" in values,
    )


def _for_each_layer(value: Value, count: int) -> tuple[int, ...]:
    """One number for each layer: the file holds as many, or one for all."""
    if not isinstance(value, tuple):
        return (number(value),) * count
    if len(value) < count:
        raise Wrong(NONSENSE)
    return tuple(map(number, value[:count]))


def _weigh(tensors: list[Tensor], count: int) -> tuple[int, tuple[int, ...], int]:
    """Bytes of what is before the layers, of each layer, and of what is after them."""
    layers = [0] * count
    before = after = 0
    for each in tensors:
        layer = _LAYER.match(each.name)
        if layer and int(layer[1]) < count:
            layers[int(layer[1])] += each.size
        elif each.name.startswith("output"):
            after += each.size
        else:
            before += each.size
    return before, tuple(layers), after


def _quantisation(mixed: Value | None, tensors: list[Tensor]) -> str:
    if isinstance(mixed, int) and mixed in _MIXED:
        return _MIXED[mixed]
    sizes: Counter[int] = Counter()
    for each in tensors:
        sizes[each.kind] += each.elements
    return BLOCKS.get(sizes.most_common(1)[0][0], ("",))[0]


def _unreadable(name: str, error: OSError | ValueError) -> ModelFailed:
    reason = error.strerror if isinstance(error, OSError) else error
    return ModelFailed(
        f"The model file {name} cannot be read: {reason}",
        "Check the path and its permissions, or use another model: arcanum model list",
    )


def _refused(path: Path, error: Wrong, hint: str = REPLACE) -> ModelFailed:
    return ModelFailed(f"The model file {visible(os.fspath(path))} {visible(str(error))}", hint)
