"""``arcanum model``: which model answers, where and how fast, and which others there are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shlex import quote

from arcanum_tui.cli.command import Command, Group, Invocation, value
from arcanum_tui.cli.follow import add_detach, job
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.grid import Column
from arcanum_tui.state.text import number, plural, size
from engine.contract import engine, model
from engine.contract.base import Empty
from engine.contract.errors import Cancelled, Invalid
from engine.contract.model import BenchResult, ModelInfo, ModelLine, ModelList, PlacementInfo

_ABILITIES = {
    "schema": "answers as JSON",
    "logprobs": "token probabilities",
    "state": "keeps what it has read",
    "embeddings": "embeddings",
}
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|unix:", re.IGNORECASE)

# --- showing ------------------------------------------------------------------------------------


def show_info(found: ModelInfo, terminal: Terminal) -> None:
    if found.simulated:
        terminal.line("SIMULATED: scripted answers, no model", "warn")
    terminal.fields(
        (
            ("name", found.name),
            ("model", found.model),
            ("state", _state(found)),
            ("chosen", found.chosen_because),
            ("where", _where(found)),
            ("endpoint", found.endpoint),
            ("size", size(found.size) if found.size else ""),
            ("context", _context(found)),
            ("answers", f"at most {number(found.max_new_tokens)} tokens"),
            ("can", ", ".join(_ABILITIES.get(each, each) for each in found.features)),
            *_placement(found.placement),
        )
    )


def _state(found: ModelInfo) -> str:
    parts = [f"{found.state}{f': {found.reason}' if found.reason else ''}"]
    if found.load_s is not None and found.state == "ready":
        parts.append(f"loaded in {_seconds(found.load_s)}")
    if found.pid:
        takes = f" takes {size(found.memory)}" if found.memory else ""
        parts.append(f"process {found.pid}{takes}")
    return " · ".join(parts)


def _where(found: ModelInfo) -> str:
    what = " on ".join(part for part in (found.library or found.backend, found.device) if part)
    return f"{'this machine' if found.local else 'NOT this machine: prompts leave it'} · {what}"


def _context(found: ModelInfo) -> str:
    if not found.context:
        return ""
    several = f" for each of {found.parallel} answers at a time" if found.parallel > 1 else ""
    return f"{number(found.context)} tokens{several}"


def _placement(place: PlacementInfo | None) -> Iterator[tuple[str, str]]:
    """Why there, what it takes, what there is, and what to do to go faster."""
    if place is None:
        return
    yield "why there", place.because
    needs = place.weights + place.cache + place.compute
    if needs:
        parts = (("weights", place.weights), ("context", place.cache), ("buffers", place.compute))
        yield "needs", f"{size(needs)}: {', '.join(f'{what} {size(n)}' for what, n in parts)}"
    free = [f"{size(place.free_ram)} in this machine"] if place.free_ram else []
    if place.budget:
        free.append(f"{size(place.budget)} for all models together (memory_mib)")
    if place.free:
        free.append(f"{size(place.free)} on the GPU, of which it takes {size(place.on_device)}")
    if free:
        yield "free", f"{', '.join(free)} · {'✓ it fits' if place.fits else '! it does not fit'}"
    if place.gpu_layers:
        yield "GPU", f"{place.gpu_layers} of {plural(place.layers, 'layer')}"
    for at, step in enumerate(place.faster):
        yield "" if at else "faster", step


def show_list(found: ModelList, terminal: Terminal) -> None:
    terminal.table(
        ("", "NAME", "STATE", "BACKEND", "SIZE", "FROM", "DESCRIPTION"),
        (
            Column(),
            Column(most=48),
            Column(),
            Column(rank=1),
            Column(right=True),
            Column(rank=1),
            Column(grow=True),
        ),
        (
            (
                "●" if line.in_use else "",
                line.name,
                "" if line.state == "unloaded" else line.state,
                line.backend,
                size(line.size) if line.size else "",
                line.origin,
                line.description,
            )
            for line in found.models
        ),
    )


def show_added(found: ModelLine, terminal: Terminal) -> None:
    about = f", {size(found.size)}" if found.size else ""
    terminal.line(f"✓ {found.name}: {found.description}{about}", "ok")
    terminal.note(f"To use it: arcanum model use {quote(found.name)}")


def show_removed(found: ModelLine, terminal: Terminal) -> None:
    stays = "" if found.endpoint else "; its files stay"
    terminal.line(f"✓ {found.name} is off the list ({found.description}){stays}", "ok")


def show_bench(found: BenchResult, terminal: Terminal) -> None:
    where = " on ".join(part for part in (found.library, found.device) if part)
    terminal.line(" · ".join(part for part in (found.name, found.model, where) if part), "title")
    rows = [
        ("load", _seconds(found.load_s), "from nothing to ready"),
        (
            "first token",
            _seconds(found.first_token_s),
            f"{number(found.prompt_tokens)} tokens of prompt, {found.prompt_tokens_per_s:,.0f}/s",
        ),
    ]
    if (kept := found.first_token_kept_s) is not None:
        sooner = (
            f", {times:,.0f} times sooner" if (times := found.first_token_s / kept) >= 2 else ""
        )
        rows.append(("", _seconds(kept), f"with the prompt kept{sooner}"))
    rows.append(
        ("answer", f"{found.new_tokens_per_s:,.1f}/s", f"{number(found.new_tokens)} tokens")
    )
    if found.memory:
        rows.append(("memory", size(found.memory), "of its process"))
    terminal.table(("", "MEDIAN", ""), (Column(), Column(right=True), Column(grow=True)), rows)


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 0.995 else f"{value:.1f} s"


# --- adding -------------------------------------------------------------------------------------


async def add(run: Invocation) -> int:
    """Adds what is here; what is on a hub is downloaded first, and followed like any job."""
    source: str = run.options.source
    if source.startswith("hf:"):
        for flag in ("model", "key_env"):
            if hasattr(run.options, flag):
                raise Invalid(f"--{flag.replace('_', '-')} is for servers.", "Leave it out.")
        return await job(replace(run, command=replace(run.command, operation=model.DOWNLOAD)))
    if run.options.detach:
        raise Invalid("--detach is for downloads.", "Leave it out.")
    whole = not source or _ADDRESS.match(source)
    request = run.request(source=source if whole else _whole_path(source))
    async with run.client() as client:
        return run.tell(value(await client.call(model.ADD, request)))


def _whole_path(path: str) -> str:
    """The engine may run in another folder."""
    return str(Path(path).expanduser().absolute())


# --- loading and measuring ----------------------------------------------------------------------


async def load(run: Invocation) -> int:
    """Loads it, and says where it cannot stay: an engine of this command's own ends with it."""
    request = run.request()
    async with run.client() as client:
        code = run.tell(value(await client.call(run.operation, request)))
        if value(await client.call(engine.STATUS, Empty())).pid == os.getpid():
            run.terminal.note("It is freed again now: no engine runs that keeps it (arcanum serve)")
        return code


