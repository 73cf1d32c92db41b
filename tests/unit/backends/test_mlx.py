"""MLX folders: what is no model, the bundled one converted, and a cache that must not lie."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from backends.hosted.settings import Options
from backends.llama_cpp.backend import LlamaCpp
from backends.llama_cpp.gguf import read_gguf
from backends.mlx.backend import Mlx
from backends.mlx.folder import control_tokens, read_mlx
from engine.contract.backend import Generation, Message, ModelState, Piece
from engine.contract.errors import ModelFailed
from tests.fakes.llama_server import bundled

pytestmark = pytest.mark.binding("mlx_lm", get="make mlx")

FRANCE = (
    Message("system", "You are a helpful assistant."),
    Message("user", "What is the capital of France?"),
)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.fakes.mlx_model import tiny

    return tiny(tmp_path_factory.mktemp("mlx") / "tiny")


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.fakes.mlx_model import convert

    return convert(bundled(), tmp_path_factory.mktemp("mlx") / "smollm2")


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy that may be harmed."""
    return Path(shutil.copytree(tiny_model, tmp_path / "harmed"))


@pytest.fixture
async def tiny(tiny_model: Path, tmp_path: Path) -> AsyncIterator[Mlx]:
    backend = Mlx(tiny_model, tmp_path / "run")
    yield backend
    await backend.unload()


async def pieces_of(backend: Mlx | LlamaCpp, generation: Generation) -> list[Piece]:
    async with backend.stream(generation) as stream:
        return [piece async for piece in stream]


def ask(text: str, most: int = 3, **more: Any) -> Generation:
    return Generation((Message("user", text),), most, **more)


# --- the bundled model, in MLX's form ---


@pytest.mark.model
async def test_the_converted_model_knows_its_capitals(converted: Path, tmp_path: Path) -> None:
    backend = Mlx(converted, tmp_path / "run")
    pieces = await pieces_of(backend, Generation(FRANCE, 12))
    assert "Paris" in "".join(piece.text for piece in pieces)
    assert pieces[-1].finish == "stop"
    await backend.unload()


@pytest.mark.model
async def test_mlx_and_llama_cpp_see_the_same_prompt(converted: Path, tmp_path: Path) -> None:
    gguf = bundled()
    ours, other = Mlx(converted, tmp_path / "run"), LlamaCpp(gguf, tmp_path / "run")
    texts = ["Hello", "1234 56.7", "  spaced\n\n\tout ", "naïve 🦑 שלום", "<|im_end|>", "x" * 99]
    for text in texts:
        messages = (Message("system", text), Message("user", text))
        assert await ours.count_tokens(messages) == await other.count_tokens(messages), text
    shape, told = read_mlx(converted), read_gguf(gguf)
    for name in ("parameters", "layers", "cache_a_token", "embedding", "forward", "heads"):
        assert getattr(shape, name) == getattr(told, name), name
    assert (shape.context, shape.vocabulary, shape.tied) == (told.context, told.vocabulary, True)
    await ours.unload()
    await other.unload()


# --- what was read ---


async def logprob(backend: Mlx, text: str) -> tuple[float, int]:
    """Of the first token of the answer, and how much of the prompt was not read again."""
    pieces = await pieces_of(backend, ask(text, 1, logprobs=1))
    usage = pieces[-1].usage
    assert usage is not None
    return next(piece for piece in pieces if piece.logprobs).logprobs[
        0
    ].logprob, usage.cached_tokens


async def test_a_prompt_that_begins_alike_is_answered_as_if_it_was_read_whole(tiny: Mlx) -> None:
    long = "The quick brown fox. " * 40
    fresh, _ = await logprob(tiny, long + "And the dog?")
    await logprob(tiny, "Something else")
    await pieces_of(tiny, ask(long + "And the cow?", 20))
    again, cached = await logprob(tiny, long + "And the dog?")
    assert cached > len(long)
    assert again == pytest.approx(fresh, rel=1e-5)
    other, _ = await logprob(tiny, long + "And the horse?")
    assert other != pytest.approx(fresh, rel=1e-5), "it tells prompts apart at all"


async def test_leaving_mid_answer_leaves_a_cache_that_holds(tiny: Mlx) -> None:
    text = "Count to a thousand. " * 30
    fresh, _ = await logprob(tiny, text)
    async with tiny.stream(ask(text, 900)) as stream:
        for _ in range(5):
            await anext(stream)
    again, cached = await logprob(tiny, text)
    assert cached > len(text)
    assert again == pytest.approx(fresh, rel=1e-5)


async def test_an_answer_ends_where_the_context_does(tiny_model: Path, tmp_path: Path) -> None:
    backend = Mlx(tiny_model, tmp_path / "run", Options(context=100))
    pieces = await pieces_of(backend, ask("Hello", 5000))
    usage = pieces[-1].usage
    assert usage is not None
    assert usage.prompt_tokens + usage.new_tokens == backend.info().context == 100
    assert pieces[-1].finish == "length"
    await backend.unload()


async def test_half_a_character_is_never_shown(tiny: Mlx) -> None:
    pieces = await pieces_of(tiny, ask("🦑", 40, temperature=1.0))
    assert "\ufffd" not in "".join(piece.text for piece in pieces)


