"""What a model in a child process is run with."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backends.hosted.states import StateStore
from engine.contract.backend import Feature
from engine.contract.base import visible


@dataclass(frozen=True, slots=True)
class Host:
    """What runs a model in the child.

    ``module`` is run there, and serves a part of llama.cpp's HTTP interface on a unix socket (see
    ``backends.hosted.hosting``). ``package`` is the distribution that it needs, ``label`` what
    people call it, ``install`` what to do where it is missing. ``control`` reads a model's control
    tokens from its files, none where they cannot be read. ``slots``: how many answers at a time
    it can give at most, 0 where that is no matter of the library.
    """

    module: str
    package: str
    label: str
    install: str
    control: Callable[[Path], Sequence[str]]
    features: frozenset[Feature] = field(default_factory=frozenset)
    slots: int = 0


@dataclass(frozen=True, slots=True)
class Options:
    """How a model is run.

    ``threads`` 0: one less than there are cores. ``context``: tokens for each of the ``parallel``
    answers. ``cache_mib``: most memory for states of earlier prompts where none are kept on disk.
    ``gpu_layers`` None: as many as the library sees fit. ``device`` is what people are told of
    where it runs.
    """

    threads: int = 0
    context: int = 4096
    parallel: int = 2
    cache_mib: int = 256
    gpu_layers: int | None = None
    device: str = "CPU"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds.

    ``pulse_s``: for any sign of life while a request is under way; a long prompt does not stop
    those. ``silence_s``: for the next piece or progress of the answer itself. ``rest_s``: before
    the state of a conversation that rests is saved. ``leave_s``: most for the states at the end.
    """

    load_s: float = 300.0
    pulse_s: float = 15.0
    silence_s: float = 300.0
    rest_s: float = 2.0
    leave_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Setup:
    """One model, and all that it is run with. ``runtime_dir``: where its socket's folder goes.

    ``states`` None: what it has read is kept nowhere.
    """

    model: Path
    host: Host
    runtime_dir: Path
    options: Options = field(default_factory=Options)
    patience: Patience = field(default_factory=Patience)
    states: StateStore | None = None

    @property
    def name(self) -> str:
        """What people call the model."""
        return visible(self.model.stem if self.model.suffix == ".gguf" else self.model.name)

    @property
    def parallel(self) -> int:
        """How many answers it gives at the same time."""
        return min(self.options.parallel, self.host.slots or self.options.parallel)

    @property
    def threads(self) -> int:
        """One core is left to the rest: with all, generation collapses beside other work."""
        return self.options.threads or max(1, cores() - 1)


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
