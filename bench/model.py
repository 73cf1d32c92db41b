"""Models: loading, reading, writing and the first token, against the bare binding."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from time import perf_counter

from backends.hosted.states import StateStore
from bench.peer import Figures, ask, bare, body, bundled, ours, prompt
from bench.table import Aim, Plan, Row, missing, paired, percentile, versus
from engine.contract.backend import KeepsState, Message

_BARE = "bare xllamacpp"
_PREFIX_WORDS = 550
"""About 1,000 tokens of SmolLM2's."""


def measure(plan: Plan) -> list[Row]:
    return asyncio.run(_measure(plan))


async def _measure(plan: Plan) -> list[Row]:
    return [
        await _loading(plan),
        *await _speed(plan),
        *await _first_tokens(plan),
    ]


def _asked(text: str) -> tuple[Message, ...]:
    return (Message("system", "You are a helpful assistant."), Message("user", text))


async def _loading(plan: Plan) -> Row:
    """From nothing to ready, with the file in the page cache."""
    mine, theirs = [], []
    for turn in range(plan.rounds + 1):
        backend = ours(plan.scratch)
        began = perf_counter()
        await backend.load()
        took = perf_counter() - began
        await backend.unload()
        async with bare(plan.scratch) as peer:
            if turn:  # The first brought the file into the cache, and our HTTP stack.
                mine.append(took)
                theirs.append(peer.loaded_s)
    return paired(
        "load a model, page cache warm",
        "s",
        mine,
        theirs,
        peer_name=f"a process with {_BARE}",
        aim=Aim(ratio=1.2),
    )


async def _speed(plan: Plan) -> list[Row]:
    """Reading a prompt of about 500 tokens, and writing 128."""
    found: dict[str, list[Figures]] = {"ours": [], "bare": []}
    backend = ours(plan.scratch)
    try:
        async with bare(plan.scratch) as peer:
            for turn in range(plan.rounds + 1):
                # Long prompts for the reading, short ones for the writing; none begins as another.
                long, short = _asked(prompt(350, turn)), _asked(prompt(10, turn))
                pair = (
                    [await ask(backend, long, 1), await ask(backend, short, 128)],
                    [await peer.ask(body(long, 1)), await peer.ask(body(short, 128))],
                )
                if turn:
                    found["ours"] += pair[0]
                    found["bare"] += pair[1]
    finally:
        await backend.unload()
    read = {
        name: [1e3 * f.first_s / f.prompt_tokens for f in of[::2]] for name, of in found.items()
    }
    wrote = {name: [1e3 * f.each_s for f in of[1::2]] for name, of in found.items()}
    new = percentile(wrote["ours"], 0.5)
    return [
        paired(
            "read a prompt, each token",
            "ms",
            read["ours"],
            read["bare"],
            peer_name=_BARE,
            aim=Aim(ratio=1 / 0.95),
            note=f"{found['ours'][0].prompt_tokens} tokens",
        ),
        paired(
            "write an answer, each token",
            "ms",
            wrote["ours"],
            wrote["bare"],
            peer_name=_BARE,
            aim=Aim(ratio=1 / 0.97),
            note=f"{1e3 / new:.0f} tokens a second",
        ),
    ]


async def _first_tokens(plan: Plan) -> list[Row]:
    """Question to first token on a prefix of about 1,000 tokens, after each kind of start."""
    states = StateStore(plan.scratch / "states")
    await _keep(plan, states)
    rows = []
    for kind in ("cold disk", "warm page cache", "resident"):
        kept: list[float] = []
        unkept: list[float] = []
        for turn in range(plan.rounds):
            kept.append(await _first_token(plan, states, kind, turn))
            unkept.append(await _first_token(plan, None, kind, turn))
        if kind == "cold disk" and not _drop(bundled()):
            rows.append(
                missing(f"first token, {kind}", "s", "the page cache cannot be emptied here")
            )
            continue
        rows += [
            versus(
                f"first token of 1,000, {kind}, p{share * 100:.0f}",
                "s",
                kept,
                unkept,
                peer_name="ours without saved state",
                aim=Aim(ratio=0.05) if kind == "resident" and share == 0.5 else Aim(),
                share=share,
                note="" if kind == "resident" else "from nothing: the load is in it",
            )
            for share in (0.5, 0.95)
        ]
    return rows


def _prefix(number: int = 0) -> tuple[Message, ...]:
    return (Message("system", prompt(_PREFIX_WORDS, 7_000 + number, "Answer in one word.")),)


async def _keep(plan: Plan, states: StateStore) -> None:
    """Reads the prefix once, so that its state is on disk."""
    backend = ours(plan.scratch, states=states)
    try:
        await backend.load()
        keeps = backend.extra(KeepsState)  # type: ignore[type-abstract]
        assert keeps is not None
        await keeps.warm(_prefix())
        await keeps.save()
    finally:
        await backend.unload()


async def _first_token(plan: Plan, states: StateStore | None, kind: str, turn: int) -> float:
    """Seconds. ``resident``: the model is loaded, but has not read the prefix in this process."""
    if kind == "cold disk":
        _drop(bundled())
        if states is not None:
            for file in states.folder.glob("*.kv"):
                _drop(file)
    backend = ours(plan.scratch, states=states)
    try:
        if kind == "resident":
            await backend.load()
        began = perf_counter()
        if states is not None:
            keeps = backend.extra(KeepsState)  # type: ignore[type-abstract]
            assert keeps is not None
            await keeps.warm(_prefix())
        figures = await ask(backend, (*_prefix(), Message("user", f"Turn {turn}: yes or no?")), 1)
        return perf_counter() - began - (figures.seconds - figures.first_s)
    finally:
        await backend.unload()


def _drop(file: Path) -> bool:
    """Takes the file out of the page cache; False where the system cannot."""
    if not hasattr(os, "posix_fadvise"):
        return False
    with suppress(OSError), file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return True
    return False