async def test_no_port_is_open(tiny: Mlx) -> None:
    await tiny.load()
    assert psutil.Process(tiny.info().pid).net_connections(kind="inet") == []


# --- folders that are no model ---


def edit(name: str, **changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / name
        told = json.loads(file.read_text()) | changes
        file.write_text(json.dumps({key: each for key, each in told.items() if each is not None}))

    return change


def write(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def pipe(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return make


def cut(folder: Path) -> None:
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(100_000)


def header(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


INDEX = b'{"weight_map": {"a": "model-00002-of-00002.safetensors"}}'
WEIGHTS = "model.safetensors"


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (remove("config.json"), "no config.json"),
        (write("config.json", b"{"), "not JSON"),
        (write("config.json", b"[" * 100_000), "not JSON"),
        (write("config.json", b"[]"), "not a JSON object"),
        (write("config.json", b" " * 2_000_000), "over 1.05 MB"),
        (pipe("config.json"), "not a file"),
        (edit("config.json", model_type=None), "no model_type"),
        (edit("config.json", num_hidden_layers=-1), "makes no sense"),
        (edit("config.json", num_hidden_layers=10**9), "makes no sense"),
        (edit("config.json", hidden_size="\x1b[31m"), "makes no sense"),
        (edit("config.json", model_file="evil.py"), "code of its own"),
        (remove("tokenizer.json"), "no tokenizer"),
        (remove(WEIGHTS), "no weights"),
        (pipe(WEIGHTS), "not a file"),
        (write("model.safetensors.index.json", INDEX), "model-00002-of-00002.safetensors"),
        (cut, "cut off"),
        (write(WEIGHTS, b""), "no safetensors"),
        (write(WEIGHTS, b"\xff" * 64), "no safetensors"),
        (write(WEIGHTS, header("{}}")), "not JSON"),
        (write(WEIGHTS, header('{"a": 7}')), "makes no sense"),
        (
            write(WEIGHTS, header('{"a": {"shape": [1], "data_offsets": [9, 3]}}')),
            "makes no sense",
        ),
        (
            write(WEIGHTS, header('{"a": {"shape": [1], "data_offsets": [0, 1e400]}}')),
            "makes no sense",
        ),
        # What only mlx-lm can find is found by it, in its own process.
        (edit("config.json", model_type="no_such_model"), "no_such_model"),
        (edit("config.json", hidden_size=64), "could not be loaded"),
        (edit("tokenizer_config.json", chat_template=None), "no chat template"),
        (write("tokenizer.json", b"{}"), "could not be loaded"),
    ],
    ids=range(26),
)
async def test_what_is_no_model_is_named(
    folder: Path, tmp_path: Path, harm: Callable[[Path], object], says: str
) -> None:
    harm(folder)
    backend = Mlx(folder, tmp_path / "run")
    with pytest.raises(ModelFailed) as caught:
        await pieces_of(backend, ask("Hello"))
    assert str(folder) in caught.value.message
    assert says in caught.value.message
    assert "\x1b" not in caught.value.message
    assert caught.value.hint
    assert backend.info().state is ModelState.FAILED
    assert not psutil.Process().children()


def test_control_tokens_are_found_before_the_vocabulary(folder: Path) -> None:
    assert control_tokens(folder) == ["<|im_start|>", "<|im_end|>"]
    tokenizer = folder / "tokenizer.json"
    added = '{"added_tokens": [{"content": "<x>", "special": true}, {"content": "y"}, 7], '
    for written, found in (
        (added + "cut off", ["<x>"]),
        ('{"added_tokens": [{"content"', []),
        ('{"added_tokens": ' + "[" * 100_000, []),
        ("\xff", []),
    ):
        tokenizer.write_text(written)
        assert control_tokens(folder) == found
    tokenizer.unlink()
    os.mkfifo(tokenizer)
    assert control_tokens(folder) == [], "nobody writes into it"


async def test_a_missing_folder_and_a_file_are_named(tmp_path: Path) -> None:
    for path, says in (
        (tmp_path / "gone", "No such file"),
        (Path(__file__), "is not a folder"),
        (Path("a\0b"), "cannot be read"),
    ):
        with pytest.raises(ModelFailed, match=says):
            await Mlx(path, tmp_path / "run").load()


async def test_code_in_a_folder_is_never_run(folder: Path, tmp_path: Path) -> None:
    sign = tmp_path / "was run"
    (folder / "evil.py").write_text(f"open({str(sign)!r}, 'w')\nclass Evil: ...\n")
    evil = {"AutoTokenizer": ["evil.Evil", "evil.Evil"], "AutoConfig": "evil.Evil"}
    edit("config.json", auto_map=evil)(folder)
    edit("tokenizer_config.json", auto_map=evil, tokenizer_class="Evil")(folder)
    backend = Mlx(folder, tmp_path / "run")
    try:
        await backend.load()
    except ModelFailed as error:
        assert error.hint  # noqa: PT017 - either will do, as long as it is not run
    await backend.unload()
    assert not sign.exists()
