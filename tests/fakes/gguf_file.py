"""GGUF files as a test wants them: a true header, and as many zeros as its tensors take."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backends.llama_cpp.header import BLOCKS

F32, F16, Q8_0 = 0, 1, 8
Tensor = tuple[str, tuple[int, ...], int]
"""Name, dimensions, type."""


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def pair(key: str, value: Any) -> bytes:
    """One of the metadata: a list is an array; whole numbers have 32 bits, signed in a list."""
    return text(key) + _typed(value)


def _typed(value: Any, whole: tuple[int, str] = (4, "<I")) -> bytes:
    kinds = {bool: (7, "<?"), int: whole, float: (6, "<f")}
    if isinstance(value, str | bytes):
        return struct.pack("<I", 8) + text(value)
    if isinstance(value, list):
        typed = [_typed(each, (5, "<i")) for each in value]
        inner = b"".join(each[4:] for each in typed)
        return struct.pack("<I", 9) + typed[0][:4] + struct.pack("<Q", len(value)) + inner
    number, form = kinds[type(value)]
    return struct.pack("<I", number) + struct.pack(form, value)


def header(values: dict[str, Any], tensors: Sequence[Tensor]) -> tuple[bytes, int]:
    """The header, padded, and how many bytes of data belong behind it."""
    out = [struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(values))]
    out += [pair(key, value) for key, value in values.items()]
    offset = 0
    for name, dimensions, kind in tensors:
        out.append(text(name) + struct.pack("<I", len(dimensions)))
        out += [struct.pack("<Q", each) for each in dimensions]
        out.append(struct.pack("<IQ", kind, offset))
        elements = 1
        for each in dimensions:
            elements *= each
        _, values_in_block, block = BLOCKS.get(kind, ("", 1, 1))
        offset += -(-(elements // values_in_block * block) // 32) * 32
    data = b"".join(out)
    return data + b"\0" * (-len(data) % 32), offset


def write(path: Path, values: dict[str, Any], tensors: Sequence[Tensor], *, short: int = 0) -> Path:
    """A file without blocks behind its header, ``short`` bytes too short."""
    data, size = header(values, tensors)
    with path.open("wb") as file:
        file.write(data)
        file.truncate(len(data) + size - short)
    return path


def llama(
    *,
    layers: int = 2,
    embedding: int = 64,
    heads: int = 4,
    kv_heads: int = 2,
    forward: int = 128,
    vocabulary: int = 300,
    kind: int = Q8_0,
    tied: bool = True,
) -> tuple[dict[str, Any], list[Tensor]]:
    """Metadata and tensors of a Llama of this shape."""
    values: dict[str, Any] = {
        "general.architecture": "llama",
        "general.name": "A llama",
        "llama.block_count": layers,
        "llama.context_length": 8192,
        "llama.embedding_length": embedding,
        "llama.feed_forward_length": forward,
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": kv_heads,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": embedding // heads,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [f"<t{number}>" for number in range(vocabulary)],
        "tokenizer.ggml.scores": [0.0] * vocabulary,
        "tokenizer.ggml.token_type": [3 if number < 3 else 1 for number in range(vocabulary)],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    narrow = embedding // heads * kv_heads
    tensors: list[Tensor] = [("token_embd.weight", (embedding, vocabulary), kind)]
    for layer in range(layers):
        tensors += [
            (f"blk.{layer}.attn_norm.weight", (embedding,), F32),
            (f"blk.{layer}.attn_q.weight", (embedding, embedding), kind),
            (f"blk.{layer}.attn_k.weight", (embedding, narrow), kind),
            (f"blk.{layer}.attn_v.weight", (embedding, narrow), kind),
            (f"blk.{layer}.attn_output.weight", (embedding, embedding), kind),
            (f"blk.{layer}.ffn_norm.weight", (embedding,), F32),
            (f"blk.{layer}.ffn_gate.weight", (embedding, forward), kind),
            (f"blk.{layer}.ffn_up.weight", (embedding, forward), kind),
            (f"blk.{layer}.ffn_down.weight", (forward, embedding), kind),
        ]
    tensors.append(("output_norm.weight", (embedding,), F32))
    if not tied:
        tensors.append(("output.weight", (embedding, vocabulary), kind))
    return values, tensors
