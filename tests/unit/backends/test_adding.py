"""Adding models: files, folders and servers, looked at; and what their lines in the list say."""

from __future__ import annotations

import asyncio
import json
import struct
import threading
from pathlib import Path
from typing import Any

import pytest

from backends.registry import Catalog, ModelSettings
from engine.contract.backend import AddedModel, ModelChoice
from engine.contract.errors import ArcanumError, Invalid, ModelFailed, NotFound, Unavailable
from tests.fakes import gguf_file
from tests.fakes.openai_server import OpenAIServer
from tests.fakes.waiting import until


def settings(tmp_path: Path, **more: object) -> ModelSettings:
    return ModelSettings(runtime_dir=tmp_path / "run", **more)  # type: ignore[arg-type]


def a_gguf(folder: Path, name: str = "Qwen 2.5 (3B).gguf") -> Path:
    folder.mkdir(exist_ok=True)
    return gguf_file.write(folder / name, *gguf_file.llama())


async def test_a_file_is_added_by_a_name_made_of_its_own(tmp_path: Path) -> None:
    catalog = Catalog(settings(tmp_path))
    path = a_gguf(tmp_path / "models")
    first = await catalog.examine(str(path), "", "", "")
    assert first == AddedModel("Qwen-2.5-3B", "gguf", str(path))
    catalog.learn([first])
    assert (await catalog.examine(str(path), "", "", "")).name == "Qwen-2.5-3B-2"
    assert (await catalog.examine(str(path), "mine", "", "")).name == "mine"
    choice = next(each for each in catalog.choices() if each.name == "Qwen-2.5-3B")
    assert (choice.backend, choice.origin) == ("llama_cpp", "added")
    assert choice.size == path.stat().st_size
    assert catalog.create("Qwen-2.5-3B").info().model == path.stem
    placement = await catalog.place("Qwen-2.5-3B")
    assert placement is not None
    assert placement.layers == 3
    catalog.learn([])
    with pytest.raises(NotFound):
        catalog.create("Qwen-2.5-3B")


async def test_a_folder_may_hold_one_model(tmp_path: Path) -> None:
    catalog = Catalog(settings(tmp_path))
    folder = tmp_path / "models"
    one = a_gguf(folder, "big-00001-of-00002.gguf")
    (folder / "big-00002-of-00002.gguf").write_bytes(b"its second part")
    (folder / "mmproj-F16.gguf").write_bytes(b"its eyes")
    found = await catalog.examine(str(folder), "", "", "")
    assert (found.name, found.place) == ("big", str(one))
    a_gguf(folder, "other.gguf")
    with pytest.raises(Invalid, match=r"2 models: big-00001-of-00002\.gguf, other"):
        await catalog.examine(str(folder), "", "", "")
    with pytest.raises(Invalid, match="holds no model"):
        await catalog.examine(str(tmp_path), "", "", "")


async def test_an_mlx_folder_is_added_and_placed(tmp_path: Path) -> None:
    folder = tmp_path / "tiny-mlx"
    folder.mkdir()
    config = {
        "model_type": "llama",
        "num_hidden_layers": 1,
        "hidden_size": 8,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 16,
        "vocab_size": 10,
    }
    tensors = {
        "model.embed_tokens.weight": {"dtype": "F16", "shape": [10, 8], "data_offsets": [0, 160]},
        "model.layers.0.mlp.up_proj.weight": {
            "dtype": "F16",
            "shape": [16, 8],
            "data_offsets": [160, 416],
        },
    }
    header = json.dumps(tensors).encode()
    weights = struct.pack("<Q", len(header)) + header + b"\0" * 416
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    catalog = Catalog(settings(tmp_path))
    found = await catalog.examine(f"{folder}/", "", "", "")
    assert found == AddedModel("tiny-mlx", "mlx", str(folder))
    catalog.learn([found])
    choice = next(each for each in catalog.choices() if each.name == "tiny-mlx")
    assert (choice.backend, choice.size) == ("mlx", len(weights))
    (folder / "model.safetensors").write_bytes(weights[:-1])
    with pytest.raises(ModelFailed):
        await catalog.examine(str(folder), "", "", "")


