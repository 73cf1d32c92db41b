"""Files that are no model, and children that cannot start."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from backends.hosted.settings import Patience
from backends.llama_cpp.backend import XLLAMACPP, LlamaCpp
from engine.contract.backend import ModelState
from engine.contract.errors import ArcanumError, ModelFailed, Unavailable
from tests.fakes import gguf_file
from tests.fakes.hosted import ask, says

pytestmark = pytest.mark.model


async def refused(path: Path, run: Path) -> ModelFailed:
    backend = LlamaCpp(path, run)
    with pytest.raises(ModelFailed) as caught:
        await says(backend, ask())
    assert backend.info().state is ModelState.FAILED
    assert backend.info().reason == caught.value.message
    assert caught.value.hint
    assert not psutil.Process().children()
    assert not run.exists() or not list(run.iterdir())
    return caught.value


@pytest.mark.parametrize(
    ("content", "says_so"),
    [
        (b"", "cut off"),
        (b"\x1b]0;owned\7" + b"\0" * 64, "not a GGUF"),
        (b"GGUF" + b"\xff" * 400, "makes no sense"),
    ],
    ids=["empty", "foreign", "nonsense"],
)
async def test_what_is_no_model_is_named(
    tmp_path: Path, content: bytes, says_so: str, run: Path
) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    error = await refused(path, run)
    assert str(path) in error.message
    assert says_so in error.message
    assert "\x1b" not in error.message


async def test_a_download_that_broke_off_is_named(gguf: Path, tmp_path: Path, run: Path) -> None:
    path = tmp_path / "half.gguf"
    with gguf.open("rb") as whole:
        path.write_bytes(whole.read(50_000_000))
    assert str(path) in (await refused(path, run)).message


async def test_what_only_llama_cpp_finds_wrong_is_named(tmp_path: Path, run: Path) -> None:
    values, tensors = gguf_file.llama()
    del values["tokenizer.ggml.tokens"]
    path = gguf_file.write(tmp_path / "odd.gguf", values, tensors)
    error = await refused(path, run)
    assert f"{path} could not be loaded: " in error.message
    assert "tokenizer" in error.message


async def test_a_missing_file_and_a_folder_are_named(tmp_path: Path, run: Path) -> None:
    assert "No such file" in (await refused(tmp_path / "gone.gguf", run)).message
    assert "not a file" in (await refused(tmp_path, run)).message
    assert "cannot be read" in (await refused(Path("a\0b"), run)).message
    assert "cannot be read" in (await refused(Path("\ud800"), run)).message


async def test_any_file_name_will_do(gguf: Path, tmp_path: Path, run: Path) -> None:
    path = tmp_path / os.fsdecode(b"na\xffme\n[b].gguf")
    path.symlink_to(gguf)
    backend = LlamaCpp(path, run)
    assert await says(backend, ask("Hello", 3))
    assert backend.info().model == "na\\xffme\\n[b]"
    await backend.unload()
    assert not list(run.iterdir())


async def test_ten_simultaneous_questions_to_a_broken_model_get_its_one_reason(
    tmp_path: Path, run: Path
) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"NOPE" * 100)
    backend = LlamaCpp(path, run)
    outcomes = await asyncio.gather(*(backend.load() for _ in range(10)), return_exceptions=True)
    assert len({str(each) for each in outcomes}) == 1
    assert isinstance(outcomes[0], ModelFailed)


async def test_a_runtime_folder_that_cannot_be_made_is_named(gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    backend = LlamaCpp(gguf, tmp_path / "file" / "run")
    with pytest.raises(Unavailable, match="Not a directory") as caught:
        await backend.load()
    assert str(tmp_path / "file" / "run") in caught.value.message
    assert backend.info().state is ModelState.FAILED


async def test_loading_takes_no_longer_than_it_may(gguf: Path, run: Path) -> None:
    backend = LlamaCpp(gguf, run, patience=Patience(load_s=0.01))
    with pytest.raises(ModelFailed, match="took longer"):
        await backend.load()
    assert not psutil.Process().children()


@pytest.mark.parametrize(
    ("program", "kind", "words"),
    [
        (
            "sys.stderr.write('x' * 9_000_000 + '\\n\\x1b[31mlast words'); sys.exit(3)",
            ModelFailed,
            "ended by itself (status 3): \\x1b[31mlast words",
        ),
        ("os.kill(os.getpid(), 4)", ModelFailed, "killed by SIGILL"),
        ("sys.stdin.close(); os.close(0); sys.exit(1)", ModelFailed, "status 1"),
        (
            "host(lambda task: __import__('no_such_library'))",
            Unavailable,
            "llama.cpp (xllamacpp) is not usable here: No module named 'no_such_library'",
        ),
        ("host(lambda task: [][0:0].index(7))", ModelFailed, "could not be loaded: 7 is not in"),
    ],
    ids=["talks a lot", "wrong processor", "reads nothing", "not installed", "refuses it"],
)
async def test_a_child_that_cannot_start_says_why(
    gguf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    program: str,
    kind: type[ArcanumError],
    words: str,
    run: Path,
) -> None:
    imports = "import os, sys\nfrom backends.hosted.hosting import host\n"
    (tmp_path / "odd_host.py").write_text(f"{imports}{program}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    backend = LlamaCpp(gguf, run, host=replace(XLLAMACPP, module="odd_host"))
    with pytest.raises(ArcanumError) as caught:
        await backend.load()
    assert type(caught.value) is kind
    assert words in caught.value.message
    assert len(caught.value.message) < 1000
    assert caught.value.hint
    assert not list(run.iterdir())
