"""``arcanum model``: what its answers look like, and how what is typed becomes a request."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.contract.base import now
from engine.contract.engine import Status
from engine.contract.errors import EXIT_FAILED
from engine.contract.jobs import Job, JobStarted, JobState
from engine.contract.model import BenchResult, ModelInfo, ModelLine, ModelList, PlacementInfo
from tests.unit.cli.answers import Answers

Arcanum = Callable[..., Any]

FREE = "1.0 GB in this machine, 7.5 GB on the GPU, of which it takes 7.0 GB"
LINE = ModelLine(name="qwen", backend="llama_cpp", description="small\x1b[2J", size=2_000_000_000)


def info(**changes: Any) -> ModelInfo:
    place = PlacementInfo(
        library="xllamacpp", device="RTX 4070", because="24 of 36 layers fit.", layers=36,
        gpu_layers=24, weights=8_000_000_000, cache=1_000_000_000, compute=500_000_000,
        on_device=7_000_000_000, free=7_500_000_000, free_ram=1_000_000_000, fits=False,
        faster=("make cuda", "less context"),
    )  # fmt: skip
    fields: dict[str, Any] = {
        "name": "qwen", "backend": "llama_cpp", "model": "qwen-14b", "state": "ready",
        "chosen_because": "you chose it", "context": 4096, "pid": 77, "memory": 3_000_000,
        "max_new_tokens": 160, "library": "xllamacpp 1", "device": "RTX 4070", "parallel": 2,
        "features": ("schema", "state"), "load_s": 0.25, "placement": place,
    }  # fmt: skip
    return ModelInfo(**(fields | changes))


def done(operation: str, result: Any) -> list[Job]:
    return [
        Job(
            id=3,
            operation=operation,
            subject="qwen",
            state=JobState.DONE,
            machine="nas",
            started_at=now(),
            result=result.model_dump(mode="json"),
        )
    ]


def test_info_explains_the_choice_the_memory_and_what_would_be_faster(arcanum: Arcanum) -> None:
    answers = Answers({"model.info": info()})
    ran = arcanum("model", "info", "qwen", answers=answers)
    assert answers.requests == [("model.info", {"name": "qwen"})]
    assert [" ".join(line.split()) for line in ran.out.splitlines()] == [
        "name qwen",
        "model qwen-14b",
        "state ready · loaded in 250 ms · process 77 takes 3.0 MB",
        "chosen you chose it",
        "where this machine · xllamacpp 1 on RTX 4070",
        "context 4,096 tokens for each of 2 answers at a time",
        "answers at most 160 tokens",
        "can answers as JSON, keeps what it has read",
        "why there 24 of 36 layers fit.",
        "needs 9.5 GB: weights 8.0 GB, context 1.0 GB, buffers 500 MB",
        f"free {FREE} · ! it does not fit",
        "GPU 24 of 36 layers",
        "faster make cuda",
        "less context",
    ]


def test_info_without_a_name_is_of_the_one_in_use_and_says_where_prompts_go(
    arcanum: Arcanum,
) -> None:
    far = info(placement=None, local=False, pid=None, load_s=None)
    answers = Answers({"model.info": far})
    ran = arcanum("model", "info", answers=answers)
    assert answers.requests == [("model.info", {"name": ""})]
    assert "NOT this machine: prompts leave it" in ran.out
    assert "needs" not in ran.out


def test_the_list_shows_which_are_loaded(arcanum: Arcanum) -> None:
    ready = LINE.model_copy(update={"state": "ready", "in_use": True})
    found = ModelList(models=(ready, LINE.model_copy(update={"name": "two"})))
    ran = arcanum("model", "list", answers=Answers({"model.list": found}))
    assert [line.split() for line in ran.out.splitlines()[1:]] == [
        ["●", "qwen", "ready", "llama_cpp", "2.0", "GB", "configured", "small\\x1b[2J"],
        ["two", "llama_cpp", "2.0", "GB", "configured", "small\\x1b[2J"],
    ]


def test_a_path_is_added_as_it_is_found_from_here(
    arcanum: Arcanum, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    answers = Answers({"model.add": LINE})
    for source in ("a.gguf", "/b.gguf", "http://nas:1/v1", "unix:/run/s", "S3://bucket/a"):
        assert arcanum("model", "add", source, answers=answers).code == 0
    assert [request["source"] for _, request in answers.requests] == [
        f"{tmp_path}/a.gguf",
        "/b.gguf",
        "http://nas:1/v1",
        "unix:/run/s",
        "S3://bucket/a",
    ]


def test_what_is_on_a_hub_is_downloaded_and_followed(arcanum: Arcanum) -> None:
    script = {"model.download": JobStarted(job_id=3), "jobs.follow": done("model.download", LINE)}
    answers = Answers(script)
    ran = arcanum("model", "add", "hf:a/b:Q4_K_M", "--name", "qwen", answers=answers)
    assert answers.requests[0] == (
        "model.download",
        {"source": "hf:a/b:Q4_K_M", "name": "qwen"},
    )
    assert ran.out == "✓ qwen: small\\x1b[2J, 2.0 GB\n"
    told = arcanum("model", "add", "hf:a/b", "--json", answers=Answers(script))
    assert told.json["name"] == "qwen"


@pytest.mark.parametrize(
    "line", [("hf:a/b", "--model", "m"), ("/a.gguf", "--detach"), ("hf:a b",), ("hf:",), ("",)]
)
def test_what_does_not_go_together_is_wrong_usage(arcanum: Arcanum, line: tuple[str]) -> None:
    answers = Answers({})
    assert arcanum("model", "add", *line, answers=answers).code == 64
    assert answers.requests == []


def test_a_name_that_a_shell_would_split_is_quoted_to_be_used(arcanum: Arcanum) -> None:
    spaced = LINE.model_copy(update={"name": "my own"})
    ran = arcanum("model", "add", "/a.gguf", answers=Answers({"model.add": spaced}))
    assert "arcanum model use 'my own'" in ran.err


def test_what_is_taken_off_the_list_says_where_its_files_are(arcanum: Arcanum) -> None:
    file = LINE.model_copy(update={"description": "/m/qwen.gguf, run here"})
    ran = arcanum("model", "remove", "qwen", answers=Answers({"model.remove": file}))
    assert ran.out == "✓ qwen is off the list (/m/qwen.gguf, run here); its files stay\n"
    far = LINE.model_copy(update={"description": "big of http://nas", "endpoint": "http://nas"})
    ran = arcanum("model", "remove", "qwen", answers=Answers({"model.remove": far}))
    assert ran.out == "✓ qwen is off the list (big of http://nas)\n"


def test_a_load_says_where_it_cannot_last(arcanum: Arcanum) -> None:
    def status(pid: int) -> Status:
        return Status(
            machine="nas", version="1", pid=pid, host="command", started_at=now(), home="/h",
            needs_you=0, broken=0, unknown=0, concerns=(), services=(),
        )  # fmt: skip

    own = {"model.load": info(), "engine.status": status(os.getpid())}
    assert "freed again now" in arcanum("model", "load", answers=Answers(own)).err
    other = {"model.load": info(), "engine.status": status(os.getpid() + 1)}
    assert "freed" not in arcanum("model", "load", answers=Answers(other)).err


def test_a_budget_is_told_and_a_load_time_only_of_what_is_loaded(arcanum: Arcanum) -> None:
    place = PlacementInfo(
        library="x", device="CPU", because="so", free_ram=9_000_000_000, budget=1_000_000_000,
        fits=False,
    )  # fmt: skip
    answers = Answers({"model.info": info(placement=place, state="unloaded", pid=None)})
    text = " ".join(arcanum("model", "info", answers=answers).out.split())
    assert "9.0 GB in this machine, 1.0 GB for all models together (memory_mib) · ! it does" in text
    assert "loaded in" not in text


def test_a_bench_that_is_stopped_does_not_speak_of_carrying_on(arcanum: Arcanum) -> None:
    stopped = done("model.bench", LINE)[0].model_copy(update={"state": JobState.CANCELLED})
    script = {"model.bench": JobStarted(job_id=3), "jobs.follow": [stopped]}
    ran = arcanum("model", "bench", answers=Answers(script))
    assert ran.code == EXIT_FAILED
    assert "Nothing was measured." in ran.err
    assert "kept" not in ran.err


def test_a_bench_is_a_small_table(arcanum: Arcanum) -> None:
    result = BenchResult(
        name="qwen", model="qwen-14b", library="xllamacpp 1", device="CPU", load_s=1.5,
        first_token_s=0.8, first_token_kept_s=0.04, prompt_tokens=512, prompt_tokens_per_s=640,
        new_tokens=64, new_tokens_per_s=81.25, memory=230_000_000,
    )  # fmt: skip
    script = {"model.bench": JobStarted(job_id=3), "jobs.follow": done("model.bench", result)}
    answers = Answers(script)
    ran = arcanum("model", "bench", "qwen", "--rounds", "5", answers=answers)
    assert answers.requests[0][1] == {
        "name": "qwen",
        "prompt_tokens": 512,
        "new_tokens": 64,
        "rounds": 5,
    }
    assert [" ".join(line.split()) for line in ran.out.splitlines()] == [
        "qwen · qwen-14b · xllamacpp 1 on CPU",
        "MEDIAN",
        "load 1.5 s from nothing to ready",
        "first token 800 ms 512 tokens of prompt, 640/s",
        "40 ms with the prompt kept, 20 times sooner",
        "answer 81.2/s 64 tokens",
        "memory 230 MB of its process",
    ]


def test_what_is_kept_and_saves_nothing_is_not_praised(arcanum: Arcanum) -> None:
    result = BenchResult(
        name="tiny", model="tiny", library="", device="", load_s=1.5, first_token_s=0.02,
        first_token_kept_s=0.04, prompt_tokens=512, prompt_tokens_per_s=640, new_tokens=64,
        new_tokens_per_s=81.25, memory=0,
    )  # fmt: skip
    script = {"model.bench": JobStarted(job_id=3), "jobs.follow": done("model.bench", result)}
    ran = arcanum("model", "bench", "tiny", answers=Answers(script))
    assert "with the prompt kept" in ran.out
    assert "sooner" not in ran.out
