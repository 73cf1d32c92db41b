"""MLX folders for tests: the bundled model in MLX's form, and a tiny one that knows nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS = 3000
"""How far the tiny model counts."""
_CONTROL = 3  # GGUF's type of a token that is no text
_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def convert(gguf: Path, folder: Path) -> Path:
    """The Llama model of a GGUF file as an MLX folder. What is quantised there stays so here."""
    arrays, meta = mx.load(str(gguf), return_metadata=True)
    number = lambda name: meta[f"llama.{name}"].item()  # noqa: E731
    heads = {"attn_q": number("attention.head_count"), "attn_k": number("attention.head_count_kv")}
    weights = {}
    for name, array in arrays.items():
        *layer, part, kind = name.removeprefix("blk.").split(".")
        where = f"model.layers.{layer[0]}.{_NAMES[part]}" if layer else _NAMES[part]
        weights[f"{where}.{kind}"] = _unpermuted(array, heads[part]) if part in heads else array
    config = {
        "model_type": "llama",
        "hidden_size": number("embedding_length"),
        "intermediate_size": number("feed_forward_length"),
        "num_hidden_layers": number("block_count"),
        "num_attention_heads": heads["attn_q"],
        "num_key_value_heads": heads["attn_k"],
        "rms_norm_eps": number("attention.layer_norm_rms_epsilon"),
        "rope_theta": number("rope.freq_base"),
        "vocab_size": number("vocab_size"),
        "max_position_embeddings": number("context_length"),
        "tie_word_embeddings": "output.weight" not in arrays,
        "eos_token_id": meta["tokenizer.ggml.eos_token_id"].item(),
        "quantization": {"group_size": 32, "bits": 4},
    }
    tokens, types = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"].tolist()
    tokenizer = _byte_level(
        {token: at for at, token in enumerate(tokens)},
        [tuple(merge.split(" ")) for merge in meta["tokenizer.ggml.merges"]],
        [token for token, kind in zip(tokens, types, strict=True) if kind == _CONTROL],
    )
    told = {
        "bos_token": tokens[meta["tokenizer.ggml.bos_token_id"].item()],
        "eos_token": tokens[config["eos_token_id"]],
        "chat_template": meta["tokenizer.chat_template"],
    }
    return _write(folder, weights, config, tokenizer, told)


def tiny(folder: Path, context: int = 4096, layers: int = 2, width: int = 128) -> Path:
    """A Llama model that loads at once and counts: `` 1 2 3 …``, whatever it is asked.

    Each token has a random direction, and the head looks for that of its predecessor. The layers
    add a little noise: so log-probabilities tell whether all of the prompt was read.
    """
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    control = ["<|im_start|>", "<|im_end|>"]
    numbers = [f"Ġ{n}" for n in range(1, WORDS + 1)]
    vocabulary = {token: at for at, token in enumerate([*letters, *control, *numbers])}
    first, last = vocabulary[numbers[0]], vocabulary[numbers[-1]]
    mx.random.seed(1)
    directions = mx.random.normal((len(vocabulary), width))
    head = mx.zeros_like(directions)
    head[first + 1 :] = directions[first:last] * 0.1
    head[first] = directions[vocabulary["Ċ"]] * 0.1  # An answer begins after a line feed.
    weights = {
        "model.embed_tokens.weight": directions,
        "model.norm.weight": mx.ones(width),
        "lm_head.weight": head,
    }
    for layer in range(layers):
        prefix = f"model.layers.{layer}"
        shapes = {f"self_attn.{each}_proj": (width, width) for each in "qkvo"}
        shapes |= {f"mlp.{each}_proj": (2 * width, width) for each in ("gate", "up")}
        shapes |= {"mlp.down_proj": (width, 2 * width)}
        for name, shape in shapes.items():
            weights[f"{prefix}.{name}.weight"] = mx.random.normal(shape) * 0.06
        for name in ("input", "post_attention"):
            weights[f"{prefix}.{name}_layernorm.weight"] = mx.ones(width)
    config = {
        "model_type": "llama",
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "rms_norm_eps": 1e-5,
        "vocab_size": len(vocabulary),
        "max_position_embeddings": context,
        "tie_word_embeddings": False,
        "eos_token_id": vocabulary[control[1]],
    }
    tokenizer = _byte_level(vocabulary, [], control)
    told = {"bos_token": control[0], "eos_token": control[1], "chat_template": CHATML}
    return _write(folder, weights, config, tokenizer, told)


def _unpermuted(rows: mx.array, heads: int) -> mx.array:
    """GGUF has the two halves of each head's rotation interleaved."""
    halves = rows.reshape(heads, rows.shape[0] // heads // 2, 2, -1)
    return halves.swapaxes(1, 2).reshape(rows.shape)


def _byte_level(
    vocabulary: dict[str, int], merges: list[tuple[str, ...]], control: list[str]
) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(each, special=True) for each in control])
    return tokenizer


def _write(
    folder: Path,
    weights: dict[str, mx.array],
    config: dict[str, Any],
    tokenizer: Tokenizer,
    told: dict[str, Any],
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(folder / "model.safetensors"), weights, {"format": "mlx"})
    tokenizer.save(str(folder / "tokenizer.json"))
    told = {"tokenizer_class": "PreTrainedTokenizerFast", **told}
    for name, value in (("config", config), ("tokenizer_config", told)):
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return folder
