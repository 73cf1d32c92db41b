"""The process that holds an MLX model through mlx-lm: on Apple silicon, or on a Linux CPU."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from backends.hosted.folder import STATE_LINK
from backends.hosted.hosting import host
from backends.hosted.runner import Ask, Progress, Steps, Token, common
from backends.hosted.serving import serve

if TYPE_CHECKING:
    import mlx.core as mx
    from llguidance import LLTokenizer

    Shape: TypeAlias = Callable[[mx.array, mx.array], mx.array]

BATCH = 512
"""Between two batches of a prompt progress is told and a closed connection noticed."""
# A folder is all there is: nothing is looked up on a hub, and nothing in it is run.
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}


class MlxRunner:
    """A ``Runner`` over mlx-lm, with one prompt cache."""

    def __init__(self, task: dict[str, Any]) -> None:
        os.environ.update(_ENVIRONMENT)
        import mlx.core
        import mlx_lm

        self._mx = mlx.core
        self._link = Path(task["socket"]).with_name(STATE_LINK)
        self._model, self._tokenizer, config = mlx_lm.load(
            task["model"],
            tokenizer_config={"trust_remote_code": False},
            return_config=True,
            trust_remote_code=False,
        )
        if not self._tokenizer.has_chat_template:
            raise ValueError("it has no chat template, so it is not made for conversations")
        self.context = min(task["context"], _trained_for(config))
        self._vocabulary: LLTokenizer | None = None
        self._cache: list[Any] = []
        self._read: list[int] = []  # The tokens that the cache is of.
        self.erase()

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        tokens: list[int] = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True
        )
        return tokens

    def generate(self, ask: Ask) -> Steps:
        shape = self._shape(ask.schema) if ask.schema is not None else None
        try:
            yield from self._read_prompt(ask)
            yield from self._answer(ask, shape)
        except Exception:
            # How much of it is in the cache is not known any more.
            self.erase()
            raise

    def save(self, path: Path) -> int:
        from mlx_lm.models.cache import save_prompt_cache

        if not self._read:
            raise ValueError("nothing was read yet")
        with path.open("wb") as file:
            save_prompt_cache(file, self._cache, {"tokens": json.dumps(self._read)})
        return len(self._read)

    def restore(self, path: Path) -> int:
        from mlx_lm.models.cache import load_prompt_cache

        self.erase()
        self._link.symlink_to(path)
        try:
            cache, told = load_prompt_cache(os.fspath(self._link), return_metadata=True)
            read = json.loads(told["tokens"])
            self._mx.eval([each.state for each in cache])
        except Exception as error:
            raise ValueError(f"{path.name} is no state of this model: {error}") from error
        finally:
            self._link.unlink()
        if len(cache) != len(self._cache):
            raise ValueError(f"{path.name} is the state of another model")
        self._cache, self._read = cache, read
        return len(read)

    def erase(self) -> int:
        from mlx_lm.models.cache import make_prompt_cache

        count = len(self._read)
        self._cache, self._read = make_prompt_cache(self._model), []
        return count

    # --- the prompt ---

    def _keep_common(self, prompt: list[int]) -> int:
        """Forgets what does not begin ``prompt``; how many of its tokens need not be read."""
        from mlx_lm.models.cache import trim_prompt_cache

        kept = common(self._read, prompt)
        if surplus := len(self._read) - kept:
            # Caches with a recurrent state or a full window cannot go back.
            if trim_prompt_cache(self._cache, surplus) != surplus:
                self.erase()
                return 0
            del self._read[kept:]
        return kept

    def _read_prompt(self, ask: Ask) -> Steps:
        """Reads all batches but the last one."""
        from mlx_lm.generate import generation_stream

        cached = self._keep_common(ask.prompt)
        yield Progress(cached, cached)
        while len(ask.prompt) - len(self._read) > BATCH:
            batch = ask.prompt[len(self._read) :][:BATCH]
            with self._mx.stream(generation_stream):
                self._model(self._mx.array(batch)[None], cache=self._cache)
                self._mx.eval([each.state for each in self._cache])
            self._mx.clear_cache()
            self._read += batch
            yield Progress(cached, len(self._read))

    # --- the answer ---

    def _answer(self, ask: Ask, shape: Shape | None) -> Steps:
        from mlx_lm.generate import generate_step, generation_stream, wired_limit
        from mlx_lm.sample_utils import make_sampler

        cached = len(self._read)
        steps = generate_step(
            self._mx.array(ask.prompt[cached:]),
            self._model,
            max_tokens=-1,  # So that each token is in the cache when it is told.
            sampler=make_sampler(ask.temperature, top_p=0.95, min_p=0.05),
            logits_processors=[shape] if shape is not None else None,
            prompt_cache=self._cache,
        )
        words = self._tokenizer.detokenizer
        with wired_limit(self._model, [generation_stream]), closing(steps):
            for number, (token, logprobs) in enumerate(steps, 1):
                if number == 1:
                    self._read = ask.prompt.copy()
                self._read.append(token)
                if token in self._tokenizer.eos_token_ids:
                    break
                words.add_token(token)
                text = words.last_segment
                weighed = ask.alternatives is not None
                yield self._weighed(text, token, logprobs, ask) if weighed else Token(text)
                if number == ask.max_tokens:
                    break
        words.finalize()
        # Half a character at the end is none.
        if rest := words.last_segment.rstrip("\ufffd"):
            yield Token(rest, counts=False)

    def _weighed(self, text: str, token: int, logprobs: mx.array, ask: Ask) -> Token:
        wanted = min(ask.alternatives or 0, logprobs.size)
        best = self._mx.argsort(-logprobs)[:wanted].tolist()
        others = tuple((self._tokenizer.decode([each]), logprobs[each].item()) for each in best)
        return Token(text, logprobs[token].item(), others)

    def _shape(self, schema: dict[str, Any]) -> Shape:
        """What takes away the tokens with which no JSON of this schema goes on."""
        import numpy as np
        from llguidance import LLMatcher
        from llguidance.hf import from_tokenizer

        ends = list(self._tokenizer.eos_token_ids)
        if self._vocabulary is None:
            bare = self._tokenizer._tokenizer  # noqa: SLF001 - there is no public way
            self._vocabulary = from_tokenizer(bare, eos_token=ends)
        grammar = LLMatcher.grammar_from_json_schema(schema)
        matcher = LLMatcher(self._vocabulary, grammar)
        if matcher.is_error():
            raise ValueError(f"the schema cannot be used: {matcher.get_error()}")
        begun = False

        def shaped(tokens: mx.array, logits: mx.array) -> mx.array:
            nonlocal begun
            if begun and not matcher.is_stopped():
                matcher.consume_token(tokens[-1].item())
            begun = True
            allowed = np.zeros(logits.shape[-1], bool)
            if matcher.is_stopped():
                allowed[ends] = True
            else:
                bits = np.frombuffer(matcher.compute_bitmask(), np.uint8)
                known = np.unpackbits(bits, bitorder="little")[: len(allowed)]
                allowed[: len(known)] = known
            return self._mx.where(self._mx.array(allowed), logits, float("-inf"))

        return shaped


def _trained_for(config: dict[str, Any]) -> int:
    """The longest context that the model was made for; any where it does not say."""
    inner = config.get("text_config")
    for each in (config, inner if isinstance(inner, dict) else {}):
        if isinstance(found := each.get("max_position_embeddings"), int) and found > 0:
            return found
    return 1 << 30


if __name__ == "__main__":
    host(lambda task: serve(task, MlxRunner))
