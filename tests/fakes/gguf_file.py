"""GGUF files as a test wants them: a true header, and as many zeros as its tensors take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backends.llama_cpp.writing import F16, F32, Q8_0, Tensor, header, pair, text

__all__ = ["F16", "F32", "Q8_0", "Tensor", "header", "llama", "pair", "text", "write"]


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
