"""The process that holds a model through llama-cpp-python: a build made for this machine's GPU."""

from __future__ import annotations

import codecs
import ctypes
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.hosted.hosting import host
from backends.hosted.runner import Ask, Progress, Steps, Token, common
from backends.hosted.serving import serve

if TYPE_CHECKING:
    from llama_cpp import Llama, LlamaGrammar

BATCH = 256
"""Between two batches of a prompt progress is told and a closed connection noticed."""
_ALL_LAYERS = -1
_SEQUENCE = 0  # There is one.
_ERROR = 3  # ggml's level of a log line
_LONGEST_TOKEN = 1024


class LlamaRunner:
    """A ``Runner`` over ``llama_cpp.Llama``."""

    def __init__(self, task: dict[str, Any]) -> None:
        import llama_cpp
        import numpy as np
        from llama_cpp import llama_chat_format

        self._library = llama_cpp
        self._numpy = np
        self._llama = _load(task)
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._llama.model)
        self._grammar: tuple[str, LlamaGrammar] | None = None
        self._bos = self._llama.token_bos()
        self._template = llama_chat_format.Jinja2ChatFormatter(
            self._llama.metadata.get("tokenizer.chat_template")
            or llama_chat_format.CHATML_CHAT_TEMPLATE,
            eos_token=self._name(self._llama.token_eos()),
            bos_token=self._name(self._bos),
        )

    @property
    def context(self) -> int:
        return int(self._llama.n_ctx())

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        text: str = self._template(messages=messages).prompt
        tokens: list[int] = self._llama.tokenize(text.encode(), add_bos=False, special=True)
        # Some templates write it and some leave it to the tokenizer.
        wanted = self._library.llama_vocab_get_add_bos(self._vocabulary)
        if wanted and tokens[:1] != [self._bos]:
            tokens.insert(0, self._bos)
        return tokens

    def generate(self, ask: Ask) -> Steps:
        llama = self._llama
        grammar = self._grammar_of(ask.schema)
        cached = at = self._keep_common(ask.prompt)
        yield Progress(cached, at)
        while len(ask.prompt) - at > BATCH:
            llama.eval(ask.prompt[at : at + BATCH])
            at += BATCH
            yield Progress(cached, at)
        # It reads the last batch, too.
        sampled = llama.generate(
            ask.prompt[at:], temp=ask.temperature, reset=False, grammar=grammar
        )
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for number, token in enumerate(sampled, 1):
            if number == 1:
                yield Progress(cached, len(ask.prompt))
            if self._library.llama_vocab_is_eog(self._vocabulary, token):
                return
            text = decoder.decode(self._piece(token))
            yield Token(text) if ask.alternatives is None else self._weighed(text, token, ask)
            if number == ask.max_tokens:
                return

    def save(self, path: Path) -> int:
        held = self._held()
        tokens = (self._library.llama_token * len(held))(*held)
        written = self._library.llama_state_seq_save_file(
            self._llama.ctx, os.fsencode(path), _SEQUENCE, tokens, len(held)
        )
        # llama.cpp does not notice where the last of what it writes finds no room.
        if not written or written != path.stat().st_size:
            raise OSError(f"the state could not be written to {path.name}")
        return len(held)

    def restore(self, path: Path) -> int:
        self.erase()
        tokens = (self._library.llama_token * self.context)()
        count = ctypes.c_size_t()
        read = self._library.llama_state_seq_load_file(
            self._llama.ctx,
            os.fsencode(path),
            _SEQUENCE,
            tokens,
            self.context,
            ctypes.byref(count),
        )
        if not read:
            self.erase()
            raise ValueError(f"{path.name} is no state of this model")
        self._llama.input_ids[: count.value] = tokens[: count.value]
        self._llama.n_tokens = count.value
        return count.value

    def erase(self) -> int:
        count = int(self._llama.n_tokens)
        self._llama.reset()
        self._llama._ctx.kv_cache_clear()  # noqa: SLF001 - there is no public way
        return count

    # --- what was read ---

    def _held(self) -> list[int]:
        found: list[int] = self._llama.input_ids[: self._llama.n_tokens].tolist()
        return found

    def _keep_common(self, prompt: list[int]) -> int:
        """Forgets what does not begin ``prompt``; how many of its tokens need not be read."""
        held = self._held()
        kept = common(held, prompt)
        if kept < len(held):
            context = self._llama._ctx  # noqa: SLF001 - there is no public way
            # Models with a recurrent state cannot go back.
            if not context.kv_cache_seq_rm(_SEQUENCE, kept, -1):
                self.erase()
                return 0
            self._llama.n_tokens = kept
        return kept

    # --- tokens ---

    def _grammar_of(self, schema: dict[str, Any] | None) -> LlamaGrammar | None:
        if schema is None:
            return None
        text = json.dumps(schema)
        if self._grammar is None or self._grammar[0] != text:
            try:
                grammar = self._library.LlamaGrammar.from_json_schema(text, verbose=False)
            except Exception as error:
                raise ValueError(f"the schema cannot be turned into a grammar: {error}") from error
            self._grammar = text, grammar
        return self._grammar[1]

    def _weighed(self, text: str, token: int, ask: Ask) -> Token:
        """The token with its log-probability: only the last position's, which is there anyway."""
        np = self._numpy
        pointer = self._library.llama_get_logits_ith(self._llama.ctx, -1)
        logits = np.ctypeslib.as_array(pointer, shape=(self._llama.n_vocab(),)).astype(np.float64)
        logits -= logits.max()
        logits -= np.log(np.exp(logits).sum())
        wanted = min(ask.alternatives or 0, len(logits))
        best = np.argsort(logits)[::-1][:wanted]
        others = [(self._piece(int(each)).decode("utf-8", "replace"), each) for each in best]
        return Token(
            text,
            float(logits[token]),
            tuple((piece, float(logits[each])) for piece, each in others),
        )

    def _piece(self, token: int) -> bytes:
        """The token's bytes, which may be part of a character; none for a control token."""
        buffer = ctypes.create_string_buffer(_LONGEST_TOKEN)
        size = self._library.llama_token_to_piece(
            self._vocabulary, token, buffer, _LONGEST_TOKEN, 0, False
        )
        return buffer.raw[: max(0, size)]

    def _name(self, token: int) -> str:
        """How a control token is written in a template; empty where the model has none."""
        if token < 0:
            return ""
        found: bytes = self._library.llama_vocab_get_text(self._vocabulary, token)
        return found.decode("utf-8", "replace")


