"""all-MiniLM-L6-v2 as a GGUF file, made of the files of its package. The same bytes everywhere.

Run as a process of its own, because numpy holds up an event loop:

    python -m backends.llama_cpp.minilm FOLDER TARGET

Matrices are quantised to Q8_0, 34 bytes for 32 numbers: a quarter of the size, a quarter faster
than 16 bits on a CPU, and vectors whose cosine to the exact ones is 0.999 (of a word alone, 0.998).
"""

from __future__ import annotations

import json
import os
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.llama_cpp.writing import F32, Q8_0, Tensor, header, padding

if TYPE_CHECKING:
    from numpy import ndarray

WEIGHTS, WORDS = "model.safetensors", "vocab.txt"
_LAYERS, _WIDTH, _INNER, _HEADS, _CONTEXT = 6, 384, 1536, 12, 512
_BLOCK = 32
_NORMAL, _CONTROL, _UNUSED = 1, 3, 5
_SPECIAL = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
_MEAN = 1
_MOSTLY_Q8_0 = 7
# A GGUF file marks what begins a word, and BERT's vocabulary what goes on with one.
_BEGINS, _GOES_ON = "\u2581", "##"

_EMBEDDINGS = {
    "token_embd.weight": "embeddings.word_embeddings.weight",
    "position_embd.weight": "embeddings.position_embeddings.weight",
    "token_types.weight": "embeddings.token_type_embeddings.weight",
    "token_embd_norm.weight": "embeddings.LayerNorm.weight",
    "token_embd_norm.bias": "embeddings.LayerNorm.bias",
}
_IN_A_LAYER = {
    "attn_q": "attention.self.query",
    "attn_k": "attention.self.key",
    "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense",
    "ffn_down": "output.dense",
    "layer_output_norm": "output.LayerNorm",
}
# Small, and llama.cpp adds them as they are.
_EXACT = {"position_embd.weight", "token_types.weight"}


def convert(folder: Path, target: Path) -> None:
    """Writes the model. Raises OSError, ValueError or KeyError for files that are another's."""
    names = dict(_EMBEDDINGS)
    for layer in range(_LAYERS):
        for ours, theirs in _IN_A_LAYER.items():
            for part in ("weight", "bias"):
                names[f"blk.{layer}.{ours}.{part}"] = f"encoder.layer.{layer}.{theirs}.{part}"
    weights = _Weights(folder / WEIGHTS)
    tensors: list[Tensor] = []
    for ours, theirs in names.items():
        shape = weights.shape(theirs)
        quantised = len(shape) == 2 and ours not in _EXACT
        tensors.append((ours, tuple(reversed(shape)), Q8_0 if quantised else F32))
    with target.open("wb") as file:
        file.write(header(_values(folder / WORDS), tensors)[0])
        for ours, _, kind in tensors:
            numbers = weights.numbers(names[ours])
            data = quantise(numbers) if kind == Q8_0 else numbers.tobytes()
            file.write(data + bytes(padding(len(data))))
        file.flush()
        os.fsync(file.fileno())


def quantise(numbers: ndarray) -> bytes:
    """Q8_0: of each 32 numbers the scale, at 16 bits, and what they are in it, at 8 each."""
    import numpy as np

    blocks = numbers.reshape(-1, _BLOCK)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    scaled = blocks * inverse
    # Half away from zero, as C rounds; numpy rounds half to even.
    size = np.abs(scaled)
    whole = np.floor(size)
    rounded = np.sign(scaled) * (whole + np.floor(2 * (size - whole)))
    out: ndarray = np.empty((len(blocks), 2 + _BLOCK), np.uint8)
    out[:, :2] = scale.astype("<f2").view(np.uint8)
    out[:, 2:] = rounded.astype(np.int8).view(np.uint8)
    return bytes(out.tobytes())


class _Weights:
    """A safetensors file of numbers at 32 bits. Raises OSError, ValueError or KeyError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > path.stat().st_size:
                raise ValueError(f"{path.name} is cut off")
            self._tensors: dict[str, Any] = json.loads(file.read(length))
        self._data = 8 + length

    def shape(self, name: str) -> tuple[int, ...]:
        if self._tensors[name]["dtype"] != "F32":
            raise ValueError(f"{name} does not hold numbers at 32 bits")
        return tuple(self._tensors[name]["shape"])

    def numbers(self, name: str) -> ndarray:
        import numpy as np

        shape, begin = self.shape(name), self._tensors[name]["data_offsets"][0]
        count = int(np.prod(shape))
        found = np.fromfile(self._path, "<f4", count, offset=self._data + begin)
        return found.reshape(shape)


def _values(words: Path) -> dict[str, Any]:
    """The metadata, with the vocabulary as llama.cpp wants it."""
    vocabulary = words.read_text("utf-8").removesuffix("\n").split("\n")
    return {
        "general.architecture": "bert",
        "general.name": "all-MiniLM-L6-v2",
        "general.license": "apache-2.0",
        "general.file_type": _MOSTLY_Q8_0,
        "general.quantization_version": 2,
        "bert.context_length": _CONTEXT,
        "bert.embedding_length": _WIDTH,
        "bert.feed_forward_length": _INNER,
        "bert.block_count": _LAYERS,
        "bert.attention.head_count": _HEADS,
        "bert.attention.layer_norm_epsilon": 1e-12,
        "bert.attention.causal": False,
        "bert.pooling_type": _MEAN,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.tokens": [_piece(each) for each in vocabulary],
        "tokenizer.ggml.token_type": [_type(each) for each in vocabulary],
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.unknown_token_id": vocabulary.index("[UNK]"),
        "tokenizer.ggml.seperator_token_id": vocabulary.index("[SEP]"),
        "tokenizer.ggml.padding_token_id": vocabulary.index("[PAD]"),
        "tokenizer.ggml.bos_token_id": vocabulary.index("[CLS]"),
        "tokenizer.ggml.mask_token_id": vocabulary.index("[MASK]"),
    }


def _type(word: str) -> int:
    if word in _SPECIAL:
        return _CONTROL
    return _UNUSED if _is_bracketed(word) else _NORMAL


def _piece(word: str) -> str:
    if _is_bracketed(word):
        return word
    return word.removeprefix(_GOES_ON) if word.startswith(_GOES_ON) else _BEGINS + word


def _is_bracketed(word: str) -> bool:
    return len(word) > 1 and word.startswith("[") and word.endswith("]")


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