async def bench(run: Invocation) -> int:
    """Follows it like any job, of which nothing is kept where it is stopped."""
    try:
        return await job(run)
    except Cancelled as error:
        raise Cancelled(error.message, "Nothing was measured.") from None


GROUP = Group(
    "model",
    (
        Command(
            "info",
            model.INFO,
            show_info,
            examples=("arcanum model info", "arcanum model info bundled --json"),
        ),
        Command("list", model.LIST, show_list, examples=("arcanum model list",)),
        Command("use", model.USE, show_info, examples=("arcanum model use scripted",)),
        Command(
            "add",
            model.ADD,
            show_added,
            run=add,
            add=add_detach,
            also=(model.DOWNLOAD,),
            examples=(
                "arcanum model add ~/models/qwen.gguf",
                "arcanum model add http://nas:8080/v1 --name nas --key-env NAS_KEY",
                "arcanum model add hf:Qwen/Qwen2.5-3B-Instruct-GGUF:Q4_K_M --name qwen",
            ),
        ),
        Command("remove", model.REMOVE, show_removed, examples=("arcanum model remove qwen",)),
        Command(
            "load",
            model.LOAD,
            show_info,
            run=load,
            examples=("arcanum model load",),
        ),
        Command(
            "unload",
            model.UNLOAD,
            show_info,
            examples=("arcanum model unload", "arcanum model unload qwen"),
        ),
        Command(
            "bench",
            model.BENCH,
            show_bench,
            run=bench,
            add=add_detach,
            examples=("arcanum model bench", "arcanum model bench qwen --rounds 5 --json"),
        ),
    ),
)