@pytest.mark.parametrize(
    ("source", "error", "says"),
    [
        ("/nowhere/at/all.gguf", NotFound, "There is no /nowhere"),
        ("models/mine.gguf", Invalid, "not a whole path"),
        ("hf:owner/repository", Invalid, "cannot be added"),
        ("ftp://host/model", Invalid, "cannot be added"),
        ("http://user:secret@host", Invalid, "holds more than"),
        ("unix:", Invalid, "names no socket"),
        ("/\udcff", Invalid, "is not UTF-8"),
        ("/a\0b", NotFound, "There is no /a"),
        ("~nobody-at-all/m.gguf", Invalid, "cannot be looked at"),
        ("/dev/null", ModelFailed, "is not a file"),
        ("/" + "x" * 1_900, Invalid, "cannot be looked at"),
    ],
)
async def test_what_cannot_be_added_is_named(
    tmp_path: Path, source: str, error: type[ArcanumError], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        await Catalog(settings(tmp_path)).examine(source, "", "", "")
    assert "secret" not in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    "name", ["bundled", "scripted", "gguf:x", "endpoint:x", "ollama:x", "a/b", "-x", "\x1b", " "]
)
async def test_an_added_model_shadows_nothing(tmp_path: Path, name: str) -> None:
    path = a_gguf(tmp_path / "models")
    with pytest.raises(Invalid):
        await Catalog(settings(tmp_path)).examine(str(path), name, "", "")


async def test_a_broken_file_is_not_added(tmp_path: Path) -> None:
    path = a_gguf(tmp_path / "models")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelFailed, match="is cut off"):
        await Catalog(settings(tmp_path)).examine(str(path), "", "", "")


async def test_a_server_is_asked_which_models_it_has(tmp_path: Path) -> None:
    models: list[dict[str, Any]] = [{"id": "org/qwen:14b"}, {"id": "evil\x1b[31m"}]
    async with OpenAIServer(models=models[:1]).running() as server:
        catalog = Catalog(settings(tmp_path))
        found = await catalog.examine(server.url, "", "", "")
        assert found == AddedModel("qwen-14b", "endpoint", server.url, "org/qwen:14b")
        catalog.learn([found])
        assert catalog.create("qwen-14b").info().model == "org/qwen:14b"
        assert await catalog.place("qwen-14b") is None
        with pytest.raises(Invalid, match="has no model 'other'"):
            await catalog.examine(server.url, "", "other", "")
    async with OpenAIServer(models=models).running() as server:
        with pytest.raises(Invalid, match=r"several models: org/qwen:14b, evil\\x1b\[31m"):
            await catalog.examine(server.url, "", "", "")
        assert (await catalog.examine(server.url, "", "org/qwen:14b", "")).model == "org/qwen:14b"


async def test_a_server_that_is_down_or_wants_a_key_is_named(tmp_path: Path) -> None:
    catalog = Catalog(settings(tmp_path), {})
    with pytest.raises(Unavailable, match="does not answer"):
        await catalog.examine("http://127.0.0.1:9", "", "", "")
    with pytest.raises(Invalid, match="BOX_KEY holds no key"):
        await catalog.examine("http://127.0.0.1:9", "", "", "BOX_KEY")
    with pytest.raises(Invalid, match="Only a server"):
        await catalog.examine(str(tmp_path), "", "", "BOX_KEY")


async def test_a_hub_is_downloaded_from_by_a_command_that_exists(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        await Catalog(settings(tmp_path)).examine("hf:owner/repository", "", "", "")
    assert "arcanum model add hf:owner/repository" in caught.value.hint


@pytest.mark.parametrize("name", ["scripted", "bundled", "ollama:mine", "a/b", "-x", "\x1b[31m"])
async def test_what_no_model_can_be_called_is_refused_before_anything_else(
    tmp_path: Path, name: str
) -> None:
    catalog = Catalog(settings(tmp_path))
    with pytest.raises(Invalid):
        catalog.check_name(name)
    with pytest.raises(Invalid):
        await catalog.examine("/nowhere/at/all.gguf", name, "", "")


async def test_a_model_that_is_gone_is_marked(tmp_path: Path) -> None:
    path = a_gguf(tmp_path / "models")
    catalog = Catalog(settings(tmp_path, gguf=path))
    catalog.learn([AddedModel("mine", "gguf", str(path))])

    def told() -> list[str]:
        mine = {"mine", f"gguf:{path}"}
        return [each.description for each in catalog.choices() if each.name in mine]

    assert len(told()) == 2
    assert all(each.endswith(", run here") for each in told())
    path.unlink()
    assert all(each.endswith(", which is not there") for each in told())


async def test_adding_beside_a_disk_that_hangs_holds_up_nobody(tmp_path: Path) -> None:
    looking, disk = threading.Event(), threading.Event()

    class Hangs(Catalog):
        def choices(self) -> tuple[ModelChoice, ...]:
            looking.set()
            assert disk.wait(5)
            return super().choices()

    path = a_gguf(tmp_path / "models")
    adding = asyncio.create_task(Hangs(settings(tmp_path)).examine(str(path), "", "", ""))
    try:
        await until(looking.is_set)
        assert not adding.done()
    finally:
        disk.set()
    assert (await adding).place == str(path)