def _load(task: dict[str, Any]) -> Llama:
    """The model. Raises ValueError with llama.cpp's own first word of what is wrong with it."""
    import llama_cpp
    from llama_cpp._logger import llama_log_callback as usual

    errors: list[str] = []

    def note(level: int, text: bytes, _: object) -> None:
        if level == _ERROR:
            errors.append(text.decode("utf-8", "replace").strip())

    noting = llama_cpp.llama_log_callback(note)
    llama_cpp.llama_log_set(noting, None)
    layers = task["gpu_layers"]
    on_gpu = layers != 0 and llama_cpp.llama_supports_gpu_offload()
    try:
        return llama_cpp.Llama(
            task["model"],
            n_gpu_layers=_ALL_LAYERS if layers is None else layers,
            n_ctx=task["context"],
            n_batch=BATCH,
            n_ubatch=BATCH,
            n_threads=task["threads"],
            n_threads_batch=task["threads"],
            # It spares a GPU time and memory; on a CPU it takes a quarter of the speed.
            flash_attn=on_gpu,
            verbose=False,
        )
    except ValueError as error:
        raise ValueError(errors[0] if errors else str(error)) from error
    finally:
        llama_cpp.llama_log_set(usual, None)


if __name__ == "__main__":
    host(lambda task: serve(task, LlamaRunner))
