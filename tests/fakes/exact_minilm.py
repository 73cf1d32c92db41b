"""all-MiniLM-L6-v2 as it is written down, in plain numpy: what its vectors exactly are."""

from __future__ import annotations

import json
import math
import struct
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from backends.llama_cpp.embedding import package

_HEADS, _LAYERS = 12, 6


class ExactMiniLM:
    """Texts must be of lower-case words that are in its vocabulary, parted by spaces."""

    def __init__(self) -> None:
        folder = package()
        words = (folder / "vocab.txt").read_text("utf-8").splitlines()
        self._ids = {word: number for number, word in enumerate(words)}
        self._file = folder / "model.safetensors"

    def vector(self, text: str) -> list[float]:
        """Its normalised vector."""
        ids = [self._ids[word] for word in ["[CLS]", *text.split(), "[SEP]"]]
        of = self._weights
        state = of["embeddings.word_embeddings.weight"][ids]
        state = state + of["embeddings.position_embeddings.weight"][: len(ids)]
        state = state + of["embeddings.token_type_embeddings.weight"][0]
        state = self._norm(state, "embeddings.LayerNorm")
        for number in range(_LAYERS):
            layer = f"encoder.layer.{number}"
            seen = self._linear(self._attend(state, layer), f"{layer}.attention.output.dense")
            state = self._norm(state + seen, f"{layer}.attention.output.LayerNorm")
            inner = _gelu(self._linear(state, f"{layer}.intermediate.dense"))
            state = state + self._linear(inner, f"{layer}.output.dense")
            state = self._norm(state, f"{layer}.output.LayerNorm")
        mean = state.mean(axis=0)
        return (mean / np.linalg.norm(mean)).tolist()

    def _attend(self, state: Any, layer: str) -> Any:
        def split(name: str) -> Any:
            made = self._linear(state, f"{layer}.attention.self.{name}")
            return made.reshape(len(state), _HEADS, -1).transpose(1, 0, 2)

        query, key, value = map(split, ("query", "key", "value"))
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        seen = scores / scores.sum(axis=-1, keepdims=True) @ value
        return seen.transpose(1, 0, 2).reshape(len(state), -1)

    def _linear(self, state: Any, name: str) -> Any:
        return state @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, state: Any, name: str) -> Any:
        centred = state - state.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        return centred / scale * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]

    @cached_property
    def _weights(self) -> dict[str, Any]:
        with Path(self._file).open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            told = json.loads(file.read(length))
            data = file.read()
        return {
            name: np.frombuffer(data[slice(*each["data_offsets"])], "<f4").reshape(each["shape"])
            for name, each in told.items()
            if each.get("dtype") == "F32"
        }


def _gelu(value: Any) -> Any:
    return value * (1 + np.vectorize(math.erf)(value / math.sqrt(2))) / 2
